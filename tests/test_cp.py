"""docker cp and docker diff: files into and out of containers that run, are paused, stopped or never ran."""
import base64
import http.client
import io
import json
import os
import socket
import tarfile
import time

import pytest

from harness.images import BUSYBOX, tar_of

STATES = ("created", "running", "paused", "exited")


def in_state(docker, state, name, *options):
    """A container of that state which has had nothing done to its files."""
    docker("create", "--name", name, *options, BUSYBOX, "sleep", "1000")
    if state != "created":
        docker("start", name)
    if state == "paused":
        docker("pause", name)
    if state == "exited":
        docker("kill", name)
        docker("wait", name)
    return name


def put(api, name, path, body, **query):
    return api.call("PUT", f"/containers/{name}/archive", body, {"Content-Type": "application/x-tar"}, version="v1.51", path=path, **query)


def get(api, name, path):
    answer = api.get(f"/containers/{name}/archive", version="v1.51", path=path)
    assert answer.status == 200, answer.body
    with tarfile.open(fileobj=io.BytesIO(answer.body)) as tar:
        return {m.name: (m, tar.extractfile(m).read() if m.isfile() else None) for m in tar}


def stat(api, name, path):
    answer = api.call("HEAD", f"/containers/{name}/archive", version="v1.51", path=path)
    return json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"])) if answer.status == 200 else answer.status


def changes(api, name):
    return {c["Path"]: c["Kind"] for c in api.get(f"/containers/{name}/changes").json or []}


@pytest.mark.parametrize("state", STATES)
def test_what_is_put_comes_back(docker, api, name, state):
    in_state(docker, state, name)
    body = tar_of(("d/", dict(kind=tarfile.DIRTYPE, mode=0o1751, uid=5, gid=6)), ("d/f", dict(data=b"text", mode=0o4755, uid=7, gid=8, mtime=1234567890)),
                  ("d/l", dict(kind=tarfile.SYMTYPE, linkname="f")), ("d/h", dict(kind=tarfile.LNKTYPE, linkname="d/f")))
    assert put(api, name, "/opt", body).status == 404
    assert put(api, name, "/", body).status == 200
    there = get(api, name, "/d")
    assert list(there) == ["d", "d/f", "d/h", "d/l"] and there["d/f"][1] == b"text"
    m = there["d/f"][0]
    assert (m.mode, m.uid, m.gid, m.mtime) == (0o4755, 7, 8, 1234567890)
    assert (there["d"][0].mode, there["d"][0].uid, there["d"][0].gid) == (0o1751, 5, 6)
    assert there["d/h"][0].islnk() and there["d/h"][0].linkname == "d/f" and there["d/l"][0].linkname == "f"
    assert stat(api, name, "/d/l") == {"name": "l", "size": 1, "mode": 0o777 | 1 << 27, "mtime": stat(api, name, "/d/l")["mtime"], "linkTarget": "/d/f"}
    assert stat(api, name, "/d/f")["mode"] == 0o755 | 1 << 23 and stat(api, name, "/d")["mode"] == 0o751 | 1 << 31 | 1 << 20
    assert changes(api, name) == {"/d": 1, "/d/f": 1, "/d/h": 1, "/d/l": 1}


@pytest.mark.parametrize("state", STATES)
def test_volumes_and_binds_are_what_the_container_sees(docker, api, engine, name, state, tmp_path):
    (tmp_path / "host").write_text("of the host")
    in_state(docker, state, name, "-v", f"{tmp_path}:/deep/bind", "-v", f"{name}:/vol", "--mount", f"type=bind,source={tmp_path},target=/ro,readonly")
    try:
        assert get(api, name, "/deep/bind/host")["host"][1] == b"of the host"
        assert get(api, name, "/deep")["deep/bind/host"][1] == b"of the host"
        assert put(api, name, "/deep/bind", tar_of(("new", dict(data=b"n")))).status == 200
        assert (tmp_path / "new").read_bytes() == b"n"
        answer = put(api, name, "/ro", tar_of(("x", dict(data=b"n"))))
        assert (answer.status, answer.message) == (400, "mounted volume is marked read-only") and not (tmp_path / "x").exists()
        assert put(api, name, "/vol", tar_of(("kept", dict(data=b"k")))).status == 200
        assert docker("run", "--rm", "-v", f"{name}:/v", BUSYBOX, "cat", "/v/kept").out == "k"
        assert get(api, name, "/etc/hostname")["hostname"][0].isfile()
        assert not [p for p in changes(api, name) if p.startswith(("/vol/", "/deep/bind/", "/ro/"))]
    finally:
        docker("rm", "-f", name)
        docker("volume", "rm", name)


