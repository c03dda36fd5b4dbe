"""What does every test of a script start from: one number on an empty server."""

from __future__ import annotations

import pytest
import redis as redis_py

from tests.scripts.stage import Stage


@pytest.fixture
def stage(redis: redis_py.Redis) -> Stage:
    """10 TPS, a tenth of headroom, no guard, no limit of leases in flight."""
    return Stage(redis)
