"""The registry client against registries that behave, and against one that does not."""
import base64
import crypt  # pylint: disable=deprecated-module
import json
import os
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import rig  # noqa: E402
from rig import DOCKER, INDEX, LIST, OCI, Real, Registry, TokenServer, digest, error_of, probe, wire_of  # noqa: E402

real = pytest.mark.skipif(not Real.binary, reason="docker-registry is not installed")
DATA = os.urandom(1_000_000)


@pytest.fixture
def reg():
    with Registry() as r:
        yield r


def get(reg, tmp_path, data=DATA, **options):
    d = reg.put_blob(data)
    return probe("get", f"{reg.host}/foo", tmp_path / "out", d, len(data), **options)


# ---- blobs ----
def test_a_blob_comes_whole_and_once(reg, tmp_path):
    assert wire_of(get(reg, tmp_path)) == len(DATA)
    assert (tmp_path / "out").read_bytes() == DATA


def test_a_blob_goes_on_where_the_file_ends(reg, tmp_path):
    (tmp_path / "out").write_bytes(DATA[:700_000])
    assert wire_of(get(reg, tmp_path)) == 300_000
    assert (tmp_path / "out").read_bytes() == DATA


def test_a_whole_file_asks_for_nothing(reg, tmp_path):
    (tmp_path / "out").write_bytes(DATA)
    assert wire_of(get(reg, tmp_path)) == 0
    assert not reg.asked("GET", "/blobs/")


def test_cuts_cost_no_byte_twice_and_do_not_use_up_the_attempts(reg, tmp_path):
    @reg.rule
    def cut(h):
        if "/blobs/" not in h.path:
            return False
        reg.send_blob(h, DATA, cut=50_000)
        return True
    assert wire_of(get(reg, tmp_path, attempts=2)) <= len(DATA) * 1.01
    assert (tmp_path / "out").read_bytes() == DATA
    assert len(reg.asked("GET", "/blobs/")) >= 20
    assert all(r[2].get("If-Range") == '"x"' for r in reg.asked("GET", "/blobs/")[1:])


def test_a_server_that_ignores_range_does_not_spoil_the_file(reg, tmp_path):
    @reg.rule
    def whole(h):
        if "/blobs/" not in h.path:
            return False
        h.answer(200, DATA)
        return True
    (tmp_path / "out").write_bytes(DATA[:400_000])
    assert wire_of(get(reg, tmp_path)) == len(DATA)
    assert (tmp_path / "out").read_bytes() == DATA


@pytest.mark.parametrize("length", [999_999, 1_000_001])
def test_another_length_is_refused_at_once(reg, tmp_path, length):
    data = DATA[:999_999] if length < 1_000_000 else DATA + b"x"

    @reg.rule
    def other(h):
        if "/blobs/" not in h.path:
            return False
        h.answer(200, data)
        return True
    assert f"registry sends {length} bytes instead of 1000000" in error_of(get(reg, tmp_path))
    assert not (tmp_path / "out").read_bytes()
    assert len(reg.asked("GET", "/blobs/")) == 1


def test_more_bytes_than_said_are_never_written(reg, tmp_path):
    @reg.rule
    def endless(h):
        if "/blobs/" not in h.path:
            return False
        h.send_response(200)
        h.send_header("Transfer-Encoding", "chunked")
        h.end_headers()
        for _ in range(30):
            h.wfile.write(b"10000\r\n" + bytes(65536) + b"\r\n")
        h.wfile.write(b"0\r\n\r\n")
        return True
    assert "registry sends more than 1000000 bytes" in error_of(get(reg, tmp_path))
    assert (tmp_path / "out").stat().st_size <= 1_000_000


def test_a_range_that_was_not_asked_for_is_refused(reg, tmp_path):
    @reg.rule
    def wrong(h):
        if "/blobs/" not in h.path:
            return False
        h.answer(206, DATA[600_000:], {"Content-Range": "bytes 600000-999999/1000000"})
        return True
    (tmp_path / "out").write_bytes(DATA[:400_000])
    assert "another range" in error_of(get(reg, tmp_path, attempts=2))
    assert (tmp_path / "out").read_bytes() == DATA[:400_000]


def test_range_not_satisfiable_is_an_error(reg, tmp_path):
    reg.put_blob(DATA)
    (tmp_path / "out").write_bytes(DATA)
    assert "no more than 1000000 bytes of 1000001" in error_of(probe("get", f"{reg.host}/foo", tmp_path / "out", digest(DATA), 1_000_001))


