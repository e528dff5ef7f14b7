"""Several hoyds on one machine: each has its own containers, bridge, firewall table and cgroups, and sees nothing of the others."""
import subprocess

import pytest

from harness import engine as engines
from harness.cli import Cli, until
from harness.images import BUSYBOX


@pytest.fixture
def pair(new_engine):
    one = new_engine("--bip", "10.77.1.1/24")
    two = new_engine("--bip", "10.77.2.1/24", machine=one.machine)
    return one, two


def test_they_do_not_see_each_other(pair, client, tmp_path):
    one, two = (Cli(client, e.host, str(tmp_path)) for e in pair)
    one("run", "-d", "--name", "hoyt-same", BUSYBOX, "sleep", "100")
    two("run", "-d", "--name", "hoyt-same", BUSYBOX, "sleep", "100")
    assert one("ps", "-q", "--no-trunc").line != two("ps", "-q", "--no-trunc").line
    assert one.inspect("hoyt-same", "{{.NetworkSettings.IPAddress}}").startswith("10.77.1.")
    assert two.inspect("hoyt-same", "{{.NetworkSettings.IPAddress}}").startswith("10.77.2.")
    one("rm", "-f", "hoyt-same")
    assert two.inspect("hoyt-same", "{{.State.Status}}") == "running"


def test_the_end_of_one_is_nothing_to_the_other(pair, client, tmp_path):
    one, two = (Cli(client, e.host, str(tmp_path)) for e in pair)
    two("run", "-d", "--name", "hoyt-two", "-p", "20777:7", BUSYBOX, "echod", "tcp", "7")
    until(lambda: _answers(pair[1]))
    pair[0].stop()
    pair[0].start()
    pair[0].kill()
    assert two.inspect("hoyt-two", "{{.State.Status}}") == "running" and _answers(pair[1])
    pair[0].start()


def _answers(engine):
    try:
        return b"x" in engine.net.ask("127.0.0.1", 20777, b"x")
    except OSError:
        return False


def test_a_second_daemon_on_the_same_root_is_refused(own_engine):
    second = subprocess.run(["nsenter", "-t", str(own_engine.machine.pid), "-a", *own_engine.argv()], capture_output=True, text=True, timeout=60)
    assert second.returncode != 0 and second.stderr.strip()
    assert own_engine.api.get("/_ping", version="").status == 200


def test_bad_options_are_refused_with_a_sentence(own_engine, tmp_path):
    for args in (["--nosuch"], ["--bip", "not-an-address"], ["--storage-driver", "nosuch"], ["--config-file", "/nosuch/file"], ["-H", "nosuch://x"]):
        done = subprocess.run([engines.program("hoyd"), "--data-root", str(tmp_path / "d"), "--exec-root", str(tmp_path / "e"), *args], capture_output=True, text=True, timeout=60)
        assert done.returncode != 0 and done.stderr.strip(), args


def test_validate_checks_and_does_not_start(own_engine, tmp_path):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text('{"debug": true, "data-root": "/tmp/x"}')
    bad.write_text('{"debug": "maybe"}')
    run = [engines.program("hoyd"), "--validate", "--config-file"]
    assert subprocess.run([*run, str(good)], capture_output=True, timeout=60).returncode == 0
    assert subprocess.run([*run, str(bad)], capture_output=True, timeout=60).returncode != 0


def test_no_cgroup_and_no_process_stays_behind(new_engine, tmp_path):
    before = engines.container_cgroups()
    engine = new_engine()
    docker = Cli("docker", engine.host, str(tmp_path))
    for i in range(3):
        docker("run", "-d", "--name", f"hoyt-{i}", BUSYBOX, "sleep", "1000")
    mine = docker("ps", "-q", "--no-trunc").out.split()
    assert any(c in path for path in engines.container_cgroups() for c in mine)
    docker("rm", "-f", *mine)
    until(lambda: not [p for p in engines.container_cgroups() - before if any(c in p for c in mine)], what="no cgroup of ours")
    until(lambda: "hoy-shim" not in [n for _, n in engine.machine.procs().values()], what="no shim")
