"""Storage drivers: the same promises for each of them, on a data root of its own. A driver that this machine cannot have is skipped with
hoyd's own reason."""
import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import time

import pytest

from harness import engine as engines
from harness import images
from harness.cli import Cli, until
from harness.images import tar_of

ALL = ["overlay2", "vfs", "btrfs", "erofs", "fuse-overlayfs"]
FOLDER = {"overlay2": "layers"}


class Driven:
    """An engine with one storage driver; its data root may be a file system of its own (mounted on the engine's machine only)."""

    def __init__(self, driver, tmp_path, mount=None):
        engines.need_hoyd()
        self.driver = driver
        self.engine = engines.Hoyd("--storage-driver", driver)
        self.data = f"{self.engine.folder}/data"
        self.image = None
        os.makedirs(self.data)
        if driver == "btrfs" or mount:
            self.mount(mount or "btrfs")
        self.engine.spawn()
        try:
            self.engine.wait_ready(20)
        except AssertionError:
            log = self.engine.log_tail()
            self.engine.machine.close()
            shutil.rmtree(self.engine.folder, ignore_errors=True)
            reason = re.search(r"error initializing graphdriver: (.*)", log)
            if reason and driver not in ("overlay2", "vfs"):
                pytest.skip(f"{driver}: {reason.group(1)[:300]}")
            raise
        self.cli = Cli("docker", self.engine.host, str(tmp_path))

    def mount(self, kind):
        run = self.engine.machine.run
        if kind.startswith("tmpfs"):
            run("mount", "-t", "tmpfs", "-o", kind.partition(":")[2], "none", self.data)
            return
        name, _, size = kind.partition(":")
        self.image = f"{self.engine.folder}/disk"
        with open(self.image, "wb") as f:
            f.truncate(int(size or 400) << 20)
        if subprocess.run(["which", f"mkfs.{name}"], capture_output=True, check=False).returncode:
            pytest.skip(f"mkfs.{name} is not installed")
        done = subprocess.run([f"mkfs.{name}", "-q", "-K", self.image], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        done = run("mount", "-o", "loop", self.image, self.data, check=False)
        if done.returncode:
            pytest.skip(f"this kernel cannot mount {name}: {done.stderr}")

    def layers(self, driver=None):
        driver = driver or self.driver
        path = f"/proc/{self.engine.machine.pid}/root{self.data}/{FOLDER.get(driver, 'layers-' + driver)}"
        return set(os.listdir(path)) - {"init"}

    def tmp(self):
        return os.listdir(f"/proc/{self.engine.machine.pid}/root{self.data}/tmp")

    def load(self, *layers, tag="hoytest:layered", **kw):
        data, image_id = images.archive(*layers, tag=tag, **kw)
        answer = self.engine.api.post("/images/load", data, headers={"Content-Type": "application/x-tar"}, quiet=1, timeout=120)
        assert answer.status == 200 and b'"error"' not in answer.body, answer.body
        return image_id

    def close(self):
        reports = self.engine.close()
        assert not reports, "\n".join(reports.values())


@pytest.fixture
def driven(request, tmp_path):
    made = []

    def make(driver, **kw):
        made.append(Driven(driver, tmp_path, **kw))
        request.node.engine = made[-1].engine
        return made[-1]

    yield make
    for d in made:
        d.close()


@pytest.fixture(params=ALL)
def store(request, driven):
    return driven(request.param)


def upper_layer():
    return tar_of(
        ("etc/passwd", dict(data=b"root:x:0:0::/:/bin/sh\n")),
        ("data", dict(kind=tarfile.DIRTYPE, mode=0o1777, uid=7, gid=8, mtime=1000000)),
        ("data/.wh.gone", dict()),
        ("data/opaque", dict(kind=tarfile.DIRTYPE, mode=0o755)),
        ("data/opaque/.wh..wh..opq", dict()),
        ("data/opaque/new", dict(data=b"new")),
        ("data/turned", dict(data=b"a file now")),
        (".wh.dropped", dict()))


def lower_layer():
    return tar_of(
        ("data", dict(kind=tarfile.DIRTYPE, mode=0o1777, uid=7, gid=8, mtime=1000000)),
        ("data/gone", dict(data=b"x")),
        ("data/opaque", dict(kind=tarfile.DIRTYPE, mode=0o755)),
        ("data/opaque/old", dict(data=b"x")),
        ("data/turned", dict(kind=tarfile.DIRTYPE, mode=0o755)),
        ("data/turned/inside", dict(data=b"x")),
        ("data/one", dict(data=b"linked" * 1000, mode=0o4711, mtime=1234567890)),
        ("data/two", dict(kind=tarfile.LNKTYPE, linkname="data/one")),
        ("data/link", dict(kind=tarfile.SYMTYPE, linkname="/etc/passwd")),
        ("data/null", dict(kind=tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3)),
        ("data/fifo", dict(kind=tarfile.FIFOTYPE, mode=0o600)),
        ("data/empty", dict(data=b"")),
        ("data/big", dict(data=bytes(range(256)) * 4099)),
        ("dropped/deep/file", dict(data=b"x")))


def test_an_image_of_several_layers_is_what_its_archives_say(store, busybox_tar):
    """Replaced and removed files, opaque directories, links, devices, owners and times, seen from inside."""
    store.load(busybox_tar, lower_layer(), upper_layer())
    sh = lambda text: store.cli("run", "--rm", "hoytest:layered", "sh", "-c", text).out  # noqa: E731
    assert sh("cat /etc/passwd; ls /data/opaque; cat /data/turned; ls -d /data/gone /dropped 2>/dev/null || true") == \
        "root:x:0:0::/:/bin/sh\nnew\na file now"
    assert sh("stat -c '%a %u %g %F' /data /data/null /data/fifo").splitlines() == \
        ["1777 7 8 directory", "666 0 0 character special file", "600 0 0 fifo"]
    assert sh("stat -c '%a %h %s %Y %t' /data/one; [ /data/one -ef /data/two ] && echo same; readlink /data/link").splitlines() == \
        ["4711 2 6000 1234567890 0", "same", "/etc/passwd"]
    big = hashlib.md5(bytes(range(256)) * 4099).hexdigest()
    assert sh("md5sum < /data/big; echo gone > /data/null; cat /data/empty").split()[0] == big
    # a hard link is one file to a container that writes to it as well, on every driver but those that copy up one name
    assert sh("echo x >> /data/big; tail -c 2 /data/big") == "x\n"


def test_a_containers_changes_are_its_own(store, busybox_tar, name):
    store.load(busybox_tar, lower_layer(), tag="hoytest:own")
    store.cli("run", "--name", name, "hoytest:own", "sh", "-c", "echo mine > /etc/passwd; rm /data/gone; mkdir /data/d; echo 1 > /data/d/f; mv /data/one /data/three")
    store.cli("start", name)
    out = store.cli("run", "--rm", "hoytest:own", "sh", "-c", "head -c 5 /etc/passwd; cat /data/gone; ls /data/one; ls /data/d 2>&1 || true").out
    assert out.startswith("root:x/data/one\n") and "No such file" in out
    store.cli("rm", name)
    for n in range(3):  # several at once, and the ones that are left do not notice
        store.cli("run", "-d", "--name", f"{name}{n}", "hoytest:own", "sh", "-c", f"echo {n} > /n; sleep 100")
    store.cli("rm", "-f", f"{name}1")
    until(lambda: store.cli("exec", f"{name}2", "cat", "/n").line == "2", what="the file")
    assert store.cli("exec", f"{name}0", "cat", "/n").line == "0"


def test_what_is_removed_leaves_nothing(store, busybox_tar, name):
    before = store.layers()
    assert before == set()
    image_id = store.load(busybox_tar, lower_layer(), upper_layer())
    assert len(store.layers()) == 3
    store.cli("run", "--name", name, "hoytest:layered", "sh", "-c", "echo 1 > /f")
    assert len(store.layers()) == 4
    assert "conflict" in store.cli("rmi", "hoytest:layered", rc=1).err
    store.cli("rm", name)
    assert len(store.layers()) == 3
    assert image_id in store.cli("rmi", "hoytest:layered").out
    until(lambda: not store.layers() and not store.tmp(), what="an empty store")


def test_containers_live_on_when_hoyd_is_killed(store, busybox_tar, name):
    store.load(busybox_tar, lower_layer())
    store.cli("run", "-d", "--name", name, "--restart", "always", "hoytest:layered", "sh", "-c", "echo $$ >> /starts; cat /data/empty; sleep 1000")
    until(lambda: store.cli("exec", name, "cat", "/starts").out == "1\n", what="the first start")
    store.engine.kill()
    time.sleep(0.2)
    store.engine.start()
    assert store.cli("exec", name, "sh", "-c", "echo more >> /data/big; tail -c 5 /data/big").out == "more\n"
    assert store.cli("run", "--rm", "hoytest:layered", "tail", "-c", "6", "/data/one").out == "linked"
    store.cli("exec", name, "kill", "-9", "-1", rc=None)
    store.cli("kill", name, rc=None)
    store.cli("start", name, rc=None)
    until(lambda: "more" in store.cli("exec", name, "tail", "-c", "5", "/data/big", rc=None).out, what="the container again")
    # removed while hoyd was away: what a crash leaves half done is finished at the next start
    store.cli("rm", "-f", name)
    store.engine.restart()
    assert len(store.layers()) == 2


def test_a_shim_restarts_its_container_while_hoyd_is_away(store, busybox_tar, name):
    store.load(busybox_tar, lower_layer())
    store.cli("run", "-d", "--name", name, "--restart", "always", "hoytest:layered", "sh", "-c",
              "echo run >> /runs; [ $(wc -l < /runs) -ge 3 ] && exec sleep 1000; sleep 0.5")
    store.engine.kill()
    time.sleep(3)
    store.engine.start()
    until(lambda: store.cli("exec", name, "cat", "/runs", rc=None).out == "run\n" * 3, what="the third start")
    assert store.cli("exec", name, "tail", "-c", "6", "/data/one").out == "linked"
    store.cli("rm", "-f", name)


@pytest.mark.parametrize("driver", ALL)
def test_a_full_disk_is_a_clean_error(driven, driver, busybox_tar):
    store = driven(driver, mount={"btrfs": "btrfs:300", "erofs": "ext4:24"}.get(driver, "tmpfs:size=16m"))
    image = store.load(busybox_tar, tag="hoytest:small")
    before = store.layers()
    huge = tar_of(("huge", dict(data=os.urandom(1 << 20) * (250 if driver == "btrfs" else 18))))
    data, _ = images.archive(busybox_tar, huge, tag="hoytest:huge")
    answer = store.engine.api.post("/images/load", data, headers={"Content-Type": "application/x-tar"}, quiet=1, timeout=300)
    assert b"no space left" in answer.body.lower(), answer.body
    until(lambda: store.layers() == before and not store.tmp(), what="nothing of the image that did not fit")
    assert [i["Id"] for i in store.engine.api.get("/images/json").json] == [image]
    assert store.cli("run", "--rm", "hoytest:small", "echo", "fits").line == "fits"


def test_a_broken_layer_leaves_nothing(store, busybox_tar):
    data, _ = images.archive(busybox_tar, lower_layer()[:500000], tag="hoytest:cut")
    answer = store.engine.api.post("/images/load", data, headers={"Content-Type": "application/x-tar"}, quiet=1)
    assert b"error" in answer.body, answer.body
    until(lambda: not store.layers() and not store.tmp(), what="an empty store")


def test_info_and_inspect_name_the_driver(store, busybox_tar, name):
    info = store.engine.api.get("/info").json
    assert info["Driver"] == store.driver
    rows = dict(map(tuple, info["DriverStatus"] or []))
    if store.driver in ("overlay2", "erofs"):
        assert rows["Backing Filesystem"] in ("extfs", "xfs", "btrfs", "tmpfs", "overlayfs")
    if store.driver == "btrfs":
        assert rows["Btrfs"] == ""
    store.load(busybox_tar)
    store.cli("create", "--name", name, "hoytest:layered")
    assert store.engine.api.inspect(name)["GraphDriver"]["Name"] == store.driver
    assert store.engine.api.inspect(name)["Driver"] == store.driver


def test_sizes_count_what_a_container_has_changed(store, busybox_tar, name):
    store.load(busybox_tar, lower_layer())
    store.cli("run", "--name", name, "hoytest:layered", "sh", "-c", "head -c 100000 /dev/zero > /data/mine")
    answer = store.engine.api.get(f"/containers/{name}/json", size=1).json
    assert 100000 <= answer["SizeRw"] < 120000, answer["SizeRw"]


def test_commit_keeps_what_a_container_has_changed(store, busybox_tar, name):
    store.load(busybox_tar, lower_layer())
    store.cli("run", "--name", name, "hoytest:layered", "sh", "-c", "rm -r /data/opaque; rm /data/gone; echo new > /data/new; mkdir /data/opaque; echo 1 > /data/opaque/1")
    done = store.engine.api.post("/commit", {}, container=name, repo="hoytest", tag="made", timeout=120)
    if done.status in (404, 501):
        pytest.skip(f"commit is not there yet: {done.status}")
    assert done.status == 201, done.body
    out = store.cli("run", "--rm", "hoytest:made", "sh", "-c", "cat /data/new; ls /data/opaque; ls /data/gone 2>&1; true").out
    assert out.startswith("new\n1\n") and "No such file" in out


@pytest.mark.parametrize("driver", ["overlay2", "erofs", "fuse-overlayfs"])
def test_two_hundred_layers(driven, driver, busybox_tar):
    store = driven(driver)
    layers = [busybox_tar] + [tar_of((f"layer{i}", dict(data=b"%d" % i)), ("top", dict(data=b"%d" % i))) for i in range(1, 200)]
    store.load(*layers, tag="hoytest:deep")
    assert store.cli("run", "--rm", "hoytest:deep", "sh", "-c", "ls / | grep -c layer; cat /top /layer7").out == "199\n1997"
    store.cli("rmi", "hoytest:deep")
    until(lambda: not store.layers() and not store.tmp(), what="an empty store")


# ---- choosing ----
@pytest.mark.parametrize("asked, words", [
    ("aufs", "the aufs storage-driver has been deprecated and removed; visit https://docs.docker.com/go/storage-driver/.*Use overlay2 instead"),
    ("devicemapper", "the devicemapper storage-driver has been deprecated and removed.*Use overlay2 instead"),
    ("overlay", "the overlay storage-driver has been deprecated and removed.*Use overlay2 instead"),
    ("zfs", "driver not supported: zfs .*vfs"),
    ("windowsfilter", "driver not supported: windowsfilter .*overlay2"),
    ("nosuch", "error initializing graphdriver: driver not supported: nosuch"),
])
def test_drivers_that_are_gone_name_what_replaces_them(driven, asked, words):
    engine = engines.Hoyd("--storage-driver", asked)
    try:
        engine.spawn()
        assert engine.machine.wait(engine.pid, 20) != 0
        assert re.search(words, engine.log_tail()), engine.log_tail()
    finally:
        engine.own_machine and engine.machine.close()
        subprocess.run(["rm", "-rf", engine.folder], check=True)


def test_changing_the_driver_keeps_images_apart(driven, busybox_tar, name):
    store = driven("vfs")
    store.load(busybox_tar, tag="hoytest:of-vfs")
    store.cli("create", "--name", name, "hoytest:of-vfs")
    vfs = store.layers("vfs")
    store.engine.stop()
    store.engine.args = ["--storage-driver", "overlay2"]
    store.engine.start()
    assert store.engine.api.get("/images/json").json == []
    assert store.engine.api.get("/containers/json", all=1).json == []
    assert "images of storage driver vfs are kept, but not seen" in store.engine.log_tail()
    assert any("storage driver vfs" in w for w in store.engine.api.get("/info").json["Warnings"])
    store.load(busybox_tar, tag="hoytest:of-overlay")
    store.cli("rmi", "hoytest:of-overlay")
    store.load(busybox_tar, tag="hoytest:of-overlay")
    assert store.layers("vfs") == vfs and len(store.layers("overlay2")) == 1
    # without being asked: overlay2 has data; those of vfs do not count, as with dockerd
    store.engine.stop()
    store.engine.args = []
    store.engine.start()
    assert store.engine.api.get("/info").json["Driver"] == "overlay2"
    store.engine.stop()
    store.engine.args = ["--storage-driver", "vfs"]
    store.engine.start()
    assert [i["RepoTags"] for i in store.engine.api.get("/images/json").json] == [["hoytest:of-vfs"]]
    assert store.cli("start", "-a", name, rc=None).rc == 0
    store.cli("rm", name)


def test_a_running_container_holds_its_driver(driven, busybox_tar, name):
    store = driven("vfs")
    store.load(busybox_tar)
    store.cli("run", "-d", "--name", name, "hoytest:layered", "sleep", "1000")
    store.engine.kill()
    store.engine.args = ["--storage-driver", "overlay2"]
    store.engine.spawn()
    assert store.engine.machine.wait(store.engine.pid, 20) != 0
    assert "still runs, and was created with storage driver vfs" in store.engine.log_tail()
    store.engine.args = ["--storage-driver", "vfs"]
    store.engine.start()
    assert store.cli("exec", name, "echo", "alive").line == "alive"
    store.cli("rm", "-f", name)


def test_two_drivers_with_data_need_a_word(driven, busybox_tar):
    store = driven("overlay2")
    store.load(busybox_tar)
    store.engine.stop()
    other = f"/proc/{store.engine.machine.pid}/root{store.data}/layers-fuse-overlayfs/abc"
    os.makedirs(other)
    store.engine.args = []
    store.engine.spawn()
    assert store.engine.machine.wait(store.engine.pid, 20) != 0
    assert re.search(r"contains several valid graphdrivers: overlay2, fuse-overlayfs; cleanup or explicitly choose storage driver \(-s <DRIVER>\)",
                     store.engine.log_tail())
    store.engine.args = ["-s", "overlay2"]
    store.engine.start()
    assert os.path.exists(other)
