"""Are Hoy's answers a real dockerd's answers? The scenarios of scenarios.py are sent, as raw API requests, to hoyd and to dockerd;
ids, times and addresses become words; what then differs is shown, unless allowed.tsv says why it may differ.

    compare.py run [WORDS]      hoyd (made from HOY_BUILD) beside recorded/*.json; with HOY_TEST_DOCKER_HOST set: beside that dockerd, live
    compare.py record [WORDS]   ask the dockerd at HOY_TEST_DOCKER_HOST and write recorded/*.json
WORDS choose scenarios whose names contain one of them. HOY_COMPARE_HOST names the socket of a hoyd that runs already.
"""
import fnmatch
import http.client
import json
import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import scenarios  # noqa: E402
from harness import images  # noqa: E402
from harness.api import Api  # noqa: E402

RECORDED = os.path.join(HERE, "recorded")
ALLOWED = os.path.join(HERE, "allowed.tsv")

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
DURATION = re.compile(r"\b(\d+|About an?|Less than a) (seconds?|minutes?|hours?)\b")
NEVER = "0001-01-01T00:00:00Z"
WORDS = [
    (re.compile(r"\b[0-9a-f]{64}\b"), "<id>"),
    (re.compile(r"\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{12}\b"), "<short id>"),
    (re.compile(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b"), "<mac>"),
    (re.compile(r"\b172\.(?:1[6-9]|2\d|3[01])\.\d+\.\d+\b"), "<ip>"),
    (re.compile(r"/(?:var|run|tmp)/[^\s\"':]*?/(?=docker/containers/|containers/<|volumes/|overlay2/|layers/)"), "<root>/"),
    (re.compile(r"/[^\s\"']*/docker-import-\d+/"), "<tmp>/"),
    (re.compile(r"<root>/docker/containers/"), "<root>/containers/"),
    # how Go's JSON decoder names a member depends on the release that dockerd was built with
    (re.compile(r"Go struct field \w*\.(\S*)"), lambda m: "Go struct field ." + m[1].replace("~1", "/")),
    (re.compile(r"(invalid character '.*' in string)$"), r"\1 literal"),
]
NUMBERS = {"Pid", "Created", "time", "timeNano", "Size", "SharedSize", "SizeRw", "SizeRootFs", "VirtualSize", "size", "CreatedAt"}
FOLDERS = {"LowerDir", "MergedDir", "UpperDir", "WorkDir", "Mountpoint", "SandboxKey"}
DROPPED_HEADERS = {"Date", "Content-Length", "Server", "Transfer-Encoding", "Connection"}


class Normaliser:
    """Words for what no two engines can have in common. `names` are the ids that this scenario got, by the name it gave them."""

    def __init__(self, names, prefix, machine=""):
        self.names = names
        self.machine = machine
        self.prefix = prefix

    def text(self, s):
        for name, value in self.names.items():
            if isinstance(value, str) and len(value) >= 12:
                s = s.replace(value, f"<{name}>")
                if len(value) == 64:
                    s = s.replace(value[:12], f"<short {name}>")
        s = TIME.sub(lambda m: m[0] if m[0] == NEVER else "<time>", s)
        for pattern, word in WORDS:
            s = pattern.sub(word, s)
        return s.replace(self.prefix, "~")

    def value(self, v, key=""):
        if isinstance(v, dict):
            return {self.text(k): self.value(v[k], k) for k in v}
        if isinstance(v, list):
            out = [self.value(x) for x in v]
            return sorted(out, key=lambda x: json.dumps(x, sort_keys=True)) if key in scenarios.UNORDERED else out
        if key in ("HostPort", "PublicPort") and str(v).isdigit() and int(v) >= 32768:
            return "<port>"
        if key == "Hostname" and v and v == self.machine:
            return "<machine>"
        if key == "execDuration":
            return "<seconds>"
        if key == "Status":
            return DURATION.sub("<duration>", v)
        if isinstance(v, str):
            return "<folder>" if key in FOLDERS and v else self.text(v)
        if key in NUMBERS and not isinstance(v, bool) and isinstance(v, (int, float)) and v > 0:
            return f"<{key}>"
        return v


def shape(v):
    """Only which keys there are and of what kind."""
    if isinstance(v, dict):
        return {k: shape(x) for k, x in v.items()}
    if isinstance(v, list):
        return [shape(x) for x in v[:1]]
    return v if v is None else f"<{type(v).__name__}>"


def body_of(answer):
    """JSON, several JSON documents, or text."""
    text = answer.body.decode("utf-8", "replace")
    decoder, out, at = json.JSONDecoder(), [], 0
    if not text:
        return None
    try:
        while at < len(text):
            value, at = decoder.raw_decode(text, at)
            out.append(value)
            while at < len(text) and text[at] in "\r\n":
                at += 1
    except ValueError:
        return text
    return out[0] if len(out) == 1 else out


class Side:
    """One engine, and what the scenarios left in it."""

    def __init__(self, sock):
        self.api = Api(sock, version="v1.51")
        self.prefix = f"hoycmp{os.getpid()}-"
        self.machine = self.api.get("/info").json["Name"]

    def fill(self, v, names):
        if isinstance(v, str):
            v = v.replace("~", self.prefix)
            return re.sub(r"\$\{(\w+)(?::(\d+))?\}", lambda m: str(names[m[1]])[:int(m[2]) if m[2] else None], v)
        if isinstance(v, list):
            return [self.fill(x, names) for x in v]
        if isinstance(v, dict):
            return {self.fill(k, names): self.fill(x, names) for k, x in v.items()}
        return v

    def load_images(self):
        for tar in scenarios.image_archives():
            answer = self.api.post("/images/load", tar, headers={"Content-Type": "application/x-tar"}, timeout=120)
            assert answer.status == 200 and b"errorDetail" not in answer.body, answer.body

    def ask(self, step, names):
        body = step.body() if callable(step.body) else self.fill(step.body, names)
        try:
            return self.api.call(step.method, self.fill(step.path, names), body, headers=step.headers, version=step.version, timeout=90)
        except (http.client.HTTPException, OSError) as e:
            class Broken:
                status, headers, body = 0, {}, f"{type(e).__name__}: {e}".encode()
            return Broken

    def play(self, scenario):
        names = {"start": f"{time.time():.9f}"}  # not a whole second: the end of the scenario before lies in it
        out = []
        for step in scenario.steps:
            names["now"] = f"{time.time():.9f}"
            if step.method == "SLEEP":
                time.sleep(step.body)
                continue
            answer = self.ask(step, names)
            body = body_of(answer)
            if step.save and isinstance(body, dict):
                names[step.save] = body.get("Id") or body.get("Name") or ""
            elif step.save:
                names[step.save] = ""
            if step.hidden:
                continue
            normal = Normaliser(names, self.prefix, self.machine)
            body = normal.value(step.pick(body) if step.pick else body, "top" if step.unordered else "")
            row = {"request": f"{step.method} {step.version + ' ' if step.version is not None else ''}{step.label or step.path}", "status": answer.status}
            if step.with_headers:
                row["headers"] = {k: normal.text(v) for k, v in sorted(answer.headers.items()) if k.title() not in DROPPED_HEADERS}
            row["body"] = shape(body) if step.shape else body
            out.append(row)
        self.clean()
        return out

    def clean(self):
        everything = self.api.get("/containers/json", all=1).json
        for c in everything:
            if any(self.prefix in n for n in c["Names"]) or c["Image"].startswith("hoycmp"):
                self.api.delete(f"/containers/{c['Id']}", force=1, v=1)
        for v in self.api.get("/volumes").json["Volumes"] or []:
            if v["Name"].startswith(self.prefix):
                self.api.delete(f"/volumes/{v['Name']}", force=1)
        if any(self.api.get(f"/images/{i}/json").status != 200 for i in (scenarios.BOX, scenarios.RICH)):
            self.load_images()  # a scenario that went wrong must not spoil the next


def flat(v, at=""):
    """{path: leaf}; an empty list or object is a leaf, so that null, [], {} and absence stay four things."""
    if isinstance(v, dict) and v:
        return {p: x for k, y in v.items() for p, x in flat(y, f"{at}.{k}").items()}
    if isinstance(v, list) and v:
        return {p: x for i, y in enumerate(v) for p, x in flat(y, f"{at}[{i}]").items()}
    return {at: v}


class Allowed:
    """allowed.tsv: scenario, request, path (each a pattern), and the reason."""

    def __init__(self):
        with open(ALLOWED, encoding="utf-8") as f:
            self.rows = [line.rstrip("\n").split("\t") for line in f if line.strip() and not line.startswith("#")]
        assert all(len(r) == 4 and r[3] for r in self.rows), "allowed.tsv: four columns, the last is a reason"
        self.used = set()

    def covers(self, scenario, request, path):
        for i, (s, r, p, _) in enumerate(self.rows):
            if fnmatch.fnmatchcase(scenario, s) and fnmatch.fnmatchcase(request, r) and fnmatch.fnmatchcase(path, p.replace("[", "[[]")):
                self.used.add(i)
                return True
        return False


def same_length(a, b):
    """Lists of different lengths become one leaf each: their members cannot be told apart."""
    if isinstance(a, dict) and isinstance(b, dict):
        for k in a.keys() & b.keys():
            a[k], b[k] = same_length(a[k], b[k])
    elif isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return json.dumps(a), json.dumps(b)
        pairs = [same_length(x, y) for x, y in zip(a, b)]
        return [x for x, _ in pairs], [y for _, y in pairs]
    elif isinstance(a, (list, dict)) or isinstance(b, (list, dict)):
        return tuple(json.dumps(x) if x else x for x in (a, b))
    return a, b


def differences(scenario, ours, theirs, allowed):
    """Lines that say what is not equal."""
    out = []
    for i in range(max(len(ours), len(theirs))):
        a, b = (rows[i] if i < len(rows) else {} for rows in (ours, theirs))
        request = (b or a)["request"]
        a, b = same_length(dict(a), dict(b))
        x, y = ({p: v for p, v in flat(r).items() if p != ".request"} for r in (a, b))
        if a.get("status") != b.get("status"):  # two different outcomes: their words say it all
            x, y = ({p: v for p, v in r.items() if p in (".status", ".body.message", ".body")} for r in (x, y))
        said = False
        for path in sorted({**x, **y}):
            if x.get(path, "<absent>") == y.get(path, "<absent>") or allowed.covers(scenario, request, path):
                continue
            if not said:
                out.append(f"  {request}")
                said = True
            out.append(f"    {path}\n      dockerd: {json.dumps(y.get(path, '<absent>'))[:600]}\n      hoyd:    {json.dumps(x.get(path, '<absent>'))[:600]}")
    return out


def known():
    """Scenarios whose answers still differ, to be closed one by one: differing.txt."""
    with open(os.path.join(HERE, "differing.txt"), encoding="utf-8") as f:
        return {line.strip() for line in f if line.strip() and not line.startswith("#")}


def recorded(group):
    path = os.path.join(RECORDED, f"{group}.json")
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def chosen(words):
    return [s for s in scenarios.TABLE if not words or any(w in s.name for w in words)]


def record(words):
    side = Side(os.environ["HOY_TEST_DOCKER_HOST"].removeprefix("unix://"))
    side.load_images()
    groups = {}
    for s in chosen(words):
        group = groups.setdefault(s.group, recorded(s.group) if words else {})
        group[s.name] = side.play(s)
        print(s.name, flush=True)
    for name, group in groups.items():
        with open(os.path.join(RECORDED, f"{name}.json"), "w", encoding="utf-8") as f:
            json.dump(group, f, indent=1, sort_keys=True)
            f.write("\n")
    return 0


def run(words):
    live = os.environ.get("HOY_TEST_DOCKER_HOST")
    engine = None
    theirs = Side(live.removeprefix("unix://")) if live else None
    if os.environ.get("HOY_COMPARE_HOST"):
        ours = Side(os.environ["HOY_COMPARE_HOST"].removeprefix("unix://"))
    else:
        from harness.engine import Hoyd
        os.environ.pop("HOY_TEST_DOCKER_HOST", None)
        engine = Hoyd().start()
        ours = Side(engine.sock)
    allowed, bad, n = Allowed(), 0, 0
    try:
        for side in filter(None, (ours, theirs)):
            side.load_images()
        for s in chosen(words):
            want = theirs.play(s) if theirs else recorded(s.group).get(s.name)
            lines = ["  not recorded"] if want is None else differences(s.name, json.loads(json.dumps(ours.play(s))), want, allowed)
            n += 1
            if lines:
                bad += 1
                print(s.name, *lines, sep="\n", flush=True)
    finally:
        if engine:
            engine.close()
    if not words:
        for i, row in enumerate(allowed.rows):
            if i not in allowed.used:
                print(f"allowed.tsv: never needed: {' '.join(row[:3])}")
    print(f"compare: {n} scenarios, {bad} differ")
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in ("run", "record"):
        sys.exit(__doc__)
    sys.exit(record(sys.argv[2:]) if sys.argv[1] == "record" else run(sys.argv[2:]))
