#!/usr/bin/env python3
"""power.py [CUTS] - cuts the power of a disk under hoyd again and again, and looks at what the next hoyd finds.

hoyd works in namespaces of its own with its data root on ext4 on a disk (powerdisk.c) that forgets what was not flushed. Threads load,
import, tag, remove, prune, create, run; at a request to the disk chosen by lot the power goes: hoyd and all its children are killed, a
part of the unflushed sectors is lost, the journal is replayed, and a new hoyd starts. Then must hold:
  - hoyd starts, and says of nothing that it is damaged;
  - what was acknowledged is there; what was under way is there or not, nothing in between;
  - each listed image is its layers' tars bit for bit: names, bytes, modes, owners, times, attributes;
  - nothing that no record owns is left in layers/, tmp/, docker/containers/, volumes/.

  --seed N     choose other cuts (default: from the clock, said at the start)
  --no-sync    hoyd's own fsyncs do nothing: the rig itself is under test, and must find losses
  --fsck       check the file system itself, too, between the cuts
A new operation is one method do_x of Client and one word in Client.WEIGHTS.
"""
import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from urllib.parse import urlencode

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import truth  # noqa: E402
from disk import Disk, Unable  # noqa: E402
from harness import images  # noqa: E402
from harness.api import Api  # noqa: E402
from harness.engine import ID, container_cgroups, program  # noqa: E402

THREADS = 3
DAMAGE = re.compile(r"damaged|layers are gone|cannot be read|malformed|corrupt", re.I)


class Failed(Exception):
    pass


