"""Images: imported, loaded, tagged, inspected, removed by Docker's rules."""
import json
import re
import tarfile

import pytest

from harness import engine as engines
from harness import images
from harness.images import BUSYBOX, tar_of


def load(api, data):
    return api.post("/images/load", data, headers={"Content-Type": "application/x-tar"}, quiet=1, timeout=120)


@pytest.fixture
def remove_later(api):
    refs = []
    yield refs.append
    for ref in refs:
        api.delete(f"/images/{ref}", force=1)


def small_layer(**files):
    return tar_of(*[(name.replace("__", "/"), dict(data=data)) for name, data in files.items()])


def test_import_makes_an_image_that_runs(cli, name, busybox_tar, tmp_path, remove_later):
    (tmp_path / "root.tar").write_bytes(busybox_tar)
    remove_later("hoytest:" + name)
    out = cli("import", "--change", 'CMD ["echo", "from cmd"]', "--change", "ENV PATH=/bin A=1", "--change", "WORKDIR /tmp", str(tmp_path / "root.tar"),
              "hoytest:" + name).line
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", out)
    assert cli("run", "--rm", "hoytest:" + name).line == "from cmd"
    assert cli("run", "--rm", "hoytest:" + name, "sh", "-c", "echo $A $PWD").line == "1 /tmp"


@pytest.mark.parametrize("compression", ["gz", "xz", "bz2"])
def test_import_takes_compressed_archives(cli, name, busybox_tar, tmp_path, compression, remove_later):
    import bz2
    import gzip
    import lzma
    packed = {"gz": gzip.compress, "xz": lambda d: lzma.compress(d, preset=0), "bz2": bz2.compress}[compression](busybox_tar)
    (tmp_path / "root").write_bytes(packed)
    remove_later("hoytest:" + name)
    cli("import", str(tmp_path / "root"), "hoytest:" + name)
    assert cli("run", "--rm", "-e", "PATH=/bin", "hoytest:" + name, "echo", "ok").line == "ok"


def test_a_saved_archive_loads_with_all_its_layers(cli, api, name, busybox_tar, tmp_path, remove_later):
    tag = "hoytest:" + name
    upper = small_layer(added=b"new\n", etc__passwd=b"root:x:0:0::/:/bin/sh\n")
    data, image_id = images.archive(busybox_tar, upper, tag=tag)
    (tmp_path / "image.tar").write_bytes(data)
    remove_later(tag)
    assert f"Loaded image: {tag}" in cli("load", "-i", str(tmp_path / "image.tar")).out
    assert cli("run", "--rm", tag, "cat", "/added", "/etc/passwd").out == "new\nroot:x:0:0::/:/bin/sh\n"
    info = api.get(f"/images/{tag}/json").json
    assert len(info["RootFS"]["Layers"]) == 2 and info["Architecture"] == "amd64" and tag in info["RepoTags"]


@pytest.mark.parametrize("with_manifest", [True, False], ids=["as_docker_saves", "pure"])
def test_an_oci_layout_loads(cli, name, busybox_tar, tmp_path, remove_later, with_manifest):
    if engines.peer_mode() and not with_manifest:
        pytest.skip("a dockerd with graph drivers loads layouts only with a manifest.json beside them")
    tag = "hoytest:" + name
    (tmp_path / "image.tar").write_bytes(images.oci_layout(busybox_tar, tag, with_manifest=with_manifest))
    remove_later(tag)
    out = cli("load", "-i", str(tmp_path / "image.tar")).out
    assert "Loaded image" in out
    ref = out.split(": ", 1)[1].strip()
    remove_later(ref)
    assert cli("run", "--rm", ref, "echo", "oci").line == "oci"


