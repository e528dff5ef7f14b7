"""An engine under test: hoyd on a machine of its own, or a dockerd that runs already."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from .api import Api
from .machine import Machine, PeerMachine

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("HOY_BUILD") or os.path.join(ROOT, "build")
CACHE = os.environ.get("HOY_CACHE") or "/var/cache/hoy-test"
ID = re.compile(r"[0-9a-f]{64}")
SANITIZER = re.compile(r"==\d+==\s?ERROR: |SUMMARY: \w+Sanitizer|\.[ch]:\d+:\d+: runtime error: ")


def program(name):
    """A program of the build under test."""
    path = os.path.join(os.environ.get("HOY_BIN") or os.path.join(BUILD, "programs"), name)
    assert os.access(path, os.X_OK), f"{path} is not built"
    return path


def container_cgroups():
    """Directories of containers below /sys/fs/cgroup, by their 64-digit names."""
    found = set()
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        found.update(os.path.join(folder, n) for n in names if ID.search(n))
    return found


class Base:
    """What both kinds of engine have: a socket, an API, a machine, a folder that both sides see at the same path."""

    def __init__(self, sock, machine, folder):
        self.sock = sock
        self.host = f"unix://{sock}"
        self.api = Api(sock)
        self.machine = machine
        self.net = machine.net
        self.folder = folder

    def scratch(self):
        return tempfile.mkdtemp(dir=self.folder, prefix="t")

    def host_pid(self, pid):
        """This machine's number of a process that the engine calls `pid`."""
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/status") as f:
                        numbers = re.search(r"^NSpid:\s+(.*)$", f.read(), re.M).group(1).split()
                    if str(pid) in numbers[:-1] + numbers[1:2] and os.readlink(f"/proc/{entry}/root") is not None \
                            and len(numbers) > 1 and numbers[1] == str(pid) and self._same_pid_ns(entry):
                        return int(entry)
                except (OSError, AttributeError):
                    continue
        raise AssertionError(f"no process {pid} on the engine's machine")

    def _same_pid_ns(self, entry):
        # a process of the machine or of a container below it: one of its ancestors is the machine's PID 1
        pid = int(entry)
        while pid > 1:
            if pid == self.machine.pid:
                return True
            with open(f"/proc/{pid}/stat") as f:
                pid = int(f.read().rsplit(")", 1)[1].split()[1])
        return False

    def ours(self):
        """Containers that tests made."""
        answer = self.api.get("/containers/json", all=1)
        return [c["Id"] for c in answer.json if c["Image"].startswith("hoytest") or any(n.startswith("/hoyt") for n in c["Names"])]

    def remove_containers(self):
        for container in self.ours():
            self.api.delete(f"/containers/{container}", force=1, v=1)


class Hoyd(Base):
    def __init__(self, *args, machine=None):
        folder = tempfile.mkdtemp(dir=os.environ.get("HOY_TEST_DIR") or "/var/tmp", prefix="hoyt-")
        os.chmod(folder, 0o755)
        self.own_machine = machine is None
        super().__init__(os.path.join(folder, "hoy.sock"), machine or Machine(folder), folder)
        self.args = list(args)
        self.log = os.path.join(folder, "hoyd.log")
        self.pid = None
        self.seen = set()

    def argv(self):
        return [program("hoyd"), "--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/exec",
                "-H", self.host, "--pidfile", f"{self.folder}/hoyd.pid", *self.args]

    def spawn(self):
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
               "ASAN_OPTIONS": f"detect_leaks=0:log_path={self.folder}/asan", "UBSAN_OPTIONS": f"halt_on_error=1:print_stacktrace=1:log_path={self.folder}/asan",
               "TSAN_OPTIONS": f"log_path={self.folder}/tsan:report_thread_leaks=0"}
        self.pid = self.machine.spawn(self.argv(), env, self.log)

    def start(self):
        self.spawn()
        self.wait_ready()
        return self

    def wait_ready(self, timeout=90):
        end = time.monotonic() + timeout
        while True:
            try:
                if self.api.get("/_ping", version="").status == 200:
                    return
            except OSError:
                pass
            assert self.pid not in self.machine.exits, f"hoyd ended with {self.machine.exits[self.pid]}: {self.log_tail()}"
            assert time.monotonic() < end, f"hoyd did not answer within {timeout} s: {self.log_tail()}"
            time.sleep(0.01)

    def stop(self):
        self.machine.signal(self.pid, signal.SIGTERM)
        return self.machine.wait(self.pid)

    def kill(self):
        self.machine.signal(self.pid, signal.SIGKILL)
        self.machine.wait(self.pid)

    def restart(self):
        self.kill()
        self.start()

    def log_tail(self, n=4000):
        try:
            with open(self.log, errors="replace") as f:
                return f.read()[-n:]
        except OSError:
            return ""

    def sanitizer_reports(self):
        """What the sanitizers said: of the daemon in files, of shims and workers (they have no environment) in its log."""
        reports = {n: open(os.path.join(self.folder, n), errors="replace").read() for n in os.listdir(self.folder) if n.startswith(("asan.", "tsan."))}
        try:
            with open(self.log, errors="replace") as f:
                log = f.read()
        except OSError:
            return reports
        found = SANITIZER.search(log)
        return {**reports, "hoyd.log": log[found.start():][:8000]} if found else reports

    def close(self):
        """Everything ends; what the sanitizers said is returned."""
        try:
            if self.pid in self.machine.exits:
                self.start()
            self.remove_containers()
            self.stop()
        except Exception as e:  # the test that broke it has failed already; the machine's end kills what is left
            print(f"closing the engine: {e}")
        if self.own_machine:
            self.machine.close()
        reports = self.sanitizer_reports()
        for path in sorted(container_cgroups(), key=len, reverse=True):
            if any(i in path for i in self.seen):
                subprocess.run(["rmdir", path], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        return reports


class Peer(Base):
    """A dockerd that runs already: HOY_TEST_DOCKER_HOST, HOY_TEST_PEER_PID (a process in its namespaces), and
    HOY_TEST_DIR (a folder that it sees at the same path)."""

    def __init__(self):
        folder = tempfile.mkdtemp(dir=os.environ["HOY_TEST_DIR"], prefix="hoyt-")
        os.chmod(folder, 0o755)
        super().__init__(os.environ["HOY_TEST_DOCKER_HOST"].removeprefix("unix://"), PeerMachine(int(os.environ["HOY_TEST_PEER_PID"])), folder)

    def start(self):
        return self

    def close(self):
        self.remove_containers()
        shutil.rmtree(self.folder, ignore_errors=True)
        return {}


def peer_mode():
    return bool(os.environ.get("HOY_TEST_DOCKER_HOST"))


def need_hoyd():
    if peer_mode():
        pytest.skip("about hoyd's own process; a real dockerd is being tested")
