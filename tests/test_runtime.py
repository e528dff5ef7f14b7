"""hoy-runtime: the OCI command line, as containerd or podman would type it."""
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import io

import pytest

from harness.cli import until
from harness.engine import need_hoyd, program
from harness.machine import Machine


@pytest.fixture(scope="module")
def machine():
    need_hoyd()
    folder = tempfile.mkdtemp(dir=os.environ.get("HOY_TEST_DIR") or "/var/tmp", prefix="hoyt-rt-")
    m = Machine(folder)
    yield m
    m.close()
    shutil.rmtree(folder, ignore_errors=True)


class Runtime:
    def __init__(self, machine, bundle):
        self.machine, self.bundle = machine, bundle
        self.root = f"{machine.folder}/state"
        os.makedirs(self.root, mode=0o700, exist_ok=True)

    def __call__(self, *args, rc=0, input=b"", timeout=30):
        # files, not pipes: a created container keeps its standard streams open
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            done = subprocess.run(["nsenter", "-t", str(self.machine.pid), "-a", program("hoy-runtime"), "--root", self.root, *args],
                                  input=input, stdout=out, stderr=err, timeout=timeout)
            out.seek(0)
            err.seek(0)
            done.stdout, done.stderr = out.read(), err.read()
        assert rc is None or done.returncode == rc, f"hoy-runtime {' '.join(args)}: rc {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def config(self, *args, **process):
        path = f"{self.bundle}/config.json"
        spec = json.load(open(path))
        spec["process"].update(args=list(args), terminal=False, **process)
        json.dump(spec, open(path, "w"))
        return spec

    def state(self, name):
        return json.loads(self("state", name).stdout)


@pytest.fixture
def runtime(machine, busybox_tar):
    bundle = tempfile.mkdtemp(dir=machine.folder)
    os.mkdir(f"{bundle}/rootfs")
    with tarfile.open(fileobj=io.BytesIO(busybox_tar)) as tar:
        tar.extractall(f"{bundle}/rootfs")
    r = Runtime(machine, bundle)
    r("spec", "--bundle", bundle)
    r.config("true", env=["PATH=/bin"])
    yield r
    for row in json.loads(r("list", "--format", "json").stdout or b"[]") or []:
        r("delete", "--force", row["id"], rc=None)


def test_run_passes_output_and_exit_code(runtime, name):
    runtime.config("sh", "-c", "echo out; cat; exit 3", env=["PATH=/bin"])
    done = runtime("run", "--bundle", runtime.bundle, name, rc=3, input=b"in\n")
    assert done.stdout == b"out\nin\n"
    assert b"does not exist" in runtime("state", name, rc=1).stderr


def test_create_start_state_kill_delete(runtime, name):
    runtime.config("sleep", "100", env=["PATH=/bin"])
    pidfile = f"{runtime.bundle}/pid"
    runtime("create", "--bundle", runtime.bundle, "--pid-file", pidfile, name)
    state = runtime.state(name)
    assert state["status"] == "created" and state["bundle"] == runtime.bundle and state["id"] == name and state["ociVersion"]
    assert state["pid"] == int(open(pidfile).read())
    assert runtime.machine.procs()[state["pid"]][1] != "sleep"
    runtime("start", name)
    until(lambda: runtime.machine.procs()[state["pid"]][1] == "sleep")
    assert runtime.state(name)["status"] == "running"
    runtime("delete", name, rc=1)
    runtime("kill", name, "KILL")
    until(lambda: runtime.state(name)["status"] == "stopped")
    runtime("delete", name)
    runtime("state", name, rc=1)


def test_exec_ps_and_list(runtime, name):
    runtime.config("sleep", "100", env=["PATH=/bin"])
    runtime("create", "--bundle", runtime.bundle, name)
    runtime("start", name)
    assert runtime("exec", name, "sh", "-c", "echo $PPID; exit 4", rc=4).stdout == b"0\n"
    assert name in runtime("list").stdout.decode() and b"sleep" in runtime("ps", name).stdout
    assert name in [row["id"] for row in json.loads(runtime("list", "--format", "json").stdout)]


def test_an_id_in_use_and_bad_ids_are_refused(runtime, name):
    runtime("create", "--bundle", runtime.bundle, name)
    assert runtime("create", "--bundle", runtime.bundle, name, rc=1).stderr
    for bad in ("", "a/b", "..", "a b"):
        assert runtime("create", "--bundle", runtime.bundle, bad, rc=None).returncode != 0


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"ociVersion":"1.0.2"}', '{"ociVersion":7}', '{"ociVersion":"1.0.2","process":{"args":"x"},"root":{"path":"rootfs"}}'])
def test_bad_configs_are_refused_and_leave_nothing(runtime, name, text):
    with open(f"{runtime.bundle}/config.json", "w") as f:
        f.write(text)
    assert runtime("run", "--bundle", runtime.bundle, name, rc=1).stderr
    runtime("state", name, rc=1)


def test_a_missing_program_is_refused_at_start_or_create(runtime, name):
    runtime.config("/nosuch", env=["PATH=/bin"])
    done = runtime("run", "--bundle", runtime.bundle, name, rc=None)
    assert done.returncode != 0 and b"/nosuch" in done.stderr
    runtime("state", name, rc=1)


def test_features_and_version(runtime):
    features = json.loads(runtime("features").stdout)
    assert "pid" in features["linux"]["namespaces"] and features["ociVersionMax"].startswith("1.")
    assert runtime("--version").stdout


def test_hooks_run_in_order(runtime, name):
    log = f"{runtime.bundle}/hooks"
    spec = runtime.config("true", env=["PATH=/bin"])
    spec["hooks"] = {kind: [{"path": "/bin/sh", "args": ["sh", "-c", f"cat > /dev/null; echo {kind} >> {log}"]}] for kind in ("prestart", "createRuntime", "poststart", "poststop")}
    json.dump(spec, open(f"{runtime.bundle}/config.json", "w"))
    runtime("run", "--bundle", runtime.bundle, name)
    assert open(log).read().split() == ["prestart", "createRuntime", "poststart", "poststop"]


def test_a_container_cannot_write_the_runtimes_program(runtime):
    """CVE-2019-5736: what waits to become the container's process runs from a read-only view of the program."""
    runtime.config("true")
    runtime("create", "--bundle", runtime.bundle, "c")
    pid = runtime.state("c")["pid"]
    look = f"import os; print(os.statvfs('/proc/{pid}/exe').f_flag & os.ST_RDONLY, open('/proc/{pid}/comm').read())"
    assert runtime.machine.run("/usr/bin/python3", "-c", look).stdout.split()[0] == "1"
    runtime("delete", "-f", "c")
