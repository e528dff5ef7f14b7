"""A container's life: created, started, paused, stopped, renamed, removed; and what the lists say of it."""
import json
import re
import time

import pytest

from harness.cli import until
from harness.images import BUSYBOX

STOPPABLE = ["sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done"]


def state(cli, name):
    return cli("inspect", "--format", "{{.State.Status}}", name).line


def ready(cli, name):
    until(lambda: "ready" in cli("logs", name).out, what="the program's first line")


def test_create_start_stop_start_rm(cli, name):
    cli("create", "--name", name, BUSYBOX, *STOPPABLE)
    assert state(cli, name) == "created"
    assert cli("start", name).line == name
    assert state(cli, name) == "running"
    ready(cli, name)
    assert cli("stop", name).line == name
    assert cli("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", name).line == "exited 0"
    cli("start", name)
    assert state(cli, name) == "running"
    cli("rm", "-f", name)
    assert "No such" in cli("inspect", name, rc=1).err


def test_start_attached_gives_output_and_exit_code(cli, name):
    cli("create", "--name", name, "-i", BUSYBOX, "sh", "-c", "cat; exit 4")
    assert cli("start", "-ai", name, input=b"fed\n", rc=4).out == "fed\n"


def test_starting_a_running_container_is_a_quiet_success(cli, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sleep", "100")
    pid = cli("inspect", "--format", "{{.State.Pid}}", name).line
    cli("start", name)
    assert cli("inspect", "--format", "{{.State.Pid}}", name).line == pid


def test_stop_kills_what_does_not_listen(cli, name):
    cli("run", "-d", "--name", name, "--stop-timeout", "1000", BUSYBOX, "sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done")
    until(lambda: cli("logs", name).line == "deaf")
    begin = time.monotonic()
    cli("stop", "-t", "1", name)  # the client gives up long before 1000 s
    assert time.monotonic() - begin > 0.9
    assert cli("inspect", "--format", "{{.State.ExitCode}}", name).line == "137"


def test_stop_uses_the_stop_signal(cli, name):
    cli("run", "-d", "--name", name, "--stop-signal", "USR1", BUSYBOX, "sh", "-c", "trap 'exit 11' USR1; echo ready; while :; do sleep 0.1; done")
    ready(cli, name)
    cli("stop", name)
    assert cli("inspect", "--format", "{{.State.ExitCode}}", name).line == "11"


def test_kill_sends_the_named_signal(cli, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sh", "-c", "trap 'echo hup' HUP; echo ready; while :; do sleep 0.1; done")
    ready(cli, name)
    assert cli("kill", "-s", "HUP", name).line == name
    until(lambda: "hup" in cli("logs", name).out)
    assert state(cli, name) == "running"
    cli("kill", name)
    until(lambda: state(cli, name) == "exited")
    assert cli("inspect", "--format", "{{.State.ExitCode}}", name).line == "137"


def test_killing_what_does_not_run_is_refused(cli, name):
    container = cli("create", "--name", name, BUSYBOX, "true").line
    assert f"container {container} is not running" in cli("kill", name, rc=1).err.replace("Container", "container")


def test_restart_gives_a_new_process(cli, name):
    cli("run", "-d", "--name", name, BUSYBOX, *STOPPABLE)
    ready(cli, name)
    pid = cli("inspect", "--format", "{{.State.Pid}}", name).line
    cli("restart", name)
    assert state(cli, name) == "running" and cli("inspect", "--format", "{{.State.Pid}}", name).line != pid


def test_pause_stops_time_and_unpause_goes_on(cli, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sh", "-c", "while :; do echo tick; sleep 0.05; done")
    until(lambda: "tick" in cli("logs", name).out)
    cli("pause", name)
    assert state(cli, name) == "paused" and "(Paused)" in cli("ps", "--filter", f"name={name}").out
    before = cli("logs", name).out
    time.sleep(0.5)
    assert cli("logs", name).out == before
    assert "is already paused" in cli("pause", name, rc=1).err
    assert "is paused" in cli("exec", name, "true", rc=1).err
    cli("unpause", name)
    until(lambda: len(cli("logs", name).out) > len(before))
    assert "is not paused" in cli("unpause", name, rc=1).err


def test_a_paused_container_can_be_removed_by_force(cli, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sleep", "100")
    cli("pause", name)
    cli("rm", "-f", name)
    cli("inspect", name, rc=1)


def test_wait_prints_the_exit_code(cli, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sh", "-c", "sleep 0.3; exit 6")
    assert cli("wait", name).line == "6"
    assert cli("wait", name).line == "6"


@pytest.mark.parametrize("condition", ["not-running", "next-exit", "removed"])
def test_wait_conditions(api, docker, name, condition):
    docker("run", "-d", "--name", name, *(["--rm"] if condition == "removed" else []), BUSYBOX, "sh", "-c", "sleep 0.7; exit 5")
    answer = api.post(f"/containers/{name}/wait", condition=condition)
    assert answer.status == 200 and answer.json["StatusCode"] == 5
    if condition == "removed":
        assert api.get(f"/containers/{name}/json").status == 404


def test_next_exit_waits_for_a_container_that_has_not_started(api, docker, name):
    docker("create", "--name", name, BUSYBOX, "sh", "-c", "exit 8")
    assert api.post(f"/containers/{name}/wait", condition="not-running").json["StatusCode"] == 0
    import threading
    got = []
    waiter = threading.Thread(target=lambda: got.append(api.post(f"/containers/{name}/wait", condition="next-exit").json))
    waiter.start()
    time.sleep(0.3)
    assert not got
    docker("start", name)
    waiter.join(20)
    assert got[0]["StatusCode"] == 8


def test_an_unknown_wait_condition_is_refused(api, docker, name):
    docker("create", "--name", name, BUSYBOX, "true")
    answer = api.post(f"/containers/{name}/wait", condition="nosuch")
    assert answer.status == 400 and "invalid condition" in answer.message


def test_rename_keeps_the_container_and_frees_the_name(cli, name):
    container = cli("run", "-d", "--name", name, BUSYBOX, "sleep", "100").line
    cli("rename", name, name + "-b")
    assert cli("inspect", "--format", "{{.Id}} {{.Name}}", name + "-b").line == f"{container} /{name}-b"
    cli("inspect", name, rc=1)
    cli("create", "--name", name, BUSYBOX, "true")
    assert "Conflict" in cli("rename", name + "-b", name, rc=1).err


def test_a_name_in_use_is_a_conflict_that_names_the_holder(cli, name, api):
    container = cli("create", "--name", name, BUSYBOX, "true").line
    result = cli("create", "--name", name, BUSYBOX, "true", rc=1)
    assert f'Conflict. The container name "/{name}" is already in use by container "{container}"' in result.err
    answer = api.post("/containers/create", {"Image": BUSYBOX}, name=name)
    assert answer.status == 409
    assert len([c for c in api.get("/containers/json", all=1).json if f"/{name}" in c["Names"]]) == 1


def test_bad_names_are_refused(cli, api):
    result = cli("create", "--name", "hoyt/!", BUSYBOX, "true", rc=1)
    assert "Invalid container name (hoyt/!), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed" in result.err


def test_a_running_container_is_removed_only_by_force(cli, name, api):
    container = cli("run", "-d", "--name", name, BUSYBOX, "sleep", "100").line
    result = cli("rm", name, rc=1)
    assert "container is running" in result.err or "You cannot remove a running container" in result.err
    assert api.delete(f"/containers/{container}").status == 409
    assert cli("rm", "-f", name).line == name


def test_unique_prefixes_of_ids_resolve(cli, name):
    container = cli("create", "--name", name, BUSYBOX, "true").line
    assert cli("inspect", "--format", "{{.Id}}", container[:20]).line == container
    assert "No such" in cli("inspect", "f" * 63, rc=1).err


def test_ps_lists_filters_and_formats(cli, name):
    a = cli("run", "-d", "--name", name + "-a", "--label", f"k={name}", BUSYBOX, "sleep", "100").line
    b = cli("create", "--name", name + "-b", "--label", f"k={name}", "--label", "other", BUSYBOX, "true").line

    def ids(*args):
        return cli("ps", "-q", "--no-trunc", "--filter", f"label=k={name}", *args).out.split()
    assert ids() == [a]
    assert ids("-a") == [b, a]
    assert ids("-a", "--filter", "status=created") == [b]
    assert ids("-a", "--filter", "label=other") == [b]
    assert ids("-a", "--filter", f"name={name}-a") == [a]
    assert ids("-a", "--filter", f"id={a[:12]}") == [a]
    assert ids("-a", "--filter", f"ancestor={BUSYBOX}") == [b, a]
    assert ids("-a", "--filter", f"before={name}-b") == [a]
    assert ids("-a", "--filter", f"since={name}-a") == [b]
    assert ids("-n", "1") == [b]
    row = cli("ps", "-a", "--filter", f"name={name}-a", "--format", "{{.Names}}|{{.Image}}|{{.Command}}|{{.Label \"k\"}}|{{.State}}").line
    assert row == f'{name}-a|{BUSYBOX}|"sleep 100"|{name}|running'
    assert re.match(r"Up (Less than a|\d+) second", cli("ps", "--filter", f"name={name}-a", "--format", "{{.Status}}").line)


def test_exited_filter_and_status_text(cli, name):
    cli("run", "--name", name, BUSYBOX, "sh", "-c", "exit 3", rc=3)
    assert cli("ps", "-aq", "--filter", f"name={name}", "--filter", "exited=3").line
    assert not cli("ps", "-aq", "--filter", f"name={name}", "--filter", "exited=0").line
    assert re.match(r"Exited \(3\) ", cli("ps", "-a", "--filter", f"name={name}", "--format", "{{.Status}}").line)


def test_an_unknown_filter_is_refused(cli, api):
    assert "invalid filter 'nosuch'" in cli("ps", "--filter", "nosuch=1", rc=1).err.replace("Invalid", "invalid")
    assert api.get("/containers/json", filters={"nosuch": ["1"]}).status == 400


def test_top_shows_the_processes(cli, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sleep", "543")
    out = cli("top", name).out
    assert "UID" in out.splitlines()[0] and "sleep 543" in out
    assert "sleep" in cli("top", name, "-o", "pid,comm").out


def test_inspect_has_what_was_asked_for(cli, name):
    cli("create", "--name", name, "-e", "A=1", "-w", "/tmp", "-l", "x=y", "--memory", "32m", "--pids-limit", "7", "--read-only", "-p", "127.0.0.1:18:19/udp",
        "-v", "/etc:/hostetc:ro", BUSYBOX, "echo", "hi")
    c = json.loads(cli("inspect", name).out)[0]
    assert c["Path"] == "echo" and c["Args"] == ["hi"] and c["Config"]["WorkingDir"] == "/tmp" and c["Config"]["Labels"]["x"] == "y"
    assert "A=1" in c["Config"]["Env"]
    h = c["HostConfig"]
    assert h["Memory"] == 32 << 20 and h["PidsLimit"] == 7 and h["ReadonlyRootfs"] is True and h["Binds"] == ["/etc:/hostetc:ro"]
    assert h["PortBindings"] == {"19/udp": [{"HostIp": "127.0.0.1", "HostPort": "18"}]}
    assert c["Mounts"][0]["Destination"] == "/hostetc" and c["Mounts"][0]["RW"] is False and c["Mounts"][0]["Type"] == "bind"
    assert c["State"]["StartedAt"] == "0001-01-01T00:00:00Z" and re.match(r"20\d\d-\d\d-\d\dT.*Z$", c["Created"])


def test_many_starts_at_once_all_succeed(cli, name):
    running = [cli.popen("run", "--rm", BUSYBOX, "echo", str(i)) for i in range(12)]
    assert [p.communicate(timeout=100)[0] for p in running] == [b"%d\n" % i for i in range(12)]


def test_restart_policies(cli, name):
    cli("run", "-d", "--name", name, "--restart", "on-failure:2", BUSYBOX, "sh", "-c", "echo run; exit 1")
    until(lambda: state(cli, name) == "exited" and cli("logs", name).out.count("run") == 3, what="two restarts")
    assert cli("inspect", "--format", "{{.RestartCount}}", name).line == "2"


def test_always_restarts_until_stopped(cli, name):
    cli("run", "-d", "--name", name, "--restart", "always", BUSYBOX, "sh", "-c", "echo run; sleep 0.2")
    until(lambda: cli("logs", name).out.count("run") >= 3, what="restarts")
    cli("stop", "-t", "1", name)
    n = cli("logs", name).out.count("run")
    time.sleep(1)
    assert cli("logs", name).out.count("run") == n and state(cli, name) == "exited"


def test_a_restarting_container_says_so_and_keeps_its_address(cli, name):
    cli("run", "-d", "--name", name, "--restart", "always", BUSYBOX, "sh", "-c", "ip -4 addr show eth0 2>/dev/null | grep -o 'inet [0-9.]*' || hostname -i; echo run; exit 3")
    until(lambda: cli("logs", name).out.count("run") >= 5, what="restarts")  # the pause after these is 1.6 s or more
    seen = []

    def pauses():
        seen[:] = json.loads(cli("inspect", name).out)
        return seen[0]["State"]["Restarting"]
    until(pauses, what="the pause between two runs")
    c = seen[0]
    assert c["State"]["Status"] == "restarting" and c["State"]["Running"] is True and c["State"]["ExitCode"] == 3 and c["RestartCount"] >= 3
    assert cli("ps", "--filter", f"name={name}", "--format", "{{.Status}}").line.startswith("Restarting (3) ")
    assert "is restarting" in cli("rm", name, rc=1).err
    assert len(set(line for line in cli("logs", name).out.split() if line[0].isdigit())) == 1, "one address for all runs"
    cli("stop", name)
    assert state(cli, name) == "exited"
    n = cli("logs", name).out.count("run")
    cli("start", name)
    until(lambda: cli("logs", name).out.count("run") >= n + 2, what="restarts after a start by hand")
    cli("rm", "-f", name)


def test_a_published_port_works_again_after_a_restart(cli, name):
    cli("run", "-d", "--name", name, "--restart", "on-failure", "-p", "127.0.0.1::80", BUSYBOX, "sh", "-c", "echo run; sleep 1; exit 1")
    until(lambda: cli("logs", name).out.count("run") >= 2, what="a restart")
    assert cli("port", name).line.startswith("80/tcp -> 127.0.0.1:")
    cli("update", "--restart", "no", name)
    until(lambda: state(cli, name) == "exited", what="the end")


def test_kill_ends_a_container_that_always_restarts(cli, name):
    cli("run", "-d", "--name", name, "--restart", "always", BUSYBOX, "sleep", "100")
    cli("kill", name)
    time.sleep(0.5)
    assert state(cli, name) == "exited" and cli("inspect", "--format", "{{.RestartCount}}", name).line == "0"
