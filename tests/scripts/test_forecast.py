"""Do the scripts look ahead as the model does, and hold what would overrun the container?"""

from __future__ import annotations

from typing import Any

import pytest
import redis as redis_py
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway import keys
from headway.envelope import seal
from headway.message import Message
from scheduler import forecast
from scheduler.ahead import Learned, learn
from scheduler.decisions import Because, Grant, Wait
from scheduler.forecast import Expects, Forecast
from scheduler.meter import Kind
from tests.scripts.stage import NUMBER, SECOND, Stage

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("later"), st.sampled_from([0, 1, 20, 100, 700, 1000, 5000, 60_000])),
        st.tuples(st.just("send"), st.integers(1, 12)),
        st.tuples(st.just("group"), st.integers(1, 300)),
        st.tuples(st.just("hear"), st.sampled_from([0, 40, 900, 7000])),
        st.tuples(st.just("hear group"), st.just(0)),
        st.tuples(st.just("inbound"), st.integers(1, 5)),
    ),
    max_size=25,
)


def teach(stage: Stage, *receipts: Learned) -> int:
    """Learn from receipts."""
    return int(stage.run(learn(stage.rules, receipts, now_us=stage.now_us)))


def push_group(stage: Stage, id_: str, *, members: int | None = 256, class_: str = "bulk") -> None:
    """Push a message to a group."""
    message = Message(group_id=f"{id_}@g.us", group_members=members, text="x")
    stage.push_sealed([(id_, seal(NUMBER, id_, message))], class_=class_)


def kept(stage: Stage) -> Forecast:
    """Read the forecast that the scripts keep."""
    raw: Any = stage.redis.get(keys.forecast(NUMBER))
    return forecast.unpack(raw)


@pytest.mark.parametrize("webhook", [True, False])
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_the_scripts_keep_what_the_model_keeps(redis: redis_py.Redis, webhook: bool, steps: list[Any]) -> None:
    """Whatever is sent, heard and waited for, in any order: the same state, to a millionth."""
    redis.flushall()
    stage = Stage(redis, shape_fields=("group_id",), event_webhook=webhook, headroom=0, tps=1000)
    e, model, inbound = Expects(webhook=webhook), Forecast(), 0
    for number, (what, much) in enumerate(steps):
        now, tps = stage.now_us, stage.rules.tps_milli
        if what == "later":
            stage.later(ms=much)
        elif what == "inbound":
            stage.count(*(f"in{number}-{n}" for n in range(much)))
            inbound += much
        elif what.startswith("hear"):
            group = what == "hear group"
            if teach(stage, Learned("delivered", much * 1000, group), Learned("read", None, group)):
                model.advance(e, now, tps, inbound)
                model.hear("delivered", much * 1000, group=group, tps_milli=tps)
                model.hear("read", None, group=group, tps_milli=tps)
        else:
            groups = int(what == "group")
            ids = [f"row{number}-{n}" for n in range(1 if groups else much)]
            if groups:
                push_group(stage, ids[0], members=much, class_="urgent")
            else:
                stage.push(*ids, class_="urgent")
            spent = sum(int(member.rpartition(":")[2]) for member, at in window(stage) if at > now - SECOND)
            model.at_lease(e, now, window_us=SECOND, tps_milli=tps, inbound=inbound, spent=spent)
            model.owed %= 1
            granted = stage.granted()
            assert [row.id for row in granted.rows] == ids
            model.send(0 if groups else much, groups, much if groups else 0)
    if redis.exists(keys.forecast(NUMBER)):
        found = kept(stage)
        assert (found.at_us, found.told, found.told_groups) == (model.at_us, model.told, model.told_groups)
        assert (found.behind, found.owed, found.inbound_per_s) == pytest.approx(
            (model.behind, model.owed, model.inbound_per_s), rel=1e-6, abs=1e-6
        )
        for ours, theirs in zip(model.streams, found.streams, strict=True):
            assert (theirs.share, theirs.group_share, theirs.delay_us, *theirs.one, *theirs.many) == pytest.approx(
                (ours.share, ours.group_share, ours.delay_us, *ours.one, *ours.many), rel=1e-6, abs=1e-6
            )


def window(stage: Stage) -> list[tuple[str, float]]:
    """Read the window's entries."""
    return list(stage.scores(keys.window(NUMBER)).items())


def test_without_a_receipt_ever_seen_nothing_is_held(stage: Stage) -> None:
    """A provider that tells of no receipts, and a number's first second: window and debt alone decide."""
    stage.push(*(f"a{n}" for n in range(40)), class_="urgent")
    assert len(stage.drain()) == 10
    stage.later(ms=1000)
    stage.push(*(f"b{n}" for n in range(40)), class_="bulk")
    stage.later(ms=1000)
    assert isinstance(stage.lease(), Grant)


def urgent_for_four_seconds(stage: Stage) -> None:
    """Ten urgent sends a second, of which six receipts have been told by the end; then one of bulk waits."""
    teach(stage, *(Learned("delivered", 1_000_000) for _ in range(3)))
    for second in range(4):
        stage.push(*(f"a{second}-{n}" for n in range(10)), class_="urgent")
        assert len(stage.drain()) == 10
        stage.later(ms=1000)
    stage.count(*(f"r{n}" for n in range(6)), kind=Kind.DELIVERED)
    stage.push("bulk", class_="bulk")


def test_receipts_on_their_way_hold_bulk_and_not_urgent(stage: Stage) -> None:
    """Forty sends make some hundred events, six of which took turns of the last ten sends: these still wait there."""
    urgent_for_four_seconds(stage)
    wait = stage.waits()
    assert wait.because is Because.DEBT
    assert stage.now_us + 30_000 <= wait.until_us <= stage.now_us + SECOND
    stage.push("urgent", class_="urgent")
    assert stage.ids() == ["urgent"]


