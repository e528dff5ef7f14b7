"""Inside the machine whose power is cut (vm.py): hoyd on the disk /dev/vdb, and clients at work. What is under way and what was
acknowledged goes out over the serial line at once, for nobody can be asked afterwards."""
import fcntl
import json
import os
import random
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

from engine import Engine, Remote  # noqa: E402
from work import Client, Material  # noqa: E402

RNDRESEEDCRNG = 0x5207
out_lock = threading.Lock()


def say(*what):
    with out_lock:
        os.write(1, json.dumps(what).encode() + b"\n")


class Disk:
    root = "/mnt/power"
    down = threading.Event()


class Telling(dict):
    """The client's knowledge: every change is told."""

    def __init__(self, number, rows):
        super().__init__({tuple(k): tuple(v) if isinstance(v, list) else v for k, v in rows})
        self.number = number

    def update(self, changes):
        super().update(changes)
        say("known", self.number, [[list(k), v] for k, v in changes.items()])


class TellingClient(Client):
    def ask(self, word, changes, *more, **query):
        say("open", self.number, word, [[list(k), v] for k, v in changes.items()])
        answer = super().ask(word, changes, *more, **query)
        say("done", self.number, word, answer.status)
        return answer


def main():
    material = Material()
    engine = Engine("/tmp", Disk())
    engine.PATIENCE = 600
    engine.remote = Remote(material, random.Random(1))
    say("ready")
    order = json.loads(sys.stdin.readline())
    with open("/dev/urandom", "wb") as f:  # each life began as the same frozen machine: its ids must be others
        f.write(f"{order['now']} {order['seed']}".encode() * 4)
        f.flush()
        fcntl.ioctl(f, RNDRESEEDCRNG)
    subprocess.run(["date", "-s", f"@{order['now']}"], stdout=subprocess.DEVNULL, check=False)
    subprocess.run(["mount", "-t", "ext4", "/dev/vdb", Disk.root], check=True)
    try:
        engine.start()
    except Exception as e:  # noqa: BLE001  somebody has to hear it
        say("problem", -1, repr(e))
        raise
    say("started")
    clients = [TellingClient(i, engine, material, Telling(i, rows), random.Random(f"{order['seed']} {i}")) for i, rows in enumerate(order["known"])]
    for client in clients:
        client.start()
    while True:
        time.sleep(0.5)
        for client in clients:
            if client.problem:
                say("problem", client.number, client.problem)
                client.problem = None


main()
