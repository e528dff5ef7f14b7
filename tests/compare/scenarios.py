"""What is asked of both engines. A scenario is a name "group/what" and a list of requests; "~" stands for this run's prefix of names,
${x} for what an earlier answer called its Id, ${x:n} for its first n digits, ${start} and ${now} for seconds."""
import hashlib
import io
import json
import tarfile
import urllib.parse

from harness import images

# lists whose order is chance (Go maps, directory order); "top" is a whole answer
UNORDERED = {"Mounts", "RepoTags", "Volumes", "Names", "top", "Components", "Warnings", "Ports"}
BOX, RICH = "hoycmp:box", "hoycmp:rich"
TABLE = []


class Step:
    def __init__(self, method, path, body=None, *, headers=None, version=None, save=None, hidden=False, shape=False, with_headers=False,
                 pick=None, unordered=False, label=None):
        self.method, self.path, self.body, self.headers, self.version = method, path, body, headers, version
        self.save, self.hidden, self.shape, self.with_headers, self.pick, self.unordered = save, hidden, shape, with_headers, pick, unordered
        self.label = label


class Scenario:
    def __init__(self, name, steps):
        self.name, self.group, self.steps = name, name.split("/")[0], steps


def scenario(name, *steps):
    assert all(s.name != name for s in TABLE), name
    TABLE.append(Scenario(name, steps))


def get(path, **kw):
    return Step("GET", path, **kw)


def post(path, body=None, **kw):
    return Step("POST", path, body, **kw)


def delete(path, **kw):
    return Step("DELETE", path, **kw)


def query(path, **kw):
    return path + "?" + urllib.parse.urlencode({k: json.dumps(v) if isinstance(v, (dict, list)) else v for k, v in kw.items()}, safe="~${}:")


def create(name="c", image=BOX, *, host=None, hidden=False, version=None, save=None, net=None, **config):
    body = {"Image": image, **config}
    if host is not None:
        body["HostConfig"] = host
    if net is not None:
        body["NetworkingConfig"] = net
    return post(f"/containers/create?name=~{name}", body, save=save or name, hidden=hidden, version=version)


def made(name="c", *, image=BOX, host=None, **config):
    """A container that is there before the question."""
    config.setdefault("Cmd", ["sleep", "1000"])
    return create(name, image, host=host, hidden=True, **config)


def verb(name, what, **kw):
    return post(f"/containers/~{name}/{what}", hidden=True, **kw)


def inspect(name="c", **kw):
    return get(f"/containers/~{name}/json", **kw)


# ---- the images: one bare, one with every field of a config ----
def image_archives():
    def layer(*members):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name, kw in members:
                images.add(tar, name, **kw)
        return out.getvalue()
    with open("/bin/busybox", "rb") as f:
        busybox = f.read()
    folder = dict(kind=tarfile.DIRTYPE, mode=0o755)
    base = layer(("bin", folder), ("bin/busybox", dict(data=busybox, mode=0o755)),
                 *[(f"bin/{a}", dict(kind=tarfile.LNKTYPE, mode=0o755, linkname="bin/busybox")) for a in ("sh", "sleep", "echo", "cat", "true", "false", "ps", "id")],
                 ("etc", folder), ("etc/passwd", dict(data=images.PASSWD.encode())), ("etc/group", dict(data=images.GROUP.encode())),
                 ("etc/not-executable", dict(data=b"just text\n")), ("tmp", dict(kind=tarfile.DIRTYPE, mode=0o1777)), ("data", folder))
    second = layer(("data/file", dict(data=b"hello\n")))
    rich = {"User": "app", "ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "Env": ["PATH=/bin", "A=image", "B=image"], "Entrypoint": ["/bin/echo"],
            "Cmd": ["from", "image"], "Volumes": {"/data": {}}, "WorkingDir": "/tmp", "Labels": {"a": "image", "b": "image"}, "StopSignal": "SIGUSR1",
            "OnBuild": ["RUN true"], "Shell": ["/bin/sh", "-c"]}
    bare = {"Env": ["PATH=/bin"], "Cmd": ["sh"]}
    return [_archive([base], bare, BOX), _archive([base, second], rich, RICH)]


def _archive(layers, config, tag):
    digests = ["sha256:" + hashlib.sha256(x).hexdigest() for x in layers]
    image = {"architecture": "amd64", "os": "linux", "created": "2024-01-02T03:04:05.678Z", "author": "somebody", "config": config,
             "rootfs": {"type": "layers", "diff_ids": digests},
             "history": [{"created": "2024-01-02T03:04:05Z", "created_by": f"layer {i}"} for i in range(len(layers))]
             + [{"created": "2024-01-02T03:04:05.678Z", "created_by": "CMD", "comment": "nothing", "empty_layer": True}]}
    text = json.dumps(image).encode()
    name = hashlib.sha256(text).hexdigest()
    manifest = [{"Config": f"{name}.json", "RepoTags": [tag], "Layers": [f"{i}/layer.tar" for i in range(len(layers))]}]
    return images.tar_of(*[(f"{i}/layer.tar", dict(data=x)) for i, x in enumerate(layers)], (f"{name}.json", dict(data=text)),
                         ("manifest.json", dict(data=json.dumps(manifest).encode())))


# ---- create and inspect ----
def created_and_shown(name, **kw):
    scenario(name, create(**kw), inspect())


created_and_shown("create/minimal")
for _v in ("v1.24", "v1.40", "v1.43", "v1.44", "v1.51"):
    scenario(f"create/in {_v}", create(version=_v, Cmd=["true"]), inspect(version=_v))
created_and_shown("create/config", Hostname="h", Domainname="d", User="1000:1000", AttachStdin=True, AttachStdout=True, AttachStderr=True, Tty=True, OpenStdin=True,
                  StdinOnce=True, Env=["X=1", "EMPTY=", "UNSET"], Cmd=["echo", "a b"], WorkingDir="/tmp/new", Labels={"l": "1"}, StopSignal="SIGINT", StopTimeout=7,
                  ExposedPorts={"8080/tcp": {}}, Volumes={"/vol": {}}, Entrypoint=["/bin/sh", "-c"], MacAddress="02:42:00:11:22:33", NetworkDisabled=False)
created_and_shown("create/merge nothing", image=RICH)
created_and_shown("create/merge cmd", image=RICH, Cmd=["mine"])
created_and_shown("create/merge entrypoint", image=RICH, Entrypoint=["/bin/cat"])
created_and_shown("create/merge both", image=RICH, Entrypoint=["/bin/cat"], Cmd=["x"])
created_and_shown("create/merge entrypoint reset", image=RICH, Entrypoint=[""], Cmd=["/bin/true"])
created_and_shown("create/merge entrypoint empty", image=RICH, Entrypoint=[], Cmd=[])
created_and_shown("create/merge cmd as text", image=RICH, Cmd="text")
created_and_shown("create/merge env labels ports", image=RICH, Env=["B=mine", "C=mine", "A"], Labels={"b": "mine", "c": "mine"}, ExposedPorts={"81/tcp": {}, "80/tcp": {}},
                  User="root", WorkingDir="/", StopSignal="15")
created_and_shown("create/healthcheck", Cmd=["true"], Healthcheck={"Test": ["CMD", "true"], "Interval": 1000000000, "Retries": 3})
created_and_shown("create/healthcheck none", Cmd=["true"], Healthcheck={"Test": ["NONE"]})

