"""Does anything stay for ever where no lease comes to it, and does a call grow with what stands there?"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from headway import MessageClass, keys
from runtime.windows import Cap
from scheduler import explain, marks, shards
from scheduler.cancel import clear
from scheduler.decisions import Because
from scheduler.decree import Decree
from scheduler.leases import Begun
from scheduler.marks import Selection, What
from tests.scripts.stage import NUMBER, RECORD_TTL_S, START_US, Stage


def at(seconds: float) -> str:
    """Return a time so long after the test's start."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=START_US, seconds=seconds)).isoformat()


def decree(stage: Stage) -> Decree:
    """Ada decides, at the stage's time."""
    return Decree(by="ada", where="a desk", reason="a test", now_us=stage.now_us)


def put(stage: Stage, what: What, selection: Selection) -> marks.Mark:
    """Make a mark."""
    return marks.put(stage.redis, NUMBER, what, selection, decree(stage), verb=what, record_ttl_s=RECORD_TTL_S)


def test_a_sweep_sees_what_a_hold_gives_back(stage: Stage) -> None:
    """The doorbell of the one who ended it was missed, or its time is over while no worker ran."""
    stage.push("a", campaign="c")
    mark = put(stage, What.HOLD, Selection(campaign="c"))
    assert stage.drain() == []
    assert marks.end(stage.redis, NUMBER, [mark], decree(stage), verb="resume")
    assert stage.sweep() & 1
    assert stage.drain() == ["a"]
    assert not stage.sweep() & 1


def test_due_messages_follow_after_those_before_them_were_dropped(stage: Stage) -> None:
    """What stood at the front of the lane is gone without a lease: the next ones come all the same."""
    stage.push(*(f"a{i}" for i in range(50)), campaign="c", send_at=at(5))
    stage.push(*(f"b{i}" for i in range(20)), send_at=at(6))
    assert stage.drain() == []
    stage.push("new")
    stage.later(ms=7000)
    assert stage.ids() == ["a0"]
    put(stage, What.DROP, Selection(campaign="c"))
    assert sum(clear(stage.redis, NUMBER, now_us=stage.now_us)) == 49
    stage.later(ms=2000)
    assert stage.ids() == ["b0"]


def test_due_messages_follow_after_a_purge_of_the_lane(stage: Stage) -> None:
    """`celery purge` takes the front away; what is behind it isn't stuck."""
    stage.push(*(f"a{i}" for i in range(70)), send_at=at(5))
    assert stage.drain() == []
    stage.later(ms=7000)
    assert stage.ids() == ["a0"]
    stage.redis.delete(keys.lane(NUMBER, MessageClass.NORMAL))
    stage.later(ms=2000)
    assert stage.ids() == ["a50"]


def test_a_hold_reaches_what_was_leased_before_the_clock_went_back(stage: Stage) -> None:
    """It seems older than the lease, but isn't."""
    stage.push("a", to="19990000001")
    stage.granted("L")
    stage.later(ms=-600_000)
    put(stage, What.HOLD, Selection(to="19990000001"))
    stage.later(ms=50)
    assert stage.begin("L") is Begun.STALE
    assert stage.waiting("normal") == ["a"]


def test_a_call_defers_without_looking_again_where_it_is_full(stage: Stage) -> None:
    """100,000 that wait for one moment fill 25 milliseconds: that isn't found out anew for each row."""
    first_ms = START_US // 1000 + 5000
    stage.redis.zadd(keys.deferred(NUMBER), {f"m{i}": first_ms + i / 4096 for i in range(100_000)})
    stage.push(*(f"b{i}" for i in range(250)), send_at=at(5))
    before = _calls(stage, "zrange")
    stage.lease()
    assert _calls(stage, "zrange") - before <= 400
    last = stage.redis.zrange(keys.deferred(NUMBER), -250, -1)
    assert [id_.decode() for id_ in last] == [f"b{i}" for i in range(250)]


def _calls(stage: Stage, command: str) -> int:
    """How often the server was asked for this so far."""
    return int(stage.redis.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0))


def test_explain_counts_what_is_due(stage: Stage) -> None:
    """Though only the first of them stand on the lane."""
    stage.push(*(f"a{i}" for i in range(70)), send_at=at(5))
    assert stage.drain() == []
    stage.later(ms=7000)
    assert stage.ids() == ["a0"]
    rooms = explain.standing(stage.run(explain.ask(stage.rules, now_us=stage.now_us))).rooms
    assert [room.waiting for room in rooms] == [0, 0, 69, 0]


def test_a_change_of_shards_takes_long_lines_along_some_at_a_time(stage: Stage) -> None:
    """Of 20 recipients with 100 behind one in flight, each call moves some hundred; none is lost, none overtakes."""
    stage.change(order=("bulk",), tps_milli=1_000_000)
    for person in range(20):
        stage.push(*(f"p{person}-{i}" for i in range(101)), class_="bulk", to=f"1999000{person:04d}")
    assert len(stage.drain()) == 20
    stage.push("p19-101", class_="bulk", to="19990000019")
    stage.redis.hset(keys.shards(NUMBER), "now", 2)
    more, calls = True, 0
    while more:
        behind = stage.redis.zcard(keys.lines(NUMBER))
        more = shards.sorted_(stage.run(shards.sort(NUMBER, 2, now_us=stage.now_us))).more
        assert behind - stage.redis.zcard(keys.lines(NUMBER)) <= 700
        calls += 1
    assert 4 <= calls <= 40
    lanes = [keys.lane(unit, MessageClass.BULK) for unit in keys.units(NUMBER, 2)]
    ids = [json.loads(raw)["headers"]["id"] for lane in lanes for raw in reversed(stage.redis.lrange(lane, 0, -1))]
    assert len(ids) == 2001
    for person in range(20):
        own = [int(id_.partition("-")[2]) for id_ in ids if id_.startswith(f"p{person}-")]
        assert own == list(range(1, 102 if person == 19 else 101))


def test_a_flood_to_one_contact_asks_once_whether_its_cap_is_full(stage: Stage) -> None:
    """A thousand a day may go, and 250 more come at once: what became of the thousand isn't asked 250 times."""
    stage.change(caps=(Cap("class", "bulk", 1000, 86_400_000, "defer"),))
    now_ms = START_US // 1000
    turn = now_ms // 86_400_000
    before = " ".join(f"{now_ms - 5000 + i}:m{i}" for i in range(1000))
    stage.redis.hset(keys.capped(NUMBER, turn % 2), mapping={"turn": turn, "class:bulk\n19990000001": before})
    stage.redis.expire(keys.capped(NUMBER, turn % 2), 3600)
    stage.push(*(f"b{i}" for i in range(250)), class_="bulk", to="19990000001")
    asked = _calls(stage, "hmget")
    assert stage.waits().because is Because.AGAIN
    assert _calls(stage, "hmget") - asked <= 1500
    assert stage.redis.zcard(keys.deferred(NUMBER)) == 250


def test_a_drop_stays_while_former_shards_may_have_something_older(stage: Stage) -> None:
    """The number itself is empty, but one of its former shards has a lease that will come back."""
    stage.redis.hset(keys.shards(NUMBER), mapping={"now": 1, "1": 1, "2": 1})
    mark = put(stage, What.DROP, Selection(campaign="c"))
    stage.lease()
    assert [one.id for one in marks.read(stage.redis, NUMBER, now_ms=stage.now_us // 1000)] == [mark.id]
