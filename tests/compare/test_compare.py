"""Every scenario, answered by hoyd as a real dockerd 28.5 answered it (recorded/, written by compare.py record)."""
import json
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import compare  # noqa: E402
import scenarios  # noqa: E402


@pytest.fixture(scope="module")
def side():
    from harness.engine import Hoyd, need_hoyd
    need_hoyd()
    engine = Hoyd().start()
    s = compare.Side(engine.sock)
    s.load_images()
    yield s
    engine.close()


@pytest.fixture(scope="module")
def allowed():
    return compare.Allowed()


@pytest.mark.parametrize("scenario", scenarios.TABLE, ids=lambda s: s.name)
def test_answers_equal_dockers(side, allowed, scenario):
    want = compare.recorded(scenario.group).get(scenario.name)
    assert want is not None, "not recorded: compare.py record"
    if scenario.name in compare.known():
        pytest.xfail("differs still: differing.txt")
    lines = compare.differences(scenario.name, json.loads(json.dumps(side.play(scenario))), want, allowed)
    assert not lines, "\n" + "\n".join(lines)
