"""docker run: what goes in comes out, and the exit code is the program's."""
import re

from harness.images import BUSYBOX
from harness.cli import until


def test_output_and_exit_code_are_the_programs(cli):
    assert cli("run", "--rm", BUSYBOX, "echo", "hello").out == "hello\n"
    assert cli("run", "--rm", BUSYBOX, "sh", "-c", "exit 7", rc=7).out == ""


def test_stdout_and_stderr_stay_apart(cli):
    result = cli("run", "--rm", BUSYBOX, "sh", "-c", "echo one; echo two >&2")
    assert (result.out, result.err) == ("one\n", "two\n")


def test_stdin_reaches_the_program_and_ends_when_it_ends(cli):
    data = b"".join(b"line %d\n" % i for i in range(20000))
    assert cli("run", "--rm", "-i", BUSYBOX, "cat", input=data).raw == data


def test_without_i_the_program_reads_nothing(cli):
    assert cli("run", "--rm", BUSYBOX, "cat", input=b"not for you").raw == b""


def test_binary_output_arrives_byte_for_byte(cli):
    out = cli("run", "--rm", BUSYBOX, "sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' '\\377'").raw
    assert out == b"\xff" * 1000000


def test_signals_become_exit_codes(cli, name):
    cli("run", "--rm", BUSYBOX, "sh", "-c", "sh -c 'kill -9 $$'; exit $?", rc=137)
    p = cli.popen("run", "--name", name, BUSYBOX, "sh", "-c", "echo ready; sleep 100")
    assert p.stdout.readline() == b"ready\n"
    cli("kill", name)
    assert p.wait(20) == 137


def test_a_command_that_does_not_exist_is_127(cli, api):
    result = cli("run", "--rm", BUSYBOX, "nosuchcommand", rc=127)
    assert "executable file not found in $PATH" in result.err or "no such file or directory" in result.err


def test_a_command_that_is_not_executable_is_126(cli):
    result = cli("run", "--rm", BUSYBOX, "/etc/not-executable", rc=126)
    assert "permission denied" in result.err
    cli("run", "--rm", BUSYBOX, "/etc", rc=126)


def test_an_unknown_image_is_125_and_said(cli):
    result = cli("run", "--rm", "--pull=never", "hoytest:nosuch", "true", rc=125)
    assert "No such image" in result.err or "Unable to find image" in result.err


def test_rm_leaves_nothing(cli, name):
    cli("run", "--rm", "--name", name, BUSYBOX, "true")
    assert until(lambda: name not in cli("ps", "-a", "--format", "{{.Names}}").out, what="removal")


def test_detached_prints_the_id_and_runs_on(cli, name):
    out = cli("run", "-d", "--name", name, BUSYBOX, "sleep", "100").line
    assert re.fullmatch(r"[0-9a-f]{64}", out)
    assert cli("inspect", "--format", "{{.State.Status}} {{.Id}}", name).line == f"running {out}"


def test_environment_workdir_user_hostname(cli):
    out = cli("run", "--rm", "-e", "A=b c", "-e", "B=", "-w", "/tmp/new/dir", "-u", "app", "-h", "sail", BUSYBOX,
              "sh", "-c", 'echo "$A|$B|$PWD|$(id -u):$(id -g)|$(hostname)|$HOME"').line
    assert out == "b c||/tmp/new/dir|1000:1000|sail|/home/app"


def test_user_forms(cli):
    for user, want in (("1000:50", "1000:50"), ("app:staff", "1000:50"), ("4242", "4242:0"), ("app", "1000:1000")):
        assert cli("run", "--rm", "-u", user, BUSYBOX, "sh", "-c", "echo $(id -u):$(id -g)").line == want, user


def test_supplementary_groups_come_from_the_image_and_from_group_add(cli):
    groups = cli("run", "--rm", "-u", "app", "--group-add", "777", BUSYBOX, "id", "-G").line.split()
    assert set(groups) == {"1000", "50", "777"}


def test_an_unknown_user_is_refused(cli):
    result = cli("run", "--rm", "-u", "nosuchuser", BUSYBOX, "true", rc=None)
    assert result.rc in (125, 126) and "unable to find user nosuchuser" in result.err


def test_entrypoint_comes_before_the_command(cli):
    assert cli("run", "--rm", "--entrypoint", "echo", BUSYBOX, "a", "b").line == "a b"


def test_default_environment_is_dockers(cli):
    env = dict(line.split("=", 1) for line in cli("run", "--rm", "-h", "sail", BUSYBOX, "env").out.splitlines() if "=" in line)
    assert env["PATH"] == "/bin" and env["HOSTNAME"] == "sail" and env["HOME"] == "/root"


