"""A registry beside an engine: Debian's docker-registry, listening in the engine's own network namespace."""
import gzip
import hashlib
import http.client
import json
import os

from .cli import until
from .engine import CACHE

CONFIG = """version: 0.1
storage: {{filesystem: {{rootdirectory: {root}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"{tls}}}
log: {{level: error}}
{auth}"""


def program():
    for path in ("/usr/bin/docker-registry", f"{CACHE}/peers/usr/bin/docker-registry"):
        if os.access(path, os.X_OK):
            return path
    raise AssertionError("no docker-registry: ./run test unpacks Debian's")


class Registry:
    ports = iter(range(5000, 5900))

    def __init__(self, engine, htpasswd=None, tls=None):
        self.engine, self.port = engine, next(self.ports)
        self.host = f"127.0.0.1:{self.port}"
        self.folder = engine.scratch()
        self.root = os.path.join(self.folder, "data")
        auth = f"auth: {{htpasswd: {{realm: test, path: {htpasswd}}}}}\n" if htpasswd else ""
        lines = f", tls: {{certificate: {tls[0]}, key: {tls[1]}}}" if tls else ""
        config = os.path.join(self.folder, "config.yml")
        with open(config, "w") as f:
            f.write(CONFIG.format(root=self.root, port=self.port, auth=auth, tls=lines))
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


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def put_image(engine, registry, repo, tag, *layers):
    """Puts an image of these gzip layers into a registry, without any engine; the digest of its last layer."""
    connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=60)
    connection.sock = engine.machine.net.connect("127.0.0.1", registry.port)

    def call(method, path, body=None, kind="application/octet-stream"):
        connection.request(method, path, body, {"Content-Type": kind} if body is not None else {})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status in (201, 202), (method, path, answer.status, text)
        return answer.getheader("Location")

    def blob(data, kind):
        where = call("POST", f"/v2/{repo}/blobs/uploads/").split(f":{registry.port}", 1)[-1]
        call("PUT", where + ("&" if "?" in where else "?") + "digest=" + sha(data), data)
        return {"mediaType": kind, "size": len(data), "digest": sha(data)}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                         "rootfs": {"type": "layers", "diff_ids": [sha(gzip.decompress(layer)) for layer in layers]}}).encode()
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": blob(config, "application/vnd.docker.container.image.v1+json"),
                "layers": [blob(layer, "application/vnd.docker.image.rootfs.diff.tar.gzip") for layer in layers]}
    call("PUT", f"/v2/{repo}/manifests/{tag}", json.dumps(manifest).encode(), kind)
    return sha(layers[-1])