def test_a_new_volume_has_the_images_files_before_the_first_start(docker, api, name):
    docker("create", "--name", name, "-v", f"{name}:/bin", BUSYBOX, "true")
    try:
        assert put(api, name, "/bin", tar_of(("mine", dict(data=b"#!/bin/sh\n", mode=0o755)))).status == 200
        assert {"bin/mine", "bin/busybox"} <= set(get(api, name, "/bin"))
        docker("start", "-a", name)
    finally:
        docker("rm", "-f", name)
        docker("volume", "rm", name)


def test_errors_are_dockers(docker, api, name):
    in_state(docker, "running", name)
    docker("exec", name, "sh", "-c", "mkdir /d; echo x >/d/f; ln -s /loop /loop")

    def asked(method, path, body=None, **query):
        answer = api.call(method, f"/containers/{name}/archive", body, version="v1.51", path=path, **query)
        return answer.status, answer.message
    one = tar_of(("a", dict(data=b"x")))
    assert asked("GET", "") == (400, "bad parameter: pathcannot be empty")
    assert asked("GET", "/none") == (404, f"Could not find the file /none in container {name}")
    assert asked("GET", "/d/f/") == (500, "lstat /d/f/: not a directory")
    assert asked("GET", "/loop") == (500, "evalSymlinksInScope: too many links in /loop")
    assert asked("GET", "/loop/x") == (500, "lstat /loop/x: too many levels of symbolic links")
    assert asked("PUT", "/d/f", one) == (400, "extraction point is not a directory")
    assert asked("PUT", "/loop", one) == (500, "EvalSymlinks: too many links")
    assert asked("PUT", "/d/f/x", one) == (500, "not a directory")
    assert asked("PUT", "/d", tar_of(("../x", dict(data=b"x")))) == (500, 'invalid entry name "../x"')
    assert asked("PUT", "/d", tar_of(("h", dict(kind=tarfile.LNKTYPE, linkname="../etc/passwd")))) == (500, 'invalid hardlink target "../etc/passwd"')
    assert asked("PUT", "/d", tar_of(("f/x", dict(data=b"x")))) == (500, "openat f/x: not a directory")
    assert asked("PUT", "/d", tar_of(("f", dict(kind=tarfile.DIRTYPE))), noOverwriteDirNonDir=1) == \
        (500, 'cannot overwrite non-directory "f" with directory "/d"')
    assert asked("PUT", "/", tar_of(("d", dict(data=b"x"))), noOverwriteDirNonDir="true") == \
        (500, 'cannot overwrite directory "d" with non-directory "/"')
    assert asked("PUT", "/d", one[:512]) == (500, "unexpected EOF")
    assert put(api, name, "/d", b"").status == 200
    assert asked("PUT", "/d", b"junk" * 300)[0] == 500


def test_a_read_only_root_is_not_written(docker, api, name):
    in_state(docker, "running", name, "--read-only", "-v", "/vv")
    for _ in range(2):
        answer = put(api, name, "/tmp", tar_of(("a", dict(data=b"x"))))
        assert (answer.status, answer.message) == (400, "container rootfs is marked read-only")
        assert put(api, name, "/vv", tar_of(("a", dict(data=b"x")))).status == 200
        docker("kill", name)
        docker("wait", name)
        docker("start", name) if not _ else None


