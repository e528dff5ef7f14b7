"""Pushing over a bad network to a bad registry."""
import os
import threading
import time

import pytest

from harness import engine as engines, images
from harness.cli import Cli, until
from harness.faultproxy import FaultProxy
from harness.images import tar_of
from harness.registry import Registry, forget_images
from test_pull_faults import engine_census, nothing_staged, pull, right


@pytest.fixture(scope="module")
def _bad(_shared_engine):
    engines.need_hoyd()
    registry = Registry(_shared_engine)
    proxy = FaultProxy(registry)
    yield registry, proxy
    proxy.stop()
    registry.stop()


@pytest.fixture
def proxy(_bad, engine):
    _bad[1].rules()
    yield _bad[1]
    _bad[1].rules()
    forget_images(engine)


@pytest.fixture
def ref(engine, proxy, name):
    """An image of 3 MB that no registry has."""
    ref = f"{proxy.host}/{name}/box:1"
    images.import_tar(engine, tar_of(("f", {"data": os.urandom(3 << 20)})), f"{name}:fresh", 'CMD ["sh"]')
    assert engine.api.post(f"/images/{name}:fresh/tag", repo=ref[:-2], tag="1").status == 201
    yield ref
    engine.api.delete(f"/images/{name}:fresh", force=1)


def sent(proxy):
    return sum(e["got"] for e in proxy.asked("^(PATCH|PUT) .*/blobs/"))


def comes_back(engine, docker, ref):
    image = docker.inspect(ref, "{{.Id}}")
    docker("rmi", "-f", image)
    assert pull(engine, ref)[1] is None
    right(engine, ref, {"id": image})


@pytest.mark.parametrize("rules", [
    [{"match": "PATCH", "cut_request": 1_000_000, "times": 2}],
    [{"match": "PATCH", "drop": True, "times": 1}],
    [{"match": "PATCH", "status": 500, "times": 1}],
    [{"match": "PATCH", "end": 0, "length": 5, "times": 1}],
    [{"match": "POST .*uploads", "status": 503, "times": 2}],
    [{"match": "POST .*uploads", "status": 429, "headers": {"Retry-After": "1"}, "times": 1}],
    [{"match": "HEAD .*blobs", "status": 502, "times": 2}],
    [{"match": "PUT .*blobs", "status": 503, "times": 1}],
    [{"match": "PUT .*manifests", "status": 500, "times": 2}],
    [{"match": "PUT .*manifests", "drop": True, "times": 1}],
    [{"match": "PATCH", "rate": 3_000_000}],
], ids=["cut", "dropped", "500", "answer cut", "503 to POST", "429", "502 to HEAD", "503 to PUT", "manifest 500", "manifest dropped", "slow"])
def test_a_push_gets_over_it(docker, engine, proxy, ref, rules):
    proxy.rules(*rules)
    out = docker("push", ref).out
    assert out.count(": Pushed") == 1, out
    assert all(n == rule.get("times", n) for n, rule in zip(proxy.stats()["used"], rules)), proxy.stats()["used"]
    proxy.rules()
    out = docker("push", ref).out
    assert "Layer already exists" in out and sent(proxy) == 0
    comes_back(engine, docker, ref)


@pytest.mark.parametrize("rule, message, requests", [
    ({"match": "PATCH", "status": 403, "body": '{"errors":[{"code":"DENIED","message":"quota exceeded"}]}', "headers": {"Content-Type": "application/json"}}, "denied: quota exceeded", 1),
    ({"match": "POST .*uploads", "status": 403}, "denied", 1),
    ({"match": "PUT .*manifests", "status": 400, "body": '{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid","detail":{}}]}',
      "headers": {"Content-Type": "application/json"}}, "manifest invalid: manifest invalid", 1),
    ({"match": "PATCH", "status": 413, "body": "<html>too large</html>"}, "unknown: <html>too large</html>", 1),
    ({"match": "PATCH", "status": 503}, "received unexpected HTTP status: 503", 5),
], ids=["denied PATCH", "denied POST", "manifest invalid", "413", "503"])
def test_a_push_that_is_refused(docker, proxy, ref, rule, message, requests):
    proxy.rules(rule)
    err = docker("push", ref, rc=1).err
    assert message in err, err
    assert proxy.stats()["used"][0] <= requests
    proxy.rules()
    out = docker("push", ref).out
    assert "Pushed" in out or "manifests" in rule["match"] and "already exists" in out


def test_a_client_that_hangs_up_ends_a_push(docker, engine, proxy, ref):
    proxy.rules({"match": "PATCH", "rate": 500_000})
    before = engine_census(engine)
    client = docker.popen("push", ref)
    until(lambda: sent(proxy) > 100_000, what="a transfer")
    client.send_signal(2)
    client.wait(20)
    began = time.monotonic()
    until(lambda: engine_census(engine) == before, timeout=10, what="the end of workers")
    assert time.monotonic() - began < 5
    until(lambda: proxy.stats()["open"] <= 1, timeout=10, what="the end of connections")
    proxy.rules()
    assert "Pushed" in docker("push", ref).out


def test_pushing_quietly_and_every_tag(cli, proxy, ref):
    assert cli("push", "-q", ref).out.strip() == ref
    for tag in "23":
        cli("tag", ref, ref[:-1] + tag)
    proxy.rules()
    out = cli("push", "--all-tags", ref[:-2]).out
    assert [line.split(":")[0] for line in out.splitlines() if "digest:" in line] == ["1", "2", "3"]
    assert sent(proxy) == 0
    assert cli("push", "-q", "--all-tags", ref[:-2]).out.strip() == ref[:-2]


def test_two_pushes_of_one_image_at_once(docker, engine, proxy, ref):
    docker("tag", ref, ref[:-1] + "2")
    proxy.rules({"match": "PATCH", "rate": 4_000_000})
    results = []
    threads = [threading.Thread(target=lambda t=t: results.append(docker("push", ref[:-1] + t, rc=None).rc)) for t in "12"]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [0, 0]
    proxy.rules()
    docker("rmi", ref[:-1] + "2")
    comes_back(engine, docker, ref)
    nothing_staged(engine)


def test_hoyd_is_killed_during_a_push(own_engine, name, tmp_path):
    registry = Registry(own_engine)
    proxy = FaultProxy(registry)
    docker = Cli("docker", own_engine.host, str(tmp_path))
    ref = f"{proxy.host}/{name}:1"
    images.import_tar(own_engine, tar_of(("f", {"data": os.urandom(3 << 20)})), f"{name}:fresh")
    docker("tag", f"{name}:fresh", ref)
    proxy.rules({"match": "PATCH", "rate": 1_000_000})
    client = docker.popen("push", ref)
    until(lambda: sent(proxy) > 300_000, what="a transfer")
    own_engine.kill()
    assert client.wait(20) != 0
    own_engine.start()
    assert not engine_census(own_engine)[0]
    nothing_staged(own_engine)
    proxy.rules()
    assert "Pushed" in docker("push", ref).out
    comes_back(own_engine, docker, ref)
