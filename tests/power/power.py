#!/usr/bin/env python3
"""power.py [CUTS] - cuts the power of a disk under hoyd again and again, and looks at what the next hoyd finds.

hoyd works in namespaces of its own with its data root on ext4 on a disk (powerdisk.c) that forgets what was not flushed. Threads load,
pull, import, commit, tag, remove, prune, create, run, save; at a request to the disk chosen by lot the power goes: hoyd and all its children are killed, a
part of the unflushed sectors is lost, the journal is replayed, and a new hoyd starts. Then must hold:
  - hoyd starts, and says of nothing that it is damaged;
  - what was acknowledged is there; what was under way is there or not, nothing in between;
  - each listed image is its layers' tars bit for bit: names, bytes, modes, owners, times, attributes;
  - nothing that no record owns is left in layers/, tmp/, blobs/, docker/containers/, volumes/;
  - partial/ has no more than the registry sent; a pull that was cut goes on to its end, and leaves nothing there.

  --driver D   the storage driver: overlay2 (default), vfs, erofs, fuse-overlayfs; btrfs (on a btrfs)
  --seed N     choose other cuts (default: from the clock, said at the start)
  --no-sync    hoyd's own fsyncs do nothing: the rig itself is under test, and must find losses
  --fsck       check the file system itself, too, between the cuts
A new operation is one method do_x of Client (work.py) and one word in Client.WEIGHTS.
"""
import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

from check import Checker, Seen  # noqa: E402
from disk import Disk, Unable  # noqa: E402
from engine import Engine, Failed, Remote  # noqa: E402
from harness.engine import ID, container_cgroups  # noqa: E402
from work import Client, Material  # noqa: E402

THREADS = 3


class Rig:
    def __init__(self, folder, seed, driver):
        self.folder, self.rng, self.material = folder, random.Random(seed), Material()
        self.disk = Disk(folder, fs="btrfs" if driver == "btrfs" else "ext4")
        self.engine = Engine(folder, self.disk, driver)
        self.engine.remote = Remote(self.material, self.rng)
        self.checker = Checker(self.engine, self.material)
        self.known = [{} for _ in range(THREADS)]
        self.failures, self.ops, self.kept, self.gone, self.absent = [], 0, 0, 0, set()
        self.ids, self.during, self.resumed, self.refetched = set(), Counter(), 0, 0

    # ---- what is there ----
    def verify(self):
        """Sentences: what is not as promised. The model goes on from what is there."""
        seen = Seen(self.engine)
        out = self.checker.everything(seen)
        for i, client in enumerate(self.clients):
            wrong, self.known[i] = self.checker.promises(i, client, seen)
            out += wrong
        return out

    def finish_pulls(self):
        """Pulls that were cut go on to their end, and then nothing is left of them but the images."""
        again = [c for c in self.clients if c.word == "pull" and c.open]
        if not again:
            return []
        before = self.engine.remote.bytes
        for client in again:
            (_, name), = client.open
            stack = int(name.rsplit(":s", 1)[1])
            client.known = self.known[client.number]
            client.do_pull(stack)
        self.resumed += 1
        self.refetched += self.engine.remote.bytes - before
        seen = Seen(self.engine)
        out = self.checker.everything(seen) + self.checker.partials(unfinished=False)
        out += [f"layer {c} is leased, and every pull is finished" for c, row in seen.layers.items() if row.get("lease")]
        for client in again:
            out += self.checker.promises(client.number, client, seen)[0]
        return [f"after the pulls were finished: {o}" for o in out]

    # ---- one cut ----
    def work(self):
        """Threads at work until the power goes."""
        self.clients = [Client(i, self.engine, self.material, self.known[i], random.Random(self.rng.random())) for i in range(THREADS)]
        for client in self.clients:
            client.absent |= self.absent
            client.start()
        if not self.disk.fell(6):
            self.disk.arm(0, self.rng.randrange(1 << 30))
            self.disk.fell(10)

    def dead(self):
        self.engine.kill()
        kept, gone = self.disk.lose(self.rng.choice((0, 0, 300, 500, 900, 1000)))
        self.kept, self.gone = self.kept + kept, self.gone + gone
        for client in self.clients:
            client.stop.set()
        for client in self.clients:
            client.join()
            self.ops += client.done
            self.absent |= client.absent
            self.ids |= client.ids
            self.during[client.word] += 1
        self.engine.remote.close()
        self.disk.detach()
        self.forget_cgroups()

    def forget_cgroups(self):
        """On this machine, which had no power cut, the cgroups of the containers that ran are still there."""
        for path in sorted(container_cgroups(), key=len, reverse=True):
            if ID.search(os.path.basename(path)).group() in self.ids:
                try:
                    os.rmdir(path)
                except OSError:
                    pass  # not empty yet: the next cut's turn

    def cut(self, number, fsck):
        began = time.monotonic()
        requests = int(2 ** self.rng.uniform(0, 9))
        self.disk.arm(requests, self.rng.randrange(1, 1 << 30))
        self.work()
        fell = time.monotonic()
        self.dead()
        problems = [f"before the cut: {c.problem}" for c in self.clients if c.problem]
        self.disk.back()
        if fsck:
            self.disk.attach()
            self.disk.detach()
            words = self.disk.check()
            problems += [f"the file system: {words}"] if words else []
        self.disk.attach()
        try:
            self.engine.start()
            problems += self.verify()
            problems += self.finish_pulls()
        except (Failed, AssertionError) as e:
            problems.append(str(e))
        for problem in problems:
            self.failures.append(f"cut {number} (request {requests}): {problem}")
            print(f"FAIL  {self.failures[-1]}", flush=True)
        if problems:
            print("\n".join(f"client {c.number}: {line}" for c in self.clients for line in c.history), flush=True)
        return fell - began, time.monotonic() - fell, bool(problems)

    def close(self):
        self.engine.kill()
        self.engine.remote.close()
        if self.disk.loop and os.path.ismount(self.disk.root):
            self.disk.detach()
        self.disk.close()


