"""The OCI command line: hoy-runtime, and where a behaviour is part of the bargain, runc beside it."""
import glob
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import time
import uuid

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOY = os.environ.get("HOY_RUNTIME", os.path.join(os.environ.get("HOY_BUILD", os.path.join(TOP, "build")), "programs/hoy-runtime"))
RUNC = shutil.which("runc")

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/bin/busybox"), reason="needs root and busybox-static")

APPLETS = "sh true false sleep cat ls id ps echo env kill stty test tty hostname head touch mount grep mkdir unshare".split()
MOUNTS = [
    {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
     "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777"]},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
]


class Runtime:
    def __init__(self, program, base):
        self.program, self.root, self.bundle = program, str(base / "state"), str(base / "bundle")
        self.ids = []
        bindir = os.path.join(self.bundle, "rootfs/bin")
        os.makedirs(bindir)
        for d in ("proc", "dev", "sys", "tmp", "etc"):
            os.mkdir(os.path.join(self.bundle, "rootfs", d))
        shutil.copy("/bin/busybox", bindir)
        for name in APPLETS:
            os.link(os.path.join(bindir, "busybox"), os.path.join(bindir, name))

    def spec(self, *args, **change):
        spec = {
            "ociVersion": "1.0.2",
            "process": {"args": list(args), "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0},
                        "capabilities": {k: ["CAP_KILL"] for k in ("bounding", "effective", "permitted")}},
            "root": {"path": "rootfs"}, "hostname": "box", "mounts": MOUNTS,
            "linux": {"namespaces": [{"type": t} for t in ("pid", "mount", "ipc", "uts", "network")],
                      "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"], "resources": {}},
        }
        for key, value in change.items():
            at, path = spec, key.split("__")
            for part in path[:-1]:
                at = at.setdefault(part, {})
            at[path[-1]] = value
        return spec

    def configure(self, *args, **change):
        spec = self.spec(*args, **change)
        spec["linux"].setdefault("cgroupsPath", "/hoy-test/" + uuid.uuid4().hex[:8])
        with open(os.path.join(self.bundle, "config.json"), "w") as f:
            json.dump(spec, f)

    def new_id(self):
        self.ids.append("c" + uuid.uuid4().hex[:8])
        return self.ids[-1]

    def __call__(self, *args, **kw):
        kw.setdefault("timeout", 30)
        kw.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([self.program, "--root", self.root, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, cwd=self.bundle, **kw)

    def ok(self, *args, **kw):
        r = self(*args, **kw)
        assert r.returncode == 0, (args, r.stdout, r.stderr)
        return r.stdout

    def started(self, *args, **change):
        """A detached container that runs."""
        self.configure(*(args or ("sleep", "600")), **change)
        cid = self.new_id()
        # a detached container keeps our descriptors: no pipe may be among them
        subprocess.run([self.program, "--root", self.root, "run", "-d", cid], check=True, cwd=self.bundle,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30)
        return cid

    def create(self, cid, *more):
        return subprocess.run([self.program, "--root", self.root, "create", *more, cid], cwd=self.bundle,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30).returncode

    def state(self, cid):
        return json.loads(self.ok("state", cid))

    def cleanup(self):
        for cid in self.ids:
            self("delete", "-f", cid)


def runtimes():
    yield pytest.param(HOY, id="hoy")
    if RUNC:
        yield pytest.param(RUNC, id="runc")


@pytest.fixture(params=runtimes())
def rt(request, tmp_path):
    """Promises that runc keeps, too."""
    r = Runtime(request.param, tmp_path)
    yield r
    r.cleanup()


@pytest.fixture
def hoy(tmp_path):
    r = Runtime(HOY, tmp_path)
    yield r
    r.cleanup()


@pytest.fixture(scope="session", autouse=True)
def no_cgroup_stays_behind():
    """Runtimes remove the container's cgroup, not the one above it."""
    yield
    for folder in glob.glob("/sys/fs/cgroup/*/hoy-test") + glob.glob("/sys/fs/cgroup/hoy-test"):
        try:
            os.rmdir(folder)
        except OSError:
            pass  # a parallel session's containers


def wait_for(what, seconds=10):
    end = time.time() + seconds
    while not what():
        assert time.time() < end
        time.sleep(0.02)


# ---- run ----
@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_run_returns_the_exit_code(rt, code):
    rt.configure("sh", "-c", f"exit {code}")
    assert rt("run", rt.new_id()).returncode == code


def test_run_death_by_signal_is_128_and_more(rt):
    rt.configure("sh", "-c", "kill -9 $$; sleep 1")
    cid = rt.new_id()
    p = subprocess.Popen([rt.program, "--root", rt.root, "run", cid], cwd=rt.bundle, stdin=subprocess.DEVNULL)
    time.sleep(0.3)
    if p.poll() is None:  # pid 1 does not hear its own signals
        rt("kill", cid, "KILL")
    assert p.wait(10) in (137, 0)


def test_run_passes_output_and_leaves_nothing(rt):
    rt.configure("sh", "-c", "echo out; echo err >&2")
    r = rt("run", rt.new_id())
    assert (r.stdout, r.stderr) == ("out\n", "err\n")
    assert os.listdir(rt.root) == []


def test_run_sees_only_itself(rt):
    rt.configure("sh", "-c", "hostname; ls /proc | grep -c '^[0-9]'; echo $$")
    assert rt.ok("run", rt.new_id()).split()[0] == "box"


def test_run_removes_its_cgroup(hoy):
    hoy.configure("true", linux__cgroupsPath="/hoy-test/gone")
    hoy.ok("run", hoy.new_id())
    for controller in os.listdir("/sys/fs/cgroup"):
        assert not os.path.exists(f"/sys/fs/cgroup/{controller}/hoy-test/gone")


def test_run_reads_standard_input(rt):
    rt.configure("cat")
    r = subprocess.run([rt.program, "--root", rt.root, "run", rt.new_id()], cwd=rt.bundle, input=b"hello", stdout=subprocess.PIPE,
                       timeout=30)
    assert r.stdout == b"hello"


@pytest.mark.parametrize("args", [["nothing-here"], ["/etc"], ["/nothing"]])
def test_run_program_that_cannot_run(rt, args):
    rt.configure(*args)
    r = rt("run", rt.new_id())
    assert r.returncode == 1
    assert r.stderr
    assert os.listdir(rt.root) == []


# ---- bad input ----
@pytest.mark.parametrize("cid", ["a/b", "..", "", "a b", "ä", "x" * 2000])
def test_bad_ids_are_refused(hoy, cid):
    hoy.configure("true")
    r = hoy("run", cid)
    assert r.returncode == 1
    assert "container" in r.stderr and "ID" in r.stderr or "id" in r.stderr


def test_missing_bundle_and_configuration(rt):
    assert rt("run", "-b", "/nonexistent", rt.new_id()).returncode == 1
    r = rt("run", rt.new_id())
    assert r.returncode == 1 and "config.json" in r.stderr


@pytest.mark.parametrize("text", ["", "{", "[]", '{"ociVersion":"1.0.2"}', '{"ociVersion":1}', '{"ociVersion":"1.0.2","process":{"args":"x"}}'])
def test_bad_configurations_leave_nothing(hoy, text):
    with open(os.path.join(hoy.bundle, "config.json"), "w") as f:
        f.write(text)
    r = hoy("run", hoy.new_id())
    assert r.returncode == 1 and r.stderr
    assert not os.path.exists(hoy.root) or os.listdir(hoy.root) == []


def test_id_in_use_is_refused(rt):
    cid = rt.started()
    r = rt("run", cid)
    assert r.returncode == 1 and "exist" in r.stderr
    assert rt.state(cid)["status"] == "running"


@pytest.mark.parametrize("command", [["state"], ["kill"], ["delete"], ["start"], ["pause"], ["resume"]])
def test_missing_container(rt, command):
    r = rt(*command, "nobody")
    assert r.returncode == 1 and "container does not exist" in r.stderr


def test_delete_force_of_a_missing_container_is_fine(rt):
    assert rt("delete", "-f", "nobody").returncode == 0


def test_unknown_command_and_option(hoy):
    assert hoy("dance").returncode != 0
    assert hoy("run", "--dance", "x").returncode != 0
    assert hoy("run").returncode != 0


# ---- create, start, state, kill, delete ----
def test_life_of_a_container(rt):
    rt.configure("sleep", "600", annotations={"a": "b"})
    cid = rt.new_id()
    assert rt.create(cid, "--pid-file", "pid") == 0
    state = rt.state(cid)
    assert state["status"] == "created" and state["id"] == cid and state["bundle"] == rt.bundle
    assert state["annotations"]["a"] == "b" and state["ociVersion"]
    pid = int(open(os.path.join(rt.bundle, "pid")).read())
    assert state["pid"] == pid
    assert "sleep" not in open(f"/proc/{pid}/cmdline").read().split("\0")[0]
    rt.ok("start", cid)
    assert rt.state(cid)["status"] == "running"
    wait_for(lambda: open(f"/proc/{pid}/cmdline").read().startswith("sleep"))
    assert rt("start", cid).returncode == 1
    r = rt("delete", cid)
    assert r.returncode == 1 and "not stopped" in r.stderr
    rt.ok("kill", cid, "KILL")
    wait_for(lambda: rt.state(cid)["status"] == "stopped")
    assert rt.state(cid).get("pid", 0) == 0
    assert rt("kill", cid).returncode == 1
    assert rt("start", cid).returncode == 1
    rt.ok("delete", cid)
    assert rt("state", cid).returncode == 1


def test_created_container_can_be_deleted(rt):
    rt.configure("sleep", "600")
    cid = rt.new_id()
    assert rt.create(cid) == 0
    pid = rt.state(cid)["pid"]
    rt.ok("delete", cid)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}") or "Z" in open(f"/proc/{pid}/stat").read())


