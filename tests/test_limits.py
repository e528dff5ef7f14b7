"""Limits bite: memory, processes, CPU; and devices that were not given are not there."""
import re

from harness.cli import until
from harness.images import BUSYBOX

EATER = "x=$(yes | head -c 60000000); echo ${#x}"


def test_memory_limit_kills_and_is_reported(cli, name):
    cli("run", "--name", name, "--memory", "16m", "--memory-swap", "16m", BUSYBOX, "sh", "-c", f"exec sh -c '{EATER}'", rc=None)
    assert cli.inspect(name, "{{.State.OOMKilled}}") == "true"


def test_within_the_limit_nothing_happens(cli, name):
    cli("run", "--name", name, "--memory", "200m", BUSYBOX, "sh", "-c", "x=$(yes | head -c 6000000); echo ${#x}")
    assert cli.inspect(name, "{{.State.OOMKilled}} {{.State.ExitCode}}") == "false 0"


def test_pids_limit_bites(cli):
    result = cli("run", "--rm", "--pids-limit", "8", BUSYBOX, "sh", "-c", "for i in $(seq 20); do sleep 5 & done; echo not reached", rc=None)
    assert "can't fork" in result.err and "not reached" not in result.out


def test_limits_are_in_the_containers_cgroup(cli, name, engine):
    cli("run", "-d", "--name", name, "--memory", "64m", "--cpus", "0.5", "--cpu-shares", "512", "--cpuset-cpus", "0", "--pids-limit", "99",
        BUSYBOX, "sleep", "100")
    pid = engine.host_pid(cli.inspect(name, "{{.State.Pid}}"))
    rows = dict(line.strip().split(":")[1:] for line in open(f"/proc/{pid}/cgroup"))

    def value(v1, v1_file, v2_file):
        if v1 in rows:
            return open(f"/sys/fs/cgroup/{v1}{rows[v1]}/{v1_file}").read().strip()
        return open(f"/sys/fs/cgroup{rows['']}/{v2_file}").read().strip()
    assert value("memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert value("pids", "pids.max", "pids.max") == "99"
    assert value("cpuset", "cpuset.cpus", "cpuset.cpus") == "0"
    assert value("cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
    if "cpu" in rows:
        assert value("cpu", "cpu.shares", "") == "512"


def test_too_little_memory_is_refused(cli):
    assert "Minimum memory limit allowed is 6MB" in cli("create", "--memory", "1m", BUSYBOX, "true", rc=1).err


def test_more_swap_than_memory_is_asked_for(cli):
    assert "Minimum memoryswap limit should be larger than memory limit" in cli("create", "--memory", "20m", "--memory-swap", "10m", BUSYBOX, "true", rc=1).err


def test_more_cpus_than_there_are_is_refused(cli):
    result = cli("create", "--cpus", "5000", BUSYBOX, "true", rc=1)
    assert "range of cpus is from 0.01 to" in result.err.lower()


def test_only_the_usual_devices_are_there(cli):
    names = set(cli("run", "--rm", BUSYBOX, "ls", "/dev").out.split())
    assert names - {"core"} == {"fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"}


def test_a_device_node_of_ones_own_cannot_be_used(cli):
    result = cli("run", "--rm", BUSYBOX, "sh", "-c", "mknod /tmp/kmsg c 1 11 && cat /tmp/kmsg", rc=1)
    assert "Operation not permitted" in result.err


def test_a_device_that_is_given_works(cli):
    out = cli("run", "--rm", "--device", "/dev/zero:/dev/nought", BUSYBOX, "sh", "-c", "head -c 3 /dev/nought | od -An -tx1").line
    assert re.sub(r"\s+", " ", out) == "00 00 00"


def test_a_fork_bomb_leaves_nothing_after_rm(cli, name, engine):
    cli("run", "-d", "--name", name, "--pids-limit", "60", BUSYBOX, "sh", "-c", "(while :; do sleep 100 & done) 2>/dev/null; sleep 100")
    until(lambda: len(cli("top", name).out.splitlines()) > 20, what="a crowd")
    cli("rm", "-f", name)
    names = [n for _, n in engine.machine.procs().values()]
    assert names.count("sleep") < 5


def cgroup_value(engine, cli, name, v1, v1_file, v2_file):
    pid = engine.host_pid(cli.inspect(name, "{{.State.Pid}}"))
    rows = dict(line.strip().split(":")[1:] for line in open(f"/proc/{pid}/cgroup"))
    if v1 in rows:
        return open(f"/sys/fs/cgroup/{v1}{rows[v1]}/{v1_file}").read().strip()
    return open(f"/sys/fs/cgroup{rows['']}/{v2_file}").read().strip()


def test_update_changes_a_running_container(cli, name, engine):
    cli("run", "-d", "--name", name, "--memory", "64m", "--cpus", "0.5", BUSYBOX, "sleep", "100")
    out = cli("update", "--memory", "100m", "--memory-swap", "150m", "--pids-limit", "33", "--cpus", "0.25", "--cpuset-cpus", "0", "--restart", "on-failure:3", name)
    assert out.line == name
    assert cgroup_value(engine, cli, name, "memory", "memory.limit_in_bytes", "memory.max") == str(100 << 20)
    assert cgroup_value(engine, cli, name, "pids", "pids.max", "pids.max") == "33"
    assert cgroup_value(engine, cli, name, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "25000"
    assert cgroup_value(engine, cli, name, "cpuset", "cpuset.cpus", "cpuset.cpus") == "0"
    show = "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.PidsLimit}} {{.HostConfig.NanoCpus}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}"
    assert cli.inspect(name, show) == f"{100 << 20} {150 << 20} 33 250000000 on-failure 3"
    cli("update", "--pids-limit", "-1", name)
    assert cgroup_value(engine, cli, name, "pids", "pids.max", "pids.max") == "max"
    cli("update", "--memory", "32m", "--memory-swap", "32m", name)  # both downwards
    assert cgroup_value(engine, cli, name, "memory", "memory.limit_in_bytes", "memory.max") == str(32 << 20)
    cli("restart", "-t", "0", name)  # and the record says so too
    assert cgroup_value(engine, cli, name, "memory", "memory.limit_in_bytes", "memory.max") == str(32 << 20)
    assert cgroup_value(engine, cli, name, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "25000"


def test_update_of_a_stopped_container_counts_at_its_start(cli, name, engine):
    cli("create", "--name", name, BUSYBOX, "sleep", "100")
    cli("update", "--pids-limit", "44", "--cpu-shares", "300", name)
    cli("start", name)
    assert cgroup_value(engine, cli, name, "pids", "pids.max", "pids.max") == "44"


def test_update_refuses_as_docker_does(cli, name):
    cli("create", "--name", name, "--cpus", "0.5", BUSYBOX, "true")
    before = cli.inspect(name, "{{json .HostConfig}}")
    for args, sentence in (
            (["-m", "64m"], "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"),
            (["-m", "1m"], "Minimum memory limit allowed is 6MB"),
            (["--cpu-period", "10000"], "CPU Period cannot be updated as NanoCPUs has already been set"),
            (["--restart", "always:3"], "maximum retry count can only be used with 'on-failure'"),
            (["--restart", "sometimes"], "unknown policy 'sometimes'")):
        assert sentence in cli("update", *args, name, rc=1).err
    assert "you must provide one or more flags when using this command" in cli("update", name, rc=1).err
    assert "No such container: hoyt-none" in cli("update", "--cpus", "1", "hoyt-none", rc=1).err
    assert cli.inspect(name, "{{json .HostConfig}}") == before
    cli("create", "--rm", "--name", name + "r", BUSYBOX, "true")
    assert "Restart policy cannot be updated because AutoRemove is enabled" in cli("update", "--restart", "always", name + "r", rc=1).err
    cli("rm", name + "r")
