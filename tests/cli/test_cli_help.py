"""Every command has --help, whatever the daemon does, and knows every option of Docker's command of that name."""
import subprocess

import pytest
from bodies import HERE

OPTIONS = dict(line.split("\t") for line in (HERE / "options.tsv").read_text().splitlines())


def ask(hoy, *words):
    return subprocess.run([hoy, *words], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("command", sorted(OPTIONS))
def test_options_of_docker_are_known(hoy, command):
    for option in OPTIONS[command].split():
        done = ask(hoy, *command.split(), f"--{option}=x", "--help")
        assert "unknown flag" not in done.stderr, option


@pytest.mark.parametrize("command", sorted(OPTIONS))
def test_help_shows_usage_and_aliases(hoy, command):
    done = ask(hoy, *command.split(), "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith(f"Usage:  hoy {command}")
    assert done.stdout == ask(hoy, "help", *command.split()).stdout


@pytest.mark.parametrize("group", ["container", "image", "network", "volume", "system"])
def test_groups_list_their_commands(hoy, group):
    done = ask(hoy, group)
    assert done.returncode == 0
    assert done.stdout == ask(hoy, group, "--help").stdout
    assert "Commands:\n" in done.stdout