def test_created_container_can_be_killed(rt):
    rt.configure("sleep", "600")
    cid = rt.new_id()
    assert rt.create(cid) == 0
    rt.ok("kill", cid, "KILL")
    wait_for(lambda: rt.state(cid)["status"] == "stopped")
    rt.ok("delete", cid)


def test_nothing_stays_behind_after_a_start(hoy):
    before = set(p for p in os.listdir("/proc") if p.isdigit())
    hoy.configure("true")
    cid = hoy.new_id()
    assert hoy.create(cid) == 0
    hoy.ok("start", cid)
    wait_for(lambda: hoy.state(cid)["status"] == "stopped")
    hoy.ok("delete", cid)
    keepers = [p for p in set(p for p in os.listdir("/proc") if p.isdigit()) - before
               if os.path.exists(f"/proc/{p}/comm") and open(f"/proc/{p}/comm").read() == "hoy-keeper\n"
               and " Z " not in open(f"/proc/{p}/stat").read()]
    assert keepers == []


def test_create_does_not_hold_its_callers_pipes(hoy):
    hoy.configure("sleep", "600", process__terminal=False)
    cid = hoy.new_id()
    r, w = os.pipe()
    subprocess.run([hoy.program, "--root", hoy.root, "create", cid], cwd=hoy.bundle, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=[w], timeout=30, check=True)
    os.close(w)
    os.set_blocking(r, False)
    assert os.read(r, 1) == b""


