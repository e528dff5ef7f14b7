"""A command-line client, run as a user would: Debian's docker, or hoy."""
import os
import pty
import re
import select
import subprocess
import time

from .engine import CACHE, SANITIZER, program


def docker_client():
    for path in (os.environ.get("HOY_DOCKER"), "/usr/bin/docker", f"{CACHE}/peers/usr/bin/docker"):
        if path and os.access(path, os.X_OK):
            return path
    raise AssertionError("no docker client: ./run test installs one")


class Result:
    def __init__(self, rc, out, err):
        self.rc, self.raw, self.err = rc, out, err.decode(errors="replace")

    @property
    def out(self):
        return self.raw.decode(errors="replace")

    @property
    def line(self):
        return self.out.strip()

    def __repr__(self):
        return f"rc {self.rc}\nstdout: {self.out}\nstderr: {self.err}"


class Cli:
    def __init__(self, name, host, folder):
        self.name = name
        self.argv = [docker_client() if name == "docker" else program("hoy")]
        self.host = host
        self.env = {"PATH": os.environ["PATH"], "HOME": folder, "DOCKER_HOST": host, "DOCKER_CONFIG": os.path.join(folder, ".docker"),
                    "ASAN_OPTIONS": "detect_leaks=0", "TERM": "xterm"}

    def __call__(self, *args, input=b"", rc=0, timeout=60, env=None):
        """Runs one command. rc is the exit code that is right (None: any)."""
        done = subprocess.run([*self.argv, *args], input=input, capture_output=True, timeout=timeout, env={**self.env, **(env or {})})
        result = Result(done.returncode, done.stdout, done.stderr)
        assert not SANITIZER.search(result.err), result.err
        assert rc is None or result.rc == rc, f"{self.name} {' '.join(args)}: {result}"
        return result

    def popen(self, *args, **kw):
        kw.setdefault("stdin", subprocess.PIPE)
        return subprocess.Popen([*self.argv, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env, **kw)

    def terminal(self, *args, size=(24, 80)):
        return Terminal([*self.argv, *args], self.env, size)

    def inspect(self, thing, template):
        return self("inspect", "--format", template, thing).line


class Terminal:
    """A command on a pseudo terminal, as if typed by a person."""

    def __init__(self, argv, env, size):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(argv[0], argv, env)
        self.resize(*size)
        self.seen = b""
        self.rc = None

    def resize(self, rows, cols):
        import fcntl
        import struct
        import termios
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, text):
        os.write(self.fd, text if isinstance(text, bytes) else text.encode())

    def expect(self, pattern, timeout=60):
        """Waits until the pattern is on the screen; what came before it and itself are consumed."""
        pattern = re.compile(pattern.encode() if isinstance(pattern, str) else pattern, re.S)
        end = time.monotonic() + timeout
        while True:
            match = pattern.search(self.seen)
            if match:
                self.seen = self.seen[match.end():]
                return match
            left = end - time.monotonic()
            assert left > 0 and self._read(left), f"never saw {pattern.pattern!r} in {self.seen!r}"

    def _read(self, timeout):
        ready, _, _ = select.select([self.fd], [], [], timeout)
        if not ready:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.seen += data
        return bool(data)

    def wait(self, timeout=60):
        """The exit code; everything printed stays in seen."""
        end = time.monotonic() + timeout
        while self.rc is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.rc = os.waitstatus_to_exitcode(status)
                break
            assert time.monotonic() < end, f"did not end; last seen {self.seen!r}"
            if not self._read(0.05):
                time.sleep(0.02)
        while self._read(0):
            pass
        return self.rc

    def close(self):
        if self.rc is None:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


def until(check, timeout=60, what="it"):
    """Calls check() until it is true; its value."""
    end = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come true within {timeout} s"
        time.sleep(0.02)
