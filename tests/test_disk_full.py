"""A data root without room: clean errors, everything from before intact, the engine answers and can make room."""
import os
import time

import pytest

from harness import census, engine as engines, images
from harness.cli import until
from harness.images import BUSYBOX
from harness.registry import Registry, random_layer


class TightHoyd(engines.Hoyd):
    """Its data root is a file system of 24 MB. (tmpfs: loop devices are not everywhere where the journeys run.)"""

    def start(self):
        data = f"{self.folder}/data"
        if not os.path.exists(data):
            os.mkdir(data)
            self.machine.run("mount", "-t", "tmpfs", "-o", "size=24m", "tight", data)
        return super().start()


@pytest.fixture
def tight(request, busybox_tar):
    engines.need_hoyd()
    engine = TightHoyd()
    request.node.engine = engine
    engine.start()
    images.import_tar(engine, busybox_tar, BUSYBOX, 'CMD ["sh"]', "ENV PATH=/bin")
    yield engine
    reports = engine.close()
    assert not reports, "\n".join(reports.values())


def fill(engine):
    engine.machine.run("sh", "-c", f"dd if=/dev/zero of={engine.folder}/data/ballast bs=64k; dd if=/dev/zero of={engine.folder}/data/ballast2 bs=1k; "
                       f"printf x >>{engine.folder}/data/ballast3; sync", check=False)
    free = os.statvfs(f"/proc/{engine.machine.pid}/root{engine.folder}/data")
    assert free.f_bavail == 0


def make_room(engine):
    engine.machine.run("sh", "-c", f"rm -f {engine.folder}/data/ballast*")


def test_a_full_disk_spoils_nothing(tight):
    api = tight.api
    box = api.post("/containers/create", {"Image": BUSYBOX, "Cmd": ["sh", "-c", "echo before; sleep 1000"]}, name="hoyt-before").json["Id"]
    assert api.post(f"/containers/{box}/start").status == 204
    loud = api.post("/containers/create", {"Image": BUSYBOX, "Cmd": ["sh", "-c", "sleep 2; while :; do echo a line for a full disk; done"]}).json["Id"]
    assert api.post(f"/containers/{loud}/start").status == 204
    spare = api.post("/containers/create", {"Image": BUSYBOX, "Cmd": ["true"]}).json["Id"]
    listed = api.get("/images/json").json
    fill(tight)

    # what needs room says so and leaves nothing
    for what, answer in (("create", lambda: api.post("/containers/create", {"Image": BUSYBOX, "Cmd": ["true"]})),
                         ("volume", lambda: api.post("/volumes/create", {"Name": "hoytv"})),
                         ("import", lambda: api.post("/images/create", images.tar_of(("f", {"data": os.urandom(1 << 20)})), fromSrc="-", repo="hoytest", tag="big"))):
        answer = answer()
        text = answer.body.decode()
        assert answer.status == 500 or what == "import" and "errorDetail" in text, (what, answer.status, text)
        assert "no space left" in text, (what, text)
    assert not [i for i in api.get("/images/json").json if i["RepoTags"] == ["hoytest:big"]]
    answer = api.post(f"/containers/{spare}/start")
    assert answer.status in (204, 500, 503), answer.body

    # what was there is there; reading and stopping work
    assert api.get("/_ping", version="").status == 200
    assert api.get("/images/json").json == listed
    assert api.inspect(box)["State"]["Running"]
    assert b"before" in api.get(f"/containers/{box}/logs", stdout=1).body
    exec_id = api.post(f"/containers/{box}/exec", {"Cmd": ["echo", "well"], "AttachStdout": True}).json["Id"]
    assert b"well" in api.post(f"/exec/{exec_id}/start", {}).body
    time.sleep(1.5)  # the loud one meets the full disk
    assert api.inspect(loud)["State"]["Running"], "a log that cannot be written ends nobody"
    assert api.post(f"/containers/{loud}/kill").status == 204

    # a hoyd that starts on a full disk finds all of it
    tight.restart()
    assert api.inspect(box)["State"]["Running"] and api.get("/images/json").json == listed

    # deleting works, and makes room
    assert api.delete(f"/containers/{loud}", force=1).status == 204
    assert api.delete(f"/containers/{spare}", force=1).status == 204
    make_room(tight)
    made = api.post("/containers/create", {"Image": BUSYBOX, "Cmd": ["echo", "room"]})
    assert made.status == 201, made.body
    assert api.post(f"/containers/{made.json['Id']}/start").status == 204
    assert api.post(f"/containers/{made.json['Id']}/wait").json["StatusCode"] == 0
    assert b"room" in api.get(f"/containers/{made.json['Id']}/logs", stdout=1).body
    for c in (box, made.json["Id"]):
        assert api.delete(f"/containers/{c}", force=1).status == 204
    left = [f for f in census.outside(tight)["files"] if f.startswith((f"{tight.folder}/data/docker/containers/", f"{tight.folder}/data/tmp/"))]
    assert not left, left


def test_an_image_too_large_for_the_disk_leaves_nothing(tight):
    api = tight.api
    before = api.get("/images/json").json
    used = tight.machine.run("du", "-s", f"{tight.folder}/data").stdout.split()[0]
    answer = api.post("/images/create", images.tar_of(("f", {"data": os.urandom(40 << 20)})), fromSrc="-", repo="hoytest", tag="big")
    assert b"no space left" in answer.body, answer.body
    assert api.get("/images/json").json == before
    assert int(tight.machine.run("du", "-s", f"{tight.folder}/data").stdout.split()[0]) < int(used) + 1024
    made = api.post("/containers/create", {"Image": BUSYBOX, "Cmd": ["true"]})
    assert made.status == 201
    assert api.post(f"/containers/{made.json['Id']}/start").status == 204
    assert api.delete(f"/containers/{made.json['Id']}", force=1).status == 204


def test_a_pull_that_does_not_fit(tight, name):
    """It says so, gives the room back, and what was there is as before; a smaller image fits then."""
    api = tight.api
    registry = Registry(tight)
    big = registry.put_image(name, "big", random_layer("small", 100_000), random_layer("big", 14 << 20), random_layer("last", 14 << 20))
    registry.put_image(name, "small", random_layer("f", 500_000))
    before = api.get("/images/json").json
    free = os.statvfs(f"/proc/{tight.machine.pid}/root{tight.folder}/data").f_bavail
    lines = api.post("/images/create", fromImage=f"{registry.host}/{name}:big", timeout=120).body
    assert b"no space left on device" in lines, lines
    assert any(layer["digest"].encode() in lines for layer in big["layers"]) or b"failed to register layer" in lines, lines
    assert api.get("/images/json").json == before and api.get("/_ping", version="").status == 200
    until(lambda: os.statvfs(f"/proc/{tight.machine.pid}/root{tight.folder}/data").f_bavail > free - 300, timeout=20, what="room")  # a settled layer is kept
    lines = api.post("/images/create", fromImage=f"{registry.host}/{name}:small").body
    assert b"Downloaded newer image" in lines, lines
    assert api.delete(f"/images/{registry.host}/{name}:small", force=1).status == 200
    assert api.delete(f"/images/{BUSYBOX}", force=1).status == 200
    registry.stop()
