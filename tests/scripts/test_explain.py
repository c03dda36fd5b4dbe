"""Does `explain` say what a lease would answer, and change nothing by saying so?"""

from __future__ import annotations

from typing import Any

import pytest
import redis as redis_py
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway import MessageClass, keys
from scheduler import control, explain
from scheduler.decisions import Because, Grant, Refuse, Wait
from scheduler.meter import Kind
from scheduler.rules import Quota
from tests.scripts.stage import NUMBER, SECOND, Stage, everything


def standing(stage: Stage) -> explain.Standing:
    """Look at the number."""
    return explain.standing(stage.run(explain.ask(stage.rules, now_us=stage.now_us)))


def room(stage: Stage, class_: str) -> explain.Room:
    """Look at one class."""
    return next(room for room in standing(stage).rooms if room.class_ == class_)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("later"), st.sampled_from([1, 30, 200, 700, 1100, 4000, 30_000])),
        st.tuples(st.just("count"), st.sampled_from([1, 3, 12, 60])),
        st.tuples(st.just("send"), st.sampled_from([*MessageClass]), st.sampled_from([1, 3, 30])),
        st.tuples(st.just("throttle"), st.sampled_from([0, 3000]), st.sampled_from([800, 4000])),
        st.tuples(
            st.just("change"),
            st.sampled_from(
                [{"tps_milli": "3000"}, {"headroom_ppm": "0"}, {"headroom_ppm": "500000"}, {"calm_ppm": "300000"},
                 {"floor_ppm": "0"},
                 {"floor_ppm": "400000"}, {"in_flight": "2"}, {"guard_us": "300000"}, {"push_per_minute": "6"},
                 {"tps_milli": "", "in_flight": "", "push_per_minute": ""}]
            ),
        ),
    ),
    max_size=12,
)  # fmt: skip

rules = st.fixed_dictionaries(
    {
        "tps_milli": st.sampled_from([200, 1000, 5000, 10_000, 20_000]),
        "headroom_ppm": st.sampled_from([0, 100_000, 500_000]),
        "calm_ppm": st.sampled_from([0, 100_000, 500_000]),
        "floor_ppm": st.sampled_from([0, 100_000, 500_000]),
        "in_flight": st.sampled_from([3, 1000]),
        "guard_us": st.sampled_from([0, 20_000]),
        "event_webhook": st.booleans(),
        "receipts": st.sampled_from([("delivered", "read"), ("delivered",), ()]),
        "quota": st.sampled_from([None, Quota("a" * 16, 90), Quota("a" * 16, 8)]),
    }
)


def walk(stage: Stage, walked: list[tuple[Any, ...]]) -> None:
    """Bring the number into some state."""
    for place, (what, *rest) in enumerate(walked):
        if what == "later":
            stage.later(ms=rest[0])
        elif what == "count":
            stage.count(*(f"e{place}-{i}" for i in range(rest[0])), kind=Kind.INBOUND)
        elif what == "throttle":
            _throttle(stage, *rest)
        elif what == "change":
            control.change(stage.redis, NUMBER, rest[0], by="ada")
        else:
            class_, rows = rest
            stage.push(*(f"m{place}-{i}" for i in range(rows)), class_=class_)
            decision = stage.lease(f"l{place}")
            if isinstance(decision, Grant) and place % 2:
                stage.begin(f"l{place}")
            stage.redis.delete(*keys.lanes(NUMBER))


def _throttle(stage: Stage, rest_ms: int, tps_milli: int) -> None:
    """Leave what a provider's refusals leave: a lower TPS, and a time before which it wants nothing."""
    now_us = stage.now_us
    told = {"tps_milli": tps_milli, "at": now_us, "was": 2 * tps_milli, "until": now_us + rest_ms * 1000}
    stage.redis.hset(keys.throttle(NUMBER), mapping=told)
    stage.redis.expire(keys.throttle(NUMBER), 600)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=rules, walked=steps, class_=st.sampled_from([*MessageClass]), paused=st.sampled_from([False] * 9 + [True]))
def test_it_says_what_the_next_lease_answers(
    redis: redis_py.Redis, said: dict[str, Any], walked: list[tuple[Any, ...]], class_: MessageClass, *, paused: bool
) -> None:
    """In any state, for any class: how many rows, or until when to wait and why; and to look changes nothing."""
    redis.flushdb()
    stage = Stage(redis, **{**said, "tps": 1})
    stage.change(**said)
    walk(stage, walked)
    if paused:
        control.pause(redis, NUMBER, by="ada")
    before = everything(redis)
    told = room(stage, class_)
    assert everything(redis) == before
    stage.push(*(f"last{i}" for i in range(min(told.may_leave, 97) + 3)), class_=class_)
    decision = stage.lease("the one")
    if isinstance(decision, Grant):
        assert (told.because, len(decision.rows)) == ("", told.may_leave)
    elif isinstance(decision, Wait):
        assert (told.may_leave, told.because, told.until_us) == (0, decision.because, decision.until_us)
    else:
        assert (told.may_leave, told.because, told.until_us) == (0, decision.because, 0)


def test_it_tells_the_meter_as_the_next_lease_finds_it(stage: Stage) -> None:
    """Not as the last one left it: what has gone since then is gone."""
    stage.push(*(f"m{i}" for i in range(4)), class_="urgent")
    stage.count(*(f"e{i}" for i in range(9)))
    assert len(stage.granted("one").rows) == 1
    found = standing(stage)
    assert (found.facts["spent"], found.facts["sends"], found.facts["leases"]) == (10, 1, 1)
    assert found.facts["behind"] == 10_000_000
    urgent = found.rooms[0]
    assert (urgent.waiting, urgent.may_leave, urgent.because) == (3, 0, Because.WINDOW)
    assert urgent.until_us == stage.now_us + SECOND
    stage.later(ms=1500)
    found = standing(stage)
    assert (found.facts["spent"], found.facts["behind"], found.rooms[0].may_leave) == (0, 0, 10)


def test_it_tells_what_the_forecast_foresees(stage: Stage) -> None:
    """Where receipts are expected, and only there."""
    assert "foreseen_ms" not in standing(stage).facts
    stage.change(event_webhook=False)
    found = standing(stage).facts
    assert found["calm_ms"] == 500
    assert found["foreseen_ms"] == 0
    stage.change(receipts=(), counts=("send", "inbound"))
    assert "foreseen_ms" not in standing(stage).facts


@pytest.mark.parametrize("class_", [*MessageClass])
def test_a_paused_number_waits_for_a_person(stage: Stage, class_: MessageClass) -> None:
    """No time is told, for there is none."""
    control.pause(stage.redis, NUMBER, by="ada")
    told = room(stage, class_)
    assert (told.may_leave, told.because, told.until_us) == (0, explain.PAUSED, 0)
    assert isinstance(stage.lease(), Refuse)
