"""Binds, named and anonymous volumes, tmpfs, propagation, read-only all the way down."""
import json
import os
import subprocess

from harness.images import BUSYBOX


def test_a_bind_shows_the_hosts_files_both_ways(cli, scratch):
    with open(f"{scratch}/in", "w") as f:
        f.write("from host\n")
    assert cli("run", "--rm", "-v", f"{scratch}:/app", BUSYBOX, "sh", "-c", "cat /app/in; echo from container > /app/out").out == "from host\n"
    assert open(f"{scratch}/out").read() == "from container\n"


def test_a_read_only_bind_refuses_writes(cli, scratch):
    assert "Read-only file system" in cli("run", "--rm", "-v", f"{scratch}:/app:ro", BUSYBOX, "touch", "/app/x", rc=1).err
    assert os.listdir(scratch) == []


def test_a_missing_bind_source_is_made_for_v_and_refused_for_mount(cli, scratch):
    cli("run", "--rm", "-v", f"{scratch}/new/dir:/app", BUSYBOX, "true")
    assert os.path.isdir(f"{scratch}/new/dir")
    assert "bind source path does not exist" in cli("run", "--rm", "--mount", f"type=bind,source={scratch}/nosuch,target=/app", BUSYBOX, "true", rc=125).err


def test_a_single_file_can_be_bound(cli, scratch):
    with open(f"{scratch}/conf", "w") as f:
        f.write("a=1\n")
    assert cli("run", "--rm", "-v", f"{scratch}/conf:/etc/deep/er/conf:ro", BUSYBOX, "cat", "/etc/deep/er/conf").out == "a=1\n"


def test_a_named_volume_outlives_its_containers(cli, name):
    cli("run", "--rm", "-v", f"{name}:/data", BUSYBOX, "sh", "-c", "echo kept > /data/f")
    try:
        assert cli("run", "--rm", "-v", f"{name}:/data", BUSYBOX, "cat", "/data/f").out == "kept\n"
        assert name in cli("volume", "ls", "-q").out.split()
        assert cli("volume", "inspect", "--format", "{{.Driver}}", name).line == "local"
        cli("create", "--name", name + "c", "-v", f"{name}:/data", BUSYBOX, "true")
        assert "volume is in use" in cli("volume", "rm", name, rc=1).err
        cli("rm", name + "c")
    finally:
        cli("volume", "rm", name)
    assert "no such volume" in cli("volume", "inspect", name, rc=1).err.lower()


def test_a_new_volume_starts_with_the_images_files(cli, name):
    try:
        out = cli("run", "--rm", "-v", f"{name}:/etc", BUSYBOX, "sh", "-c", "cat /etc/passwd | head -1; touch /etc/mark").out
        assert out.startswith("root:")
        assert "mark" in cli("run", "--rm", "-v", f"{name}:/x", BUSYBOX, "ls", "/x").out.split()
        assert "passwd" in cli("run", "--rm", "-v", f"{name}:/x", BUSYBOX, "ls", "/x").out.split()
    finally:
        cli("volume", "rm", name)


def test_copying_up_can_be_refused_and_happens_once(cli, name):
    try:
        cli("run", "--rm", "-v", f"{name}:/etc:nocopy", BUSYBOX, "sh", "-c", "test ! -e /etc/passwd")
        cli("run", "--rm", "--mount", f"type=volume,source={name},target=/etc,volume-nocopy", BUSYBOX, "sh", "-c", "test ! -e /etc/passwd")
        cli("run", "--name", name + "c", "-v", f"{name}:/etc", BUSYBOX, "sh", "-c", "rm /etc/passwd || true; rm -rf /etc/*; ls -A /etc > /count")
        cli("start", "-a", name + "c")
        cli("run", "--rm", "-v", f"{name}:/x", BUSYBOX, "sh", "-c", "test ! -e /x/passwd")
        cli("rm", name + "c")
    finally:
        cli("volume", "rm", "-f", name)


def test_hosts_and_names_are_above_a_volume_at_etc(cli, name):
    out = cli("run", "--rm", "-v", "/etc", "-h", "thename", BUSYBOX, "cat", "/etc/hostname", "/etc/hosts").out
    assert out.startswith("thename\n") and "localhost" in out


