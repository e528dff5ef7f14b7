"""docker import URL: fetched by a worker, imported while it comes. The same answers as dockerd's, on which these journeys run, too."""
import io
import json
import os
import sys
import tarfile

import pytest

from harness import engine as engines
from harness.api import unix
from harness.cli import until

PORT = 8765
SERVER = """
import http.server, sys, time
class Handler(http.server.SimpleHTTPRequestHandler):
    def send(self, status, body, **headers):
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k.replace("_", "-"), v)
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        if self.path[:2] == "/s":
            self.send(int(self.path[2:]), b"the reason\\n")
        elif self.path == "/redirect":
            self.send(302, b"", Location="/a.tar", Content_Length="0")
        elif self.path == "/cut":
            self.send(200, open("a.tar", "rb").read(), Content_Length="9999999")
        elif self.path == "/unknown":
            self.send(200, open("a.tar", "rb").read())
        elif self.path == "/never":
            self.send(200, open("a.tar", "rb").read()[:1000], Content_Length="9999999")
            time.sleep(600)
        elif self.path.startswith("http://"):
            self.send(200, open("a.tar", "rb").read())
        else:
            super().do_GET()
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def server(_shared_engine):
    folder = _shared_engine.scratch()
    with tarfile.open(f"{folder}/a.tar", "w") as tar:
        entry = tarfile.TarInfo("etc/name")
        entry.size = 300000
        tar.addfile(entry, io.BytesIO(os.urandom(entry.size)))
    with open(f"{folder}/bad", "w") as f:
        f.write("no tar")
    machine = _shared_engine.machine
    pid = machine.spawn([sys.executable, "-c", f"import os; os.chdir({folder!r}); \n{SERVER}", folder, str(PORT)], {"PATH": os.environ["PATH"]}, f"{folder}/log")

    def listens():
        try:
            machine.net.connect("127.0.0.1", PORT).close()
            return True
        except OSError:
            return False
    until(listens, what="the server")
    yield f"http://127.0.0.1:{PORT}"
    machine.signal(pid, 9)
    machine.wait(pid)


def lines(answer):
    return [json.loads(line) for line in answer.body.decode().splitlines() if line]


def test_an_archive_from_a_url(cli, server, name):
    for path in ("a.tar", "redirect", "unknown"):
        out = cli("import", "-c", "CMD [\"/x\"]", f"{server}/{path}", f"{name}:{path}").out
        assert out.splitlines()[0] == f"Downloading from {server}/{path}"
        image = out.splitlines()[-1]
        assert image.startswith("sha256:") and cli.inspect(f"{name}:{path}", "{{.Id}}") == image
        assert cli.inspect(image, "{{.Config.Cmd}}") == "[/x]"
        assert f"Imported from {server}/{path}" in cli("history", "--no-trunc", image).out
        cli("rmi", f"{name}:{path}")


def test_progress(api, server):
    answer = api.post("/images/create", fromSrc=f"{server[7:]}/a.tar")  # http is what is meant
    got = lines(answer)
    assert got[0] == {"status": f"Downloading from {server}/a.tar"}
    whole = got[-2]["progressDetail"]
    assert got[-2]["status"] == "Importing" and whole["current"] == whole["total"] > 300000
    api.delete(f"/images/{got[-1]['status']}")


@pytest.mark.parametrize("url, status, message", [
    ("{}/s400", 400, "failed to GET {}/s400 with status 400 Bad Request: the reason"),
    ("{}/s401", 401, "failed to GET {}/s401 with status 401 Unauthorized: the reason"),
    ("{}/s403", 403, "failed to GET {}/s403 with status 403 Forbidden: the reason"),
    ("{}/s404", 404, "failed to GET {}/s404 with status 404 Not Found: the reason"),
    ("{}/s410", 500, "failed to GET {}/s410 with status 410 Gone: the reason"),
    ("{}/s500", 500, "failed to GET {}/s500 with status 500 Internal Server Error: the reason"),
    ("http://127.0.0.1:1/x", 500, 'Get "http://127.0.0.1:1/x": dial tcp 127.0.0.1:1: connect: connection refused'),
    ("ftp://x/y", 500, 'Get "ftp://x/y": unsupported protocol scheme "ftp"'),
    ("http://%zz/", 400, 'parse "http://%zz/": invalid URL escape "%zz"'),
    ("foo bar", 400, 'parse "http://foo bar": invalid character " " in host name'),
])
def test_what_cannot_be_fetched(api, server, url, status, message):
    answer = api.post("/images/create", fromSrc=url.format(server))
    assert (answer.status, answer.json["message"]) == (status, message.format(server))


def test_wrong_options_are_said_first(api, server):
    answer = api.post("/images/create", fromSrc=f"{server}/a.tar", repo="BAD")
    assert answer.status == 400 and "must be lowercase" in answer.json["message"]
    answer = api.post("/images/create", fromSrc=f"{server}/s404", platform="nonsense")
    assert answer.status == 400 and "unknown operating system or architecture" in answer.json["message"]


@pytest.mark.parametrize("path, message", [("cut", "unexpected EOF"), ("bad", "")])
def test_what_is_no_whole_archive_leaves_nothing(api, server, path, message):
    before = {i["Id"] for i in api.get("/images/json", all=1).json}
    got = [line for line in lines(api.post("/images/create", fromSrc=f"{server}/{path}")) if "error" in line]
    assert len(got) == 1 and message in got[0]["error"]
    assert {i["Id"] for i in api.get("/images/json", all=1).json} == before


def test_a_proxy_is_asked(new_engine, engine, server):
    """Names that only the proxy knows."""
    other = new_engine("--http-proxy", server, machine=engine.machine)
    got = lines(other.api.post("/images/create", fromSrc="http://nowhere.example/x.tar"))
    assert got[0] == {"status": "Downloading from http://nowhere.example/x.tar"} and got[-1]["status"].startswith("sha256:")


def test_a_server_that_never_ends_does_not_outlast_its_client(engine, server):
    engines.need_hoyd()

    def workers():
        return [p for p, (_, name) in engine.machine.procs().items() if name.startswith("hoy-worker")]
    client = unix(engine.api.path)
    client.sendall(f"POST /images/create?fromSrc={server}/never HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    until(workers, what="a worker")
    client.close()
    until(lambda: not workers(), what="the worker's end", timeout=20)
