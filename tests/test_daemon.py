"""hoyd's own options: what dockerd's names do here, and how wrong ones are refused."""
import json
import os
import subprocess

import pytest

from harness import engine as engines
from harness.cli import Cli
from harness.images import BUSYBOX


@pytest.fixture(autouse=True)
def _about_hoyd():
    engines.need_hoyd()


def hoyd(*args):
    done = subprocess.run([engines.program("hoyd"), *args], capture_output=True, timeout=30, text=True)
    return done.returncode, done.stdout, done.stderr


def test_validate_says_ok_or_why_not(tmp_path):
    good = tmp_path / "good.json"
    good.write_text(json.dumps({"mtu": 1400, "dns": ["192.0.2.53"], "icc": False}))
    assert hoyd("--validate", "--config-file", str(good))[0] == 0
    for text, why in [("{", "unable to configure"), ('{"mtu": "x"}', "mtu"), ('{"sail": 1}', "don't match any configuration option: sail"),
                      ('{"icc": 3}', "wrong type")]:
        bad = tmp_path / "bad.json"
        bad.write_text(text)
        code, _, err = hoyd("--validate", "--config-file", str(bad))
        assert code == 1 and why in err, (text, err)


def test_unknown_and_unsupported_options_are_refused():
    assert "unknown flag: --sail" in hoyd("--sail")[2]
    assert "not supported" in hoyd("--validate", "--userns-remap", "default")[2]
    assert "not supported" in hoyd("--validate", "--ipv6", "true")[2]
    assert hoyd("--version")[1].startswith("hoyd version ")


def test_a_second_daemon_on_the_same_root_is_refused(own_engine):
    log = os.path.join(own_engine.folder, "second.log")
    argv = [a if a != own_engine.host else own_engine.host + "2" for a in own_engine.argv()]
    pid = own_engine.machine.spawn(argv, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, log)
    assert own_engine.machine.wait(pid) != 0
    with open(log, encoding="utf-8") as f:
        assert "running" in f.read()
    assert own_engine.api.get("/_ping", version="").status == 200


def test_defaults_of_the_daemon_reach_containers(new_engine, tmp_path):
    engine = new_engine("--default-ulimit", "nofile=100:200", "--dns", "192.0.2.53", "--dns-search", "ship.example", "--mtu", "1400",
                        "--default-shm-size", "8m", "--no-new-privileges", "--log-opt", "max-size=1m")
    docker = Cli("docker", engine.host, str(tmp_path))
    out = docker("run", "--rm", BUSYBOX, "sh", "-c", "ulimit -n; ulimit -Hn; cat /etc/resolv.conf; cat /sys/class/net/eth0/mtu; "
                 "df -k /dev/shm | tail -1; grep NoNewPrivs /proc/self/status").out
    assert out.splitlines()[:2] == ["100", "200"]
    assert "nameserver 192.0.2.53" in out and "search ship.example" in out
    assert "\n1400\n" in out and " 8192 " in out and "NoNewPrivs:\t1" in out
    assert docker("run", "--rm", "--ulimit", "nofile=50", BUSYBOX, "sh", "-c", "ulimit -n").line == "50"
    docker("create", "--name", "cc", BUSYBOX, "true")
    assert docker.inspect("cc", "{{index .HostConfig.LogConfig.Config \"max-size\"}}") == "1m"


def test_a_bad_default_stops_the_start():
    for args, why in [(["--default-ulimit", "sail=1"], "invalid ulimit"), (["--bip", "x"], "bip"), (["--default-shm-size", "x"], "shm-size")]:
        root = f"/var/tmp/hoyt-bad-{os.getpid()}"
        code, _, err = hoyd("--data-root", root, "--exec-root", root + "/x", "-H", f"unix://{root}/s", "--pidfile", root + ".pid", *args)
        subprocess.run(["rm", "-rf", root, root + ".pid"], check=True)
        assert code == 1 and why in err, (args, err)
