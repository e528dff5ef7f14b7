"""What the registry client is tried against: a registry in Python that misbehaves on demand, a token server, Debian's docker-registry,
and the probe that drives image/remote.h."""
import base64
import gzip
import hashlib
import http.server
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse

BUILD = pathlib.Path(os.environ.get("HOY_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))
OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def probe(*args, stdin=None, timeout=60, **options):
    """Runs registry_probe; returns (exit status, its lines)."""
    options.setdefault("backoff", 20)
    words = [f"{k}={v}" for k, vs in options.items() for v in (vs if isinstance(vs, list) else [vs])]
    done = subprocess.run([BUILD / "programs/registry_probe", f"worker={BUILD}/programs/hoy-worker", *words, *map(str, args)],
                          stdin=stdin or subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False,
                          env={**os.environ, "PROBE_RSS": "1"})
    assert done.stderr == "", done.stderr
    return done.returncode, done.stdout.splitlines()


def error_of(result):
    status, lines = result
    assert status == 1, lines
    return [line for line in lines if line.startswith("error ")][-1]


def wire_of(result):
    status, lines = result
    assert status == 0, lines
    return int(lines[-2].split()[3] if lines[-1].startswith("worker") else lines[-1].split()[3])


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def handle(self):
        try:
            super().handle()
        except (ConnectionError, ssl.SSLError):
            pass

    def any(self):
        length = self.headers.get("Content-Length")
        self.body = self.rfile.read(int(length)) if length and self.command in ("POST", "PUT") else b""
        self.server.rig.serve(self)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = any

    def answer(self, status, body=b"", headers=(), length=None, cut=None):
        """Sends an answer; length: what Content-Length claims; cut: close behind so many bytes."""
        self.send_response(status)
        for key, value in dict(headers).items():
            for v in value if isinstance(value, list) else [value]:
                self.send_header(key, v)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def error(self, status, code, message, detail=None, headers=()):
        one = {"code": code, "message": message}
        if detail is not None:
            one["detail"] = detail
        self.answer(status, json.dumps({"errors": [one]}).encode(), {"Content-Type": "application/json", **dict(headers)})


class Registry:
    """Serves what was put in; `rules` are asked first: each gets the handler and returns True where it has answered."""

    def __init__(self, host="127.0.0.1", tls=None):
        self.blobs, self.manifests, self.types = {}, {}, {}
        self.rules, self.log, self.lock = [], [], threading.Lock()
        self.server = http.server.ThreadingHTTPServer((host, 0), Handler)
        self.server.daemon_threads = True
        self.server.rig = self
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.scheme = "https" if tls else "http"
        self.host = f"{host}:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()

    def put_blob(self, data):
        self.blobs[digest(data)] = data
        return digest(data)

    def put_manifest(self, name, doc, media_type=OCI):
        data = doc if isinstance(doc, bytes) else json.dumps(doc).encode()
        for key in (name, digest(data)):
            if key:
                self.manifests[key], self.types[key] = data, media_type
        return digest(data)

    def put_image(self, name, layers=(b"layer",), media_type=OCI, **config):
        config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []},
                             **config}).encode()
        doc = {"schemaVersion": 2, "mediaType": media_type,
               "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": self.put_blob(config), "size": len(config)},
               "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": self.put_blob(x), "size": len(x)} for x in layers]}
        return self.put_manifest(name, doc, media_type)

    def rule(self, function):
        self.rules.append(function)
        return function

    def asked(self, method=None, part=""):
        return [r for r in self.log if part in r[1] and method in (None, r[0])]

    def serve(self, h):
        with self.lock:
            self.log.append((h.command, h.path, dict(h.headers)))
        for rule in list(self.rules):
            if rule(h):
                return
        path = urllib.parse.urlsplit(h.path).path
        if path == "/v2/":
            return h.answer(200, b"{}")
        what = path.rsplit("/", 1)[1]
        if "/manifests/" in path and what in self.manifests:
            return h.answer(200, self.manifests[what], {"Content-Type": self.types[what], "Docker-Content-Digest": digest(self.manifests[what])})
        if "/blobs/" in path and what in self.blobs:
            return self.send_blob(h, self.blobs[what])
        if "/blobs/" in path:
            return h.error(404, "BLOB_UNKNOWN", "blob unknown to registry", {"digest": what})
        return h.error(404, "MANIFEST_UNKNOWN", "manifest unknown", {"Tag": what})

    def send_blob(self, h, data, **how):
        first = int(h.headers["Range"].split("=")[1].split("-")[0]) if "Range" in h.headers else 0
        if first >= len(data) and first:
            return h.answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        if first:
            return h.answer(206, data[first:], {"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}", "ETag": '"x"'}, **how)
        return h.answer(200, data, {"ETag": '"x"'}, **how)


