"""What was done and undone leaves nothing: counted from outside, after much of it, also when the daemon dies all the time."""
import random
import threading
import time

from harness import census
from harness.api import Api
from harness.images import BUSYBOX


def settled(engine):
    engine.api.get("/info")  # opens what is opened once and kept
    box = engine.api.post("/containers/create", {"Image": BUSYBOX, "Cmd": ["true"]}).json["Id"]
    engine.api.post(f"/containers/{box}/start")
    engine.api.delete(f"/containers/{box}", force=1, v=1)  # and makes the bridge
    time.sleep(1)
    return census.outside(engine)


def side_by_side(n, work):
    """work(number, its own random numbers) in n threads; what went wrong is raised here."""
    seed, wrong = int(time.time()), []
    print("seed", seed)

    def run(i):
        try:
            work(i, random.Random(seed + i))
        except BaseException as e:
            wrong.append(e)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if wrong:
        raise wrong[0]


def test_three_hundred_containers_leave_nothing(own_engine):
    api = own_engine.api
    outside = settled(own_engine)
    inside, kb, fds = census.at_rest(own_engine)

    def cycles(number, rng):
        for i in range(60):
            kind = rng.randrange(4)
            config = {"Image": BUSYBOX, "Cmd": ["sleep", "100"] if kind else ["sh", "-c", "echo x; exit 3"], "HostConfig": {}}
            if kind == 1:
                config["HostConfig"]["PortBindings"] = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(20000 + number * 100 + i)}]}
            if kind == 2:
                config["Volumes"] = {"/v": {}}
            if kind == 3:
                config["HostConfig"]["AutoRemove"] = True
            made = api.post("/containers/create", config)
            assert made.status == 201, made.body
            box = f"/containers/{made.json['Id']}"
            assert api.post(f"{box}/start").status == 204
            if not kind:
                assert api.post(f"{box}/wait").json["StatusCode"] == 3
            elif i % 3 == 0:
                exec_id = api.post(f"{box}/exec", {"Cmd": ["true"], "AttachStdout": True}).json["Id"]
                assert api.post(f"/exec/{exec_id}/start", {"Detach": i % 2 == 0}).status in (101, 200)
            if kind == 3:
                api.post(f"{box}/kill")
            answer = api.delete(box, force=1, v=1)
            assert answer.status == 204 or kind == 3 and answer.status in (404, 409), answer.body

    side_by_side(5, cycles)
    assert census.settles(lambda: census.difference(census.outside(own_engine), outside), {}) == {}
    assert census.settles(lambda: census.process(own_engine)[0], inside) == inside, (fds, census.process(own_engine)[2])
    assert census.process(own_engine)[1] < kb + 3000, "hoyd has grown"
    assert api.get("/containers/json", all=1).json == [] and not api.get("/volumes").json["Volumes"]


def test_kills_while_clients_work_leave_nothing(own_engine):
    """Clients that do all sorts of things while hoyd is killed again and again: what a new one says is what there is."""
    outside = settled(own_engine)
    over = threading.Event()
    names = [f"hoytk-{i}" for i in range(8)]

    def ask(api, method, path, **kw):
        try:
            return api.call(method, path, timeout=20, **kw)
        except Exception:  # dead in the middle of a word: ask the next one
            time.sleep(0.02)
            return None

    def clients(number, rng):
        api = Api(own_engine.sock)
        while not over.is_set():
            name = rng.choice(names)
            what = rng.randrange(7)
            if what < 2:
                ask(api, "POST", "/containers/create", name=name, body={
                    "Image": BUSYBOX, "Cmd": ["sleep", rng.choice(["0.1", "1000"])], "Volumes": {"/v": {}},
                    "HostConfig": {"RestartPolicy": {"Name": rng.choice(["no", "always"])}, "AutoRemove": False,
                                   "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(21000 + number)}]}}})
                ask(api, "POST", f"/containers/{name}/start")
            elif what == 2:
                ask(api, "POST", f"/containers/{name}/start")
            elif what == 3:
                ask(api, "POST", f"/containers/{name}/stop", t=0)
            elif what == 4:
                made = ask(api, "POST", f"/containers/{name}/exec", body={"Cmd": ["true"]})
                if made and made.status == 201:
                    ask(api, "POST", f"/exec/{made.json['Id']}/start", body={"Detach": True})
            elif what == 5:
                ask(api, "POST", f"/containers/{name}/{rng.choice(['pause', 'unpause', 'restart?t=0', 'rename?name=' + rng.choice(names)])}")
            else:
                ask(api, "DELETE", f"/containers/{name}", force=1, v=1)

    def agrees():
        """hoyd's list beside the machine's processes: (what hoyd says is running, what is)."""
        procs = own_engine.machine.procs()
        said, real = {}, {}
        for row in own_engine.api.get("/containers/json", all=1).json:
            state = own_engine.api.get(f"/containers/{row['Id']}/json").json
            state = state["State"] if state.get("State") else {}
            if state.get("Running") and not state.get("Restarting"):
                said[row["Id"][:12]] = True
                real[row["Id"][:12]] = state["Pid"] in procs and procs.get(procs[state["Pid"]][0], (0, ""))[1] == "hoy-shim"
        return said == real

    rng = random.Random()
    workers = threading.Thread(target=side_by_side, args=(4, clients))
    workers.start()
    for _ in range(10):
        time.sleep(rng.random() * 0.5)
        own_engine.kill()
        time.sleep(rng.random() * 0.1)
        own_engine.start()
    over.set()
    workers.join()
    assert census.settles(agrees, True), own_engine.api.get("/containers/json", all=1).json
    for row in own_engine.api.get("/containers/json", all=1).json:
        answer = own_engine.api.delete(f"/containers/{row['Id']}", force=1, v=1)
        assert answer.status == 204, answer.body
    own_engine.api.post("/volumes/prune")
    left = census.settles(lambda: census.difference(census.outside(own_engine), outside), {})
    if left:  # what only a start clears away is cleared by it
        own_engine.restart()
        left = census.settles(lambda: census.difference(census.outside(own_engine), outside), {}, timeout=5)
    assert left == {}
