"""Pulling over a bad network from a bad registry: it goes on where it stopped, or it says what is wrong and leaves nothing."""
import base64
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
import threading
import time
from urllib.parse import urlencode

import pytest

from harness import census, engine as engines
from harness.api import _Connection
from harness.cli import until
from harness.faultproxy import FaultProxy
from harness.images import tar_of
from harness.registry import OCI_INDEX, Registry, forget_images, gzipped, random_layer, zstded

SCHEMA1 = b'{"schemaVersion":1,"name":"x","tag":"1","fsLayers":[],"history":[]}'
BLOB = "GET .*/blobs/"


@pytest.fixture(scope="module")
def _bad(_shared_engine):
    engines.need_hoyd()
    registry = Registry(_shared_engine)
    proxy = FaultProxy(registry)
    yield registry, proxy
    proxy.stop()
    registry.stop()


@pytest.fixture
def registry(_bad, engine):
    yield _bad[0]
    forget_images(engine)


@pytest.fixture
def proxy(_bad, registry):
    _bad[1].rules()
    yield _bad[1]
    _bad[1].rules()


def pull(engine, ref, timeout=120, **query):
    """-> the lines that came, the error or None"""
    answer = engine.api.post("/images/create?" + urlencode({"fromImage": ref, **query}), timeout=timeout)
    lines = [json.loads(line) for line in answer.body.splitlines()]
    if answer.status != 200:
        return [], answer.message
    return lines, next((line["error"] for line in lines if "error" in line), None)


def partials(engine, image):
    """Which of its layers have unfinished downloads."""
    return set(os.listdir(os.path.join(engine.folder, "data", "partial"))) & {layer["digest"][7:] for layer in image["layers"]}


def nothing_staged(engine):
    until(lambda: not os.listdir(os.path.join(engine.folder, "data", "tmp")), timeout=10, what="an empty tmp/")


def right(engine, ref, image):
    """Bit for bit what was pushed: what is saved has exactly the tars that the configuration names."""
    assert engine.api.get(f"/images/{ref}/json").json["Id"] == image["id"]
    with tempfile.TemporaryFile() as f:
        api_stream(engine, f"/v1.41/images/{ref}/get", f)
        f.seek(0)
        with tarfile.open(fileobj=f) as tar:
            config = json.load(tar.extractfile(f"blobs/sha256/{image['id'][7:]}"))
            for diff_id in config["rootfs"]["diff_ids"]:
                assert "sha256:" + hashlib.file_digest(tar.extractfile(f"blobs/sha256/{diff_id[7:]}"), "sha256").hexdigest() == diff_id


def api_stream(engine, path, to):
    connection = _Connection(engine.sock, 120)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 200
    shutil.copyfileobj(answer, to)
    connection.close()


def wire(proxy, image):
    return proxy.blob_bytes({layer["digest"] for layer in image["layers"]})


def size(image):
    return sum(layer["size"] for layer in image["layers"])


@pytest.fixture
def image(registry, name):
    """Two layers of 3 MB and one of a few bytes, nowhere else to be found."""
    layers = [random_layer(f"f{i}", n) for i, n in enumerate((3 << 20, 3 << 20, 5000))]
    return {"repo": name, **registry.put_image(name, "1", *layers)}