HOST = {
    "memory": {"Memory": 67108864}, "memory and swap": {"Memory": 67108864, "MemorySwap": -1, "MemorySwappiness": 10},
    "memory reservation": {"Memory": 67108864, "MemoryReservation": 33554432, "OomKillDisable": True},
    "kernel memory": {"KernelMemory": 67108864}, "kernel memory tcp": {"KernelMemoryTCP": 67108864},
    "cpu": {"CpuShares": 512, "CpuPeriod": 100000, "CpuQuota": 50000, "CpusetCpus": "0", "CpusetMems": "0"},
    "nano cpus": {"NanoCpus": 500000000}, "pids": {"PidsLimit": 50}, "pids unlimited": {"PidsLimit": -1}, "pids zero": {"PidsLimit": 0},
    "blkio": {"BlkioWeight": 300}, "oom score": {"OomScoreAdj": 500}, "shm": {"ShmSize": 1048576}, "init": {"Init": True}, "init false": {"Init": False},
    "ulimits": {"Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}]}, "readonly": {"ReadonlyRootfs": True},
    "caps": {"CapAdd": ["net_admin", "CAP_SYS_PTRACE"], "CapDrop": ["ALL"]}, "caps all": {"CapAdd": ["all"]}, "privileged": {"Privileged": True},
    "security": {"SecurityOpt": ["seccomp=unconfined", "no-new-privileges"]}, "security colon": {"SecurityOpt": ["seccomp:unconfined"]},
    "security label": {"SecurityOpt": ["label=disable"]}, "systempaths": {"SecurityOpt": ["systempaths=unconfined"]},
    "masked empty": {"MaskedPaths": [], "ReadonlyPaths": []}, "masked own": {"MaskedPaths": ["/proc/x"], "ReadonlyPaths": ["/proc/y"]},
    "bind": {"Binds": ["/usr/share:/x:ro"]}, "bind modes": {"Binds": ["/usr/share:/x:rw,rslave", "/usr:/y:z"]}, "bind volume": {"Binds": ["~vol:/v", "~vol:/w:ro,nocopy"]},
    "mounts": {"Mounts": [{"Type": "bind", "Source": "/usr/share", "Target": "/x", "ReadOnly": True}, {"Type": "volume", "Source": "~vol", "Target": "/v"},
                          {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1048576, "Mode": 448}}]},
    "mounts anonymous": {"Mounts": [{"Type": "volume", "Target": "/v"}]},
    "mounts volume options": {"Mounts": [{"Type": "volume", "Source": "~vol", "Target": "/v", "VolumeOptions": {"NoCopy": True, "Labels": {"a": "b"}}}]},
    "mounts bind options": {"Mounts": [{"Type": "bind", "Source": "/usr/share", "Target": "/x", "BindOptions": {"Propagation": "rslave", "NonRecursive": True}}]},
    "tmpfs": {"Tmpfs": {"/t": "size=1m,mode=1777", "/u": ""}}, "devices": {"Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "rwm"}]},
    "device rules": {"DeviceCgroupRules": ["c 1:3 rwm"]}, "sysctls": {"Sysctls": {"net.ipv4.ip_forward": "1"}},
    "dns": {"Dns": ["1.1.1.1"], "DnsSearch": ["example.org"], "DnsOptions": ["ndots:2"]}, "dns empty": {"Dns": [], "DnsSearch": [], "DnsOptions": []},
    "extra hosts": {"ExtraHosts": ["a:1.2.3.4", "b:host-gateway"]}, "group add": {"GroupAdd": ["staff", "5"]},
    "net host": {"NetworkMode": "host"}, "net none": {"NetworkMode": "none"}, "net default": {"NetworkMode": "default"}, "net bridge": {"NetworkMode": "bridge"},
    "pid host": {"PidMode": "host"}, "ipc host": {"IpcMode": "host"}, "ipc shareable": {"IpcMode": "shareable"}, "uts host": {"UTSMode": "host"}, "cgroupns": {"CgroupnsMode": "private"},
    "userns host": {"UsernsMode": "host"}, "ports": {"PortBindings": {"80/tcp": [{"HostPort": "8123"}, {"HostIp": "127.0.0.1", "HostPort": "8124-8130"}], "53/udp": [{}]}},
    "ports plain": {"PortBindings": {"80": [{"HostPort": ""}]}}, "ports null": {"PortBindings": {"80/tcp": None}}, "ports host net": {"NetworkMode": "host", "PortBindings": {"80/tcp": [{"HostPort": "8123"}]}},
    "publish all": {"PublishAllPorts": True}, "restart always": {"RestartPolicy": {"Name": "always"}}, "restart on-failure": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}},
    "restart empty": {"RestartPolicy": {"Name": "", "MaximumRetryCount": 0}}, "auto remove": {"AutoRemove": True}, "log": {"LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}}},
    "log none": {"LogConfig": {"Type": "none", "Config": {}}}, "log empty": {"LogConfig": {"Type": "", "Config": {}}}, "runtime": {"Runtime": "runc"}, "console": {"ConsoleSize": [24, 80]},
    "annotations": {"Annotations": {"a": "b"}}, "container id file": {"ContainerIDFile": "/x"}, "cgroup parent": {"CgroupParent": "/hoycmp"}, "volume driver": {"VolumeDriver": "local"}, "unknown field": {"NoSuch": 1},
}
for _name, _host in HOST.items():
    created_and_shown(f"create-host/{_name}", host=_host, Cmd=["true"])
created_and_shown("create-host/publish all with ports", image=RICH, host={"PublishAllPorts": True})
scenario("create-host/volumes from", made("a", Volumes={"/v": {}}), create(host={"VolumesFrom": ["~a:ro"]}, Cmd=["true"]), inspect())
scenario("create-host/container net", made("a"), create(host={"NetworkMode": "container:~a"}, Cmd=["true"]), inspect())
created_and_shown("create-host/endpoint", Cmd=["true"], net={"EndpointsConfig": {"bridge": {"Aliases": ["x"], "MacAddress": "02:42:00:00:00:09"}}})

