"""What does the tutorial use: a client, one number of 10 TPS, and a clock that the reader turns."""

from __future__ import annotations

import pytest
import redis as redis_py

from headway import Client
from tests.scripts.stage import Stage


@pytest.fixture
def client(redis: redis_py.Redis) -> Client:
    """Enqueue as any app does."""
    return Client(redis)


@pytest.fixture
def number(redis: redis_py.Redis) -> Stage:
    """Do what a worker does, at a time that the test decides: lease, begin, settle, count."""
    return Stage(redis, tps=10)