# ---- what a pull gets over ----
@pytest.mark.parametrize("rules", [
    [{"match": BLOB, "cut": 1_000_000}],
    [{"match": BLOB, "end": 1_000_000}],
    [{"match": BLOB, "no_range": True, "cut": 2_000_000, "times": 2}],
    [{"match": BLOB, "length": 1000, "times": 2}],
    [{"match": BLOB, "status": 503, "times": 3}],
    [{"match": BLOB, "status": 500, "times": 1}, {"match": BLOB, "status": 502, "times": 1}],
    [{"match": "manifests", "status": 502, "times": 2}],
    [{"match": "GET /v2/$", "status": 503, "times": 2}],
    [{"match": BLOB, "status": 429, "headers": {"Retry-After": "1"}, "times": 2}],
    [{"match": BLOB, "status": 429, "headers": {"Retry-After": "date+2"}, "times": 2}],
    [{"match": BLOB, "drop": True, "times": 3}],
    [{"match": "manifests", "cut": 100, "times": 2}],
    [{"match": BLOB, "rate": 3_000_000}],
], ids=["cut", "ended", "no range", "length", "503", "500 and 502", "manifest 502", "ping 503", "429 seconds", "429 date", "dropped", "manifest cut", "slow"])
def test_a_pull_gets_over_it(engine, proxy, image, rules):
    ref = f"{proxy.host}/{image['repo']}:1"
    proxy.rules(*rules)
    _, error = pull(engine, ref)
    assert error is None, error
    right(engine, ref, image)
    if not any(rule.get("no_range") for rule in rules):
        assert census.settles(lambda: wire(proxy, image), size(image)) == size(image)  # the proxy counts when it has sent
    assert all(rule_used for rule_used in proxy.stats()["used"])
    assert not partials(engine, image)
    nothing_staged(engine)


def test_a_registry_that_is_down_for_a_moment(engine, proxy, image):
    proxy.rules(refuse=2)
    assert pull(engine, f"{proxy.host}/{image['repo']}:1")[1] is None


def test_a_redirect_is_followed_without_the_password(engine, registry, proxy, image):
    elsewhere = Registry(engine)
    second = FaultProxy(elsewhere)
    try:
        for digest in [image["id"], *[layer["digest"] for layer in image["layers"]]]:
            elsewhere.put_blob(image["repo"], registry.call("GET", f"/v2/{image['repo']}/blobs/{digest}").content)
        proxy.rules({"match": BLOB, "redirect": f"http://{second.host}"}, {"match": "GET /v2/$", "status": 401, "headers": {"WWW-Authenticate": 'Basic realm="x"'}})
        auth = base64.urlsafe_b64encode(json.dumps({"username": "joe", "password": "secret"}).encode()).decode()
        answer = engine.api.post("/images/create?" + urlencode({"fromImage": f"{proxy.host}/{image['repo']}:1"}), headers={"X-Registry-Auth": auth})
        assert answer.status == 200 and b'"error"' not in answer.body, answer.body
        assert all(entry["authorization"] for entry in proxy.asked("/blobs/"))
        there = second.asked("/blobs/")
        assert len(there) == 1 + len(image["layers"]) and not any(entry["authorization"] for entry in there)
    finally:
        second.stop()
        elsewhere.stop()


def test_a_broken_pull_goes_on_where_it_was(engine, proxy, image):
    ref = f"{proxy.host}/{image['repo']}:1"
    layer = BLOB + image["layers"][0]["digest"]
    proxy.rules({"match": layer, "cut": 1_000_000, "times": 1}, {"match": layer, "drop": True})
    _, error = pull(engine, ref)
    assert error and partials(engine, image)
    assert engine.api.get(f"/images/{ref}/json").status == 404
    before = wire(proxy, image)
    proxy.say(rules=[])
    assert pull(engine, ref)[1] is None
    assert before >= 1_000_000 and wire(proxy, image) == size(image)
    right(engine, ref, image)
    assert not partials(engine, image)


# ---- what is refused ----
def refused(engine, proxy, image, ref=None):
    ref = ref or f"{proxy.host}/{image['repo']}:1"
    _, error = pull(engine, ref)
    assert error, "it went through"
    assert engine.api.get(f"/images/{ref}/json").status == 404
    nothing_staged(engine)
    return error


@pytest.mark.parametrize("layer, rule", [
    (0, {"flip": 1_500_000}),
    (1, {"flip": 0, "rate": 1_500_000}),
    (2, {"chop": 100}),
    (1, {"length": -1000, "end": (3 << 20) - 1000}),
])
def test_wrong_bytes_are_refused(engine, proxy, image, layer, rule):
    blob = image["layers"][layer]
    proxy.rules({"match": f"{BLOB}{blob['digest']}", **rule})
    error = refused(engine, proxy, image)
    assert blob["digest"] in error or "filesystem layer verification failed" in error, error
    assert f"{proxy.host}/{image['repo']}" in error or "chop" in rule or "length" in rule, error
    if "flip" in rule:
        assert blob["digest"][7:] not in partials(engine, image)
    proxy.rules()
    assert pull(engine, f"{proxy.host}/{image['repo']}:1")[1] is None
    right(engine, f"{proxy.host}/{image['repo']}:1", image)
    assert not partials(engine, image)


