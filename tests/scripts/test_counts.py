"""Which events use the allocation, and how much of it is kept free for them?"""

from __future__ import annotations

import redis as redis_py

from scheduler.meter import Kind
from tests.scripts.stage import Stage


def test_kinds_that_use_no_tps_are_counted_and_not_charged(redis: redis_py.Redis) -> None:
    """On the Cloud API receipts are free: the totals know them, window and debt don't, and no headroom is kept."""
    stage = Stage(redis, counts=("send", "inbound"))
    for kind in (Kind.DELIVERED, Kind.READ):
        assert stage.count(*(f"{kind}{index}" for index in range(50)), kind=kind) == 50
    assert stage.debt() == 0
    stage.push(*(f"m{index}" for index in range(20)), class_="urgent")
    assert len(stage.drain()) == 10
    assert (stage.meter()["delivered"], stage.meter()["read"]) == (50, 50)
    assert "uncontrolled_us" not in stage.meter()


def test_a_kind_that_is_charged_fills_the_window_beside_one_that_is_not(redis: redis_py.Redis) -> None:
    """Six inbound messages leave room for four sends, however many receipts came with them."""
    stage = Stage(redis, counts=("send", "inbound"))
    stage.count(*(f"r{index}" for index in range(20)), kind=Kind.READ)
    stage.count(*(f"i{index}" for index in range(6)))
    stage.push(*(f"m{index}" for index in range(20)), class_="urgent")
    assert len(stage.drain()) == 4


def test_the_headroom_is_no_more_than_what_comes_in_needs(redis: redis_py.Redis) -> None:
    """Of 80 TPS a quarter may be kept: a message now and then keeps nothing free, a stream of them all twenty."""

    def most_in_a_second(stage: Stage) -> int:
        stage.push(*(f"m{stage.now_us}-{index}" for index in range(100)), class_="bulk")
        out = 0
        for _ in range(100):
            out += len(stage.drain())
            stage.later(ms=10)
        stage.redis.delete("headway.15555550100\x06\x169")
        return out

    stage = Stage(redis, tps=80, headroom=0.25)
    stage.count("once")
    stage.later(ms=30_000)
    assert most_in_a_second(stage) == 80
    for second in range(20):
        stage.count(*(f"in{second}-{index}" for index in range(30)))
        stage.later(ms=1000)
    stage.later(ms=2000)
    assert most_in_a_second(stage) == 60
