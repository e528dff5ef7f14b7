"""What `hoy create` sends is what Docker's client sends for the same words (recorded in bodies.json)."""
import json

import pytest
from bodies import HERE, command_lines, sent_body

RECORDED = json.loads((HERE / "bodies.json").read_text())


@pytest.mark.parametrize("line", command_lines())
def test_create_sends_what_docker_sends(hoy, line, tmp_path):
    assert sent_body(hoy, line, tmp_path) == RECORDED[line]