def lying(kind):
    tar = tar_of(("f", {"data": os.urandom(200_000)}))
    whole = gzipped(tar)[2] if "gzip" in kind else zstded(tar)[2]
    if kind.startswith("truncated"):
        whole = whole[:-1000]
    elif kind.startswith("other"):
        tar = tar_of(("g", {"data": b"something else"}))
    elif kind.startswith("lying"):
        whole = whole[:100_000] + b"\xff" * 50 + whole[100_050:]
    elif kind.startswith("trailing"):
        whole += b"garbage behind the end"
    return "gzip" if "gzip" in kind else "zstd", tar, whole


@pytest.mark.parametrize("kind", ["truncated gzip", "truncated zstd", "other gzip", "other zstd", "lying gzip", "lying zstd"])
def test_a_layer_that_is_not_what_it_says(engine, registry, name, proxy, kind):
    """The digest is right, what is in it is not."""
    layer = lying(kind)
    image = {"repo": name, **registry.put_image(name, "1", random_layer("a", 5000), layer)}
    error = refused(engine, proxy, image)
    assert image["layers"][1]["digest"] in error and f"{proxy.host}/{name}" in error, error
    assert image["layers"][1]["digest"][7:] not in partials(engine, image)
    again = refused(engine, proxy, image)
    assert again == error


@pytest.mark.parametrize("rule, message", [
    ({"chop": 20}, "manifest"),
    ({"set": {"Docker-Content-Digest": "sha256:" + "0" * 64}}, None),
    ({"content": base64.b64encode(b"[]").decode()}, "manifest"),
    ({"content": base64.b64encode(SCHEMA1).decode(), "set": {"Content-Type": "application/vnd.docker.distribution.manifest.v1+prettyjws",
      "Docker-Content-Digest": "sha256:" + hashlib.sha256(SCHEMA1).hexdigest()}}, "schema 1"),
], ids=["truncated", "wrong digest", "no object", "schema 1"])
def test_a_manifest_that_is_none(engine, proxy, image, rule, message):
    proxy.rules({"match": "(GET|HEAD) .*manifests", **rule})
    if message is None:  # by tag the header is only a hint
        ref = f"{proxy.host}/{image['repo']}:1"
        _, error = pull(engine, ref)
        if error is None:
            assert [d for d in engine.api.get(f"/images/{ref}/json").json["RepoDigests"] if d.endswith(image["digest"])]
        return
    error = refused(engine, proxy, image)
    assert message in error.lower(), error


def test_another_manifest_than_the_one_that_was_asked_for(engine, registry, proxy, image, name):
    other = registry.put_image(name, "2", random_layer("z", 100))
    proxy.rules({"match": f"manifests/{image['digest']}", "content": base64.b64encode(_manifest(registry, name, other)).decode()})
    error = refused(engine, proxy, image, f"{proxy.host}/{image['repo']}@{image['digest']}")
    assert "manifest verification failed for digest" in error, error


def _manifest(registry, repo, image):
    return registry.call("GET", f"/v2/{repo}/manifests/{image['digest']}", headers={"Accept": image["mediaType"]}).content


def test_indexes_within_indexes_end_somewhere(engine, registry, proxy, image):
    row = {k: image[k] for k in ("mediaType", "digest", "size")}
    for depth in range(10):
        row = registry.put_manifest(image["repo"], f"deep{depth}", {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{**row, "platform": {"os": "linux", "architecture": "amd64"}}]}, OCI_INDEX)
    ref = f"{proxy.host}/{image['repo']}"
    assert pull(engine, f"{ref}:deep1")[1] is None
    right(engine, f"{ref}:deep1", image)
    error = refused(engine, proxy, image, f"{ref}:deep9")
    assert "nested" in error or "deep" in error, error


