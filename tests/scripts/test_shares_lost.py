"""What does a class that can't go at all cost those that share with it?"""

from __future__ import annotations

import pytest
import redis as redis_py

from scheduler.decisions import Grant, Refuse
from tests.scripts.stage import SECOND
from tests.scripts.test_shares import USUAL, Road


def flooded(road: Road, *, seconds: float, each_second: int) -> None:
    """Let as much leave as may while messages come in evenly."""
    stage, came = road.stage, 0
    begin = stage.now_us
    while stage.now_us < begin + seconds * SECOND:
        road.fill()
        due = int((stage.now_us - begin) * each_second / SECOND)
        if due > came:
            stage.count(*(f"in{stage.now_us}-{index}" for index in range(due - came)))
            came = due
        decision = stage.lease()
        assert not isinstance(decision, Refuse)
        if isinstance(decision, Grant):
            road._leave(decision, receipts=False)
            continue
        stage.now_us = max(stage.now_us, min(max(decision.until_us, stage.now_us + 2000), stage.now_us + 20_000))


@pytest.mark.parametrize("shares", [USUAL, {"high": 1, "normal": 20, "bulk": 100}], ids=["usual", "bulk-first"])
def test_one_that_can_not_go_costs_the_others_little(redis: redis_py.Redis, shares: dict[str, int]) -> None:
    """So much comes in that there is room for high only: whatever its share, it has nearly what it has alone."""
    left = []
    for classes in (("high",), ("high", "bulk")):
        redis.flushdb()
        road = Road(redis, *classes, tps=100, calm_ppm=500_000, shares=shares)
        flooded(road, seconds=5, each_second=60)
        road.left.clear()
        flooded(road, seconds=30, each_second=60)
        left.append(road.left)
    alone, beside = left
    assert beside["bulk"] <= 30
    assert beside["high"] >= 0.85 * alone["high"]
