"""Where an engine under test lives: namespaces of its own, so that nothing it does reaches this machine.

Machine     private mount, network and pid namespaces made here; Hoy's daemons run in it.
PeerMachine the namespaces of a dockerd that runs already (HOY_TEST_DOCKER_HOST), for checking the journeys against the original.
"""
import ctypes
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def in_netns(pid, work):
    """The result of work(), carried out by a thread that has joined the network namespace of pid. Sockets stay in it."""
    box = []

    def run():
        try:
            with open(f"/proc/{pid}/ns/net") as ns:
                if libc.setns(ns.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            box.append((work(), None))
        except BaseException as e:  # handed to the caller
            box.append((None, e))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    value, error = box[0]
    if error:
        raise error
    return value


class Net:
    """Sockets as a program in the network namespace of `pid` would open them."""

    def __init__(self, pid):
        self.pid = pid

    def connect(self, address, port, timeout=5, kind=socket.SOCK_STREAM):
        def work():
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            s = socket.socket(family, kind)
            s.settimeout(timeout)
            try:
                s.connect((address, port))
            except OSError:
                s.close()
                raise
            return s
        return in_netns(self.pid, work)

    def ask(self, address, port, data=b"", timeout=5):
        """Send, half-close, read to the end."""
        with self.connect(address, port, timeout) as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            out = b""
            while True:
                more = s.recv(65536)
                if not more:
                    return out
                out += more

    def ask_udp(self, address, port, data, tries=10):
        with self.connect(address, port, 0.5, socket.SOCK_DGRAM) as s:
            for _ in range(tries):
                try:
                    s.send(data)
                    return s.recv(65536)
                except OSError:
                    time.sleep(0.1)
        raise AssertionError(f"no UDP answer from {address}:{port}")

    def run(self, *argv, check=True):
        return subprocess.run(["nsenter", "-t", str(self.pid), "-n", *argv], check=check, capture_output=True, text=True, timeout=60)


class Machine:
    def __init__(self, folder):
        self.folder = folder
        init = os.path.join(os.path.dirname(__file__), "machine_init.py")
        self.proc = subprocess.Popen(
            ["unshare", "-m", "-n", "-p", "-f", "--mount-proc", "--propagation", "private", "--kill-child", sys.executable, init],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert json.loads(self.proc.stdout.readline()) == {"ready": True}
        children = f"/proc/{self.proc.pid}/task/{self.proc.pid}/children"
        self.pid = int(open(children).read().split()[0])
        self.net = Net(self.pid)
        self.exits = {}
        self.answers = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.proc.stdout:
            said = json.loads(line)
            if "exit" in said:
                self.exits[said["exit"]] = said["status"]
            else:
                self.answers.put(said)

    def spawn(self, argv, env, log):
        """Starts a daemon; its pid is the machine's own numbering."""
        self.proc.stdin.write(json.dumps({"argv": argv, "env": env, "log": log}) + "\n")
        self.proc.stdin.flush()
        said = self.answers.get(timeout=60)
        assert "pid" in said, said
        return said["pid"]

    def wait(self, pid, timeout=60):
        end = time.monotonic() + timeout
        while pid not in self.exits:
            assert time.monotonic() < end, f"process {pid} did not end within {timeout} s"
            time.sleep(0.005)
        return self.exits[pid]

    def run(self, *argv, check=True, **kw):
        """A command as root on this machine."""
        return subprocess.run(["nsenter", "-t", str(self.pid), "-a", *argv], check=check, capture_output=True, text=True, timeout=60, **kw)

    def signal(self, pid, sig):
        self.run("kill", f"-{int(sig)}", str(pid))

    def procs(self):
        """pid -> (ppid, name), as the machine's own /proc has them."""
        out = {}
        for line in self.run("ps", "-e", "-o", "pid=,ppid=,comm=").stdout.splitlines():
            pid, ppid, name = line.split(None, 2)
            out[int(pid)] = (int(ppid), name)
        return out

    def ancestors(self, pid):
        procs, names = self.procs(), []
        while pid in procs:
            names.append(procs[pid][1])
            pid = procs[pid][0]
        return names

    def close(self):
        self.proc.stdin.close()
        try:
            self.proc.wait(20)
        except subprocess.TimeoutExpired:
            self.proc.send_signal(signal.SIGKILL)
            self.proc.wait()


class PeerMachine(Machine):
    def __init__(self, pid):
        self.pid = pid
        self.net = Net(pid)

    def close(self):
        pass


class OtherHost:
    """A second host on the machine's wire: its own network namespace, 198.51.100.2, with the machine at 198.51.100.1."""

    def __init__(self, machine):
        self.address, self.machine_address = "198.51.100.2", "198.51.100.1"
        self.proc = subprocess.Popen(["unshare", "-n", "sh", "-c", "ip link set lo up; echo; exec cat"],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.proc.stdout.readline()
        self.net = Net(self.proc.pid)
        self.link = f"w{os.getpid()}"
        machine.net.run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "wire", "netns", str(self.proc.pid))
        machine.net.run("ip", "addr", "add", "198.51.100.1/24", "dev", self.link)
        machine.net.run("ip", "link", "set", self.link, "up")
        self.net.run("ip", "addr", "add", "198.51.100.2/24", "dev", "wire")
        self.net.run("ip", "link", "set", "wire", "up")

    def close(self):
        self.proc.stdin.close()
        self.proc.wait()
