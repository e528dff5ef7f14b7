"""hoy image copy: from registry to registry, byte for byte, with all that belongs to an image."""
import gzip
import json
import os
import subprocess

import pytest

from harness import cosign
from harness import engine as engines
from harness.cli import Cli
from harness.images import tar_of
from harness.registry import Registry

OCI = cosign.MANIFEST
INDEX = cosign.INDEX


@pytest.fixture(scope="module")
def registries(_shared_engine):
    engines.need_hoyd()
    pair = [Registry(_shared_engine), Registry(_shared_engine)]
    yield pair
    for registry in pair:
        registry.stop()


@pytest.fixture
def hoy(engine, tmp_path):
    return Cli("hoy", engine.host, str(tmp_path))


def get(registry, repo, what):
    answer = registry.call("GET", f"/v2/{repo}/manifests/{what}", headers={"Accept": f"{OCI}, {INDEX}, application/vnd.docker.distribution.manifest.v2+json"})
    return answer.content if answer.status == 200 else None


def put_artifact(registry, repo, subject, kind, data):
    """A manifest that refers to subject, and its place in the fall-back's index."""
    config = cosign.put(registry, repo, b"{}", "application/vnd.oci.empty.v1+json")
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI, "artifactType": kind, "config": config,
                       "layers": [cosign.put(registry, repo, data, kind)], "subject": subject, "annotations": {"who": "test"}}).encode()
    entry = registry.put_manifest(repo, None, body, OCI)
    tag = subject["digest"].replace(":", "-")
    old = get(registry, repo, tag)
    entries = json.loads(old)["manifests"] if old else []
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries + [{**entry, "artifactType": kind}]}
    registry.put_manifest(repo, tag, index, INDEX)
    return entry["digest"]