BAD_HOST = {
    "memory": {"Memory": 1024}, "memory swap": {"Memory": 67108864, "MemorySwap": 1000}, "swap alone": {"MemorySwap": 67108864}, "swappiness": {"MemorySwappiness": 101},
    "reservation": {"MemoryReservation": 100}, "reservation over": {"Memory": 67108864, "MemoryReservation": 134217728}, "negative memory": {"Memory": -5},
    "shm": {"ShmSize": -1}, "oom score": {"OomScoreAdj": 2000}, "nano and period": {"NanoCpus": 100000000, "CpuPeriod": 1000}, "nano and quota": {"NanoCpus": 100000000, "CpuQuota": 1000},
    "nano many": {"NanoCpus": 1000000000000}, "nano negative": {"NanoCpus": -1}, "shares": {"CpuShares": -1}, "period": {"CpuPeriod": 5}, "quota": {"CpuQuota": 5}, "blkio": {"BlkioWeight": 5},
    "blkio big": {"BlkioWeight": 5000}, "cpuset": {"CpusetCpus": "a"}, "cpuset many": {"CpusetCpus": "0-99"}, "cpuset mems": {"CpusetMems": "x"}, "cpuset mems many": {"CpusetMems": "77"},
    "restart": {"RestartPolicy": {"Name": "sometimes"}}, "restart count": {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}}, "restart negative": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": -1}},
    "restart negative always": {"RestartPolicy": {"Name": "always", "MaximumRetryCount": -1}}, "restart count alone": {"RestartPolicy": {"MaximumRetryCount": 2}}, "restart and rm": {"RestartPolicy": {"Name": "always"}, "AutoRemove": True},
    "port": {"PortBindings": {"x/tcp": [{}]}}, "port big": {"PortBindings": {"70000/tcp": [{}]}}, "port proto": {"PortBindings": {"80/xyz": [{}]}}, "port empty": {"PortBindings": {"": [{}]}},
    "host port": {"PortBindings": {"80/tcp": [{"HostPort": "abc"}]}}, "host port big": {"PortBindings": {"80/tcp": [{"HostPort": "99999"}]}}, "host port backwards": {"PortBindings": {"80/tcp": [{"HostPort": "10-5"}]}},
    "host ip": {"PortBindings": {"80/tcp": [{"HostIp": "1.2.3", "HostPort": "1"}]}}, "port zero": {"PortBindings": {"0/tcp": [{}]}},
    "bind": {"Binds": ["/a"]}, "bind relative": {"Binds": ["/usr:x"]}, "bind mode": {"Binds": ["/usr:/x:bad"]}, "bind many": {"Binds": ["/a:/b:ro:x"]}, "bind root": {"Binds": ["/usr:/"]}, "bind volume name": {"Binds": ["a/b:/x"]},
    "bind short volume": {"Binds": ["a:/x"]}, "bind twice": {"Binds": ["/usr:/x", "/bin:/x"]}, "bind empty": {"Binds": [""]}, "bind empty source": {"Binds": [":/x"]},
    "mount type": {"Mounts": [{"Type": "magic", "Target": "/x"}]}, "mount no type": {"Mounts": [{"Target": "/x"}]}, "mount source": {"Mounts": [{"Type": "bind", "Source": "/no/such", "Target": "/x"}]},
    "mount relative": {"Mounts": [{"Type": "bind", "Source": "usr", "Target": "/x"}]}, "mount no source": {"Mounts": [{"Type": "bind", "Target": "/x"}]}, "mount no target": {"Mounts": [{"Type": "bind", "Source": "/usr"}]},
    "mount target": {"Mounts": [{"Type": "bind", "Source": "/usr", "Target": "x"}]}, "mount tmpfs source": {"Mounts": [{"Type": "tmpfs", "Source": "/usr", "Target": "/x"}]}, "mount root": {"Mounts": [{"Type": "tmpfs", "Target": "/"}]},
    "mount twice": {"Mounts": [{"Type": "tmpfs", "Target": "/x"}, {"Type": "tmpfs", "Target": "/x"}]}, "mount options": {"Mounts": [{"Type": "bind", "Source": "/usr", "Target": "/x", "VolumeOptions": {"NoCopy": True}}]},
    "mount propagation": {"Mounts": [{"Type": "bind", "Source": "/usr", "Target": "/x", "BindOptions": {"Propagation": "odd"}}]}, "tmpfs": {"Tmpfs": {"x": ""}}, "tmpfs option": {"Tmpfs": {"/x": "nosuchoption"}}, "tmpfs root": {"Tmpfs": {"/": ""}},
    "volumes from": {"VolumesFrom": ["nosuch"]}, "volumes from mode": {"VolumesFrom": ["nosuch:bad"]}, "volumes from empty": {"VolumesFrom": [""]}, "cap": {"CapAdd": ["NOSUCH"]}, "cap drop": {"CapDrop": ["CAP_NOSUCH"]}, "cap empty": {"CapAdd": [""]},
    "security": {"SecurityOpt": ["nosuch"]}, "security value": {"SecurityOpt": ["no-new-privileges=maybe"]}, "security key": {"SecurityOpt": ["nosuch=1"]}, "seccomp json": {"SecurityOpt": ["seccomp={"]}, "apparmor": {"SecurityOpt": ["apparmor=nosuch"]},
    "hosts": {"ExtraHosts": ["a"]}, "hosts ip": {"ExtraHosts": ["a:b"]}, "dns": {"Dns": ["x"]}, "ulimit": {"Ulimits": [{"Name": "x", "Soft": 1, "Hard": 1}]}, "ulimit soft": {"Ulimits": [{"Name": "nofile", "Soft": 2, "Hard": 1}]},
    "log": {"LogConfig": {"Type": "nosuch"}}, "log option": {"LogConfig": {"Type": "json-file", "Config": {"x": "y"}}}, "log size": {"LogConfig": {"Type": "json-file", "Config": {"max-size": "x"}}}, "log file": {"LogConfig": {"Type": "json-file", "Config": {"max-file": "0"}}},
    "ipc": {"IpcMode": "odd"}, "ipc container": {"IpcMode": "container:"}, "ipc other": {"IpcMode": "container:nosuch"}, "pid": {"PidMode": "odd"}, "pid container": {"PidMode": "container:nosuch"}, "uts": {"UTSMode": "odd"}, "cgroupns": {"CgroupnsMode": "odd"}, "userns": {"UsernsMode": "odd"},
    "network": {"NetworkMode": "nosuch"}, "network container": {"NetworkMode": "container:"}, "network other": {"NetworkMode": "container:nosuch"}, "network and ports": {"NetworkMode": "container:x", "PortBindings": {"80/tcp": [{}]}},
    "network and dns": {"NetworkMode": "container:x", "Dns": ["1.1.1.1"]}, "network and hosts": {"NetworkMode": "container:x", "ExtraHosts": ["a:1.2.3.4"]}, "host and links": {"NetworkMode": "host", "Links": ["a:b"]}, "links": {"Links": ["nosuch:b"]},
    "runtime": {"Runtime": "nosuch"}, "device requests": {"DeviceRequests": [{"Driver": "x", "Count": 1, "Capabilities": [["gpu"]]}]}, "device rule": {"DeviceCgroupRules": ["bad"]}, "sysctl": {"Sysctls": {"nosuch.x": "1"}}, "isolation": {"Isolation": "hyperv"}, "masked relative": {"MaskedPaths": ["x"]},
    "group": {"GroupAdd": ["nosuch"]}, "device": {"Devices": [{"PathOnHost": "/no/such", "PathInContainer": "/dev/n", "CgroupPermissions": "rwm"}]}, "device mode": {"Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "q"}]},
}
for _name, _host in BAD_HOST.items():
    scenario(f"bad-host/{_name}", create(host=_host, Cmd=["true"]), post("/containers/~c/start"), get("/containers/~c/json", pick=lambda b: b.get("State", b)))
# the same where another container's state, or the machine's, decides
scenario("bad-host/network and hostname", made("a"), create(Hostname="x", host={"NetworkMode": "container:~a"}, Cmd=["true"]))
scenario("bad-host/network of a stopped container", made("a"), create(host={"NetworkMode": "container:~a"}, Cmd=["true"]), post("/containers/~c/start"))
scenario("bad-host/port taken", made("a", ExposedPorts={"80/tcp": {}}, host={"PortBindings": {"80/tcp": [{"HostPort": "28123"}]}}), verb("a", "start"), create(ExposedPorts={"80/tcp": {}}, host={"PortBindings": {"80/tcp": [{"HostPort": "28123"}]}}, Cmd=["true"]), post("/containers/~c/start"))

