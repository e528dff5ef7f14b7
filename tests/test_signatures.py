"""Signatures by policy: what --signature-policy enforces is there before a byte of the image is."""
import gzip
import json
import os
import subprocess

import pytest

from harness import cosign
from harness.cli import Cli
from harness.cosign import Key, payload, put_signatures
from harness.engine import program
from harness.images import tar_of
from harness.registry import Registry

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("keys"))
    return {name: Key(folder, name, kind) for name, kind in
            {"prod": "P-256", "second": "P-384", "edward": "ed25519", "stranger": "P-256"}.items()}


class Place:
    """An engine with a policy, a registry beside it, and an image in that registry for each test."""

    def __init__(self, new_engine, policy, tmp_path):
        self.path = str(tmp_path / "policy.json")
        with open(self.path, "w") as f:
            json.dump(policy, f)
        self.engine = new_engine("--signature-policy", self.path)
        self.registry = Registry(self.engine)
        self.cli = Cli("docker", self.engine.host, str(tmp_path))

    def image(self, repo):
        tar = tar_of(("f", dict(data=repo.encode())))
        return self.registry.put_image(repo, "1", ("gzip", tar, gzip.compress(tar)), schema="docker")["digest"]

    def ref(self, repo):
        return f"{self.registry.host}/{repo}:1"

    def nothing_came(self):
        data = f"{self.engine.folder}/data"
        return not os.listdir(f"{data}/partial") and len(self.engine.api.get("/images/json", all=1).json) == 1


@pytest.fixture
def place(new_engine, keys, tmp_path):
    """Whatever lies below any registry's free/ is not looked at, below lax/ there are warnings, all else has to be signed by one of three keys."""
    three = [keys[k].path for k in ("prod", "second", "edward")]
    place = Place(new_engine, {"rules": [{"match": "127.0.0.1:*/free/**", "mode": "off"},
                                         {"match": "127.0.0.1:*/lax/**", "mode": "warn", "keys": three},
                                         {"match": "127.0.0.1:*/**", "mode": "enforce", "keys": three}]}, tmp_path)
    yield place
    place.registry.stop()


def signed(place, key, repo, digest, way="tag", reference=None, signed_digest=None, change=None):
    text = payload(reference or f"{place.registry.host}/{repo}", signed_digest or digest)
    put_signatures(place.registry, repo, digest, [(change(text) if change else text, key.sign(text))], way)


@pytest.mark.parametrize("way", ["tag", "referrer"])
def test_a_good_signature_lets_an_image_in(place, keys, way):
    for name in ("prod", "second", "edward"):
        repo = f"app/{name}"
        digest = place.image(repo)
        signed(place, keys[name], repo, digest, way)
        assert f"Downloaded newer image for {place.ref(repo)}" in place.cli("pull", place.ref(repo)).out
        place.cli("rmi", place.ref(repo))
        place.cli("pull", f"{place.registry.host}/{repo}@{digest}")


def test_what_is_not_signed_as_it_should_be_does_not_come_in(place, keys):
    def refused(repo, digest, why):
        ref = place.ref(repo)
        err = place.cli("pull", ref, rc=1).err
        assert f"signature policy for {ref[:-2]}: {digest}: {why}" in err, err
        assert place.nothing_came()
        assert "Pulling from" not in err

    digest = place.image("bad/none")
    refused("bad/none", digest, "it has no signature")
    digest = place.image("bad/stranger")
    signed(place, keys["stranger"], "bad/stranger", digest)
    refused("bad/stranger", digest, f"1 signature found, none is good: signed by none of the keys {keys['prod'].path}, ")
    digest = place.image("bad/other")
    signed(place, keys["prod"], "bad/other", digest, signed_digest="sha256:" + "0" * 64)
    refused("bad/other", digest, "1 signature found, none is good: signed for another digest: sha256:000")
    digest = place.image("bad/replayed")
    signed(place, keys["prod"], "bad/replayed", digest, reference=f"{place.registry.host}/bad/original")
    refused("bad/replayed", digest, f"1 signature found, none is good: signed for another repository: {place.registry.host}/bad/original")
    digest = place.image("bad/tag")
    signed(place, keys["prod"], "bad/tag", digest, reference=f"{place.registry.host}/bad/tag:2")
    refused("bad/tag", digest, "1 signature found, none is good: signed for another tag: ")
    digest = place.image("bad/changed")
    signed(place, keys["prod"], "bad/changed", digest, change=lambda text: text + b" ")
    refused("bad/changed", digest, "1 signature found, none is good: signed by none of the keys ")
    digest = place.image("bad/json")
    for hostile, why in ((b"[" * 60000, "the signed payload is no JSON"), (b"{}", "the signed payload is incomplete"), (b"\0", "the signed payload is no text"),
                         (b"x" * 70000, "its payload has a wrong size or digest"), (payload(f"{place.registry.host}/bad/json", digest, "x"), "the signed payload is of another type")):
        put_signatures(place.registry, "bad/json", digest, [(hostile, keys["prod"].sign(hostile))])
        refused("bad/json", digest, f"1 signature found, none is good: {why}")
    put_signatures(place.registry, "bad/json", digest, [(b"{}", "!"), (b"{}", "A" * 100000)])
    refused("bad/json", digest, "2 signatures found, none is good: signed by none of the keys ")


