"""What hoyd has, beside what it must have."""
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
import time

import truth
from engine import REGISTRY, Failed
from work import ANY

DAMAGE = re.compile(r"damaged|layers are gone|cannot be read|malformed|corrupt", re.I)
WHOLE_TREES = ("vfs", "btrfs")


def records(data, driver):
    """hoy.db as it is on disk now: (chain id -> layer's document, [containers' documents])."""
    suffix = "" if driver == "overlay2" else "_" + driver.replace("-", "_")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("hoy.db", "hoy.db-wal"):
            if os.path.exists(f"{data}/{name}"):
                shutil.copy(f"{data}/{name}", folder)
        db = sqlite3.connect(f"{folder}/hoy.db")
        layers = {key: json.loads(doc) for key, doc in db.execute(f"SELECT key, doc FROM layers{suffix}")}
        containers = [json.loads(doc) for _, doc in db.execute("SELECT key, doc FROM containers")]
        db.close()
    return layers, containers


def chains(diff_ids):
    out = []
    for d in diff_ids:
        out.append("sha256:" + hashlib.sha256(f"{out[-1]} {d}".encode()).hexdigest() if out else d)
    return out


class Seen:
    """Everything that one hoyd has."""

    def __init__(self, engine):
        self.names, self.images, self.containers = {}, {}, {}  # name -> image id; image id -> diff ids; name -> inspect
        self.layers, rows = records(engine.data, engine.driver)

        def get(path, **query):
            answer = engine.api.get(path, **query)
            if answer.status != 200:
                raise Failed(f"GET {path}: {answer.status} {answer.body[:300]!r}")
            return answer.json

        for row in get("/images/json", all=1):
            self.images[row["Id"]] = get(f"/images/{row['Id']}/json")["RootFS"].get("Layers") or []
            self.names.update({t: row["Id"] for t in row["RepoTags"] or [] if t != "<none>:<none>"})
        for row in get("/containers/json", all=1):
            c = get(f"/containers/{row['Id']}/json")
            self.containers[c["Name"][1:]] = c
        self.volumes = {v["Name"] for v in get("/volumes")["Volumes"] or []}
        self.rw = {r["Id"]: r["RWLayer"] for r in rows if r.get("RWLayer")}


