"""Whom the engine believes and what it tells whom: certificates, tokens, credential helpers, mirrors, proxies."""
import json
import os
import subprocess
import time

import pytest

from harness import engine as engines, images
from harness.cli import Cli
from harness.faultproxy import FaultProxy
from harness.images import BUSYBOX
from harness.registry import Registry, random_layer
from harness.tokens import TokenServer

OUTSIDE = "192.0.2.7"  # an address of the machine that is not loopback, so that nothing is forgiven there


def sign(folder, name, subject, ext):
    """A certificate of folder's authority."""
    def run(*args, **kw):
        subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=folder, **kw)
    run("req", "-newkey", "rsa:2048", "-nodes", "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.csr")
    with open(f"{folder}/ext", "w") as f:
        f.write(ext + "\n")
    run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", "ext", "-out", f"{name}.crt")
    return f"{folder}/{name}.crt", f"{folder}/{name}.key"


class World:
    """An engine and the registries around it."""

    def __init__(self, tar):
        self.engine = engine = engines.Hoyd()
        engine.machine.net.run("ip", "addr", "add", f"{OUTSIDE}/32", "dev", "lo")
        self.certs, self.ca = engine.scratch(), engine.scratch()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=Test CA", "-keyout", "ca.key", "-out", "ca.crt"],
                       check=True, capture_output=True, cwd=self.ca)
        server = sign(self.ca, "server", "/CN=registry", f"subjectAltName=IP:{OUTSIDE},IP:127.0.0.1")
        self.client = sign(self.ca, "client", "/CN=joe", "extendedKeyUsage=clientAuth")
        self.tls = self.registry(tls=server)
        self.mutual = self.registry(tls=(*server, f"{self.ca}/ca.crt"))
        self.plain = self.registry()
        self.insecure = self.registry()
        self.mirror = Registry(engine)
        self.tokens = TokenServer(engine, 5950)
        self.guarded = Registry(engine, auth=self.tokens.auth)
        self.guard = FaultProxy(self.guarded)
        self.web = FaultProxy(self.plain)
        self.insecure_proxy = FaultProxy(self.insecure)
        engine.args += ["--registry-certs", self.certs, "--insecure-registry", f"{OUTSIDE}:{self.insecure.port}", "--insecure-registry", "198.51.100.0/24",
                        "--registry-mirror", f"{OUTSIDE}:4998=http://127.0.0.1:1", "--registry-mirror", f"{OUTSIDE}:4998=http://{self.mirror.host}",
                        "--registry-mirror", f"{OUTSIDE}:{self.insecure.port}=http://{self.mirror.host}",
                        "--http-proxy", f"http://127.0.0.1:{self.web.port}", "--https-proxy", f"http://127.0.0.1:{self.web.port}",
                        "--no-proxy", OUTSIDE]
        engine.start()
        images.import_tar(engine, tar, BUSYBOX, 'CMD ["sh"]')

    def registry(self, **kw):
        registry = Registry(self.engine, address="0.0.0.0", **kw)
        registry.host = f"{OUTSIDE}:{registry.port}"
        return registry

    def trust(self, registry, *files):
        """files: (name in certs.d/<host>, source)"""
        folder = os.path.join(self.certs, registry.host)
        os.makedirs(folder, exist_ok=True)
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        for name, source in files:
            os.link(source, os.path.join(folder, name))


@pytest.fixture(scope="module")
def _world(busybox_tar):
    engines.need_hoyd()
    world = World(busybox_tar)
    yield world
    reports = world.engine.close()
    assert not reports, "\n".join(reports.values())


@pytest.fixture
def world(_world, request):
    request.node.engine = _world.engine
    yield _world
    for image in _world.engine.api.get("/images/json").json:
        for name in (image["RepoTags"] or []) + (image["RepoDigests"] or []):
            if name != BUSYBOX:
                _world.engine.api.delete(f"/images/{name}", force=1)


@pytest.fixture
def cli(client, world, tmp_path):
    return Cli(client, world.engine.host, str(tmp_path))


@pytest.fixture
def docker(world, tmp_path):
    return Cli("docker", world.engine.host, str(tmp_path))


@pytest.fixture
def fresh(world, name):
    """An image that no registry has."""
    ref = f"{name}:fresh"
    images.import_tar(world.engine, images.tar_of((name, {"data": os.urandom(1000)})), ref)
    return ref


# ---- certificates ----
def test_a_private_authority(docker, world, name):
    ref = f"{world.tls.host}/{name}:1"
    docker("tag", BUSYBOX, ref)
    world.trust(world.tls)
    assert "x509: certificate signed by unknown authority" in docker("push", ref, rc=1).err
    world.trust(world.tls, ("ca.crt", f"{world.ca}/ca.crt"))
    assert "Pushed" in docker("push", ref).out
    docker("rmi", ref)
    docker("pull", ref)


