#!/usr/bin/env python3
"""Pull, load, save and push of two images, Hoy beside its peers, interleaved: each round runs every engine once, so that the machine's
moods hit all alike. What counts are the ratios of the medians.

    bench/images.py [--rounds 5] [--only medium|small] [--docker NAME=SOCKET=PID]... [--json FILE]

medium: a Debian minbase root as one layer (gzip -6, as Docker pushes it); small: 20,000 files of 1 to 4 KiB in 200 folders.
Each round has layers of its own (a marker file in front).
Engines: hoyd of build-release, Debian's dockerd, podman and skopeo where they are installed (skopeo does not unpack what it pulls),
and any dockerd that runs already: --docker names its socket and a process in its network namespace (the registry is put beside it).
The floor is `igzip -d | tar x && sync -f`. Registries listen on loopback in namespaces of their own; nothing leaves the machine.
"""
import argparse
import gzip
import hashlib
import http.client
import io
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(ROOT, "tests"))

CACHE = os.environ.get("HOY_CACHE") or "/var/cache/hoy-test"
HOY_BIN = os.environ.get("HOY_BIN") or os.path.join(ROOT, "build-release", "programs")
PEERS = f"{CACHE}/peers"
PATH = f"/usr/sbin:/usr/bin:/sbin:/bin:{PEERS}/usr/sbin:{PEERS}/usr/bin"
ENV = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}
STOCK = 10000 + os.getpid() % 20000  # the registries' ports: a running dockerd's namespace may be shared
VERBS = ("pull", "load", "save", "push")


def find(name):
    return shutil.which(name, path=PATH)


def runs(name):
    """It is there and finds its libraries."""
    return find(name) and subprocess.run([find(name), "--version"], capture_output=True, env=ENV).returncode == 0


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


# ---- images ----
def small_tar():
    rng, out = random.Random(7), io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for d in range(200):
            info = tarfile.TarInfo(f"d{d:03}")
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
            for f in range(100):
                data = bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz \n", k=rng.randrange(1024, 4096)))
                info = tarfile.TarInfo(f"d{d:03}/f{f:03}")
                info.size, info.mode, info.mtime = len(data), 0o644, 1700000000
                tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


class Image:
    """A tar and the one layer that it becomes. Nobody has pulled or loaded a marked() one before, and nothing needs to be deleted between
    two measurements: ext4 is slow for a minute behind the deletion of many files (it does not give their inodes out again)."""

    def __init__(self, name, tar, folder):
        self.name, self.tar, self.folder = name, tar, folder
        layer = os.path.join(CACHE, f"bench-{name}-{hashlib.sha256(tar).hexdigest()[:16]}.tar.gz")
        if not os.path.exists(layer):
            os.makedirs(CACHE, exist_ok=True)
            with open(layer + ".new", "wb") as f:
                f.write(gzip.compress(tar, 6, mtime=0))
            os.rename(layer + ".new", layer)
        self.packed = open(layer, "rb").read()

    def marked(self, tag):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as t:
            info = tarfile.TarInfo("bench-mark")
            info.size = len(tag)
            t.addfile(info, io.BytesIO(tag.encode()))
        return Marked(self, tag, out.getvalue()[:1024])  # without the archive's end


class Marked:
    """What a registry and an archive hold of it."""

    def __init__(self, image, tag, mark):
        self.name, self.tag, self.ref = image.name, tag, f"bench/{image.name}:{tag}"
        tar = mark + image.tar
        self.packed = gzip.compress(mark, 6, mtime=0) + image.packed
        self.config = json.dumps({"architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z", "config": {"Cmd": ["sh"]},
                                  "rootfs": {"type": "layers", "diff_ids": [sha(tar)]},
                                  "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "bench"}]}).encode()
        self.manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                                    "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(self.config), "digest": sha(self.config)},
                                    "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": len(self.packed),
                                                "digest": sha(self.packed)}]}).encode()
        self.layer = os.path.join(image.folder, f"{self.name}-{tag}.tar.gz")
        with open(self.layer, "wb") as f:
            f.write(self.packed)
        self.archive = os.path.join(image.folder, f"{self.name}-{tag}.tar")
        with tarfile.open(self.archive, "w") as t:
            rows = [{"Config": "config.json", "RepoTags": [self.ref], "Layers": ["layer.tar"]}]
            for member, data in (("layer.tar", tar), ("config.json", self.config), ("manifest.json", json.dumps(rows).encode())):
                info = tarfile.TarInfo(member)
                info.size = len(data)
                t.addfile(info, io.BytesIO(data))

    def close(self):
        os.unlink(self.layer)
        os.unlink(self.archive)

    def put(self, port):
        """Into a registry in our own network namespace."""
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

        def call(method, path, body=None, kind="application/octet-stream", want=(201, 202)):
            c.request(method, path, body, {"Content-Type": kind} if body is not None else {})
            r = c.getresponse()
            r.read()
            assert r.status in want, (method, path, r.status)
            return r.getheader("Location")
        for data in (self.packed, self.config):
            where = call("POST", f"/v2/bench/{self.name}/blobs/uploads/").split(f":{port}", 1)[-1]
            call("PUT", where + ("&" if "?" in where else "?") + "digest=" + sha(data), data)
        call("PUT", f"/v2/bench/{self.name}/manifests/{self.tag}", self.manifest, "application/vnd.docker.distribution.manifest.v2+json")


