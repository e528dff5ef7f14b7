"""docker stats: what a container uses, in the numbers that clients compute with."""
import json
import re

from harness.api import unix
from harness.images import BUSYBOX


def busy(docker, name, *options):
    docker("run", "-d", "--name", name, *options, BUSYBOX, "sh", "-c", "while :; do :; done")


def test_two_samples_a_second_apart(api, docker, name):
    busy(docker, name, "-m", "64m", "--pids-limit", "50")
    s = api.get(f"/containers/{name}/stats", stream="false").json
    assert s["name"] == "/" + name and len(s["id"]) == 64
    used = s["cpu_stats"]["cpu_usage"]["total_usage"] - s["precpu_stats"]["cpu_usage"]["total_usage"]
    passed = s["cpu_stats"]["system_cpu_usage"] - s["precpu_stats"]["system_cpu_usage"]
    assert 0 < used <= passed and s["cpu_stats"]["online_cpus"] >= 1
    assert s["precpu_stats"]["cpu_usage"]["total_usage"] > 0 and s["preread"] < s["read"]
    assert s["memory_stats"]["limit"] == 64 << 20 and 0 < s["memory_stats"]["usage"] < 64 << 20
    assert s["pids_stats"] == {"current": 1, "limit": 50}
    assert s["networks"]["eth0"].keys() == {d + "_" + k for d in ("rx", "tx") for k in ("bytes", "packets", "errors", "dropped")}


def test_one_shot_has_no_sample_before(api, docker, name):
    busy(docker, name, "--network", "host")
    s = api.get(f"/containers/{name}/stats", **{"stream": "false", "one-shot": "true"}).json
    assert s["precpu_stats"]["cpu_usage"]["total_usage"] == 0 and s["preread"].startswith("0001-")
    assert "networks" not in s
    both = api.get(f"/containers/{name}/stats", **{"stream": "true", "one-shot": "true"})
    assert (both.status, both.message) == (400, "cannot have stream=true and one-shot=true")


def test_a_stream_ends_with_its_client(api, docker, name):
    busy(docker, name)
    with unix(api.path) as s:
        s.sendall(f"GET /v1.41/containers/{name}/stats HTTP/1.1\r\nHost: d\r\n\r\n".encode())
        got = b""
        while got.count(b'"read"') < 3:
            got += s.recv(65536)
    samples = [json.loads(line) for line in re.findall(rb'\{"name".*\}', got)]
    assert samples[0]["precpu_stats"]["cpu_usage"]["total_usage"] == 0
    assert samples[1]["precpu_stats"]["cpu_usage"] == samples[0]["cpu_stats"]["cpu_usage"]


def test_what_does_not_run_uses_nothing(api, docker, name):
    docker("create", "--name", name, BUSYBOX, "true")
    s = api.get(f"/containers/{name}/stats", stream="false").json
    assert s["read"].startswith("0001-") and s["pids_stats"] == {} and s["memory_stats"] == {}
    assert s["blkio_stats"]["io_service_bytes_recursive"] is None
    missing = api.get("/containers/nobody/stats", stream="false")
    assert (missing.status, missing.message) == (404, "No such container: nobody")


def test_the_clients_table(cli, name):
    busy(cli, name, "-m", "64m")
    row = cli("stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}", name).line
    assert re.fullmatch(rf"{name} [0-9.]+% \S+ / 64MiB 1", row)
