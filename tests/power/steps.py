#!/usr/bin/env python3
"""steps.py [OPERATION...] - SIGKILL for hoyd, and for its workers, at each step of an operation on images.

A step is a system call: strace kills whoever of hoyd's threads and workers is the first to make its Nth call of one name, before the call
does anything; N grows until nobody gets there. Where hoyd died, a new one starts; where a worker did, hoyd must go on. Then as after
a power cut (check.py): every listed image is whole, nothing is left that no record owns. Then the operation is done again, and must succeed.

  --driver D   the storage driver
  --some N     only N steps, chosen by lot
  --seed N     choose others
"""
import argparse
import http.client
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

from check import Checker, Seen  # noqa: E402
from engine import REGISTRY, Engine, Failed, Remote  # noqa: E402
from work import COMMANDS, Material  # noqa: E402

CALLS = ("mkdirat", "renameat", "unlinkat", "fsync", "fdatasync", "syncfs", "pwrite64", "ftruncate", "unlink", "linkat", "symlinkat", "fsetxattr",
         "ioctl", "sendmsg", "recvmsg", "execve")
MANY = {"openat": 7, "write": 11, "read": 13, "utimensat": 9, "sendfile": 3, "pread64": 5, "getdents64": 9}  # most are the workers': every nth
NAME = "power/0:v0"


class Mortal(Engine):
    """Without a process namespace: its processes outlive it, as after a kill -9."""

    NAMESPACES = ("-n", "-m")


class Folder:
    """What Engine wants of a disk."""

    def __init__(self, root):
        self.root = root


class Steps:
    OPERATIONS = ("load", "pull", "import", "commit", "tag", "rmi", "prune", "create", "remove")

    def __init__(self, folder, driver, seed):
        os.mkdir(f"{folder}/root")
        self.material = Material()
        # one download at a time: all steps of a pull are in one thread then, and each can be reached
        self.engine = Mortal(folder, Folder(f"{folder}/root"), driver, "--max-concurrent-downloads", "1")
        self.api, self.rng = self.engine.api, random.Random(seed)
        self.engine.remote = Remote(self.material, self.rng)
        self.engine.remote.pause = 0
        self.checker = Checker(self.engine, self.material)
        self.killed, self.failures = Counter(), []
        self.archive, self.image = self.material.archive(2, NAME, "")
        self.other, _ = self.material.archive(4, NAME, "")
        self.base, _ = self.material.archive(1, "power/base:1", "")

    def must(self, method, path, body=None, ok=(200, 201, 204, 304), **query):
        answer = self.api.call(method, path, body, timeout=30, **query)
        if answer.status not in ok or b'"errorDetail"' in answer.body:
            raise Failed(f"{method} {path}: {answer.status} {answer.body[-500:]!r}")
        return answer

    # ---- before, and the operation itself ----
    def forget(self, name=NAME):
        self.must("DELETE", f"/images/{name}", ok=(200, 404), force=1)

    def before(self, operation):
        if operation in ("load", "import", "commit", "tag"):
            self.forget()
        elif operation == "pull":
            self.forget(f"{REGISTRY}/power/0:s2")
        elif operation == "rmi":
            self.must("POST", "/images/load", self.archive)
        elif operation == "prune":
            self.must("POST", "/images/load", self.archive)
            self.must("POST", "/images/load", self.other)
        elif operation == "create":
            self.must("DELETE", "/containers/made", ok=(204, 404), force=1)
        elif operation == "remove":
            self.must("POST", "/containers/create", {"Image": "power/base:1"}, ok=(201, 409), name="made")

    def act(self, operation):
        repo, tag = NAME.split(":")
        return {
            "load": lambda: self.must("POST", "/images/load", self.archive),
            "pull": lambda: self.must("POST", "/images/create", fromImage=f"{REGISTRY}/power/0", tag="s2"),
            "import": lambda: self.must("POST", f"/images/create?fromSrc=-&repo={repo}&tag={tag}", self.material.tars[3]),
            "commit": lambda: self.must("POST", "/commit", container="changed", repo=repo, tag=tag),
            "tag": lambda: self.must("POST", "/images/power/base:1/tag", repo=repo, tag=tag),
            "rmi": lambda: self.must("DELETE", f"/images/{NAME}", ok=(200, 404)),
            "prune": lambda: self.must("POST", "/images/prune"),
            "create": lambda: self.must("POST", "/containers/create", {"Image": "power/base:1"}, ok=(201, 409), name="made"),
            "remove": lambda: self.must("DELETE", "/containers/made", ok=(204, 404)),
        }[operation]()

    def after(self, operation, seen, done):
        """Sentences. done: it was answered with success; else it may have happened or not."""
        name = f"{REGISTRY}/power/0:s2" if operation == "pull" else NAME
        found = seen.names.get(name)
        right = {"load": self.image, "pull": self.engine.remote.images[2], "tag": seen.names.get("power/base:1"), "rmi": None}
        if operation in ("create", "remove"):
            if done and ("made" in seen.containers) != (operation == "create"):
                return [f"{operation} was acknowledged, and the container {'is still there' if operation == 'remove' else 'is not there'}"]
        elif operation in right:
            allowed = [right[operation]] if done else [right[operation], self.image if operation == "rmi" else None]
            if found not in allowed:
                return [f"{name} is {found} instead of {allowed}"]
        elif operation in ("import", "commit") and done and not found:
            return [f"{name} is not there"]
        return []

    # ---- one step ----
    def attach(self, call, n):
        log = os.path.join(self.engine.folder, "strace")
        tracer = subprocess.Popen(["strace", "-f", "-o", log, "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={n}", "-p", str(self.engine.proc.pid)],
                                  stderr=subprocess.PIPE, text=True)
        for line in tracer.stderr:
            if "attached" in line:
                return tracer, log
        raise Failed(f"strace: {line}")

    def step(self, operation, call, n):
        """Whom it killed: "hoyd", "worker" or None; None also when the call is never made."""
        self.before(operation)
        pid = self.engine.proc.pid
        tracer, log = self.attach(call, n)
        done = None
        try:
            self.act(operation)
            done = True
        except (OSError, Failed, ValueError, http.client.HTTPException) as e:  # half an answer
            done = repr(e)
        died = not self.engine.answers()
        if tracer.poll() is None:
            tracer.terminate()  # it lets everybody go
        try:
            tracer.wait(5)
        except subprocess.TimeoutExpired:  # it waits for somebody who is dead
            tracer.kill()
            tracer.wait()
        with open(log, errors="replace") as f:
            dead = {int(p) for p in re.findall(r"^(\d+) .*\+\+\+ killed by SIGKILL", f.read(), re.M)}
        who = "hoyd" if died else "worker" if dead - {pid} else None
        if died:
            self.engine.kill()
            self.engine.start()
        if not who and done is True:
            return None
        problems = []
        if done is not True and not who:
            problems.append(f"nobody was killed: {done}")
        try:
            seen = Seen(self.engine)
            problems += self.checker.everything(seen) + self.after(operation, seen, done is True)
            self.act(operation)
            seen = Seen(self.engine)
            problems += self.checker.owned(seen) + self.after(operation, seen, True) + self.checker.partials(unfinished=False)
            problems += [f"layer {c} is leased, and every pull is finished" for c, row in seen.layers.items() if row.get("lease")]
        except (Failed, AssertionError, OSError, http.client.HTTPException) as e:
            problems.append(str(e))
        for p in problems:
            self.failures.append(f"{operation}, {call} {n} ({who}): {p}")
            print(f"FAIL  {self.failures[-1]}", flush=True)
        self.killed[operation, who] += 1
        return who

    # ---- all of them ----
    def prepare(self):
        self.engine.start()
        self.must("POST", "/images/load", self.base)
        self.must("POST", "/containers/create", {"Image": "power/base:1", "Cmd": COMMANDS[1]}, name="changed")
        self.must("POST", "/containers/changed/start")
        self.must("POST", "/containers/changed/wait")

    def run(self, operation):
        for call in (*CALLS, *MANY):
            n, stride = 1, MANY.get(call, 1)
            while n < 400 * stride and self.step(operation, call, n):
                n += stride

    def some(self, operations, count):
        while count > 0:
            if self.step(self.rng.choice(operations), self.rng.choice(CALLS[:7] if self.rng.random() < 0.7 else tuple(MANY)), self.rng.randint(1, 12)):
                count -= 1

    def close(self):
        self.engine.kill()
        self.engine.remote.close()


