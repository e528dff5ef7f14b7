"""Keeping images whole: verify finds what is not as it was, heal makes it anew."""
import contextlib
import json
import os
import subprocess
import tarfile
import threading
import time

import pytest

from harness import engine as engines
from harness import images
from harness.cli import Cli
from harness.images import tar_of
from harness.registry import Registry, gzipped

DIR = dict(kind=tarfile.DIRTYPE, mode=0o755)
LOWER = tar_of(("etc", DIR), ("etc/conf", dict(data=b"one\n" * 300)), ("etc/old", dict(data=b"old")), ("etc/run", dict(data=b"#!", mode=0o4755, uid=7, gid=8)),
               ("etc/link", dict(kind=tarfile.SYMTYPE, linkname="conf")), ("etc/hard", dict(kind=tarfile.LNKTYPE, linkname="etc/conf")),
               ("etc/pipe", dict(kind=tarfile.FIFOTYPE, mode=0o600)), ("dir/implied", dict(data=b"x" * 100000)), ("sub", DIR), ("sub/a", dict(data=b"a")),
               ("twice", dict(data=b"first")), ("twice", dict(data=b"second", mtime=5)), ("lib", dict(kind=tarfile.SYMTYPE, linkname="usr")), ("usr", DIR),
               ("lib/through", dict(data=b"a link")),
               ("cap", dict(data=b"x", pax_headers={"SCHILY.xattr.user.note": "hello"})))
UPPER = tar_of(("etc", DIR), ("etc/.wh.old", dict()), ("sub", DIR), ("sub/.wh..wh..opq", dict()), ("sub/b", dict(data=b"b")), ("new", dict(data=b"new")))


@pytest.fixture(scope="module", params=["overlay2", "vfs"])
def engine(request):
    engines.need_hoyd()
    e = engines.Hoyd("--storage-driver", request.param).start()
    e.driver = request.param
    yield e
    reports = e.close()
    assert not reports, "\n".join(reports.values())


def verify(engine, *names):
    answer = engine.api.post("/hoy/images/verify?" + "&".join("name=" + n for n in names), timeout=300)
    assert answer.status == 200, answer.body
    lines = [json.loads(x) for x in answer.body.decode().split("\r\n") if x]
    return lines[:-1], lines[-1]


@pytest.fixture
def image(engine):
    data, image_id = images.archive(LOWER, UPPER, tag="hoytest:care")
    engine.api.delete("/images/hoytest:care", force=1)
    assert engine.api.post("/images/load", data, headers={"Content-Type": "application/x-tar"}).status == 200
    yield image_id
    engine.api.delete("/images/hoytest:care", force=1)


def folder(engine, holds):
    """The layer's directory that has this file."""
    base = f"{engine.folder}/data/" + ("layers" if engine.driver == "overlay2" else "layers-vfs")
    found = [f"{base}/{n}/diff" for n in os.listdir(base) if os.path.lexists(f"{base}/{n}/diff/{holds}")]
    return max(found, key=lambda f: len(os.listdir(f + "/sub")) if not os.path.exists(f + "/new") else -1) if holds == "etc/conf" else found[0]


def test_what_was_loaded_is_whole(engine, image):
    layers, end = verify(engine)
    assert [x["status"] for x in layers] == ["ok"] * len(layers) and len(layers) >= 2, layers
    assert end == {"layers": len(layers), "broken": 0, "unknown": 0}
    assert {i for x in layers for i in x["images"]} == {image}


BREAK = {
    "content": (lambda f: open(f + "/etc/conf", "r+b").write(b"two"), "etc/conf"),
    "shorter": (lambda f: os.truncate(f + "/dir/implied", 5), "dir/implied"),
    "gone": (lambda f: os.unlink(f + "/dir/implied"), "dir/implied"),
    "mode": (lambda f: os.chmod(f + "/etc/run", 0o755), "etc/run"),
    "owner": (lambda f: os.lchown(f + "/etc/link", 3, 3), "etc/link"),
    "time": (lambda f: os.utime(f + "/etc/conf", (1, 1)), "etc/conf"),
    "folder's time": (lambda f: os.utime(f + "/sub", (1, 1)), "sub"),
    "target": (lambda f: (os.unlink(f + "/etc/link"), os.symlink("elsewhere", f + "/etc/link")), "etc/link"),
    "kind": (lambda f: (os.unlink(f + "/etc/pipe"), os.mkdir(f + "/etc/pipe")), "etc/pipe"),
    "not the same file": (lambda f: (os.unlink(f + "/etc/hard"), open(f + "/etc/hard", "wb").write(b"one\n" * 300)), "etc/hard"),
    "attribute": (lambda f: os.setxattr(f + "/etc/conf", "user.more", b"x"), "etc/conf"),
    "attribute gone": (lambda f: os.removexattr(f + "/cap", "user.note"), "cap"),
    "more": (lambda f: open(f + "/etc/more", "w").close(), "etc/more"),
}


