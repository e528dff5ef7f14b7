"""Networks of the user's own: made and removed, joined and left, apart from each other, there again after hoyd is."""
import json
import time

import pytest

from harness import census
from harness.cli import Cli, until
from harness.images import BUSYBOX

SERVE = ["sh", "-c", "while :; do echo from afar | nc -l -p 80; done"]


@pytest.fixture
def net(cli, engine, name):
    """A name for a network; what bears it, with a suffix or without, is gone after the test."""
    yield f"{name}-n"
    engine.remove_containers()
    for n in engine.api.get("/networks").json:
        if n["Name"].startswith(f"{name}-n"):
            engine.api.delete(f"/networks/{n['Id']}")


def asks(cli, box, address, port=80, rc=None):
    return cli("exec", box, "nc", "-w", "2", address, str(port), rc=rc).out


def where(engine, box):
    return engine.api.inspect(box)["NetworkSettings"]["Networks"]


def test_made_inspected_listed_removed(cli, engine, net):
    made = cli("network", "create", "--label", "a=b", "--subnet", "10.90.0.0/16", "--ip-range", "10.90.4.0/24", "--gateway", "10.90.0.9", "--aux-address", "x=10.90.4.1", net).line
    n = json.loads(cli("network", "inspect", net).out)[0]
    assert n["Id"] == made and n["Driver"] == "bridge" and n["Labels"] == {"a": "b"} and n["Scope"] == "local" and not n["Internal"]
    assert n["IPAM"]["Config"] == [{"Subnet": "10.90.0.0/16", "IPRange": "10.90.4.0/24", "Gateway": "10.90.0.9", "AuxiliaryAddresses": {"x": "10.90.4.1"}}]
    assert net in cli("network", "ls", "--filter", "label=a=b", "--format", "{{.Name}}").out.split()
    assert cli("network", "ls", "--filter", "type=builtin", "--filter", f"name={net}", "-q").out == ""
    assert "already exists" in cli("network", "create", net, rc=1).err
    assert "overlaps" in cli("network", "create", "--subnet", "10.90.7.0/24", f"{net}2", rc=1).err
    assert cli("network", "rm", net).line == net
    assert engine.api.get(f"/networks/{net}").status == 404


def test_the_same_subnet_is_never_given_twice(cli, engine, net):
    for i in range(3):
        cli("network", "create", f"{net}{i}")
    subnets = [engine.api.get(f"/networks/{net}{i}").json["IPAM"]["Config"][0]["Subnet"] for i in range(3)]
    assert len(set(subnets)) == 3


def test_members_reach_each_other_and_nobody_else_does(cli, engine, net):
    cli("network", "create", net)
    cli("network", "create", f"{net}2")
    cli("run", "-d", "--name", f"{net}-a", "--network", net, BUSYBOX, *SERVE)
    for box, on in (("b", net), ("c", f"{net}2")):
        cli("run", "-d", "--name", f"{net}-{box}", "--network", on, BUSYBOX, "sleep", "100")
    address = where(engine, f"{net}-a")[net]["IPAddress"]
    until(lambda: asks(cli, f"{net}-b", address) == "from afar\n")
    assert asks(cli, f"{net}-c", address) == ""
    assert "has active endpoints" in cli("network", "rm", net, rc=1).err
    assert {c["Name"] for c in engine.api.get(f"/networks/{net}").json["Containers"].values()} == {f"{net}-a", f"{net}-b"}


