"""docker exec: another process in a running container."""
import concurrent.futures
import json
import time

from harness.api import demux, read_all, unix
from harness.cli import until
from harness.images import BUSYBOX


def running(cli, name, *options):
    cli("run", "-d", "--name", name, *options, BUSYBOX, "sleep", "1000")
    return name


def test_exec_sees_the_container_and_returns_its_code(cli, name):
    running(cli, name, "-h", "ship", "-e", "A=container")
    result = cli("exec", name, "sh", "-c", "hostname; echo $A; echo err >&2; exit 9", rc=9)
    assert (result.out, result.err) == ("ship\ncontainer\n", "err\n")


def test_exec_feeds_stdin(cli, name):
    running(cli, name)
    data = bytes(range(256)) * 4000
    assert cli("exec", "-i", name, "cat", input=data).raw == data


def test_exec_options(cli, name):
    running(cli, name)
    out = cli("exec", "-e", "B=2", "-w", "/tmp", "-u", "app", name, "sh", "-c", "echo $B $PWD $(id -u) $HOME").line
    assert out == "2 /tmp 1000 /home/app"


def test_exec_exit_codes_127_and_126(cli, name):
    running(cli, name)
    assert "executable file not found" in (r := cli("exec", name, "nosuchcommand", rc=127)).err + r.out
    assert "permission denied" in (r := cli("exec", name, "/etc/not-executable", rc=126)).err + r.out
    assert cli("exec", name, "true").rc == 0  # the container is none the worse


def test_output_does_not_run_into_the_head(api, docker, name):
    """docker-py reads the head through a buffer and would lose what arrives beside it."""
    docker("run", "-d", "--name", name, BUSYBOX, "sleep", "1000")
    exec_id = api.post(f"/containers/{name}/exec", {"Cmd": ["echo", "hi"], "AttachStdout": True}).json["Id"]
    with unix(api.path) as s:
        body = b'{"Detach":false}'
        s.sendall(b"POST /v1.41/exec/%s/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\n"
                  b"Content-Length: %d\r\n\r\n%s" % (exec_id.encode(), len(body), body))
        time.sleep(0.2)  # a client that is slow to read
        head = s.recv(65536)
        assert head.endswith(b"\r\n\r\n") and b"hi" not in head
        assert demux(read_all(s)) == {1: b"hi\n", 2: b""}


def test_exec_with_a_terminal(cli, name, terminal):
    running(cli, name)
    t = terminal(cli, "exec", "-it", name, "sh")
    t.type("tty; exit 5\n")
    t.expect(r"/dev/pts/\d+\r\n")
    assert t.wait() == 5


def test_exec_detached_runs_on(cli, name):
    running(cli, name)
    assert cli("exec", "-d", name, "sh", "-c", "sleep 0.2; touch /tmp/done").out == ""
    until(lambda: cli("exec", name, "ls", "/tmp").line == "done")


def test_exec_in_what_does_not_run_is_refused(cli, name, api):
    container = cli("create", "--name", name, BUSYBOX, "true").line
    assert "is not running" in cli("exec", name, "true", rc=1).err
    assert api.post(f"/containers/{container}/exec", {"Cmd": ["true"]}).status == 409
    assert "No such container: hoyt-none" in cli("exec", "hoyt-none", "true", rc=1).err


def test_exec_privileged_has_all_capabilities(cli, name):
    running(cli, name)
    text = cli("exec", "--privileged", name, "grep", "CapEff", "/proc/self/status").line
    assert int(text.split()[1], 16) > 0xa80425fb
    assert cli("exec", name, "grep", "CapEff", "/proc/self/status").line.endswith("a80425fb")


def test_exec_inspect_and_ids(api, docker, name):
    running(docker, name)
    exec_id = api.post(f"/containers/{name}/exec", {"Cmd": ["sh", "-c", "exit 3"], "AttachStdout": True}).json["Id"]
    assert len(exec_id) == 64
    info = api.get(f"/exec/{exec_id}/json").json
    assert info["Running"] is False and info["ExitCode"] is None and info["ProcessConfig"]["entrypoint"] == "sh"
    status, s, rest = api.hijack(f"/exec/{exec_id}/start", {"Detach": False, "Tty": False})
    assert status == 101 and read_all(s, rest) == b""
    info = until(lambda: (i := api.get(f"/exec/{exec_id}/json").json)["Running"] is False and i)
    assert info["ExitCode"] == 3
    assert api.post(f"/exec/{exec_id}/start", {"Detach": True}).status == 409
    assert api.get("/exec/" + "0" * 64 + "/json").status == 404


def test_exec_stream_frames_without_upgrade(api, docker, name):
    running(docker, name)
    exec_id = api.post(f"/containers/{name}/exec", {"Cmd": ["sh", "-c", "echo a; sleep 0.1; echo b >&2"], "AttachStdout": True, "AttachStderr": True}).json["Id"]
    status, s, rest = api.hijack(f"/exec/{exec_id}/start", {"Detach": False, "Tty": False}, upgrade=False)
    assert status == 200 and demux(read_all(s, rest)) == {1: b"a\n", 2: b"b\n"}


def test_exec_resize(api, docker, name):
    running(docker, name)
    exec_id = api.post(f"/containers/{name}/exec", {"Cmd": ["sh", "-c", "sleep 0.5; stty size"], "AttachStdin": True, "AttachStdout": True, "Tty": True}).json["Id"]
    status, s, rest = api.hijack(f"/exec/{exec_id}/start", {"Detach": False, "Tty": True})
    assert api.post(f"/exec/{exec_id}/resize?h=44&w=111").status in (200, 201)
    assert b"44 111" in read_all(s, rest)


def test_execs_end_with_their_container(cli, name):
    running(cli, name)
    p = cli.popen("exec", name, "sh", "-c", "echo in; sleep 1000")
    assert p.stdout.readline() == b"in\n"
    cli("kill", name)
    assert p.wait(20) == 137


def test_many_execs_at_once(cli, name):
    running(cli, name)
    ps = [cli.popen("exec", name, "echo", str(i)) for i in range(20)]
    assert [p.communicate(timeout=60)[0] for p in ps] == [b"%d\n" % i for i in range(20)]


def test_a_running_exec_is_listed_in_inspect(cli, name):
    running(cli, name)
    cli("exec", "-d", name, "sleep", "77")
    assert len(json.loads(cli("inspect", "--format", "{{json .ExecIDs}}", name).line)) == 1


def test_the_exit_code_is_there_when_the_stream_has_ended(api, docker, name):
    """What every client does after an exec: read to the end, then ask for the code."""
    running(docker, name)

    def one(_):
        exec_id = api.post(f"/containers/{name}/exec", {"Cmd": ["sh", "-c", "echo o; exit 9"], "AttachStdout": True}).json["Id"]
        status, s, rest = api.hijack(f"/exec/{exec_id}/start", {"Detach": False})
        with s:
            out = demux(read_all(s, rest))[1]
        told = api.get(f"/exec/{exec_id}/json").json
        return out, told["Running"], told["ExitCode"]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(200))) == {(b"o\n", False, 9)}
