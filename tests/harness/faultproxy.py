"""A bad network and a bad registry: an HTTP proxy in front of a real one that does what it is told to, and counts.

As a program (`python3 faultproxy.py LISTEN_PORT UPSTREAM_PORT`) it runs in the engine's network namespace; FaultProxy is the tests' hand on
it. Rules are objects; the first one that fits a request and has not been used up is carried out:

    match     regular expression for "METHOD /path?query" (re.search)
    skip, times   leave the first ones alone; how many it is good for (absent: all)
  instead of asking the registry:
    drop      close without an answer           status, headers, body   answer that
    redirect  to "http://host:port" + the path  (status: 307)
  of what is asked:
    no_range  the registry never sees Range     cut_request  close both sides after that many bytes of the request's body
  of the answer:
    cut       reset after that many bytes of the body        end     close cleanly there
    stall     send nothing more after that many bytes for `hold` seconds, then close
    rate      bytes a second                                 flip    invert the byte there (counted in the whole blob)
    length    added to Content-Length                        set     {header: value, or null to leave it out}
    content   these bytes instead of the body (base64)       chop    leave out that many bytes at the end, the length fits

A request in absolute form or CONNECT is what a client sends to an HTTP proxy: it is passed on to where it says.
"""
import base64
import email.utils
import fcntl
import json
import os
import re
import select
import socket
import struct
import sys
import threading
import time

SIOCOUTQNSD = 0x894B
CHUNK = 65536


class Reader:
    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def head(self):
        while b"\r\n\r\n" not in self.buffer:
            more = self.sock.recv(CHUNK)
            if not more:
                return None
            self.buffer += more
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        return first, [tuple(part.strip() for part in line.split(":", 1)) for line in lines]

    def some(self, n):
        if self.buffer:
            out, self.buffer = self.buffer[:n], self.buffer[n:]
            return out
        return self.sock.recv(min(n, CHUNK))

    def line(self):
        while b"\r\n" not in self.buffer:
            more = self.sock.recv(CHUNK)
            if not more:
                raise ConnectionError("cut")
            self.buffer += more
        out, self.buffer = self.buffer.split(b"\r\n", 1)
        return out

    def body(self, headers, to_the_end=False):
        """The body's bytes, piece by piece, without its chunks."""
        kinds = {k.lower(): v for k, v in headers}
        if "chunked" in kinds.get("transfer-encoding", ""):
            while True:
                n = int(self.line().split(b";")[0], 16)
                left = n
                while left:
                    piece = self.some(left)
                    if not piece:
                        raise ConnectionError("cut")
                    left -= len(piece)
                    yield piece
                self.line()
                if n == 0:
                    return
        left = int(kinds.get("content-length", 1 << 62 if to_the_end else 0))
        while left > 0:
            piece = self.some(left)
            if not piece:
                if to_the_end:
                    return
                raise ConnectionError("cut")
            left -= len(piece)
            yield piece


def reset(sock):
    """Close as a lost peer does. Returns how many bytes never left."""
    try:
        kept = struct.unpack("i", fcntl.ioctl(sock, SIOCOUTQNSD, b"\0" * 4))[0]
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        kept = 0
    sock.close()
    return kept


class Cut(Exception):
    pass


