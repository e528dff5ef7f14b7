"""CVE-2019-5736: a container that gets one of our programs run inside of itself cannot write it, not even afterwards."""
import errno
import os

import pytest

from harness.cli import Cli, until
from harness.engine import program
from harness.images import BUSYBOX


@pytest.fixture
def cli(client, own_engine):
    return Cli(client, own_engine.host, own_engine.scratch())


def refused(fd):
    with pytest.raises(OSError) as e:
        os.close(os.open(f"/proc/self/fd/{fd}", os.O_WRONLY))
    return e.value.errno


def test_the_shims_program_cannot_be_written(cli, own_engine, name):
    before = open(program("hoy-shim"), "rb").read()
    if b"/ld-linux" in before:
        pytest.skip("a sanitizer build's shim is not static: no container can run it")
    # The attack's first step works, under Docker too: the command is what the joining process runs.
    assert "hoy-shim" in cli("run", "--rm", "--cap-add", "SYS_PTRACE", BUSYBOX, "/proc/self/exe", "--version").out
    cli("run", "-d", "--name", name, BUSYBOX, "sleep", "100")
    assert "hoy-shim" in cli("exec", name, "/proc/self/exe", "--version").out
    procs = own_engine.machine.procs()
    shim = own_engine.host_pid(procs[int(cli.inspect(name, "{{.State.Pid}}"))][0])
    # Its second step: hold the file while it is busy, write it when it is not.
    fd = os.open(f"/proc/{shim}/exe", os.O_PATH)
    try:
        assert os.fstatvfs(fd).f_flag & os.ST_RDONLY
        cli("rm", "-f", name)
        until(lambda: not os.path.exists(f"/proc/{shim}"), what="the end of the shim")
        # what drops the container's mounts runs the same program a moment longer
        assert until(lambda: (e := refused(fd)) != errno.ETXTBSY and e, what="the end of its children") == errno.EROFS
    finally:
        os.close(fd)
    assert open(program("hoy-shim"), "rb").read() == before
