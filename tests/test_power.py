"""The power goes while hoyd works: a few cuts of what ./run test-power does for hours, and that the rig would notice a missing fsync."""
import os
import subprocess
import sys

import pytest

from harness import engine as engines

POWER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "power")


def power(*words, program="power.py"):
    engines.need_hoyd()
    done = subprocess.run([sys.executable, os.path.join(POWER, program), *words], capture_output=True, text=True, timeout=500, env={**os.environ, "HOY_BUILD": engines.BUILD})
    if done.returncode == 77:
        pytest.skip(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr


def test_after_power_cuts_everything_is_whole_or_absent():
    power("10")


def test_kill_9_at_any_step_leaves_images_whole():
    power("--some", "15", program="steps.py")


def test_the_rig_finds_out_a_hoyd_that_does_not_sync():
    if "asan" in os.path.basename(engines.BUILD):
        pytest.skip("the sanitizers do not share hoyd with another preloaded library")
    power("20", "--no-sync")
