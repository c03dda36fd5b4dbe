"""Do the workers of a number wake at a permit one by one, and does another one take over from one that doesn't come?"""

from __future__ import annotations

import redis as redis_py

from scheduler.decisions import Grant, Wait
from tests.scripts.stage import SECOND, Stage

HANDOVER_US, SPARE_US = 500_000, 2_000_000


def asks(stage: Stage, holder: str) -> Grant | Wait:
    """Let a worker ask; the lease is granted or waits, and is never refused."""
    decision = stage.lease(holder=holder)
    assert isinstance(decision, Grant | Wait)
    return decision


def test_the_first_to_wait_has_the_turn(stage: Stage) -> None:
    """It is told the permit's time; its deputy comes half a second after it, the others two."""
    stage.push(*(f"m{index}" for index in range(20)), class_="urgent")
    stage.drain()
    first, second, third = (asks(stage, holder) for holder in ("worker", "b", "c"))
    assert isinstance(first, Wait)
    assert isinstance(second, Wait)
    assert isinstance(third, Wait)
    assert (second.until_us, third.until_us) == (first.until_us + HANDOVER_US, first.until_us + SPARE_US)


def test_a_grant_says_when_more_may_leave(stage: Stage) -> None:
    """So the same worker needs no second question: at that time, and not before, it gets the next row."""
    stage.push("a", "b", "c", class_="bulk")
    stage.drain()
    stage.later(ms=3000)
    stage.push("d", "e", "f", class_="bulk")
    granted = asks(stage, "worker")
    assert isinstance(granted, Grant)
    assert granted.next_us > stage.now_us
    stage.now_us = granted.next_us - 1
    assert isinstance(asks(stage, "worker"), Wait)
    stage.now_us = granted.next_us
    assert isinstance(asks(stage, "worker"), Grant)


def test_a_grant_that_emptied_the_lanes_waits_for_the_doorbell(stage: Stage) -> None:
    """Nothing waits, so there is nothing to ask for; a deferred row's time is told where there is one."""
    stage.push("a", class_="urgent")
    granted = stage.granted()
    assert granted.next_us == 0
    stage.push("later", class_="urgent", send_at="2030-03-17T17:46:45Z")
    stage.waits()
    stage.push("b", class_="urgent")
    due_us = next(iter(stage.scores("headway:15555550100:deferred").values())) * 1000
    assert stage.granted().next_us == due_us


def test_another_takes_over_from_one_that_does_not_come(stage: Stage) -> None:
    """When the turn's time is long over, who asks gets the rows, and the turn."""
    stage.push(*(f"m{index}" for index in range(20)), class_="urgent")
    stage.drain()
    turn = asks(stage, "worker")
    other = asks(stage, "b")
    assert isinstance(turn, Wait)
    assert isinstance(other, Wait)
    stage.now_us = other.until_us
    assert isinstance(asks(stage, "b"), Grant)
    mine = asks(stage, "b")
    assert isinstance(mine, Wait)
    assert mine.until_us <= stage.now_us + SECOND


def test_a_deputy_that_does_not_come_has_a_deputy_too(stage: Stage) -> None:
    """Who is killed with the one it stands in for is replaced by the next that asks."""
    stage.push(*(f"m{index}" for index in range(40)), class_="urgent")
    stage.drain()
    turn, deputy = asks(stage, "worker"), asks(stage, "b")
    assert isinstance(turn, Wait)
    assert isinstance(deputy, Wait)
    stage.now_us = turn.until_us
    assert isinstance(asks(stage, "worker"), Grant)
    stage.drain()
    mine, other = asks(stage, "worker"), asks(stage, "c")
    assert isinstance(mine, Wait)
    assert isinstance(other, Wait)
    assert other.until_us - mine.until_us == SPARE_US
    stage.now_us = deputy.until_us + 100_001
    stage.drain()
    mine, other = asks(stage, "worker"), asks(stage, "c")
    assert isinstance(mine, Wait)
    assert isinstance(other, Wait)
    assert other.until_us - mine.until_us == HANDOVER_US


def test_who_has_an_earlier_time_takes_the_turn(redis: redis_py.Redis) -> None:
    """When the TPS was raised meanwhile, nobody waits for the old time."""
    stage = Stage(redis, tps=0.2)
    stage.push("a", "b", class_="urgent")
    stage.drain()
    assert stage.waits().until_us == stage.now_us + 5 * SECOND
    stage.change_live(tps_milli=1000)
    earlier = asks(stage, "b")
    assert isinstance(earlier, Wait)
    assert earlier.until_us == stage.now_us + SECOND