def test_an_index_that_names_itself(engine, proxy, image):
    digest = "sha256:" + "a" * 64
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{"mediaType": OCI_INDEX, "digest": digest, "size": 300, "platform": {"os": "linux", "architecture": "amd64"}}]}
    proxy.rules({"match": "manifests", "content": base64.b64encode(json.dumps(index).encode()).decode(), "set": {"Content-Type": OCI_INDEX, "Docker-Content-Digest": digest}})
    refused(engine, proxy, image)
    assert len(proxy.asked("manifests")) < 20


# ---- ending early, and several at once ----
def engine_census(engine):
    procs = sorted(n for _, n in engine.machine.procs().values() if n.startswith("hoy-worker"))
    fds = [line for line in engine.machine.run("ls", "-l", f"/proc/{engine.pid}/fd").stdout.splitlines() if "/partial/" in line or "/tmp/" in line]
    return procs, fds


def test_a_client_that_hangs_up_ends_the_transfers(docker, engine, proxy, image):
    ref = f"{proxy.host}/{image['repo']}:1"
    proxy.rules({"match": BLOB, "rate": 400_000})
    before = engine_census(engine)
    client = docker.popen("pull", ref)
    until(lambda: wire(proxy, image) or any(e["status"] == 200 for e in proxy.asked(BLOB)), what="a transfer")
    time.sleep(0.5)
    client.send_signal(2)
    client.wait(20)
    began = time.monotonic()
    until(lambda: engine_census(engine) == before, timeout=10, what="the end of workers and descriptors")
    assert time.monotonic() - began < 5
    until(lambda: proxy.stats()["open"] <= 1, timeout=10, what="the end of connections")
    came = wire(proxy, image)
    assert 0 < came < size(image) and partials(engine, image)
    proxy.say(rules=[])
    assert pull(engine, ref)[1] is None
    assert wire(proxy, image) <= size(image) * 1.01
    right(engine, ref, image)
    assert not partials(engine, image)