class Uploads:
    """The writing half of a registry: keeps what arrived of a broken PATCH and goes on behind it."""

    def __init__(self, registry, cut=None, absolute=False, forgets=False):
        self.registry, self.cut, self.absolute, self.forgets, self.got = registry, cut, absolute, forgets, b""

    @staticmethod
    def chunks(h):
        while True:
            size = int(h.rfile.readline(), 16)
            data = h.rfile.read(size + 2)[:-2]
            if not size:
                return
            yield data

    def piped(self, h):
        """A body of unknown length, in chunks; False where it was cut."""
        n = 0
        for data in self.chunks(h):
            n += len(data)
            self.got += data
            if self.cut is not None and n > self.cut:
                return False
        return True

    def location(self):
        path = "/v2/foo/blobs/uploads/1?state=x"
        return f"http://{self.registry.host}{path}" if self.absolute else path

    def serve(self, h):
        if "/uploads/" not in h.path:
            return False
        where = {"Location": self.location(), "Range": f"0-{max(len(self.got) - 1, 0)}"}
        if h.command == "POST":
            self.got = b""
            h.answer(202, b"", where)
        elif h.command == "GET":
            h.answer(204, b"", where)
        elif h.command == "PATCH":
            if "Content-Length" not in h.headers:
                if self.piped(h):
                    h.answer(202, b"", {"Location": self.location()})
                    return True
                self.got = b"" if self.forgets else self.got
                h.close_connection = True
                h.connection.shutdown(socket.SHUT_RDWR)
                return True
            if int(h.headers.get("Content-Range", "0-").split("-")[0]) != len(self.got):
                h.answer(416, b"")
                return True
            size = int(h.headers["Content-Length"])
            n = size if self.cut is None else min(size, self.cut)
            self.got += h.rfile.read(n)
            if n < size:
                h.close_connection = True
                h.connection.shutdown(socket.SHUT_RDWR)
                return True
            h.answer(202, b"", {"Location": self.location()})
        elif h.command == "PUT":
            said = urllib.parse.parse_qs(urllib.parse.urlsplit(h.path).query)["digest"][0]
            if said != digest(self.got):
                h.error(400, "DIGEST_INVALID", "provided digest did not match uploaded content", {})
            else:
                self.registry.put_blob(self.got)
                h.answer(201, b"", {"Location": "/v2/foo/blobs/" + said})
        return True


