"""PID 1 of a test machine: starts what it is told to, reaps what is left over, dies with the harness.

Runs as `python3 machine_init.py` under unshare, in its own mount, network and pid namespaces. One JSON object per line on
standard input ({"argv", "env", "log"}), one per line on standard output ({"pid"} or {"exit", "status"}). When standard input
ends it ends too, and the kernel kills everything in the pid namespace.
"""
import json
import os
import select
import signal
import subprocess
import sys


def say(**fields):
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def reap():
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        say(exit=pid, status=os.waitstatus_to_exitcode(status))


def spawn(request):
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open("/dev/null", os.O_RDONLY)
    pid = os.posix_spawn(request["argv"][0], request["argv"], request["env"], setsid=True,
                         file_actions=[(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)])
    os.close(log)
    os.close(null)
    say(pid=pid)


def main():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    wake_r, wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_w)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, signal.SIG_IGN)
    say(ready=True)
    pending = b""
    while True:
        ready, _, _ = select.select([0, wake_r], [], [])
        if wake_r in ready:
            os.read(wake_r, 4096)
            reap()
        if 0 in ready:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                try:
                    spawn(json.loads(line))
                except OSError as e:
                    say(error=str(e))


main()