class Checker:
    def __init__(self, engine, material):
        self.engine, self.known = engine, dict(material.layers)  # diff id -> entries
        self.mountpoint = os.path.join(engine.folder, "layer")
        os.makedirs(self.mountpoint, exist_ok=True)

    def everything(self, seen):
        """Sentences: what is not as promised, whatever was under way."""
        out = [f"hoyd says: {line}" for line in self.engine.words().splitlines() if DAMAGE.search(line)]
        out += self.bytes(seen)
        out += self.containers(seen)
        out += [f"volume {v} has no folder" for v in seen.volumes if not os.path.isdir(f"{self.engine.data}/volumes/{v}/_data")]
        return out + self.owned(seen) + self.partials()

    # ---- layers ----
    def bytes(self, seen):
        out, checked = [], {}
        for image, diff_ids in seen.images.items():
            if any(d not in self.known for d in diff_ids):
                try:
                    self.learn(image)
                except (AssertionError, Failed) as e:
                    out.append(f"image {image} cannot be saved: {e}")
                    continue
            below = {}
            for diff_id, chain in zip(diff_ids, chains(diff_ids)):
                if chain not in checked:
                    row, rows = seen.layers.get(chain), self.known[diff_id]
                    wanted = truth.on_top(below, rows) if self.engine.driver in WHOLE_TREES else truth.alone(rows)
                    checked[chain] = wanted, self.differences(row["name"], wanted) if row else ["it has no record"]
                below, wrong = checked[chain]
                if wrong:
                    out.append(f"image {image}, layer {diff_id}: {len(wrong)} differences, {wrong[:3]}")
        return out

    def learn(self, image):
        """The layers of an image that nobody knew before (commit) by what save gives: its digests must be right."""
        answer = self.engine.api.get(f"/images/{image}/get", timeout=120)
        if answer.status != 200:
            raise Failed(f"{answer.status} {answer.body[:300]!r}")
        for diff_id, tar in truth.saved(answer.body).items():
            self.known.setdefault(diff_id, truth.entries(tar))

    def differences(self, name, wanted):
        folder = os.path.join(self.engine.data, self.engine.layers, name, "diff")
        if self.engine.driver != "erofs":
            return truth.differences(folder, wanted)
        try:
            subprocess.run(["mount", "-t", "erofs", "-o", "ro,loop", f"{folder}/layer.erofs", self.mountpoint], check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as e:
            return [f"layer.erofs cannot be mounted: {e.stderr.strip()}"]
        try:
            return truth.differences(self.mountpoint, wanted)
        finally:
            subprocess.run(["umount", self.mountpoint], check=True)

    # ---- the rest ----
    def containers(self, seen):
        out = []
        for c in seen.containers.values():
            for part in ("diff",) if self.engine.driver in WHOLE_TREES else ("diff", "work"):
                if not os.path.isdir(os.path.join(self.engine.data, self.engine.layers, seen.rw.get(c["Id"], "nowhere"), part)):
                    out.append(f"container {c['Name']} has no {part}")
        return out

    def owned(self, seen):
        """Deleting happens in the background: it may take a moment."""
        used = {c for diff_ids in seen.images.values() for c in chains(diff_ids)}
        now = time.time_ns()
        out = [f"layer {c} has no owner" for c, row in seen.layers.items() if c not in used and row.get("lease", 0) < now]
        rights = {self.engine.layers: {"init", *seen.rw.values(), *(row["name"] for row in seen.layers.values())}, "tmp": set(),
                  "docker/containers": {c["Id"] for c in seen.containers.values()}, "volumes": seen.volumes | {".new", ".gone"},
                  "volumes/.new": set(), "volumes/.gone": set(),
                  "blobs/sha256": {b["digest"][7:] for row in seen.layers.values() for b in row.get("blobs", ())}}
        end = time.monotonic() + 5
        while True:
            left = {}
            for folder, names in rights.items():
                path = os.path.join(self.engine.data, folder)
                there = {n for n in os.listdir(path) if os.path.isdir(os.path.join(path, n)) or folder != "volumes"} if os.path.isdir(path) else set()
                if there - names:
                    left[folder] = sorted(there - names)[:5]
            if not left or time.monotonic() > end:
                return out + [f"left in {folder}/, owned by nobody: {names}" for folder, names in left.items()]
            time.sleep(0.02)

    def partials(self, unfinished=True):
        """Unfinished downloads are no longer than what the registry sent."""
        folder, out = os.path.join(self.engine.data, "partial"), []
        remote = self.engine.remote
        for name in os.listdir(folder) if remote else ():
            size, sent = os.path.getsize(os.path.join(folder, name)), remote.sent.get(f"sha256:{name}", -1)
            if size > sent or not unfinished:
                out.append(f"partial/{name} has {size} bytes, of {sent} that were sent" + ("" if unfinished else "; every pull is finished"))
        return out

    def promises(self, number, client, seen):
        """What this client was promised. Returns (sentences, what it finds)."""
        out, found = [], {}
        found.update({("image", n): i for n, i in seen.names.items() if n.startswith((f"power/{number}:", f"{REGISTRY}/power/{number}:"))})
        found.update({("container", n): True for n in seen.containers if n.startswith(f"power-{number}-")})
        found.update({("volume", n): True for n in seen.volumes if n.startswith(f"power-{number}-")})

        def fits(value, wanted):
            if wanted == ANY:
                return value is not None
            if isinstance(wanted, tuple) and value is not None:
                return seen.images[value] == wanted[1]
            return value == wanted

        for key in {*found, *client.known, *client.open}:
            value, allowed = found.get(key), [client.known.get(key)]
            if key in client.open:
                allowed.append(client.open[key])
            if not any(fits(value, a) for a in allowed):
                out.append(f"{key[0]} {key[1]} is {value} instead of {' or '.join(map(str, allowed))}")
        return out, found
