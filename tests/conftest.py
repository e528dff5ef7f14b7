"""Fixtures of the journeys. Every journey that types commands runs twice: with Debian's docker client and with hoy.

HOY_BUILD             the build under test (build/)
HOY_TEST_DOCKER_HOST  run the same journeys against this dockerd instead (see harness/engine.py: Peer)
"""
import itertools
import os
import shutil
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from harness import engine as engines  # noqa: E402
from harness import images  # noqa: E402
from harness.cli import Cli, Terminal  # noqa: E402
from harness.machine import OtherHost  # noqa: E402

numbers = itertools.count(1)


def pytest_configure(config):
    if os.geteuid() != 0:
        raise pytest.UsageError("the journeys make namespaces and mounts: they need root")


@pytest.fixture(scope="session")
def busybox_tar():
    return images.busybox_rootfs()


def _with_busybox(engine, tar):
    images.import_tar(engine, tar, images.BUSYBOX, 'CMD ["sh"]', "ENV PATH=/bin")
    return engine


@pytest.fixture(scope="session")
def _shared_engine(busybox_tar):
    engine = engines.Peer() if engines.peer_mode() else engines.Hoyd()
    try:
        yield _with_busybox(engine.start(), busybox_tar)
    finally:
        reports = engine.close()
    assert not reports, "\n".join(reports.values())


@pytest.fixture
def engine(_shared_engine, request):
    """The session's engine with the busybox image; a test's containers are gone after it."""
    request.node.engine = _shared_engine
    if not engines.peer_mode() and _shared_engine.pid in _shared_engine.machine.exits:
        _shared_engine.start()  # an earlier test saw it die, and has failed for it
    yield _shared_engine
    _shared_engine.remove_containers()


@pytest.fixture
def new_engine(busybox_tar, request):
    """Makes engines that a test may stop, kill and start again: new_engine("--option", ...) -> started Hoyd with busybox."""
    engines.need_hoyd()
    made = []

    def make(*args, machine=None):
        engine = engines.Hoyd(*args, machine=machine)
        made.append(engine)
        request.node.engine = engine
        return _with_busybox(engine.start(), busybox_tar)

    yield make
    reports = {}
    for engine in reversed(made):
        reports.update(engine.close())
    assert not reports, "\n".join(reports.values())


@pytest.fixture
def own_engine(new_engine):
    return new_engine()


@pytest.fixture(params=["docker", "hoy"])
def client(request):
    """The client's name; journeys that make their own engines build a Cli from it."""
    if request.param == "hoy" and engines.peer_mode() and not os.path.exists(os.path.join(engines.BUILD, "programs", "hoy")):
        pytest.skip("hoy is not built, and a real dockerd is being tested")
    return request.param


@pytest.fixture
def cli(client, engine, tmp_path):
    return Cli(client, engine.host, str(tmp_path))


@pytest.fixture
def docker(engine, tmp_path):
    """Debian's docker client alone, for promises about the engine that no client changes."""
    return Cli("docker", engine.host, str(tmp_path))


@pytest.fixture
def api(engine):
    return engine.api


@pytest.fixture
def name():
    return f"hoyt{os.getpid()}-{next(numbers)}"


@pytest.fixture
def scratch(engine):
    """A folder that the engine sees at the same path."""
    path = engine.scratch()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def other_host(_shared_engine):
    host = OtherHost(_shared_engine.machine)
    yield host
    host.close()


@pytest.fixture(scope="session")
def _debian_in_shared(_shared_engine):
    with open(images.debian_rootfs(), "rb") as tar:
        images.import_tar(_shared_engine, tar, images.DEBIAN, 'CMD ["bash"]')
    return images.DEBIAN


@pytest.fixture
def debian(engine, _debian_in_shared):
    return _debian_in_shared


@pytest.fixture
def terminal(request):
    """Terminals that are closed after the test: terminal(cli, "run", "-it", ...)."""
    opened = []

    def make(cli, *args, **kw):
        opened.append(cli.terminal(*args, **kw))
        return opened[-1]

    yield make
    for t in opened:
        t.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    engine = getattr(item, "engine", None)
    if outcome.get_result().failed and engine is not None and hasattr(engine, "log_tail"):
        outcome.get_result().sections.append(("hoyd's log", engine.log_tail()))


__all__ = ["Terminal"]