def test_start_of_a_program_that_does_not_exist(rt):
    rt.configure("/nothing")
    cid = rt.new_id()
    if rt.create(cid) == 0:
        assert rt("start", cid).returncode == 1
    assert rt("delete", "-f", cid).returncode == 0


@pytest.mark.parametrize("sig", ["15", "TERM", "SIGTERM", "sigterm"])
def test_kill_names_of_signals(rt, sig):
    cid = rt.started("sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.05; done")
    time.sleep(0.3)
    rt.ok("kill", cid, sig)
    wait_for(lambda: rt.state(cid)["status"] == "stopped")


def test_kill_of_an_unknown_signal(rt):
    cid = rt.started()
    assert rt("kill", cid, "SIGNOTHING").returncode == 1


def test_delete_force_of_a_running_container(rt):
    cid = rt.started()
    pid = rt.state(cid)["pid"]
    rt.ok("delete", "-f", cid)
    assert not os.path.exists(f"/proc/{pid}") or " Z " in open(f"/proc/{pid}/stat").read()
    assert rt("state", cid).returncode == 1


def test_delete_option_after_the_id(hoy):
    cid = hoy.started()
    hoy.ok("delete", cid, "--force")


# ---- list, ps ----
def test_list(rt):
    cid = rt.started()
    table = rt.ok("list")
    assert table.split()[:6] == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    row = table.splitlines()[1].split()
    assert row[0] == cid and row[2] == "running" and row[3] == rt.bundle and row[5] == "root"
    assert rt.ok("list", "-q") == cid + "\n"
    rows = json.loads(rt.ok("list", "-f", "json"))
    assert rows[0]["id"] == cid and rows[0]["pid"] == rt.state(cid)["pid"] and rows[0]["created"].startswith("20")
    assert rt("list", "-f", "xml").returncode == 1


