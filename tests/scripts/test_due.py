"""Do deferred messages come back in the order of their times, whatever their number, and hold nobody up?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import redis as redis_py

from delivery.settle import Settlement
from delivery.states import State
from headway import keys
from scheduler.decisions import Grant, Wait
from scheduler.leases import Begun
from tests.scripts.stage import NUMBER, SECOND, START_US, Stage


def at(seconds: float) -> str:
    """Return a time so long after the test's start."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=START_US, seconds=seconds)).isoformat()


def sent_one_by_one(stage: Stage, count: int) -> list[str]:
    """Let so many messages leave as a worker does: lease, begin, settle, and ask again when told to."""
    out: list[str] = []
    for _ in range(50 * count):
        if len(out) >= count:
            return out
        lease_id = f"l{len(out)}-{stage.now_us}-{_}"
        decision = stage.lease(lease_id)
        if isinstance(decision, Grant):
            ids = [row.id for row in decision.rows]
            assert stage.begin(lease_id) is Begun.BEGUN
            stage.sent(lease_id, *ids)
            out += ids
            continue
        assert isinstance(decision, Wait)
        stage.now_us = max(stage.now_us, decision.until_us or stage.now_us + SECOND)
    raise AssertionError(f"only {len(out)} of {count} left")


def test_a_burst_of_one_moment_leaves_in_the_order_in_which_it_was_accepted(redis: redis_py.Redis) -> None:
    """300 messages for one second at 10 a second: lease by lease, none overtakes, though ids would sort otherwise."""
    stage = Stage(redis, tps=10)
    ids = [f"m{(i * 7919) % 1000:03d}" for i in range(300)]
    stage.push(*ids, send_at=at(60))
    assert stage.drain(calls=500) == []
    stage.later(ms=60_000)
    assert sent_one_by_one(stage, 300) == ids


def test_what_falls_due_later_leaves_later(redis: redis_py.Redis) -> None:
    """While older ones are still on their lane, newer ones don't get ahead of them."""
    stage = Stage(redis, tps=10)
    early, late = [f"e{i}" for i in range(60)], [f"l{i}" for i in range(60)]
    stage.push(*late, send_at=at(11))
    stage.push(*early, send_at=at(10))
    assert stage.drain(calls=200) == []
    stage.later(ms=10_000)
    first = sent_one_by_one(stage, 20)
    assert first + sent_one_by_one(stage, 100) == early + late


def test_due_messages_go_before_what_waits_on_the_lane(stage: Stage) -> None:
    """Their time has come: they don't stand behind a backlog."""
    stage.push("due", send_at=at(5))
    stage.push(*(f"m{i}" for i in range(50)))
    stage.drain(calls=50)
    stage.later(ms=5_000)
    assert stage.ids()[0] == "due"


def test_an_urgent_one_doesn_t_wait_behind_due_bulk(stage: Stage) -> None:
    """Of thousands of bulk messages that are due at once, not one is ahead of it."""
    stage.change(tps_milli=2_000)
    stage.push(*(f"b{i}" for i in range(2_000)), class_="bulk", send_at=at(5))
    stage.push("code", class_="urgent", send_at=at(5.5))
    assert stage.drain(calls=200) == []
    stage.later(ms=5_500)
    for _ in range(15):
        decision = stage.lease()
        if isinstance(decision, Grant) and decision.rows[0].id == "code":
            break
        stage.now_us = max(stage.now_us, decision.until_us if isinstance(decision, Wait) else 0)
    else:
        raise AssertionError("it still waits")
    assert stage.now_us < START_US + 6.6 * SECOND


def test_due_messages_count_as_waiting(redis: redis_py.Redis) -> None:
    """They are neither deferred any more, nor all on their lane yet."""
    from scheduler.unit_figures import read_units

    stage = Stage(redis, tps=1)
    stage.push(*(f"m{i}" for i in range(300)), send_at=at(5))
    stage.drain(calls=100)
    stage.later(ms=5_000)
    stage.granted()
    (found,) = read_units(redis, [NUMBER], 1_000, now_us=stage.now_us)
    assert found.waiting["normal"] + found.deferred == 299


def test_what_was_sent_after_all_never_leaves_again_though_it_is_due(redis: redis_py.Redis) -> None:
    """Its time came, it waits for its turn, and then a receipt proves an earlier try: the next lease drops it."""
    stage = Stage(redis, tps=10)
    ids = [f"m{i:02d}" for i in range(80)]
    stage.push(*ids, class_="urgent")
    for _ in range(8):
        decision = stage.granted(f"L{_}")
        stage.begin(f"L{_}")
        stage.settle(f"L{_}", *(Settlement(row.id, State.DEFERRED, retry_ms=60_000) for row in decision.rows))
        stage.later(ms=1_000)
    stage.later(ms=60_000)
    assert stage.ids() == ids[:10]
    assert ids[70] in [id_.decode() for id_ in stage.redis.lrange(keys.due_line(NUMBER, 0), 0, -1)]
    assert stage.sent("L7", ids[70]) == ["sent"]
    stage.later(ms=1_000)
    assert ids[70] not in sent_one_by_one(stage, 69)


def test_the_sweep_sees_what_is_due(redis: redis_py.Redis) -> None:
    """With no other traffic, across many numbers: a worker that has just started hears of it within its sweep."""
    stage = Stage(redis, tps=1)
    stage.push("m", send_at=at(5))
    stage.drain()
    assert stage.sweep() == 0
    stage.later(ms=5_000)
    assert stage.sweep() == 1


def test_nothing_is_left_of_it(redis: redis_py.Redis) -> None:
    """Once all have left, no key of it stays."""
    stage = Stage(redis, tps=100)
    stage.push(*(f"m{i}" for i in range(120)), class_="bulk", send_at=at(5))
    stage.drain(calls=100)
    stage.later(ms=5_000)
    assert len(sent_one_by_one(stage, 120)) == 120
    assert not list(redis.scan_iter("headway:*:due*"))


def test_a_former_shard_gives_back_what_is_due(redis: redis_py.Redis) -> None:
    """Nothing of it is forgotten when the number of shards changes."""
    from scheduler import shards
    from scheduler.shards import rules_of_unit

    unit = f"{NUMBER}/0of2"
    stage = Stage(redis, tps=1)
    stage.rules = rules_of_unit(stage.rules, unit)
    ids = [f"m{i:03d}" for i in range(450)]
    stage.push(*ids, send_at=at(5))
    assert stage.drain(calls=200) == []
    stage.later(ms=5_000)
    assert len(stage.ids()) == 1
    more = 1
    while more:
        _, more = stage.run(shards.drain(unit, 2, most=100, now_us=stage.now_us))
    assert redis.llen(keys.lanes(NUMBER)[2]) == 449
    assert not redis.exists(keys.due(unit))
