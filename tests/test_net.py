"""The default bridge and its alternatives: addresses, names, who can reach whom."""
import json
import re

from harness.cli import until
from harness.images import BUSYBOX


def test_a_container_has_an_address_a_gateway_and_a_mac(cli, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sleep", "100")
    net = json.loads(cli.inspect(name, "{{json .NetworkSettings}}"))
    bridge = net["Networks"]["bridge"]
    assert re.fullmatch(r"\d+\.\d+\.\d+\.\d+", bridge["IPAddress"]) and bridge["Gateway"] and bridge["IPPrefixLen"] == 16
    assert re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", bridge["MacAddress"])
    out = cli("exec", name, "sh", "-c", "ip -o -4 addr show eth0; ip route; cat /sys/class/net/eth0/address").out
    assert f"{bridge['IPAddress']}/16" in out and f"default via {bridge['Gateway']}" in out and bridge["MacAddress"] in out


def test_hosts_hostname_and_resolv_conf_are_made(cli, name):
    cli("run", "-d", "--name", name, "-h", "ship.example", "--add-host", "lighthouse:192.0.2.7", "--dns", "192.0.2.53", "--dns-search", "example", BUSYBOX, "sleep", "100")
    address = cli.inspect(name, "{{.NetworkSettings.IPAddress}}")
    hosts = cli("exec", name, "cat", "/etc/hosts").out
    assert "127.0.0.1\tlocalhost" in hosts and re.search(rf"^{re.escape(address)}\s+ship.example ship$", hosts, re.M) and "192.0.2.7\tlighthouse" in hosts
    resolv = cli("exec", name, "cat", "/etc/resolv.conf").out
    assert "nameserver 192.0.2.53" in resolv and "search example" in resolv
    assert cli("exec", name, "cat", "/etc/hostname").line == "ship.example"


def test_containers_on_the_bridge_reach_each_other(cli, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sh", "-c", "while :; do echo from afar | nc -l -p 80; done")
    address = cli.inspect(name, "{{.NetworkSettings.IPAddress}}")
    until(lambda: cli("run", "--rm", BUSYBOX, "nc", "-w", "2", address, "80", rc=None).out == "from afar\n")


def test_the_world_is_reached_with_the_hosts_address(cli, engine, other_host):
    import socket
    import threading
    from harness.machine import in_netns
    s = in_netns(other_host.net.pid, socket.socket)
    s.bind((other_host.address, 0))
    s.listen()
    s.settimeout(20)
    peers = []

    def serve():
        c, peer = s.accept()
        peers.append(peer[0])
        c.sendall(b"hello\n")
        c.close()
    thread = threading.Thread(target=serve)
    thread.start()
    out = cli("run", "--rm", BUSYBOX, "nc", "-w", "5", other_host.address, str(s.getsockname()[1])).out
    thread.join()
    s.close()
    assert out == "hello\n" and peers == [other_host.machine_address]


def test_network_none_has_loopback_only(cli):
    assert cli("run", "--rm", "--network", "none", BUSYBOX, "ls", "/sys/class/net").out.split() == ["lo"]
    assert "127.0.0.1" in cli("run", "--rm", "--network", "none", BUSYBOX, "ip", "addr").out


def test_network_host_is_the_hosts(cli, engine):
    out = cli("run", "--rm", "--network", "host", BUSYBOX, "readlink", "/proc/self/ns/net").line
    assert out == engine.machine.run("readlink", "/proc/self/ns/net").stdout.strip()


def test_network_of_another_container(cli, name):
    cli("run", "-d", "--name", name, BUSYBOX, "sleep", "100")
    mine = cli("exec", name, "readlink", "/proc/self/ns/net").line
    assert cli("run", "--rm", "--network", f"container:{name}", BUSYBOX, "readlink", "/proc/self/ns/net").line == mine
    cli("exec", name, "sh", "-c", "echo 192.0.2.7 beacon >> /etc/hosts")
    assert "192.0.2.7 beacon" in cli("run", "--rm", "--network", f"container:{name}", BUSYBOX, "cat", "/etc/hosts").out  # one set of files
    assert "conflicting options" in cli("run", "--rm", "--network", f"container:{name}", "-p", "80:80", BUSYBOX, "true", rc=125).err
    cli("stop", "-t", "0", name)
    assert "non running container" in cli("run", "--rm", "--network", f"container:{name}", BUSYBOX, "true", rc=125).err


def test_an_unknown_network_is_refused(cli, name):
    assert "network nosuch not found" in cli("run", "--name", name, "--network", "nosuch", BUSYBOX, "true", rc=125).err


def test_addresses_are_given_back(cli, name):
    addresses = set()
    for _ in range(4):
        addresses.add(cli("run", "--rm", BUSYBOX, "sh", "-c", "ip -o -4 addr show eth0 | tr -s ' ' | cut -d' ' -f4").line)
    assert len(addresses) <= 4 and all(a.endswith("/16") for a in addresses)


def test_nothing_of_a_container_stays_in_the_hosts_network(docker, engine):
    before = engine.net.run("ip", "-o", "link").stdout.count("\n")
    docker("run", "--rm", "-p", "20999:7", BUSYBOX, "true")
    until(lambda: engine.net.run("ip", "-o", "link").stdout.count("\n") <= before + 1, what="the link's end")
    until(lambda: engine.net.run("ip", "-o", "link").stdout.count("veth") == 0, what="no veth")


def test_other_firewall_tables_stay_as_they_are(own_engine, tmp_path):
    from harness.cli import Cli
    docker = Cli("docker", own_engine.host, str(tmp_path))
    net = own_engine.net
    net.run("nft", "add table inet mine; add chain inet mine c { type filter hook input priority 5; policy accept; }; add rule inet mine c tcp dport 1 counter drop")
    before = net.run("nft", "-s", "list", "table", "inet", "mine").stdout
    docker("run", "--rm", "-p", "20998:7", BUSYBOX, "true")
    own_engine.restart()
    docker("run", "--rm", "-p", "20998:7", BUSYBOX, "true")
    assert net.run("nft", "-s", "list", "table", "inet", "mine").stdout == before
    assert "iptables" not in net.run("nft", "list", "ruleset").stdout


def test_a_forward_policy_that_drops_is_said_in_info(own_engine, tmp_path):
    from harness.cli import Cli
    docker = Cli("docker", own_engine.host, str(tmp_path))
    own_engine.net.run("nft", "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }")
    own_engine.restart()
    info = docker("info", "--format", "{{json .Warnings}}").out
    assert "forward" in info.lower() and "drop" in info.lower()