BAD_CONFIG = {
    "no image": {"image": ""}, "unknown image": {"image": "hoycmp-none"}, "unknown tag": {"image": "hoycmp:none"}, "bad image": {"image": "UPPER"}, "bad image space": {"image": "a b"}, "bad digest": {"image": "hoycmp@sha256:12"}, "unknown image id": {"image": "f" * 64},
    "env": {"Env": ["=x"]}, "env empty": {"Env": [""]}, "working dir": {"WorkingDir": "rel"}, "stop signal": {"StopSignal": "SIGNOPE"}, "hostname": {"Hostname": "a" * 70}, "hostname odd": {"Hostname": "a b"}, "exposed": {"ExposedPorts": {"x": {}}}, "exposed proto": {"ExposedPorts": {"80/xx": {}}},
    "volume relative": {"Volumes": {"x": {}}}, "volume root": {"Volumes": {"/": {}}}, "user": {"User": "nosuch"}, "group": {"User": "root:nosuch"}, "mac": {"MacAddress": "zz"}, "health": {"Healthcheck": {"Test": ["WHAT"]}},
    "health interval": {"Healthcheck": {"Test": ["CMD", "true"], "Interval": 1}}, "health retries": {"Healthcheck": {"Test": ["CMD", "true"], "Retries": -1}}, "health start": {"Healthcheck": {"Test": ["CMD", "true"], "StartPeriod": 5}}, "stop timeout": {"StopTimeout": -5},
    "not found": {"Cmd": ["nosuch"]}, "not found path": {"Cmd": ["/no/such"]}, "directory": {"Cmd": ["/etc"]}, "not executable": {"Cmd": ["/etc/not-executable"]}, "empty word": {"Cmd": [""]}, "entrypoint not found": {"Entrypoint": ["/no/such"], "Cmd": ["x"]},
    "dir as cwd": {"WorkingDir": "/etc/passwd", "Cmd": ["true"]},
}
for _name, _config in BAD_CONFIG.items():
    scenario(f"bad-config/{_name}", create(**{"Cmd": ["true"], **_config}), post("/containers/~c/start"), get("/containers/~c/json", pick=lambda b: b.get("State", b)))
scenario("bad-config/network unknown", create(Cmd=["true"], net={"EndpointsConfig": {"nosuch": {}}}), post("/containers/~c/start"))
scenario("bad-config/two networks in 1.43", create(Cmd=["true"], version="v1.43", net={"EndpointsConfig": {"a": {}, "b": {}}}))
scenario("bad-config/static address on bridge", create(Cmd=["true"], net={"EndpointsConfig": {"bridge": {"IPAMConfig": {"IPv4Address": "172.17.0.99"}}}}), post("/containers/~c/start"))
scenario("bad-config/platform", post("/containers/create?name=~c&platform=linux/arm64", {"Image": BOX}), post("/containers/create?name=~c&platform=odd", {"Image": BOX}), post("/containers/create?name=~c&platform=a/b/c/d/e", {"Image": BOX}))

scenario("names/bad", *[post(f"/containers/create?name={n}", {"Image": BOX}) for n in ("a", "_a", "a%20b", "%C3%A9", "a/b", "-a", "/", "a:b", ".a")])
scenario("names/conflict", made("a"), create("a"), post("/containers/create?name=/~a", {"Image": BOX}))
scenario("names/slash", post("/containers/create?name=/~s", {"Image": BOX}, save="s"), get("/containers/~s/json", pick=lambda b: b.get("Name")))
scenario("names/generated", post("/containers/create", {"Image": BOX}, save="g"), get("/containers/${g}/json", pick=lambda b: bool(b.get("Name"))), delete("/containers/${g}"))
scenario("names/rename", made("a"), made("b"), post("/containers/~a/rename?name=~a"), post("/containers/~a/rename?name=~b"), post("/containers/~a/rename"), post("/containers/~a/rename?name="), post("/containers/~a/rename?name=a%20b"), post("/containers/~a/rename?name=/~c"),
         inspect("c", pick=lambda b: b.get("Name")), inspect("a"), post("/containers/~none/rename?name=~x"))
scenario("names/prefixes", made("a"), get("/containers/${a:12}/json", pick=lambda b: b.get("Name")), get("/containers/${a:20}/json", pick=lambda b: b.get("Name")), get("/containers/${a}/json", pick=lambda b: b.get("Name")), get("/containers/ffffffffffff/json"), get("/containers/%20/json"), get("/containers/a:b/json"))

# ---- every verb in every state ----
STATES = {
    "created": [made()], "running": [made(), verb("c", "start")], "paused": [made(), verb("c", "start"), verb("c", "pause")],
    "exited": [made(Cmd=["sh", "-c", "exit 3"]), verb("c", "start"), verb("c", "wait")], "absent": [], "failed": [made(Cmd=["/no/such"]), verb("c", "start")],
}


def _top(b):
    """ps without the numbers of the moment"""
    chance = {"PID", "PPID", "C", "STIME", "START", "TIME", "%CPU", "%MEM", "VSZ", "RSS"}
    return {**b, "Processes": [["<moment>" if t in chance else x for t, x in zip(b["Titles"], row)] for row in b["Processes"]]} if "Processes" in b else b


VERBS = {
    "inspect": [inspect()], "inspect size": [inspect(), get("/containers/~c/json?size=1")], "start": [post("/containers/~c/start")], "stop": [post("/containers/~c/stop?t=0")], "kill": [post("/containers/~c/kill")], "kill bad signal": [post("/containers/~c/kill?signal=NOPE"), post("/containers/~c/kill?signal=99"), post("/containers/~c/kill?signal=-1")],
    "pause": [post("/containers/~c/pause")], "unpause": [post("/containers/~c/unpause")], "restart": [post("/containers/~c/restart?t=0")], "rename": [post("/containers/~c/rename?name=~d")], "rm": [delete("/containers/~c")],
    "rm force": [delete("/containers/~c?force=1"), inspect()], "rm link": [delete("/containers/~c?link=1")], "top": [get("/containers/~c/top", pick=_top), get("/containers/~c/top?ps_args=aux", pick=_top), get("/containers/~c/top?ps_args=-o%20comm", pick=_top)],
    "logs": [get("/containers/~c/logs"), get("/containers/~c/logs?stdout=1"), get("/containers/~c/logs?stdout=1&since=x"), get("/containers/~c/logs?stdout=1&tail=x"), get("/containers/~c/logs?stdout=1&until=x")], "exec": [post("/containers/~c/exec", {"Cmd": ["true"]}, save="e"), post("/containers/~c/exec", {}), post("/containers/~c/exec", {"Cmd": []})],
    "resize": [post("/containers/~c/resize?h=10&w=20"), post("/containers/~c/resize"), post("/containers/~c/resize?h=x&w=1")], "wait removed": [post("/containers/~c/wait?condition=odd")],
    "attach": [post("/containers/~c/attach?logs=0")],
    "archive": [get("/containers/~c/archive?path=/none"), get("/containers/~c/archive")], "update": [post("/containers/~c/update", {"CpuShares": 100})], "changes": [get("/containers/~c/changes")], "stats": [get("/containers/~c/stats?stream=0", shape=True)], "export": [get("/containers/~cnone/export")],
}
for _state, _before in STATES.items():
    for _name, _steps in VERBS.items():
        if (_name, _state) in (("attach", "running"), ("attach", "created"), ("attach", "paused"), ("attach", "exited"), ("attach", "failed"), ("export", "running")):
            continue
        _settle = [verb("c", "wait")] if _state == "exited" else []  # started again it ends again, some time
        scenario(f"state-{_state}/{_name}", *_before, *_steps, *([*_settle, inspect(pick=lambda b: b.get("State", b))] if _name in ("start", "stop", "kill", "restart", "pause", "unpause") else []))