def test_a_client_certificate(docker, world, name):
    ref = f"{world.mutual.host}/{name}:1"
    docker("tag", BUSYBOX, ref)
    world.trust(world.mutual, ("ca.crt", f"{world.ca}/ca.crt"))
    assert docker("push", ref, rc=1).err.strip().endswith(("remote error: tls: bad certificate", "remote error: tls: certificate required"))
    world.trust(world.mutual, ("ca.crt", f"{world.ca}/ca.crt"), ("client.cert", world.client[0]))
    assert "missing key client.key for client certificate client.cert" in docker("push", ref, rc=1).err
    world.trust(world.mutual, ("ca.crt", f"{world.ca}/ca.crt"), ("client.cert", world.client[0]), ("client.key", world.client[1]))
    assert "Pushed" in docker("push", ref).out
    docker("rmi", ref)
    docker("pull", ref)


def test_plain_http_is_for_those_who_were_named(docker, world, name):
    docker("tag", BUSYBOX, f"{world.plain.host}/{name}:1")
    assert "http: server gave HTTP response to HTTPS client" in docker("push", f"{world.plain.host}/{name}:1", rc=1).err
    docker("tag", BUSYBOX, f"{world.insecure.host}/{name}:1")
    assert "Pushed" in docker("push", f"{world.insecure.host}/{name}:1").out


# ---- mirrors ----
def test_a_mirror_serves_for_a_registry_that_is_away(docker, world, name):
    """The first mirror is away too."""
    world.mirror.put_image(name, "1", random_layer("m", 1000))
    ref = f"{OUTSIDE}:4998/{name}:1"
    out = docker("pull", ref).out
    assert f"Downloaded newer image for {ref}" in out
    assert docker.inspect(ref, "{{index .RepoDigests 0}}").startswith(f"{OUTSIDE}:4998/{name}@sha256:")
    assert "connection refused" in docker("push", ref, rc=1).err, "mirrors are only read"


def test_what_a_mirror_has_not_comes_from_the_registry(docker, world, name):
    world.insecure.put_image(name, "1", random_layer("m", 1000))
    docker("pull", f"{world.insecure.host}/{name}:1")


def test_a_mirror_that_has_only_half_of_it(docker, world, name):
    layers = [random_layer(f"m{i}", 1000) for i in range(2)]
    image = world.insecure.put_image(name, "1", *layers)
    world.mirror.put_image(name, "1", *layers)
    digest = image["layers"][1]["digest"]
    os.unlink(os.path.join(world.mirror.root, "docker/registry/v2/blobs/sha256", digest[7:9], digest[7:], "data"))
    docker("pull", f"{world.insecure.host}/{name}:1")


# ---- proxies ----
def test_a_proxy_is_asked_for_what_is_outside(docker, world, name):
    """198.51.100.9 exists for the proxy only: it cannot reach it either, but it was asked."""
    world.web.rules({"match": ".", "status": 403, "body": "no"})
    docker("pull", f"198.51.100.9:5000/{name}:1", rc=1)
    asked = [e["proxied"] for e in world.web.stats()["log"]]
    assert "198.51.100.9:5000" in asked, asked
    world.web.rules()
    docker("pull", f"{world.insecure.host}/{name}:1", rc=1)
    assert not [e for e in world.web.stats()["log"] if e["proxied"]]


# ---- tokens ----
def test_a_token_and_what_is_asked_for(cli, world, name, fresh):
    ref = f"{world.guard.host}/{name}/box:1"
    cli("tag", fresh, ref)
    err = cli("push", ref, rc=1).err
    assert "denied" in err or "unauthorized" in err or "Cannot perform an interactive login" in err, err
    assert "incorrect username or password" in cli("login", "-u", "joe", "-p", "wrong", world.guard.host, rc=1).err
    cli("login", "-u", "joe", "-p", "secret", world.guard.host)
    config = json.load(open(os.path.join(cli.env["DOCKER_CONFIG"], "config.json")))
    assert config["auths"][world.guard.host]["identitytoken"] == "refresh-joe"
    before = len(world.tokens.asked())
    assert "Pushed" in cli("push", ref).out
    asked = world.tokens.asked()[before:]
    assert asked[0]["method"] == "POST" and asked[0]["query"]["grant_type"] == ["refresh_token"]
    assert f"repository:{name}/box:pull,push" in asked[0]["query"]["scope"] or f"repository:{name}/box:push,pull" in asked[0]["query"]["scope"]
    cli("tag", ref, f"{world.guard.host}/{name}/two:1")
    before = len(world.tokens.asked())
    assert f"Mounted from {name}/box" in cli("push", f"{world.guard.host}/{name}/two:1").out
    assert any(f"repository:{name}/box:pull" in a["query"]["scope"] for a in world.tokens.asked()[before:])
    cli("rmi", ref)
    cli("pull", ref)