def test_a_stalled_registry_is_given_up_and_asked_again(reg, tmp_path):
    stalled = []

    @reg.rule
    def stall(h):
        if "/blobs/" not in h.path or stalled:
            return False
        stalled.append(1)
        h.send_response(200)
        h.send_header("Content-Length", str(len(DATA)))
        h.end_headers()
        h.wfile.write(DATA[:1000])
        h.wfile.flush()
        time.sleep(6)
        return True
    assert wire_of(get(reg, tmp_path, stall=2)) == len(DATA)
    assert (tmp_path / "out").read_bytes() == DATA


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_an_overloaded_registry_is_asked_again(reg, tmp_path, status):
    left = [2]

    @reg.rule
    def busy(h):
        if "/blobs/" not in h.path or not left[0]:
            return False
        left[0] -= 1
        h.answer(status)
        return True
    assert wire_of(get(reg, tmp_path)) == len(DATA)


def test_retry_after_is_obeyed_and_told(reg, tmp_path):
    times = []

    @reg.rule
    def busy(h):
        if "/blobs/" not in h.path:
            return False
        times.append(time.monotonic())
        if len(times) > 1:
            return False
        h.answer(429, b"", {"Retry-After": "2"})
        return True
    result = get(reg, tmp_path)
    assert "say: Retrying in 2 seconds" in result[1]
    assert times[1] - times[0] >= 1.9


def test_attempts_end(reg, tmp_path):
    @reg.rule
    def broken(h):
        if "/blobs/" not in h.path:
            return False
        h.answer(503)
        return True
    assert error_of(get(reg, tmp_path, attempts=3)).endswith("received unexpected HTTP status: 503 Service Unavailable")
    assert len(reg.asked("GET", "/blobs/")) == 3


def test_foreign_layers_come_from_their_urls(reg, tmp_path):
    with Registry() as other:
        d = other.put_blob(DATA)
        assert wire_of(probe("get", f"{reg.host}/foo", tmp_path / "out", d, len(DATA), f"http://{other.host}/blobs/{d}")) == len(DATA)
        assert not reg.asked("GET", "/blobs/")
    assert (tmp_path / "out").read_bytes() == DATA


def test_a_full_disk_is_no_reason_to_try_again(reg, tmp_path):
    d = reg.put_blob(DATA)
    assert "no space left on device" in error_of(probe("get", f"{reg.host}/foo", "/dev/full", d, len(DATA))).lower()
    assert len(reg.asked("GET", "/blobs/")) == 1


def test_cancel_ends_all_that_is_under_way(reg, tmp_path):
    reg.put_image("latest", layers=[DATA, DATA[1:], DATA[2:], DATA[3:]])

    @reg.rule
    def stall(h):
        if "/blobs/" not in h.path or h.path.split("/")[-1] not in map(digest, [DATA, DATA[1:], DATA[2:], DATA[3:]]):
            return False
        h.send_response(200)
        h.send_header("Content-Length", "1000000")
        h.end_headers()
        time.sleep(8)
        return True
    begin = time.monotonic()
    assert error_of(probe("pull", f"{reg.host}/foo", tmp_path, "latest", cancel=1000)) == "error system: context canceled"
    assert time.monotonic() - begin < 4


def test_a_daemon_that_dies_takes_its_worker_along(reg, tmp_path):
    d, stop = reg.put_blob(DATA), []

    @reg.rule
    def stall(h):
        if "/blobs/" not in h.path:
            return False
        h.send_response(200)
        h.send_header("Content-Length", str(len(DATA)))
        h.end_headers()
        h.wfile.write(DATA[:500_000])
        h.wfile.flush()
        stop.append(h.connection.recv(1))
        return True
    with subprocess.Popen([rig.BUILD / "programs/registry_probe", f"worker={rig.BUILD}/programs/hoy-worker", "get", f"{reg.host}/foo",
                           tmp_path / "out", d, str(len(DATA))]) as p:
        for _ in range(100):
            if (tmp_path / "out").exists() and (tmp_path / "out").stat().st_size == 500_000:
                break
            time.sleep(0.05)
        p.kill()
    for _ in range(100):
        if stop:
            break
        time.sleep(0.05)
    assert stop == [b""], "the worker's connection is still there"
    reg.rules.clear()
    assert wire_of(get(reg, tmp_path)) == 500_000


