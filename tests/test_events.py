"""docker events: what happened, in order, filtered."""
import json
import time

from harness.cli import until
from harness.images import BUSYBOX


LIFE = ["create", "start", "pause", "unpause", "rename", "kill", "die", "destroy"]


def events(cli, since, *filters):
    args = [a for f in filters for a in ("--filter", f)]
    out = cli("events", "--since", f"{since:.9f}", "--until", f"{time.time():.9f}", "--format", "{{json .}}", *args).out
    return [json.loads(line) for line in out.splitlines()]


def actions(rows):
    return [r["Action"] for r in rows]


def test_a_life_is_told_in_order(cli, name):
    begin = time.time()
    container = cli("run", "-d", "--name", name, BUSYBOX, "sleep", "100").line
    cli("pause", name)
    cli("unpause", name)
    cli("rename", name, name + "x")
    cli("stop", "-t", "0", name + "x")
    cli("rm", name + "x")
    rows = events(cli, begin, "type=container", f"container={container}")
    told = actions(rows)
    for earlier, later in zip(LIFE, LIFE[1:]):
        assert told.index(earlier) < told.index(later), told
    die = next(r for r in rows if r["Action"] == "die")
    assert die["Type"] == "container" and die["Actor"]["Attributes"]["exitCode"] == "137" and die["Actor"]["Attributes"]["image"] == BUSYBOX
    assert die["scope"] == "local" and die["timeNano"] // 10**9 == die["time"]


def test_exec_events_carry_the_command_and_the_code(cli, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sleep", "100")
    begin = time.time()
    cli("exec", name, "sh", "-c", "exit 2", rc=2)
    told = until(lambda: (e := events(cli, begin, f"container={name}")) and "exec_die" in actions(e) and e)
    assert actions(told) == ["exec_create: sh -c exit 2", "exec_start: sh -c exit 2", "exec_die"]
    assert told[2]["Actor"]["Attributes"]["exitCode"] == "2" and told[2]["Actor"]["Attributes"]["execID"]


def test_filters_choose(cli, name):
    begin = time.time()
    cli("run", "--name", name, "--label", "mark=" + name, BUSYBOX, "true")
    cli("run", "--rm", BUSYBOX, "true")
    assert "die" in actions(events(cli, begin, f"label=mark={name}"))
    assert all(r["Actor"]["Attributes"]["name"] == name for r in events(cli, begin, f"label=mark={name}", "type=container"))
    assert set(actions(events(cli, begin, "event=die"))) == {"die"}


def test_events_are_live(cli, name):
    p = cli.popen("events", "--filter", f"container={name}", "--format", "{{.Action}}")
    time.sleep(0.5)
    cli("run", "--name", name, BUSYBOX, "true")
    told = [p.stdout.readline().strip() for _ in range(3)]
    assert told[0] == b"create" and b"start" in told + [p.stdout.readline().strip()]
    p.kill()
    p.wait()


def test_image_events(cli, name):
    begin = time.time()
    cli("tag", BUSYBOX, "hoytest:" + name)
    cli("rmi", "hoytest:" + name)
    told = actions(events(cli, begin, "type=image"))
    assert "tag" in told and "untag" in told


def test_a_kill_by_the_kernel_is_an_oom_event(cli, name):
    begin = time.time()
    cli("run", "--name", name, "--memory", "16m", "--memory-swap", "16m", BUSYBOX, "sh", "-c", "x=$(yes | head -c 60000000); echo ${#x}", rc=None)
    assert "oom" in actions(events(cli, begin, f"container={name}"))
