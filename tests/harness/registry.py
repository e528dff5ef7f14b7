"""A registry beside an engine: Debian's docker-registry, listening in the engine's own network namespace."""
import gzip
import hashlib
import http.client
import json
import os
import subprocess

from .cli import until
from .engine import CACHE
from .images import tar_of

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = {s: "application/vnd.oci.image.layer.v1.tar" + ("+" + s if s else "") for s in ("gzip", "zstd", "")}
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = {"gzip": "application/vnd.docker.image.rootfs.diff.tar.gzip", "": "application/vnd.docker.image.rootfs.diff.tar"}

CONFIG = """version: 0.1
storage: {{filesystem: {{rootdirectory: {root}}}, delete: {{enabled: true}}}}
http: {{addr: "{address}:{port}"{tls}}}
log: {{level: error}}
validation: {{manifests: {{urls: {{allow: ["^http"]}}}}}}
{auth}"""


def program():
    for path in ("/usr/bin/docker-registry", f"{CACHE}/peers/usr/bin/docker-registry"):
        if os.access(path, os.X_OK):
            return path
    raise AssertionError("no docker-registry: ./run test unpacks Debian's")


class Registry:
    ports = iter(range(5000, 5900))

    def __init__(self, engine, htpasswd=None, tls=None, auth=None, address="127.0.0.1"):
        """tls: certificate, key and, where clients have to show one, the authority of theirs. auth: the configuration's section."""
        self.engine, self.port = engine, next(self.ports)
        self.host = f"127.0.0.1:{self.port}"
        self.folder = engine.scratch()
        self.root = os.path.join(self.folder, "data")
        if htpasswd:
            auth = f"{{htpasswd: {{realm: test, path: {htpasswd}}}}}"
        auth = f"auth: {auth}\n" if auth else ""
        lines = f", tls: {{certificate: {tls[0]}, key: {tls[1]}{f', clientcas: [{tls[2]}]' if tls[2:] else ''}}}" if tls else ""
        config = os.path.join(self.folder, "config.yml")
        with open(config, "w") as f:
            f.write(CONFIG.format(root=self.root, port=self.port, auth=auth, tls=lines, address=address))
        machine = engine.machine
        self.pid = machine.spawn([program(), "serve", config], {"PATH": os.environ["PATH"]}, os.path.join(self.folder, "log"))
        until(self.listens, what="docker-registry")

    def listens(self):
        try:
            self.engine.machine.net.connect("127.0.0.1", self.port).close()
            return True
        except OSError:
            return False

    def stop(self):
        self.engine.machine.signal(self.pid, 9)
        self.engine.machine.wait(self.pid)

    def blobs(self):
        """Digests of all blobs that it has."""
        top = os.path.join(self.root, "docker/registry/v2/blobs/sha256")
        return {"sha256:" + b for a in os.listdir(top) for b in os.listdir(os.path.join(top, a))}

    # ---- artifacts by hand ----
    def call(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.sock = self.engine.net.connect("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            answer.content = answer.read()
            return answer
        finally:
            connection.close()

    def put_blob(self, repo, data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        place = self.call("POST", f"/v2/{repo}/blobs/uploads/").headers["Location"]
        place = place[place.index("/v2/"):]
        answer = self.call("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", data, {"Content-Type": "application/octet-stream"})
        assert answer.status == 201, answer.content
        return digest

    def put_manifest(self, repo, tag, document, kind):
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        answer = self.call("PUT", f"/v2/{repo}/manifests/{tag or digest}", data, {"Content-Type": kind})
        assert answer.status == 201, answer.content
        return {"mediaType": kind, "digest": digest, "size": len(data)}

    def put_image(self, repo, tag, *layers, config=None, schema="oci", lie=None):
        """An image of (media type suffix, uncompressed tar, compressed bytes) layers; lie(manifest, config) may change both. -> its descriptor, with "layers"."""
        oci = schema == "oci"
        rows = [{"mediaType": (OCI_LAYER if oci else DOCKER_LAYER)[suffix], "digest": self.put_blob(repo, packed), "size": len(packed)} for suffix, _, packed in layers]
        image = {"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
                 "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest() for _, tar, _ in layers]},
                 "history": [{"created_by": "test"} for _ in layers], **(config or {})}
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST if oci else DOCKER_MANIFEST, "layers": rows}
        if lie:
            lie(manifest, image)
        text = json.dumps(image).encode()
        manifest["config"] = {"mediaType": OCI_CONFIG if oci else DOCKER_CONFIG, "digest": self.put_blob(repo, text), "size": len(text)}
        made = self.put_manifest(repo, tag, manifest, manifest["mediaType"])
        return {**made, "layers": rows, "id": manifest["config"]["digest"]}


def gzipped(tar, level=1):
    return "gzip", tar, gzip.compress(tar, level, mtime=0)


def zstded(tar):
    return "zstd", tar, subprocess.run(["zstd", "-q", "-c"], input=tar, check=True, capture_output=True).stdout


def plain(tar):
    return "", tar, tar


def random_layer(name, size):
    """A layer of incompressible bytes."""
    return gzipped(tar_of((name, {"data": os.urandom(size)})), 0 if size > 1 << 20 else 1)


def forget_images(engine, prefix="127.0.0.1:"):
    """Removes the images whose names begin like that: a registry's."""
    for image in engine.api.get("/images/json").json:
        for name in (image["RepoTags"] or []) + (image["RepoDigests"] or []):
            if name.startswith(prefix):
                engine.api.delete(f"/images/{name}", force=1)