# ---- signing in ----
def test_authorization_does_not_follow_to_another_port(reg, tmp_path):
    with Registry() as cdn, TokenServer() as tokens:
        d = cdn.put_blob(DATA)
        tokens.guard(reg)

        def redirect(h):
            if "/blobs/" not in h.path:
                return False
            h.answer(307, b"", {"Location": f"http://{cdn.host}/blobs/{d}"})
            return True
        reg.rules.append(redirect)
        assert wire_of(probe("get", f"{reg.host}/foo", tmp_path / "out", d, len(DATA), user="user", password="secret")) == len(DATA)
        assert "Authorization" in reg.asked("GET", "/blobs/")[-1][2]
        assert all("Authorization" not in r[2] for r in cdn.log)


def test_another_host_cannot_ask_for_our_password(reg, tmp_path):
    want = "Basic " + base64.b64encode(b"user:secret").decode()
    with Registry() as cdn:
        @cdn.rule
        def ask(h):
            h.error(401, "UNAUTHORIZED", "x", [], {"WWW-Authenticate": 'Basic realm="mine"'})
            return True

        @reg.rule
        def guard(h):
            if h.headers.get("Authorization") != want:
                h.error(401, "UNAUTHORIZED", "x", [], {"WWW-Authenticate": 'Basic realm="x"'})
            elif "/blobs/" in h.path:
                h.answer(307, b"", {"Location": f"http://{cdn.host}/b"})
            else:
                return False
            return True
        assert "unauthorized" in error_of(probe("get", f"{reg.host}/foo", tmp_path / "out", digest(DATA), len(DATA), user="user", password="secret"))
        assert len(cdn.log) == 1 and "Authorization" not in cdn.log[0][2]


def test_authorization_follows_on_the_same_host(reg, tmp_path):
    with TokenServer() as tokens:
        tokens.guard(reg)
        d = reg.put_blob(DATA)

        def redirect(h):
            if "/blobs/" not in h.path or "again" in h.path:
                return False
            h.answer(307, b"", {"Location": h.path.replace("/foo/", "/foo/") + "?again/" + d})
            return True
        reg.rules.append(redirect)
        assert wire_of(probe("get", f"{reg.host}/foo", tmp_path / "out", d, len(DATA), user="user", password="secret")) == len(DATA)


def test_endless_redirects_end(reg, tmp_path):
    @reg.rule
    def around(h):
        if "/blobs/" not in h.path:
            return False
        h.answer(307, b"", {"Location": h.path})
        return True
    assert "stopped after 10 redirects" in error_of(get(reg, tmp_path))


def test_anonymous_tokens(reg):
    with TokenServer(anonymous=["repository:foo:pull"]) as tokens:
        tokens.guard(reg)
        reg.put_image("latest")
        assert probe("resolve", f"{reg.host}/foo", "latest")[0] == 0
        assert len(tokens.asked_for) == 1
        _, query, basic = tokens.asked_for[0]
        assert query == {"service": ["test"], "scope": ["repository:foo:pull"]} and not basic


def test_a_token_for_user_and_password(reg):
    with TokenServer() as tokens:
        tokens.guard(reg)
        reg.put_image("latest")
        assert probe("resolve", f"{reg.host}/foo", "latest", user="user", password="secret")[0] == 0
        assert tokens.asked_for[0][1]["account"] == ["user"]
        assert error_of(probe("resolve", f"{reg.host}/foo", "latest", user="user", password="wrong")) == \
            "error unauthorized: unauthorized: incorrect username or password"


def test_an_identity_token_is_posted(reg):
    with TokenServer() as tokens:
        tokens.guard(reg)
        reg.put_image("latest")
        assert probe("resolve", f"{reg.host}/foo", "latest", identity="refresh-me")[0] == 0
        method, query, _ = tokens.asked_for[0]
        assert method == "POST" and query["grant_type"] == ["refresh_token"] and query["scope"] == ["repository:foo:pull"]


def test_a_registry_token_is_used_as_it_is(reg):
    with TokenServer() as tokens:
        tokens.guard(reg)
        tokens.given["mine"] = ["repository:foo:pull"]
        reg.put_image("latest")
        assert probe("resolve", f"{reg.host}/foo", "latest", token="mine")[0] == 0
        assert not tokens.asked_for


def test_several_challenges_in_one_header(reg):
    with TokenServer(anonymous=["repository:foo:pull"]) as tokens:
        tokens.guard(reg, challenges=f'Negotiate, Basic realm="a, \\"b\\"", Bearer realm="http://{tokens.host}/token",service="x, y"')
        reg.put_image("latest")
        assert probe("resolve", f"{reg.host}/foo", "latest")[0] == 0
        assert tokens.asked_for[0][1]["service"] == ["x, y"]