@pytest.mark.parametrize("user, owner", [("12", (12, 0)), ("12:34", (12, 34)), (":5", (0, 5)), ("", (7, 8))])
def test_copied_files_may_belong_to_the_containers_user(docker, api, name, user, owner):
    docker("create", "--name", name, "-u", user, BUSYBOX)
    assert put(api, name, "/", tar_of(("a", dict(data=b"x", uid=7, gid=8))), copyUIDGID=1).status == 200
    m = get(api, name, "/a")["a"][0]
    assert (m.uid, m.gid) == owner


def test_who_is_nobody_in_the_container_is_said(docker, api, name):
    docker("create", "--name", name, "-u", "nosuchuser", BUSYBOX)
    answer = put(api, name, "/", tar_of(("a", dict(data=b"x"))), copyUIDGID=1)
    assert (answer.status, answer.message) == (400, 'failed to look up user "nosuchuser" in container: no matching entries in passwd file')


def test_diff_tells_what_was_done(cli, api, name):
    in_state(cli, "running", name)
    assert api.get(f"/containers/{name}/changes").body.strip() == b"null"
    cli("exec", name, "sh", "-c", "mkdir -p /n/e/w; touch /n/e/f; chmod 700 /bin; rm /bin/ls; rm -r /etc; mkdir /etc; touch /etc/mine 2>/dev/null; true")
    want = {"/n": 1, "/n/e": 1, "/n/e/f": 1, "/n/e/w": 1, "/bin": 0, "/bin/ls": 2}
    for ends in (True, False):
        told = changes(api, name)
        assert {k: v for k, v in told.items() if not k.startswith("/etc")} == want
        assert [line for line in cli("diff", name).out.splitlines() if "/bin" in line] == ["C /bin", "D /bin/ls"]
        if ends:
            cli("kill", name)
            cli("wait", name)


def test_a_directory_made_anew_hides_what_was_in_it(docker, api, name, busybox_tar):
    in_state(docker, "running", name)
    docker("exec", name, "busybox", "sh", "-c", "busybox cp -a /bin /b2 && exec /b2/busybox sh -c '/b2/rm -r /bin; /b2/mkdir /bin; /b2/touch /bin/one'")
    told = changes(api, name)
    assert told["/bin/one"] == 1 and told["/bin/busybox"] == 2 and "/bin" in told


# ---- hostile ----
def test_hostile_archives_stay_in_their_directory(docker, api, name):
    in_state(docker, "running", name)
    docker("exec", name, "mkdir", "/d")
    for entries in ([("s", dict(kind=tarfile.SYMTYPE, linkname="/")), ("s/escaped", dict(data=b"x"))],
                    [("s2", dict(kind=tarfile.SYMTYPE, linkname="../../../../etc")), ("s2/escaped", dict(data=b"x"))],
                    [("/escaped", dict(data=b"x"))], [("h", dict(kind=tarfile.LNKTYPE, linkname="/etc/hostname"))]):
        put(api, name, "/d", tar_of(*entries))
        assert stat(api, name, "/escaped") == 404 and stat(api, name, "/etc/escaped") == 404
    assert put(api, name, "/d", tar_of(("null", dict(kind=tarfile.CHRTYPE, devmajor=1, devminor=3)))).status == 200
    assert stat(api, name, "/d/null")["mode"] & (1 << 26 | 1 << 21)


def test_links_of_the_container_lead_nowhere_else(docker, api, name, tmp_path):
    """CVE-2018-15664, CVE-2019-14271: nothing of the host is read or written, wherever a link of the container points."""
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    in_state(docker, "running", name)
    docker("exec", name, "sh", "-c", f"ln -s {tmp_path} /way; ln -s / /root2; ln -s /proc/1/root /magic; ln -s ../../../../../..{tmp_path} /up")
    for path in ("/way/secret", f"/root2{secret}", f"/magic{secret}", "/up/secret", f"/../../..{secret}"):
        assert stat(api, name, path) in (404, 500), path
    for path in ("/way", "/up", f"/magic{tmp_path}"):
        assert put(api, name, path, tar_of(("planted", dict(data=b"x")))).status in (404, 500)
    assert sorted(os.listdir(tmp_path)) == ["secret"]


