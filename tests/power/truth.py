"""Layers and images whose every byte is known, and the comparison of a directory on disk with the tar that it came from."""
import hashlib
import io
import json
import os
import random
import stat
import tarfile

from harness import images


def layer(seed, files, big=0, busybox=False, deletes=()):
    """A layer tar: folders, small and empty files, links of both kinds, owners, modes, times, an extended attribute, whiteouts."""
    r = random.Random(seed)
    members = [("bin", dict(kind=tarfile.DIRTYPE, mode=0o755, mtime=1))] if busybox else []
    if busybox:
        with open("/bin/busybox", "rb") as f:
            members.append(("bin/busybox", dict(data=f.read(), mode=0o755, mtime=1)))
    top = f"l{seed}"
    members.append((top, dict(kind=tarfile.DIRTYPE, mode=0o755, mtime=1000 + seed)))
    for i in range(files):
        if i % 20 == 0:
            folder = f"{top}/d{i}"
            members.append((folder, dict(kind=tarfile.DIRTYPE, mode=0o750, mtime=2000 + i)))
        members.append((f"{folder}/f{i}", dict(data=r.randbytes(r.choice((0, 10, 3000, 5000, 20000))), mode=r.choice((0o644, 0o4755, 0o600)),
                                               uid=r.randrange(3), gid=r.randrange(3), mtime=3000 + i,
                                               pax_headers={"SCHILY.xattr.user.power": f"{seed}-{i}"} if i % 30 == 5 else {})))
        if i % 10 == 3:
            members.append((f"{folder}/h{i}", dict(kind=tarfile.LNKTYPE, linkname=f"{folder}/f{i}")))
            members.append((f"{folder}/s{i}", dict(kind=tarfile.SYMTYPE, linkname=f"f{i}", mtime=4000 + i)))
    if big:
        members.append((f"{top}/big", dict(data=r.randbytes(big), mtime=5000)))
    for name in deletes:
        folder, base = os.path.split(name)
        for n in range(1, folder.count("/") + 2):
            members.append(("/".join(folder.split("/")[:n]), dict(kind=tarfile.DIRTYPE, mode=0o755, mtime=6000)))
        members.append((os.path.join(folder, f".wh.{base}"), {}))
    return images.tar_of(*members)


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def entries(tar):
    """[(path, what must be there)] in the archive's order."""
    out, seen = [], {}
    for m in tarfile.open(fileobj=io.BytesIO(tar)):
        folder, base = os.path.split(os.path.normpath(m.name))
        path, owner = os.path.join(folder, base), (m.mode, m.uid, m.gid)
        if base == ".wh..wh..opq":
            value = ("opaque",)
            path = os.path.join(folder, base)
        elif base.startswith(".wh."):
            path, value = os.path.join(folder, base[4:]), ("whiteout",)
        elif m.isdir():
            value = ("dir", *owner, int(m.mtime))
        elif m.issym():
            value = ("link", m.linkname, m.uid, m.gid, int(m.mtime))
        elif m.islnk():
            value = seen[os.path.normpath(m.linkname)]
        elif m.isfifo():
            value = ("fifo", *owner, int(m.mtime))
        else:
            data = tar[m.offset_data:m.offset_data + m.size]
            value = ("file", *owner, int(m.mtime), hashlib.sha256(data).digest(), m.pax_headers.get("SCHILY.xattr.user.power", ""))
        if path != ".":
            out.append((path, value))
        seen[path] = value
    return out


def alone(rows):
    """path -> what one layer's own directory must hold, in overlay's language."""
    return {path: value for path, value in rows if value != ("opaque",)}


def on_top(below, rows):
    """path -> what the whole tree up to this layer must hold."""
    tree, mine = dict(below), set()
    for path, value in rows:
        folder = os.path.dirname(path)
        inside = path + "/" if value != ("opaque",) else folder + "/" if folder else ""
        if value[0] != "dir":
            for p in [p for p in tree if p.startswith(inside) and p not in mine]:
                del tree[p]
        if value == ("whiteout",):
            tree.pop(path, None)
        elif value != ("opaque",):
            tree[path] = value
            mine.add(path)
    return tree


def saved(data):
    """What docker save wrote -> diff id -> layer tar; all of it is what its digests say."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        files = {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}
    out = {}
    for image in json.loads(files["manifest.json"]):
        config = files[image["Config"]]
        assert hashlib.sha256(config).hexdigest() in image["Config"], f"{image['Config']}: not its digest"
        wanted = json.loads(config)["rootfs"].get("diff_ids") or []
        assert len(wanted) == len(image["Layers"]), "layers are missing"
        for diff_id, name in zip(wanted, image["Layers"]):
            assert digest(files[name]) == diff_id, f"{name} is {digest(files[name])} instead of {diff_id}"
            out[diff_id] = files[name]
    return out


def names(data):
    """Of a tar that must be whole."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        out = tar.getnames()
    assert data.endswith(bytes(1024)), "the archive has no end"
    return out


def _entry(path):
    s = os.lstat(path)
    mode, mtime = stat.S_IMODE(s.st_mode), int(s.st_mtime)
    if stat.S_ISDIR(s.st_mode):
        return ("dir", mode, s.st_uid, s.st_gid, mtime)
    if stat.S_ISLNK(s.st_mode):
        return ("link", os.readlink(path), s.st_uid, s.st_gid, mtime)
    if stat.S_ISCHR(s.st_mode) and s.st_rdev == 0:
        return ("whiteout",)
    if stat.S_ISFIFO(s.st_mode):
        return ("fifo", mode, s.st_uid, s.st_gid, mtime)
    with open(path, "rb") as f:
        data = f.read()
        attribute = os.getxattr(path, "user.power").decode() if "user.power" in os.listxattr(path) else ""
    return ("file", mode, s.st_uid, s.st_gid, mtime, hashlib.sha256(data).digest(), attribute)


def differences(folder, wanted):
    """Sentences: how the directory differs from what the tar says."""
    seen = {}
    for base, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(base, name)
            try:
                seen[os.path.relpath(path, folder)] = _entry(path)
            except OSError as e:
                seen[os.path.relpath(path, folder)] = (f"unreadable: {e}",)
    out = [f"{p} is missing" for p in wanted if p not in seen]
    out += [f"{p} does not belong there" for p in seen if p not in wanted]
    out += [f"{p} is {seen[p]} instead of {wanted[p]}" for p in wanted if p in seen and seen[p] != wanted[p]]
    return out
