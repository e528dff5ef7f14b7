"""What images look like in a registry, whoever made them; and other clients, who push what we pull and pull what we push."""
import gzip
import hashlib
import json
import os
import subprocess

import pytest

from harness import engine as engines
from harness.images import BUSYBOX, tar_of
from harness.registry import DOCKER_LIST, OCI_INDEX, Registry, forget_images, gzipped, plain, random_layer, zstded
from test_pull_faults import pull, right

LEVELS = ("v1", "v2", "v3", "v4")


@pytest.fixture(scope="module")
def _registry(_shared_engine):
    engines.need_hoyd()
    registry = Registry(_shared_engine)
    yield registry
    registry.stop()


@pytest.fixture
def registry(_registry, engine):
    yield _registry
    forget_images(engine)


def small(text=None):
    return tar_of(("f", {"data": text.encode() if text else os.urandom(3000)}))


@pytest.mark.parametrize("schema, layers", [
    ("docker", [gzipped]), ("docker", [plain]), ("docker", [gzipped, plain, gzipped]),
    ("oci", [gzipped]), ("oci", [plain]), ("oci", [zstded]), ("oci", [zstded, gzipped, plain]),
], ids=lambda v: v if isinstance(v, str) else "+".join(f.__name__ for f in v))
def test_layers_of_every_kind(docker, engine, registry, name, schema, layers):
    image = registry.put_image(name, "1", *[make(small()) for make in layers], schema=schema)
    ref = f"{registry.host}/{name}:1"
    assert pull(engine, ref)[1] is None
    right(engine, ref, image)
    assert docker.inspect(ref, "{{index .RepoDigests 0}}") == f"{registry.host}/{name}@{image['digest']}"
    # and on its way back nothing is sent
    docker("tag", ref, f"{registry.host}/{name}:2")
    out = docker("push", f"{registry.host}/{name}:2").out
    assert "Pushed" not in out and "already exists" in out
    assert pull(engine, f"{registry.host}/{name}:2")[1] is None
    right(engine, f"{registry.host}/{name}:2", image)


def test_a_media_type_that_lies_about_compression(engine, registry, name):
    """Docker goes by the bytes, whatever the manifest calls them."""
    tar = small()
    image = registry.put_image(name, "1", ("gzip", tar, tar), ("", tar, gzipped(tar)[2]))
    assert pull(engine, f"{registry.host}/{name}:1")[1] is None
    right(engine, f"{registry.host}/{name}:1", image)


def test_gzip_in_several_members(engine, registry, name):
    tar = small()
    image = registry.put_image(name, "1", ("gzip", tar, gzip.compress(tar[:1000]) + gzip.compress(tar[1000:])))
    assert pull(engine, f"{registry.host}/{name}:1")[1] is None
    right(engine, f"{registry.host}/{name}:1", image)


def test_a_foreign_layer_comes_from_its_own_place(engine, registry, name):
    elsewhere = Registry(engine)
    try:
        far, near = random_layer("far", 3000), random_layer("near", 3000)
        digest = elsewhere.put_blob("x/y", far[2])
        config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(t).hexdigest() for _, t, _ in (far, near)]}}
        text = json.dumps(config).encode()
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        manifest = {"schemaVersion": 2, "mediaType": kind, "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": registry.put_blob(name, text), "size": len(text)},
                    "layers": [{"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": digest, "size": len(far[2]),
                                "urls": ["http://127.0.0.1:1/dead", f"http://{elsewhere.host}/v2/x/y/blobs/{digest}"]},
                               {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "digest": registry.put_blob(name, near[2]), "size": len(near[2])}]}
        registry.put_manifest(name, "1", manifest, kind)
        _, error = pull(engine, f"{registry.host}/{name}:1")
        assert error is None, error
        right(engine, f"{registry.host}/{name}:1", {"id": manifest["config"]["digest"]})
    finally:
        elsewhere.stop()


def row(image, **platform):
    return {**{k: image[k] for k in ("mediaType", "digest", "size")}, "platform": {"os": "linux", **platform}}


@pytest.mark.parametrize("kind", [OCI_INDEX, DOCKER_LIST])
def test_the_platform_is_chosen(docker, engine, registry, name, kind):
    schema = "oci" if kind == OCI_INDEX else "docker"
    made = {}
    for arch, variant in (("arm64", "v8"), ("arm", "v7"), ("arm", "v6"), ("s390x", ""), ("amd64", "")):
        made[arch, variant] = registry.put_image(name, None, gzipped(small(arch + variant)), schema=schema, config={"architecture": arch, **({"variant": variant} if variant else {})})
    rows = [row(image, architecture=a, **({"variant": v} if v else {})) for (a, v), image in made.items()]
    registry.put_manifest(name, "all", {"schemaVersion": 2, "mediaType": kind, "manifests": rows}, kind)
    ref = f"{registry.host}/{name}:all"
    for asked, chosen in ((None, ("amd64", "")), ("linux/amd64", ("amd64", "")), ("linux/arm64", ("arm64", "v8")), ("linux/arm/v7", ("arm", "v7")),
                          ("linux/arm/v6", ("arm", "v6")), ("linux/arm", ("arm", "v7")), ("s390x", ("s390x", ""))):
        _, error = pull(engine, ref, **({"platform": asked} if asked else {}))
        assert error is None, (asked, error)
        assert engine.api.get(f"/images/{ref}/json").json["Id"] == made[chosen]["id"], (asked, chosen)
    _, error = pull(engine, ref, platform="linux/riscv64")
    assert "no matching manifest for linux/riscv64 in the manifest list entries" in error, error


