"""Is everything that uses a number's allocation counted, once, and at its own time?"""

from __future__ import annotations

import pytest
import redis as redis_py

from headway import keys
from scheduler import meter
from scheduler.decisions import Because
from scheduler.meter import DEBT_CAP_EVENTS, DEBT_CAP_S, SEEN_TTL, Event, Kind, spent
from tests.scripts.stage import NUMBER, SECOND, Stage, everything


def test_an_event_is_counted_once(stage: Stage) -> None:
    """Repeated by the provider, in another call or the same: nothing changes."""
    assert stage.count("a", "b", "a") == 2
    before = everything(stage.redis)
    assert stage.count("a", "b") == 0
    assert everything(stage.redis) == before
    assert 0 < stage.redis.ttl(keys.seen(NUMBER, "a")) <= SEEN_TTL.total_seconds()


def test_kinds_are_counted_apart(stage: Stage) -> None:
    """The meter's record says what used the number."""
    stage.count("a", "b", "c", kind=Kind.INBOUND)
    stage.count("d", "e", kind=Kind.DELIVERED)
    stage.count("f", kind=Kind.READ)
    found = spent(stage.redis, NUMBER)
    assert (found.send, found.inbound, found.delivered, found.read, found.window) == (0, 3, 2, 1, 6)


def test_debt_grows_beyond_the_allocation_and_drains_with_it(stage: Stage) -> None:
    """100 inbound at once at 10 TPS: ten seconds behind, five a half of that later, then nothing."""
    stage.count(*(f"in{i}" for i in range(100)))
    assert stage.debt() == 100
    stage.later(ms=5000)
    assert stage.debt() == 50
    stage.later(ms=5001)
    assert stage.debt() == 0


def test_debt_has_a_cap(stage: Stage) -> None:
    """Beyond 30 s of TPS the container has lost events rather than queued them."""
    for start in range(0, 8000, 1000):
        stage.count(*(f"in{i}" for i in range(start, start + 1000)))
    assert stage.debt() == 10 * DEBT_CAP_S
    assert stage.meter()["inbound"] == 8000


def test_the_cap_is_that_of_the_tps_that_holds(stage: Stage) -> None:
    """A TPS that a person raised raises the queue too."""
    stage.change_live(tps_milli=100_000)
    for start in range(0, 4000, 1000):
        stage.count(*(f"in{i}" for i in range(start, start + 1000)))
    assert stage.debt() == 100 * DEBT_CAP_S


def test_a_slow_number_has_a_queue_too(redis: redis_py.Redis) -> None:
    """At one event a second the cap is a hundred events, not thirty."""
    stage = Stage(redis, tps=1)
    stage.count(*(f"in{i}" for i in range(200)))
    assert stage.debt() == DEBT_CAP_EVENTS


def test_a_reply_is_a_send_that_was_counted(stage: Stage) -> None:
    """It stands in the totals, the window and the debt like any other send, once."""
    assert stage.count("reply:1", "reply:1", kind=Kind.SEND) == 1
    assert (stage.meter()["send"], stage.meter()["window"], stage.debt()) == (1, 1, 1)


def test_a_cap_that_shrinks_forgives_nothing(stage: Stage) -> None:
    """When TPS is lowered, what is owed stays owed."""
    for start in range(0, 3000, 1000):
        stage.count(*(f"in{i}" for i in range(start, start + 1000)))
    stage.change(tps_milli=1000)
    stage.count("one more")
    assert stage.debt() == 10 * DEBT_CAP_S


def test_events_of_the_past_fill_no_window(stage: Stage) -> None:
    """Ten inbound messages of two seconds ago leave this second free."""
    stage.count(*(f"in{i}" for i in range(10)), age_ms=2000)
    assert stage.meter()["window"] == 0
    stage.push("m", class_="urgent")
    assert stage.ids() == ["m"]


def test_late_events_of_one_moment_drain_together(stage: Stage) -> None:
    """100 inbound messages of 200 ms ago: the container has worked off two of them, not all."""
    stage.count(*(f"in{i}" for i in range(100)), age_ms=200)
    assert stage.debt() == pytest.approx(98)