class Engine:
    """hoyd as process 1 of namespaces that die with it."""

    def __init__(self, folder, disk):
        self.folder, self.disk, self.proc = folder, disk, None
        self.log, self.sock = os.path.join(folder, "hoyd.log"), os.path.join(folder, "hoy.sock")
        self.api = Api(self.sock)
        self.data, self.env = os.path.join(disk.root, "hoy"), dict(os.environ)

    def start(self):
        self.run = os.path.join(self.folder, "run")  # as /run: it does not outlive the machine
        shutil.rmtree(self.run, ignore_errors=True)
        self.said = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        argv = [program("hoyd"), "--programs", os.path.dirname(program("hoyd")), "--data-root", self.data, "--exec-root", self.run, "-H", f"unix://{self.sock}"]
        with open(self.log, "ab") as log:
            self.proc = subprocess.Popen(["unshare", "-n", "-m", "-p", "-f", "--mount-proc", "--propagation", "private", "--kill-child", "sh", "-c",
                                          'ip link set lo up; exec "$@"', "sh", *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env)
        end = time.monotonic() + 60
        while True:
            try:
                if self.api.get("/_ping", version="").status == 200:
                    return
            except OSError:
                pass
            if self.proc.poll() is not None or time.monotonic() > end:
                raise Failed(f"hoyd does not start: {self.words()}")
            time.sleep(0.005)

    def words(self):
        """What this hoyd has said."""
        with open(self.log, errors="replace") as f:
            f.seek(self.said)
            return f.read()

    def kill(self):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(signal.SIGKILL)  # the namespace's process 1 goes with it, and everything with that
            self.proc.wait()


class Material:
    """What is loaded and imported, and the truth about it."""

    def __init__(self):
        tars = [truth.layer(0, 30, busybox=True), truth.layer(1, 80), truth.layer(2, 40, big=1 << 20, deletes=("l1/d0", "l0/d20/f21")),
                truth.layer(3, 120), truth.layer(4, 10, big=3 << 20)]
        self.layers = {truth.digest(t): truth.of_tar(t) for t in tars}
        self.stacks = [(0,), (0, 1), (0, 1, 2), (0, 3), (0, 1, 4)]
        self.tars = tars
        self.imports = [0, 3]

    def archive(self, stack, tag):
        return images.archive(*[self.tars[i] for i in self.stacks[stack]], config={"Cmd": ["/bin/busybox", "true"], "Labels": {"stack": str(stack)}}, tag=tag)


class Client(threading.Thread):
    """Does one thing after the other. `known` is what must be there: kind and name -> value (None: absent); `open` what is under
    way: the same keys -> the other value that may be found. A value is an image id, ("layers", [diff ids]) or True."""

    WEIGHTS = {"load": 6, "import": 3, "tag": 4, "untag": 4, "prune": 1, "create": 3, "remove": 3, "run": 1, "volume": 1, "no_volume": 1, "sync": 1}

    def __init__(self, number, engine, material, known, rng):
        super().__init__(daemon=True)
        self.number, self.engine, self.api, self.material = number, engine, engine.api, material
        self.known, self.open, self.rng = known, {}, rng
        self.stop, self.problem, self.done, self.absent, self.ids = threading.Event(), None, 0, set(), set()

    def run(self):
        words, weights = list(self.WEIGHTS), list(self.WEIGHTS.values())
        while not self.stop.is_set() and not self.problem:
            word = self.rng.choices(words, weights)[0]
            try:
                if word not in self.absent:
                    getattr(self, f"do_{word}")()
                    self.done += 1
            except Exception as e:  # the power went: whatever was under way is undecided
                if not self.engine.disk.down.wait(2):
                    self.problem = f"{word}: {e!r}"
                return

    def ask(self, word, changes, method, path, body=None, refused=(404, 409), **query):
        """One request that makes `changes` true when it is answered with success, and nothing when it is refused."""
        self.open = changes
        answer = self.api.call(method, path, body, timeout=120, **query)
        if answer.status == 501:
            self.absent.add(word)
        elif answer.status < 400 and b'"errorDetail"' not in answer.body:
            self.known.update(changes)
        elif answer.status not in refused:
            raise Failed(f"{method} {path}: {answer.status} {answer.body[:500]!r}")
        self.open = {}
        return answer

    def name(self, i=None):
        return f"power/{self.number}:v{self.rng.randrange(4) if i is None else i}"

    def some(self, kind):
        have = [k for k, v in self.known.items() if k[0] == kind and v is not None]
        return self.rng.choice(have)[1] if have else None

    def do_load(self):
        name = self.name()
        tar, image = self.material.archive(self.rng.randrange(len(self.material.stacks)), name)
        self.ask("load", {("image", name): image}, "POST", "/images/load", tar)

    def do_import(self):
        name = self.name()
        repo, tag = name.split(":")
        data = self.material.tars[self.rng.choice(self.material.imports)]
        query = urlencode({"fromSrc": "-", "repo": repo, "tag": tag})
        self.ask("import", {("image", name): ("layers", [truth.digest(data)])}, "POST", f"/images/create?{query}", data)

    def do_tag(self):
        source, name = self.some("image"), self.name()
        if source:
            repo, tag = name.split(":")
            self.ask("tag", {("image", name): self.known["image", source]}, "POST", f"/images/{source}/tag", repo=repo, tag=tag)

    def do_untag(self):
        name = self.some("image")
        if name:
            self.ask("untag", {("image", name): None}, "DELETE", f"/images/{name}")

    def do_prune(self):
        self.ask("prune", {}, "POST", "/images/prune")

    def do_create(self):
        image, name = self.some("image"), f"power-{self.number}-{self.rng.randrange(3)}"
        if image:
            answer = self.ask("create", {("container", name): True}, "POST", "/containers/create", {"Image": image, "Cmd": ["/bin/busybox", "true"]}, name=name)
            self.ids.add(answer.json.get("Id"))

    def do_remove(self):
        name = self.some("container")
        if name:
            self.ask("remove", {("container", name): None}, "DELETE", f"/containers/{name}", force=1)

    def do_run(self):
        name = self.some("container")
        if name:
            self.ask("run", {}, "POST", f"/containers/{name}/start", refused=(304, 400, 404, 409, 500))
            self.ask("run", {}, "POST", f"/containers/{name}/wait")

    def do_volume(self):
        name = f"power-{self.number}-{self.rng.randrange(2)}"
        self.ask("volume", {("volume", name): True}, "POST", "/volumes/create", {"Name": name})

    def do_no_volume(self):
        name = self.some("volume")
        if name:
            self.ask("no_volume", {("volume", name): None}, "DELETE", f"/volumes/{name}")

    def do_sync(self):
        """As the kernel does every few seconds by itself: what is half done becomes durable."""
        subprocess.run(["sync", "-f", self.engine.disk.root], check=False)


class Rig:
    def __init__(self, folder, seed):
        self.folder, self.rng, self.material = folder, random.Random(seed), Material()
        self.disk = Disk(folder)
        self.engine = Engine(folder, self.disk)
        self.known = [{} for _ in range(THREADS)]
        self.failures, self.ops, self.kept, self.gone, self.absent = [], 0, 0, 0, set()
        self.ids = set()

    # ---- what is there ----
    def get(self, path, **query):
        answer = self.engine.api.get(path, **query)
        if answer.status != 200:
            raise Failed(f"GET {path}: {answer.status} {answer.body[:300]!r}")
        return answer.json

    def observe(self):
        """(names, images, containers, volumes, owned names in layers/)"""
        names, all_images, owned = {}, {}, {"init"}
        for row in self.get("/images/json", all=1):
            image = self.get(f"/images/{row['Id']}/json")
            data = image["GraphDriver"]["Data"] or {}
            folders = [data["UpperDir"], *filter(None, data.get("LowerDir", "").split(":"))] if data else []
            all_images[row["Id"]] = (image["RootFS"].get("Layers") or [], folders[::-1])
            owned.update(os.path.basename(os.path.dirname(f)) for f in folders)
            names.update({t: row["Id"] for t in row["RepoTags"] or [] if t != "<none>:<none>"})
        containers = {}
        for row in self.get("/containers/json", all=1):
            c = self.get(f"/containers/{row['Id']}/json")
            containers[c["Name"][1:]] = c
            owned.add(os.path.basename(os.path.dirname(c["GraphDriver"]["Data"]["UpperDir"])))
            owned.update(os.path.basename(os.path.dirname(f)) for f in c["GraphDriver"]["Data"]["LowerDir"].split(":"))
        volumes = {v["Name"] for v in self.get("/volumes")["Volumes"] or []}
        return names, all_images, containers, volumes, owned

    def verify(self):
        """Sentences: what is not as promised. The model goes on from what is there."""
        out = [f"hoyd says: {line}" for line in self.engine.words().splitlines() if DAMAGE.search(line)]
        names, all_images, containers, volumes, owned = self.observe()
        out += self.verify_bytes(all_images)
        for i, client in enumerate(self.clients):
            out += self.verify_names(i, client, names, all_images, containers, volumes)
        for container in containers.values():
            for kind in ("UpperDir", "WorkDir"):
                if not os.path.isdir(container["GraphDriver"]["Data"][kind]):
                    out.append(f"container {container['Name']} has no {kind}")
        out += [f"volume {v} has no folder" for v in volumes if not os.path.isdir(f"{self.engine.data}/volumes/{v}/_data")]
        out += self.verify_owned({"layers": owned, "tmp": set(), "docker/containers": {c["Id"] for c in containers.values()}, "volumes": volumes | {".new", ".gone"},
                                  "volumes/.new": set(), "volumes/.gone": set()})
        return out

    def verify_bytes(self, all_images):
        out, checked = [], {}
        for image, (layers, folders) in all_images.items():
            if len(layers) != len(folders):
                out.append(f"image {image} has {len(layers)} layers and {len(folders)} directories")
            for layer, folder in zip(layers, folders):
                if folder not in checked:
                    wanted = self.material.layers.get(layer)
                    checked[folder] = ["nobody made this layer"] if wanted is None else truth.differences(folder, wanted)
                if checked[folder]:
                    out.append(f"image {image}, layer {layer} in {folder}: {len(checked[folder])} differences, {checked[folder][:3]}")
        return out

    def verify_names(self, number, client, names, all_images, containers, volumes):
        out, found = [], {}
        found.update({("image", n): i for n, i in names.items() if n.startswith(f"power/{number}:")})
        found.update({("container", n): True for n in containers if n.startswith(f"power-{number}-")})
        found.update({("volume", n): True for n in volumes if n.startswith(f"power-{number}-")})

        def fits(value, wanted):
            if isinstance(wanted, tuple) and value is not None:
                return all_images[value][0] == wanted[1]
            return value == wanted

        for key in {*found, *client.known, *client.open}:
            value, allowed = found.get(key), [client.known.get(key)]
            if key in client.open:
                allowed.append(client.open[key])
            if not any(fits(value, a) for a in allowed):
                out.append(f"{key[0]} {key[1]} is {value} instead of {' or '.join(map(str, allowed))}")
        self.known[number] = found
        return out

    def verify_owned(self, owned):
        """Deleting happens in the background: it may take a moment."""
        end = time.monotonic() + 5
        while True:
            left = {}
            for folder, names in owned.items():
                path = os.path.join(self.engine.data, folder)
                there = {n for n in os.listdir(path) if os.path.isdir(os.path.join(path, n)) or folder == "tmp"} if os.path.isdir(path) else set()
                if there - names:
                    left[folder] = sorted(there - names)[:5]
            if not left or time.monotonic() > end:
                return [f"left in {folder}/, owned by nobody: {names}" for folder, names in left.items()]
            time.sleep(0.02)

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
        except Failed as e:
            problems.append(str(e))
        for problem in problems:
            self.failures.append(f"cut {number} (request {requests}): {problem}")
            print(f"FAIL  {self.failures[-1]}", flush=True)
        return fell - began, time.monotonic() - fell, bool(problems)

    def close(self):
        self.engine.kill()
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
        rig = Rig(folder, o.seed)
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
          f"{rig.gone} of {rig.kept + rig.gone} unflushed sectors lost, {len(rig.failures)} failures"
          + (f"; not there yet: {', '.join(sorted(rig.absent))}" if rig.absent else ""))
    if o.no_sync:
        print("power: the missing fsyncs were " + ("found out" if rig.failures else "NOT noticed"))
        return 0 if rig.failures else 1
    return 1 if rig.failures else 0


if __name__ == "__main__":
    sys.exit(main())