def put_everything(registry, repo):
    """Two platforms and an attestation in an index; an SBOM that refers to the index, a signature of that SBOM, cosign's tag of a platform."""
    platforms = []
    for arch in ("amd64", "arm64"):
        tar = tar_of(("f", dict(data=arch.encode() + os.urandom(100000))))
        one = registry.put_image(repo, None, ("gzip", tar, gzip.compress(tar)), config={"architecture": arch})
        platforms.append({k: one[k] for k in ("mediaType", "digest", "size")} | {"platform": {"os": "linux", "architecture": arch}})
    attestation = registry.put_manifest(repo, None, {"schemaVersion": 2, "mediaType": OCI, "config": cosign.put(registry, repo, b"{}", "application/vnd.oci.image.config.v1+json"),
                                                     "layers": [cosign.put(registry, repo, b'{"a":1}', "application/vnd.in-toto+json")]}, OCI)
    attestation |= {"platform": {"os": "unknown", "architecture": "unknown"}, "annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    # odd spaces: a copy must not write it anew
    index = ('{ "schemaVersion":2,\n"mediaType": "%s" , "manifests": %s }\n' % (INDEX, json.dumps(platforms + [attestation]))).encode()
    top = registry.put_manifest(repo, "1", index, INDEX)
    sbom = put_artifact(registry, repo, top, "application/spdx+json", b'{"sbom":1}')
    signature = put_artifact(registry, repo, {"mediaType": OCI, "digest": sbom, "size": len(get(registry, repo, sbom))}, cosign.ARTIFACT, b'{"sig":1}')
    cosign.put_signatures(registry, repo, platforms[0]["digest"], [(b"{}", "AAAA")])
    return top["digest"], [p["digest"] for p in platforms], attestation["digest"], sbom, signature


def test_everything_arrives_as_it_was(hoy, registries, name, api):
    first, second = registries
    top, platforms, attestation, sbom, signature = put_everything(first, f"{name}/a")
    before = api.get("/images/json", all=1).json
    out = hoy("image", "copy", f"{first.host}/{name}/a:1", f"{second.host}/{name}/b:2").out
    assert f"2: digest: {top} size: " in out and "Copied" in out
    assert get(second, f"{name}/b", "2") == get(first, f"{name}/a", "1")
    for digest in (top, *platforms, attestation, sbom, signature):
        assert get(second, f"{name}/b", digest) == get(first, f"{name}/a", digest) is not None
    hexa = platforms[0].replace(":", "-")
    assert get(second, f"{name}/b", f"{hexa}.sig") == get(first, f"{name}/a", f"{hexa}.sig")
    # this registry keeps no list of referrers: it is written as the specification says
    listed = json.loads(get(second, f"{name}/b", top.replace(":", "-")))["manifests"]
    assert [(m["digest"], m["artifactType"], m["annotations"]) for m in listed] == [(sbom, "application/spdx+json", {"who": "test"})]
    assert [m["digest"] for m in json.loads(get(second, f"{name}/b", sbom.replace(":", "-")))["manifests"]] == [signature]
    assert api.get("/images/json", all=1).json == before
    # again: nothing is sent, no entry comes twice
    out = hoy("image", "copy", f"{first.host}/{name}/a:1", f"{second.host}/{name}/b:2").out
    assert "Already exists" in out and "Copied" not in out
    assert len(json.loads(get(second, f"{name}/b", top.replace(":", "-")))["manifests"]) == 1


def test_skopeo_copies_to_the_same_digests(hoy, engine, registries, name):
    first, second = registries
    top = put_everything(first, f"{name}/a")[0]
    hoy("image", "copy", f"{first.host}/{name}/a:1", f"{second.host}/{name}/hoy:1")
    subprocess.run(["nsenter", "-t", str(engine.machine.pid), "-n", "skopeo", "--insecure-policy", "copy", "-q", "--all", "--src-tls-verify=false", "--dest-tls-verify=false",
                    f"docker://{first.host}/{name}/a:1", f"docker://{second.host}/{name}/skopeo:1"], check=True, timeout=60)
    ours, theirs = get(second, f"{name}/hoy", "1"), get(second, f"{name}/skopeo", "1")
    assert ours == theirs and cosign.digest_of(ours) == top
    for entry in json.loads(ours)["manifests"]:
        assert get(second, f"{name}/hoy", entry["digest"]) == get(second, f"{name}/skopeo", entry["digest"]) is not None


def test_one_platform(hoy, registries, name):
    first, second = registries
    top, platforms, *_ = put_everything(first, f"{name}/a")
    hoy("image", "copy", "--platform", "linux/arm64", f"{first.host}/{name}/a:1", f"{second.host}/{name}/b:1")
    assert cosign.digest_of(get(second, f"{name}/b", "1")) == platforms[1]
    assert get(second, f"{name}/b", platforms[0]) is None and get(second, f"{name}/b", top) is None
    assert "no matching manifest for linux/s390x" in hoy("image", "copy", "--platform", "linux/s390x", f"{first.host}/{name}/a:1", f"{second.host}/{name}/b:1", rc=1).err


def test_within_a_registry_blobs_are_mounted(hoy, registries, name):
    first = registries[0]
    put_everything(first, f"{name}/a")
    before = first.blobs()
    out = hoy("image", "copy", f"{first.host}/{name}/a:1", f"{first.host}/{name}/b").out
    assert f"Mounted from {name}/a" in out and "Copied" not in out
    assert get(first, f"{name}/b", "latest") == get(first, f"{name}/a", "1")
    assert first.blobs() >= before


def test_what_cannot_be_copied(hoy, registries, name):
    first, second = registries
    source, target = f"{first.host}/{name}/none:1", f"{second.host}/{name}/b:1"
    assert f"manifest for {source} not found" in hoy("image", "copy", source, target, rc=1).err
    put_everything(first, f"{name}/a")
    assert "connection refused" in hoy("image", "copy", f"{first.host}/{name}/a:1", f"127.0.0.1:1/{name}/b", rc=1).err
    assert "cannot copy to a digest reference" in hoy("image", "copy", f"{first.host}/{name}/a:1", f"{second.host}/b@sha256:{'0' * 64}", rc=1).err
    # a blob whose bytes are others: the destination refuses it, no name appears, nothing is kept
    tar = tar_of(("f", dict(data=os.urandom(1000))))
    packed = gzip.compress(tar)
    first.put_image(f"{name}/wrong", "1", ("gzip", tar, packed))
    hexa = cosign.digest_of(packed)[7:]
    with open(f"{first.root}/docker/registry/v2/blobs/sha256/{hexa[:2]}/{hexa}/data", "r+b") as f:
        f.write(b"wrong")
    assert "digest" in hoy("image", "copy", f"{first.host}/{name}/wrong:1", f"{second.host}/{name}/wrong:1", rc=1).err
    assert get(second, f"{name}/wrong", "1") is None


def test_who_refers_to_itself_is_copied_once(hoy, registries, name):
    """A tag that cosign would look under, pointing at the very manifest that it is named after."""
    first, second = registries
    tar = tar_of(("f", dict(data=b"x")))
    digest = first.put_image(f"{name}/a", "1", ("gzip", tar, gzip.compress(tar)))["digest"]
    first.put_manifest(f"{name}/a", digest.replace(":", "-") + ".sig", get(first, f"{name}/a", "1"), OCI)
    first.put_manifest(f"{name}/a", digest.replace(":", "-"), {"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": OCI, "digest": digest, "size": len(get(first, f"{name}/a", "1"))}]}, INDEX)
    hoy("image", "copy", f"{first.host}/{name}/a:1", f"{second.host}/{name}/b:1")
    assert get(second, f"{name}/b", digest.replace(":", "-") + ".sig") == get(second, f"{name}/b", "1")


