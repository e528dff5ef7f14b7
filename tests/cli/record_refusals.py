#!/usr/bin/env python3
"""record_refusals.py DOCKER: writes refusals.json, what that Docker client says to each line of refusals.args."""
import json
import sys

from refusals import HERE, command_lines, refusal

recorded = {line: refusal(sys.argv[1], line) for line in command_lines()}
(HERE / "refusals.json").write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")