@pytest.mark.parametrize("what", BREAK)
def test_the_file_that_is_broken_is_named(engine, image, what):
    harm, path = BREAK[what]
    if what == "more" and engine.driver == "vfs":
        pytest.skip("a whole tree has more than its layer brought")
    try:
        harm(folder(engine, "etc/conf"))
    except OSError as e:
        pytest.skip(str(e))
    layers, end = verify(engine, "hoytest:care")
    assert end["broken"] == 1 and end["layers"] == 2
    bad = [x for x in layers if x["status"] == "broken"]
    assert path in [p["path"] for p in bad[0]["problems"]], bad


def test_marks_that_hide_lower_files_are_looked_at(engine, image):
    if engine.driver != "overlay2":
        pytest.skip("whole trees have no marks")
    upper = folder(engine, "new")
    os.unlink(upper + "/etc/old")
    os.removexattr(upper + "/sub", "trusted.overlay.opaque")
    bad = [x for x in verify(engine)[0] if x["status"] == "broken"]
    assert {p["path"] for p in bad[0]["problems"]} >= {"etc/old", "sub"} and len(bad) == 1


def test_a_recipe_that_is_broken_or_gone_is_told(engine, image):
    recipe = os.path.dirname(folder(engine, "new")) + "/recipe"
    with open(recipe, "r+b") as f:
        f.write(b"junkjunkjunk")
    layers, end = verify(engine)
    assert end["broken"] == 1 and "recipe" in json.dumps(layers)
    os.unlink(recipe)
    layers, end = verify(engine)
    assert end["unknown"] == 1 and end["broken"] == 0


def test_unknown_names_are_refused(engine, image):
    answer = engine.api.post("/hoy/images/verify?name=hoytest:nosuch")
    assert answer.status == 404 and answer.message == "No such image: hoytest:nosuch"


# ---- heal ----
@pytest.fixture
def pulled(request, tmp_path):
    """(engine, cli, registry, ref, the layer's directory): an image that came from a registry."""
    engines.need_hoyd()
    made = []

    def make(*args):
        e = engines.Hoyd(*args).start()
        r = Registry(e)
        made.extend([r, e])
        r.put_image("care/box", "1", gzipped(LOWER), gzipped(UPPER))
        cli = Cli("hoy", e.host, str(tmp_path))
        cli("pull", f"{r.host}/care/box:1")
        e.driver = "overlay2"
        return e, cli, r, f"{r.host}/care/box:1", folder(e, "new")
    yield make
    with contextlib.suppress(subprocess.CalledProcessError):  # a test may have stopped it
        made[0].stop()
    reports = made[1].close()
    assert not reports, "\n".join(reports.values())


def layers_on_disk(engine):
    return {n: os.stat(f"{engine.folder}/data/layers/{n}").st_ino for n in os.listdir(f"{engine.folder}/data/layers")}


@pytest.mark.parametrize("args", [(), ("--keep-blobs",)])
def test_heal_makes_only_the_broken_layer_anew(pulled, args):
    engine, cli, registry, ref, layer = pulled(*args)
    before = layers_on_disk(engine)
    assert "0 healed, 0 still broken" in cli("image", "heal").out and layers_on_disk(engine) == before
    with open(layer + "/new", "w") as f:
        f.write("bad")
    os.unlink(layer + "/sub/b")
    out = cli("image", "verify", ref, rc=1).out
    assert "sub/b: " in out and "1 broken" in out
    if args:
        registry.stop()  # the blob is here
    assert "1 healed, 0 still broken" in cli("image", "heal", ref).out
    after = layers_on_disk(engine)
    assert after.keys() == before.keys() and [n for n in after if after[n] != before[n]] == [os.path.basename(os.path.dirname(layer))]
    assert "0 broken" in cli("image", "verify").out
    engine.restart()
    assert "0 broken" in cli("image", "verify").out and not os.listdir(f"{engine.folder}/data/partial")


def test_heal_says_what_it_cannot_do(pulled):
    engine, cli, registry, ref, layer = pulled()
    os.chmod(layer + "/new", 0o777)
    registry.stop()
    out = cli("image", "heal", rc=1).out
    assert "still broken" in out and "1 still broken" in out
    assert "mode is 0777" in cli("image", "verify", rc=1).out
    data, _ = images.archive(tar_of(("only", dict(data=b"loaded"))), tag="hoytest:loaded")
    engine.api.post("/images/load", data, headers={"Content-Type": "application/x-tar"})
    os.unlink(folder(engine, "only") + "/only")
    assert "came from no registry" in cli("image", "heal", "hoytest:loaded", rc=1).out


