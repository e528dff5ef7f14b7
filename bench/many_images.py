#!/usr/bin/env python3
"""What a listing costs with many images: `images` as an API answer and as a command, `system df`, finding one by its name, a start of hoyd.

    bench/many_images.py [COUNT]         hoyd of HOY_BUILD on a machine of its own; needs root
The images have two layers each, one of which they share, two names each, and a parent every third."""
import hashlib
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "tests")]
from harness import engine as engines, images  # noqa: E402


def archive(first, count):
    """One `docker save` archive with count images."""
    base = images.tar_of(("base", dict(data=b"b" * 1000)))
    members, manifest = [("base.tar", dict(data=base))], []
    for i in range(first, first + count):
        layer = images.tar_of((f"file-{i}", dict(data=str(i).encode())))
        config = json.dumps({"architecture": "amd64", "os": "linux", "created": f"2024-01-01T{i // 3600 % 24:02}:{i // 60 % 60:02}:{i % 60:02}Z",
                             "config": {"Cmd": ["sh"], "Labels": {"number": str(i)}},
                             "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(x).hexdigest() for x in (base, layer)]},
                             "history": [{"created_by": "one"}, {"created_by": "two"}]}).encode()
        name = hashlib.sha256(config).hexdigest()
        members += [(f"{i}.tar", dict(data=layer)), (f"{name}.json", dict(data=config))]
        manifest.append({"Config": f"{name}.json", "RepoTags": [f"many/image-{i}:latest", f"registry.example:5000/many/other:{i}"],
                         "Layers": ["base.tar", f"{i}.tar"]})
    return images.tar_of(*members, ("manifest.json", dict(data=json.dumps(manifest).encode())))


def best(what, n=15):
    took = []
    for _ in range(n):
        start = time.perf_counter()
        what()
        took.append((time.perf_counter() - start) * 1000)
    return statistics.median(took)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    engine = engines.Hoyd()
    hoy = engines.program("hoy")
    rows = {}
    try:
        engine.start()
        start = time.perf_counter()
        for first in range(0, count, 100):
            answer = engine.api.post("/images/load", archive(first, min(100, count - first)), headers={"Content-Type": "application/x-tar"}, quiet=1, timeout=600)
            assert answer.status == 200 and b"error" not in answer.body, answer.body[-500:]
        rows["load, each"] = (time.perf_counter() - start) * 1000 / count
        assert len(engine.api.get("/images/json").json) == count
        run = lambda *a: (lambda: subprocess.run([hoy, "-H", engine.host, *a], check=True, stdout=subprocess.DEVNULL))
        rows["GET /images/json"] = best(lambda: engine.api.get("/images/json").body)
        rows["GET /images/json?shared-size=1"] = best(lambda: engine.api.get("/images/json", **{"shared-size": 1}).body)
        rows["GET /system/df"] = best(lambda: engine.api.get("/system/df").body)
        rows["GET /images/NAME/json"] = best(lambda: engine.api.get("/images/many/image-7/json").body)
        rows["hoy images"] = best(run("images"))
        rows["hoy images -q"] = best(run("images", "-q"))
        rows["hoy version (what a command costs anyway)"] = best(run("version"))
        start = time.perf_counter()
        engine.stop()
        engine.start()
        rows["restart of hoyd"] = (time.perf_counter() - start) * 1000
    finally:
        engine.close()
    print(f"{count} images, milliseconds (median of 15)")
    for name, ms in rows.items():
        print(f"{ms:9.2f}  {name}")


if __name__ == "__main__":
    main()