def test_whiteouts_hide_what_is_below(cli, api, name, busybox_tar, remove_later):
    tag = "hoytest:" + name
    lower = small_layer(a__one=b"1", a__two=b"2", b__one=b"1", c=b"c")
    upper = tar_of(("a/.wh.one", {}), ("b", dict(kind=tarfile.DIRTYPE, mode=0o755)), ("b/.wh..wh..opq", {}), ("b/new", dict(data=b"n")), (".wh.c", {}))
    data, _ = images.archive(busybox_tar, lower, upper, tag=tag)
    remove_later(tag)
    assert load(api, data).status == 200
    assert cli("run", "--rm", tag, "sh", "-c", "ls /a; ls -a /b; ls /c 2>/dev/null; true").out.split() == ["two", ".", "..", "new"]


def test_everything_a_file_is_survives_the_trip(cli, api, name, busybox_tar, remove_later):
    tag = "hoytest:" + name
    layer = tar_of(
        ("d/setuid", dict(data=b"#!/bin/sh\n", mode=0o4755, uid=1000, gid=50)),
        ("d/sticky", dict(kind=tarfile.DIRTYPE, mode=0o3777)),
        ("d/soft", dict(kind=tarfile.SYMTYPE, linkname="/bin/sh")),
        ("d/hard", dict(kind=tarfile.LNKTYPE, linkname="d/setuid", mode=0o4755, uid=1000, gid=50)),
        ("d/fifo", dict(kind=tarfile.FIFOTYPE, mode=0o600)),
        ("d/node", dict(kind=tarfile.CHRTYPE, mode=0o640, devmajor=1, devminor=3)),
        ("d/" + "n" * 200, dict(data=b"long")),
        ("d/\u00e4\u20ac", dict(data=b"utf8")),
        ("d/xattr", dict(data=b"x", pax_headers={"SCHILY.xattr.user.colour": "blue"})),
        ("d/old", dict(data=b"", pax_headers={"mtime": "1000000000.123456789"}, mtime=1000000000)))
    data, _ = images.archive(busybox_tar, layer, tag=tag)
    remove_later(tag)
    assert load(api, data).status == 200
    out = cli("run", "--rm", tag, "sh", "-c", "cd d; stat -c '%a %u:%g %h %F' setuid sticky fifo; stat -c '%a %t,%T' node; readlink soft; "
              "stat -c %y old; ls | wc -l; cat n*").out.splitlines()
    assert out[0] == "4755 1000:50 2 regular file" and out[1].startswith("3777") and out[2].startswith("600") and "fifo" in out[2]
    assert out[3:5] == ["640 1,3", "/bin/sh"] and out[5].startswith("2001-09-09 01:46:40.123456789") and out[6:] == ["10", "long"]


def test_tag_and_rmi_follow_dockers_rules(cli, api, name, busybox_tar):
    one, two = f"hoytest:{name}-one", f"hoytest/deep/er:{name}-two"
    data, image_id = images.archive(busybox_tar, small_layer(mark=name.encode()), tag=one)
    assert load(api, data).status == 200
    cli("tag", one, two)
    assert image_id[7:19] == cli("images", "-q", two).line
    assert cli("rmi", one).line == f"Untagged: {one}"
    cli("run", "-d", "--name", name, two, "sleep", "100")
    assert "conflict" in cli("rmi", two, rc=1).err and cli("images", "-q", two).line
    cli("rm", "-f", name)
    out = cli("rmi", two).out
    assert f"Untagged: {two}" in out and f"Deleted: {image_id}" in out
    assert "No such image" in cli("inspect", "--type", "image", two, rc=1).err
    assert "No such image" in cli("rmi", two, rc=1).err


def test_rmi_by_id_wants_force_when_two_repositories_name_it(cli, api, name, busybox_tar):
    one, two = f"hoytest:{name}", f"hoytest2:{name}"
    data, image_id = images.archive(busybox_tar, small_layer(mark=name.encode()), tag=one)
    load(api, data)
    cli("tag", one, two)
    assert "must be forced" in cli("rmi", image_id, rc=1).err
    cli("rmi", "-f", image_id)
    assert not cli("images", "-q", one).line and not cli("images", "-q", two).line


