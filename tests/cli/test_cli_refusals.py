"""Wrong command lines get the exit status and the words of Docker's client (recorded in refusals.json)."""
import json

import pytest
from refusals import HERE, command_lines, refusal

RECORDED = json.loads((HERE / "refusals.json").read_text())


@pytest.mark.parametrize("line", command_lines())
def test_refused_as_by_docker(hoy, line):
    got = refusal(hoy, line)
    assert [got[0], got[1].replace("the docker daemon", "the hoy daemon")] == RECORDED[line]
