"""kill -9 of hoyd is a non-event: no container lost, no log line lost, nothing that was promised forgotten."""
import json
import os
import random
import re
import shutil
import sqlite3
import threading
import time

import pytest

from harness.cli import Cli, until
from harness.images import BUSYBOX

COUNT = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.002; done"


@pytest.fixture
def cli(client, own_engine, tmp_path):
    return Cli(client, own_engine.host, str(tmp_path))


def lines(cli, name):
    return cli("logs", name, timeout=120).out.splitlines()


def assert_unbroken(got):
    assert got == [f"line {i}" for i in range(1, len(got) + 1)], f"{len(got)} lines, first break near {next((i for i, g in enumerate(got) if g != f'line {i + 1}'), None)}"


def test_containers_and_logs_survive_a_kill(cli, own_engine, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sh", "-c", COUNT)
    pid = cli.inspect(name, "{{.State.Pid}}")
    own_engine.kill()
    time.sleep(1)
    own_engine.start()
    assert cli.inspect(name, "{{.State.Status}} {{.State.Pid}}") == f"running {pid}"
    before = lines(cli, name)
    assert_unbroken(before)
    until(lambda: len(lines(cli, name)) > len(before), what="more lines")
    cli("exec", name, "true")
    cli("stop", "-t", "0", name)
    assert_unbroken(lines(cli, name))


def test_kills_at_random_moments(cli, own_engine, name):
    seed = int(time.time())
    print("seed", seed)
    moments = random.Random(seed)
    cli("run", "-d", "--name", name, BUSYBOX, "sh", "-c", COUNT)
    pid = cli.inspect(name, "{{.State.Pid}}")
    known = {}
    for round_ in range(8):
        made = [f"{name}-{round_}-{i}" for i in range(3)]
        workers = [threading.Thread(target=lambda n=n: cli("run", "-d", "--name", n, BUSYBOX, "sh", "-c", COUNT, rc=None)) for n in made]
        for w in workers:
            w.start()
        time.sleep(moments.random() * 0.25)
        own_engine.kill()
        for w in workers:
            w.join()
        time.sleep(moments.random() * 0.1)
        own_engine.start()
        rows = {c["Names"][0][1:]: c for c in own_engine.api.get("/containers/json", all=1).json}
        assert cli.inspect(name, "{{.State.Status}} {{.State.Pid}}") == f"running {pid}"
        for old in known:
            assert rows[old]["State"] == "running", f"{old} was lost in round {round_}"
        for n in made:  # whatever the moment: there or not there, and if there, of one mind
            if n in rows:
                assert rows[n]["State"] in ("created", "running", "exited"), rows[n]
                if rows[n]["State"] == "running":
                    known[n] = 1
                    cli("exec", n, "true")
                else:
                    cli("rm", "-f", n)
            cli("create", "--name", n + "-again", BUSYBOX, "true")
    for n in [name, *known]:
        cli("kill", n)
        assert_unbroken(lines(cli, n))
    cli("rm", "-f", name, *known)
    names = [n for _, n in own_engine.machine.procs().values()]
    assert names.count("hoy-shim") <= 1


def test_what_happened_meanwhile_is_reported(cli, own_engine, name):
    begin = time.time()
    cli("run", "-d", "--name", name, BUSYBOX, "sh", "-c", "sleep 0.8; echo bye; exit 5")
    cli("run", "-d", "--name", name + "-r", "--restart", "always", BUSYBOX, "sh", "-c", "echo run; sleep 0.3")
    own_engine.kill()
    time.sleep(2)
    own_engine.start()
    assert cli.inspect(name, "{{.State.Status}} {{.State.ExitCode}}") == "exited 5"
    assert cli("wait", name).line == "5" and cli("logs", name).out == "bye\n"
    assert int(cli.inspect(name + "-r", "{{.RestartCount}}")) >= 2, "the shim restarts while hoyd is away"
    assert cli("logs", name + "-r").out.count("run") >= 3
    out = cli("events", "--since", f"{begin:.3f}", "--until", f"{time.time():.3f}", "--filter", f"container={name}", "--format", "{{.Action}}").out.split()
    assert "die" in out
    finished = cli.inspect(name, "{{.State.FinishedAt}}")
    assert re.match(r"20\d\d-", finished)
    cli("rm", "-f", name + "-r")


def test_an_attached_session_goes_on_while_the_daemon_is_dead(cli, own_engine, name):
    p = cli.popen("run", "-i", "--name", name, BUSYBOX, "cat")
    p.stdin.write(b"one\n")
    p.stdin.flush()
    assert p.stdout.readline() == b"one\n"
    time.sleep(0.5)  # the start's own answer is on its way: a client that never gets it gives up
    own_engine.kill()
    p.stdin.write(b"two\n")
    p.stdin.flush()
    assert p.stdout.readline() == b"two\n"
    own_engine.start()
    p.stdin.write(b"three\n")
    p.stdin.flush()
    assert p.stdout.readline() == b"three\n"
    p.stdin.close()
    assert p.stdout.read() == b""
    p.wait(20)
    until(lambda: cli.inspect(name, "{{.State.Status}}") == "exited")
    assert cli("logs", name).out == "one\ntwo\nthree\n"


def test_an_exec_session_and_followed_logs_go_on_too(cli, own_engine, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sh", "-c", "sleep 1.5; for i in 1 2 3; do echo line $i; sleep 0.2; done")
    follow = cli.popen("logs", "-f", name)
    session = cli.popen("exec", "-i", name, "cat")
    session.stdin.write(b"a\n")
    session.stdin.flush()
    assert session.stdout.readline() == b"a\n"
    time.sleep(0.3)
    own_engine.kill()
    session.stdin.write(b"b\n")
    session.stdin.close()
    assert session.stdout.read() == b"b\n"
    assert follow.communicate(timeout=30)[0] == b"line 1\nline 2\nline 3\n"
    own_engine.start()
    until(lambda: cli.inspect(name, "{{.State.Status}}") == "exited")


def test_a_waiting_client_gets_its_answer_while_the_daemon_is_dead(own_engine, cli, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sh", "-c", "sleep 1; exit 3")
    got = []
    waiter = threading.Thread(target=lambda: got.append(own_engine.api.post(f"/containers/{name}/wait", condition="not-running").json))
    waiter.start()
    time.sleep(0.4)
    own_engine.kill()
    waiter.join(20)
    assert got and got[0]["StatusCode"] == 3
    own_engine.start()


def test_a_polite_stop_leaves_containers_running(cli, own_engine, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sh", "-c", COUNT)
    assert own_engine.stop() == 0
    time.sleep(0.3)
    own_engine.start()
    assert cli.inspect(name, "{{.State.Status}}") == "running"
    cli("kill", name)
    assert_unbroken(lines(cli, name))


def test_auto_remove_is_done_on_return(cli, own_engine, name):
    cli("run", "-d", "--rm", "--name", name, BUSYBOX, "sleep", "0.5")
    own_engine.kill()
    time.sleep(1)
    own_engine.start()
    until(lambda: cli("inspect", name, rc=None).rc == 1, what="removal")


def test_a_dead_shim_takes_its_container_along_and_is_reported(cli, own_engine, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sleep", "1000")
    pid = int(cli.inspect(name, "{{.State.Pid}}"))
    procs = own_engine.machine.procs()
    shim = procs[pid][0]
    assert procs[shim][1] == "hoy-shim"
    own_engine.machine.signal(shim, 9)
    until(lambda: cli.inspect(name, "{{.State.Status}} {{.State.ExitCode}}") == "exited 137")
    until(lambda: pid not in own_engine.machine.procs(), what="the end of the process")
    cli("start", name)
    assert cli.inspect(name, "{{.State.Status}}") == "running"


def test_a_shim_that_dies_while_the_daemon_is_dead_is_reported(cli, own_engine, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sleep", "1000")
    pid = int(cli.inspect(name, "{{.State.Pid}}"))
    shim = own_engine.machine.procs()[pid][0]
    own_engine.kill()
    own_engine.machine.signal(shim, 9)
    own_engine.start()
    until(lambda: cli.inspect(name, "{{.State.Status}}") == "exited")
    assert cli.inspect(name, "{{.State.ExitCode}}") == "137"
    until(lambda: pid not in own_engine.machine.procs(), what="the end of the process")


def test_images_survive_and_stay_whole(cli, own_engine):
    images = cli("images", "-q", "--no-trunc").out
    for _ in range(3):
        own_engine.restart()
    assert cli("images", "-q", "--no-trunc").out == images and cli("run", "--rm", BUSYBOX, "echo", "ok").line == "ok"


def test_a_kill_while_an_image_is_imported_leaves_it_whole_or_absent(own_engine, cli, busybox_tar, name):
    moments = random.Random(time.time())
    for i in range(5):
        def load():
            try:
                own_engine.api.post("/images/create", busybox_tar, fromSrc="-", repo="hoytest", tag=f"{name}-{i}")
            except OSError:
                pass
        loader = threading.Thread(target=load)
        loader.start()
        time.sleep(moments.random() * 0.15)
        own_engine.kill()
        loader.join()
        own_engine.start()
        if cli("images", "-q", f"hoytest:{name}-{i}").line:
            assert cli("run", "--rm", "-e", "PATH=/bin", f"hoytest:{name}-{i}", "echo", "whole").line == "whole"


def test_after_a_power_loss_policies_decide_who_starts(cli, own_engine, name):
    for n, policy in (("a", "always"), ("u", "unless-stopped"), ("s", "unless-stopped"), ("n", "no")):
        cli("run", "-d", "--name", name + n, "--restart", policy, BUSYBOX, "sleep", "1000")
    cli("create", "--name", name + "c", "--restart", "always", BUSYBOX, "sleep", "1000")
    cli("kill", name + "s")

    def shims():
        return [p for p, (_, n) in own_engine.machine.procs().items() if n == "hoy-shim"]
    until(lambda: len(shims()) == 3, what="the end of the killed one's shim")
    own_engine.kill()
    for pid in shims():
        own_engine.machine.signal(pid, 9)
    own_engine.start()

    def states():
        return [cli.inspect(name + n, "{{.State.Status}}") for n in "ausnc"]
    until(lambda: states() == ["running", "running", "exited", "exited", "created"], what="the containers' starts")
    cli("exec", name + "a", "true")
    cli("rm", "-f", *(name + n for n in "ausnc"))


def test_of_a_container_that_removes_itself_a_power_loss_leaves_nothing(cli, own_engine, name):
    """Its start and removal are committed lazily: a power loss may bring back its creation alone, with or without its files."""
    for n in "rxk":
        cli("create", "--name", name + n, *(["--rm"] if n != "k" else []), BUSYBOX, "true")
    x = cli.inspect(name + "x", "{{.Id}}")
    own_engine.kill()
    shutil.rmtree(f"{own_engine.folder}/data/docker/containers/{x}")
    own_engine.start()
    assert cli("ps", "-a", "--format", "{{.Names}}").out.split() == [name + n for n in "kxr"], "the machine has not been off"
    own_engine.kill()
    with sqlite3.connect(f"{own_engine.folder}/data/hoy.db") as db:
        for key, doc in db.execute("SELECT key, doc FROM containers").fetchall():
            db.execute("UPDATE containers SET doc=? WHERE key=?", (json.dumps({**json.loads(doc), "Created": 10**18}), key))
    db.close()
    own_engine.start()
    assert cli("ps", "-a", "--format", "{{.Names}}").out.split() == [name + "k"]
    cli("rm", name + "k")


def shim_of(engine, cli, name):
    return engine.machine.procs()[int(cli.inspect(name, "{{.State.Pid}}"))][0]


def test_a_dead_shim_takes_a_paused_container_along(cli, own_engine, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sleep", "1000")
    pid = int(cli.inspect(name, "{{.State.Pid}}"))
    cli("pause", name)
    own_engine.machine.signal(shim_of(own_engine, cli, name), 9)
    until(lambda: cli.inspect(name, "{{.State.Status}} {{.State.ExitCode}}") == "exited 137")
    assert pid not in own_engine.machine.procs()
    cli("rm", name)


def test_a_shim_that_does_not_answer_keeps_nobody_else_waiting(cli, own_engine, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sh", "-c", "sleep 1; exit 7")
    shim = shim_of(own_engine, cli, name)
    own_engine.machine.signal(shim, 19)
    own_engine.restart()
    assert cli("run", "--rm", BUSYBOX, "echo", "ok").line == "ok"
    own_engine.machine.signal(shim, 18)
    until(lambda: cli.inspect(name, "{{.State.Status}} {{.State.ExitCode}}") == "exited 7", what="its news")


def test_force_does_not_wait_for_a_patient_stop(cli, own_engine, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    stop = cli.popen("stop", "-t", "100", name)
    time.sleep(0.5)
    begin = time.monotonic()
    cli("rm", "-f", name)
    assert time.monotonic() - begin < 10
    stop.communicate(timeout=20)


def test_attach_does_not_revive_what_is_being_removed(cli, own_engine, name):
    def attach():
        try:
            own_engine.api.hijack(f"/containers/{name}/attach?stream=1&stdout=1")[1].close()
        except (OSError, AssertionError):
            pass
    for _ in range(5):
        cli("create", "--name", name, BUSYBOX, "true")
        clients = [threading.Thread(target=attach) for _ in range(6)]
        for c in clients[:3]:
            c.start()
        remover = threading.Thread(target=lambda: cli("rm", "-f", name))
        remover.start()
        for c in clients[3:]:
            c.start()
        for t in [remover, *clients]:
            t.join()
    until(lambda: "hoy-shim" not in [n for _, n in own_engine.machine.procs().values()], what="the end of all shims")


def home_of(engine, pid):
    """The cgroup by which a service manager tells whose a process is."""
    text = engine.machine.run("cat", f"/proc/{pid}/cgroup").stdout
    lines = [line.split(":", 2) for line in text.splitlines()]
    return next((path for _, names, path in lines if names == "name=systemd"), None) or next(path for _, names, path in lines if names == "")


def test_shims_do_not_stay_in_the_units_cgroup(own_engine, tmp_path):
    """As under systemd: hoyd lives in a cgroup of its own, and what is left in there when it ends counts as left over."""
    cli = Cli("docker", own_engine.host, str(tmp_path))
    root = "/sys/fs/cgroup/systemd" if os.path.isdir("/sys/fs/cgroup/systemd") else "/sys/fs/cgroup"
    unit = f"{root}/hoyt-unit-{os.getpid()}"
    os.mkdir(unit)

    def put_daemon():
        with open(f"{unit}/cgroup.procs", "w") as f:
            f.write(str(own_engine.host_pid(own_engine.pid)))
    try:
        put_daemon()
        cli("run", "-d", "--name", "hoyt-unit", "-p", "127.0.0.1:18080:80", BUSYBOX, "sleep", "1000")
        pid = int(cli.inspect("hoyt-unit", "{{.State.Pid}}"))
        shim = own_engine.machine.procs()[pid][0]
        assert home_of(own_engine, shim) == f"/{os.path.basename(unit)}", "at its start it is where hoyd is"
        assert own_engine.stop() == 0
        assert open(f"{unit}/cgroup.procs").read() == "", "nothing is left over"
        assert home_of(own_engine, shim).endswith("/hoy-shims")
        own_engine.start()
        assert cli("exec", "hoyt-unit", "echo", "well").line == "well"
        cli("rm", "-f", "hoyt-unit")
    finally:
        if own_engine.pid not in own_engine.machine.exits:
            own_engine.stop()
        left = sorted({p for p, _, _ in os.walk(root) if p.endswith("/hoy-shims")}, key=len)
        for folder in [unit, *left]:
            until(lambda folder=folder: rmdir(folder), what="an empty cgroup")
        own_engine.start()


def rmdir(folder):
    try:
        os.rmdir(folder)
        return True
    except OSError as e:
        return isinstance(e, FileNotFoundError)
