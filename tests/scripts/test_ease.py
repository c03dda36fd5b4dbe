"""Does a message wait for its next try as long as its pause is, wherever the server's clock was set?"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest

from delivery.settle import Settlement
from delivery.states import State
from headway import keys
from runtime.clock import FakeClock
from scheduler import ease
from scheduler.decisions import Because
from tests.scripts.stage import NUMBER, Stage
from worker.clock_watch import ClockWatch

DAY = timedelta(days=1)
DAY_MS = 86_400_000


def put_off(stage: Stage, *ids: str, retry_ms: int = 5000) -> None:
    """Let a try of each go wrong."""
    stage.change(tps_milli=1_000_000)
    stage.push(*ids, class_="urgent")
    granted = stage.granted("L")
    stage.begin("L")
    stage.settle("L", *(Settlement(row.id, State.DEFERRED, retry_ms=retry_ms) for row in granted.rows))


def set_back(stage: Stage, back: timedelta = DAY) -> int:
    """Set the clock back, and do what a worker does then."""
    stage.later(ms=-(back / timedelta(milliseconds=1)))
    return ease.ease_all(stage.redis, NUMBER, back=back, now_us=stage.now_us)


@pytest.mark.parametrize("back", [timedelta(seconds=30), timedelta(minutes=50), DAY])
def test_a_retry_waits_its_pause_and_no_longer(stage: Stage, back: timedelta) -> None:
    """Not the step too; nor less than its pause. Done twice, nothing changes."""
    put_off(stage, "a")
    stage.later(ms=2000)
    assert set_back(stage, back) == 1
    assert ease.ease_all(stage.redis, NUMBER, back=back, now_us=stage.now_us) == 0
    assert stage.record("a")["until_ms"] == str(stage.now_us // 1000 + 5000)
    stage.later(ms=4990)
    assert stage.waits().because is Because.EMPTY
    stage.later(ms=20)
    assert stage.ids() == ["a"]


def test_a_time_that_somebody_gave_stays(stage: Stage) -> None:
    """The message leaves when the clock says so, which is right now."""
    stage.push("later", class_="urgent", send_at="2031-01-01T00:00:00Z")
    stage.waits()
    before = stage.scores(keys.deferred(NUMBER))
    assert set(before) == {"later"}
    put_off(stage, "a")
    assert set_back(stage) == 1
    assert stage.scores(keys.deferred(NUMBER))["later"] == before["later"]


def test_what_is_in_time_is_left_alone(stage: Stage) -> None:
    """A clock that wasn't set back makes no wait shorter."""
    put_off(stage, "a")
    stage.later(ms=1000)
    before = stage.scores(keys.deferred(NUMBER))
    assert ease.ease_all(stage.redis, NUMBER, back=DAY, now_us=stage.now_us) == 0
    assert stage.scores(keys.deferred(NUMBER)) == before


def test_all_of_very_many_are_found(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page after page, between others that stay where they are."""
    monkeypatch.setattr(ease, "AT_ONCE", 7)
    put_off(stage, *(f"m{index}" for index in range(40)))
    far_ms = stage.now_us // 1000 + 60_000
    stage.redis.zadd(keys.deferred(NUMBER), {f"other{index}": far_ms - index * 4000 for index in range(30)})
    assert set_back(stage, timedelta(minutes=10)) == 40
    stage.later(ms=5001)
    assert sorted(stage.drain()) == sorted(f"m{index}" for index in range(40))


def test_a_worker_sees_the_step(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """However long it is between two looks; a step forward, or a small one, is none."""
    put_off(stage, "a")
    clock = FakeClock()

    class Server:
        def time(self) -> tuple[int, int]:
            return divmod(stage.now_us, 1_000_000)

        def __getattr__(self, name: str) -> Any:
            return getattr(stage.redis, name)

    watch = ClockWatch(cast("Any", Server()), clock)
    told: list[list[int]] = []
    for by_us in (0, 500_000, -999_999, 7_200_000_000, -7_200_000_000, 0):
        clock.advance(timedelta(seconds=10))
        stage.later(ms=10_000 + by_us / 1000)
        watch.look([NUMBER])
        told.append([m["by_ms"] for m in (r.msg for r in caplog.records) if isinstance(m, dict)])
    assert told[3:] == [[], [7_200_000], [7_200_000]]