def test_images_lists_and_filters(cli, api, name):
    tag = "hoytest:" + name
    cli("tag", BUSYBOX, tag)
    try:
        assert cli("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={tag}").line == tag
        row = next(r for r in api.get("/images/json").json if tag in r["RepoTags"])
        assert row["Id"].startswith("sha256:") and row["Size"] > 100000 and row["Created"] > 0
    finally:
        cli("rmi", tag)


def test_inspect_has_the_config(cli):
    info = json.loads(cli("image", "inspect", BUSYBOX).out)[0]
    assert info["Config"]["Cmd"] == ["sh"] and "PATH=/bin" in info["Config"]["Env"] and info["Os"] == "linux" and info["RootFS"]["Type"] == "layers"


def test_bad_references_are_refused(cli):
    for ref in ("UPPER:x", "a b", "hoytest:" + "t" * 129, "a//b", "hoytest@sha256:12"):
        result = cli("run", "--rm", ref, "true", rc=None)
        assert result.rc == 125 and "invalid reference format" in result.err, ref


def test_loading_twice_is_the_same_image(api, name, busybox_tar, remove_later):
    data, image_id = images.archive(busybox_tar, tag="hoytest:" + name)
    remove_later("hoytest:" + name)
    assert [load(api, data).status, load(api, data).status] == [200, 200]
    assert api.get(f"/images/hoytest:{name}/json").json["Id"] == image_id


def test_a_container_keeps_its_image_when_the_tag_moves(cli, api, name, busybox_tar, remove_later):
    tag = "hoytest:" + name
    remove_later(tag)
    first, first_id = images.archive(busybox_tar, small_layer(v=b"1"), tag=tag)
    second, second_id = images.archive(busybox_tar, small_layer(v=b"2"), tag=tag)
    load(api, first)
    cli("run", "-d", "--name", name, tag, "sleep", "100")
    load(api, second)
    assert cli("exec", name, "cat", "/v").out == "1" and cli("run", "--rm", tag, "cat", "/v").out == "2"
    assert api.inspect(name)["Image"] == first_id
    cli("rm", "-f", name)
    cli("rmi", first_id)


def test_df_and_prune_speak_to_dockers_client_and_ours(cli, api, name, remove_later):
    for size in (5000, 6000):  # the first loses its name: dangling
        answer = api.post("/images/create", tar_of(("f", dict(data=name.encode().ljust(size)))), headers={"Content-Type": "application/x-tar"}, fromSrc="-", repo="hoytest", tag=name,
                          changes=f"LABEL l={name}")
        assert answer.status == 200, answer.body
    remove_later("hoytest:" + name)
    listed = api.get("/images/json", filters={"label": [f"l={name}"]}, **{"shared-size": 1}).json
    assert sorted(i["Size"] for i in listed) == [5000, 6000] and all(i["SharedSize"] == 0 for i in listed)
    assert re.search(r"^Images +\d+ +\d+ +[\d.]+[kMG]?B +[\d.]+[kMG]?B", cli("system", "df").out, re.M)
    assert re.search(rf"^hoytest +{name} .* 6kB +0B +6kB +0$", cli("system", "df", "-v").out, re.M)
    tree = json.loads(cli("system", "df", "-v", "--format", "{{json .}}").out)
    assert {i["UniqueSize"] for i in tree["Images"] if i["Tag"] == name} == {"6kB"}
    out = cli("image", "prune", "-f", "--filter", f"label=l={name}").out
    assert out.startswith("Deleted Images:\ndeleted: sha256:") and out.endswith("Total reclaimed space: 5kB\n")
    out = cli("image", "prune", "-a", "-f", "--filter", f"label=l={name}", "--filter", "until=2000-01-01").out
    assert out == "Total reclaimed space: 0B\n"
    out = cli("image", "prune", "-a", "-f", "--filter", f"label=l={name}").out
    assert f"untagged: hoytest:{name}" in out and out.endswith("Total reclaimed space: 6kB\n")
