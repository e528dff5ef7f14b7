"""A token server as distribution's specification has it (GET and OAuth2 POST), whose tokens Debian's docker-registry accepts.

As a program: tokens.py PORT FOLDER. FOLDER has key.pem and cert.pem, and gets log (one JSON object per request). A file
FOLDER/stale with a number in it: that many of the next tokens have run out when they are made. Users: joe with "secret"."""
import base64
import http.server
import json
import os
import secrets
import subprocess
import sys
import time
from urllib.parse import parse_qs, urlsplit

USERS = {"joe": "secret"}
SERVICE, ISSUER = "test registry", "test issuer"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Handler(http.server.BaseHTTPRequestHandler):
    def user(self):
        given = self.headers.get("Authorization", "")
        if not given.startswith("Basic "):
            return ""
        name, _, password = base64.b64decode(given[6:]).decode().partition(":")
        return name if USERS.get(name) == password else None

    def do_GET(self):
        self.serve({k: v for k, v in parse_qs(urlsplit(self.path).query).items()}, self.user())

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        token = form.get("refresh_token", [""])[0]
        form["scope"] = " ".join(form.get("scope", [])).split()
        self.serve(form, token.removeprefix("refresh-") if token.startswith("refresh-") else None)

    def serve(self, query, user):
        with open(os.path.join(self.server.folder, "log"), "a") as f:
            f.write(json.dumps({"method": self.command, "query": query, "user": user}) + "\n")
        if user is None:
            return self.answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]})
        access = []
        for scope in query.get("scope", []):
            kind, name, actions = scope.split(":", 2) if scope.count(":") == 2 else (*scope.rsplit(":", 1)[0].split(":", 1), scope.rsplit(":", 1)[1])
            granted = [a for a in actions.split(",") if user or a == "pull" and "/public/" in name]
            access.append({"type": kind, "name": name, "actions": granted})
        answer = {"access_token" if self.command == "POST" else "token": self.token(user, access), "expires_in": 300}
        if query.get("offline_token") == ["true"]:
            answer["refresh_token"] = f"refresh-{user}"
        return self.answer(200, answer)

    def stale(self):
        path = os.path.join(self.server.folder, "stale")
        n = int(open(path).read()) if os.path.exists(path) else 0
        if n:
            with open(path, "w") as f:
                f.write(str(n - 1))
        return n > 0

    def token(self, user, access):
        now = int(time.time()) - (7200 if self.stale() else 0)
        cert = "".join(line for line in open(f"{self.server.folder}/cert.pem").read().splitlines() if "CERTIFICATE" not in line)
        text = b64(json.dumps({"typ": "JWT", "alg": "RS256", "x5c": [cert]}).encode()) + "." + b64(json.dumps(
            {"iss": ISSUER, "sub": user, "aud": SERVICE, "exp": now + 600, "nbf": now - 10, "iat": now, "jti": secrets.token_hex(8), "access": access}).encode())
        signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", f"{self.server.folder}/key.pem"], input=text.encode(), check=True, capture_output=True).stdout
        return text + "." + b64(signed)

    def answer(self, status, document):
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


def self_signed(folder, name="cert", subject="/CN=test"):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", subject, "-keyout", f"{folder}/key.pem",
                    "-out", f"{folder}/{name}.pem"], check=True, capture_output=True)


class TokenServer:
    def __init__(self, engine, port):
        from .cli import until
        self.engine, self.port, self.folder = engine, port, engine.scratch()
        self_signed(self.folder)
        self.pid = engine.machine.spawn([sys.executable, os.path.abspath(__file__), str(port), self.folder], {"PATH": os.environ["PATH"]}, f"{self.folder}/out")
        until(self.listens, what="the token server")

    def listens(self):
        try:
            self.engine.net.connect("127.0.0.1", self.port).close()
            return True
        except OSError:
            return False

    @property
    def auth(self):
        """For docker-registry's configuration."""
        return (f"{{token: {{realm: 'http://127.0.0.1:{self.port}/token', service: '{SERVICE}', issuer: '{ISSUER}', rootcertbundle: {self.folder}/cert.pem}}}}")

    def stale(self, n):
        with open(f"{self.folder}/stale", "w") as f:
            f.write(str(n))

    def asked(self):
        path = f"{self.folder}/log"
        return [json.loads(line) for line in open(path)] if os.path.exists(path) else []

    def stop(self):
        self.engine.machine.signal(self.pid, 9)
        self.engine.machine.wait(self.pid)


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.folder = sys.argv[2]
    server.serve_forever()
