"""Signatures in cosign's form, made by openssl: a payload in a blob, and a manifest whose layer carries the signature over it."""
import base64
import hashlib
import json
import subprocess

SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
ARTIFACT = "application/vnd.dev.cosign.artifact.sig.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Key:
    """A new key of a kind: P-256, P-384 or ed25519; its public half lies at .path."""

    def __init__(self, folder, name, kind="P-256"):
        self.kind, self.private, self.path = kind, f"{folder}/{name}.key", f"{folder}/{name}.pem"
        how = ["-algorithm", "ed25519"] if kind == "ed25519" else ["-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{kind}"]
        subprocess.run(["openssl", "genpkey", *how, "-out", self.private], check=True, capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", self.private, "-pubout", "-out", self.path], check=True, capture_output=True)
        self.name = f"{name}.pem"

    def sign(self, data):
        with open(self.private + ".in", "wb") as f:
            f.write(data)
        how = ["pkeyutl", "-sign", "-inkey", self.private, "-rawin", "-in", f.name] if self.kind == "ed25519" \
            else ["dgst", "-sha256", "-sign", self.private, f.name]
        return base64.b64encode(subprocess.run(["openssl", *how], check=True, capture_output=True).stdout).decode()


def payload(reference, digest, kind="cosign container image signature"):
    return json.dumps({"critical": {"identity": {"docker-reference": reference}, "image": {"docker-manifest-digest": digest},
                                    "type": kind}, "optional": None}).encode()


def put(registry, repo, data, kind):
    return {"mediaType": kind, "digest": registry.put_blob(repo, data), "size": len(data)}


def put_signatures(registry, repo, digest, signatures, way="tag"):
    """Signatures [(payload, base64)] of digest: way "tag" (sha256-<hex>.sig) or "referrer" (the fall-back's index)."""
    config = b"{}"
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": put(registry, repo, config, "application/vnd.oci.image.config.v1+json"),
                "layers": [{**put(registry, repo, data, SIMPLE), "annotations": {SIGNATURE: text}} for data, text in signatures]}
    tag = digest.replace(":", "-")
    if way == "tag":
        registry.put_manifest(repo, tag + ".sig", json.dumps(manifest).encode(), MANIFEST)
        return
    body = json.dumps({**manifest, "artifactType": ARTIFACT, "subject": {"mediaType": MANIFEST, "digest": digest, "size": 1}}).encode()
    registry.put_manifest(repo, digest_of(body), body, MANIFEST)
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"mediaType": MANIFEST, "digest": digest_of(body), "size": len(body),
                                                                    "artifactType": ARTIFACT}]}
    registry.put_manifest(repo, tag, json.dumps(index).encode(), INDEX)
