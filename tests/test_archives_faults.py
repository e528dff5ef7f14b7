"""save, load and commit when the disk is full or hoyd is killed: what was there stays whole, what was not finished is not there."""
import hashlib
import io
import json
import os
import random
import tarfile
import threading
import time

import pytest

from harness import engine as engines
from harness import images
from harness.cli import Cli
from harness.images import BUSYBOX, tar_of


def load(api, data):
    return api.post("/images/load", data, headers={"Content-Type": "application/x-tar"}, quiet=1, timeout=120)


def noise(n, seed):
    return random.Random(seed).randbytes(n)


def layers_of(folder):
    """Directories of layers that are not the engine's own."""
    return {x for x in os.listdir(os.path.join(folder, "data/layers")) if x != "init"}


def verify(api, ref):
    """Every byte of every layer, by way of save."""
    answer = api.get("/images/get", names=ref, timeout=120)
    assert answer.status == 200
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as tar:
        blobs = {m.name[13:]: tar.extractfile(m).read() for m in tar if m.isfile() and m.name.startswith("blobs/sha256/")}
    assert blobs and all(hashlib.sha256(data).hexdigest() == name for name, data in blobs.items())


@pytest.fixture
def small_disk(busybox_tar):
    engines.need_hoyd()
    engine = engines.Hoyd()
    os.mkdir(f"{engine.folder}/data")
    engine.machine.run("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", f"{engine.folder}/data")
    try:
        engine.start()
        images.import_tar(engine, busybox_tar, BUSYBOX, 'CMD ["sh"]', "ENV PATH=/bin")
        yield engine
    finally:
        engine.close()


def test_a_full_disk_is_a_clean_error(small_disk, tmp_path):
    api, cli = small_disk.api, Cli("docker", small_disk.host, str(tmp_path))
    big, _ = images.archive(tar_of(("big", dict(data=noise(30 << 20, 1)))), tag="hoytest:big")
    two, _ = images.archive(tar_of(("a", dict(data=noise(2 << 20, 2)))), tar_of(("b", dict(data=noise(12 << 20, 3)))), tag="hoytest:two")
    for data in (big, two, big):
        answer = load(api, data)
        assert b"no space left on device" in answer.body.lower(), answer.body[-300:]
    assert api.get("/images/hoytest:big/json").status == 404 and api.get("/images/hoytest:two/json").status == 404
    assert cli("run", "--rm", BUSYBOX, "echo", "still here").line == "still here"
    verify(api, BUSYBOX)
    # commit of more than there is room for
    cli("run", "--name", "cc", BUSYBOX, "sh", "-c", "dd if=/dev/urandom of=/x bs=1M count=12 2>/dev/null")
    assert "no space left on device" in cli("commit", "cc", "hoytest:c", rc=1).err.lower()
    cli("rm", "cc")
    small, _ = images.archive(tar_of(("s", dict(data=noise(1 << 20, 4)))), tag="hoytest:small")
    assert b"error" not in load(api, small).body
    verify(api, "hoytest:small")


def test_kills_while_images_come_and_go(own_engine, busybox_tar, tmp_path):
    api, cli = own_engine.api, Cli("docker", own_engine.host, str(tmp_path))
    seed = int(time.time())
    print("seed", seed)
    moments = random.Random(seed)
    archives = [images.archive(busybox_tar, tar_of((f"f{i}", dict(data=noise(3 << 20, i)))), tar_of(("g", dict(data=noise(1 << 20, 100 + i)))),
                               tag=f"hoytest:kill{i}")[0] for i in range(4)]
    cli("run", "-d", "--name", "cc", BUSYBOX, "sh", "-c", "dd if=/dev/urandom of=/x bs=1M count=4 2>/dev/null; touch /ready; sleep 1000")

    def quietly(work):
        def run():
            try:
                work()
            except Exception:  # noqa: BLE001  the engine dies under it: that is the test
                pass
        return threading.Thread(target=run)
    for round_ in range(6):
        threads = [quietly(lambda d=d: load(api, d)) for d in archives]
        threads.append(quietly(lambda r=round_: api.post("/commit", container="cc", repo="hoytest", tag=f"commit{r}", timeout=60)))
        threads.append(quietly(lambda: api.delete("/images/hoytest:kill0", force=1)))
        for t in threads:
            t.start()
        time.sleep(moments.random() * 0.5)
        own_engine.kill()
        for t in threads:
            t.join()
        own_engine.start()
        tags = [t for i in api.get("/images/json").json for t in i["RepoTags"] or [i["Id"]]]
        for tag in tags:
            verify(api, tag)
    for data in archives:
        assert b"error" not in load(api, data).body
    cli("rm", "-f", "cc")
    for image in api.get("/images/json", all=1).json:
        if BUSYBOX not in (image["RepoTags"] or []):
            api.delete(f"/images/{image['Id']}", force=1)
    base = json.loads(json.dumps(api.get(f"/images/{BUSYBOX}/json").json))
    assert len(layers_of(own_engine.folder)) == len(base["RootFS"]["Layers"]), "layers that nobody owns"
