"""Images between a registry and the engine: Debian's docker-registry, Docker's client and hoy."""
import json
import os

import pytest

from harness import engine as engines
from harness.cli import Cli
from harness.images import BUSYBOX, tar_of
from harness.registry import Registry, forget_images, gzipped


@pytest.fixture(scope="module")
def _registry(_shared_engine):
    engines.need_hoyd()
    registry = Registry(_shared_engine)
    yield registry
    registry.stop()


@pytest.fixture
def registry(_registry, engine):
    yield _registry
    forget_images(engine, _registry.host)


def test_push_then_pull_gives_the_same_image(cli, registry, name):
    ref = f"{registry.host}/{name}/box:1"
    cli("tag", BUSYBOX, ref)
    image = cli.inspect(ref, "{{.Id}}")
    out = cli("push", ref).out
    assert f"The push refers to repository [{registry.host}/{name}/box]" in out and ("Pushed" in out or "Mounted from" in out)
    digest = out.split("digest: ")[1].split()[0]
    assert cli.inspect(ref, "{{index .RepoDigests 0}}") == f"{registry.host}/{name}/box@{digest}"
    cli("rmi", ref)
    out = cli("pull", ref).out
    assert f"Digest: {digest}" in out and f"Status: Downloaded newer image for {ref}" in out
    assert cli.inspect(ref, "{{.Id}}") == image
    assert "Status: Image is up to date" in cli("pull", ref).out


def test_a_pulled_image_runs(cli, registry, name, engine, tmp_path):
    ref = f"{registry.host}/{name}/box:1"
    cli("tag", BUSYBOX, ref)
    cli("push", ref)
    other = engines.Hoyd(machine=engine.machine).start()  # an engine that has nothing yet, beside the same registry
    try:
        there = Cli(cli.name, other.host, str(tmp_path))
        assert there("run", "--rm", "--network", "none", ref, "sh", "-c", "echo pulled && ls -ld /tmp").out.startswith("pulled\ndrwxrwxrwt")
    finally:
        assert not other.close()


def test_pushing_again_uploads_nothing(cli, registry, name):
    ref = f"{registry.host}/{name}/box:1"
    cli("tag", BUSYBOX, ref)
    first = cli("push", ref).out
    before = registry.blobs()
    second = cli("push", ref).out
    assert "Layer already exists" in second and "Pushed" not in second
    assert registry.blobs() == before
    assert first.split("digest: ")[1] == second.split("digest: ")[1]


def test_a_layer_is_taken_over_from_the_repository_next_door(cli, registry, name):
    cli("tag", BUSYBOX, f"{registry.host}/{name}/one:1")
    cli("tag", BUSYBOX, f"{registry.host}/{name}/two:1")
    cli("push", f"{registry.host}/{name}/one:1")
    assert f"Mounted from {name}/one" in cli("push", f"{registry.host}/{name}/two:1").out


def test_every_tag(cli, registry, name):
    repo = f"{registry.host}/{name}/box"
    for tag in "abc":
        cli("tag", BUSYBOX, f"{repo}:{tag}")
    out = cli("push", "--all-tags", repo).out
    assert [line.split(":")[0] for line in out.splitlines() if "digest:" in line] == ["a", "b", "c"]
    cli("rmi", *[f"{repo}:{tag}" for tag in "abc"])
    cli("pull", "--all-tags", repo)
    assert sorted(cli("images", "--format", "{{.Tag}}", repo).out.split()) == ["a", "b", "c"]


def test_pull_by_digest_has_no_tag(cli, registry, name):
    ref = f"{registry.host}/{name}/box:1"
    cli("tag", BUSYBOX, ref)
    digest = cli("push", ref).out.split("digest: ")[1].split()[0]
    cli("rmi", ref)
    by_digest = f"{registry.host}/{name}/box@{digest}"
    assert f"Status: Downloaded newer image for {by_digest}" in cli("pull", by_digest).out
    assert cli.inspect(by_digest, "{{json .RepoTags}}") in ("[]", f'["{BUSYBOX}"]')


