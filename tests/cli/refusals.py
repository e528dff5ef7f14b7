"""Shared by the test and by record_refusals.py: what a client says to command lines that cannot work."""
import os
import pathlib
import shlex
import subprocess

HERE = pathlib.Path(__file__).resolve().parent


def command_lines():
    lines = (HERE / "refusals.args").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def refusal(program, line):
    env = dict(os.environ, DOCKER_HOST="unix:///nosuch.sock", HOME="/nosuch")
    env.pop("HOY_HOST", None)
    done = subprocess.run([program, *shlex.split(line)], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    return [done.returncode, done.stderr.replace("docker", "hoy")]