def test_an_anonymous_volume_goes_with_rm_v(cli, name, api):
    cli("run", "-d", "--name", name, "-v", "/data", BUSYBOX, "sleep", "100")
    mount = json.loads(cli.inspect(name, "{{json .Mounts}}"))[0]
    assert mount["Type"] == "volume" and mount["Destination"] == "/data" and len(mount["Name"]) == 64
    cli("rm", "-fv", name)
    assert api.get(f"/volumes/{mount['Name']}").status == 404


def test_volumes_from(cli, name):
    cli("run", "-d", "--name", name, "-v", "/data", BUSYBOX, "sh", "-c", "echo shared > /data/f; sleep 100")
    assert cli("run", "--rm", "--volumes-from", name, BUSYBOX, "sh", "-c", "sleep 0.3; cat /data/f").out == "shared\n"


def test_mounts_below_a_bind_are_visible_and_ro_on_request(cli, scratch, engine):
    os.makedirs(f"{scratch}/sub")
    engine.machine.run("mount", "-t", "tmpfs", "below", f"{scratch}/sub")
    try:
        engine.machine.run("touch", f"{scratch}/sub/there")
        assert cli("run", "--rm", "-v", f"{scratch}:/app", BUSYBOX, "ls", "/app/sub").line == "there"
        result = cli("run", "--rm", "--mount", f"type=bind,source={scratch},target=/app,bind-nonrecursive=true", BUSYBOX, "ls", "/app/sub", rc=None)
        assert result.rc == 0 and result.line == ""
    finally:
        engine.machine.run("umount", f"{scratch}/sub")


def test_a_slave_bind_sees_later_mounts(cli, scratch, engine, name):
    os.makedirs(f"{scratch}/sub")
    engine.machine.run("sh", "-c", f"mount --bind {scratch} {scratch} && mount --make-rshared {scratch}")
    try:
        cli("run", "-d", "--name", name, "-v", f"{scratch}:/app:rslave", BUSYBOX, "sleep", "100")
        engine.machine.run("sh", "-c", f"mount -t tmpfs later {scratch}/sub && touch {scratch}/sub/late")
        assert cli("exec", name, "ls", "/app/sub").line == "late"
        cli("rm", "-f", name)
    finally:
        engine.machine.run("sh", "-c", f"umount {scratch}/sub; umount {scratch}", check=False)


def test_tmpfs_mounts(cli):
    out = cli("run", "--rm", "--mount", "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=700", BUSYBOX, "sh", "-c", "stat -c %a /t; grep ' /t ' /proc/mounts").out
    assert out.startswith("700\n") and "tmpfs" in out and "size=1024k" in out and "nosuid" in out


def test_a_link_in_the_image_does_not_lead_a_mount_out(cli, api, name, scratch, busybox_tar, engine):
    """The target of a mount is found inside the container's root, whatever links the image has on the way."""
    import tarfile
    from harness import images
    tag = "hoytest:" + name
    data, _ = images.archive(busybox_tar, images.tar_of(("trap", dict(kind=tarfile.SYMTYPE, linkname="/../../../../../../../" + scratch))), tag=tag)
    api.post("/images/load", data, headers={"Content-Type": "application/x-tar"}, quiet=1)
    cli("run", "--rm", "-v", "/etc:/trap/made", tag, "true", rc=None)
    assert os.listdir(scratch) == []
    api.delete(f"/images/{tag}", force=1)


def test_nothing_stays_mounted(docker, scratch, engine):
    before = engine.machine.run("cat", "/proc/self/mountinfo").stdout.count("\n")
    docker("run", "--rm", "-v", f"{scratch}:/app", "--tmpfs", "/t", BUSYBOX, "true")
    assert engine.machine.run("cat", "/proc/self/mountinfo").stdout.count("\n") <= before
    assert subprocess.run(["grep", "-c", "hoyt-.*overlay", "/proc/self/mountinfo"], capture_output=True, text=True).stdout.strip() == "0"
