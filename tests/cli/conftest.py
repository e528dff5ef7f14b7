import os
import pathlib

import pytest


@pytest.fixture(scope="session")
def hoy():
    root = pathlib.Path(__file__).resolve().parents[2]
    build = pathlib.Path(os.environ.get("HOY_BUILD", root / "build"))
    program = build / "programs" / "hoy"
    if not program.exists():
        pytest.skip(f"{program} is not built")
    return str(program)