def test_the_brake_ends_when_our_sends_have_had_their_turns(stage: Stage) -> None:
    """Told one by one, a turn apart, events leave no debt: the container keeps up, and bulk leaves."""
    stage.count("first")
    for second in range(3):
        stage.push(f"a{second}", class_="urgent")
        assert stage.ids() == [f"a{second}"]
        for n in range(9):
            stage.later(ms=100)
            stage.count(f"r{second}-{n}")
        stage.later(ms=100)
    stage.push("bulk", class_="bulk")
    assert stage.ids() == ["bulk"]


def test_what_is_switched_off_is_not_expected(redis: redis_py.Redis) -> None:
    """With no receipts more may leave: that is what switching them off is for."""
    stage = Stage(redis, receipts=())
    urgent_for_four_seconds(stage)
    stage.later(ms=600)
    assert stage.ids() == ["bulk"]


def test_a_live_setting_wins(stage: Stage) -> None:
    """Receipts that a person switches off while it runs aren't expected any more; what was expected is worked off."""
    urgent_for_four_seconds(stage)
    stage.change_live(receipts="none")
    stage.later(ms=5000)
    stage.count(*(f"s{n}" for n in range(6)), kind=Kind.INBOUND)
    stage.later(ms=600)
    assert stage.ids() == ["bulk"]


@pytest.mark.parametrize("class_", ["bulk", "normal", "high"])
def test_the_next_group_waits_until_the_last_ones_receipts_are_worked_off(stage: Stage, class_: str) -> None:
    """One send and 512 receipts: at 10 TPS more than half a minute's work, though nothing was told of it yet."""
    push_group(stage, "first", class_=class_)
    push_group(stage, "second", class_=class_)
    teach(stage, *(Learned("delivered", None, group=True) for _ in range(5)))
    assert stage.ids() == ["first"]
    stage.later(ms=300)
    assert stage.waits().because is Because.FORECAST
    left_after = next(s for s in range(1, 120) if _leaves(stage, after_ms=1000))
    assert 20 <= left_after <= 60


def _leaves(stage: Stage, *, after_ms: int) -> bool:
    # The container works at its TPS while there is something, and tells of it.
    for _ in range(10):
        stage.later(ms=after_ms / 10)
        if stage.meter().get("delivered", 0) < 404:
            stage.count(f"receipt-{stage.now_us}", kind=Kind.DELIVERED)
    return isinstance(stage.lease(), Grant)


def test_a_small_group_says_so(stage: Stage) -> None:
    """`group_members` is how many receipts of a kind it may bring."""
    push_group(stage, "small", members=3)
    assert stage.ids() == ["small"]
    assert sum(kept(stage).streams[0].many) == 3


def test_a_group_of_unknown_size_counts_as_256(stage: Stage) -> None:
    """The most that groups had when the provider's page was written."""
    push_group(stage, "unknown", members=None)
    assert stage.ids() == ["unknown"]
    assert sum(kept(stage).streams[0].many) == 256


def test_receipts_that_nobody_tells_of_are_charged_when_they_are_expected(redis: redis_py.Redis) -> None:
    """Without the event webhook the container still pays: 98 % of the sends about a second later, then 60 %."""
    stage = Stage(redis, event_webhook=False, headroom=0)
    stage.push(*(f"a{n}" for n in range(10)), class_="urgent")
    assert len(stage.drain()) == 10
    for _ in range(600):
        stage.later(ms=100)
        stage.lease()
    meter = stage.meter()
    assert meter["foreseen"] == 15  # of 15.8
    assert "delivered" not in meter
    assert stage.debt() == 0
    assert teach(stage, Learned("delivered", 1_000_000)) == 0


def test_an_untold_burst_is_debt_for_all_classes(redis: redis_py.Redis) -> None:
    """A group's receipts that the webhook keeps silent about use TPS: urgent waits for them too, or uses its floor."""
    stage = Stage(redis, headroom=0)
    push_group(stage, "silent")
    assert stage.ids() == ["silent"]
    stage.later(ms=3000)
    stage.push("urgent", class_="urgent")
    wait = stage.lease()
    assert isinstance(wait, Wait)
    assert wait.because in (Because.DEBT, Because.WINDOW)


def test_learning_costs_one_small_key(stage: Stage) -> None:
    """It goes by itself when a number is idle for a month."""
    assert teach(stage, Learned("delivered", 1), Learned("read", None)) == 2
    assert stage.redis.strlen(keys.forecast(NUMBER)) == 200
    assert 0 < stage.redis.ttl(keys.forecast(NUMBER)) <= 30 * 86400


def test_where_no_receipt_uses_the_allocation_nothing_is_forecast(redis: redis_py.Redis) -> None:
    """As on Meta's Cloud API."""
    stage = Stage(redis, counts=("send", "inbound"))
    assert teach(stage, Learned("delivered", 1)) == 0
    push_group(stage, "a")
    push_group(stage, "b")
    stage.later(ms=1000)
    assert stage.ids() == ["a"]
    stage.later(ms=1000)
    assert stage.ids() == ["b"]
    assert not stage.redis.exists(keys.forecast(NUMBER))


def test_a_damaged_forecast_is_begun_afresh(stage: Stage) -> None:
    """Whatever stands in the key, a lease goes on."""
    stage.redis.set(keys.forecast(NUMBER), b"rubbish", ex=60)
    stage.push("a")
    assert stage.ids() == ["a"]
    assert kept(stage).at_us == stage.now_us