def test_list_of_a_missing_root_is_an_error(hoy):
    assert hoy("list").returncode == 1


def test_ps(rt):
    cid = rt.started()
    assert "sleep 600" in rt.ok("ps", cid)
    assert json.loads(rt.ok("ps", "-f", "json", cid)) == [rt.state(cid)["pid"]]


# ---- exec ----
def test_exec(rt):
    cid = rt.started()
    assert rt.ok("exec", cid, "sh", "-c", "hostname; pwd") == "box\n/\n"
    assert rt("exec", cid, "sh", "-c", "exit 9").returncode == 9
    assert rt.ok("exec", "-e", "A=b", "--cwd", "/tmp", cid, "sh", "-c", "echo $A; pwd") == "b\n/tmp\n"
    assert rt.ok("exec", "--user", "5:6", cid, "id", "-u").strip() == "5"


def test_exec_of_a_missing_program_is_255(rt):
    cid = rt.started()
    r = rt("exec", cid, "nothing-here")
    assert r.returncode == 255 and "exec failed" in r.stderr
    assert rt.state(cid)["status"] == "running"


def test_exec_by_process_file(rt):
    cid = rt.started()
    with open(os.path.join(rt.bundle, "p.json"), "w") as f:
        json.dump({"args": ["sh", "-c", "echo $X; id -u"], "cwd": "/tmp", "env": ["PATH=/bin", "X=y"], "user": {"uid": 7, "gid": 7}}, f)
    assert rt.ok("exec", "-p", "p.json", cid) == "y\n7\n"


