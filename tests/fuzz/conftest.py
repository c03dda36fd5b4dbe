"""What do all fuzz tests share? One gateway, which must outlive all of them without a fault."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz.target import Target, open_target
from tests.harness.leaks import leaks
from tests.harness.servers import ThrowawayServer


@pytest.fixture(scope="package")
def shared_target(server: ThrowawayServer) -> Iterator[Target]:
    """One gateway for all tests here."""
    if server.pid is None:
        server.start()
    with open_target(server) as target:
        yield target


@pytest.fixture
def target(shared_target: Target) -> Iterator[Target]:
    """The gateway, which is sound before and after each test, and leaves only keys that are declared."""
    shared_target.sound()
    yield shared_target
    shared_target.sound()
    assert not leaks(shared_target.redis)
