"""docker attach: several at once, detach keys, half-closed streams."""
import socket
import time

from harness.api import demux, read_all
from harness.cli import until
from harness.images import BUSYBOX


def test_attach_joins_the_running_output_and_gets_the_exit_code(cli, name):
    cli("run", "-di", "--name", name, BUSYBOX, "sh", "-c", "read x; echo got $x; exit 3")
    p = cli.popen("attach", name)
    time.sleep(0.3)
    p.stdin.write(b"word\n")
    p.stdin.flush()
    assert p.stdout.readline() == b"got word\n" and p.wait(20) == 3


def test_several_attached_clients_all_see_everything(cli, name):
    cli("run", "-di", "--name", name, BUSYBOX, "cat")
    watchers = [cli.popen("attach", "--no-stdin", name) for _ in range(3)]
    time.sleep(0.7)
    writer = cli.popen("attach", name)
    time.sleep(0.3)
    lines = b"".join(b"line %d\n" % i for i in range(500))
    writer.stdin.write(lines)
    writer.stdin.flush()
    for p in [*watchers, writer]:
        got = b""
        while len(got) < len(lines):
            more = p.stdout.read1(65536)
            assert more, got
            got += more
        assert got == lines
    cli("kill", name)
    for p in [*watchers, writer]:
        assert p.wait(20) in (0, 137)


def test_detach_keys_leave_the_container_running(cli, name, terminal):
    t = terminal(cli, "run", "-it", "--name", name, BUSYBOX, "sh")
    t.type("echo rea''dy\n")
    t.expect("ready")
    t.type(b"\x10")
    time.sleep(0.1)
    t.type(b"\x11")
    assert t.wait() == 0
    assert cli("inspect", "--format", "{{.State.Status}}", name).line == "running"
    again = terminal(cli, "attach", name)
    again.type("echo ba''ck; exit 4\n")
    again.expect("back")
    assert again.wait() == 4


def test_detach_keys_can_be_chosen(cli, name, terminal):
    t = terminal(cli, "run", "-it", "--name", name, "--detach-keys", "ctrl-a,x", BUSYBOX, "sh")
    t.type("echo rea''dy\n")
    t.expect("ready")
    t.type(b"\x01")
    time.sleep(0.1)
    t.type(b"x")
    assert t.wait() == 0
    assert cli("inspect", "--format", "{{.State.Status}}", name).line == "running"


def test_half_a_detach_sequence_is_typed_through(cli, name, terminal):
    t = terminal(cli, "run", "--rm", "-it", BUSYBOX, "sh", "-c", "stty raw -echo; echo rea''dy; head -c 2 | od -An -tx1; exit 6")
    t.expect("ready")
    t.type(b"\x10z")
    t.expect(r"10\s+7a")
    assert t.wait() == 6


def test_exec_can_be_detached_too(cli, name, terminal):
    cli("run", "-d", "--name", name, BUSYBOX, "sleep", "1000")
    t = terminal(cli, "exec", "-it", name, "sh")
    t.type("echo rea''dy\n")
    t.expect("ready")
    t.type(b"\x10")
    time.sleep(0.1)
    t.type(b"\x11")
    t.wait()
    assert "sh" in cli("top", name, "-o", "pid,comm").out


def test_a_half_closed_stdin_still_brings_the_output(api, docker, name):
    docker("create", "-i", "--name", name, BUSYBOX, "sh", "-c", "cat; sleep 0.3; echo late")
    status, s, rest = api.hijack(f"/containers/{name}/attach?stream=1&stdin=1&stdout=1&stderr=1")
    assert status == 101
    docker("start", name)
    s.sendall(b"all of it\n")
    s.shutdown(socket.SHUT_WR)
    assert demux(read_all(s, rest))[1] == b"all of it\nlate\n"


def test_attach_with_logs_replays_what_was_said_before(api, docker, name):
    docker("run", "-d", "--name", name, BUSYBOX, "sh", "-c", "echo before; sleep 1; echo after")
    until(lambda: b"before" in docker("logs", name).raw)
    status, s, rest = api.hijack(f"/containers/{name}/attach?logs=1&stream=1&stdout=1")
    assert status == 101 and demux(read_all(s, rest))[1] == b"before\nafter\n"


def test_without_upgrade_the_stream_is_raw_200(api, docker, name):
    docker("create", "--name", name, BUSYBOX, "echo", "hi")
    status, s, rest = api.hijack(f"/containers/{name}/attach?stream=1&stdout=1", upgrade=False)
    docker("start", name)
    assert status == 200 and demux(read_all(s, rest)) == {1: b"hi\n", 2: b""}


def test_a_slow_reader_holds_the_program_and_loses_nothing(api, docker, name):
    docker("create", "--name", name, BUSYBOX, "sh", "-c", "yes 0123456789abcdef | head -n 600000")
    status, s, rest = api.hijack(f"/containers/{name}/attach?stream=1&stdout=1")
    docker("start", name)
    time.sleep(1.5)
    assert demux(read_all(s, rest))[1] == b"0123456789abcdef\n" * 600000


def test_a_client_that_goes_away_harms_nobody(api, docker, name):
    docker("run", "-d", "--name", name, BUSYBOX, "sh", "-c", "for i in $(seq 300); do echo line $i; sleep 0.005; done")
    for _ in range(5):
        status, s, _ = api.hijack(f"/containers/{name}/attach?stream=1&stdout=1")
        assert status == 101
        s.close()
    docker("wait", name)
    assert docker("logs", name).out.splitlines() == [f"line {i}" for i in range(1, 301)]


def test_attach_to_a_paused_container_is_refused(cli, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sleep", "1000")
    cli("pause", name)
    assert "paused" in cli("attach", name, rc=1).err
