"""A file system on a disk whose power can be cut: powerdisk (powerdisk.c) in a FUSE mount, a loop device on it, ext4 or btrfs on that."""
import ctypes
import os
import subprocess
import threading
import time

CLONE_NEWNS = 0x20000
MAKE = {"ext4": ["mke2fs", "-q", "-F", "-t", "ext4", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"], "btrfs": ["mkfs.btrfs", "-q", "-f", "-K"]}
CHECK = {"ext4": ["e2fsck", "-fn"], "btrfs": ["btrfs", "check", "--readonly"]}
HERE = os.path.dirname(os.path.abspath(__file__))


class Unable(Exception):
    """This machine has no FUSE, no loop devices, or no libfuse3 to build with."""


def run(*argv, check=True):
    done = subprocess.run(argv, capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout.strip()


def compiled(folder):
    program = os.path.join(folder, "powerdisk")
    try:
        flags = run("pkg-config", "--cflags", "--libs", "fuse3").split()
        run("cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, os.path.join(HERE, "powerdisk.c"), *flags)
    except (RuntimeError, OSError) as e:
        raise Unable(f"powerdisk.c cannot be built: {e}") from e
    return program


class Disk:
    """attach() before use; arm() decides when the power goes; after fell(): kill what runs on it, lose(), detach(), attach()."""

    def __init__(self, folder, mib=768, fs="ext4"):
        if not os.path.exists("/dev/fuse") or not os.path.exists("/dev/loop-control"):
            raise Unable("no /dev/fuse or no /dev/loop-control")
        self.fuse, self.root, self.loop = os.path.join(folder, "fuse"), os.path.join(folder, "root"), None
        self.fs = fs
        os.mkdir(self.fuse)
        os.mkdir(self.root)
        self.proc = subprocess.Popen([compiled(folder), str(mib), self.fuse], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.proc.stdout.readline() != "ready\n":
            raise Unable("a FUSE file system cannot be mounted here")
        # The file system is mounted in a namespace of ours that powerdisk is not in: were it the last one there, it would have to unmount
        # at its end what only itself can serve
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
            raise OSError(ctypes.get_errno(), "unshare")
        self.answer, self.answered, self.down = None, threading.Semaphore(0), threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()
        self.file = os.path.join(self.fuse, "disk")
        run(*MAKE[fs], self.file)

    def _listen(self):
        for line in self.proc.stdout:
            if line == "cut\n":
                self.down.set()
            else:
                self.answer = line.split()
                self.answered.release()

    def _ask(self, command):
        self.proc.stdin.write(command + "\n")
        self.proc.stdin.flush()
        if not self.answered.acquire(timeout=60):
            raise RuntimeError(f"powerdisk did not answer to {command}")
        return self.answer

    def attach(self):
        self.loop = run("losetup", "--show", "-f", self.file)
        try:
            run("mount", "-t", self.fs, self.loop, self.root)
        except RuntimeError as e:
            said = [line for line in run("dmesg", check=False).splitlines() if os.path.basename(self.loop) in line]
            raise RuntimeError(f"{e}; the kernel said: {said[-4:]}; {run('losetup', '-l', check=False)}") from e

    def detach(self):
        """Returns when the last namespace that had it mounted is gone."""
        backing = f"/sys/block/{os.path.basename(self.loop)}/loop/backing_file"
        run("umount", "-l", self.root)
        run("losetup", "-d", self.loop, check=False)
        end = time.monotonic() + 60
        while self._lies_under(backing):
            if time.monotonic() > end:
                raise RuntimeError(f"{self.loop} is still in use: somebody lives on it")
            time.sleep(0.005)
        self.loop = None

    def _lies_under(self, backing):
        try:
            with open(backing) as f:
                return self.file in f.read()  # somebody else may have the number by now
        except OSError:
            return False

    def arm(self, requests, seed):
        self.down.clear()
        self._ask(f"arm {requests} {seed}")

    def fell(self, timeout):
        return self.down.wait(timeout)

    def lose(self, permille):
        """(sectors kept, sectors lost) of what was not flushed. What still runs on the disk talks to nobody from here on."""
        _, kept, gone = self._ask(f"lose {permille}")
        return int(kept), int(gone)

    def back(self):
        self._ask("back")

    def count(self):
        return [int(n) for n in self._ask("count")[1:]]

    def check(self):
        """What the file system's own program finds in a detached disk (after its journal has been replayed): "" or its words."""
        done = subprocess.run([*CHECK[self.fs], self.file], capture_output=True, text=True)
        return "" if done.returncode == 0 else done.stdout

    def close(self):
        if self.loop:
            run("umount", "-l", self.root, check=False)
            run("losetup", "-d", self.loop, check=False)
        if self.proc.poll() is None:
            self.proc.stdin.close()
        run("umount", "-l", self.fuse, check=False)
        try:
            self.proc.wait(10)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
