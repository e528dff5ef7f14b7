"""What exists because of an engine, counted from outside: after work is done and undone the counts are those of before."""
import os
import time


def _instance(data_root):
    h = 2166136261  # as src/daemon names the bridge, table and cgroup of an engine that is not the default one
    for byte in data_root.encode():
        h = (h ^ byte) * 16777619 & 0xffffffff
    return f"{h:08x}"


def _cgroups(instance):
    found = []
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        if f"docker-{instance}" in folder:
            found += [os.path.join(folder, n) for n in names]
        elif os.path.basename(folder) and folder.count("/") > 4:
            names.clear()  # deeper ones are others'
    return sorted(found)


def process(engine):
    """The daemon's own: descriptors, threads, and its memory in kB: what is shared with other programs (Pss counts a part of it, the
    more the fewer of them run) is left out, and so is all of it where a sanitizer keeps what was freed."""
    out = engine.machine.run("sh", "-c", f"ls -l /proc/{engine.pid}/fd; echo; ls /proc/{engine.pid}/task; echo;"
                             f"grep -q libasan /proc/{engine.pid}/maps && echo 0 0 || grep ^Anonymous: /proc/{engine.pid}/smaps_rollup").stdout
    fds, tasks, memory = out.split("\n\n")
    fds = sorted(line.split(" -> ", 1)[1] for line in fds.splitlines() if " -> " in line)
    return {"fds": len(fds), "threads": len(tasks.split())}, int(memory.split()[1]), fds


def at_rest(engine, quiet_s=2.5, timeout=30):
    """process(), once threads and descriptors have not changed for longer than an idle thread stays: earlier requests are over."""
    end = time.monotonic() + timeout
    have, since = process(engine), time.monotonic()
    while time.monotonic() < min(since + quiet_s, end):
        time.sleep(0.1)
        now = process(engine)
        if now[0] != have[0]:
            since = time.monotonic()
        have = now
    return have


def outside(engine):
    """Everything else that could be left over."""
    run = engine.machine.run
    return {
        "processes": sorted(n for _, n in engine.machine.procs().values() if n not in ("ps", "nsenter", "python3")),
        "mounts": [line.split()[1] for line in run("cat", f"/proc/{engine.pid}/mounts").stdout.splitlines()],
        "links": sorted(line.split(":")[1].split("@")[0].strip() for line in run("ip", "-o", "link").stdout.splitlines()),
        "nft": [line.strip() for line in run("nft", "list", "ruleset").stdout.splitlines() if "counter" not in line],
        "cgroups": _cgroups(_instance(f"{engine.folder}/data")),
        "files": sorted(f for f in run("find", f"{engine.folder}/data", f"{engine.folder}/exec", "-maxdepth", "4").stdout.splitlines() if "hoy.db" not in f),
    }


def settles(look, want, timeout=30):
    """Polls until look() == want; returns what it was last, for the assertion to show."""
    end = time.monotonic() + timeout
    while True:
        have = look()
        if have == want or time.monotonic() > end:
            return have
        time.sleep(0.1)


def difference(have, want):
    """What is there too much or too little, by kind."""
    out = {}
    for kind in want:
        more = [x for x in have[kind] if have[kind].count(x) > want[kind].count(x)]
        less = [x for x in want[kind] if have[kind].count(x) < want[kind].count(x)]
        if more or less:
            out[kind] = {"more": more, "less": less}
    return out