def test_a_copy_that_was_cut_goes_on(new_engine, tmp_path, name):
    engine = new_engine()
    first, second = Registry(engine), Registry(engine)
    hoy = Cli("hoy", engine.host, str(tmp_path))
    tar = tar_of(("f", dict(data=os.urandom(8_000_000))))
    packed = gzip.compress(tar, 1)
    first.put_image(f"{name}/a", "1", ("gzip", tar, packed))
    hexa = cosign.digest_of(packed)[7:]
    partial = f"{engine.folder}/data/partial/{hexa}"
    with open(partial, "wb") as f:  # what an earlier attempt left
        f.write(packed[:7_000_000])
    hoy("image", "copy", f"{first.host}/{name}/a:1", f"{second.host}/{name}/b:1")
    assert cosign.digest_of(packed) in second.blobs() and not os.path.exists(partial)
    third = Registry(engine)
    with open(partial, "wb") as f:  # and where that was wrong
        f.write(b"wrong" * 1000)
    hoy("image", "copy", f"{first.host}/{name}/a:1", f"{third.host}/{name}/b:1")
    assert cosign.digest_of(packed) in third.blobs() and not os.path.exists(partial)
    for registry in (first, second, third):
        registry.stop()


def test_both_sides_may_ask_for_a_login(engine, hoy, name):
    engines.need_hoyd()
    htpasswd = engine.scratch() + "/htpasswd"
    with open(htpasswd, "w") as f:  # bcrypt of "secret"
        f.write("joe:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n")
    first, second = Registry(engine), Registry(engine, htpasswd=htpasswd)
    try:
        tar = tar_of(("f", dict(data=b"x")))
        first.put_image(f"{name}/a", "1", ("gzip", tar, gzip.compress(tar)))
        source, target = f"{first.host}/{name}/a:1", f"{second.host}/{name}/b:1"
        assert "no basic auth credentials" in hoy("image", "copy", source, target, rc=1).err
        hoy("login", "-u", "joe", "--password-stdin", second.host, input=b"secret\n")
        hoy("image", "copy", "-q", source, target)
        hoy("image", "copy", target, f"{first.host}/{name}/back:1")
    finally:
        first.stop()
        second.stop()