@pytest.mark.parametrize("batch", [1, 7, 50])
def test_late_events_make_the_same_debt_however_they_are_batched(stage: Stage, batch: int) -> None:
    """50 a second for four seconds, each told 1.5 s late, put a container of 10 TPS 140 to 200 events behind."""
    stage.now_us += 4 * SECOND
    ids = [(f"in{i}", 5500 - i * 20) for i in range(200)]
    for start in range(0, 200, batch):
        events = [Event(id_, Kind.INBOUND, stage.now_us - age_ms * 1000) for id_, age_ms in ids[start : start + batch]]
        stage.run(meter.count(stage.rules, events, now_us=stage.now_us))
    assert stage.debt() == pytest.approx(200 - 55, abs=1)


def test_a_replay_of_what_was_worked_off_makes_no_debt(stage: Stage) -> None:
    """An hour of inbound at half of TPS, told at its end, leaves nothing owed."""
    stage.now_us += 3600 * SECOND
    ages_us = range(3600 * SECOND, 0, -SECOND // 5)
    events = [Event(f"in{i}", Kind.INBOUND, stage.now_us - age) for i, age in enumerate(ages_us)]
    for start in range(0, len(events), 1000):
        stage.run(meter.count(stage.rules, events[start : start + 1000], now_us=stage.now_us))
    assert stage.meter()["inbound"] == 18_000
    assert stage.debt() < 1


def test_what_is_older_than_the_longest_debt_owes_nothing(stage: Stage) -> None:
    """Counted in the totals, and that is all."""
    stage.count(*(f"in{i}" for i in range(50)), age_ms=DEBT_CAP_S * 1000 + 1)
    assert stage.debt() == 0
    assert stage.meter()["inbound"] == 50


def test_events_of_the_future_are_of_now(stage: Stage) -> None:
    """A provider's clock that runs ahead gains nothing and breaks nothing."""
    stage.count("a", "b", age_ms=-3_600_000)
    assert stage.debt() == 2
    assert stage.meter()["window"] == 2


def test_counting_forgets_what_has_left_the_window(stage: Stage) -> None:
    """The window's total is that of its entries, whoever looks."""
    stage.count("a", "b")
    stage.later(ms=600)
    stage.count("c")
    stage.later(ms=600)
    stage.count("d")
    assert stage.meter()["window"] == 2
    assert sum(int(member.rsplit(":", 1)[1]) for member in stage.scores(keys.window(NUMBER))) == 2


def test_the_total_starts_afresh_when_the_windows_key_has_gone(stage: Stage) -> None:
    """A number idle for longer than the key lives has nothing in its window, whatever its meter said last."""
    stage.count(*(f"in{i}" for i in range(10)))
    stage.redis.delete(keys.window(NUMBER))
    stage.later(ms=100_000)
    stage.push(*(f"m{i}" for i in range(10)), class_="urgent")
    assert len(stage.ids()) == 10
    assert stage.meter()["window"] == 10


def test_an_event_id_may_be_any_text(stage: Stage) -> None:
    """Odd ids count once like any other, and leave no charge that can't be read again."""
    odd = ["wamid.HBg+/==", "a:7", "with space", "line\nbreak", "ünï", "x" * 500, ":3"]
    assert stage.count(*odd) == len(odd)
    assert stage.count(*odd) == 0
    for id_ in odd:
        stage.count(id_ + "2")
    assert stage.meter()["window"] == 2 * len(odd)
    stage.later(ms=2000)
    stage.count("last")
    assert stage.meter()["window"] == 1


def test_counted_events_hold_sends_back_below_one_a_second(redis: redis_py.Redis) -> None:
    """At one event in 5 s, an inbound message takes the next send's place."""
    stage = Stage(redis, tps=0.2)
    stage.push("m", class_="urgent")
    stage.count("in")
    wait = stage.waits()
    assert (wait.because, wait.until_us) == (Because.WINDOW, stage.now_us + 5 * SECOND)
    stage.now_us = wait.until_us
    assert stage.ids() == ["m"]