def test_a_token_by_get(docker, world, name, fresh):
    """A client that knows name and password only; and one that knows nothing, for what is public."""
    ref = f"{world.guard.host}/{name}/public/box:1"
    docker("tag", fresh, ref)
    os.makedirs(docker.env["DOCKER_CONFIG"], exist_ok=True)
    with open(os.path.join(docker.env["DOCKER_CONFIG"], "config.json"), "w") as f:
        json.dump({"auths": {world.guard.host: {"auth": "am9lOnNlY3JldA=="}}}, f)
    before = len(world.tokens.asked())
    docker("push", ref)
    assert {a["method"] for a in world.tokens.asked()[before:]} == {"GET"} and world.tokens.asked()[-1]["user"] == "joe"
    docker("rmi", ref)
    os.unlink(os.path.join(docker.env["DOCKER_CONFIG"], "config.json"))
    docker("pull", ref)
    assert world.tokens.asked()[-1]["user"] == ""


def test_a_token_that_has_run_out_is_asked_for_again(docker, world, name, fresh):
    ref = f"{world.guard.host}/{name}/public/box:1"
    docker("tag", fresh, ref)
    docker("login", "-u", "joe", "-p", "secret", world.guard.host)
    world.tokens.stale(1)
    assert "Pushed" in docker("push", ref).out
    docker("rmi", ref)
    world.tokens.stale(1)
    docker("pull", ref)
    docker("rmi", ref)
    world.tokens.stale(50)
    began = time.monotonic()
    err = docker("pull", ref, rc=1).err
    world.tokens.stale(0)
    assert "unauthorized" in err or "Cannot perform an interactive login" in err, err
    assert time.monotonic() - began < 10


def test_several_challenges_in_one_header(docker, world, name, fresh):
    ref = f"{world.guard.host}/{name}/public/box:1"
    docker("tag", fresh, ref)
    docker("login", "-u", "joe", "-p", "secret", world.guard.host)
    docker("push", ref)
    docker("rmi", ref)
    realm = f'Bearer realm="http://127.0.0.1:{world.tokens.port}/token",service="test registry"'
    for header in (f'Basic realm="a, b=\\"c\\"", {realm}', f'Negotiate, NTLM abc==, {realm}, Basic realm=x', ["Basic realm=x", realm]):
        world.guard.rules({"match": "GET /v2/$", "status": 401, "headers": {"WWW-Authenticate": header}})
        docker("pull", ref)
        docker("rmi", ref)
    world.guard.rules()


# ---- where passwords are ----
def test_a_credential_helper(cli, world, name, fresh, tmp_path):
    helper = tmp_path / "bin" / "docker-credential-test"
    helper.parent.mkdir()
    helper.write_text(f"""#!/bin/sh
cat >>{tmp_path}/in; echo " $1" >>{tmp_path}/in
case $1 in
get) [ -e {tmp_path}/gone ] && {{ echo "credentials not found in native keychain"; exit 1; }}
	echo '{{"ServerURL": "{world.guard.host}", "Username": "joe", "Secret": "secret"}}' ;;
list) echo '{{"{world.guard.host}": "joe"}}' ;;
esac
""")
    helper.chmod(0o755)
    cli.env["PATH"] = f"{helper.parent}:{cli.env['PATH']}"
    os.makedirs(cli.env["DOCKER_CONFIG"], exist_ok=True)
    with open(os.path.join(cli.env["DOCKER_CONFIG"], "config.json"), "w") as f:
        json.dump({"credHelpers": {world.guard.host: "test"}}, f)
    ref = f"{world.guard.host}/{name}/box:1"
    cli("tag", fresh, ref)
    cli("push", ref)
    assert f"{world.guard.host} get" in (tmp_path / "in").read_text().replace("\n", " ").replace("  ", " ")
    cli("login", "-u", "joe", "-p", "secret", world.guard.host)
    assert " store" in (tmp_path / "in").read_text() and "refresh-joe" in (tmp_path / "in").read_text()
    assert "secret" not in open(os.path.join(cli.env["DOCKER_CONFIG"], "config.json")).read()
    cli("logout", world.guard.host)
    assert " erase" in (tmp_path / "in").read_text()
    (tmp_path / "gone").touch()
    cli("push", ref, rc=1)
