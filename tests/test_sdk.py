"""python3-docker, as programs and test suites use it."""
import docker
import pytest

from harness.images import BUSYBOX


@pytest.fixture
def sdk(engine):
    client = docker.DockerClient(base_url=engine.host)
    yield client
    client.close()


def test_run_returns_the_output(sdk):
    assert sdk.containers.run(BUSYBOX, ["echo", "hi"], remove=True) == b"hi\n"


def test_a_failing_command_raises_with_its_code(sdk):
    with pytest.raises(docker.errors.ContainerError) as e:
        sdk.containers.run(BUSYBOX, ["sh", "-c", "echo bad >&2; exit 3"], remove=True)
    assert e.value.exit_status == 3 and b"bad" in e.value.stderr


def test_errors_have_their_kinds(sdk, name):
    with pytest.raises(docker.errors.NotFound):
        sdk.containers.get("hoyt-none")
    with pytest.raises(docker.errors.ImageNotFound):
        sdk.images.get("hoytest:nosuch")
    sdk.containers.create(BUSYBOX, "true", name=name)
    with pytest.raises(docker.errors.APIError) as e:
        sdk.containers.create(BUSYBOX, "true", name=name)
    assert e.value.status_code == 409


def test_a_life(sdk, name):
    c = sdk.containers.run(BUSYBOX, ["sh", "-c", "echo up; sleep 1000"], detach=True, name=name, labels={"who": name}, environment={"A": "1"})
    assert c.status in ("created", "running")
    assert [x.id for x in sdk.containers.list(filters={"label": f"who={name}"})] == [c.id]
    code, out = c.exec_run(["sh", "-c", "echo $A; exit 2"])
    assert (code, out) == (2, b"1\n")
    code, (out, err) = c.exec_run(["sh", "-c", "echo o; echo e >&2"], demux=True)
    assert (code, out, err) == (0, b"o\n", b"e\n")
    assert c.logs() == b"up\n" and c.top()["Processes"]
    c.rename(name + "x")
    c.pause()
    c.reload()
    assert c.status == "paused"
    c.unpause()
    c.stop(timeout=0)
    assert c.wait()["StatusCode"] == 137
    c.remove()
    with pytest.raises(docker.errors.NotFound):
        c.reload()


def test_logs_stream(sdk, name):
    c = sdk.containers.run(BUSYBOX, ["sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done"], detach=True, name=name)
    assert b"".join(c.logs(stream=True, follow=True)) == b"1\n2\n3\n"


def test_attach_socket_talks_both_ways(sdk, name):
    c = sdk.containers.create(BUSYBOX, ["cat"], name=name, stdin_open=True, tty=True)
    s = c.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    c.start()
    s._sock.sendall(b"ahoy\n")
    got = b""
    while got.count(b"ahoy") < 2:
        more = s._sock.recv(100)
        assert more
        got += more
    s.close()


def test_events_are_decoded(sdk, name):
    events = sdk.events(decode=True, filters={"container": name})
    sdk.containers.run(BUSYBOX, "true", name=name)
    actions = [next(events)["Action"] for _ in range(2)]
    assert actions[0] == "create"
    events.close()


def test_images_are_listed_and_loaded(sdk, name, busybox_tar):
    from harness import images
    data, image_id = images.archive(busybox_tar, tag=f"hoytest:{name}")
    loaded = sdk.images.load(data)
    assert loaded[0].id == image_id and f"hoytest:{name}" in loaded[0].tags
    assert image_id in [i.id for i in sdk.images.list()]
    sdk.images.remove(f"hoytest:{name}")


def test_volumes_and_ports(sdk, name, engine):
    c = sdk.containers.run(BUSYBOX, ["echod", "tcp", "7"], detach=True, name=name, ports={"7/tcp": None}, mem_limit="64m", volumes={"/etc": {"bind": "/h", "mode": "ro"}})
    c.reload()
    port = int(c.ports["7/tcp"][0]["HostPort"])
    assert engine.net.connect("127.0.0.1", port) and c.attrs["HostConfig"]["Memory"] == 64 << 20
    assert c.exec_run(["ls", "/h/passwd"])[0] == 0


def test_info_version_ping(sdk):
    assert sdk.ping() is True and sdk.version()["ApiVersion"] and sdk.info()["NCPU"] >= 1