def test_address_mac_and_aliases_as_asked(cli, engine, net):
    cli("network", "create", "--subnet", "10.91.0.0/24", net)
    cli("run", "-d", "--name", f"{net}-a", "--network", net, "--ip", "10.91.0.77", "--mac-address", "02:00:00:00:00:77", "--network-alias", "lamp", BUSYBOX, "sleep", "100")
    ep = where(engine, f"{net}-a")[net]
    assert ep["IPAddress"] == "10.91.0.77" and ep["MacAddress"] == "02:00:00:00:00:77" and "lamp" in ep["Aliases"]
    out = cli("exec", f"{net}-a", "sh", "-c", "ip -o -4 addr show eth0; ip route; cat /sys/class/net/eth0/address").out
    assert "10.91.0.77/24" in out and "default via 10.91.0.1" in out and "02:00:00:00:00:77" in out
    taken = cli("run", "--rm", "--network", net, "--ip", "10.91.0.77", BUSYBOX, "true", rc=125).err
    assert "Address already in use" in taken
    outside = cli("run", "--rm", "--network", net, "--ip", "10.92.0.77", BUSYBOX, "true", rc=125).err
    assert "no configured subnet" in outside
    cli("network", "create", f"{net}2")
    assert "user configured subnets" in cli("run", "--rm", "--network", f"{net}2", "--ip", "172.18.0.9", BUSYBOX, "true", rc=125).err


def test_joined_and_left_while_it_runs(cli, engine, net):
    cli("network", "create", f"{net}a")
    cli("network", "create", "--subnet", "10.93.0.0/24", f"{net}b")
    cli("run", "-d", "--name", net, "--network", f"{net}a", BUSYBOX, "sleep", "100")
    cli("network", "connect", "--ip", "10.93.0.50", "--alias", "lamp", f"{net}b", net)
    assert "10.93.0.50/24" in cli("exec", net, "ip", "-o", "-4", "addr", "show", "eth1").out
    assert where(engine, net)[f"{net}b"]["IPAddress"] == "10.93.0.50"
    first = where(engine, net)[f"{net}a"]["Gateway"]
    assert f"default via {first}" in cli("exec", net, "ip", "route").out  # by name
    cli("network", "disconnect", f"{net}a", net)
    out = cli("exec", net, "sh", "-c", "ip route; ls /sys/class/net").out
    assert "default via 10.93.0.1" in out and "eth0" not in out and set(where(engine, net)) == {f"{net}b"}
    assert "is not connected to network" in cli("network", "disconnect", f"{net}a", net, rc=1).err
    cli("restart", "-t", "0", net)
    assert "10.93.0.50" in cli("exec", net, "ip", "-o", "-4", "addr").out


def test_joined_while_it_is_stopped(cli, engine, net):
    for on in "ab":
        cli("network", "create", f"{net}{on}")
    cli("create", "--name", net, "--network", f"{net}b", BUSYBOX, "sleep", "100")
    cli("network", "connect", f"{net}a", net)
    cli("start", net)
    assert set(where(engine, net)) == {f"{net}a", f"{net}b"} and "eth1" in cli("exec", net, "ls", "/sys/class/net").out
    cli("kill", net)
    cli("network", "disconnect", f"{net}b", net)
    cli("start", net)
    assert set(where(engine, net)) == {f"{net}a"} and "eth1" not in cli("exec", net, "ls", "/sys/class/net").out


def test_ports_are_published_and_move_with_the_way_out(cli, engine, net):
    for on in "ab":
        cli("network", "create", f"{net}{on}")
    cli("run", "-d", "--name", net, "--network", f"{net}a", "-p", "20790:7", BUSYBOX, "echod", "tcp", "7")

    def echo(address="127.0.0.1"):
        try:
            return engine.net.ask(address, 20790, b"hello")
        except OSError:
            return b""
    until(lambda: b"hello" in echo())
    cli("network", "connect", f"{net}b", net)
    assert b"hello" in echo()
    cli("network", "disconnect", f"{net}a", net)
    until(lambda: b"hello" in echo(), 10)
    assert cli("port", net, "7").out.splitlines()[0] == "0.0.0.0:20790"
    cli("network", "disconnect", f"{net}b", net)
    assert echo() == b""


def test_an_internal_network_leads_nowhere(cli, engine, net, other_host):
    cli("network", "create", "--internal", net)
    cli("run", "-d", "--name", f"{net}-a", "--network", net, BUSYBOX, *SERVE)
    cli("run", "-d", "--name", f"{net}-b", "--network", net, BUSYBOX, "sleep", "100")
    assert "default" not in cli("exec", f"{net}-b", "ip", "route").out
    until(lambda: asks(cli, f"{net}-b", where(engine, f"{net}-a")[net]["IPAddress"]) == "from afar\n")
    assert cli("exec", f"{net}-b", "ping", "-c", "1", "-W", "1", other_host.address, rc=None).rc != 0