scenario("state-exited/wait", *STATES["exited"], post("/containers/~c/wait"), post("/containers/~c/wait?condition=not-running"), post("/containers/~c/wait", version="v1.24"))
scenario("state-running/wait killed", *STATES["running"], verb("c", "kill"), post("/containers/~c/wait"), inspect(pick=lambda b: b["State"]))
scenario("state-running/start twice", *STATES["running"], post("/containers/~c/start"), post("/containers/~c/start", {"Binds": []}), post("/containers/~c/start", {}), post("/containers/~c/start", {"Binds": []}, version="v1.23"))
scenario("state-created/start with body", *STATES["created"], post("/containers/~c/start", {"Binds": []}), post("/containers/~c/start", {}))
scenario("state-running/times", *STATES["running"], post("/containers/~c/stop?t=x"), post("/containers/~c/restart?t=x"), post("/containers/~c/stop?signal=NOPE"), post("/containers/~c/kill?signal=0"), post("/containers/~c/kill?signal=CHLD"), post("/containers/~c/kill?signal=sigusr1"))
scenario("state-running/checkpoint", *STATES["running"], post("/containers/~c/start?checkpoint=x"))
scenario("inspect/rich running", create(image=RICH, Entrypoint=["sleep"], Cmd=["1000"], host={"PublishAllPorts": True}, hidden=True), verb("c", "start"), inspect(), inspect(version="v1.24"), inspect(version="v1.43"))
scenario("inspect/host net running", made(host={"NetworkMode": "host"}), verb("c", "start"), inspect())
scenario("inspect/none net running", made(host={"NetworkMode": "none"}), verb("c", "start"), inspect())
scenario("inspect/container net running", made("a"), verb("a", "start"), made(host={"NetworkMode": "container:~a"}), verb("c", "start"), inspect())
scenario("inspect/oom and signal", made(Cmd=["sh", "-c", "kill -9 $$"]), verb("c", "start"), verb("c", "wait"), inspect())
scenario("inspect/volumes running", made(Volumes={"/data": {}}, host={"Binds": ["/usr/share:/x:ro"], "Tmpfs": {"/t": "size=1m"}}), verb("c", "start"), inspect())
scenario("inspect/auto removed", made(Cmd=["true"], host={"AutoRemove": True}), verb("c", "start"), Step("SLEEP", "", 2), inspect())

# ---- list ----
LIST = [made("a", Labels={"x": "1", "y": ""}), made("b", image=RICH, Entrypoint=["sleep"], Cmd=["1000"], host={"PublishAllPorts": True, "Binds": ["/usr/share:/x:ro"]}), made("c", Cmd=["sh", "-c", "exit 3"], host={"NetworkMode": "none"}), verb("b", "start"), verb("c", "start"), verb("c", "wait"),
        Step("SLEEP", "", 0.5)]  # dockerd lists from a snapshot that lags behind


def ps(version=None, **filters):
    return get(query("/containers/json", all=1, filters={"name": ["~"], **filters}), version=version)


for _v in ("v1.24", "v1.40", "v1.43", "v1.44", "v1.46", "v1.47", "v1.48", "v1.51"):
    scenario(f"list/in {_v}", *LIST, ps(_v))
scenario("list/filters", *LIST, *[ps(**f) for f in ({"status": ["running"]}, {"status": ["exited", "created"]}, {"status": ["odd"]}, {"exited": ["3"]}, {"exited": ["x"]}, {"label": ["x"]}, {"label": ["x=1"]}, {"label": ["x=2"]}, {"label": ["x", "y"]}, {"id": ["${a}"]}, {"id": ["${a:5}"]},
         {"ancestor": [BOX]}, {"ancestor": ["nosuch"]}, {"before": ["~b"]}, {"since": ["~b"]}, {"before": ["nosuch"]}, {"since": ["nosuch"]}, {"volume": ["/x"]}, {"volume": ["/data"]}, {"network": ["bridge"]}, {"network": ["none"]}, {"network": ["nosuch"]}, {"publish": ["80"]}, {"expose": ["80/tcp"]}, {"expose": ["53/udp"]},
         {"publish": ["x"]}, {"expose": ["1-x"]}, {"health": ["none"]}, {"health": ["odd"]}, {"isolation": ["odd"]}, {"is-task": ["true"]}, {"is-task": ["odd"]}, {"nosuch": ["1"]})])
scenario("list/paging", *LIST, get(query("/containers/json", filters={"name": ["~"]})), get(query("/containers/json", limit=1, filters={"name": ["~"]})), get("/containers/json?limit=x"), get("/containers/json?filters=x"), get("/containers/json?filters=[]"), get('/containers/json?filters={"a":1}'),
         get(query("/containers/json", all=1, size=1, filters={"name": ["~"]})), get(query("/containers/json", all=1, filters={"name": {"~b": True}})), get(query("/containers/json", all=1, filters={"name": ["^/~b$"]})), get(query("/containers/json", all=1, filters={"name": ["["]})))
scenario("list/paused", *STATES["paused"], ps())

# ---- exec ----
RUN = STATES["running"]
scenario("exec/inspect", *RUN, post("/containers/~c/exec", {"Cmd": ["sh", "-c", "echo hi; exit 4"], "AttachStdout": True, "AttachStderr": True, "Env": ["A=b"], "User": "app", "WorkingDir": "/tmp"}, save="e"), get("/exec/${e}/json"), inspect(pick=lambda b: b["ExecIDs"]), post("/exec/${e}/start", {}, with_headers=True), get("/exec/${e}/json"),
         inspect(pick=lambda b: b["ExecIDs"]), post("/exec/${e}/start", {}))
scenario("exec/defaults", *RUN, post("/containers/~c/exec", {"Cmd": ["true"]}, save="e"), get("/exec/${e}/json"), get("/exec/${e}/json", version="v1.24"), post("/exec/${e}/start", {"Detach": True}), Step("SLEEP", "", 1), get("/exec/${e}/json"))
scenario("exec/tty privileged", *RUN, post("/containers/~c/exec", {"Cmd": ["true"], "Tty": True, "AttachStdin": True, "Privileged": True, "DetachKeys": "ctrl-x"}, save="e"), get("/exec/${e}/json"))
scenario("exec/failing", *RUN, post("/containers/~c/exec", {"Cmd": ["/no/such"], "AttachStdout": True}, save="e"), post("/exec/${e}/start", {}), get("/exec/${e}/json"), post("/containers/~c/exec", {"Cmd": ["/etc"], "AttachStdout": True}, save="f"), post("/exec/${f}/start", {}), get("/exec/${f}/json"),
         post("/containers/~c/exec", {"Cmd": ["/no/such"]}, save="g"), post("/exec/${g}/start", {"Detach": True}), get("/exec/${g}/json"), post("/containers/~c/exec", {"Cmd": ["true"], "User": "nosuch"}, save="h"), post("/exec/${h}/start", {"Detach": True}), get("/exec/${h}/json"))