def test_swapping_a_directory_for_a_link_gains_nothing(docker, api, name, tmp_path):
    """The container swaps /w/d and a link to a folder of the host all the time; we copy in and out meanwhile."""
    secret = tmp_path / "host-secret"
    secret.write_text("of the host")
    in_state(docker, "running", name)
    docker("exec", "-d", name, "sh", "-c",
        f"mkdir -p /w/d /w/l; echo mine >/w/d/host-secret; ln -s {tmp_path} /w/l/x; i=0; while [ $i -lt 4000 ]; do mv /w/d /w/t; mv /w/l/x /w/d; mv /w/d /w/l/x; mv /w/t /w/d; i=$((i+1)); done")
    done = set()
    for i in range(40):
        done.add(put(api, name, "/w/d", tar_of((f"planted{i}", dict(data=b"x" * 100000)), ("sub/x", dict(data=b"y")))).status)
        for path in ("/w/d/host-secret", "/w"):
            try:
                assert b"of the host" not in api.get(f"/containers/{name}/archive", path=path).body
            except http.client.HTTPException:
                pass  # what it had begun to read was gone: cut off, for all to see
    assert done <= {200, 404, 500} and sorted(os.listdir(tmp_path)) == ["host-secret"]
    assert secret.read_text() == "of the host"


# ---- long copies ----
def slow_upload(engine, name, path, total):
    """A PUT that has sent its head and the beginning of a big file."""
    s = socket.socket(socket.AF_UNIX)
    s.connect(engine.sock)
    s.sendall(f"PUT /v1.51/containers/{name}/archive?path={path} HTTP/1.1\r\nHost: x\r\nContent-Length: {total}\r\n\r\n".encode())
    return s


