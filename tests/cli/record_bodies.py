#!/usr/bin/env python3
"""record_bodies.py DOCKER: writes bodies.json, what that Docker client sends for each line of bodies.args."""
import json
import sys
import tempfile

from bodies import HERE, command_lines, sent_body

with tempfile.TemporaryDirectory() as tmp:
    recorded = {line: sent_body(sys.argv[1], line, tmp) for line in command_lines()}
(HERE / "bodies.json").write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")