def test_a_layer_that_a_container_runs_on_is_left_alone(pulled, busybox_tar):
    engine, cli, registry, ref, layer = pulled()
    registry.put_image("care/busy", "1", gzipped(busybox_tar))
    cli("pull", f"{registry.host}/care/busy:1")
    cli("run", "-d", "--name", "hoyt-busy", f"{registry.host}/care/busy:1", "/bin/sleep", "1000")
    mine = folder(engine, "bin/busybox")
    os.chmod(mine + "/etc/group", 0o600)
    assert "running container uses the layer" in cli("image", "heal", rc=1).out
    assert cli("exec", "hoyt-busy", "/bin/echo", "alive").line == "alive"
    cli("rm", "-f", "hoyt-busy")
    assert "1 healed" in cli("image", "heal").out


def test_killed_while_healing(pulled):
    engine, cli, registry, ref, layer = pulled()
    names = set(layers_on_disk(engine))
    for pause in (0.0, 0.02, 0.05, 0.1, 0.2):
        os.chmod(folder(engine, "new") + "/new", 0o777)
        t = threading.Thread(target=lambda: cli("image", "heal", rc=None))
        t.start()
        time.sleep(pause)
        engine.restart()
        t.join()
        assert set(layers_on_disk(engine)) == names
    cli("image", "heal")
    assert "0 broken" in cli("image", "verify").out


# ---- gc ----
def load_small(engine, *tags):
    for tag in tags:
        data, _ = images.archive(tar_of((tag, dict(data=os.urandom(300000)))), tag=f"hoytest:{tag}")
        assert engine.api.post("/images/load", data, headers={"Content-Type": "application/x-tar"}).status == 200
        time.sleep(0.01)


@pytest.fixture
def gc(request, tmp_path):
    engines.need_hoyd()
    made = []

    def make(*args):
        e = engines.Hoyd(*args).start()
        made.append(e)
        return e, Cli("hoy", e.host, str(tmp_path))
    yield make
    reports = made[0].close()
    assert not reports, "\n".join(reports.values())


def tags(engine):
    return sorted(t.split(":")[1] for i in engine.api.get("/images/json").json for t in i["RepoTags"])


def test_without_an_option_nothing_goes(gc):
    engine, cli = gc()
    load_small(engine, "a", "b")
    assert "0 images removed" in cli("image", "gc").out and tags(engine) == ["a", "b"]


def test_the_last_used_stay_and_a_dry_run_says_so(gc):
    engine, cli = gc("--gc-keep-last", "2")
    load_small(engine, "a", "b", "c", "d", "e")
    box = engine.api.post("/containers/create", {"Image": "hoytest:b", "Cmd": ["x"]}, name="hoyt-b").json["Id"]
    gone = engine.api.post("/containers/create", {"Image": "hoytest:a", "Cmd": ["x"]}, name="hoyt-a").json["Id"]
    engine.api.delete(f"/containers/{gone}")  # used, last of all
    dry = cli("image", "gc", "--dry-run").out
    assert "2 images would be removed" in dry and tags(engine) == ["a", "b", "c", "d", "e"]
    assert sorted(w.split()[3] for w in dry.splitlines() if w.startswith("would")) == ["hoytest:c", "hoytest:d"]
    out = cli("image", "gc").out
    assert "hoytest:b" in out and "a container uses it" in out and "2 images removed, 600kB" in out
    assert tags(engine) == ["a", "b", "e"]
    engine.restart()
    assert "0 images removed" in cli("image", "gc").out and tags(engine) == ["a", "b", "e"]
    engine.api.delete(f"/containers/{box}")


def test_keep_days_and_bad_options(gc):
    engine, cli = gc("--gc-keep-days", "1")
    load_small(engine, "a", "b")
    assert "used not long ago" in cli("image", "gc").out and tags(engine) == ["a", "b"]
    for args in (("--gc-keep-days", "x"), ("--gc-keep-last", "-1"), ("--gc-min-free", "much")):
        bad = subprocess.run([engines.program("hoyd"), *args, "--validate"], capture_output=True, text=True)
        assert bad.returncode != 0 and f'invalid argument "{args[1]}" for "{args[0]}" flag' in bad.stderr, bad


def test_a_disk_that_gets_full_is_made_room_on(gc):
    engines.need_hoyd()

    class Tight(engines.Hoyd):
        def start(self):
            data = f"{self.folder}/data"
            if not os.path.exists(data):
                os.mkdir(data)
                self.machine.run("mount", "-t", "tmpfs", "-o", "size=24m", "tight", data)
            return super().start()
    engine = Tight("--gc-min-free", "16m", "--gc-keep-last", "1").start()
    try:
        load_small(engine, *"abcdefghijklmnopqrstuvwxyz")  # 26 times 300 kB, into 24 MB with 16 MB to stay free
        end = time.monotonic() + 10
        while len(tags(engine)) == 26 and time.monotonic() < end:
            time.sleep(0.05)
        left = tags(engine)
        assert "z" in left and "a" not in left and left == sorted("abcdefghijklmnopqrstuvwxyz")[-len(left):], left
    finally:
        reports = engine.close()
    assert not reports
    gc()