def test_a_token_that_is_not_believed_any_more_is_replaced(reg, tmp_path):
    with TokenServer(anonymous=["repository:foo:pull"]) as tokens:
        tokens.guard(reg)
        reg.put_image("latest", layers=[DATA])

        def forget(h):
            if "/blobs/" in h.path and digest(DATA) in h.path and "token1" in tokens.given:
                del tokens.given["token1"]
            return False
        reg.rules.insert(0, forget)
        assert probe("pull", f"{reg.host}/foo", tmp_path, "latest")[0] == 0
        assert len(tokens.asked_for) == 2


def test_scopes_of_several_repositories_are_asked_for_together(reg):
    with TokenServer() as tokens:
        tokens.guard(reg)
        d = reg.put_blob(DATA)

        @reg.rule
        def mount(h):
            if h.command != "POST":
                return False
            h.answer(201, b"", {"Location": f"/v2/foo/blobs/{d}"})
            return True
        assert "mounted" in probe("mount", f"{reg.host}/foo", d, "bar", push=1, also="bar", user="user", password="secret")[1]
        assert tokens.asked_for[0][1]["scope"] == ["repository:foo:pull,push", "repository:bar:pull"]


def test_basic(reg):
    want = "Basic " + base64.b64encode(b"user:secret").decode()

    @reg.rule
    def guard(h):
        if h.headers.get("Authorization") == want:
            return False
        h.error(401, "UNAUTHORIZED", "authentication required", [], {"WWW-Authenticate": 'Basic realm="test"'})
        return True
    reg.put_image("latest")
    assert probe("resolve", f"{reg.host}/foo", "latest", user="user", password="secret")[0] == 0
    assert "no basic auth credentials" in error_of(probe("resolve", f"{reg.host}/foo", "latest"))
    assert error_of(probe("resolve", f"{reg.host}/foo", "latest", user="user", password="wrong")) == \
        "error unauthorized: unauthorized: authentication required"


# ---- manifests ----
def test_manifest_unknown(reg):
    assert error_of(probe("resolve", f"{reg.host}/foo", "latest")) == \
        f"error notfound: manifest for {reg.host}/foo:latest not found: manifest unknown: manifest unknown"


def test_access_denied(reg):
    @reg.rule
    def denied(h):
        if h.path == "/v2/":
            return False
        h.error(403, "DENIED", "requested access to the resource is denied", [])
        return True
    assert error_of(probe("resolve", f"{reg.host}/foo", "latest")).startswith(f"error notfound: pull access denied for {reg.host}/foo, ")


@pytest.mark.parametrize("kind", [OCI, DOCKER])
def test_an_image(reg, kind):
    d = reg.put_image("latest", media_type=kind)
    lines = probe("resolve", f"{reg.host}/foo", "latest")[1]
    assert lines[:2] == [f"digest {d}", f"manifest {d}"]
    assert probe("resolve", f"{reg.host}/foo", d)[1][0] == f"digest {d}"


def index(reg, entries, name="latest", kind=INDEX):
    return reg.put_manifest(name, {"schemaVersion": 2, "mediaType": kind, "manifests": [
        {"mediaType": OCI, "digest": d, "size": 100, **({"platform": p} if p else {}), **more} for d, p, more in entries]}, kind)


def linux(arch, variant=None):
    return {"os": "linux", "architecture": arch, **({"variant": variant} if variant else {})}


@pytest.mark.parametrize("kind", [INDEX, LIST])
def test_the_platform_is_chosen(reg, kind):
    images = {v: reg.put_image(None, media_type=OCI, variant=v) for v in ("v5", "v6", "v7")}
    amd, unknown = reg.put_image(None, author="a"), reg.put_image(None, author="attestation")
    index(reg, [(unknown, linux("amd64"), {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}}),
                (unknown, {"os": "unknown", "architecture": "unknown"}, {}), (images["v5"], linux("arm", "v5"), {}),
                (images["v6"], linux("arm", "v6"), {}), (amd, linux("amd64"), {})], kind=kind)

    def chosen(platform):
        return probe("resolve", f"{reg.host}/foo", "latest", platform=platform)[1][1].split()[1]
    assert chosen("linux/amd64") == amd
    assert chosen("linux/amd64/v3") == amd
    assert chosen("linux/arm/v7") == images["v6"]
    assert chosen("linux/arm/v5") == images["v5"]
    assert error_of(probe("resolve", f"{reg.host}/foo", "latest", platform="linux/riscv64")) == \
        "error notfound: no matching manifest for linux/riscv64 in the manifest list entries"