def test_a_slow_reader_keeps_nobody_from_starting(docker, engine, name):
    in_state(docker, "created", name)
    big = tar_of(("big", dict(data=os.urandom(1 << 20) * 24)))
    from harness.api import Api
    assert put(Api(engine.sock), name, "/", big).status == 200
    for path in ("export", "archive?path=/big"):
        s = socket.socket(socket.AF_UNIX)
        s.connect(engine.sock)
        s.sendall(f"GET /v1.51/containers/{name}/{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = s.recv(100)
        assert b"200 OK" in head
        begun = time.monotonic()
        docker("start", name)
        assert time.monotonic() - begun < 10
        docker("kill", name)
        docker("wait", name)
        s.close()


def test_who_starts_waits_for_an_upload(docker, engine, name):
    in_state(docker, "created", name)
    data = tar_of(("big", dict(data=b"x" * (4 << 20))))
    s = slow_upload(engine, name, "/", len(data))
    s.sendall(data[:1 << 20])
    time.sleep(0.5)
    starter = docker.popen("start", name)
    time.sleep(0.5)
    assert starter.poll() is None
    s.sendall(data[1 << 20:])
    assert b"200 OK" in s.recv(1000)
    assert starter.wait(timeout=30) == 0
    assert docker("exec", name, "wc", "-c", "/big").out.split()[0] == str(4 << 20)


@pytest.mark.parametrize("state", ["running", "exited"])
def test_an_upload_that_breaks_off_leaves_the_container_well(docker, engine, api, name, state):
    in_state(docker, state, name)
    data = tar_of(("big", dict(data=b"x" * (4 << 20))))
    s = slow_upload(engine, name, "/", len(data))
    s.sendall(data[:1 << 20])
    time.sleep(0.3)
    s.close()
    assert put(api, name, "/", tar_of(("after", dict(data=b"x")))).status == 200
    if state == "exited":
        docker("start", name)
    assert docker("exec", name, "cat", "/after").out == "x"


@pytest.mark.parametrize("state", ["running", "exited"])
def test_kill_of_the_daemon_during_an_upload(own_engine, name, state):
    from harness.api import Api
    from harness.cli import Cli
    engine = own_engine
    api = Api(engine.sock)
    made = api.post("/containers/create", {"Image": BUSYBOX, "Cmd": ["sleep", "1000"]}, name=name).json["Id"]
    if state == "running":
        api.post(f"/containers/{made}/start")
    data = tar_of(("big", dict(data=b"x" * (4 << 20))))
    s = slow_upload(engine, name, "/", len(data))
    s.sendall(data[:1 << 20])
    time.sleep(0.3)
    engine.kill()
    engine.start()
    s.close()
    if state == "exited":
        assert api.post(f"/containers/{made}/start").status == 204
    assert put(api, name, "/", tar_of(("after", dict(data=b"x")))).status == 200
    assert get(api, name, "/after")["after"][1] == b"x"


def test_big_and_sparse_files_stream(docker, api, name):
    in_state(docker, "running", name)
    docker("exec", name, "sh", "-c", "dd if=/dev/zero of=/sparse bs=1 count=1 seek=50000000 2>/dev/null; dd if=/dev/urandom of=/r bs=1M count=20 2>/dev/null; md5sum /r >/sum")
    assert get(api, name, "/sparse")["sparse"][0].size == 50000001
    import hashlib
    assert hashlib.md5(get(api, name, "/r")["r"][1]).hexdigest() == get(api, name, "/sum")["sum"][1].split()[0].decode()


def test_capabilities_of_files_are_kept(docker, api, name):
    in_state(docker, "created", name)
    value = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    buf = io.BytesIO()
    with tarfile.open(fileobj=buf, mode="w", format=tarfile.PAX_FORMAT) as tar:
        m = tarfile.TarInfo("ping")
        m.mode, m.pax_headers = 0o755, {"SCHILY.xattr.security.capability": value.decode("latin-1")}
        tar.encoding = "latin-1"
        tar.addfile(m)
    # tarfile writes records as UTF-8: these bytes are all below 128
    assert put(api, name, "/", buf.getvalue()).status == 200
    there = get(api, name, "/ping")["ping"][0]
    assert there.pax_headers["SCHILY.xattr.security.capability"].encode("latin-1") == value


def test_cp_names_its_copies_as_dockers_client_does(cli, name, tmp_path):
    work = tmp_path / "work"
    (work / "src/sub").mkdir(parents=True)
    (work / "src/f").write_text("one")
    (work / "src/l").symlink_to("f")
    (work / "src/sub/g").write_text("two")
    in_state(cli, "running", name)
    for source, target in (("src", "/new"), ("src", "/new"), ("src/.", "/dots"), ("src/f", "/tmp"), ("src/f", "/tmp/renamed")):
        cli("cp", f"{work}/{source}", f"{name}:{target}")
    assert sorted(cli("exec", name, "find", "/new", "/dots", "/tmp").out.split()) == sorted(
        "/new /new/f /new/l /new/sub /new/sub/g /new/src /new/src/f /new/src/l /new/src/sub /new/src/sub/g /dots /dots/f /dots/l /dots/sub "
        "/dots/sub/g /tmp /tmp/f /tmp/renamed".split())
    for source, target in (("/dots", "out"), ("/dots", "out"), ("/dots/.", "out"), ("/dots/f", "."), ("/dots/f", "f2"), ("/dots/l", ".")):
        cli("cp", f"{name}:{source}", f"{work}/{target}")
    cli("cp", "-L", f"{name}:/dots/l", f"{work}/l2")
    assert (work / "f2").read_text() == (work / "l2").read_text() == (work / "f").read_text() == "one" and os.readlink(work / "l") == "f"
    assert sorted(os.listdir(work / "out")) == ["dots", "f", "l", "sub"] and sorted(os.listdir(work / "out/dots")) == ["f", "l", "sub"]
    for words, says in (((f"{name}:/none", work), "/none"), ((f"{work}/src", f"{name}:/tmp/f"), "cannot copy directory"),
                        ((f"{name}:/a", f"{name}:/b"), "copying between containers is not supported"), ((f"{work}/none", f"{name}:/"), "no such file or directory")):
        assert says in cli("cp", *map(str, words), rc=1).err
    cli("cp", "-", f"{name}:/tmp", input=tar_of(("streamed", dict(data=b"s"))))
    assert cli("exec", name, "cat", "/tmp/streamed").out == "s"
