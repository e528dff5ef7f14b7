"""Images on their way out and back: save, load; with other tools that read and write the same formats."""
import hashlib
import io
import json
import shutil
import subprocess
import tarfile

import pytest

from harness import images
from harness.images import BUSYBOX, tar_of


def load(api, data, **query):
    return api.post("/images/load", data, headers={"Content-Type": "application/x-tar"}, quiet=1, timeout=120, version="v1.51", **query)


@pytest.fixture
def two_layers(api, name, busybox_tar):
    """An image whose upper layer has everything that a recipe must get right; its tag, and its layers."""
    tag = f"hoytest:{name}-saved"
    upper = tar_of(
        ("d/", dict(kind=tarfile.DIRTYPE, mode=0o755, uid=7)),
        ("d/twice", dict(data=b"first" * 1000)), ("d/twice", dict(data=b"second")),
        ("d/.wh.gone", {}), ("d/link", dict(kind=tarfile.SYMTYPE, linkname="twice")), ("d/hard", dict(kind=tarfile.LNKTYPE, linkname="d/twice")),
        ("d/" + "long" * 60, dict(data=b"x", pax_headers={"SCHILY.xattr.user.a": "b", "comment": "kept"})), ("empty", {})) + b"\0" * 4096
    data, image_id = images.archive(busybox_tar, upper, tag=tag)
    assert load(api, data).status == 200
    yield tag, image_id, [busybox_tar, upper]
    api.delete(f"/images/{tag}", force=1)


def members(path):
    with tarfile.open(path) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}


def test_save_gives_back_every_byte_of_the_layers(cli, two_layers, tmp_path):
    tag, image_id, layers = two_layers
    cli("save", "-o", str(tmp_path / "out.tar"), tag)
    files = members(tmp_path / "out.tar")
    manifest, = json.loads(files["manifest.json"])
    assert manifest["RepoTags"] == [tag] and manifest["Config"] == "blobs/sha256/" + image_id[7:]
    assert [files[path] for path in manifest["Layers"]] == layers
    for name, data in files.items():
        if name.startswith("blobs/sha256/"):
            assert hashlib.sha256(data).hexdigest() == name[13:]
    index = json.loads(files["index.json"])["manifests"][0]
    oci = json.loads(files["blobs/sha256/" + index["digest"][7:]])
    assert [layer["digest"] for layer in oci["layers"]] == ["sha256:" + hashlib.sha256(data).hexdigest() for data in layers]
    assert index["annotations"]["io.containerd.image.name"] == "docker.io/library/" + tag
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"} and tag.split(":")[1] in json.loads(files["repositories"])["hoytest"]


def test_what_was_saved_loads_again(cli, api, two_layers, tmp_path):
    tag, image_id, _ = two_layers
    cli("save", "-o", str(tmp_path / "out.tar"), tag)
    cli("rmi", tag)
    assert f"Loaded image: {tag}" in cli("load", "-i", str(tmp_path / "out.tar")).out
    assert cli("run", "--rm", tag, "cat", "/d/link").out == "second"
    assert api.get(f"/images/{tag}/json").json["Id"] == image_id


def test_several_images_share_their_layers_in_one_stream(cli, api, two_layers, tmp_path):
    tag, image_id, _ = two_layers
    cli("tag", tag, tag + "2")
    try:
        cli("save", "-o", str(tmp_path / "out.tar"), tag, BUSYBOX, tag + "2", image_id)
        with tarfile.open(tmp_path / "out.tar") as tar:
            names = [m.name for m in tar]
        assert len(names) == len(set(names))
        saved = {tuple(m["RepoTags"]) for m in json.loads(members(tmp_path / "out.tar")["manifest.json"])}
        assert saved == {(tag, tag + "2"), (BUSYBOX,)}
    finally:
        cli("rmi", tag + "2")


def test_save_by_id_has_no_names(cli, two_layers, tmp_path):
    _, image_id, _ = two_layers
    cli("save", "-o", str(tmp_path / "out.tar"), image_id)
    assert json.loads(members(tmp_path / "out.tar")["manifest.json"])[0]["RepoTags"] is None


def test_what_cannot_be_saved_is_said_in_dockers_words(api, name):
    def asked(path, **query):
        answer = api.get(path, version="v1.51", **query)
        return answer.status, answer.json["message"]
    assert asked(f"/images/{name}x/get") == (404, f"No such image: {name}x")
    assert asked(f"/images/{name}x:1/get") == (404, "reference does not exist")
    assert asked("/images/get", names="a b") == (500, "invalid reference format")
    assert asked(f"/images/{BUSYBOX}/get", platform='{"os":"linux","architecture":"mips"}') == \
        (500, "no suitable export target found for platform linux/mips")
    assert asked(f"/images/{BUSYBOX}/get", platform="x") == (400, "failed to parse platform: invalid character 'x' looking for beginning of value")
    assert asked(f"/images/{BUSYBOX}/get", platform='{"os":"linux"}') == (400, "both OS and Architecture must be provided")


def test_load_passes_over_other_platforms(api, name, busybox_tar):
    tag = f"hoytest:{name}-arm"
    data, _ = images.archive(busybox_tar, tag=tag, architecture="arm64")
    assert load(api, data, platform='{"os":"linux","architecture":"amd64"}').status == 200
    assert api.get(f"/images/{tag}/json").status == 404
    assert load(api, data, platform='{"os":"linux","architecture":"arm64"}').status == 200
    assert api.get(f"/images/{tag}/json").json["Architecture"] == "arm64"
    api.delete(f"/images/{tag}")


@pytest.mark.skipif(not shutil.which("skopeo"), reason="no skopeo")
@pytest.mark.parametrize("source", ["docker-archive", "oci-archive"])
def test_skopeo_reads_it_and_writes_it(cli, api, two_layers, tmp_path, source):
    tag, image_id, _ = two_layers
    cli("save", "-o", str(tmp_path / "out.tar"), tag)
    for target in (f"docker-archive:{tmp_path}/a.tar:{tag}-a", f"oci-archive:{tmp_path}/b.tar:docker.io/library/{tag}-b"):
        subprocess.run(["skopeo", "copy", "-q", f"{source}:{tmp_path}/out.tar", target], check=True, timeout=60)
    for letter in "ab":
        cli("load", "-i", str(tmp_path / f"{letter}.tar"))
        info = api.get(f"/images/{tag}-{letter}/json").json
        assert len(info["RootFS"]["Layers"]) == 2
        assert letter == "b" or info["Id"] == image_id
        assert cli("run", "--rm", f"{tag}-{letter}", "cat", "/d/hard").out == "second"
        cli("rmi", f"{tag}-{letter}")
