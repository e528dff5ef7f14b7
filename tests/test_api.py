"""The HTTP API itself: versions, headers, and answers of the right shape."""
import pytest

from harness.images import BUSYBOX


def test_ping_says_who_we_are(api):
    for method in ("GET", "HEAD"):
        answer = api.call(method, "/_ping", version="")
        assert answer.status == 200 and answer.body == (b"OK" if method == "GET" else b"")
        assert answer.headers["Api-Version"] >= "1.41" and answer.headers["Ostype"] == "linux"
        assert "no-cache" in answer.headers["Cache-Control"] and answer.headers["Server"]


@pytest.mark.parametrize("version", ["v1.24", "v1.30", "v1.41", "v1.51", ""])
def test_every_version_in_the_range_is_served(api, version):
    answer = api.get("/version", version=version)
    assert answer.status == 200 and answer.json["ApiVersion"] >= "1.41" and answer.json["MinAPIVersion"] <= "1.24"
    assert answer.json["Os"] == "linux" and answer.json["KernelVersion"]


def test_versions_outside_the_range_are_refused(api):
    answer = api.get("/version", version="v1.99")
    assert answer.status == 400 and "is too new. Maximum supported API version is" in answer.message
    answer = api.get("/version", version="v1.5")
    assert answer.status == 400 and b"is too old. Minimum supported API version is" in answer.body


def test_unknown_pages_are_404_with_a_message(api):
    for method, path in (("GET", "/nosuch"), ("POST", "/containers/nosuch/nosuch"), ("GET", "/"), ("DELETE", "/version")):
        answer = api.call(method, path)
        assert answer.status in (404, 405) and answer.message == "page not found", (method, path)


def test_info_tells_of_the_machine(api, engine):
    info = api.get("/info").json
    assert info["NCPU"] > 0 and info["MemTotal"] > 0 and info["OSType"] == "linux" and info["Driver"] == "overlay2"
    assert info["CgroupDriver"] in ("cgroupfs", "systemd") and info["CgroupVersion"] in ("1", "2") and info["ID"]
    assert info["Containers"] == info["ContainersRunning"] + info["ContainersPaused"] + info["ContainersStopped"]


def test_client_info_and_version_print(cli):
    assert "Server" in cli("version").out
    assert cli("version", "--format", "{{.Server.APIVersion}}").line >= "1.41"
    assert "Containers:" in cli("info").out


@pytest.mark.parametrize("method,path", [
    ("GET", "/containers/hoyt-none/json"), ("POST", "/containers/hoyt-none/start"), ("POST", "/containers/hoyt-none/stop"), ("POST", "/containers/hoyt-none/kill"),
    ("POST", "/containers/hoyt-none/pause"), ("POST", "/containers/hoyt-none/wait"), ("POST", "/containers/hoyt-none/restart"), ("DELETE", "/containers/hoyt-none"),
    ("POST", "/containers/hoyt-none/attach"), ("GET", "/containers/hoyt-none/logs?stdout=1"), ("GET", "/containers/hoyt-none/top"),
    ("POST", "/containers/hoyt-none/resize?h=1&w=1"), ("POST", "/containers/hoyt-none/rename?name=x")])
def test_every_verb_on_nothing_is_404_in_dockers_words(api, method, path):
    answer = api.call(method, path)
    assert answer.status == 404 and b"No such container: hoyt-none" in answer.body


def test_create_answers_with_id_and_warnings(api, name):
    answer = api.post("/containers/create", {"Image": BUSYBOX, "Cmd": ["true"]}, name=name)
    assert answer.status == 201 and len(answer.json["Id"]) == 64 and answer.json["Warnings"] == []
    assert answer.headers["Content-Type"].startswith("application/json")


def test_status_codes_of_a_life(api, name):
    assert api.post("/containers/create", {"Image": BUSYBOX, "Cmd": ["sleep", "100"]}, name=name).status == 201
    assert api.post(f"/containers/{name}/start").status == 204
    assert api.post(f"/containers/{name}/start").status == 304
    assert api.post(f"/containers/{name}/pause").status == 204
    assert api.post(f"/containers/{name}/unpause").status == 204
    assert api.post(f"/containers/{name}/unpause").status in (409, 500)
    assert api.post(f"/containers/{name}/stop?t=0").status == 204
    assert api.post(f"/containers/{name}/stop").status == 304
    assert api.post(f"/containers/{name}/kill").status == 409
    assert api.delete(f"/containers/{name}").status == 204


def test_unknown_fields_are_ignored(api, name):
    body = {"Image": BUSYBOX, "NoSuchField": {"a": [1, 2, {"b": None}]}, "HostConfig": {"AlsoNot": True}}
    assert api.post("/containers/create", body, name=name).status == 201


def test_field_names_are_taken_in_any_case(api, name):
    """Go's decoder folds case, and clients rely on it."""
    assert api.post("/containers/create", {"image": BUSYBOX, "cmd": ["echo", "x"]}, name=name).status == 201
    assert api.inspect(name)["Config"]["Cmd"] == ["echo", "x"]


def test_large_numbers_stay_exact(api, name):
    n = 9007199254740993
    assert api.post("/containers/create", {"Image": BUSYBOX, "HostConfig": {"MemorySwap": -1, "Memory": n}}, name=name).status == 201
    assert api.inspect(name)["HostConfig"]["Memory"] == n


def test_null_and_empty_in_inspect_are_dockers(api, name):
    api.post("/containers/create", {"Image": BUSYBOX}, name=name)
    c = api.inspect(name)
    assert c["ExecIDs"] is None and c["Mounts"] == [] and c["HostConfig"]["Binds"] is None
    assert c["NetworkSettings"]["Ports"] == {} and c["HostConfig"]["PortBindings"] in ({}, None) and c["Config"]["Volumes"] is None
    assert c["State"]["FinishedAt"] == "0001-01-01T00:00:00Z" and c["State"]["Error"] == "" and c["RestartCount"] == 0


def test_wait_sends_its_head_at_once(engine, docker, name):
    """The docker client starts a container only after wait has answered its head."""
    import socket
    from harness.api import unix
    docker("create", "--name", name, BUSYBOX, "true")
    with unix(engine.sock, 5) as s:
        s.sendall(f"POST /v1.41/containers/{name}/wait?condition=next-exit HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n".encode())
        assert s.recv(4096).startswith(b"HTTP/1.1 200")
        docker("start", name)
        s.settimeout(20)
        got = b""
        while b"StatusCode" not in got:
            more = s.recv(4096)
            assert more
            got += more
        s.shutdown(socket.SHUT_RDWR)