def test_one_good_signature_among_others_is_enough(place, keys):
    digest = place.image("app/many")
    good = payload(f"{place.registry.host}/app/many", digest)
    put_signatures(place.registry, "app/many", digest, [(good, keys["stranger"].sign(good)), (b"{}", "!"), (good, keys["edward"].sign(good))])
    place.cli("pull", place.ref("app/many"))


def test_a_payload_that_is_not_its_blob(place, keys):
    """The registry changes the blob behind the digest: what came is not what was named."""
    digest = place.image("app/blob")
    text = payload(f"{place.registry.host}/app/blob", digest)
    signed(place, keys["prod"], "app/blob", digest)
    hexa = cosign.digest_of(text)[7:]
    with open(f"{place.registry.root}/docker/registry/v2/blobs/sha256/{hexa[:2]}/{hexa}/data", "wb") as f:
        f.write(text.replace(b"optional", b"0ptional"))
    assert "1 signature found, none is good: its payload cannot be had" in place.cli("pull", place.ref("app/blob"), rc=1).err


def test_warnings(place, keys):
    repo = "lax/none"
    digest = place.image(repo)
    text = f"signature policy for {place.registry.host}/{repo}: {digest}: it has no signature"
    out = place.cli("pull", place.ref(repo)).out
    assert f"WARNING: {text}" in out and "Downloaded newer image" in out
    assert text in place.engine.log_tail()
    signed(place, keys["prod"], repo, digest)
    assert "WARNING" not in place.cli("pull", place.ref(repo)).out
    place.image("free/x")
    assert "WARNING" not in place.cli("pull", place.ref("free/x")).out


def test_run_pulls_by_the_same_policy_and_what_is_here_stays(place, keys):
    place.image("app/run")
    assert "it has no signature" in place.cli("run", "--rm", place.ref("app/run"), "true", rc=125).err
    place.image("free/run")
    place.cli("pull", place.ref("free/run"))
    place.cli("tag", place.ref("free/run"), place.ref("app/kept"))
    place.cli("inspect", place.ref("app/kept"))


def test_one_platform_of_a_signed_index(place, keys):
    """The index is signed, or the platform's manifest is: both vouch for what comes."""
    for signs in ("index", "manifest"):
        repo = f"app/{signs}"
        manifest = place.image(repo)
        size = len(place.registry.call("GET", f"/v2/{repo}/manifests/{manifest}", headers={"Accept": MANIFEST}).content)
        index = json.dumps({"schemaVersion": 2, "mediaType": cosign.INDEX, "manifests": [
            {"mediaType": MANIFEST, "digest": manifest, "size": size, "platform": {"os": "linux", "architecture": "amd64"}}]}).encode()
        place.registry.put_manifest(repo, "1", index, cosign.INDEX)
        assert "it has no signature" in place.cli("pull", place.ref(repo), rc=1).err
        signed(place, keys["prod"], repo, cosign.digest_of(index) if signs == "index" else manifest)
        assert f"Digest: {cosign.digest_of(index)}" in place.cli("pull", place.ref(repo)).out


def test_a_policy_that_cannot_be_understood_keeps_the_daemon_from_starting(tmp_path, keys):
    path = str(tmp_path / "policy.json")
    for text, why in (("{", "signature policy"), ('{"rules": [{"match": "x", "mode": "on"}]}', 'rule 1: mode is "on"')):
        with open(path, "w") as f:
            f.write(text)
        done = subprocess.run([program("hoyd"), "--validate", "--signature-policy", path], capture_output=True, text=True, check=False)
        assert done.returncode == 1 and why in done.stderr
    with open(path, "w") as f:
        json.dump({"rules": [{"match": "x", "mode": "warn", "keys": keys["prod"].path}]}, f)
    subprocess.run([program("hoyd"), "--validate", "--signature-policy", path], capture_output=True, check=True)


def test_copied_images_bring_their_signatures(new_engine, keys, tmp_path):
    """What was signed for one registry is good in another where the policy says so, and only there."""
    far = Registry(new_engine())
    near = Registry(far.engine)
    policy = str(tmp_path / "policy.json")
    with open(policy, "w") as f:
        json.dump({"rules": [{"match": f"{near.host}/prod", "mode": "enforce", "keys": keys["prod"].path, "signed-as": f"{far.host}/team"},
                             {"match": near.host, "mode": "enforce", "keys": keys["prod"].path}]}, f)
    engine = new_engine("--signature-policy", policy, machine=far.engine.machine)
    tar = tar_of(("f", dict(data=b"x")))
    digest = far.put_image("team/app", "1", ("gzip", tar, gzip.compress(tar)))["digest"]
    text = payload(f"{far.host}/team/app", digest)
    put_signatures(far, "team/app", digest, [(text, keys["prod"].sign(text))], "referrer")
    hoy, cli = Cli("hoy", engine.host, str(tmp_path)), Cli("docker", engine.host, str(tmp_path))
    for repo in ("prod/app", "other/app"):
        hoy("image", "copy", f"{far.host}/team/app:1", f"{near.host}/{repo}:1")
    cli("pull", f"{near.host}/prod/app:1")
    assert f"signed for another repository: {far.host}/team/app" in cli("pull", f"{near.host}/other/app:1", rc=1).err
    far.stop()
    near.stop()
