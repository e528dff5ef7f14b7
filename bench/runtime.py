#!/usr/bin/env python3
"""hoy-runtime beside runc and crun: `run` of a static `true` with a Docker-like config.json.

Each round runs every runtime once, so that the machine's moods hit all alike; what counts are the ratios of the medians. CPU is
the user and system time of the runtime and all its children, from rusage. Everything happens in a private mount namespace; there
the unified hierarchy of a hybrid machine is unmounted, because crun refuses to start with it.

    bench/runtime.py [--rounds 60] [--json FILE] [--build build]
"""
import argparse
import ctypes
import glob
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RECORDED = os.path.join(TOP, "src/plan/corpus/spec/docker-default.json")  # what dockerd 28.5 writes


def private_mounts():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x00020000):
        sys.exit("unshare: needs root")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    if os.path.ismount("/sys/fs/cgroup/unified"):
        subprocess.run(["umount", "/sys/fs/cgroup/unified"], check=True)


def make_bundle(folder):
    rootfs = os.path.join(folder, "rootfs")
    for d in ("bin", "proc", "sys", "dev", "etc", "tmp"):
        os.makedirs(os.path.join(rootfs, d))
    shutil.copy("/bin/busybox", os.path.join(rootfs, "bin/true"))
    spec = json.load(open(RECORDED))
    spec["root"] = {"path": "rootfs"}
    spec["process"]["args"] = ["/bin/true"]
    spec["mounts"] = [m for m in spec["mounts"] if m["type"] != "bind"]
    spec["ociVersion"] = "1.0.2"
    spec["linux"]["sysctl"] = {}
    spec["linux"]["cgroupsPath"] = "/hoy-bench/c"
    json.dump(spec, open(os.path.join(folder, "config.json"), "w"))


def once(command, folder):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{command}: {done.returncode}: {done.stderr.decode()}")
    return wall * 1e3, (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1e3


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rounds", type=int, default=60)
    p.add_argument("--json")
    p.add_argument("--build", default=os.path.join(TOP, "build"))
    args = p.parse_args()
    private_mounts()
    programs = {"hoy-runtime": os.path.join(args.build, "programs/hoy-runtime"), "runc": shutil.which("runc"), "crun": shutil.which("crun")}
    programs = {k: v for k, v in programs.items() if v and os.path.exists(v)}
    folder = tempfile.mkdtemp(prefix="hoy-bench-")
    results = {name: {"wall_ms": [], "cpu_ms": []} for name in programs}
    try:
        make_bundle(folder)
        for i in range(args.rounds + 3):
            for name, program in programs.items():
                wall, cpu = once([program, "--root", os.path.join(folder, name), "run", f"c{i}"], folder)
                if i >= 3:  # the first ones warm the caches
                    results[name]["wall_ms"].append(wall)
                    results[name]["cpu_ms"].append(cpu)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        # crun leaves plain folders where the unified hierarchy was
        shutil.rmtree("/sys/fs/cgroup/unified/hoy-bench", ignore_errors=True)
        for cgroup in glob.glob("/sys/fs/cgroup/*/hoy-bench"):
            os.rmdir(cgroup)
    ours = {k: statistics.median(v) for k, v in results["hoy-runtime"].items()}
    table = {}
    print(f"{'runtime':14}{'wall ms':>10}{'x':>7}{'cpu ms':>10}{'x':>7}")
    for name, r in results.items():
        m = {k: statistics.median(v) for k, v in r.items()}
        table[name] = {**m, "wall_ratio": m["wall_ms"] / ours["wall_ms"], "cpu_ratio": m["cpu_ms"] / ours["cpu_ms"]}
        print(f"{name:14}{m['wall_ms']:10.2f}{table[name]['wall_ratio']:7.2f}{m['cpu_ms']:10.2f}{table[name]['cpu_ratio']:7.2f}")
    if args.json:
        json.dump({"rounds": args.rounds, "runtimes": table}, open(args.json, "w"), indent=1)


if __name__ == "__main__":
    main()