def test_attestations_are_no_platform(engine, registry, name):
    image = registry.put_image(name, None, gzipped(small()))
    other = registry.put_image(name, None, gzipped(small("attest")))
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
        {**row(other), "platform": {"os": "unknown", "architecture": "unknown"}, "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image["digest"]}},
        row(image, architecture="amd64")]}
    registry.put_manifest(name, "1", index, OCI_INDEX)
    assert pull(engine, f"{registry.host}/{name}:1")[1] is None
    right(engine, f"{registry.host}/{name}:1", image)


@pytest.mark.parametrize("lie, message", [
    (lambda m, c: c["rootfs"]["diff_ids"].pop(), "layers from manifest don't match image configuration"),
    (lambda m, c: c["rootfs"]["diff_ids"].__setitem__(0, "sha256:" + "1" * 64), "layers from manifest don't match image configuration"),
    (lambda m, c: c.update(os="windows"), "cannot be used on this platform"),
    (lambda m, c: c.update(os="plan9"), "cannot be used on this platform"),
    (lambda m, c: c["rootfs"]["diff_ids"].__setitem__(0, "../../etc"), "layer 0 has no valid diff id"),
], ids=["one diff_id less", "wrong diff_id", "windows", "plan9", "no digest"])
def test_a_configuration_that_lies(engine, registry, name, lie, message):
    registry.put_image(name, "1", gzipped(small()), gzipped(small()), lie=lie)
    _, error = pull(engine, f"{registry.host}/{name}:1")
    assert error and message in error, error
    assert engine.api.get(f"/images/{registry.host}/{name}:1/json").status == 404


# ---- other clients ----
def beside(engine, *argv, **kw):
    """A command in the engine's network."""
    return subprocess.run(["nsenter", "-t", str(engine.machine.pid), "-n", *argv], capture_output=True, text=True, timeout=120, **kw)


def test_skopeo_pulls_what_we_push_and_pushes_what_we_pull(docker, engine, registry, name, tmp_path):
    ref = f"{registry.host}/{name}/a:1"
    docker("tag", BUSYBOX, ref)
    digest = docker("push", ref).out.split("digest: ")[1].split()[0]
    for n, form in enumerate((["--format", "v2s2"], ["--format", "oci", "--dest-compress-format", "zstd", "--dest-compress-level", "3"], ["--all"])):
        done = beside(engine, "skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", *form, f"docker://{ref}", f"docker://{registry.host}/{name}/b:{n}")
        assert done.returncode == 0, done.stderr
        assert pull(engine, f"{registry.host}/{name}/b:{n}")[1] is None
        assert docker.inspect(f"{registry.host}/{name}/b:{n}", "{{json .RootFS}}") == docker.inspect(ref, "{{json .RootFS}}")
    done = beside(engine, "skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", f"docker://{ref}", f"oci:{tmp_path}/layout:1")
    assert done.returncode == 0, done.stderr
    done = beside(engine, "skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", f"oci:{tmp_path}/layout:1", f"docker://{registry.host}/{name}/c:1")
    assert done.returncode == 0, done.stderr
    assert pull(engine, f"{registry.host}/{name}/c:1")[1] is None
    assert docker("run", "--rm", "--network", "none", f"{registry.host}/{name}/c:1", "echo", "well").out == "well\n"
    done = beside(engine, "skopeo", "inspect", "--tls-verify=false", f"docker://{ref}")
    assert json.loads(done.stdout)["Digest"] == digest


PODMAN = r"""
mount -t tmpfs t /run; mount -t tmpfs t /var/lib/containers 2>/dev/null || { mkdir -p /var/lib/containers; mount -t tmpfs t /var/lib/containers; }
set -e
printf '[storage]\ndriver="vfs"\nrunroot="/run/p"\ngraphroot="/var/lib/containers/r"\n' >/run/storage.conf
export CONTAINERS_STORAGE_CONF=/run/storage.conf
P="podman --cgroup-manager cgroupfs --events-backend none"
$P pull -q --tls-verify=false "$1" >&2
$P image inspect --format '{{json .RootFS.Layers}}' "$1"
$P tag "$1" "$2"
$P push -q --tls-verify=false "$2" >&2
"""


@pytest.mark.skipif(not os.access("/usr/bin/podman", os.X_OK), reason="podman is not installed")
def test_podman_pulls_what_we_push_and_pushes_what_we_pull(docker, engine, registry, name):
    ref, back = f"{registry.host}/{name}/a:1", f"{registry.host}/{name}/b:1"
    docker("tag", BUSYBOX, ref)
    docker("push", ref)
    done = beside(engine, "unshare", "-m", "--propagation", "private", "sh", "-c", PODMAN, "sh", ref, back)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(docker.inspect(ref, "{{json .RootFS.Layers}}"))
    assert pull(engine, back)[1] is None
    assert docker.inspect(back, "{{json .RootFS}}") == docker.inspect(ref, "{{json .RootFS}}")
    assert docker("run", "--rm", "--network", "none", back, "echo", "well").out == "well\n"