@pytest.mark.parametrize("what, message", [
    ("{host}/{name}/none:1", "manifest for {host}/{name}/none:1 not found: manifest unknown: manifest unknown"),
    ("127.0.0.1:1/x/y:1", 'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'),
    ("{host}/X/y:1", "must be lowercase"),
])
def test_what_cannot_be_pulled(cli, registry, name, what, message):
    ref = what.format(host=registry.host, name=name)
    assert message.format(host=registry.host, name=name) in cli("pull", ref, rc=1).err


def test_what_cannot_be_pushed(cli, registry, name):
    repo = f"{registry.host}/{name}/box"
    assert f"An image does not exist locally with the tag: {repo}" in cli("push", f"{repo}:1", rc=1).err
    cli("tag", BUSYBOX, f"{repo}:1")
    assert f"tag does not exist: {repo}:2" in cli("push", f"{repo}:2", rc=1).err
    assert "cannot push a digest reference" in cli("push", f"{repo}@sha256:{'0' * 64}", rc=1).err


def test_what_a_registry_says_of_an_image(cli, registry, name, api):
    ref = f"{registry.host}/{name}/box:1"
    cli("tag", BUSYBOX, ref)
    digest = cli("push", ref).out.split("digest: ")[1].split()[0]
    got = api.get(f"/distribution/{ref}/json").json
    assert got["Descriptor"]["digest"] == digest
    assert got["Platforms"] == [{"architecture": "amd64", "os": "linux"}]


def test_login_is_needed_where_a_registry_asks_for_it(client, engine, tmp_path, name):
    engines.need_hoyd()
    htpasswd = engine.scratch() + "/htpasswd"
    with open(htpasswd, "w") as f:  # bcrypt of "secret"
        f.write("joe:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n")
    registry = Registry(engine, htpasswd=htpasswd)
    cli = Cli(client, engine.host, str(tmp_path))
    ref = f"{registry.host}/{name}/box:1"
    try:
        cli("tag", BUSYBOX, ref)
        assert "no basic auth credentials" in cli("push", ref, rc=1).err
        assert "401 Unauthorized" in cli("login", "-u", "joe", "-p", "wrong", registry.host, rc=1).err
        assert "Login Succeeded" in cli("login", "-u", "joe", "--password-stdin", registry.host, input=b"secret\n").out
        assert json.loads((tmp_path / ".docker/config.json").read_text())["auths"][registry.host]["auth"]
        assert "Pushed" in cli("push", ref).out
        cli("rmi", ref)
        cli("pull", ref)
        cli("logout", registry.host)
        cli("rmi", ref)
        err = cli("pull", ref, rc=1).err  # old clients ask for a login themselves
        assert "no basic auth credentials" in err or "Cannot perform an interactive login" in err
    finally:
        registry.stop()


def test_kept_blobs_are_pushed_as_they_came(new_engine, tmp_path, name):
    """A layer that was compressed elsewhere (gzip -9, bzip2 would do too) has the same digest in the next registry."""
    engine = new_engine("--keep-blobs")
    first, second = Registry(engine), Registry(engine)
    cli = Cli("docker", engine.host, str(tmp_path))
    ref = f"{first.host}/{name}/box:1"
    digest = first.put_image(f"{name}/box", "1", gzipped(tar_of(("f", dict(data=os.urandom(50000)))), 9), schema="docker")["layers"][0]["digest"]
    cli("pull", ref)
    assert os.listdir(f"{engine.folder}/data/blobs/sha256") == [digest[7:]] and not os.listdir(f"{engine.folder}/data/partial")
    cli("tag", ref, f"{second.host}/{name}/box:1")
    cli("push", f"{second.host}/{name}/box:1")
    assert digest in second.blobs()
    cli("rmi", ref, f"{second.host}/{name}/box:1")
    first.stop()
    second.stop()
