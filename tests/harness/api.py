"""Docker's HTTP API over a unix socket: answers as they are, and raw bytes for requests that no client would send."""
import http.client
import json
import socket
import urllib.parse


class _Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("docker", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = unix(self.path, self.timeout)


def unix(path, timeout=60):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    s.connect(path)
    return s


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body) if self.body else None

    @property
    def message(self):
        return self.json["message"]


class Api:
    def __init__(self, path, version="v1.41"):
        self.path = path
        self.version = version

    def call(self, method, path, /, body=None, headers=None, version=None, timeout=60, **query):
        """body: an object becomes JSON, bytes stay. version "" = no version in the path."""
        version = self.version if version is None else version
        target = (f"/{version}" if version else "") + path
        if query:
            target += "?" + urllib.parse.urlencode({k: json.dumps(v) if isinstance(v, (dict, list)) else v for k, v in query.items()})
        headers = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)) and not hasattr(body, "read"):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        connection = _Connection(self.path, timeout)
        try:
            connection.request(method, target, body, headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, /, **kw):
        return self.call("GET", path, **kw)

    def post(self, path, /, body=None, **kw):
        return self.call("POST", path, body, **kw)

    def delete(self, path, /, **kw):
        return self.call("DELETE", path, **kw)

    def raw(self, data, timeout=60, half_close=True):
        """Sends bytes as they are; returns everything that comes back until the server closes."""
        with unix(self.path, timeout) as s:
            try:
                s.sendall(data)
                if half_close:
                    s.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before all was sent: the answer is still there to read
            out = b""
            while True:
                try:
                    more = s.recv(65536)
                except ConnectionResetError:
                    return out
                if not more:
                    return out
                out += more

    def inspect(self, container):
        answer = self.get(f"/containers/{container}/json")
        assert answer.status == 200, answer.body
        return answer.json

    def hijack(self, path, body=None, upgrade=True):
        """POST that turns the connection into a stream: (status, socket, bytes already read)."""
        s = unix(self.path)
        payload = json.dumps(body).encode() if body is not None else b""
        head = f"POST /{self.version}{path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}\r\n"
        if upgrade:
            head += "Connection: Upgrade\r\nUpgrade: tcp\r\n"
        s.sendall(head.encode() + b"\r\n" + payload)
        got = b""
        while b"\r\n\r\n" not in got:
            more = s.recv(4096)
            assert more, got
            got += more
        head, rest = got.split(b"\r\n\r\n", 1)
        return int(head.split()[1]), s, rest


def read_all(s, rest=b""):
    while True:
        more = s.recv(65536)
        if not more:
            return rest
        rest += more


def demux(data):
    """Docker's stream frames -> {1: stdout, 2: stderr}; asserts that they are whole."""
    out = {1: b"", 2: b""}
    while data:
        assert len(data) >= 8 and data[0] in out and data[1:4] == b"\0\0\0", data[:16]
        n = int.from_bytes(data[4:8], "big")
        assert len(data) >= 8 + n, "frame cut off"
        out[data[0]] += data[8:8 + n]
        data = data[8 + n:]
    return out
