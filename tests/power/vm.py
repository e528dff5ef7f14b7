#!/usr/bin/env python3
"""vm.py [CUTS] - as power.py, for a whole machine: Debian's own kernel, file system and virtio disk (tests/vm), emulated by qemu. Its second
disk is the file whose power can be cut: at a request chosen by lot the disk stops and qemu is killed. Then hoyd starts on this machine on what is
left, and everything is looked at as in power.py; the next guest goes on with the same disk.

  --cache C    qemu's cache for the disk: none (default) or writeback; flushes must arrive either way
  --seed N
"""
import argparse
import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

from disk import Disk, Unable  # noqa: E402
from engine import Failed  # noqa: E402
from harness.engine import program  # noqa: E402
from power import THREADS, Rig, private  # noqa: E402
from work import Client  # noqa: E402

VM = os.environ.get("HOY_VM_DIR") or "/var/tmp/hoy-vm"
MIB = 1024
INIT = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
while read -r m; do $b insmod "/$m"; done </order
n=0
until [ -b /dev/vda ] || [ $n -gt 100 ]; do n=$((n + 1)); $b sleep 0.05; done
$b mount -t ext4 -o noatime /dev/vda /new || exec $b sh
for m in dev proc sys; do $b mount --move /$m /new/$m; done
$b mount -t tmpfs tmpfs /new/run
$b cp -a /host /new/run/
exec $b switch_root /new /bin/bash /run/host/tests/power/guest.sh
"""


def initrd(folder):
    """The guest's, with another first process and all that it needs: a second archive behind the first. (A shared folder could not be frozen.)"""
    tree = os.path.join(folder, "initrd.d")
    os.mkdir(tree)
    with open(f"{tree}/init", "w") as f:
        f.write(INIT)
    os.chmod(f"{tree}/init", 0o755)
    for name in ("power", "harness", "registry"):
        shutil.copytree(os.path.join(os.path.dirname(HERE), name), f"{tree}/host/tests/{name}", ignore=shutil.ignore_patterns("__pycache__"))
    os.makedirs(f"{tree}/host/build/programs")
    for name in ("hoyd", "hoy-worker", "hoy-shim", "hoy-init"):
        shutil.copy(program(name), f"{tree}/host/build/programs")
    more = subprocess.run("find . | cpio --quiet -o -H newc", shell=True, cwd=tree, check=True, capture_output=True).stdout
    with open(f"{VM}/initrd", "rb") as f, open(f"{folder}/initrd", "wb") as out:
        first = f.read()
        out.write(first + bytes(-len(first) % 512) + more)