def test_nested_indexes(reg):
    d = reg.put_image(None)
    for _ in range(3):
        d = index(reg, [(d, linux("amd64"), {})], None)
    index(reg, [(d, None, {})])
    assert probe("resolve", f"{reg.host}/foo", "latest", platform="linux/amd64")[0] == 0
    d = index(reg, [(d, None, {"annotations": {"x": "y"}})], None)
    index(reg, [(d, None, {})])
    assert "nested more than 4 deep" in error_of(probe("resolve", f"{reg.host}/foo", "latest", platform="linux/amd64"))


def test_a_manifest_that_is_not_what_its_digest_says(reg):
    d = reg.put_image("latest")
    reg.manifests[d] += b" "
    assert error_of(probe("resolve", f"{reg.host}/foo", d)).endswith(f"manifest verification failed for digest {d}")

    @reg.rule
    def lie(h):
        if "latest" not in h.path:
            return False
        h.answer(200, reg.manifests["latest"], {"Content-Type": OCI, "Docker-Content-Digest": digest(b"other")})
        return True
    assert "manifest verification failed for digest" in error_of(probe("resolve", f"{reg.host}/foo", "latest"))


def test_a_config_that_is_not_what_its_digest_says(reg):
    reg.put_image("latest")
    config = json.loads(reg.manifests["latest"])["config"]["digest"]
    reg.blobs[config] = reg.blobs[config].replace(b"linux", b"minix")
    assert error_of(probe("resolve", f"{reg.host}/foo", "latest")).endswith(f"image config verification failed for digest {config}")


def test_schema_1_is_refused(reg):
    reg.put_manifest("latest", {"schemaVersion": 1, "name": "foo", "tag": "latest"}, "application/vnd.docker.distribution.manifest.v1+prettyjws")
    assert "schema 1 support has been removed" in error_of(probe("resolve", f"{reg.host}/foo", "latest"))


@pytest.mark.parametrize("doc", [b"", b"{", b"[]", b"{}", b'{"schemaVersion":2}', b'{"schemaVersion":2,"manifests":[{"digest":"x"}]}',
                                 b'{"schemaVersion":2,"config":{"digest":"sha256:../../x"},"layers":[]}', b"\x00" * 100])
def test_nonsense_is_refused(reg, doc):
    reg.put_manifest("latest", doc)
    assert error_of(probe("resolve", f"{reg.host}/foo", "latest"))


def test_a_manifest_without_end_is_refused(reg):
    @reg.rule
    def big(h):
        if "/manifests/" not in h.path:
            return False
        h.answer(200, b"x" * (9 << 20), {"Content-Type": OCI})
        return True
    assert "too long" in error_of(probe("resolve", f"{reg.host}/foo", "latest"))


def test_headers_without_end_are_refused(reg):
    @reg.rule
    def big(h):
        if "/manifests/" not in h.path:
            return False
        h.answer(200, b"x", {f"X-{i}": "y" * 8000 for i in range(60)})
        return True
    assert error_of(probe("resolve", f"{reg.host}/foo", "latest", attempts=1))


def test_warnings_are_shown_once(reg, tmp_path):
    reg.put_image("latest")

    @reg.rule
    def warn(h):
        send = h.end_headers
        h.end_headers = lambda: (h.send_header("Warning", '299 - "moving, soon"'), send())
        return False
    assert probe("pull", f"{reg.host}/foo", tmp_path, "latest")[1].count("say: moving, soon") == 1


def test_meta_headers_are_passed_on(reg):
    probe("resolve", f"{reg.host}/foo", "latest", meta="X-Meta-Build=7")
    assert reg.asked("GET", "/manifests/")[0][2]["X-Meta-Build"] == "7"


# ---- lists ----
def test_tags_of_all_pages(reg):
    @reg.rule
    def tags(h):
        if "/tags/list" not in h.path:
            return False
        last = int(h.path.split("last=")[1]) if "last=" in h.path else 0
        more = {"Link": f'</v2/foo/tags/list?last={last + 10}>; rel="next"'} if last < 30 else {}
        h.answer(200, json.dumps({"name": "foo", "tags": [f"t{last + i}" for i in range(10)]}).encode(), {"Content-Type": "application/json", **more})
        return True
    lines = probe("tags", f"{reg.host}/foo")[1]
    assert [x for x in lines if x.startswith("t")] == [f"t{i}" for i in range(40)]


def test_a_page_that_follows_itself_ends(reg):
    @reg.rule
    def tags(h):
        if "/tags/list" not in h.path:
            return False
        h.answer(200, b'{"tags":["a"]}', {"Link": f'<{h.path}>; rel="next"'})
        return True
    assert probe("tags", f"{reg.host}/foo")[1][0] == "a"
    assert len(reg.asked("GET", "/tags/")) == 1


