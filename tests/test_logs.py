"""docker logs: every line that was written, once, in order; and only those that were asked for."""
import json
import os
import re

from harness.api import demux
from harness.cli import until
from harness.images import BUSYBOX


def done(cli, name, script, *options):
    cli("run", "-d", "--name", name, *options, BUSYBOX, "sh", "-c", script)
    cli("wait", name)


def test_logs_keep_stdout_and_stderr_apart(cli, name):
    done(cli, name, "echo one; echo two >&2; echo three")
    result = cli("logs", name)
    assert (result.out, result.err) == ("one\nthree\n", "two\n")


def test_tail_since_until_and_timestamps(cli, name):
    done(cli, name, "for i in 1 2 3; do echo $i; sleep 0.4; done")
    assert cli("logs", "--tail", "2", name).out == "2\n3\n"
    assert cli("logs", "-n", "0", name).out == ""
    stamped = [line.split(" ", 1) for line in cli("logs", "-t", name).out.splitlines()]
    assert [text for _, text in stamped] == ["1", "2", "3"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", stamp) for stamp, _ in stamped)
    assert cli("logs", "--since", stamped[1][0], name).out == "2\n3\n"
    assert cli("logs", "--until", stamped[1][0], name).out == "1\n2\n"


def test_follow_ends_with_the_container_and_misses_nothing(cli, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sh", "-c", "for i in $(seq 2000); do echo line $i; done; sleep 0.5; echo last")
    assert cli("logs", "-f", name).out.splitlines() == [f"line {i}" for i in range(1, 2001)] + ["last"]


def test_follow_with_tail_starts_late(cli, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sh", "-c", "echo old; echo older; sleep 1; echo new")
    until(lambda: "older" in cli("logs", name).out)
    assert cli("logs", "-f", "--tail", "1", name).out == "older\nnew\n"


def test_an_unfinished_line_is_kept_without_inventing_a_newline(cli, name):
    done(cli, name, "printf 'no newline'")
    assert cli("logs", name).out == "no newline"


def test_long_lines_arrive_whole(cli, name):
    done(cli, name, "head -c 100000 /dev/zero | tr '\\0' x; echo; echo end")
    assert cli("logs", name).out == "x" * 100000 + "\nend\n"


def test_odd_bytes_survive(cli, name):
    done(cli, name, "printf 'tab\\t quote\" back\\\\ utf8 \\303\\244 ctrl \\001 end\\n'")
    assert cli("logs", name).raw == b"tab\t quote\" back\\ utf8 \xc3\xa4 ctrl \x01 end\n"


def test_a_terminals_log_is_one_raw_stream(cli, name, api):
    done(cli, name, "echo out; echo err >&2", "-t")
    assert cli("logs", name).raw == b"out\r\nerr\r\n"
    assert api.get(f"/containers/{name}/logs", stdout=1, stderr=1).body == b"out\r\nerr\r\n"


def test_api_frames_and_choice_of_stream(api, docker, name):
    done(docker, name, "echo out; echo err >&2")
    assert demux(api.get(f"/containers/{name}/logs", stdout=1).body) == {1: b"out\n", 2: b""}
    assert demux(api.get(f"/containers/{name}/logs", stderr=1).body) == {1: b"", 2: b"err\n"}
    answer = api.get(f"/containers/{name}/logs")
    assert answer.status == 400 and answer.message == "Bad parameters: you must choose at least one stream"


def test_the_json_file_is_where_inspect_says(engine, docker, name):
    done(docker, name, "echo hello; echo oops >&2")
    path = docker.inspect(name, "{{.LogPath}}")
    assert path.endswith("-json.log")
    rows = [json.loads(line) for line in open(f"/proc/{engine.machine.pid}/root{path}")]
    assert sorted((r["log"], r["stream"]) for r in rows) == [("hello\n", "stdout"), ("oops\n", "stderr")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", r["time"]) for r in rows)


def test_rotation_keeps_the_newest_in_bounded_files(engine, docker, name):
    done(docker, name, "for i in $(seq 5000); do echo line number $i; done", "--log-opt", "max-size=20k", "--log-opt", "max-file=3")
    lines = docker("logs", name).out.splitlines()
    assert lines[-1] == "line number 5000" and 100 < len(lines) < 2000
    first = int(lines[0].split()[-1])
    assert lines == [f"line number {i}" for i in range(first, 5001)]
    path = f"/proc/{engine.machine.pid}/root" + docker.inspect(name, "{{.LogPath}}")
    names = [n for n in os.listdir(os.path.dirname(path)) if n.startswith(os.path.basename(path))]
    assert len(names) == 3 and all(os.path.getsize(os.path.join(os.path.dirname(path), n)) < 30000 for n in names)


def test_driver_none_keeps_nothing_and_says_so(cli, name):
    done(cli, name, "echo gone", "--log-driver", "none")
    assert "configured logging driver does not support reading" in cli("logs", name, rc=1).err


def test_unknown_drivers_and_options_are_refused(cli, name):
    assert "nosuch" in cli("run", "--log-driver", "nosuch", BUSYBOX, "true", rc=125).err
    assert "unknown log opt 'nosuch'" in cli("create", "--log-opt", "nosuch=1", BUSYBOX, "true", rc=1).err


def test_logs_of_all_starts_follow_each_other(cli, name):
    done(cli, name, "echo run")
    cli("start", name)
    cli("wait", name)
    assert cli("logs", name).out == "run\nrun\n"


def test_logs_of_nothing(cli):
    assert "No such container: hoyt-none" in cli("logs", "hoyt-none", rc=1).err


def test_a_flood_is_logged_completely(docker, name):
    done(docker, name, "seq 200000")
    assert docker("logs", name).out == "".join(f"{i}\n" for i in range(1, 200001))