def test_two_clients_fetch_each_layer_once(engine, proxy, image):
    ref = f"{proxy.host}/{image['repo']}:1"
    proxy.rules({"match": BLOB, "rate": 3_000_000})
    results = []
    threads = [threading.Thread(target=lambda: results.append(pull(engine, ref))) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [error for _, error in results] == [None] * 3
    assert wire(proxy, image) == size(image)
    right(engine, ref, image)


def test_when_one_of_two_clients_hangs_up_the_other_gets_its_image(docker, engine, proxy, image):
    ref = f"{proxy.host}/{image['repo']}:1"
    proxy.rules({"match": BLOB, "rate": 1_500_000})
    client = docker.popen("pull", ref)
    until(lambda: proxy.asked(BLOB), what="a transfer")
    results = []
    other = threading.Thread(target=lambda: results.append(pull(engine, ref)))
    other.start()
    time.sleep(0.7)
    client.send_signal(2)
    client.wait(20)
    other.join()
    assert results[0][1] is None
    assert wire(proxy, image) <= size(image) * 1.01
    right(engine, ref, image)


def test_shared_layers_and_a_layer_twice(engine, registry, proxy, name):
    a, b, c = (random_layer(f"f{i}", 200_000) for i in range(3))
    one = registry.put_image(name, "one", a, b, a)
    two = registry.put_image(name, "two", a, b, c, a)
    ref = f"{proxy.host}/{name}"
    results = []
    threads = [threading.Thread(target=lambda tag=tag: results.append(pull(engine, f"{ref}:{tag}")[1])) for tag in ("one", "two")]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [None, None]
    right(engine, f"{ref}:one", one)
    right(engine, f"{ref}:two", two)
    assert not partials(engine, two)


def test_removing_and_pruning_during_a_pull(engine, registry, proxy, name, image):
    """What is half there belongs to the pull."""
    small = registry.put_image(name, "small", random_layer("s", 1000))
    ref = f"{proxy.host}/{image['repo']}:1"
    assert pull(engine, f"{proxy.host}/{name}:small")[1] is None
    proxy.rules({"match": BLOB, "rate": 1_500_000})
    results = []
    puller = threading.Thread(target=lambda: results.append(pull(engine, ref)))
    puller.start()
    until(lambda: proxy.asked(BLOB), what="a transfer")
    assert engine.api.get(f"/images/{ref}/json").status == 404
    assert engine.api.delete(f"/images/{ref}").status == 404
    assert engine.api.delete(f"/images/{proxy.host}/{name}:small").status == 200
    while puller.is_alive():
        assert engine.api.post("/images/prune", filters={"dangling": ["true"]}).status == 200
        time.sleep(0.2)
    assert results[0][1] is None
    right(engine, ref, image)
    assert wire(proxy, image) == size(image)
    assert small["id"] not in [i["Id"] for i in engine.api.get("/images/json").json]


def test_hoyd_is_told_to_stop_during_a_pull(own_engine, name):
    registry = Registry(own_engine)
    proxy = FaultProxy(registry)
    image = registry.put_image(name, "1", *[random_layer(f"f{i}", 3 << 20) for i in range(2)])
    ref = f"{proxy.host}/{name}:1"
    proxy.rules({"match": BLOB, "rate": 700_000})
    threading.Thread(target=lambda: _quiet(pull, own_engine, ref), daemon=True).start()
    until(lambda: len(proxy.asked(BLOB)) == 3, what="transfers")
    time.sleep(0.5)
    began = time.monotonic()
    assert own_engine.stop() == 0
    assert time.monotonic() - began < 10
    assert not [n for _, n in own_engine.machine.procs().values() if n.startswith("hoy-worker")]
    proxy.say(rules=[])
    own_engine.start()
    assert pull(own_engine, ref)[1] is None
    assert wire(proxy, image) <= size(image) * 1.01
    right(own_engine, ref, image)


def _quiet(f, *args):
    try:
        f(*args)
    except (OSError, ValueError, Exception):  # the engine it speaks to dies: that is the point
        pass


@pytest.mark.parametrize("verb", ["registry", "unpack"])
def test_a_worker_that_is_killed_spoils_only_its_pull(engine, proxy, image, verb):
    ref = f"{proxy.host}/{image['repo']}:1"
    proxy.rules({"match": BLOB, "rate": 1_000_000})
    before = engine_census(engine)
    results = []
    puller = threading.Thread(target=lambda: results.append(pull(engine, ref)))
    puller.start()

    def victim():
        found = engine.machine.run("pgrep", "-f", f"hoy-worker {verb}", check=False).stdout.split()
        return sum(e["sent"] for e in proxy.asked(BLOB)) > 500_000 and found
    engine.machine.signal(until(victim, what=f"a worker that does {verb}")[0], 9)
    puller.join()
    assert results[0][1], "it went through"
    assert engine.api.get(f"/images/{ref}/json").status == 404
    until(lambda: engine_census(engine) == before, timeout=10, what="the end of workers")
    nothing_staged(engine)
    proxy.say(rules=[])
    assert pull(engine, ref)[1] is None
    assert wire(proxy, image) <= size(image) * 1.05
    right(engine, ref, image)


def test_failed_pulls_leave_no_descriptors_and_threads(engine, registry, proxy, image, name):
    ref = f"{proxy.host}/{image['repo']}:1"
    registry.put_image(name, "lie", random_layer("a", 5000), lying("lying gzip"))

    def fail():
        for rules, what in (([{"match": BLOB, "status": 404}], ref), ([{"match": BLOB + image["layers"][1]["digest"], "flip": 9}], ref),
                            ([{"match": "manifests", "status": 404}], ref), ([], f"{proxy.host}/{name}:lie")):
            proxy.rules(*rules)
            assert pull(engine, what)[1]

    def counts():
        return census.process(engine)[0]
    fail()
    before = counts()
    for _ in range(3):
        fail()
    until(lambda: counts()["fds"] <= before["fds"] and counts()["threads"] <= before["threads"], timeout=10, what=f"as few as before ({before})")


# ---- memory ----
def memory(engine, peaks):
    """Highest VmRSS in kB of hoyd and of each kind of worker, into peaks."""
    ours = os.readlink(f"/proc/{engine.machine.pid}/ns/pid")
    for pid in os.listdir("/proc"):
        try:
            if not pid.isdigit() or os.readlink(f"/proc/{pid}/ns/pid") != ours:
                continue
            with open(f"/proc/{pid}/cmdline") as f, open(f"/proc/{pid}/status") as g:
                words, status = f.read().split("\0"), dict(line.split(":", 1) for line in g)
            what = os.path.basename(words[0])
            if what in ("hoyd", "hoy-worker"):
                what += words[1] if what == "hoy-worker" else ""
                peaks[what] = max(peaks.get(what, 0), int(status["VmRSS" if what == "hoyd" else "VmHWM"].split()[0]))
        except (OSError, KeyError):  # it has ended
            pass
    return peaks


def test_a_pull_needs_little_memory(own_engine, name):
    megabytes = int(os.environ.get("HOY_TEST_PULL_MB", 48))
    registry = Registry(own_engine)
    for tag, n in (("warm", 1), ("1", megabytes)):
        registry.put_image(name, tag, *[random_layer(f"f{tag}{i}", n * (1 << 20) // 4) for i in range(4)])
    assert pull(own_engine, f"{registry.host}/{name}:warm")[1] is None
    before = memory(own_engine, {})["hoyd"]
    peaks, began = {}, time.monotonic()
    results = []
    puller = threading.Thread(target=lambda: results.append(pull(own_engine, f"{registry.host}/{name}:1", timeout=600)))
    puller.start()
    while puller.is_alive():
        memory(own_engine, peaks)
        time.sleep(0.02)
    took = time.monotonic() - began
    print(f"{megabytes} MB in {took:.1f} s: hoyd {before} kB before, {peaks['hoyd']} kB at most; {peaks}")
    assert results[0][1] is None
    assert peaks["hoyd"] - before < 2048
    assert all(peak <= 32768 for what, peak in peaks.items() if what != "hoyd"), peaks


# ---- the promise ----
@pytest.mark.parametrize("driver", ["overlay2", "vfs"])
def test_cut_and_killed_a_pull_costs_its_bytes_once(new_engine, name, driver):
    """HOY_TEST_PULL_MB, HOY_TEST_PULL_CUTS, HOY_TEST_PULL_KILLS make it larger (1000, 100 and 10: docs/ARCHITECTURE.md)."""
    megabytes, cuts, kills = (int(os.environ.get(f"HOY_TEST_PULL_{n}", d)) for n, d in (("MB", 32), ("CUTS", 9), ("KILLS", 2)))
    own_engine = new_engine("--storage-driver", driver)
    registry = Registry(own_engine)
    proxy = FaultProxy(registry)
    image = registry.put_image(name, "1", *[random_layer(f"f{i}", megabytes * (1 << 20) // 4) for i in range(4)])
    ref = f"{proxy.host}/{name}:1"
    every = size(image) // (cuts + 2 * kills + 4)
    rate = {"rate": 30_000_000}
    proxy.rules({"match": BLOB, "cut": every, "times": cuts, **rate}, {"match": BLOB, **rate})
    for k in range(kills):
        aim = size(image) * (k + 1) // (kills + 1)
        thread = threading.Thread(target=lambda: _quiet(pull, own_engine, ref), daemon=True)
        thread.start()
        until(lambda: sum(e["sent"] for e in proxy.asked(BLOB)) >= aim or not thread.is_alive(), timeout=600, what="bytes")
        assert thread.is_alive(), own_engine.log_tail()
        own_engine.kill()
        own_engine.start()
    lines, error = pull(own_engine, ref, timeout=600)
    assert error is None, error
    right(own_engine, ref, image)
    came = wire(proxy, image)
    done = sum(1 for e in proxy.asked(BLOB) if e["sent"])
    print(f"{megabytes} MB, {cuts} cuts, {kills} kills: {came} of {size(image)} bytes, {came / size(image):.4f}, {done} requests")
    assert proxy.stats()["used"][0] == cuts
    assert came <= size(image) * 1.01 + kills * 400_000, came / size(image)
    assert not partials(own_engine, image)
    nothing_staged(own_engine)
