"""Published ports: from another host, from the host's own addresses, from 127.0.0.1 and ::1; and the sender's true address."""
import itertools
import json

import pytest

from harness.cli import until
from harness.images import BUSYBOX

ports = itertools.count(20100)


@pytest.fixture
def port():
    return next(ports)


def serve(cli, name, *options):
    cli("run", "-d", "--name", name, *options, BUSYBOX, "echod", "tcp", "7")


def answer(net, address, port):
    """(peer address that the container saw, what it returned)"""
    def ask():
        try:
            return net.ask(address, port, b"ahoy\n").decode().splitlines()
        except OSError:
            return None
    return tuple(until(ask, what=f"an answer from {address}:{port}"))


def test_from_everywhere(cli, engine, name, port, other_host):
    serve(cli, name, "-p", f"{port}:7")
    assert answer(other_host.net, other_host.machine_address, port) == (other_host.address, "ahoy")
    assert answer(engine.net, other_host.machine_address, port)[1] == "ahoy"
    assert answer(engine.net, "127.0.0.1", port)[1] == "ahoy"
    assert answer(engine.net, "::1", port)[1] == "ahoy"
    address = cli.inspect(name, "{{.NetworkSettings.IPAddress}}")
    assert answer(engine.net, address, 7)[1] == "ahoy"


def test_a_port_bound_to_loopback_is_not_seen_from_outside(cli, engine, name, port, other_host):
    serve(cli, name, "-p", f"127.0.0.1:{port}:7")
    assert answer(engine.net, "127.0.0.1", port)[1] == "ahoy"
    with pytest.raises(OSError):
        other_host.net.ask(other_host.machine_address, port, b"x", timeout=1)


def test_nobody_reaches_loopback_ports_by_routing_to_127(cli, engine, name, port, other_host):
    """CVE-2020-8558: a neighbour sends to 127.0.0.1 through us."""
    serve(cli, name, "-p", f"127.0.0.1:{port}:7")
    other_host.net.run("sh", "-c", "ip addr del 127.0.0.1/8 dev lo; ip route replace 127.0.0.1/32 via 198.51.100.1 dev wire; echo 1 > /proc/sys/net/ipv4/conf/wire/route_localnet", check=False)
    try:
        with pytest.raises(OSError):
            other_host.net.ask("127.0.0.1", port, b"x", timeout=1)
    finally:
        other_host.net.run("sh", "-c", "ip route del 127.0.0.1/32 via 198.51.100.1; ip addr add 127.0.0.1/8 dev lo", check=False)


def test_udp(cli, engine, name, port, other_host):
    cli("run", "-d", "--name", name, "-p", f"{port}:9/udp", BUSYBOX, "echod", "udp", "9")
    assert other_host.net.ask_udp(other_host.machine_address, port, b"drop") == b"drop"
    assert engine.net.ask_udp("127.0.0.1", port, b"drip") == b"drip"


def test_port_and_inspect_tell(cli, name, port):
    serve(cli, name, "-p", f"{port}:7", "-p", f"127.0.0.1:{port}:8/udp")
    assert cli("port", name, "7/tcp").out.splitlines()[0] == f"0.0.0.0:{port}"
    assert cli("port", name, "8/udp").line == f"127.0.0.1:{port}"
    assert f"0.0.0.0:{port}->7/tcp" in cli("ps", "--filter", f"name={name}", "--format", "{{.Ports}}").out


def test_a_free_port_is_chosen(cli, engine, name):
    serve(cli, name, "-p", "7")
    port = int(json.loads(cli.inspect(name, "{{json .NetworkSettings.Ports}}"))["7/tcp"][0]["HostPort"])
    assert 1024 < port < 65536 and answer(engine.net, "127.0.0.1", port)[1] == "ahoy"


def test_a_range_of_ports(cli, engine, name):
    base = next(ports) + 5000
    cli("run", "-d", "--name", name, "-p", f"{base}-{base + 2}:7-9", BUSYBOX, "sleep", "100")
    for i in range(3):
        assert cli("port", name, str(7 + i)).out.splitlines()[0] == f"0.0.0.0:{base + i}"


def test_a_port_in_use_by_another_container_is_refused(cli, engine, name, port):
    serve(cli, name, "-p", f"{port}:7")
    result = cli("run", "--name", name + "b", "-p", f"{port}:7", BUSYBOX, "true", rc=125)
    assert "port is already allocated" in result.err or "address already in use" in result.err
    assert cli.inspect(name + "b", "{{.State.Status}}") == "created"
    assert answer(engine.net, "127.0.0.1", port)[1] == "ahoy"


def test_a_port_in_use_by_a_program_of_the_host_is_refused(cli, engine, name, port):
    import socket
    from harness.machine import in_netns

    def listen():
        s = socket.socket()
        s.bind(("0.0.0.0", port))
        s.listen()
        return s
    with in_netns(engine.machine.pid, listen):
        assert "address already in use" in cli("run", "--name", name, "-p", f"{port}:7", BUSYBOX, "true", rc=125).err


def test_a_stopped_container_frees_its_port(cli, engine, name, port):
    serve(cli, name, "-p", f"{port}:7")
    answer(engine.net, "127.0.0.1", port)
    cli("stop", "-t", "0", name)
    with pytest.raises(OSError):
        engine.net.ask("127.0.0.1", port, b"x", timeout=1)
    serve(cli, name + "b", "-p", f"{port}:7")
    assert answer(engine.net, "127.0.0.1", port)[1] == "ahoy"


def test_a_restarted_container_is_reached_at_the_same_port(cli, engine, name, port):
    serve(cli, name, "-p", f"{port}:7")
    answer(engine.net, "127.0.0.1", port)
    cli("restart", "-t", "0", name)
    assert answer(engine.net, "127.0.0.1", port)[1] == "ahoy"


def test_a_container_reaches_itself_and_its_neighbour_by_the_published_port(cli, engine, name, port, other_host):
    serve(cli, name, "-p", f"{port}:7")
    answer(engine.net, "127.0.0.1", port)
    for who in ("neighbour", "itself"):
        command = f"for i in $(seq 30); do echo ahoy | nc -w 2 {other_host.machine_address} {port} && break; sleep 0.2; done"
        result = cli("run", "--rm", BUSYBOX, "sh", "-c", command) if who == "neighbour" else cli("exec", name, "sh", "-c", command)
        assert "ahoy" in result.out, who


def test_the_engines_restart_does_not_cut_connections(new_engine, client, tmp_path):
    from harness.cli import Cli
    engine = new_engine()
    cli = Cli(client, engine.host, str(tmp_path))
    cli("run", "-d", "--name", "hoyt-echo", "-p", "20099:7", BUSYBOX, "echod", "tcp", "7")
    answer(engine.net, "127.0.0.1", 20099)
    with engine.net.connect("127.0.0.1", 20099) as s:
        assert s.recv(100).endswith(b"\n")
        s.sendall(b"before\n")
        assert s.recv(100) == b"before\n"
        engine.kill()
        s.sendall(b"while dead\n")
        assert s.recv(100) == b"while dead\n"
        engine.start()
        s.sendall(b"after\n")
        assert s.recv(100) == b"after\n"
    assert cli("port", "hoyt-echo", "7").out.startswith("0.0.0.0:20099")