class Proxy:
    def __init__(self, port, upstream):
        self.port, self.upstream = port, upstream
        self.lock = threading.Lock()
        self.rules, self.log, self.blob_bytes, self.open, self.refuse, self.peak = [], [], {}, 0, 0, 0

    # ---- what tests say ----
    def command(self, what):
        with self.lock:
            if "rules" in what:
                self.rules = [dict(rule, used=0, seen=0) for rule in what["rules"]]
            self.refuse = what.get("refuse", self.refuse)
            answer = {"log": self.log, "blob_bytes": self.blob_bytes, "open": self.open, "peak": self.peak, "used": [rule["used"] for rule in self.rules]}
            if what.get("forget"):
                self.log, self.blob_bytes, self.peak = [], {}, 0
            return answer

    def rule(self, request):
        with self.lock:
            for rule in self.rules:
                if not re.search(rule.get("match", ""), request):
                    continue
                rule["seen"] += 1
                if rule["seen"] <= rule.get("skip", 0) or rule["used"] >= rule.get("times", 1 << 60):
                    continue
                rule["used"] += 1
                return rule
        return {}

    def count(self, path, n):
        digest = re.search(r"/blobs/(sha256:[0-9a-f]{64})", path)
        if digest:
            with self.lock:
                self.blob_bytes[digest.group(1)] = self.blob_bytes.get(digest.group(1), 0) + n

    # ---- one connection ----
    def serve(self, client):
        reader = Reader(client)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if client.recv(1, socket.MSG_PEEK) == b"\x16":  # TLS: a Go server answers so
                client.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
                return
            while True:
                head = reader.head()
                if not head or not self.one(client, reader, *head):
                    break
        except (OSError, Cut, ValueError):
            pass
        finally:
            client.close()

    def one(self, client, reader, first, headers):
        method, target, _ = first.split(" ", 2)
        if target == "/_fault":
            answer = json.dumps(self.command(json.loads(b"".join(reader.body(headers)) or b"{}"))).encode()
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
            return True
        given = {k.lower(): v for k, v in headers}
        path, via = target, None
        if target.startswith("http://"):
            via, path = target[7:].split("/", 1)
            path = "/" + path
        rule = self.rule(f"{method} {path}")
        entry = {"at": time.monotonic(), "method": method, "path": path, "range": given.get("range"), "authorization": given.get("authorization"),
                 "if_range": given.get("if-range"), "proxied": via or (target if method == "CONNECT" else None), "status": 0, "sent": 0, "got": 0}
        with self.lock:
            self.log.append(entry)
        if method == "CONNECT":
            return self.tunnel(client, target)
        if rule.get("drop"):
            reset(client)
            raise Cut
        if "redirect" in rule or "status" in rule:
            for piece in reader.body(headers):
                entry["got"] += len(piece)
            return self.answer(client, rule, path, entry, method)
        return self.pass_on(client, reader, rule, method, path, via, headers, entry)

    def answer(self, client, rule, path, entry, method):
        status = rule.get("status", 307)
        body = rule.get("body", "").encode()
        out = dict(rule.get("headers", {}))
        if "redirect" in rule:
            out["Location"] = rule["redirect"] + path
        if out.get("Retry-After", "").startswith("date+"):
            out["Retry-After"] = email.utils.formatdate(time.time() + int(out["Retry-After"][5:]), usegmt=True)
        lines = "".join(f"{k}: {one}\r\n" for k, v in out.items() for one in (v if isinstance(v, list) else [v]))
        entry["status"] = status
        client.sendall(f"HTTP/1.1 {status} Told To\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + (b"" if method == "HEAD" else body))
        return True

    def tunnel(self, client, target):
        host, port = target.rsplit(":", 1)
        upstream = socket.create_connection((host, int(port)))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")

        def copy(a, b):
            try:
                while (piece := a.recv(CHUNK)):
                    b.sendall(piece)
                b.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        back = threading.Thread(target=copy, args=(upstream, client), daemon=True)
        back.start()
        copy(client, upstream)
        back.join()
        upstream.close()
        return False

    def pass_on(self, client, reader, rule, method, path, via, headers, entry):
        host, port = via.rsplit(":", 1) if via else ("127.0.0.1", self.upstream)
        upstream = socket.create_connection((host, int(port)))
        try:
            chunked = any(k.lower() == "transfer-encoding" for k, _ in headers)
            lines = "".join(f"{k}: {v}\r\n" for k, v in headers
                            if k.lower() not in ("connection", "proxy-connection", "expect") and not (rule.get("no_range") and k.lower() in ("range", "if-range")))
            upstream.sendall(f"{method} {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode("latin-1"))
            for piece in reader.body(headers):
                if "cut_request" in rule and entry["got"] + len(piece) > rule["cut_request"]:
                    piece = piece[:rule["cut_request"] - entry["got"]]
                    upstream.sendall((b"%x\r\n" % len(piece) + piece + b"\r\n" if piece else b"") if chunked else piece)
                    entry["got"] += len(piece)
                    reset(client)
                    raise Cut
                if "rate" in rule:
                    time.sleep(len(piece) / rule["rate"])
                entry["got"] += len(piece)
                upstream.sendall(b"%x\r\n" % len(piece) + piece + b"\r\n" if chunked else piece)
            if chunked:
                upstream.sendall(b"0\r\n\r\n")
            back = Reader(upstream)
            head = back.head()
            while head and " 100 " in head[0]:
                head = back.head()
            if not head:
                raise Cut
            return self.relay(client, back, rule, method, path, head, entry)
        finally:
            upstream.close()

    def relay(self, client, back, rule, method, path, head, entry):
        first, headers = head
        status = int(first.split()[1])
        entry["status"] = status
        bodyless = method == "HEAD" or status in (204, 304)
        given = {k.lower(): v for k, v in headers}
        body = back.body(headers, True)
        length = int(given.get("content-length", 0))
        if "content" in rule or "chop" in rule:
            whole = b"" if bodyless else b"".join(body)
            whole = base64.b64decode(rule["content"]) if "content" in rule else whole[:len(whole) - rule["chop"]]
            length = len(whole)
            body = iter([] if bodyless else [whole[i:i + CHUNK] for i in range(0, length, CHUNK)])
        elif "transfer-encoding" in given:
            whole = b"".join(body)
            length, body = len(whole), iter([whole])
        change = {k.lower(): v for k, v in rule.get("set", {}).items()}
        out = [(k, v) for k, v in headers if k.lower() not in ("content-length", "transfer-encoding", "connection", *change)]
        out += [(k, v) for k, v in change.items() if v is not None]
        if "content-length" not in change:
            out.append(("Content-Length", str(length + rule.get("length", 0))))
        lines = "".join(f"{k}: {v}\r\n" for k, v in out)
        client.sendall(f"{first}\r\n{lines}\r\n".encode("latin-1"))
        if bodyless:
            return True
        started = re.match(r"bytes (\d+)-", given.get("content-range", ""))
        try:
            self.body(client, body, rule, path, entry, int(started.group(1)) if started else 0)
        finally:
            self.count(path, entry["sent"] if method == "GET" else 0)
        return "length" not in rule

    def body(self, client, body, rule, path, entry, start):
        limit = min(rule.get(k, 1 << 62) for k in ("cut", "end", "stall"))
        if "rate" in rule:  # small pieces: a slow link has little under way
            body = (piece[i:i + 8192] for piece in body for i in range(0, len(piece), 8192))
        for piece in body:
            if "flip" in rule and start + entry["sent"] <= rule["flip"] < start + entry["sent"] + len(piece):
                at = rule["flip"] - start - entry["sent"]
                piece = piece[:at] + bytes([piece[at] ^ 0xff]) + piece[at + 1:]
            last = entry["sent"] + len(piece) >= limit
            if last:
                piece = piece[:limit - entry["sent"]]
            self.send(client, piece, entry)
            if "rate" in rule:
                time.sleep(len(piece) / rule["rate"])
            if last:
                if "stall" in rule:
                    time.sleep(rule.get("hold", 3600))
                if "cut" in rule:
                    entry["sent"] -= reset(client)
                raise Cut

    def send(self, client, piece, entry):
        """Counts what really left: nothing does to a peer that has closed."""
        view = memoryview(piece)
        while view:
            if client in select.select([client], [], [], 0)[0] and not client.recv(1, socket.MSG_PEEK):
                raise Cut
            try:
                n = client.send(view)
            except OSError:
                entry["sent"] -= reset(client)
                raise
            entry["sent"] += n
            view = view[n:]

    def connection(self, client):
        with self.lock:
            self.open += 1
            self.peak = max(self.peak, self.open)
        try:
            self.serve(client)
        finally:
            with self.lock:
                self.open -= 1

    def run(self):
        listener = socket.create_server(("", self.port), backlog=64)
        while True:
            client, _ = listener.accept()
            with self.lock:
                refuse, self.refuse = self.refuse, max(self.refuse - 1, 0)
            first = client.recv(16, socket.MSG_PEEK) if refuse else b""
            if refuse and b"/_fault" not in first:
                reset(client)
                continue
            threading.Thread(target=self.connection, args=(client,), daemon=True).start()


class FaultProxy:
    def __init__(self, registry):
        from .cli import until
        self.machine, self.net, self.port = registry.engine.machine, registry.engine.net, registry.port + 1000
        self.host = f"127.0.0.1:{self.port}"
        self.pid = self.machine.spawn([sys.executable, os.path.abspath(__file__), str(self.port), str(registry.port)], {"PATH": os.environ["PATH"]},
                                      os.path.join(registry.folder, "proxy.log"))
        until(self.listens, what="the fault proxy")

    def listens(self):
        try:
            return self.stats() is not None
        except OSError:
            return False

    def say(self, **what):
        data = json.dumps(what).encode()
        with self.net.connect("127.0.0.1", self.port, timeout=60) as s:
            s.sendall(b"POST /_fault HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
            reader = Reader(s)
            return json.loads(b"".join(reader.body(reader.head()[1])))

    def rules(self, *rules, refuse=0):
        """From now on these, and the counting begins again."""
        self.say(rules=rules, refuse=refuse, forget=True)

    def stats(self):
        return self.say()

    def blob_bytes(self, digests=None):
        counted = self.stats()["blob_bytes"]
        return sum(n for d, n in counted.items() if digests is None or d in digests)

    def asked(self, pattern):
        return [entry for entry in self.stats()["log"] if re.search(pattern, f"{entry['method']} {entry['path']}")]

    def stop(self):
        self.machine.signal(self.pid, 9)
        self.machine.wait(self.pid)


if __name__ == "__main__":
    Proxy(int(sys.argv[1]), int(sys.argv[2])).run()
