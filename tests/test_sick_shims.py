"""A shim that does not answer (stopped here; in life: stuck in the kernel) holds up nobody for ever: orders to end its container end the
shim and with it the container, everything else is refused after a while, and the rest of the engine does not notice."""
import threading
import time

import pytest

from harness.cli import Cli, until
from harness.images import BUSYBOX

STOP, CONT = 19, 18


@pytest.fixture
def cli(own_engine, tmp_path):
    return Cli("docker", own_engine.host, str(tmp_path))


def run_with_sick_shim(engine, cli, name, *args):
    cli("run", "-d", "--name", name, *args, BUSYBOX, "sleep", "1000")
    pid = int(cli.inspect(name, "{{.State.Pid}}"))
    shim = engine.machine.procs()[pid][0]
    engine.machine.signal(shim, STOP)
    return pid, shim


def at_once(*jobs):
    """name -> (seconds, result or exception) of functions that run side by side."""
    out = {}

    def run(name, f):
        begin = time.monotonic()
        try:
            result = f()
        except Exception as e:
            result = e
        out[name] = (time.monotonic() - begin, result)
    threads = [threading.Thread(target=run, args=job) for job in jobs]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return out


def test_orders_to_end_a_container_end_its_sick_shim(own_engine, cli, name):
    pids = {n: run_with_sick_shim(own_engine, cli, name + n) for n in ("kill", "rm", "stop")}
    cli("run", "-d", "--name", name + "paused", BUSYBOX, "sleep", "1000")
    cli("pause", name + "paused")
    pid = int(cli.inspect(name + "paused", "{{.State.Pid}}"))
    pids["paused"] = pid, own_engine.machine.procs()[pid][0]
    own_engine.machine.signal(pids["paused"][1], STOP)
    begin = time.monotonic()
    cli("ps", "-a")
    cli.inspect(name + "kill", "{{.State.Status}}")
    assert cli("run", "--rm", BUSYBOX, "echo", "ok").line == "ok"
    assert time.monotonic() - begin < 5, "others do not notice"
    done = at_once(("kill", lambda: cli("kill", name + "kill")), ("rm", lambda: cli("rm", "-f", name + "rm")),
                   ("stop", lambda: cli("stop", "-t", "1", name + "stop")), ("paused", lambda: cli("rm", "-f", name + "paused")),
                   ("term", lambda: own_engine.api.post(f"/containers/{name}kill/kill", signal="USR1")))
    for what, (seconds, result) in done.items():
        assert seconds < 18 and not isinstance(result, Exception), (what, seconds, result)
    assert done["term"][1].status >= 409, "no shim, no signal"
    for n in ("kill", "stop"):
        until(lambda n=n: cli.inspect(name + n, "{{.State.Status}} {{.State.ExitCode}}") == "exited 137", what=f"the end of {n}")
    procs = own_engine.machine.procs()
    assert not [p for pair in pids.values() for p in pair if p in procs], "container and shim are gone"
    assert cli("inspect", name + "rm", name + "paused", rc=1).err.count("No such object") == 2
    cli("start", name + "kill")
    assert cli("exec", name + "kill", "echo", "again").line == "again"
    cli("rm", "-f", name + "kill", name + "stop")


def test_what_needs_the_shim_is_refused_after_a_while(own_engine, cli, name):
    _, shim = run_with_sick_shim(own_engine, cli, name)
    exec_id = own_engine.api.post(f"/containers/{name}/exec", {"Cmd": ["true"]}).json["Id"]
    done = at_once(("pause", lambda: own_engine.api.post(f"/containers/{name}/pause")),
                   ("resize", lambda: own_engine.api.post(f"/containers/{name}/resize", h=10, w=10)),
                   ("exec", lambda: own_engine.api.get(f"/exec/{exec_id}/json")),
                   ("logs", lambda: own_engine.api.get(f"/containers/{name}/logs", stdout=1)),
                   ("wait", lambda: own_engine.api.post(f"/containers/{name}/wait", timeout=18)))
    assert all(seconds < 16 for seconds, _ in done.values()), done
    for what in ("pause", "resize"):
        assert done[what][1].status == 503 and "does not answer" in done[what][1].message, done[what][1].body
    assert isinstance(done["wait"][1], Exception), "its head was out: all that is left is to end it"
    assert done["exec"][1].status == 200 and done["logs"][1].status == 200
    begin = time.monotonic()
    assert own_engine.api.post(f"/containers/{name}/pause").status == 503
    assert time.monotonic() - begin < 5, "a shim known to be sick is not waited for as long"
    own_engine.machine.signal(shim, CONT)
    until(lambda: cli("exec", name, "echo", "well", rc=None).out == "well\n", timeout=10, what="its recovery: not frozen, since pause failed")
    cli("stop", "-t", "0", name)
    assert cli.inspect(name, "{{.State.Status}} {{.State.ExitCode}}") == "exited 137"


def test_a_new_daemon_ends_a_sick_shim_too(own_engine, cli, name):
    """It did not start that shim: who it is, the socket tells."""
    pid, shim = run_with_sick_shim(own_engine, cli, name)
    own_engine.restart()
    assert cli.inspect(name, "{{.State.Status}}") == "running"
    begin = time.monotonic()
    cli("rm", "-f", name)
    assert time.monotonic() - begin < 16
    procs = own_engine.machine.procs()
    assert pid not in procs and shim not in procs
