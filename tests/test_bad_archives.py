"""Archives that lie: each is refused with a sentence, leaves no image and touches nothing outside."""
import gzip
import os
import tarfile

import pytest

from harness import images
from harness.images import BUSYBOX, tar_of


def images_now(api):
    return sorted(r["Id"] for r in api.get("/images/json", all=1).json)


def load(api, data):
    return api.post("/images/load", data, headers={"Content-Type": "application/x-tar"}, quiet=1, timeout=300)


def is_refused(answer):
    """Docker answers 4xx/5xx, or 200 with an error in the stream once that has begun."""
    return answer.status >= 400 or b'"error"' in answer.body


@pytest.fixture
def nothing_changes(api, engine):
    """The images, and a file outside that bad archives aim at, are the same before and after."""
    before = images_now(api)
    yield
    assert images_now(api) == before
    assert not os.path.exists(f"/proc/{engine.machine.pid}/root/tmp/hoyt-escaped"), "a file escaped"


ESCAPES = {
    "dotdot": [("../../../../../../../../tmp/hoyt-escaped", dict(data=b"x"))],
    "link_target_dotdot": [("l", dict(kind=tarfile.LNKTYPE, linkname="../../../../../../../../etc/passwd"))],
    "hard_link_to_nothing": [("l", dict(kind=tarfile.LNKTYPE, linkname="not/there"))],
}


@pytest.mark.parametrize("kind", ESCAPES)
def test_layers_that_reach_outside_are_refused(api, name, kind, nothing_changes):
    data, _ = images.archive(tar_of(*ESCAPES[kind]), tag=f"hoytest:{name}")
    assert is_refused(load(api, data))


def test_a_link_out_of_the_root_is_only_a_link_inside_it(api, docker, engine, name, busybox_tar):
    """An absolute symbolic link is allowed; what is written through it stays in the container's root."""
    layer = tar_of(("out", dict(kind=tarfile.SYMTYPE, linkname="/tmp")), ("out2", dict(kind=tarfile.SYMTYPE, linkname="../../../../../../tmp")))
    through = tar_of(("out/hoyt-escaped", dict(data=b"x")), ("out2/hoyt-escaped2", dict(data=b"x")))
    data, _ = images.archive(busybox_tar, layer, through, tag=f"hoytest:{name}")
    load(api, data)
    for host_file in ("hoyt-escaped", "hoyt-escaped2"):
        assert not os.path.exists(f"/proc/{engine.machine.pid}/root/tmp/{host_file}")
    api.delete(f"/images/hoytest:{name}", force=1)


def test_whiteouts_do_not_reach_outside(api, engine, name, busybox_tar, nothing_changes):
    victim = f"{engine.folder}/victim"
    with open(victim, "w") as f:
        f.write("alive")
    up = "../" * 12
    data, _ = images.archive(busybox_tar, tar_of((f"{up}{engine.folder[1:]}/.wh.victim", {})), tag=f"hoytest:{name}")
    load(api, data)
    assert open(victim).read() == "alive"
    api.delete(f"/images/hoytest:{name}", force=1)


def test_a_wrong_layer_digest_is_refused(api, name, busybox_tar, nothing_changes):
    data, _ = images.archive(busybox_tar, tag=f"hoytest:{name}", digests=["sha256:" + "0" * 64])
    assert is_refused(load(api, data))


def test_a_corrupt_blob_in_a_layout_is_refused(api, name, nothing_changes):
    assert is_refused(load(api, images.oci_layout(tar_of(("file", dict(data=os.urandom(5000)))), f"hoytest:{name}", corrupt=True)))


def test_truncated_archives_are_refused(api, name, busybox_tar, nothing_changes):
    data, _ = images.archive(busybox_tar, tag=f"hoytest:{name}")
    for cut in (len(data) // 2, 700):
        assert is_refused(load(api, data[:cut])), cut


def test_a_truncated_compressed_layer_is_refused(api, name, busybox_tar, nothing_changes):
    import hashlib
    layer = tar_of(("file", dict(data=os.urandom(300000))))
    packed = gzip.compress(layer, 1)
    data, _ = images.archive(packed[:len(packed) // 2], tag=f"hoytest:{name}", digests=["sha256:" + hashlib.sha256(layer).hexdigest()])
    assert is_refused(load(api, data))


@pytest.mark.parametrize("data", [b"", b"not a tar at all", b"\0" * 10240, b"{}"], ids=["empty", "text", "zeros", "json"])
def test_what_is_no_archive_is_refused_or_loads_nothing(api, data, nothing_changes):
    load(api, data)


@pytest.mark.parametrize("manifest", [b"", b"{", b"[]", b"null", b"[{}]", b'[{"Config":"../../etc/passwd","Layers":[]}]', b'[{"Config":"c.json","Layers":["../../../etc/passwd"]}]'])
def test_bad_manifests_load_nothing(api, manifest, nothing_changes):
    load(api, tar_of(("manifest.json", dict(data=manifest)), ("c.json", dict(data=b'{"rootfs":{"type":"layers","diff_ids":["sha256:' + b"0" * 64 + b'"]}}'))))


def test_an_import_cut_short_leaves_nothing(api, name, busybox_tar, nothing_changes):
    answer = api.post("/images/create", busybox_tar[:len(busybox_tar) // 2], fromSrc="-", repo="hoytest", tag=name)
    assert is_refused(answer)


def test_the_engine_is_well_after_all_of_this(docker):
    assert docker("run", "--rm", BUSYBOX, "echo", "well").line == "well"