class Registry:
    def __init__(self, folder, port, beside=None):
        self.folder, self.port = folder, port
        os.makedirs(folder, exist_ok=True)
        config = os.path.join(folder, f"{port}.yml")
        with open(config, "w") as f:
            f.write(f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\nhttp: {{addr: 127.0.0.1:{port}}}\nlog: {{level: error}}\n")
        enter = ["nsenter", "-t", str(beside), "-n"] if beside else []
        self.proc = subprocess.Popen([*enter, find("docker-registry"), "serve", config], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENV)
        for _ in range(200):
            if subprocess.run([*enter, "python3", "-c", f"import socket; socket.create_connection(('127.0.0.1', {port})).close()"], capture_output=True, env=ENV).returncode == 0:
                return
            time.sleep(0.05)
        sys.exit("bench: docker-registry does not listen")

    def stop(self):
        self.proc.kill()
        self.proc.wait()


# ---- engines ----
class Tool:
    """Anything with the four verbs; each returns the argv that is timed."""
    beside = None

    def drop(self, images):
        pass

    def run(self, argv, **kw):
        done = subprocess.run(argv, env={**ENV, **self.env}, stdin=subprocess.DEVNULL, stdout=kw.pop("stdout", subprocess.DEVNULL), stderr=subprocess.PIPE, **kw)
        if done.returncode:
            sys.exit(f"bench: {self.name}: {' '.join(argv)}: {done.stderr.decode()}")

    def stop(self):
        pass


class Docker(Tool):
    def __init__(self, name, sock, beside=None, proc=None):
        self.name, self.beside, self.proc = name, beside, proc
        self.env = {"DOCKER_HOST": f"unix://{sock}"}
        self.cli = find("docker")

    def drop(self, images):
        self.run([self.cli, "rmi", "-f", *(sha(i.config) for i in images)])

    def pull(self, image, port):
        return [self.cli, "pull", "-q", f"127.0.0.1:{port}/{image.ref}"]

    def load(self, image, port):
        return [self.cli, "load", "-q", "-i", image.archive]

    def save(self, image, port):
        return [self.cli, "save", image.ref]

    def push(self, image, port):
        self.run([self.cli, "tag", image.ref, f"127.0.0.1:{port}/{image.ref}"])
        return [self.cli, "push", "-q", f"127.0.0.1:{port}/{image.ref}"]

    def stop(self):
        if self.proc:
            self.proc.send_signal(signal.SIGTERM)
            self.proc.wait(60)


class Podman(Tool):
    def __init__(self, folder):
        self.name, self.env = "podman", {}
        self.base = [find("podman"), "--root", f"{folder}/podman", "--runroot", f"{folder}/podman-run", "--storage-driver", "overlay"]

    def pull(self, image, port):
        return [*self.base, "pull", "-q", "--tls-verify=false", f"127.0.0.1:{port}/{image.ref}"]

    def load(self, image, port):
        return [*self.base, "load", "-q", "-i", image.archive]

    def save(self, image, port):
        return [*self.base, "save", "-q", image.ref]

    def push(self, image, port):
        return [*self.base, "push", "-q", "--tls-verify=false", image.ref, f"127.0.0.1:{port}/{image.ref}"]


class Skopeo(Tool):
    name, env = "skopeo", {}

    def __init__(self, folder):
        self.folder = folder

    def pull(self, image, port):
        return [find("skopeo"), "copy", "-q", "--src-tls-verify=false", f"docker://127.0.0.1:{port}/{image.ref}", f"oci:{self.folder}/skopeo-{image.tag}:1"]

    load = save = None

    def push(self, image, port):
        return [find("skopeo"), "copy", "-q", "--dest-tls-verify=false", f"docker-archive:{image.archive}", f"docker://127.0.0.1:{port}/{image.ref}"]


def start(name, argv, folder):
    sock = f"{folder}/{name}.sock"
    log = open(f"{folder}/{name}.log", "wb")
    proc = subprocess.Popen([*argv, "--data-root", f"{folder}/{name}", "--exec-root", f"{folder}/{name}-run", "-H", f"unix://{sock}", "--pidfile", f"{folder}/{name}.pid"],
                            stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=ENV)
    for _ in range(600):
        with socket.socket(socket.AF_UNIX) as s:
            try:
                s.connect(sock)
                return Docker(name, sock, proc=proc)
            except OSError:
                time.sleep(0.05)
    sys.exit(f"bench: {name} did not start:\n" + open(f"{folder}/{name}.log", errors="replace").read()[-2000:])


def timed(tool, argv, out=None):
    os.sync()
    begin = time.monotonic()
    if out:
        with open(out, "wb") as f:
            tool.run(argv, stdout=f)
    else:
        tool.run(argv)
    took = time.monotonic() - begin
    if out:
        os.unlink(out)
    return took


def floor(image, folder):
    to = f"{folder}/floor-{image.tag}"
    os.makedirs(to)
    os.sync()
    begin = time.monotonic()
    subprocess.run(["sh", "-c", f"igzip -d -c {image.layer} | tar x -C {to} && sync -f {to}"], check=True, env=ENV)
    return time.monotonic() - begin


def one(tool, verb, image, folder, port):
    """Seconds. A push goes to an empty registry: nothing is there to be mounted."""
    registry = Registry(f"{folder}/push{port}", port, tool.beside) if verb == "push" else None
    argv = getattr(tool, verb)(image, port if registry else STOCK)
    took = timed(tool, argv, f"{folder}/saved" if verb == "save" else None)
    if registry:
        registry.stop()
        shutil.rmtree(registry.folder)
    return took


def measure(tools, images, folder, rounds):
    stock = {None: Registry(f"{folder}/stock", STOCK)}
    port, rows, made = STOCK, {}, []
    for tool in tools:
        if tool.beside not in stock:
            stock[tool.beside] = Registry(f"{folder}/stock", STOCK, tool.beside)
    for image in images:
        for round_ in range(rounds + 1):  # the first warms up and is not counted
            pulled, loaded = (image.marked(f"{what}-{os.getpid()}-{round_}") for what in ("pull", "load"))
            pulled.put(STOCK)
            made += [pulled, loaded]
            took = {("floor", "pull"): floor(pulled, folder)}
            for tool in tools:
                for verb in VERBS:
                    if getattr(tool, verb):
                        port += 1
                        took[tool.name, verb] = one(tool, verb, loaded if verb != "pull" else pulled, folder, port)
            pulled.close()
            loaded.close()
            print(f"bench: {image.name} {round_}/{rounds}: " + ", ".join(f"{t} {v} {s:.2f}" for (t, v), s in took.items()), flush=True)
            for key, seconds in took.items():
                if round_:
                    rows.setdefault((image.name, *key), []).append(seconds)
    for tool in tools:
        tool.drop(made)
    for registry in stock.values():
        registry.stop()
    return rows


def table(rows, tools, images):
    names = [t.name for t in tools]
    out = ["| image | verb | " + " | ".join(names) + " | floor |", "|---|---|" + "---|" * (len(names) + 1)]
    for image in images:
        for verb in VERBS:
            cells = []
            mine = statistics.median(rows[image.name, "hoy", verb])
            for name in [*names, "floor"]:
                v = rows.get((image.name, name, verb))
                m = statistics.median(v) if v else None
                cells.append("–" if m is None else f"{m:.2f}" if name == "hoy" else f"{m:.2f} ({m / mine:.1f} ×)")
            out.append(f"| {image.name} | {verb} | " + " | ".join(cells) + " |")
    return "\n".join(out)


def main(args):
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="hoy-bench-") as folder:
        os.chmod(folder, 0o755)
        images = []
        if args.only != "small":
            from harness.images import debian_rootfs
            images.append(Image("medium", open(debian_rootfs(), "rb").read(), folder))
        if args.only != "medium":
            images.append(Image("small", small_tar(), folder))
        tools = [start("hoy", [f"{HOY_BIN}/hoyd"], folder)]
        if runs("dockerd"):
            tools.append(start("docker", [find("dockerd"), "--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"], folder))
        for text in args.docker:
            name, sock, pid = text.split("=")
            tools.append(Docker(name, sock, beside=int(pid)))
        tools += [Podman(folder)] if runs("podman") else []
        tools += [Skopeo(folder)] if runs("skopeo") else []
        try:
            rows = measure(tools, images, folder, args.rounds)
        finally:
            for tool in tools:
                tool.stop()
    text = table(rows, tools, images)
    print(text)
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"rounds": args.rounds, "load": os.getloadavg()[0], "sizes": {i.name: [len(i.tar), len(i.packed)] for i in images},
                       "seconds": {"/".join(k): v for k, v in rows.items()}, "table": text}, f, indent=1)
            f.write("\n")


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--only", choices=["medium", "small"])
    p.add_argument("--docker", action="append", default=[], metavar="NAME=SOCKET=PID")
    p.add_argument("--json")
    return p.parse_args()


if __name__ == "__main__":
    options()
    if os.environ.get("HOY_BENCH_INSIDE") != "images":
        os.environ["HOY_BENCH_INSIDE"] = "images"
        os.execvp("unshare", ["unshare", "-m", "-n", "--propagation", "private", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", sys.executable, *sys.argv])
    main(options())