def test_exec_detached(rt):
    cid = rt.started()
    subprocess.run([rt.program, "--root", rt.root, "exec", "-d", "--pid-file", "xp", cid, "sleep", "500"], cwd=rt.bundle, check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pid = int(open(os.path.join(rt.bundle, "xp")).read())
    assert pid in json.loads(rt.ok("ps", "-f", "json", cid))


def test_exec_in_a_stopped_container(rt):
    cid = rt.started()
    rt.ok("kill", cid, "KILL")
    wait_for(lambda: rt.state(cid)["status"] == "stopped")
    assert rt("exec", cid, "true").returncode == 255


def test_exec_shares_the_cgroup(hoy):
    cid = hoy.started()
    inside = hoy.ok("exec", cid, "cat", "/proc/self/cgroup")
    assert inside == hoy.ok("exec", cid, "cat", "/proc/1/cgroup") and "/hoy-test/" in inside


def test_exec_cgroup_may_not_climb(hoy):
    cid = hoy.started()
    assert hoy("exec", "--cgroup", "../..", cid, "true").returncode == 255


# ---- pause, update ----
def test_pause_and_resume(rt):
    cid = rt.started()
    rt.ok("pause", cid)
    assert rt.state(cid)["status"] == "paused"
    assert rt("exec", cid, "true").returncode == 255
    rt.ok("resume", cid)
    assert rt.state(cid)["status"] == "running"
    assert rt("resume", cid).returncode == 1


def test_delete_force_of_a_paused_container(rt):
    cid = rt.started()
    rt.ok("pause", cid)
    rt.ok("delete", "-f", cid)


@pytest.mark.skipif(not os.path.exists("/sys/fs/cgroup/pids"), reason="cgroup v1")
def test_limits_and_update(hoy):
    cid = hoy.started(linux__cgroupsPath="/hoy-test/limits", linux__resources={"pids": {"limit": 20}, "memory": {"limit": 67108864}})

    def value(file):
        return open(f"/sys/fs/cgroup/{file}").read().strip()
    assert value("pids/hoy-test/limits/pids.max") == "20"
    assert value("memory/hoy-test/limits/memory.limit_in_bytes") == "67108864"
    hoy.ok("update", "--pids-limit", "30", "--memory", "128m", cid)
    assert value("pids/hoy-test/limits/pids.max") == "30"
    assert value("memory/hoy-test/limits/memory.limit_in_bytes") == "134217728"
    hoy.ok("update", "-r", "-", cid, stdin=None, input='{"pids":{"limit":40}}')
    assert value("pids/hoy-test/limits/pids.max") == "40"
    assert hoy("update", "--memory", "lots", cid).returncode == 1


# ---- terminals ----
def receive_terminal(listener):
    listener.settimeout(10)
    s, _ = listener.accept()
    _, fds, _, _ = socket.recv_fds(s, 4096, 1)
    return fds[0]


def test_terminal_by_console_socket(rt, tmp_path):
    rt.configure("sh", "-c", "tty; stty -a | head -1", process__terminal=True)
    path = str(tmp_path / "console.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        cid = rt.new_id()
        assert rt.create(cid, "--console-socket", path) == 0
        master = receive_terminal(listener)
    rt.ok("start", cid)
    out = b""
    try:
        while b"speed" not in out:
            out += os.read(master, 4096)
    except OSError:
        pass
    assert b"/dev/" in out


def test_terminal_and_console_socket_belong_together(rt):
    rt.configure("true", process__terminal=True)
    assert rt("create", rt.new_id()).returncode == 1
    rt.configure("true")
    assert rt("create", "--console-socket", "/tmp/x.sock", rt.new_id()).returncode == 1


def test_terminal_in_the_foreground(rt):
    rt.configure("sh", "-c", "test -t 0 && echo yes; exit 4", process__terminal=True)
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(rt.bundle)
        os.execv(rt.program, [rt.program, "--root", rt.root, "run", rt.new_id()])
    out = b""
    try:
        while True:
            data = os.read(master, 4096)
            if not data:
                break
            out += data
    except OSError:
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
    assert b"yes" in out


def test_exec_with_a_terminal(rt):
    cid = rt.started()
    pid, master = pty.fork()
    if pid == 0:
        os.execv(rt.program, [rt.program, "--root", rt.root, "exec", "-t", cid, "sh", "-c", "test -t 1 && echo yes; exit 5"])
    out = b""
    try:
        while True:
            data = os.read(master, 4096)
            if not data:
                break
            out += data
    except OSError:
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    assert b"yes" in out


# ---- descriptors, signals, hooks ----
def test_preserved_descriptors(rt):
    rt.configure("sh", "-c", "cat <&3")
    r, w = os.pipe()
    os.write(w, b"given")
    os.close(w)
    p = subprocess.run([rt.program, "--root", rt.root, "run", "--preserve-fds", "1", rt.new_id()], cwd=rt.bundle,
                       close_fds=False, preexec_fn=lambda: os.dup2(r, 3, inheritable=True), stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, timeout=30)
    os.close(r)
    assert p.stdout == b"given"


def test_other_descriptors_do_not_leak(rt):
    rt.configure("sh", "-c", "ls /proc/self/fd")
    r, w = os.pipe()
    p = subprocess.run([rt.program, "--root", rt.root, "run", rt.new_id()], cwd=rt.bundle, pass_fds=[r, w],
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=30)
    assert sorted(p.stdout.split()) == [b"0", b"1", b"2", b"3"]  # 3 is ls's own


def test_signals_are_passed_on_in_the_foreground(rt):
    rt.configure("sh", "-c", "trap 'exit 33' TERM; echo ready; while :; do sleep 0.05; done")
    p = subprocess.Popen([rt.program, "--root", rt.root, "run", rt.new_id()], cwd=rt.bundle, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE)
    assert p.stdout.readline() == b"ready\n"
    p.send_signal(signal.SIGTERM)
    assert p.wait(10) == 33


def test_hooks_run_in_order_with_the_state(rt, tmp_path):
    log = tmp_path / "hooks"
    names = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
    hooks = {n: [{"path": "/bin/sh", "args": ["sh", "-c", f"(echo {n}; cat; echo) >> {log}"]}] for n in names if n != "createContainer"}
    rt.configure("true", hooks=hooks)
    cid = rt.new_id()
    assert rt("run", cid).returncode == 0
    lines = log.read_text().splitlines()
    assert [line for line in lines if line in names] == [n for n in names if n != "createContainer"]
    states = [json.loads(line) for line in lines if line.startswith("{")]
    assert all(s["id"] == cid and s["bundle"] == rt.bundle for s in states)


def test_failing_prestart_hook_fails_the_run(rt):
    rt.configure("true", hooks={"prestart": [{"path": "/bin/false"}]})
    assert rt("run", rt.new_id()).returncode == 1
    assert os.listdir(rt.root) == []


# ---- seccomp ----
def test_seccomp_answers_as_told(rt):
    rt.configure("mkdir", "/tmp/x", linux__seccomp={"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]})
    r = rt("run", rt.new_id())
    assert r.returncode == 1 and "No space left" in r.stderr


def test_seccomp_as_docker_has_it(rt):
    recorded = json.load(open(os.path.join(TOP, "src/plan/corpus/spec/docker-default.json")))
    rt.configure("sh", "-c", "unshare -U true; grep Seccomp: /proc/self/status", linux__seccomp=recorded["linux"]["seccomp"])
    r = rt("run", rt.new_id())
    assert "Operation not permitted" in r.stderr and r.stdout.split() == ["Seccomp:", "2"]


def test_seccomp_nonsense_is_refused(rt):
    rt.configure("true", linux__seccomp={"defaultAction": "SCMP_ACT_MAYBE"})
    assert rt("run", rt.new_id()).returncode == 1


# ---- spec, features, log ----
def test_spec_is_a_configuration_that_runs(hoy):
    hoy.ok("spec")
    assert hoy("spec").returncode == 1  # never overwrites
    path = os.path.join(hoy.bundle, "config.json")
    spec = json.load(open(path))
    assert spec["process"]["args"] == ["sh"] and spec["root"]["readonly"]
    spec["process"]["args"] = ["true"]
    spec["process"]["terminal"] = False
    json.dump(spec, open(path, "w"))
    assert hoy("run", hoy.new_id()).returncode == 0


def test_features(hoy):
    f = json.loads(hoy.ok("features"))
    assert f["ociVersionMin"] == "1.0.0" and "rro" in f["mountOptions"] and "startContainer" in f["hooks"]
    assert "CAP_SYS_ADMIN" in f["linux"]["capabilities"] and f["linux"]["seccomp"]["enabled"]


def test_log_as_json(rt, tmp_path):
    log = tmp_path / "log"
    subprocess.run([rt.program, "--root", rt.root, "--log", str(log), "--log-format", "json", "state", "nobody"],
                   stderr=subprocess.DEVNULL)
    entry = json.loads(log.read_text().splitlines()[-1])
    assert entry["level"] == "error" and "does not exist" in entry["msg"] and entry["time"]


def test_log_as_text_on_standard_error(rt):
    assert "level=error msg=" in rt("state", "nobody").stderr
