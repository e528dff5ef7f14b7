"""Requests that no honest client sends: answered with the right status or a closed connection, and the engine is well afterwards."""
import json
import socket
import threading

import pytest

from harness.api import unix
from harness.images import BUSYBOX


@pytest.fixture(autouse=True)
def the_engine_stays_well(engine):
    yield
    assert engine.api.get("/_ping", version="").body == b"OK"


def status(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else None


MALFORMED = {
    "no_request": b"\r\n\r\n",
    "one_word": b"GET\r\n\r\n",
    "no_version": b"GET /_ping\r\n\r\n",
    "strange_version": b"GET /_ping HTTP/9.9\r\nHost: d\r\n\r\n",
    "binary": bytes(range(256)) * 4 + b"\r\n\r\n",
    "header_without_colon": b"GET /_ping HTTP/1.1\r\nHost: d\r\nnonsense\r\n\r\n",
    "space_before_colon": b"GET /_ping HTTP/1.1\r\nHost : d\r\n\r\n",
    "nul_in_header": b"GET /_ping HTTP/1.1\r\nHost: d\r\nX: a\0b\r\n\r\n",
    "negative_length": b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: -1\r\n\r\n",
    "huge_length": b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "two_lengths": b"POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "bad_chunk": b"POST /containers/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "unknown_coding": b"POST /containers/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: nosuch\r\n\r\n",
    "bad_escape": b"GET /containers/%zz/json HTTP/1.1\r\nHost: d\r\n\r\n",
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_requests_are_refused(api, kind):
    answer = api.raw(MALFORMED[kind])
    assert answer == b"" or status(answer) in (400, 404, 501, 505), answer[:200]


def test_endless_headers_are_cut_off(api):
    answer = api.raw(b"GET /_ping HTTP/1.1\r\nHost: d\r\n" + b"X-Filler: " + b"a" * (3 << 20) + b"\r\n\r\n")
    assert answer == b"" or status(answer) in (400, 431)
    answer = api.raw(b"GET /_ping HTTP/1.1\r\nHost: d\r\n" + b"X-A: b\r\n" * 300000 + b"\r\n")
    assert answer == b"" or status(answer) in (400, 431)


def test_an_endless_request_line_is_cut_off(api):
    answer = api.raw(b"GET /" + b"a" * (3 << 20) + b" HTTP/1.1\r\nHost: d\r\n\r\n")
    assert answer == b"" or status(answer) in (400, 404, 414, 431)


def test_requests_on_one_connection_are_answered_in_order(api):
    one = b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"
    last = b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"
    assert api.raw(one + one + last, half_close=False).count(b"HTTP/1.1 200 OK") == 3


def test_http_1_0_is_answered_and_closed(api):
    assert status(api.raw(b"GET /_ping HTTP/1.0\r\n\r\n", half_close=False)) == 200


def test_expect_continue_is_answered_before_the_body(engine):
    body = json.dumps({"Image": "hoytest:none"}).encode()
    with unix(engine.sock, 10) as s:
        s.sendall(b"POST /v1.41/containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
                  b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert s.recv(4096).startswith(b"HTTP/1.1 100")
        s.sendall(body)
        assert status(s.recv(4096)) == 404


def test_a_chunked_body_is_a_body(engine, api):
    answer = api.raw(b'POST /v1.41/containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n'
                     b'Connection: close\r\n\r\n5;x=y\r\n{"Ima\r\n16\r\nge": "hoytest:nosuch"}\r\n0\r\nTrailer: t\r\n\r\n', half_close=False)
    assert status(answer) == 404 and b"hoytest:nosuch" in answer


WRONG_JSON = {
    "not_json": b"this is not json",
    "cut": b'{"Image": "hoytest:busybox"',
    "array": b"[1,2]",
    "string_for_object": b'{"Image": "hoytest:busybox", "HostConfig": "x"}',
    "number_for_string": b'{"Image": 7}',
    "string_for_number": b'{"Image": "hoytest:busybox", "HostConfig": {"Memory": "lots"}}',
    "fraction_for_integer": b'{"Image": "hoytest:busybox", "HostConfig": {"Memory": 1.5}}',
    "number_too_large": b'{"Image": "hoytest:busybox", "HostConfig": {"Memory": 99999999999999999999}}',
    "object_for_list": b'{"Image": "hoytest:busybox", "Env": {"a": "b"}}',
    "two_values": b'{"Image": "hoytest:busybox"} {"Image": "x"}',
    "deep": b'{"Image": "hoytest:busybox", "Deep": ' + b"[" * 200000 + b"]" * 200000 + b"}",
    "nothing": b"",
}


@pytest.mark.parametrize("kind", WRONG_JSON)
def test_bodies_of_the_wrong_shape_are_400(api, kind):
    before = api.get("/containers/json", all=1).json
    body = WRONG_JSON[kind]
    answer = api.raw(b"POST /v1.41/containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nConnection: close\r\n"
                     b"Content-Length: %d\r\n\r\n" % len(body) + body, half_close=False)
    assert status(answer) == 400 and b'"message"' in answer, answer[-300:]
    assert api.get("/containers/json", all=1).json == before


def test_a_body_that_is_not_called_json_is_refused(api):
    answer = api.post("/containers/create", b"Image=x", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 400 and "Content-Type" in answer.message or "content-type" in answer.message.lower()


def test_a_gigabyte_of_json_is_refused_without_keeping_it(engine):
    """Refused early or read away: the answer is 4xx and the daemon's memory does not follow."""
    head = b"POST /v1.41/containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n"
    block = b'{"Image": "' + b"x" * (1 << 20)
    with unix(engine.sock, 60) as s:
        try:
            s.sendall(head)
            sent = 0
            while sent < 64 << 20:
                s.sendall(block)
                sent += len(block)
        except (BrokenPipeError, ConnectionResetError):
            pass
        else:
            s.shutdown(socket.SHUT_WR)
        try:
            answer = s.recv(4096)
        except ConnectionResetError:
            answer = b""
    assert answer == b"" or status(answer) in (400, 413)
    if getattr(engine, "pid", None):
        pss = int(engine.machine.run("sh", "-c", f"grep ^Pss: /proc/{engine.pid}/smaps_rollup").stdout.split()[1])
        assert pss < 200 * 1024, f"hoyd keeps {pss} kB"


def test_bad_mounts_are_refused(cli):
    for option, value, text in (("-v", "relative/../x:/y:zz", ""), ("-v", "/tmp:relative", "invalid"), ("-v", "/tmp:/", "destination can't be '/'"),
                                ("--mount", "type=bind,source=/no/such/dir,target=/x", "bind source path does not exist"),
                                ("--mount", "type=nosuch,target=/x", "")):
        result = cli("run", "--rm", option, value, BUSYBOX, "true", rc=125)
        assert text in result.err, (value, result.err)


def test_bad_ports_are_refused(cli, api):
    for value in ("70000:80", "80:70000", "x:y", "1.2.3.4.5:80:80", "80:80/nosuch"):
        assert cli("run", "--rm", "-p", value, BUSYBOX, "true", rc=125).err, value
    answer = api.post("/containers/create", {"Image": BUSYBOX, "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "99999"}]}}})
    assert answer.status in (201, 400)  # Docker refuses at create or at start, by version
    if answer.status == 201:
        assert api.post(f"/containers/{answer.json['Id']}/start").status >= 400
        api.delete(f"/containers/{answer.json['Id']}", force=1)


def test_slow_and_silent_clients_do_not_hold_up_others(engine, api):
    idle = [unix(engine.sock) for _ in range(100)]
    for i, s in enumerate(idle):
        s.sendall(b"GET /_pi"[: i % 9])
    assert api.get("/_ping", version="").status == 200  # while they are still there
    for s in idle:
        s.close()


def test_many_clients_at_once(api):
    bad = []

    def ask():
        for _ in range(20):
            if api.get("/containers/json", all=1).status != 200:
                bad.append(1)
    threads = [threading.Thread(target=ask) for _ in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not bad