def without_sync(folder):
    """A library that takes fsync away from hoyd."""
    path = os.path.join(folder, "nosync")
    with open(path + ".c", "w") as f:
        f.write("".join(f"int {name}(int fd) {{ (void)fd; return 0; }}\n" for name in ("fsync", "fdatasync", "syncfs")))
    subprocess.run(["cc", "-shared", "-fPIC", "-o", path + ".so", path + ".c"], check=True)
    return path + ".so"


def private():
    """Everything below is mounted where nobody else sees it."""
    if not os.environ.pop("HOY_POWER_PRIVATE", None):
        os.environ["HOY_POWER_PRIVATE"] = "1"
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable, *sys.argv])


def main():
    p = argparse.ArgumentParser(add_help=False)
    p.add_argument("cuts", nargs="?", type=int, default=200)
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--driver", default="overlay2")
    p.add_argument("--no-sync", action="store_true")
    p.add_argument("--fsck", action="store_true")
    p.add_argument("-h", "--help", action="store_true")
    o = p.parse_args()
    if o.help:
        print(__doc__)
        return 0
    private()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing stays mounted
    folder = tempfile.mkdtemp(prefix="hoy-power.", dir=os.environ.get("HOY_TEST_DIR") or "/var/tmp")
    began, rig, outage = time.monotonic(), None, 0.0
    print(f"power: {o.cuts} cuts, --seed {o.seed}", flush=True)
    try:
        rig = Rig(folder, o.seed, o.driver)
        if o.no_sync:
            rig.engine.env["LD_PRELOAD"] = without_sync(folder)
        rig.disk.attach()
        rig.engine.start()
        for n in range(1, o.cuts + 1):
            worked, recovered, bad = rig.cut(n, o.fsck)
            outage += recovered
            if bad:
                print(rig.engine.words()[-2000:], flush=True)
                if o.no_sync or rig.engine.proc.poll() is not None:
                    break
            if n % 20 == 0:
                print(f"power: {n} cuts, {rig.ops} operations, {time.monotonic() - began:.0f} s", flush=True)
    except Unable as e:
        print(f"power: skipped: {e}")
        return 77
    finally:
        if rig:
            rig.close()
        shutil.rmtree(folder, ignore_errors=True)
    seconds = time.monotonic() - began
    print(f"power: {n} cuts ({seconds / n:.2f} s each, {outage / n:.2f} s of it from the cut to the last check), {rig.ops} operations, "
          f"{rig.gone} of {rig.kept + rig.gone} unflushed sectors lost, {len(rig.failures)} failures, driver {o.driver}; "
          f"{rig.resumed} times pulls were finished, with {rig.refetched >> 10} KiB more; cut in the middle of: "
          + ", ".join(f"{word or 'nothing'} {n}" for word, n in rig.during.most_common())
          + (f"; not there yet: {', '.join(sorted(rig.absent))}" if rig.absent else ""))
    if o.no_sync:
        print("power: the missing fsyncs were " + ("found out" if rig.failures else "NOT noticed"))
        return 0 if rig.failures else 1
    return 1 if rig.failures else 0


if __name__ == "__main__":
    sys.exit(main())