scenario("exec/unknown", get("/exec/nosuch/json"), post("/exec/nosuch/start", {}), post("/exec/nosuch/resize?h=1&w=1"), post("/exec/nosuch/start"), post("/exec/nosuch/start", {"Detach": True, "Tty": True}))
scenario("exec/bad", *RUN, post("/containers/~c/exec"), post("/containers/~c/exec", b"{", headers={"Content-Type": "application/json"}), post("/containers/~c/exec", {"Cmd": "text"}, save="t"), post("/containers/~c/exec", {"Cmd": 5}), post("/containers/~c/exec", {"Cmd": ["true"], "DetachKeys": "bad-keys"}),
         post("/containers/~c/exec", {"Cmd": ["true"], "Env": ["=x"]}), post("/containers/~c/exec", {"Cmd": ["true"], "WorkingDir": "rel"}), post("/containers/~c/exec", {"Cmd": ["true"]}, save="e"), post("/exec/${e}/resize?h=1&w=1"), post("/exec/${e}/resize?h=x&w=1"), post("/exec/${e}/start", {"Tty": True}), post("/exec/${e}/start", b"{", headers={"Content-Type": "application/json"}),
         post("/exec/${e}/start"))
scenario("exec/of a stopped container", *RUN, post("/containers/~c/exec", {"Cmd": ["true"]}, save="e"), verb("c", "kill"), verb("c", "wait"), post("/exec/${e}/start", {}), get("/exec/${e}/json"))
scenario("exec/of a paused container", *RUN, post("/containers/~c/exec", {"Cmd": ["true"]}, save="e"), verb("c", "pause"), post("/exec/${e}/start", {}))

# ---- images ----
_idless = {"label": None}
scenario("images/inspect", get(f"/images/{BOX}/json"), get(f"/images/{RICH}/json"), *[get(f"/images/{RICH}/json", version=v) for v in ("v1.24", "v1.43", "v1.44", "v1.45", "v1.46", "v1.48", "v1.50")])
scenario("images/history", get(f"/images/{RICH}/history"), get("/images/hoycmp-none/history"))
scenario("images/list", *[get(query("/images/json", filters={"reference": ["hoycmp"]}), version=v, unordered=True) for v in ("v1.24", "v1.40", "v1.43", "v1.44", "v1.51")], get(query("/images/json", filters={"reference": ["hoycmp:r*"]})), get(query("/images/json", filters={"reference": ["hoycmp*"], "label": ["a=image"]})),
         get(query("/images/json", filters={"reference": ["hoycmp"], "label": ["zz"]})), get(query("/images/json", filters={"nosuch": ["x"]})), get(query("/images/json", filters={"dangling": ["odd"]})), get(query("/images/json", filters={"reference": ["hoycmp"], "dangling": ["true"]})),
         get(query("/images/json", filters={"before": [RICH], "reference": ["hoycmp"]})), get(query("/images/json", filters={"since": ["hoycmp-none"]})), get(query("/images/json", filters={"reference": ["["]})), get("/images/json?filters=x"), get(query("/images/json", digests=1, filters={"reference": ["hoycmp:box"]})), get(query("/images/json", **{"shared-size": 1, "filters": {"reference": ["hoycmp:box"]}})))
scenario("images/unknown", *[get(f"/images/{n}/json") for n in ("hoycmp-none", "hoycmp:none", "UPPER", "a%20b", "ffffffffffff", "f" * 64, "sha256:" + "f" * 64, "localhost:5000/x/y:z", "hoycmp@sha256:" + "f" * 64)], delete("/images/hoycmp-none"), delete("/images/UPPER"), post("/images/hoycmp-none/tag?repo=x"), get("/images/hoycmp-none/get"), post("/images/hoycmp-none/push"))
scenario("images/tag", post(f"/images/{BOX}/tag?repo=hoycmp2&tag=one"), post(f"/images/{BOX}/tag?repo=hoycmp2"), post(f"/images/{BOX}/tag"), post(f"/images/{BOX}/tag?repo=UPPER"), post(f"/images/{BOX}/tag?repo=a&tag=b%20c"), post(f"/images/{BOX}/tag?repo={'f' * 64}"), post(f"/images/{BOX}/tag?repo=a@sha256:{'f' * 64}"),
         get("/images/hoycmp2:one/json", pick=lambda b: b["RepoTags"]), delete("/images/hoycmp2:one"), delete("/images/hoycmp2:one"), delete("/images/hoycmp2"))
scenario("images/conflict", made(), delete(f"/images/{BOX}"), verb("c", "start"), delete(f"/images/{BOX}"), get(f"/images/{BOX}/json", save="i", hidden=True), delete("/images/${i}"), delete("/images/${i}?force=1"), post(f"/images/{BOX}/tag?repo=hoycmp3"), delete("/images/${i}?force=0"), delete("/images/hoycmp3"))
scenario("images/load", post("/images/load", lambda: image_archives()[1], headers={"Content-Type": "application/x-tar"}), post("/images/load?quiet=1", lambda: image_archives()[1], headers={"Content-Type": "application/x-tar"}), post("/images/load", b"not a tar", headers={"Content-Type": "application/x-tar"}), post("/images/load", b"", headers={"Content-Type": "application/x-tar"}),
         post("/images/load", lambda: images.tar_of(("a", dict(data=b"x"))), headers={"Content-Type": "application/x-tar"}), post("/images/load", lambda: images.tar_of(("manifest.json", dict(data=b"{"))), headers={"Content-Type": "application/x-tar"}))
_tar = {"headers": {"Content-Type": "application/x-tar"}}
scenario("images/import", post("/images/create?fromSrc=-&repo=hoycmp4&tag=x&message=hello&changes=CMD%20sh", lambda: images.tar_of(("a", dict(data=b"x"))), **_tar, with_headers=True), get("/images/hoycmp4:x/json"), get("/images/hoycmp4:x/history"), delete("/images/hoycmp4:x"),
         post("/images/create?fromSrc=-&repo=UPPER", b"", **_tar), post("/images/create?fromSrc=-&changes=RUN%20x", b"", **_tar), post("/images/create?fromSrc=-&changes=NOSUCH%20x", b"", **_tar), post("/images/create?fromSrc=-&repo=hoycmp4", b"junk" * 200, **_tar), post("/images/create"))

# ---- volumes and networks ----
scenario("volumes/life", post("/volumes/create", {"Name": "~v", "Labels": {"a": "b"}}), post("/volumes/create", {"Name": "~v"}), get("/volumes/~v"), get("/volumes/~v", version="v1.24"), get(query("/volumes", filters={"name": ["~"]})), made(host={"Binds": ["~v:/x"]}), delete("/volumes/~v"), delete("/volumes/~v?force=1"), delete("/containers/~c"), delete("/volumes/~v"), delete("/volumes/~v"), delete("/volumes/~v?force=1"))
scenario("volumes/create", post("/volumes/create", {}, save="v"), delete("/volumes/${v}"), post("/volumes/create", save="w"), delete("/volumes/${w}"), post("/volumes/create", {"Name": "~p", "DriverOpts": {"odd": "x"}}), post("/volumes/create", {"Name": "a"}), post("/volumes/create", {"Name": "~/x"}), post("/volumes/create", {"Name": "~q", "Driver": "nosuch"}),
         post("/volumes/create", {"Name": 5}), post("/volumes/create", b"{", headers={"Content-Type": "application/json"}), post("/volumes/create", {"Name": "~r", "Driver": "local"}), post("/volumes/create", {"Name": "~r", "Driver": "other"}))
