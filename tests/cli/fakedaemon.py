"""A daemon that only listens: records requests, gives fixed answers. Enough to see what a client sends."""
import json
import os
import socket
import threading


class FakeDaemon:
    def __init__(self, path, answers=None):
        self.path = path
        self.requests = []
        self.answers = answers or {}
        if os.path.exists(path):
            os.unlink(path)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(path)
        self.sock.listen(8)
        threading.Thread(target=self.serve, daemon=True).start()

    def close(self):
        self.sock.close()

    def serve(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.connection, args=(conn,), daemon=True).start()

    def connection(self, conn):
        with conn, conn.makefile("rwb") as f:
            while self.one(f):
                pass

    def one(self, f):
        line = f.readline()
        if not line:
            return False
        method, target, _ = line.decode().split()
        head = {}
        while True:
            text = f.readline().decode().strip()
            if not text:
                break
            key, value = text.split(":", 1)
            head[key.lower()] = value.strip()
        body = f.read(int(head.get("content-length", "0"))).decode()
        path = target.split("/", 2)[2] if target.startswith("/v1.") else target.lstrip("/")
        self.requests.append((method, "/" + path, body))
        status, answer, kind = self.answer(method, "/" + path)
        if method == "HEAD":
            answer = b""
        f.write(
            (
                f"HTTP/1.1 {status} Answer\r\nApi-Version: 1.51\r\nOstype: linux\r\nContent-Type: {kind}\r\n"
                f"Content-Length: {len(answer)}\r\n\r\n"
            ).encode()
            + answer
        )
        f.flush()
        return True

    def answer(self, method, path):
        plain = path.split("?")[0]
        if plain == "/_ping":
            return 200, b"OK", "text/plain"
        if (method, plain) in self.answers:
            status, value = self.answers[(method, plain)]
            return status, json.dumps(value).encode(), "application/json"
        if plain == "/containers/create":
            return 201, json.dumps({"Id": "a" * 64, "Warnings": []}).encode(), "application/json"
        return 404, json.dumps({"message": "no answer for " + plain}).encode(), "application/json"