def test_read_only_root_refuses_writes_and_tmpfs_takes_them(cli):
    out = cli("run", "--rm", "--read-only", "--tmpfs", "/tmp:size=64k", BUSYBOX, "sh", "-c",
              "touch /x 2>&1; touch /tmp/y && echo written; df -k /tmp | tail -1").out
    assert "Read-only file system" in out and "written" in out and re.search(r"\b64\b", out)


def test_ulimits_sysctls_and_shm_size(cli):
    out = cli("run", "--rm", "--ulimit", "nofile=123:456", "--sysctl", "net.ipv4.ip_unprivileged_port_start=5", "--shm-size", "1m", BUSYBOX,
              "sh", "-c", "ulimit -Sn; ulimit -Hn; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; df -k /dev/shm | tail -1").out.split()
    assert out[:3] == ["123", "456", "5"] and "1024" in out[3:]


def test_capabilities_are_dockers_default_and_change_by_option(cli):
    def caps(*options):
        text = cli("run", "--rm", *options, BUSYBOX, "cat", "/proc/self/status").out
        return re.search(r"CapEff:\s+(\w+)", text).group(1), re.search(r"CapBnd:\s+(\w+)", text).group(1)
    assert caps() == ("00000000a80425fb",) * 2
    assert caps("--cap-drop", "ALL") == ("0000000000000000",) * 2
    assert caps("--cap-drop", "ALL", "--cap-add", "NET_ADMIN") == ("0000000000001000",) * 2
    assert caps("-u", "app")[0] == "0000000000000000"


def test_no_new_privileges_and_seccomp_are_set(cli):
    text = cli("run", "--rm", "--security-opt", "no-new-privileges", BUSYBOX, "cat", "/proc/self/status").out
    assert re.search(r"NoNewPrivs:\s+1", text) and re.search(r"Seccomp:\s+2", text)
    text = cli("run", "--rm", "--security-opt", "seccomp=unconfined", BUSYBOX, "cat", "/proc/self/status").out
    assert re.search(r"NoNewPrivs:\s+0", text) and re.search(r"Seccomp:\s+0", text)


def test_cidfile_holds_the_id(cli, tmp_path):
    out = cli("run", "-d", "--cidfile", str(tmp_path / "cid"), BUSYBOX, "true").line
    assert (tmp_path / "cid").read_text() == out


def test_a_terminal_is_a_terminal(cli, terminal):
    t = terminal(cli, "run", "--rm", "-it", BUSYBOX, "sh")
    t.type("tty; exit 3\n")
    t.expect(r"/dev/pts/0\r\n")
    assert t.wait() == 3


def test_the_terminals_size_reaches_the_program_also_when_it_changes(cli, terminal):
    t = terminal(cli, "run", "--rm", "-it", BUSYBOX, "sh", "-c", "while :; do stty size; sleep 0.1; done", size=(33, 99))
    t.expect(r"33 99\r\n")
    t.resize(50, 120)
    t.expect(r"50 120\r\n")


def test_ctrl_c_in_a_terminal_interrupts_the_program(cli, terminal):
    t = terminal(cli, "run", "--rm", "-it", BUSYBOX, "sh", "-c", "trap 'echo caught; exit 5' INT; echo rea''dy; while :; do sleep 0.1; done")
    t.expect("ready")
    t.type(b"\x03")
    t.expect("caught")
    assert t.wait() == 5


def test_signals_to_the_client_are_passed_on(cli, name):
    p = cli.popen("run", "--name", name, BUSYBOX, "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done")
    assert p.stdout.readline() == b"ready\n"
    p.terminate()
    assert p.wait(20) == 9


def test_init_reaps_and_forwards(cli):
    out = cli("run", "--rm", "--init", BUSYBOX, "sh", "-c", "cat /proc/1/comm; echo $$").out.split()
    assert out[0] in ("docker-init", "hoy-init", "tini") and out[1] != "1"


def test_init_passes_signals_and_the_exit_code_on(cli, name):
    cli("run", "-d", "--init", "--name", name, BUSYBOX, "sh", "-c", "trap 'exit 42' USR1; sh -c 'sleep 0.1 & exit 0'; echo ready; while :; do sleep 0.1; done")
    until(lambda: "ready" in cli("logs", name).out, what="the command")
    cli("kill", "-s", "USR1", name)
    assert cli("wait", name).line == "42"
    result = cli("run", "--rm", "--init", BUSYBOX, "/no/such/program", rc=127)
    assert "/no/such/program" in result.err


def test_init_leaves_no_zombies(cli, name):
    cli("run", "-d", "--init", "--name", name, BUSYBOX, "sh", "-c", "for i in 1 2 3 4; do sh -c 'sleep 0.1 & exit 0'; done; sleep 1; echo ready; exec sleep 100")
    until(lambda: "ready" in cli("logs", name).out, what="the orphans' end")
    assert "Z" not in "".join(line.split()[2] for line in cli("exec", name, "sh", "-c", "cat /proc/[0-9]*/stat").out.splitlines())
