"""A debugger in a container: docker run -v $PWD:/app --cap-add=SYS_PTRACE --security-opt seccomp=unconfined -i IMAGE."""
import json
import os
import subprocess

import pytest

DEBUG = ["--cap-add=SYS_PTRACE", "--security-opt", "seccomp=unconfined"]
PROGRAM = """
#include <stdio.h>
#include <unistd.h>
static volatile int count;
int step(int by) { count += by; return count; }
int main(int argc, char **argv) { while (argc > 1) { step(0); usleep(50000); } printf("sum %d\\n", step(40) + step(2)); return 0; }
"""


@pytest.fixture
def app(scratch):
    """A folder with a program to debug, as $PWD is; other users may run it."""
    os.chmod(scratch, 0o755)
    with open(f"{scratch}/app.c", "w") as f:
        f.write(PROGRAM)
    subprocess.run(["cc", "-g", "-O0", "-static", "-o", f"{scratch}/app", f"{scratch}/app.c"], check=True)
    return scratch


def gdb(*commands):
    return ["gdb", "-batch", "-nx", *[word for c in commands for word in ("-ex", c)]]


def test_gdb_starts_a_program_and_breaks_in(cli, debian, app):
    out = cli("run", "--rm", "-v", f"{app}:/app", *DEBUG, "-i", debian, *gdb("break step", "run", "backtrace", "print by", "continue", "kill"), "/app/app").out
    assert "Breakpoint 1, step (by=40)" in out and "main (argc=1" in out and "$1 = 40" in out


def test_gdb_takes_commands_from_stdin(cli, debian, app):
    out = cli("run", "--rm", "-v", f"{app}:/app", *DEBUG, "-i", debian, "gdb", "-nx", "-q", "/app/app", input=b"break step\nrun\nbt\nkill\nquit\n").out
    assert "step (by=40)" in out


def test_gdb_attaches_to_a_running_process(cli, debian, app, name):
    cli("run", "-d", "--name", name, "-v", f"{app}:/app", *DEBUG, debian, "/app/app", "forever")
    out = cli("exec", name, *gdb("set var count = 1000", "print step(1)", "detach"), "-p", "1").out
    assert "$1 = 1001" in out
    assert cli.inspect(name, "{{.State.Running}}") == "true"


def test_gdb_attaches_from_a_second_container(cli, debian, app, name):
    cli("run", "-d", "--name", name, "-v", f"{app}:/app", debian, "/app/app", "forever")
    out = cli("run", "--rm", "--pid", f"container:{name}", "-v", f"{app}:/app", *DEBUG, debian, *gdb("print count", "detach"), "/app/app", "1").out
    assert "$1 = 0" in out


def test_without_the_options_only_the_randomisation_switch_is_refused(cli, debian, app):
    result = cli("run", "--rm", "-v", f"{app}:/app", "-i", debian, *gdb("break step", "run", "backtrace", "kill"), "/app/app")
    assert "Error disabling address space randomization: Operation not permitted" in result.out + result.err
    assert "step (by=40)" in result.out


def test_a_profile_that_denies_ptrace_denies_it(cli, debian, app, tmp_path):
    (tmp_path / "p.json").write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["ptrace"], "action": "SCMP_ACT_ERRNO"}]}))
    result = cli("run", "--rm", "-v", f"{app}:/app", "--security-opt", f"seccomp={tmp_path}/p.json", "-i", debian, *gdb("break step", "run", "backtrace"), "/app/app", rc=None)
    assert "step (by=40)" not in result.out and "Operation not permitted" in result.out + result.err


def test_without_the_capability_other_users_processes_cannot_be_attached(cli, debian, app, name):
    cli("run", "-d", "--name", name, "-u", "daemon", "-v", f"{app}:/app", debian, "/app/app", "forever")
    result = cli("exec", "-u", "root", name, *gdb("print count"), "-p", "1", rc=None)
    assert "Operation not permitted" in result.out + result.err