class Guest:
    """One life of the machine, thawed from the state in which its programs are loaded and it waits for work."""

    def __init__(self, folder, disk, cache):
        self.folder, self.disk, self.cache = folder, disk, cache
        self.known, self.open, self.words, self.problems, self.started = [{} for _ in range(THREADS)], [{} for _ in range(THREADS)], [None] * THREADS, [], threading.Event()
        self.done, self.line = 0, None

    def spawn(self, ram, share, snapshot, *more):
        for name in ("line", "mon"):
            if os.path.exists(f"{self.folder}/{name}"):
                os.unlink(f"{self.folder}/{name}")
        self.qemu = subprocess.Popen([
            "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", f"{MIB}M",
            "-M", "q35,memory-backend=ram,usb=off,vmport=off,hpet=off", "-object", f"memory-backend-file,id=ram,size={MIB}M,mem-path={ram},share={share}",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", f"file:{self.folder}/console",
            "-chardev", f"socket,id=line,path={self.folder}/line,server=on,wait=off", "-serial", "chardev:line",
            "-monitor", f"unix:{self.folder}/mon,server=on,wait=off",
            "-kernel", f"{VM}/vmlinuz", "-initrd", f"{self.folder}/initrd", "-append",
            "root=/dev/vda rw console=ttyS0 loglevel=6 panic=-1 mitigations=off nokaslr clocksource=acpi_pm audit=0 random.trust_cpu=1",
            "-drive", f"file={self.folder}/over.qcow2,format=qcow2,if=none,id=disk,cache=unsafe,snapshot={snapshot}", "-device", "virtio-blk-pci,drive=disk",
            "-drive", f"file={self.disk.file},format=raw,if=none,id=power,cache={self.cache}", "-device", "virtio-blk-pci,drive=power",
            "-device", "virtio-rng-pci",
            *more], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(f"{self.folder}/qemu.log", "w"), env={**os.environ, "TMPDIR": self.folder})
        self.line, self.mon = self.connect("line"), self.connect("mon")

    def connect(self, name):
        end = time.monotonic() + 30
        while True:
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(f"{self.folder}/{name}")
                return s.makefile("rwb", buffering=0)
            except OSError:
                if time.monotonic() > end or self.qemu.poll() is not None:
                    raise Failed(f"qemu does not start: {open(f'{self.folder}/qemu.log').read()}")
                time.sleep(0.05)

    def monitor(self, command):
        """What it says up to the next prompt (the first answer is the greeting)."""
        self.mon.write(command.encode() + b"\n")
        text = b""
        while text.count(b"(qemu)") < 1 or not text.rstrip().endswith(b"(qemu)"):
            text += self.mon.read(4096)
        return text.decode(errors="replace")

    def until(self, command, word, not_yet="\0"):
        for _ in range(1200):
            text = self.monitor(command)
            if word in text and not_yet not in text:
                return
            time.sleep(0.1)
        raise Failed(f"qemu: {command}: never {word}")

    def freeze(self):
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", f"{VM}/disk.raw", "-F", "raw", f"{self.folder}/over.qcow2"], check=True)
        self.spawn(f"{self.folder}/ram", "on", "off")
        said = self.hear(240)
        if said.strip() != b'["ready"]':
            raise Failed(f"the guest says {said!r}: {open(f'{self.folder}/console', errors='replace').read()[-800:]}")
        self.monitor("stop")
        self.monitor("migrate_set_capability x-ignore-shared on")
        self.monitor("migrate_set_parameter max-bandwidth 10G")
        self.monitor(f'migrate "exec:cat > {self.folder}/state"')
        self.until("info migrate", "completed")
        self.kill()
        self.qemu.wait()

    def hear(self, timeout):
        """The first line that the guest says."""
        ready, _, _ = select.select([self.line], [], [], timeout)
        return self.line.readline() if ready else b"nothing"

    def thaw(self, known, seed):
        self.spawn(f"{self.folder}/ram", "off", "on", "-incoming", "defer")
        self.monitor("migrate_set_capability x-ignore-shared on")
        self.monitor(f'migrate_incoming "exec:cat {self.folder}/state"')
        self.until("info status", "VM status: paused", not_yet="inmigrate")
        self.known = [dict(rows) for rows in known]
        self.monitor("cont")
        threading.Thread(target=self.listen, daemon=True).start()
        order = {"now": time.time(), "seed": seed, "known": [[[list(k), v] for k, v in rows.items()] for rows in known]}
        self.line.write(json.dumps(order).encode() + b"\n")
        if not self.started.wait(120):
            raise Failed(f"hoyd does not start in the guest: {open(f'{self.folder}/console', errors='replace').read()[-1500:]}")

    def listen(self):
        for line in self.lines():
            try:
                what, *rest = json.loads(line)
            except ValueError:
                continue  # the last words of a dying machine
            if what == "started":
                self.started.set()
            elif what == "open":
                number, word, rows = rest
                self.open[number], self.words[number] = self.rows(rows), word
            elif what == "known":
                self.known[rest[0]].update(self.rows(rest[1]))
            elif what == "done":
                self.open[rest[0]], self.words[rest[0]] = {}, None
                self.done += 1
            elif what == "problem":
                self.problems.append(rest)

    def lines(self):
        try:
            yield from self.line
        except OSError:
            pass  # qemu is gone

    @staticmethod
    def rows(rows):
        return {tuple(k): tuple(v) if isinstance(v, list) else v for k, v in rows}

    def kill(self):
        self.qemu.send_signal(signal.SIGKILL)


