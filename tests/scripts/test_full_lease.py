"""Does a lease that is full end in good order, whatever waits behind?"""

from __future__ import annotations

import redis as redis_py

from scheduler.rules import Quota
from tests.scripts.stage import Stage


def test_a_full_lease_looks_at_no_other_lane(redis: redis_py.Redis) -> None:
    """Where a quota lets it look further behind for rows, the next lane is left alone all the same."""
    stage = Stage(redis, tps=1, quota=Quota("0123456789abcdef", 90), max_rows=1)
    stage.push("a", class_="urgent")
    stage.push("b", class_="normal")
    assert stage.ids() == ["a"]
    assert stage.waiting("normal") == ["b"]
