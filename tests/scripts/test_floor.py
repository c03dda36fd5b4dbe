"""Does a number that is flooded by what nobody can refuse still answer, and only as much as it was given?"""

from __future__ import annotations

import pytest
import redis as redis_py

from scheduler.decisions import Because, Wait
from tests.scripts.stage import SECOND, Stage


@pytest.fixture
def flooded(redis: redis_py.Redis) -> Stage:
    """10 TPS with a floor of a tenth: one send a second; the container is 20 s behind."""
    stage = Stage(redis, floor_ppm=100_000)
    stage.count(*(f"in{index}" for index in range(200)))
    return stage


def sent_over(stage: Stage, *, seconds: int) -> list[str]:
    """Return the ids that may leave in so many seconds, asked every 50 ms."""
    out: list[str] = []
    for _ in range(seconds * 20):
        out += stage.drain()
        stage.later(ms=50)
    return out


@pytest.mark.parametrize("class_", ["urgent", "high"])
def test_urgent_and_high_leave_once_a_second(flooded: Stage, class_: str) -> None:
    """A tenth of 10 TPS is one send a second, whatever window and debt say."""
    flooded.push(*(f"m{index}" for index in range(30)), class_=class_)
    assert sent_over(flooded, seconds=5) == [f"m{index}" for index in range(5)]
    assert flooded.meter()["floor"] == 5


@pytest.mark.parametrize("class_", ["normal", "bulk"])
def test_other_classes_have_no_floor(flooded: Stage, class_: str) -> None:
    """Normal and bulk wait until the debt is worked off."""
    flooded.push("m", class_=class_)
    assert sent_over(flooded, seconds=5) == []
    assert "floor" not in flooded.meter()


def test_both_classes_share_one_floor(flooded: Stage) -> None:
    """Urgent goes first; high gets nothing of the floor while urgent uses it."""
    flooded.push(*(f"h{index}" for index in range(5)), class_="high")
    flooded.push(*(f"u{index}" for index in range(3)), class_="urgent")
    assert sent_over(flooded, seconds=5) == ["u0", "u1", "u2", "h0", "h1"]


def test_the_wait_ends_with_the_floor_s_next_send(flooded: Stage) -> None:
    """Whoever waits is told the floor's time, not that of the debt, which is far."""
    flooded.push("a", "b", class_="urgent")
    assert flooded.drain() == ["a"]
    decision = flooded.lease()
    assert isinstance(decision, Wait)
    assert (decision.because, decision.until_us) == (Because.WINDOW, flooded.now_us + SECOND)


def test_the_floor_never_lets_the_sends_alone_exceed_the_tps(redis: redis_py.Redis) -> None:
    """Where sends fill the window themselves, urgent waits for room as ever."""
    stage = Stage(redis, floor_ppm=100_000)
    stage.push(*(f"m{index}" for index in range(30)), class_="urgent")
    assert len(stage.drain()) == 10
    stage.later(ms=500)
    assert stage.drain() == []
    assert "floor" not in stage.meter()


def test_without_a_floor_urgent_waits_for_the_debt(redis: redis_py.Redis) -> None:
    """HEADWAY_FLOOR=0 is strict: nothing leaves before the container has caught up."""
    stage = Stage(redis, floor_ppm=0)
    stage.count(*(f"in{index}" for index in range(200)))
    stage.push("m", class_="urgent")
    assert sent_over(stage, seconds=5) == []
