"""What goes on when the power goes: clients that do one thing after the other, and remember what was promised to them."""
import gzip
import random
import subprocess
import threading
import time
from urllib.parse import urlencode

import truth
from engine import REGISTRY, Failed
from harness import images

ANY = "any image"  # nobody knows its id before it is there
CHANGES = ("b=/bin/busybox; $b mkdir -p /made/a; $b seq 1 20000 >/made/a/seq; $b ln -s a /made/link; $b ln /made/a/seq /made/hard; $b rm -rf /l1/d0;"
           "$b chmod 700 /l3/d0; $b echo new >/l0/d0/f1; $b mkfifo /made/fifo; $b chown 7:8 /made/fifo")
COMMANDS = [["/bin/busybox", "true"], ["/bin/busybox", "sh", "-c", CHANGES]]


class Material:
    """What is loaded and imported, and the truth about it."""

    def __init__(self):
        tars = [truth.layer(0, 30, busybox=True), truth.layer(1, 80), truth.layer(2, 40, big=1 << 20, deletes=("l1/d0", "l0/d20/f21")),
                truth.layer(3, 120), truth.layer(4, 10, big=3 << 20)]
        self.layers = {truth.digest(t): truth.entries(t) for t in tars}  # diff id -> what is in it
        self.stacks = [(0,), (0, 1), (0, 1, 2), (0, 3), (0, 1, 4)]
        self.tars, self.packed = tars, [gzip.compress(t, 1, mtime=0) for t in tars]
        self.imports = [0, 3]

    def archive(self, stack, tag, owner):
        return images.archive(*[self.tars[i] for i in self.stacks[stack]], tag=tag,
                              config={"Cmd": ["/bin/busybox", "true"], "Labels": {"stack": str(stack), "owner": owner}})


class Client(threading.Thread):
    """Does one thing after the other. `known` is what must be there: kind and name -> value (None: absent); `open` what is under
    way: the same keys -> the other value that may be found. A value is an image id, ("layers", [diff ids]) or True."""

    WEIGHTS = {"load": 5, "pull": 5, "import": 2, "commit": 3, "tag": 4, "untag": 5, "rmi": 2, "prune": 2, "save": 1, "create": 3, "remove": 3, "run": 3,
               "export": 1, "volume": 1, "no_volume": 1, "sync": 1}

    def __init__(self, number, engine, material, known, rng):
        super().__init__(daemon=True)
        self.number, self.engine, self.api, self.material = number, engine, engine.api, material
        self.known, self.open, self.rng, self.word = known, {}, rng, None
        self.history = []  # of requests, for who has to find out
        self.stop, self.problem, self.done, self.absent, self.ids = threading.Event(), None, 0, set(), set()

    def run(self):
        words, weights = list(self.WEIGHTS), list(self.WEIGHTS.values())
        while not self.stop.is_set() and not self.problem:
            word = self.rng.choices(words, weights)[0]
            try:
                if word not in self.absent:
                    self.word = word
                    getattr(self, f"do_{word}")()
                    self.word = None
                    self.done += 1
            except Exception as e:  # the power went: whatever was under way is undecided
                if not self.engine.disk.down.wait(2):
                    self.problem = f"{word}: {e!r}"
                return

    def ask(self, word, changes, method, path, body=None, refused=(404, 409), **query):
        """One request that makes `changes` true when it is answered with success, and nothing when it is refused."""
        self.open = changes
        self.history.append(f"{time.monotonic():.3f} {word} {path} {query or ''} {changes or ''}")
        answer = self.api.call(method, path, body, timeout=120, **query)
        self.history[-1] += f" -> {answer.status} {time.monotonic():.3f} {answer.body[:150] if answer.status > 399 else ''}"
        if answer.status == 501:
            self.absent.add(word)
        elif answer.status < 400 and b'"errorDetail"' not in answer.body:
            self.known.update(changes)
            if ANY in changes.values():
                self.known.update(dict.fromkeys(changes, answer.json["Id"]))
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
        tar, image = self.material.archive(self.rng.randrange(len(self.material.stacks)), name, f"client {self.number}")
        self.ask("load", {("image", name): image}, "POST", "/images/load", tar)

    def do_pull(self, stack=None):
        stack = self.rng.randrange(len(self.material.stacks)) if stack is None else stack
        name = f"{REGISTRY}/power/{self.number}"
        self.ask("pull", {("image", f"{name}:s{stack}"): self.engine.remote.images[stack]}, "POST", "/images/create", fromImage=name, tag=f"s{stack}")

    def do_commit(self):
        container, name = self.some("container"), self.name()
        if container:
            repo, tag = name.split(":")
            self.ask("commit", {("image", name): ANY}, "POST", "/commit", refused=(404, 409, 500), container=container, repo=repo, tag=tag)

    def do_save(self):
        name = self.some("image")
        if name:
            answer = self.ask("save", {}, "GET", f"/images/{name}/get")
            if answer.status == 200:
                truth.saved(answer.body)

    def do_export(self):
        name = self.some("container")
        if name:
            answer = self.ask("export", {}, "GET", f"/containers/{name}/export", refused=(404, 409, 500, 501))
            if answer.status == 200:
                truth.names(answer.body)

    def do_rmi(self):
        """By id, what has no name any more, and gets none from others meanwhile."""
        rows = [row for row in self.api.get("/images/json", filters={"dangling": ["true"]}).json if (row["Labels"] or {}).get("owner") == f"client {self.number}"]
        if rows:
            self.ask("rmi", {}, "DELETE", f"/images/{self.rng.choice(rows)['Id']}")

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
            answer = self.ask("create", {("container", name): True}, "POST", "/containers/create", {"Image": image, "Cmd": self.rng.choice(COMMANDS)}, name=name)
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
