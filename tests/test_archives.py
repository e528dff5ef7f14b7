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


# ---- containers ----
CHANGE = ("mkdir /new; echo hi > /new/f; ln /new/f /new/g; rm /etc/group; rm -r /home; mkdir /home; echo x > /home/y; mkfifo /new/p; "
          "ln -s f /new/s; chown 5:6 /new/f; chmod 4711 /new/f; mknod /new/null c 1 3; echo more >> /etc/passwd; mkdir -p /new/" + "long/" * 40)


@pytest.fixture
def changed(cli, name):
    cli("run", "-d", "--name", name, "--label", "a=b", "-e", "X=1", "-v", "/data", "--entrypoint", "/bin/sh", BUSYBOX, "-c",
        CHANGE + "; touch /ready; sleep 1000")
    for _ in range(100):
        if cli("exec", name, "test", "-e", "/ready", rc=None).rc == 0:
            break
    yield name
    cli("rm", "-f", "-v", name)


def listing(path):
    with tarfile.open(path) as tar:
        return {m.name: m for m in tar}


@pytest.mark.parametrize("state", ["running", "paused", "stopped"])
def test_export_has_all_files_whatever_the_state(cli, changed, tmp_path, state):
    cli("exec", changed, "sh", "-c", "echo v > /data/v")
    if state != "running":
        cli({"paused": "pause", "stopped": "kill"}[state], changed)
    cli("export", "-o", str(tmp_path / "all.tar"), changed)
    files = listing(tmp_path / "all.tar")
    assert {"bin/busybox", "etc/passwd", "home/y", "new/f", "new/p", "data", ".dockerenv", "etc/hosts", "new/" + "/".join(["long"] * 40)} <= set(files)
    assert not {"etc/group", "home/app", "data/v", "proc/1"} & set(files)
    f, g = files["new/f"], files["new/g"]
    assert (f.mode, f.uid, f.gid, f.size) == (0o4711, 5, 6, 3) and g.islnk() and g.linkname == "new/f"
    assert files["new/p"].isfifo() and files["new/s"].linkname == "f" and (files["new/null"].devmajor, files["new/null"].devminor) == (1, 3)
    if state == "stopped":
        cli("start", changed)


def test_an_exported_container_imports(cli, changed, tmp_path, api):
    cli("export", "-o", str(tmp_path / "all.tar"), changed)
    cli("import", str(tmp_path / "all.tar"), f"hoytest:{changed}-flat")
    assert cli("run", "--rm", f"hoytest:{changed}-flat", "/bin/cat", "/new/g").out == "hi\n"
    cli("rmi", f"hoytest:{changed}-flat")


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_commit_keeps_what_changed_and_hides_what_went(cli, api, changed, tmp_path, state):
    tag = f"hoytest:{changed}-c"
    if state == "stopped":
        cli("kill", changed)
    out = cli("commit", "-m", "hello", "-a", "me", "-c", "ENV Y=2", "-c", "CMD [\"-c\", \"echo committed\"]", changed, tag).line
    info = api.get(f"/images/{tag}/json").json
    base = api.get(f"/images/{BUSYBOX}/json").json
    try:
        assert out == info["Id"] and info["Parent"] == base["Id"] and info["Author"] == "me" and info["Comment"] == "hello"
        assert info["RootFS"]["Layers"][:-1] == base["RootFS"]["Layers"]
        assert set(info["Config"]["Env"]) == {"X=1", "Y=2", "PATH=/bin"} and info["Config"]["Labels"] == {"a": "b"}
        assert info["Config"]["Volumes"] == {"/data": {}} and info["Config"]["Entrypoint"] == ["/bin/sh"]
        assert cli("run", "--rm", tag).line == "committed"
        assert cli("run", "--rm", tag, "-c", "cat /new/g /home/y; ls /home; ls /etc/group; stat -c %a:%u /new/f; tail -1 /etc/passwd; true").out.split() == \
            ["hi", "x", "y", "4711:5", "more"]
        history = api.get(f"/images/{tag}/history").json
        assert history[0]["Comment"] == "hello" and history[0]["CreatedBy"].startswith("-c mkdir /new") and len(history) == 2
        if state == "running":
            assert not api.inspect(changed)["State"]["Paused"]
        cli("save", "-o", str(tmp_path / "c.tar"), tag)
        layer = json.loads(members(tmp_path / "c.tar")["manifest.json"])[0]["Layers"][-1]
        names = set(tarfile.open(fileobj=io.BytesIO(members(tmp_path / "c.tar")[layer])).getnames())
        assert {"etc/.wh.group", "home/.wh..wh..opq", "home/y", "new/f"} <= names and not {"bin", "etc/hosts", ".dockerenv"} & names
    finally:
        cli("rmi", "-f", tag)


def test_commit_of_nothing_adds_no_layer(cli, api, name):
    cli("create", "--name", name, BUSYBOX)
    image = cli("commit", "--change", "LABEL only=this", name).line
    try:
        info = api.get(f"/images/{image}/json").json
        assert info["RootFS"]["Layers"] == api.get(f"/images/{BUSYBOX}/json").json["RootFS"]["Layers"]
        assert info["Config"]["Labels"] == {"only": "this"} and info["RepoTags"] == []
    finally:
        cli("rm", name)
        cli("rmi", image)


def test_the_last_name_of_an_image_goes_though_it_has_children(cli, api, name):
    parent, child = f"hoytest:{name}-parent", f"hoytest:{name}-child"
    data, _ = images.archive(tar_of(("f", dict(data=name.encode()))), tag=parent)
    assert load(api, data).status == 200
    cli("create", "--name", name, parent, "x")
    cli("commit", name, child)
    cli("rm", name)
    try:
        assert f"Untagged: {parent}" in cli("rmi", parent).out
        assert api.get(f"/images/{parent}/json").status == 404
    finally:
        cli("rmi", child)


def test_commit_refuses_in_dockers_words(api, cli, name):
    cli("create", "--name", name, BUSYBOX)

    def asked(**query):
        answer = api.post("/commit", version="v1.51", **query)
        return answer.status, answer.json["message"]
    assert asked(container=name + "x") == (404, f"No such container: {name}x")
    assert asked(container=name, repo="A b")[0] == 400 and asked(container=name, repo="x", tag="a b") == (400, "invalid tag format")
    assert asked(container=name, changes="FROM x") == (400, "FROM is not a valid change command")
    assert asked(container="") == (400, 'invalid name or ID supplied: ""')
    cli("rm", name)