def test_referrers_by_api_and_by_tag(reg):
    d = reg.put_image("latest")
    entry = {"mediaType": OCI, "digest": digest(b"sig"), "size": 3, "artifactType": "application/sig"}
    doc = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry, {**entry, "digest": digest(b"b"), "artifactType": "other"}]}).encode()
    assert probe("referrers", f"{reg.host}/foo", d)[1][0].startswith("worker")
    reg.put_manifest("sha256-" + d[7:], doc, INDEX)
    assert probe("referrers", f"{reg.host}/foo", d, "application/sig")[1][:-1] == [f"{digest(b'sig')} application/sig"]

    @reg.rule
    def api(h):
        if "/referrers/" not in h.path:
            return False
        h.answer(200, doc, {"Content-Type": INDEX})
        return True
    assert len(probe("referrers", f"{reg.host}/foo", d)[1]) == 3


def test_search(reg):
    @reg.rule
    def search(h):
        if "/v1/search" not in h.path:
            return False
        h.answer(200, json.dumps({"results": [{"name": "a/b", "description": "d e", "star_count": 7, "is_official": True}]}).encode())
        return True
    assert probe("search", f"{reg.host}/some thing")[1][0] == "a/b 7 1 d e"
    assert "q=some+thing&n=25" in reg.asked("GET", "/v1/search")[0][1]


def test_login(reg):
    with TokenServer() as tokens:
        tokens.guard(reg)
        assert probe("login", reg.host, user="user", password="secret")[1][0] == "token refresh-me"
        assert "unauthorized: incorrect username or password" in error_of(probe("login", reg.host, user="user", password="no"))


# ---- endpoints ----
def test_mirrors_in_order_with_fall_back(reg, tmp_path):
    with Registry() as empty, Registry() as full:
        d = full.put_image("latest", layers=[DATA])
        mirrors = ["example.test=http://127.0.0.1:1", f"example.test=http://{empty.host}", f"example.test=http://{full.host}"]
        status, lines = probe("pull", "example.test/foo", tmp_path, "latest", mirror=mirrors)
        assert status == 0, lines
        assert any("connection refused" in x for x in lines)
        assert empty.asked("GET", "/manifests/latest") and len(empty.asked("GET", "/blobs/")) == 0
        assert probe("head", "example.test/foo", "latest", mirror=mirrors)[1].count(f"digest {d}") == 1


def test_a_mirror_gets_no_credentials_of_the_registry():
    with Registry() as mirror:
        @mirror.rule
        def guard(h):
            h.error(401, "UNAUTHORIZED", "x", [], {"WWW-Authenticate": 'Basic realm="x"'})
            return True
        probe("head", "127.0.0.1:1/foo", "latest", mirror=f"127.0.0.1:1=http://{mirror.host}", user="user", password="secret")
        assert mirror.log and all("Authorization" not in r[2] for r in mirror.log)


def test_connection_refused():
    assert error_of(probe("head", "127.0.0.1:1/foo", "latest")) == \
        'error system: Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'


def test_proxy(reg, tmp_path):
    with Registry() as proxy:
        proxy.put_image("latest")
        assert probe("resolve", "example.test:80/foo", "latest", http_proxy=f"http://{proxy.host}", insecure="example.test:80", attempts=1)[0] == 0
        assert proxy.log[-1][1].startswith("http://example.test")


# ---- TLS ----
@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    return rig.certificates(tmp_path_factory.mktemp("certs"))


def certs_d(folder, host, *files):
    target = folder / "certs.d" / host
    target.mkdir(parents=True)
    for f in files:
        os.link(f, target / f.name) if f.stat().st_dev == target.stat().st_dev else (target / f.name).write_bytes(f.read_bytes())
    return folder / "certs.d"


def test_tls_on_loopback_is_not_verified(certs):
    with Registry(tls=rig.server_tls(certs)) as r:
        r.put_image("latest")
        assert probe("resolve", f"{r.host}/foo", "latest")[0] == 0


def test_client_certificates(certs, tmp_path):
    with Registry(tls=rig.server_tls(certs, client=True)) as r:
        r.put_image("latest")
        d = certs_d(tmp_path, r.host, certs / "ca.crt", certs / "client.cert", certs / "client.key")
        assert probe("resolve", f"{r.host}/foo", "latest", certs=d)[0] == 0
        assert probe("resolve", f"{r.host}/foo", "latest")[0] == 1