scenario("volumes/options", post("/volumes/create", {"Name": "~o", "DriverOpts": {"type": "tmpfs", "device": "tmpfs"}}))
scenario("volumes/unknown", get("/volumes/~none"), delete("/volumes/~none"), get(query("/volumes", filters={"nosuch": ["x"]})), get(query("/volumes", filters={"dangling": ["odd"]})), get(query("/volumes", filters={"name": ["~"]})), get("/volumes?filters=x"), get("/volumes/a%20b"))
scenario("volumes/filters", post("/volumes/create", {"Name": "~a", "Labels": {"x": "1"}}), post("/volumes/create", {"Name": "~b"}), *[get(query("/volumes", filters={"name": ["~"], **f})) for f in ({"label": ["x"]}, {"label": ["x=2"]}, {"label!": ["x"]}, {"dangling": ["true"]}, {"dangling": ["false"]}, {"driver": ["local"]}, {"driver": ["x"]})])
_net = {"pick": lambda b: {k: v for k, v in b.items() if k != "Containers"} if isinstance(b, dict) else b}
scenario("networks/inspect", *[get(f"/networks/{n}", **_net) for n in ("bridge", "host", "none")], get("/networks/bridge", version="v1.24", **_net), get("/networks/bridge", version="v1.43", **_net), get("/networks/bridge?verbose=1", **_net), get("/networks/bridge?scope=odd", **_net), get("/networks/~none"), get("/networks/bridge?verbose=x", **_net))
scenario("networks/endpoints", *RUN, get("/networks/bridge", pick=lambda b: [c for c in b["Containers"].values() if c["Name"].endswith("-c") and c["Name"].startswith("hoycmp")]), delete("/networks/bridge"), delete("/networks/~none"), delete("/networks/host"))
scenario("networks/list", *[get(query("/networks", filters=f), unordered=True) for f in ({"name": ["bridge"]}, {"driver": ["host"]}, {"driver": ["null"]}, {"type": ["builtin"], "name": ["host"]}, {"type": ["custom"], "name": ["host"]}, {"type": ["odd"]}, {"nosuch": ["x"]}, {"scope": ["local"], "name": ["none"]}, {"scope": ["swarm"]}, {"dangling": ["odd"]}, {"id": ["zzz"]}, {"label": ["zz"]})],
         get("/networks?filters=x"))
scenario("networks/bad", post("/networks/create", {}), post("/networks/create", {"Name": ""}), post("/networks/create", {"Name": "bridge"}), post("/networks/create", {"Name": "host", "Driver": "host"}), post("/networks/create", {"Name": "~x", "Driver": "nosuch"}), post("/networks/~none/connect", {"Container": "x"}), post("/networks/~none/disconnect", {"Container": "x"}), post("/networks/create"),
         post("/networks/create", b"{", headers={"Content-Type": "application/json"}), post("/networks/prune?filters=x"))

# ---- events ----
_mine = lambda b: [e for e in (b if isinstance(b, list) else [b] if b else []) if "hoycmp" in json.dumps(e)]  # noqa: E731


def events(**filters):
    return get(query("/events", since="${start}", until="${now}", filters=filters), pick=_mine)


scenario("events/life", made(Labels={"l": "1"}, Cmd=["sh", "-c", "exit 3"]), verb("c", "start"), verb("c", "wait"), verb("c", "rename?name=~d"), Step("DELETE", "/containers/~d", hidden=True), Step("SLEEP", "", 1), events(), events(type=["container"], event=["die"]), events(container=["${c}"], event=["start"]), events(label=["l=1"], event=["create"]))
scenario("events/verbs", *RUN, verb("c", "pause"), verb("c", "unpause"), verb("c", "kill?signal=USR1"), verb("c", "restart?t=0"), verb("c", "stop?t=0"), Step("SLEEP", "", 1), events(type=["container"]))
scenario("events/kill", *RUN, verb("c", "kill"), verb("c", "wait"), Step("DELETE", "/containers/~c?force=1", hidden=True), Step("SLEEP", "", 1), events(type=["container"]))
scenario("events/exec", *RUN, post("/containers/~c/exec", {"Cmd": ["true"]}, save="e", hidden=True), post("/exec/${e}/start", {"Detach": True}, hidden=True), Step("SLEEP", "", 2), events(type=["container"]))
scenario("events/fails", made(Cmd=["/no/such"]), verb("c", "start"), Step("SLEEP", "", 1), events(type=["container"]))
scenario("events/old client", made(Cmd=["true"]), Step("SLEEP", "", 1), get(query("/events", since="${start}", until="${now}"), version="v1.24", pick=_mine))
scenario("events/image", post(f"/images/{BOX}/tag?repo=hoycmp5", hidden=True), delete("/images/hoycmp5", hidden=True), Step("SLEEP", "", 1), events(type=["image"]))
scenario("events/volume", post("/volumes/create", {"Name": "~v"}, hidden=True), delete("/volumes/~v", hidden=True), Step("SLEEP", "", 1), get(query("/events", since="${start}", until="${now}", filters={"volume": ["~v"]})))
scenario("events/bad", get("/events?since=x"), get("/events?since=2&until=1"), get("/events?filters=x&until=1"), get("/events?until=y"))


# ---- pruning images, disk usage: label filters keep them off what others have ----
def _made_image(what, tag, label):
    return post(f"/images/create?fromSrc=-&repo=hoycmp6&tag={tag}&changes=LABEL%20~l={label}", lambda: images.tar_of((what, dict(data=what.encode() * 100))), hidden=True, **_tar)


def _prune(**filters):
    return post(query("/images/prune", filters={"label": ["~l"], **filters}))


_ours = lambda b: [i for i in b["Images"] if any("hoycmp6" in t for t in i["RepoTags"] or [])] if isinstance(b, dict) and "Images" in b else b  # noqa: E731
scenario("images/prune", _made_image("first", "a", "1"), _made_image("second", "a", "2"), _prune(label=["~l=none"]), _prune(until=["1000"]), _prune(**{"label!": ["~l"]}), _prune(**{"label!": ["~l=1"]}), _prune(), _prune(),
         _made_image("third", "b", "3"), _prune(dangling=["true"]), _prune(dangling=["false"], label=["~l=3"]), get("/images/hoycmp6:b/json"), _prune(dangling=["0"], label=["~l=2"]), Step("SLEEP", "", 1),
         get(query("/events", since="${start}", until="${now}", filters={"type": ["image"], "event": ["prune", "delete", "untag"]}), pick=lambda b: b))
scenario("images/prune used", _made_image("used", "u", "1"), post("/images/hoycmp6:u/tag?repo=hoycmp6&tag=v", hidden=True), made("c", image="hoycmp6:u"), _prune(dangling=["false"]), delete("/containers/~c", hidden=True), _prune(dangling=["false"]))
scenario("images/prune bad", *[_prune(**f) for f in ({"dangling": ["odd"]}, {"dangling": ["true", "false"]}, {"until": ["odd"]}, {"until": ["1h", "2h"]}, {"nosuch": ["x"]})])
scenario("images/windows", _made_image("one", "one", "1"), Step("SLEEP", "", 1.1), _made_image("two", "two", "2"), Step("SLEEP", "", 1.1), _made_image("three", "three", "3"),
         *[get(query("/images/json", filters={"reference": ["hoycmp6"], **f}), pick=lambda b: [i["RepoTags"] for i in b] if isinstance(b, list) else b) for f in (
             {}, {"before": ["hoycmp6:two"]}, {"since": ["hoycmp6:two"]}, {"since": ["hoycmp6:one"], "before": ["hoycmp6:three"]}, {"before": ["hoycmp6:two", "hoycmp6:three"]}, {"since": ["hoycmp6:two", "hoycmp6:one"]}, {"until": ["1h"]}, {"until": ["4102444800"]}, {"until": ["odd"]},
             {"until": ["4102444800", "1h"]}, {"before": ["hoycmp-none"]}, {"since": ["hoycmp-none"]}, {"label": ["~l=2"]}, {"label": ["~l=2", "~l=1"]}, {"label!": ["~l=2"]}, {"reference": ["hoycmp6:t*", "hoycmp6:one"]}, {"reference": ["*cmp6"]})],
         post(query("/images/prune", filters={"label": ["~l"], "dangling": ["false"]}), hidden=True))
