"""Shared by the test and by record_bodies.py: command lines, and bodies without what says nothing."""
import json
import os
import pathlib
import shlex
import subprocess

from fakedaemon import FakeDaemon

HERE = pathlib.Path(__file__).resolve().parent


def command_lines():
    lines = (HERE / "bodies.args").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def meaningful(value):
    """Docker's client writes every member, we leave out the empty ones: null, "", 0, false, [] and {} are the same here."""
    if isinstance(value, list):
        return [meaningful(v) for v in value]
    if not isinstance(value, dict):
        return value
    kept = {k: meaningful(v) for k, v in value.items()}
    return {k: v for k, v in kept.items() if v not in (None, "", 0, False, [], {}) or k == "StopTimeout" or k == "Init"}


def sent_body(program, line, tmp):
    daemon = FakeDaemon(os.path.join(tmp, "d.sock"))
    env = dict(os.environ, DOCKER_HOST="unix://" + daemon.path, HOME=str(tmp), HOY_TEST_VAR="from us", DOCKER_API_VERSION="1.50")
    env.pop("HOY_HOST", None)
    done = subprocess.run([program, "create", *shlex.split(line)], cwd=HERE, env=env, capture_output=True, text=True, timeout=30)
    daemon.close()
    for method, target, body in daemon.requests:
        if target.startswith("/containers/create"):
            body = json.loads(body)
            endpoints = body.get("NetworkingConfig", {}).get("EndpointsConfig", {})
            names = sorted(endpoints)
            body = meaningful(body)
            body["networks"] = names
            body.get("Env", []).sort()  # Docker's client keeps no order of -e
            body["HostConfig"].get("Ulimits", []).sort(key=lambda u: u["Name"])
            query = sorted(q for q in target.partition("?")[2].split("&") if q)
            return {"query": query, "body": body}
    return {"error": done.stderr}
