"""hoyd on the disk whose power is cut, and the registry beside it, whose power is not."""
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

from harness.api import Api
from harness.engine import program
from harness.machine import in_netns
from registry import rig as registries
import truth

REGISTRY = "127.0.0.1:5000"


class Failed(Exception):
    pass


class Engine:
    """hoyd as process 1 of namespaces that die with it."""

    PATIENCE = 60  # seconds until it must answer
    NAMESPACES = ("-n", "-m", "-p", "-f", "--mount-proc", "--kill-child")

    def __init__(self, folder, disk, driver="overlay2", *words):
        self.folder, self.disk, self.driver, self.proc, self.remote, self.more = folder, disk, driver, None, None, words
        self.log, self.sock = os.path.join(folder, "hoyd.log"), os.path.join(folder, "hoy.sock")
        self.api = Api(self.sock)
        self.data, self.env = os.path.join(disk.root, "hoy"), dict(os.environ)
        self.layers = "layers" if driver == "overlay2" else f"layers-{driver}"

    def start(self):
        self.run = os.path.join(self.folder, "run")  # as /run: it does not outlive the machine
        shutil.rmtree(self.run, ignore_errors=True)
        self.said = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        argv = [program("hoyd"), "--programs", os.path.dirname(program("hoyd")), "--data-root", self.data, "--exec-root", self.run, "-H", f"unix://{self.sock}",
                "--storage-driver", self.driver, *self.more]
        with open(self.log, "ab") as log:
            self.proc = subprocess.Popen(["unshare", *self.NAMESPACES, "--propagation", "private", "sh", "-c",
                                          'ip link set lo up; exec "$@"', "sh", *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env)
        end = time.monotonic() + self.PATIENCE
        while not self.answers():
            if self.proc.poll() is not None or time.monotonic() > end:
                raise Failed(f"hoyd does not start: {self.words()}")
            time.sleep(0.005)
        if self.remote:
            self.remote.listen(self.proc.pid)

    def answers(self):
        try:
            return self.api.get("/_ping", version="").status == 200
        except OSError:
            return False

    def words(self):
        """What this hoyd has said."""
        with open(self.log, errors="replace") as f:
            f.seek(self.said)
            return f.read()

    def kill(self):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(signal.SIGKILL)  # the namespace's process 1 goes with it, and everything with that
            self.proc.wait()


class Remote:
    """A registry in this process, with the material's images as REGISTRY/any/name:s0, s1, ... Its sockets are in hoyd's network. `sent`: how far
    into each blob it ever came."""

    def __init__(self, material, rng):
        self.registry, self.rng, self.listener, self.pause = registries.Registry(), rng, None, 0.02
        self.sent, self.bytes, self.images = {}, 0, []
        blobs = [self.registry.put_blob(data) for data in material.packed]
        for n, stack in enumerate(material.stacks):
            config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/busybox", "true"], "Labels": {"pulled": str(n)}},
                                 "rootfs": {"type": "layers", "diff_ids": [truth.digest(material.tars[i]) for i in stack]}}).encode()
            kind = "application/vnd.docker.image.rootfs.diff.tar.gzip"
            self.registry.put_manifest(f"s{n}", {
                "schemaVersion": 2, "mediaType": registries.DOCKER,
                "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": self.registry.put_blob(config), "size": len(config)},
                "layers": [{"mediaType": kind, "digest": blobs[i], "size": len(material.packed[i])} for i in stack]}, registries.DOCKER)
            self.images.append(truth.digest(config))
        self.registry.rule(self.slowly)

    def slowly(self, h):
        what = h.path.rsplit("/", 1)[1]
        if h.command != "GET" or what not in self.registry.blobs:
            return False
        data, first = self.registry.blobs[what], int(h.headers.get("Range", "bytes=0-")[6:].split("-")[0])
        if first >= len(data):
            return False
        h.send_response(206 if first else 200)
        for key, value in {"ETag": '"x"', "Content-Length": len(data) - first, **({"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"} if first else {})}.items():
            h.send_header(key, str(value))
        h.end_headers()
        pause = self.rng.choice((0, self.pause))
        for at in range(first, len(data), 32768):
            h.wfile.write(data[at:at + 32768])
            n = min(32768, len(data) - at)
            self.sent[what], self.bytes = max(self.sent.get(what, 0), at + n), self.bytes + n
            if pause:
                h.wfile.flush()
                time.sleep(pause)
        return True

    def listen(self, pid):
        self.close()
        self.listener = in_netns(pid, lambda: socket.create_server(("127.0.0.1", int(REGISTRY.split(":")[1]))))
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                self.registry.server.process_request(*listener.accept())
            except OSError:
                return

    def close(self):
        if self.listener:
            try:
                self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            except OSError:
                pass
            self.listener.close()
            self.listener = None