def test_old_clients_find_the_short_id_among_the_aliases(engine, cli, net):
    cli("network", "create", net)
    cli("create", "--name", net, "--network", net, "--network-alias", "lamp", BUSYBOX, "true")
    box = engine.api.get(f"/containers/{net}/json", version="v1.51").json
    assert box["NetworkSettings"]["Networks"][net]["Aliases"] == ["lamp"]
    box = engine.api.get(f"/containers/{net}/json", version="v1.40").json
    assert box["NetworkSettings"]["Networks"][net]["Aliases"] == ["lamp", box["Id"][:12]]


def test_prune_spares_what_is_in_use(cli, engine, net):
    for on in "abc":
        cli("network", "create", "--label", net, f"{net}{on}")
    cli("run", "-d", "--name", net, "--network", f"{net}a", BUSYBOX, "sleep", "100")
    cli("create", "--name", f"{net}-x", "--network", f"{net}b", BUSYBOX, "true")
    out = cli("network", "prune", "-f", "--filter", f"label={net}").out
    assert f"{net}c" in out.split() and f"{net}a" not in out.split()


def test_they_are_told_as_events(engine, cli, net):
    start = time.time()
    cli("network", "create", net)
    cli("run", "--rm", "--name", f"{net}-a", "--network", net, BUSYBOX, "true")
    cli("network", "rm", net)
    time.sleep(0.2)
    out = cli("events", "--since", str(int(start)), "--until", str(time.time()), "--filter", "type=network", "--filter", f"network={net}", "--format", "{{.Action}}").out.split()
    assert out == ["create", "connect", "disconnect", "destroy"]


def test_networks_outlive_hoyd(own_engine, client, tmp_path):
    cli = Cli(client, own_engine.host, str(tmp_path))
    outside = census.outside(own_engine)
    cli("network", "create", "--subnet", "10.94.0.0/24", "na")
    cli("network", "create", "nb")
    cli("run", "-d", "--name", "aa", "--network", "na", "--ip", "10.94.0.9", "-p", "20791:7", BUSYBOX, "echod", "tcp", "7")
    cli("network", "connect", "nb", "aa")
    cli("run", "-d", "--name", "rr", "--restart", "always", "--network", "na", BUSYBOX, "sh", "-c", "ip -o -4 addr show eth0; sleep 1")
    mine = where(own_engine, "rr")["na"]["IPAddress"]
    before = where(own_engine, "aa")
    own_engine.kill()
    time.sleep(3)  # the shim starts r again, in the same namespace
    own_engine.start()
    assert where(own_engine, "aa") == before
    lines = [line for line in cli("logs", "rr").out.splitlines() if f"{mine}/24" in line]
    assert len(lines) >= 2
    assert b"hello" in own_engine.net.ask("127.0.0.1", 20791, b"hello")
    cli("network", "disconnect", "na", "aa")
    assert "eth0" not in cli("exec", "aa", "ls", "/sys/class/net").out
    cli("rm", "-f", "aa", "rr")
    cli("network", "rm", "na", "nb")
    have = census.settles(lambda: census.outside(own_engine), outside)
    left = census.difference(have, outside)
    left.pop("nft", None)  # the table with its first endpoint
    assert not left, left


def test_made_and_removed_leaves_nothing(own_engine, client, tmp_path):
    cli = Cli(client, own_engine.host, str(tmp_path))
    cli("run", "--rm", BUSYBOX, "true")
    outside, (inside, _, fds) = census.outside(own_engine), census.process(own_engine)
    for i in range(10):
        cli("network", "create", "n")
        cli("run", "--rm", "--network", "n", BUSYBOX, "true")
        cli("network", "rm", "n")
    have = census.settles(lambda: census.outside(own_engine), outside)
    assert have == outside, census.difference(have, outside)
    assert census.settles(lambda: census.process(own_engine)[0], inside) == inside, fds
