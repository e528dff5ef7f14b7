"""Images made here, without a registry: busybox from Debian's static binary, Debian from mmdebstrap, and archives by hand.

Applets are hard links: an absolute symbolic link in a test image would be followed on the host by a careless engine."""
import fcntl
import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile

from .engine import CACHE

BUSYBOX = "hoytest:busybox"
DEBIAN = "hoytest:debian"

PASSWD = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\napp:x:1000:1000:App:/home/app:/bin/sh\n"
GROUP = "root:x:0:\ndaemon:x:1:\nstaff:x:50:app\napp:x:1000:\n"


def add(tar, name, data=b"", kind=tarfile.REGTYPE, mode=0o644, **kw):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size = kind, mode, len(data) if kind == tarfile.REGTYPE else 0
    for key, value in kw.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(data) if info.size else None)


def compiled(source):
    """A static program from a C file beside this one."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["cc", "-static", "-O1", "-o", f"{folder}/a", os.path.join(os.path.dirname(__file__), source)], check=True)
        with open(f"{folder}/a", "rb") as f:
            return f.read()


def busybox_rootfs():
    out = io.BytesIO()
    applets = subprocess.run(["/bin/busybox", "--list"], check=True, capture_output=True, text=True).stdout.split()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for folder in ("bin", "etc", "root", "home", "home/app", "dev", "proc", "sys", "var", "usr"):
            add(tar, folder, kind=tarfile.DIRTYPE, mode=0o755)
        add(tar, "tmp", kind=tarfile.DIRTYPE, mode=0o1777)
        with open("/bin/busybox", "rb") as f:
            add(tar, "bin/busybox", f.read(), mode=0o755)
        for applet in applets:
            if applet != "busybox":
                add(tar, f"bin/{applet}", kind=tarfile.LNKTYPE, mode=0o755, linkname="bin/busybox")
        add(tar, "bin/echod", compiled("echod.c"), mode=0o755)
        add(tar, "etc/passwd", PASSWD.encode())
        add(tar, "etc/group", GROUP.encode())
        add(tar, "etc/not-executable", b"just text\n")
    return out.getvalue()


def tar_of(*members):
    """A tar of (name, {kwargs of add}) pairs."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kw in members:
            add(tar, name, **kw)
    return out.getvalue()


def import_tar(engine, tar, reference, *changes):
    from urllib.parse import urlencode
    repo, tag = reference.split(":")
    query = urlencode([("fromSrc", "-"), ("repo", repo), ("tag", tag)] + [("changes", c) for c in changes])
    answer = engine.api.post(f"/images/create?{query}", tar, headers={"Content-Type": "application/x-tar"}, timeout=300)
    assert answer.status == 200 and b"error" not in answer.body, (answer.body, getattr(engine, "log_tail", str)())
    return answer


def archive(*layers, config=None, tag="hoytest:made", digests=None, names=None, architecture="amd64"):
    """A `docker save` archive of uncompressed layer tars. digests and names replace what would be right."""
    names = names or [f"{i}/layer.tar" for i in range(len(layers))]
    digests = digests or ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    image = {"architecture": architecture, "os": "linux", "config": config or {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
             "rootfs": {"type": "layers", "diff_ids": digests}, "history": [{"created_by": "test"} for _ in layers]}
    text = json.dumps(image).encode()
    image_id = hashlib.sha256(text).hexdigest()
    manifest = [{"Config": f"{image_id}.json", "RepoTags": [tag] if tag else None, "Layers": names}]
    members = [(name, dict(data=layer)) for name, layer in zip(names, layers)]
    return tar_of(*members, (f"{image_id}.json", dict(data=text)), ("manifest.json", dict(data=json.dumps(manifest).encode()))), "sha256:" + image_id


def oci_layout(layer, tag="hoytest:oci", corrupt=False, with_manifest=True):
    """An OCI image layout with one uncompressed layer, as a tar; with_manifest: also the manifest.json that docker save adds."""
    blobs = {}

    def blob(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    layer_row = blob(layer, "application/vnd.oci.image.layer.v1.tar")
    config = blob(json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
                              "rootfs": {"type": "layers", "diff_ids": [layer_row["digest"]]}}).encode(), "application/vnd.oci.image.config.v1+json")
    manifest = blob(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config,
                                "layers": [layer_row]}).encode(), "application/vnd.oci.image.manifest.v1+json")
    manifest["annotations"] = {"io.containerd.image.name": f"docker.io/library/{tag}", "org.opencontainers.image.ref.name": tag.split(":")[1]}
    if corrupt:
        digest = layer_row["digest"][7:]
        blobs[digest] = blobs[digest][:-1] + bytes([blobs[digest][-1] ^ 1])
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest]}
    extra = []
    if with_manifest:
        rows = [{"Config": f"blobs/sha256/{config['digest'][7:]}", "RepoTags": [tag], "Layers": [f"blobs/sha256/{layer_row['digest'][7:]}"]}]
        extra = [("manifest.json", dict(data=json.dumps(rows).encode()))]
    folders = [(name, dict(kind=tarfile.DIRTYPE, mode=0o755)) for name in ("blobs", "blobs/sha256")]
    return tar_of(*folders, *[(f"blobs/sha256/{d}", dict(data=data)) for d, data in blobs.items()],
                  ("oci-layout", dict(data=b'{"imageLayoutVersion":"1.0.0"}')), ("index.json", dict(data=json.dumps(index).encode())), *extra)


def debian_rootfs():
    """Path of a Debian minbase tar with bash, procps and gdb; built once per machine."""
    os.makedirs(CACHE, exist_ok=True)
    path = os.path.join(CACHE, "debian-1.tar")
    with open(path + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            # the mirrors that this machine's own apt uses
            rows = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"],
                                  check=True, capture_output=True, text=True).stdout.splitlines()
            sources = sorted({f"deb {row} main" for row in rows if row.split()[1].startswith("bookworm")})
            subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", "--include=procps,gdb-minimal",
                            "--aptopt=Acquire::Check-Valid-Until \"false\"", "--dpkgopt=path-exclude=/usr/share/doc/*",
                            "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
                            "bookworm", path + ".new.tar", *sources], check=True, timeout=900)
            os.rename(path + ".new.tar", path)
    return path