class Cutter:
    """A proxy for TCP: connection i is cut when limits[i] bytes came from the client (no limit where the list ends)."""

    def __init__(self, target, limits):
        self.target, self.limits = target.split(":"), list(limits)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.listener.close()

    def accept(self):
        while True:
            try:
                a, _ = self.listener.accept()
            except OSError:
                return
            b = socket.create_connection(self.target)
            limit = self.limits.pop(0) if self.limits else 1 << 60
            threading.Thread(target=self.forward, args=(a, b, limit), daemon=True).start()
            threading.Thread(target=self.forward, args=(b, a, 1 << 60), daemon=True).start()

    @staticmethod
    def forward(a, b, left):
        try:
            while left > 0 and (data := a.recv(min(65536, left))):
                b.sendall(data)
                left -= len(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class TokenServer(Registry):
    """Gives tokens to who knows the password; a registry believes those it gave."""

    def __init__(self, user="user", password="secret", anonymous=(), life=300):
        super().__init__()
        self.given, self.asked_for = {}, []
        self.user, self.password, self.anonymous, self.life = user, password, anonymous, life
        self.refresh = "refresh-me"

    def serve(self, h):
        url = urllib.parse.urlsplit(h.path)
        query = urllib.parse.parse_qs(h.body.decode() if h.command == "POST" else url.query)
        basic = h.headers.get("Authorization", "")
        self.asked_for.append((h.command, query, basic))
        known = basic == "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode() or \
            (h.command == "POST" and query.get("refresh_token") == [self.refresh])
        if not known and (basic or h.command == "POST"):
            return h.error(401, "UNAUTHORIZED", "incorrect username or password")
        scopes = [s for scope in query.get("scope", []) for s in scope.split(" ")]
        granted = scopes if known else [s for s in scopes if s in self.anonymous]
        token = f"token{len(self.asked_for)}"
        self.given[token] = granted
        answer = {"token": token, "expires_in": self.life}
        if query.get("offline_token") == ["true"]:
            answer["refresh_token"] = self.refresh
        return h.answer(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def guard(self, registry, service="test", challenges=None):
        """registry asks for tokens of this server."""
        def rule(h):
            token = h.headers.get("Authorization", "").removeprefix("Bearer ")
            parts = urllib.parse.urlsplit(h.path).path.split("/")
            name = "/".join(parts[2:-2]) if len(parts) > 4 else None
            if name and name.endswith("/blobs"):
                name = name[:-6]
            need = "pull" if h.command in ("GET", "HEAD") else "push"
            mine = self.given.get(token)
            if mine is not None and (name is None or any(s.startswith(f"repository:{name}:") and need in s.split(":")[2] for s in mine)):
                return False
            scope = f',scope="repository:{name}:pull{",push" if need == "push" else ""}"' if name else ""
            why = ',error="insufficient_scope"' if mine is not None else ""
            header = challenges or f'Bearer realm="http://{self.host}/token",service="{service}"{scope}{why}'
            h.error(401, "UNAUTHORIZED", "authentication required", [], {"WWW-Authenticate": header})
            return True
        registry.rules.insert(0, rule)


class Real:
    """Debian's docker-registry."""

    binary = shutil.which("docker-registry")

    def __init__(self, folder, http_part="", auth="", host="127.0.0.1"):
        with socket.socket() as s:
            s.bind((host, 0))
            self.host = f"{host}:{s.getsockname()[1]}"
        (folder / "registry.yml").write_text(
            f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}\n"
            f"http:\n  addr: {self.host}\n{http_part}\n{auth}\n")
        self.log = open(folder / "registry.log", "wb")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen([self.binary, "serve", folder / "registry.yml"], stdout=self.log, stderr=self.log)  # pylint: disable=consider-using-with
        for _ in range(200):
            try:
                socket.create_connection((host, int(self.host.rsplit(":", 1)[1])), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("docker-registry does not start: " + (folder / "registry.log").read_text())

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        self.process.wait()
        self.log.close()


def certificates(folder, name="IP:127.0.0.1"):
    """ca.crt, server.{crt,key}, client.{cert,key} of a private authority."""
    def run(*args):
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=test ca", "-days", "2")
    for who, suffix in (("server", "crt"), ("client", "cert")):
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{who}.key", "-out", f"{who}.csr", "-subj", f"/CN={who}")
        (folder / "ext").write_text(f"subjectAltName={name}\n")
        run("x509", "-req", "-in", f"{who}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{who}.{suffix}", "-days", "2", "-extfile", "ext")
    return folder


def server_tls(folder, client=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    if client:
        context.load_verify_locations(folder / "ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def tarball(n):
    return gzip.compress(os.urandom(n), 1)
