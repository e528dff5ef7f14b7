#!/usr/bin/env python3
"""make bench: Hoy beside Debian's docker.io, runc and crun, in one run on one machine; the ratios are what counts.

Usage: bench.py [--quick] [--only engines|runtimes] [--out DIR]
Everything happens in private mount, network and pid namespaces below one temporary folder. Writes benchmarks.md, benchmarks.json and
benchmarks.svg to DIR (docs/).
"""
import argparse
import concurrent.futures
import http.client
import io
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, HERE)

from measure import engine_cpu, machine_cpu, median, pss  # noqa: E402

CACHE = os.environ.get("HOY_CACHE") or "/var/cache/hoy-test"
HOY_BIN = os.environ.get("HOY_BIN") or os.path.join(ROOT, "build-release", "programs")
PEERS = f"{CACHE}/peers"
PATH = f"/usr/sbin:/usr/bin:/sbin:/bin:{PEERS}/usr/sbin:{PEERS}/usr/bin"


def find(name):
    path = shutil.which(name, path=PATH)
    if not path:
        sys.exit(f"bench: {name} is not installed (./run bench installs it)")
    return path


class Engine:
    def __init__(self, name, argv, folder):
        self.name = name
        self.folder = os.path.join(folder, name)
        os.makedirs(self.folder)
        self.sock = f"{self.folder}/s"
        argv = [*argv, "--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/exec", "-H", f"unix://{self.sock}", "--pidfile", f"{self.folder}/pid"]
        with open(f"{self.folder}/log", "wb") as log:
            self.proc = subprocess.Popen(["unshare", "-m", "-n", "--propagation", "private", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", *argv],
                                         stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={"PATH": PATH, "HOME": "/root"}, start_new_session=True)
        for _ in range(600):
            try:
                if self.api("GET", "/_ping")[0] == 200:
                    return
            except OSError:
                pass
            if self.proc.poll() is not None:
                break
            time.sleep(0.05)
        sys.exit(f"bench: {name} did not start:\n" + open(f"{self.folder}/log", errors="replace").read()[-2000:])

    def api(self, method, path, body=None, kind="application/json"):
        c = http.client.HTTPConnection("d", timeout=120)
        c.sock = socket.socket(socket.AF_UNIX)
        c.sock.settimeout(120)
        c.sock.connect(self.sock)
        try:
            c.request(method, path, body, {"Content-Type": kind} if body is not None else {})
            r = c.getresponse()
            return r.status, r.read()
        finally:
            c.close()

    def cli(self, *args, **kw):
        return subprocess.run([find("docker"), *args], env={"PATH": PATH, "HOME": self.folder, "DOCKER_HOST": f"unix://{self.sock}"}, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, check=True, **kw)

    def import_image(self, tar):
        status, body = self.api("POST", "/images/create?fromSrc=-&repo=bench&tag=latest", tar, "application/x-tar")
        assert status == 200 and b"error" not in body, body

    def create(self, *command):
        status, body = self.api("POST", "/v1.41/containers/create", json.dumps({"Image": "bench", "Cmd": command}))
        assert status == 201, body
        return json.loads(body)["Id"]

    def each(self, ids, method, path, workers):
        def one(i):
            status, body = self.api(method, path.format(i))
            assert status < 300, body
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            list(pool.map(one, ids))

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait(60)


def root_tar(true):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for folder in ("bin", "etc", "dev", "proc", "sys", "tmp"):
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        for name, path in (("bin/true", true), ("bin/sleep", "/bin/busybox")):
            info = tar.gettarinfo(path, name)
            info.mode = 0o755
            with open(os.path.realpath(path), "rb") as f:
                tar.addfile(info, f)
    return out.getvalue()


def measure_engine(engine, tar, n, crowd):
    ignored = {os.getpid()}
    rows = {}
    engine.import_image(tar)
    engine.cli("run", "--rm", "bench", "/bin/true")  # whatever is done once is done
    time.sleep(3)
    names = {}
    rows["idle_pss_mib"] = pss(ignored, names) / 1024
    rows["idle_processes"] = names

    walls = []
    cpu, machine, cli = engine_cpu(ignored), machine_cpu(), os.times()
    for _ in range(n):
        begin = time.monotonic()
        engine.cli("run", "--rm", "bench", "/bin/true")
        walls.append(time.monotonic() - begin)
    time.sleep(1)
    after = os.times()
    rows["run_rm_wall_ms"] = median(walls) * 1000
    rows["run_rm_engine_cpu_ms"] = (engine_cpu(ignored) - cpu) / n * 1000
    rows["run_rm_machine_cpu_ms"] = (machine_cpu() - machine) / n * 1000
    rows["run_rm_cli_cpu_ms"] = (after.children_user + after.children_system - cli.children_user - cli.children_system) / n * 1000

    ids = [engine.create("/bin/sleep", "1000") for _ in range(crowd)]
    begin = time.monotonic()
    engine.each(ids, "POST", "/v1.41/containers/{}/start", crowd)
    rows["parallel_starts_per_s"] = crowd / (time.monotonic() - begin)
    time.sleep(3)
    rows["per_container_pss_mib"] = (pss(ignored) / 1024 - rows["idle_pss_mib"]) / crowd
    engine.each(ids, "DELETE", "/v1.41/containers/{}?force=1", 8)
    return rows


def docker_config(engine, folder, rootfs):
    """The config.json that docker itself writes for a container, bent to run without docker around it."""
    i = engine.create("/bin/sleep", "1000")
    engine.api("POST", f"/v1.41/containers/{i}/start")
    found = subprocess.run(["find", engine.folder, "-path", f"*{i}/config.json"], capture_output=True, text=True).stdout.split()
    spec = json.load(open(found[0]))
    engine.api("DELETE", f"/v1.41/containers/{i}?force=1")
    spec.pop("hooks", None)
    spec["root"] = {"path": rootfs}
    spec["process"].update(terminal=False, args=["/bin/true"])
    spec["mounts"] = [m for m in spec["mounts"] if not m["source"].startswith(engine.folder)]
    for ns in spec["linux"]["namespaces"]:
        ns.pop("path", None)
    spec["linux"]["resources"].update(memory={"limit": 256 << 20}, pids={"limit": 100}, cpu={"shares": 1024})
    bundle = os.path.join(folder, "bundle")
    os.makedirs(bundle)
    return spec, bundle


def measure_runtimes(spec, bundle, folder, n):
    runtimes = {"hoy-runtime": os.path.join(HOY_BIN, "hoy-runtime"), "crun": find("crun"), "runc": find("runc")}
    walls, cpus = {r: [] for r in runtimes}, {r: [] for r in runtimes}
    number = 0
    for round_ in range(n + 2):
        for name, path in runtimes.items():  # interleaved, so that noise falls on all
            number += 1
            spec["linux"]["cgroupsPath"] = f"/hoy-bench/{name}{number}"
            with open(f"{bundle}/config.json", "w") as f:
                json.dump(spec, f)
            begin = time.monotonic()
            p = subprocess.Popen([path, "--root", f"{folder}/rt-{name}", "run", "--bundle", bundle, f"b{number}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, env={"PATH": PATH})
            error = p.stderr.read()
            _, status, usage = os.wait4(p.pid, 0)
            p.returncode = os.waitstatus_to_exitcode(status)
            assert p.returncode == 0, f"{name}: {error.decode()}"
            if round_ >= 2:
                walls[name].append((time.monotonic() - begin) * 1000)
                cpus[name].append((usage.ru_utime + usage.ru_stime) * 1000)
    return {r: {"wall_ms_min": min(walls[r]), "wall_ms": median(walls[r]), "cpu_ms": sum(cpus[r]) / len(cpus[r])} for r in runtimes}


def first_line(*argv):
    try:
        return subprocess.run(argv, capture_output=True, text=True, env={"PATH": PATH}, timeout=20).stdout.strip().splitlines()[0]
    except (OSError, IndexError):
        return "?"


def machine():
    cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    mem = int(re.search(r"MemTotal:\s+(\d+)", open("/proc/meminfo").read()).group(1)) / (1 << 20)
    return {"cpu": cpu.group(1) if cpu else platform.machine(), "cores": os.cpu_count(), "memory_gib": round(mem, 1), "kernel": platform.release(),
            "cgroup": 2 if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else 1, "load_before": os.getloadavg()[0], "date": time.strftime("%Y-%m-%d"),
            "versions": {"hoy": open(f"{ROOT}/VERSION").read().strip(), "dockerd": first_line(find("dockerd"), "--version"), "runc": first_line(find("runc"), "--version"),
                         "crun": first_line(find("crun"), "--version")}}


def cgroups():
    return [folder for folder, _, _ in os.walk("/sys/fs/cgroup")]


def main(args):
    before = set(cgroups())
    n, crowd = (5, 10) if args.quick else (30, 50)
    subprocess.run(["umount", "/sys/fs/cgroup/unified"], capture_output=True)  # crun refuses hybrid mode; only this mount namespace sees it
    result = {"machine": machine(), "engines": {}, "runtimes": {}, "runs": n, "containers": crowd}
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="hoy-bench-") as folder:
        true = f"{folder}/true"
        subprocess.run(["cc", "-static", "-O2", "-o", true, f"{HERE}/true.c"], check=True)
        tar = root_tar(true)
        rootfs = f"{folder}/rootfs"
        with tarfile.open(fileobj=io.BytesIO(tar)) as t:
            t.extractall(rootfs)
        docker = Engine("docker", [find("dockerd"), "--bip", "10.99.0.1/24"], folder)
        if args.only != "runtimes":
            print("bench: docker.io", flush=True)
            result["engines"]["docker"] = measure_engine(docker, tar, n, crowd)
        else:
            docker.import_image(tar)
        spec, bundle = docker_config(docker, folder, rootfs)
        docker.stop()
        if args.only != "runtimes":
            print("bench: hoy", flush=True)
            hoy = Engine("hoy", [f"{HOY_BIN}/hoyd"], folder)
            result["engines"]["hoy"] = measure_engine(hoy, tar, n, crowd)
            hoy.stop()
        if args.only != "engines":
            print("bench: runtimes", flush=True)
            result["runtimes"] = measure_runtimes(spec, bundle, folder, n)
    from report import write
    write(result, args.out)
    for path in sorted(set(cgroups()) - before, key=len, reverse=True):
        subprocess.run(["rmdir", path], capture_output=True)  # those of a real engine are not empty and stay
    print(f"bench: wrote {args.out}/benchmarks.md, .json and .svg")


def init():
    """PID 1: a bare reaper, so that what engines leave behind is counted apart from the clients."""
    child = os.fork()
    if child == 0:
        main(options())
        os._exit(0)
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 255)


def options():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--quick", action="store_true")
    p.add_argument("--only", choices=["engines", "runtimes"])
    p.add_argument("--out", default=f"{ROOT}/docs")
    return p.parse_args()


if __name__ == "__main__":
    options()
    if os.environ.get("HOY_BENCH_INSIDE") == "1":
        init()
    os.environ["HOY_BENCH_INSIDE"] = "1"
    os.execvp("unshare", ["unshare", "-m", "-n", "-p", "-f", "--mount-proc", "--propagation", "private", "--kill-child", sys.executable, *sys.argv])
