"""What a container sees of the host, and the host of a container."""
import os
import re

from harness.cli import until
from harness.images import BUSYBOX

SEPARATE = ("ipc", "mnt", "net", "pid", "uts")


def test_namespaces_differ_from_the_hosts(cli, engine, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sleep", "100")
    pid = engine.host_pid(cli.inspect(name, "{{.State.Pid}}"))
    host = engine.machine.pid

    def ns(p, kind):
        return os.readlink(f"/proc/{p}/ns/{kind}")
    for kind in SEPARATE:
        assert ns(pid, kind) != ns(host, kind), kind
    assert ns(pid, "user") == ns(host, "user")
    is_v2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    assert (ns(pid, "cgroup") != ns(host, "cgroup")) == is_v2


def test_typed_as_is_debian_exec_bash_watch(cli, engine, name, debian, terminal):
    """docker run -dt --name debian debian && docker exec -it debian /bin/bash, then watch ps ax in it."""
    cli("run", "-dt", "--name", name, debian)
    t = terminal(cli, "exec", "-it", name, "/bin/bash", size=(40, 120))
    t.type("watch ps ax\n")
    screen = t.expect(r"PID\s+TTY.*?watch ps ax.*?ps ax").group(0).decode()
    own = re.findall(r"(\d+) pts/\d", screen)
    assert own and all(int(pid) < 100 for pid in own) and "hoyd" not in screen and "dockerd" not in screen
    watch = until(lambda: [p for p, (_, n) in engine.machine.procs().items() if n == "watch"], what="watch on the host")
    chain = engine.machine.ancestors(watch[0])
    assert chain[:2] == ["watch", "bash"]
    if getattr(engine, "pid", None):
        assert chain[2] == "hoy-shim" and chain[3] in ("hoyd", "python3")
    t.type("q\x03")


def test_processes_of_the_host_are_not_seen(cli):
    out = cli("run", "--rm", BUSYBOX, "ps", "-o", "pid,comm").out.splitlines()
    assert len(out) == 2 and out[1].split() == ["1", "ps"]


def test_the_root_is_the_images_and_nothing_else_is_mounted(cli):
    mounts = [line.split() for line in cli("run", "--rm", BUSYBOX, "cat", "/proc/mounts").out.splitlines()]
    by_target = {m[1]: m for m in mounts}
    assert by_target["/"][2] == "overlay"
    for target, kind in (("/proc", "proc"), ("/dev", "tmpfs"), ("/dev/pts", "devpts"), ("/sys", "sysfs"), ("/dev/mqueue", "mqueue"), ("/dev/shm", "tmpfs")):
        assert by_target[target][2] == kind, target
    assert "ro" in by_target["/sys"][3].split(",") and "ro" in by_target["/proc/sys"][3].split(",")
    assert {"/etc/resolv.conf", "/etc/hostname", "/etc/hosts", "/proc/kcore" if "/proc/kcore" in by_target else "/proc/keys"} <= set(by_target)
    assert not any("/old" in t or "pivot" in t for t in by_target)


def test_masked_and_read_only_paths(cli):
    out = cli("run", "--rm", BUSYBOX, "sh", "-c", "cat /proc/timer_list /proc/keys | wc -c; ls /sys/firmware | wc -l; echo 1 > /proc/sys/kernel/panic", rc=1)
    assert out.out.split() == ["0", "0"] and "Read-only file system" in out.err


def test_privileged_lifts_the_masks(cli):
    out = cli("run", "--rm", "--privileged", BUSYBOX, "sh", "-c", "grep -c ' /proc/timer_list\\| /sys/firmware' /proc/mounts; grep ' /sys ' /proc/mounts; ls /dev | wc -l").out.splitlines()
    assert out[0] == "0" and " rw" in out[1] and int(out[2]) > 20


def test_shared_namespaces_on_request(cli, engine, name):
    cli("run", "-d", "--name", name, "--ipc", "shareable", BUSYBOX, "sleep", "100")
    assert cli("run", "--rm", "--pid", f"container:{name}", BUSYBOX, "ps", "-o", "comm").out.split()[1] == "sleep"
    assert cli("run", "--rm", "--ipc", f"container:{name}", BUSYBOX, "readlink", "/proc/self/ns/ipc").line == cli("exec", name, "readlink", "/proc/self/ns/ipc").line
    assert cli("run", "--rm", "--uts", "host", BUSYBOX, "hostname").line == engine.machine.run("hostname").stdout.strip()


def test_the_container_finds_its_own_id(cli, name):
    container = cli("run", "-d", "--name", name, BUSYBOX, "sleep", "100").line
    assert f"/containers/{container}/" in cli("exec", name, "cat", "/proc/self/mountinfo").out
    assert cli("exec", name, "hostname").line == container[:12]


def test_cgroup_view_is_read_only(cli):
    out = cli("run", "--rm", BUSYBOX, "sh", "-c", "ls /sys/fs/cgroup; mkdir /sys/fs/cgroup/memory/x 2>&1 || mkdir /sys/fs/cgroup/x", rc=None)
    assert "Read-only file system" in out.out + out.err


def test_default_seccomp_refuses_what_docker_refuses(cli, engine, name):
    for command in ("unshare -m true", "unshare -U true"):
        assert cli("run", "--rm", BUSYBOX, "sh", "-c", command, rc=1).err
    assert cli("run", "--rm", "--cap-add", "SYS_ADMIN", BUSYBOX, "unshare", "-m", "true").rc == 0


def test_a_custom_seccomp_profile_bites(cli, tmp_path):
    (tmp_path / "p.json").write_text('{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}')
    result = cli("run", "--rm", "--security-opt", f"seccomp={tmp_path}/p.json", BUSYBOX, "mkdir", "/x", rc=1)
    assert "Operation not permitted" in result.err
    (tmp_path / "bad.json").write_text('{"defaultAction": 7')
    cli("run", "--rm", "--security-opt", f"seccomp={tmp_path}/bad.json", BUSYBOX, "true", rc=125)