def test_a_key_without_certificate_is_an_error(certs, tmp_path):
    d = certs_d(tmp_path, "127.0.0.1:1", certs / "client.key")
    assert "missing client certificate client.cert for key client.key" in error_of(probe("head", "127.0.0.1:1/foo", "latest", certs=d))


# ---- Debian's registry ----
@pytest.fixture
def plain(tmp_path):
    with Real(tmp_path) as r:
        yield r


def push_image(host, folder, layer, **options):
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    (folder / "layer").write_bytes(layer)
    (folder / "config").write_bytes(config)
    doc = {"schemaVersion": 2, "mediaType": OCI, "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)},
           "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(layer), "size": len(layer)}]}
    (folder / "manifest").write_text(json.dumps(doc))
    for f, d in (("layer", digest(layer)), ("config", digest(config))):
        status, lines = probe("put", host, folder / f, d, push=1, **options)
        assert status == 0, lines
    status, lines = probe("putmanifest", host, "latest", OCI, folder / "manifest", push=1, **options)
    assert status == 0, lines
    return lines[0].split()[1]


@real
def test_push_and_pull(plain, tmp_path):
    d = push_image(f"{plain.host}/a/b", tmp_path, DATA)
    (tmp_path / "got").mkdir()
    assert probe("pull", f"{plain.host}/a/b", tmp_path / "got", "latest")[0] == 0
    assert (tmp_path / "got" / digest(DATA)[7:]).read_bytes() == DATA
    assert probe("head", f"{plain.host}/a/b", "latest")[1][0] == f"digest {d}"
    assert probe("tags", f"{plain.host}/a/b")[1][0] == "latest"
    assert probe("hasblob", f"{plain.host}/a/b", digest(DATA))[1][0] == "size 1000000"
    assert "unknown blob" in error_of(probe("hasblob", f"{plain.host}/a/b", digest(b"no")))
    assert "mounted" in probe("mount", f"{plain.host}/c", digest(DATA), "a/b", push=1)[1]
    assert probe("delete", f"{plain.host}/a/b", d, push=1)[0] == 0
    assert "manifest unknown" in error_of(probe("head", f"{plain.host}/a/b", "latest"))


@real
def test_a_pipe_is_pushed_as_it_comes(plain, tmp_path):
    with subprocess.Popen(["sh", "-c", "for i in 1 2 3 4 5; do printf %s $i; sleep 0.1; done"], stdout=subprocess.PIPE) as p:
        status, lines = probe("put", f"{plain.host}/a", "-", push=1, stdin=p.stdout)
    assert status == 0 and lines[0] == f"sent {digest(b'12345')} 5"


@real
def test_a_wrong_digest_is_refused_by_the_registry(plain, tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert "digest invalid" in error_of(probe("put", f"{plain.host}/a", tmp_path / "f", digest(b"other"), push=1))


@real
def test_htpasswd(tmp_path):
    (tmp_path / "htpasswd").write_text("user:" + crypt.crypt("secret", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)) + "\n")
    with Real(tmp_path, auth=f"auth: {{htpasswd: {{realm: r, path: {tmp_path}/htpasswd}}}}") as r:
        push_image(f"{r.host}/a", tmp_path, DATA, user="user", password="secret")
        assert "no basic auth credentials" in error_of(probe("resolve", f"{r.host}/a", "latest"))
        assert probe("resolve", f"{r.host}/a", "latest", user="user", password="secret")[0] == 0
        assert probe("login", r.host, user="user", password="secret")[0] == 0
        assert error_of(probe("login", r.host, user="user", password="bad"))


@real
def test_tls_of_a_private_authority(certs, tmp_path):
    with Real(tmp_path, http_part=f"  tls: {{certificate: {certs}/server.crt, key: {certs}/server.key}}") as r:
        d = certs_d(tmp_path, r.host, certs / "ca.crt")
        push_image(f"{r.host}/a", tmp_path, DATA, certs=d)
        assert probe("resolve", f"{r.host}/a", "latest", certs=d)[0] == 0


@real
def test_an_upload_that_docker_registry_has_lost_begins_again(plain, tmp_path):
    """It never goes on behind a broken PATCH. The proxy cuts the first connection behind 300 kB."""
    (tmp_path / "f").write_bytes(DATA)
    with rig.Cutter(plain.host, [300_000]) as proxy:
        status, lines = probe("put", f"{proxy.host}/a", tmp_path / "f", digest(DATA), push=1)
        assert status == 0, lines
    assert probe("hasblob", f"{plain.host}/a", digest(DATA))[1][0] == "size 1000000"


def test_an_upload_goes_on_behind_cuts(reg, tmp_path):
    (tmp_path / "f").write_bytes(DATA)
    reg.rules.append(rig.Uploads(reg, cut=150_000).serve)
    status, lines = probe("put", f"{reg.host}/foo", tmp_path / "f", digest(DATA), push=1, attempts=3)
    assert status == 0, lines
    assert reg.blobs[digest(DATA)] == DATA
    assert len(reg.asked("PATCH")) >= 6 and len(reg.asked("POST")) == 1
    assert len(reg.asked("GET", "/uploads/")) == len(reg.asked("PATCH")) - 1


def test_a_pipe_goes_on_behind_cuts(reg, tmp_path):
    """What the registry has not got of it is still in memory."""
    (tmp_path / "f").write_bytes(DATA)
    reg.rules.append(rig.Uploads(reg, cut=150_000).serve)
    with subprocess.Popen(["cat", tmp_path / "f"], stdout=subprocess.PIPE) as p:
        status, lines = probe("put", f"{reg.host}/foo", "-", push=1, attempts=3, stdin=p.stdout)
    assert status == 0, lines
    assert lines[0] == f"sent {digest(DATA)} {len(DATA)}" and reg.blobs[digest(DATA)] == DATA
    assert len(reg.asked("PATCH")) >= 3 and len(reg.asked("POST")) == 1


def test_a_long_pipe_is_not_kept_whole(reg, tmp_path):
    """The registry has lost it all, and the beginning is in memory no more: an error, not other bytes."""
    data = os.urandom(20_000_000)
    (tmp_path / "f").write_bytes(data)
    reg.rules.append(rig.Uploads(reg, cut=15_000_000, forgets=True).serve)
    with subprocess.Popen(["cat", tmp_path / "f"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as p:
        status, lines = probe("put", f"{reg.host}/foo", "-", push=1, stdin=p.stdout)
        p.kill()
    assert status != 0 and len(reg.asked("PATCH")) == 1 and not reg.asked("PUT"), lines


@real
def test_a_pipe_that_docker_registry_has_lost_begins_again(plain, tmp_path):
    (tmp_path / "f").write_bytes(DATA)
    with rig.Cutter(plain.host, [300_000]) as proxy, subprocess.Popen(["cat", tmp_path / "f"], stdout=subprocess.PIPE) as p:
        status, lines = probe("put", f"{proxy.host}/a", "-", push=1, stdin=p.stdout)
    assert status == 0 and lines[0] == f"sent {digest(DATA)} {len(DATA)}", lines


def test_an_upload_that_never_gets_on_ends(reg, tmp_path):
    (tmp_path / "f").write_bytes(DATA)
    reg.rules.append(rig.Uploads(reg, cut=0).serve)
    assert error_of(probe("put", f"{reg.host}/foo", tmp_path / "f", digest(DATA), push=1, attempts=3))
    assert len(reg.asked("PATCH")) == 3


@pytest.mark.parametrize("absolute", [False, True])
def test_locations_of_uploads(reg, tmp_path, absolute):
    (tmp_path / "f").write_bytes(DATA)
    reg.rules.append(rig.Uploads(reg, absolute=absolute).serve)
    assert probe("put", f"{reg.host}/foo", tmp_path / "f", digest(DATA), push=1)[0] == 0
    assert reg.blobs[digest(DATA)] == DATA


def test_credentials_do_not_go_to_another_upload_host(reg, tmp_path):
    (tmp_path / "f").write_bytes(DATA)
    with Registry() as other, TokenServer() as tokens:
        other.rules.append(rig.Uploads(other).serve)
        tokens.guard(reg)

        def start(h):
            if h.command != "POST":
                return False
            h.answer(202, b"", {"Location": f"http://{other.host}/v2/foo/blobs/uploads/1?state=x"})
            return True
        reg.rules.append(start)
        assert probe("put", f"{reg.host}/foo", tmp_path / "f", digest(DATA), push=1, user="user", password="secret")[0] == 0
        assert other.blobs[digest(DATA)] == DATA
        assert all("Authorization" not in r[2] for r in other.log)


def test_a_gigabyte_in_little_memory(reg, tmp_path):
    block, n = os.urandom(1 << 20), 256

    @reg.rule
    def big(h):
        if "/blobs/" not in h.path:
            return False
        h.send_response(200)
        h.send_header("Content-Length", str(n << 20))
        h.end_headers()
        for _ in range(n):
            h.wfile.write(block)
        return True
    status, lines = probe("get", f"{reg.host}/foo", tmp_path / "out", digest(b"?"), n << 20)
    (tmp_path / "out").unlink()
    assert status == 0 and int(lines[-1].split()[2]) < 32 * 1024