class Machine(Rig):
    def __init__(self, folder, seed, cache):
        super().__init__(folder, seed, "overlay2")
        self.cache = cache
        remote = self.engine.remote
        remote.sent = {d: len(data) for d, data in remote.registry.blobs.items()}  # the guest's own registry is gone

    def prepare(self):
        initrd(self.folder)
        Guest(self.folder, self.disk, self.cache).freeze()

    def cut(self, number):
        guest = Guest(self.folder, self.disk, self.cache)
        began = time.monotonic()
        try:
            guest.thaw(self.known, self.rng.randrange(1 << 30))
        except Failed:
            guest.kill()
            raise
        self.disk.arm(int(2 ** self.rng.uniform(3, 11)), self.rng.randrange(1, 1 << 30))
        if not self.disk.fell(40):
            self.disk.arm(0, self.rng.randrange(1 << 30))
            self.disk.fell(10)
        guest.kill()  # before lose(): nobody may go on with what the dead disk says
        flushes = self.disk.count()[1]
        kept, gone = self.disk.lose(self.rng.choice((0, 0, 300, 500, 900, 1000)))
        guest.qemu.wait()
        time.sleep(0.2)  # what was on the line
        self.kept, self.gone, self.ops = self.kept + kept, self.gone + gone, self.ops + guest.done
        self.clients = [Client(i, self.engine, self.material, guest.known[i], self.rng) for i in range(THREADS)]
        for i, client in enumerate(self.clients):
            client.open, client.word = guest.open[i], guest.words[i]
        self.during.update(guest.words)
        problems = [f"before the cut: {p}" for p in guest.problems]
        self.disk.back()
        self.disk.attach()
        try:
            self.engine.start()
            problems += self.verify() + self.finish_pulls()
        except (Failed, AssertionError) as e:
            problems.append(str(e))
        self.engine.kill()
        self.engine.remote.close()
        subprocess.run(["sync", "-f", self.disk.root], check=False)
        self.disk.detach()
        for p in problems:
            self.failures.append(p)
            print(f"FAIL  cut {number}: {p}", flush=True)
        print(f"vm: cut {number}: {guest.done} operations, cut in {[w for w in guest.words if w]}, {kept + gone} sectors unflushed, {flushes} flushes so far, "
              f"{time.monotonic() - began:.1f} s", flush=True)


def main():
    p = argparse.ArgumentParser(add_help=False)
    p.add_argument("cuts", nargs="?", type=int, default=20)
    p.add_argument("--cache", default="none")
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("-h", "--help", action="store_true")
    o = p.parse_args()
    if o.help:
        print(__doc__)
        return 0
    subprocess.run(["bash", f"{os.path.dirname(HERE)}/vm/vm.sh", "build"], check=True)
    private()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = tempfile.mkdtemp(prefix="hoy-power-vm.", dir=os.environ.get("HOY_TEST_DIR") or "/var/tmp")
    rig, began, n = None, time.monotonic(), 0
    print(f"vm: {o.cuts} cuts, --seed {o.seed}", flush=True)
    try:
        rig = Machine(folder, o.seed, o.cache)
        rig.prepare()
        print(f"vm: ready after {time.monotonic() - began:.0f} s", flush=True)
        began = time.monotonic()
        for n in range(1, o.cuts + 1):
            rig.cut(n)
    except Unable as e:
        print(f"vm: skipped: {e}")
        return 77
    finally:
        if rig:
            rig.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"vm: {n} cuts ({(time.monotonic() - began) / n:.1f} s each), cache={o.cache}, {rig.ops} operations, {rig.gone} of {rig.kept + rig.gone} unflushed sectors lost, "
          f"{len(rig.failures)} failures; cut in the middle of: " + ", ".join(f"{w or 'nothing'} {k}" for w, k in rig.during.most_common()))
    return 1 if rig.failures else 0


if __name__ == "__main__":
    sys.exit(main())