def main():
    p = argparse.ArgumentParser(add_help=False)
    p.add_argument("operations", nargs="*", default=Steps.OPERATIONS)
    p.add_argument("--driver", default="overlay2")
    p.add_argument("--some", type=int, default=0)
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("-h", "--help", action="store_true")
    o = p.parse_args()
    if o.help or not set(o.operations) <= set(Steps.OPERATIONS):
        print(__doc__, "\n  operations:", *Steps.OPERATIONS)
        return not o.help
    if not shutil.which("strace"):
        print("steps: skipped: no strace")
        return 77
    if not os.environ.pop("HOY_POWER_PRIVATE", None):
        os.environ["HOY_POWER_PRIVATE"] = "1"
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable, *sys.argv])
    folder = tempfile.mkdtemp(prefix="hoy-steps.", dir=os.environ.get("HOY_TEST_DIR") or "/var/tmp")
    print(f"steps: --seed {o.seed}", flush=True)
    steps, began = Steps(folder, o.driver, o.seed), time.monotonic()
    try:
        steps.prepare()
        if o.some:
            steps.some(o.operations, o.some)
        else:
            for operation in o.operations:
                steps.run(operation)
                print(f"steps: {operation}: hoyd killed {steps.killed[operation, 'hoyd']} times, a worker {steps.killed[operation, 'worker']} times", flush=True)
    finally:
        steps.close()
        shutil.rmtree(folder, ignore_errors=True)
    total = Counter()
    for (_, who), n in steps.killed.items():
        total[who] += n
    print(f"steps: {total['hoyd']} kills of hoyd, {total['worker']} of workers, {len(steps.failures)} failures, driver {o.driver}, {time.monotonic() - began:.0f} s")
    return 1 if steps.failures else 0


if __name__ == "__main__":
    sys.exit(main())
