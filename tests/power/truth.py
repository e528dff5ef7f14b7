"""Layers and images whose every byte is known, and the comparison of a directory on disk with the tar that it came from."""
import hashlib
import os
import random
import stat
import tarfile
import io

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


def of_tar(tar):
    """path -> what must be there."""
    out = {}
    for m in tarfile.open(fileobj=io.BytesIO(tar)):
        folder, base = os.path.split(m.name)
        owner = (m.mode, m.uid, m.gid)
        if base.startswith(".wh."):
            out[os.path.join(folder, base[4:])] = ("whiteout",)
        elif m.isdir():
            out[m.name] = ("dir", *owner, m.mtime)
        elif m.issym():
            out[m.name] = ("link", m.linkname, m.uid, m.gid, m.mtime)
        elif m.islnk():
            out[m.name] = out[m.linkname]
        else:
            data = tar[m.offset_data:m.offset_data + m.size]
            out[m.name] = ("file", *owner, m.mtime, hashlib.sha256(data).digest(), m.pax_headers.get("SCHILY.xattr.user.power", ""))
    return out


def _entry(path):
    s = os.lstat(path)
    mode, mtime = stat.S_IMODE(s.st_mode), s.st_mtime
    if stat.S_ISDIR(s.st_mode):
        return ("dir", mode, s.st_uid, s.st_gid, mtime)
    if stat.S_ISLNK(s.st_mode):
        return ("link", os.readlink(path), s.st_uid, s.st_gid, mtime)
    if stat.S_ISCHR(s.st_mode) and s.st_rdev == 0:
        return ("whiteout",)
    with open(path, "rb") as f:
        data = f.read()
        attribute = os.getxattr(path, "user.power").decode() if os.listxattr(path) else ""
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