scenario("system/df", _made_image("df", "df", "1"), made("c", image="hoycmp6:df", host={"Binds": ["~v:/v"]}), *[get("/system/df", version=v, pick=_ours) for v in ("v1.25", "v1.41", "v1.43", "v1.44", "v1.51")],
         *[get(f"/system/df?{'&'.join('type=' + t for t in types)}", pick=lambda b: {k: v is None for k, v in b.items() if k != "LayersSize"} if "message" not in b else b) for types in (["image"], ["container"], ["volume"], ["build-cache"], ["image", "volume"], ["odd"], [""])],
         get("/system/df?type=odd", version="v1.41", pick=lambda b: sorted(b)), get("/system/df?verbose=1", pick=lambda b: sorted(b)), get("/system/df?type=container", pick=lambda b: [c for c in b["Containers"] if "hoycmp" in c["Image"]]),
         get("/system/df?type=volume", pick=lambda b: [v for v in b["Volumes"] if "hoycmp" in v["Name"]]), delete("/containers/~c?force=1", hidden=True), delete("/volumes/~v", hidden=True), _prune(dangling=["false"]))


# ---- the daemon itself ----
scenario("system/ping", get("/_ping", version="", with_headers=True), Step("HEAD", "/_ping", version="", with_headers=True), get("/_ping", with_headers=True), get("/_ping", version="v1.24", with_headers=True))
scenario("system/version", get("/version", shape=True, with_headers=True), get("/version", version="v1.24", shape=True))
scenario("system/info", *[get("/info", shape=True, version=v) for v in ("v1.24", "v1.40", "v1.43", "v1.44", "v1.51")])
scenario("system/unknown", *[Step(m, p) for m, p in (("GET", "/nosuch"), ("POST", "/nosuch"), ("DELETE", "/version"), ("PUT", "/info"), ("GET", "/"), ("POST", "/containers/x/nosuch"), ("GET", "/containers/x/start"), ("OPTIONS", "/info"), ("HEAD", "/info"), ("PATCH", "/info"))], get("/", version=""), get("/nosuch", version="", with_headers=True),
         Step("HEAD", "/nosuch", version=""))
scenario("system/versions", *[get("/info", version=v, pick=lambda b: b if not isinstance(b, dict) else b.get("message")) for v in ("v1.99", "v1.23", "v1.5", "v2.0", "v0.1", "vx", "v1.51.1", "v1", "v1.")], get("/_ping", version="v1.99"), get("/containers/none/json", version="v1.99", with_headers=True), get("/containers/none/json", version="v1.1", with_headers=True))
_json = {"Content-Type": "application/json"}
scenario("system/bodies", *[post("/containers/create?name=~c", b, headers=h, label=f"create {n}") for n, b, h in (
    ("no type", b"{}", {}), ("text", b"{}", {"Content-Type": "text/plain"}), ("empty", b"", _json), ("nothing", None, {}), ("cut", b'{"Image":', _json), ("junk", b"junk", _json), ("two", b"{} {}", _json), ("trailing", b'{"Image":"hoycmp:box"} x', _json), ("list", b"[]", _json), ("number", b"5", _json), ("null", b"null", _json),
    ("empty object", b"{}", _json), ("only host", b'{"HostConfig":{}}', _json), ("image number", b'{"Image":5}', _json), ("cmd object", b'{"Image":"hoycmp:box","Cmd":{}}', _json), ("env object", b'{"Image":"hoycmp:box","Env":{}}', _json), ("memory text", b'{"Image":"hoycmp:box","HostConfig":{"Memory":"x"}}', _json),
    ("memory float", b'{"Image":"hoycmp:box","HostConfig":{"Memory":1.5}}', _json), ("memory huge", b'{"Image":"hoycmp:box","HostConfig":{"Memory":99999999999999999999}}', _json), ("binds text", b'{"Image":"hoycmp:box","HostConfig":{"Binds":"x"}}', _json), ("ports list", b'{"Image":"hoycmp:box","ExposedPorts":[]}', _json),
    ("tty text", b'{"Image":"hoycmp:box","Tty":"yes"}', _json), ("labels list", b'{"Image":"hoycmp:box","Labels":[]}', _json), ("label number", b'{"Image":"hoycmp:box","Labels":{"a":1}}', _json), ("host text", b'{"Image":"hoycmp:box","HostConfig":"x"}', _json), ("case", b'{"image":"hoycmp:none"}', _json), ("restart list", b'{"Image":"hoycmp:box","HostConfig":{"RestartPolicy":[]}}', _json),
    ("port binding text", b'{"Image":"hoycmp:box","HostConfig":{"PortBindings":{"80/tcp":"x"}}}', _json), ("bad utf-8", b'{"Image":"\xff"}', _json), ("charset", b'{"Image":"hoycmp:none"}', {"Content-Type": "application/json; charset=utf-8"}), ("control", b'{"Image":"a\nb"}', _json), ("single quotes", b"{'Image':'x'}", _json), ("comma", b'{"Image":"x",}', _json),
)])
scenario("system/queries", get("/containers/json?all=x", pick=lambda b: isinstance(b, list)), get("/containers/json?all=%zz", pick=lambda b: b if isinstance(b, dict) else True), get("/containers/none/json?size=x"), get("/containers/a%2fb/json"), get("/containers//json"), get("//info"), get("/containers/../info"), get("/containers/none/json/"))
scenario("system/unfound", *[Step(m, f"/containers/~none{p}", b) for m, p, b in (("POST", "/start", None), ("POST", "/exec", {"Cmd": ["x"]}), ("POST", "/wait", None), ("GET", "/logs?stdout=1", None), ("GET", "/stats", None), ("GET", "/changes", None), ("GET", "/export", None), ("GET", "/archive?path=/", None), ("HEAD", "/archive?path=/", None), ("PUT", "/archive?path=/", None),
         ("POST", "/update", {}), ("POST", "/attach", None), ("GET", "/attach/ws", None), ("POST", "/resize?h=1&w=1", None), ("GET", "/top", None))], post("/commit?container=~none"), post("/commit?container=~none", {}))
scenario("system/swarm", *[Step(m, p, b) for m, p, b in (("GET", "/swarm", None), ("GET", "/nodes", None), ("GET", "/services", None), ("GET", "/tasks", None), ("GET", "/secrets", None), ("GET", "/configs", None), ("POST", "/swarm/leave", None), ("POST", "/services/create", {"Name": "x"}), ("GET", "/services/x", None), ("GET", "/swarm/unlockkey", None))])
scenario("system/prune", *[post(query(f"/{p}/prune", filters={"nosuch": ["x"]})) for p in ("containers", "volumes", "images", "networks")], post(query("/containers/prune", filters={"label": ["~none"]})), post(query("/volumes/prune", filters={"label": ["~none"]})), post(query("/containers/prune", filters={"until": ["odd"]})), post("/containers/prune?filters=x"))
