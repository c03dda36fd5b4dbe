"""Is what a person says of some messages in force for each lease and begin, whatever has been leased already?"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from delivery.settle import Settlement
from delivery.states import State
from headway import Client, MessageClass, NumberDrained, keys
from headway.errors import ControlError
from scheduler import explain, leases, marks, shards
from scheduler.cancel import cancel, clear
from scheduler.decisions import Because, Refuse
from scheduler.decree import Decree
from scheduler.history import history
from scheduler.leases import Begun
from scheduler.marks import Selection, What
from scheduler.steer import Verb, steer
from tests.scripts.stage import NUMBER, RECORD_TTL_S, Stage

BULK = Selection(class_=MessageClass.BULK)


def decree(stage: Stage, reason: str = "a test", **more: Any) -> Decree:
    """Ada decides, at the stage's time."""
    return Decree(by="ada", where="a desk", reason=reason, now_us=stage.now_us, **more)


def put(stage: Stage, what: What, selection: Selection, **more: Any) -> marks.Mark:
    """Make a mark, and nothing else: leases are to act on it."""
    return marks.put(stage.redis, NUMBER, what, selection, decree(stage, **more), verb=what, record_ttl_s=RECORD_TTL_S)


def lift(stage: Stage) -> None:
    """End all marks."""
    now_ms = stage.now_us // 1000
    standing = marks.read(stage.redis, NUMBER, now_ms=now_ms)
    assert marks.end(stage.redis, NUMBER, standing, decree(stage), verb="resume") == standing


def state(stage: Stage, message_id: str) -> str:
    """Return what the record says."""
    return stage.record(message_id)["state"]


SELECTIONS = [
    Selection(campaign="c1"), Selection(tag="t1"), Selection(to="19990000001"),
    Selection(older_than=timedelta(hours=1)), Selection(class_=MessageClass.NORMAL, campaign="c1"),
]  # fmt: skip


def two(stage: Stage) -> None:
    """Push `mine`, an hour and a half ago, which each of SELECTIONS is about, and `other`, which none is about."""
    stage.change(tps_milli=100_000)
    stage.push("mine", campaign="c1", tag="t1", to="19990000001")
    stage.later(ms=90 * 60_000)
    stage.push("other", campaign="c2", tag="t2", to="19990000002")


@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
def test_a_drop_meets_what_it_names_and_nothing_else(stage: Stage, selection: Selection) -> None:
    """The record says who, why and when; the number of rows is counted; the mark goes with the last old message."""
    two(stage)
    mark = put(stage, What.DROP, selection)
    assert stage.drain() == ["other"]
    assert state(stage, "mine") == "cancelled"
    assert stage.record("mine")["reason"] == "a test"
    (entry,) = json.loads("[" + stage.record("mine")["history"] + "]")
    assert (entry["by"], entry["state"]) == ("ada", "cancelled")
    (standing,) = marks.read(stage.redis, NUMBER, now_ms=stage.now_us // 1000)
    assert (standing.id, standing.rows) == (mark.id, 1)
    stage.begin("lease1")
    stage.sent("lease1", "other")
    stage.lease()
    assert marks.read(stage.redis, NUMBER, now_ms=stage.now_us // 1000) == []
    ended, made = history(stage.redis, NUMBER)
    assert (ended.verb, ended.reason, ended.rows) == ("ended", "nothing older is left", 1)
    assert (made.by, made.where, made.reason, made.rows) == ("ada", "a desk", "a test", 1)
    assert made.selection == selection.as_json()


@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
def test_a_hold_parks_what_it_names_and_gives_it_back(stage: Stage, selection: Selection) -> None:
    """Nothing is lost: it leaves when the hold ends, and nothing is left of the hold."""
    two(stage)
    put(stage, What.HOLD, selection)
    assert stage.drain() == ["other"]
    assert state(stage, "mine") == "waiting"
    lift(stage)
    assert stage.drain() == ["mine"]
    assert not stage.redis.exists(keys.held(NUMBER), keys.marks(NUMBER))


def test_what_was_accepted_after_a_drop_leaves(stage: Stage) -> None:
    """Also of the same class, while the drop stands."""
    stage.change(tps_milli=100_000)
    stage.push("old", class_="bulk")
    put(stage, What.DROP, BULK)
    stage.later(ms=5)
    stage.push("new", class_="bulk")
    assert stage.drain() == ["new"]
    assert state(stage, "old") == "cancelled"


def test_a_large_purge_goes_by_the_hundred(stage: Stage) -> None:
    """A full window doesn't slow it: what is dropped needs no room. What stands behind leaves."""
    stage.push(*(f"u{i}" for i in range(10)), class_="urgent")
    assert len(stage.ids()) == 10
    stage.push(*(f"b{i}" for i in range(1000)), class_="bulk", campaign="c")
    stage.push("other", class_="bulk")
    put(stage, What.DROP, Selection(campaign="c"))
    calls = 0
    while len(stage.waiting("bulk")) > 1:
        stage.lease()
        calls += 1
    assert calls <= 10
    assert all(state(stage, f"b{i}") == "cancelled" for i in range(1000))
    assert state(stage, "other") == "waiting"


@pytest.mark.parametrize(
    ("what", "selection"), [(What.HOLD, BULK), (What.HOLD, Selection(campaign="c")), (What.DROP, BULK)], ids=str
)
def test_a_mark_reaches_what_a_worker_has_leased(stage: Stage, what: What, selection: Selection) -> None:
    """Leased, not begun: the begin says no, uncharged; the next lease acts on it."""
    stage.push("a", class_="bulk", campaign="c")
    stage.granted("L")
    stage.later(ms=10)
    put(stage, what, selection)
    assert stage.begin("L") is Begun.STALE
    assert stage.meter()["window"] == 0
    assert stage.drain() == []
    assert state(stage, "a") == ("waiting" if what is What.HOLD else "cancelled")


def test_what_has_begun_goes_on(stage: Stage) -> None:
    """A mark takes nothing back from the provider: its settle is recorded as always."""
    stage.push("a", class_="bulk")
    stage.granted("L")
    stage.begin("L")
    stage.later(ms=10)
    put(stage, What.DROP, BULK)
    assert stage.sent("L", "a") == ["sent"]


def test_a_begun_row_that_is_to_be_tried_again_is_dropped_then(stage: Stage) -> None:
    """It comes back to its lane by its time, and the drop still stands."""
    stage.push("a", class_="bulk")
    stage.granted("L")
    stage.begin("L")
    stage.later(ms=10)
    put(stage, What.DROP, BULK)
    stage.settle("L", Settlement("a", State.DEFERRED, retry_ms=5000))
    assert stage.drain() == []
    stage.later(ms=6000)
    assert stage.drain() == []
    assert state(stage, "a") == "cancelled"


def test_a_class_that_is_held_whole_is_not_moved(stage: Stage) -> None:
    """Its lane stays as it is; what is below it goes on, and the answer says what the class waits for."""
    stage.change(tps_milli=100_000)
    stage.push("n1", "n2", class_="normal")
    stage.push("b1", class_="bulk")
    put(stage, What.HOLD, Selection(class_=MessageClass.NORMAL))
    assert stage.drain() == ["b1"]
    assert stage.waits().because is Because.HELD
    assert stage.waiting("normal") == ["n1", "n2"]
    lift(stage)
    assert stage.drain() == ["n1", "n2"]


def test_a_held_class_is_explained(stage: Stage) -> None:
    """As the lease answers it: held, until its time; the others may leave."""
    until_ms = stage.now_us // 1000 + 60_000
    put(stage, What.HOLD, BULK, until_ms=until_ms)
    rooms = explain.standing(stage.run(explain.ask(stage.rules, now_us=stage.now_us))).rooms
    found = {room.class_.value: (room.may_leave > 0, room.because, room.until_us) for room in rooms}
    assert found["bulk"] == (False, "held", until_ms * 1000)
    assert found["normal"] == (True, "", 0)


def test_a_hold_ends_by_itself(stage: Stage) -> None:
    """The wait says until when, so that somebody asks then; the audit log says that its time is over."""
    stage.push("a", class_="bulk", campaign="c")
    until_us = stage.now_us + 60_000_000
    put(stage, What.HOLD, Selection(campaign="c"), until_ms=until_us // 1000)
    assert stage.drain() == []
    assert stage.waits().until_us == until_us
    stage.later(ms=60_000)
    assert stage.drain() == ["a"]
    assert history(stage.redis, NUMBER)[0].reason == "its time is over"


def test_what_is_held_comes_back_in_order_and_none_passes(stage: Stage) -> None:
    """Much more than one call gives back, in front of what came later; until all are back, none of the lane leaves."""
    stage.change(tps_milli=1_000_000, max_rows=1000)
    held = [f"h{i:04}" for i in range(1700)]
    stage.push(*held, class_="bulk", campaign="c")
    stage.push("u", class_="urgent")
    put(stage, What.HOLD, Selection(campaign="c"))
    assert stage.drain() == ["u"]
    stage.push("late", class_="bulk")
    lift(stage)
    out = stage.drain()
    while len(out) < 1701:
        stage.later(ms=1100)
        out += stage.drain()
    assert out == [*held, "late"]


def test_a_row_that_is_held_can_be_dropped(stage: Stage) -> None:
    """By another mark, without waiting for the hold to end."""
    stage.push("a", class_="bulk", campaign="c")
    put(stage, What.HOLD, Selection(campaign="c"))
    stage.drain()
    put(stage, What.DROP, BULK)
    assert sum(clear(stage.redis, NUMBER, now_us=stage.now_us)) == 1
    assert state(stage, "a") == "cancelled"
    assert not stage.redis.exists(keys.kept(NUMBER))


def test_clear_works_on_a_paused_number(stage: Stage) -> None:
    """Lanes from the head, deferred ones, those held for a person, as far as the drop is about them."""
    stage.push(*(f"b{i}" for i in range(450)), class_="bulk")
    stage.push("later", class_="bulk", send_at="2040-01-01T00:00:00Z")
    stage.push("normal")
    stage.change_live(paused=1)
    stage.later(ms=1)
    put(stage, What.DROP, BULK)
    assert sum(clear(stage.redis, NUMBER, now_us=stage.now_us)) == 451
    assert isinstance(stage.lease(), Refuse)
    assert {state(stage, f"b{i}") for i in range(450)} == {"cancelled"}
    assert (stage.waiting("bulk"), stage.waiting("normal")) == ([], ["normal"])


def test_clear_reaches_what_is_due_and_what_stands_behind(stage: Stage) -> None:
    """A paused number has some of each; nothing is left of what the drop is about, and nobody waits for it."""
    stage.change(tps_milli=100_000, order=("bulk",), max_rows=1)
    at = "2030-03-17T17:46:45Z"
    stage.push(*(f"d{i}" for i in range(120)), class_="bulk", send_at=at, campaign="c")
    stage.push("head", "behind", class_="bulk", to="19990000001", campaign="c")
    stage.push("other", class_="bulk", to="19990000001")
    stage.drain(calls=400)
    stage.later(ms=10_000)
    stage.lease()
    assert stage.redis.exists(keys.lines(NUMBER), keys.due(NUMBER)) == 2
    stage.change_live(paused=1)
    put(stage, What.DROP, Selection(campaign="c"))
    sum(clear(stage.redis, NUMBER, now_us=stage.now_us))
    assert {state(stage, f"d{i}") for i in range(1, 120)} <= {"cancelled", "waiting"}
    assert state(stage, "behind") == "cancelled"
    stage.unset("paused")
    stage.change(max_rows=100)
    for lease_id in list(stage.names(keys.leases(NUMBER))):
        stage.end(lease_id)
    assert stage.drain(calls=400) == ["other"]
    assert {state(stage, f"d{i}") for i in range(120)} == {"cancelled"}


def test_what_a_plain_celery_app_published_is_dropped_for_a_minute(stage: Stage) -> None:
    """Nobody knows when it came; after a minute it counts as new, so that a purge doesn't eat for ever."""
    envelope = {
        "body": json.dumps([[], {"to": "19990009999", "text": "x"}, {}]), "content-type": "application/json",
        "content-encoding": "utf-8", "headers": {"task": "worker.send", "id": "stock1"},
        "properties": {"body_encoding": "utf-8"},
    }  # fmt: skip
    stage.push("keeps-the-mark", class_="bulk", send_at="2040-01-01T00:00:00Z")
    stage.drain()
    put(stage, What.DROP, Selection(class_=MessageClass.NORMAL))
    stage.put(json.dumps(envelope))
    assert stage.drain() == []
    assert state(stage, "stock1") == "cancelled"
    stage.later(ms=61_000)
    stage.put(json.dumps(envelope | {"headers": {"task": "worker.send", "id": "stock2"}}))
    assert stage.drain() == ["stock2"]


def test_a_person_who_has_a_dead_message_tried_again_means_it(stage: Stage) -> None:
    """An older drop isn't about it any more."""
    stage.push("a", class_="bulk")
    put(stage, What.DROP, BULK)
    stage.redis.hset(keys.record("a"), "retried_ms", stage.now_us // 1000 + 1)
    assert stage.drain() == ["a"]


@pytest.mark.parametrize("when", ["waiting", "deferred", "leased", "behind", "held"])
def test_one_message_is_cancelled_wherever_it_waits(stage: Stage, when: str) -> None:
    """It never leaves; those beside it do. Said once or twice, it is one entry of the audit log."""
    stage.change(tps_milli=100_000)
    more = {"send_at": "2040-01-01T00:00:00Z"} if when == "deferred" else {}
    stage.push("a", to="19990000001", **more)
    if when == "behind":
        stage.change(order=("normal",))
        stage.push("b", to="19990000001")
    ids = stage.ids("L") if when in ("leased", "behind") else []
    target = "b" if when == "behind" else "a"
    if when == "deferred":
        stage.drain()
    if when == "held":
        put(stage, What.HOLD, Selection(to="19990000001"))
        stage.drain()
    if when == "behind":
        stage.drain()
    assert cancel(stage.redis, target, decree(stage), record_ttl_s=RECORD_TTL_S).done
    assert cancel(stage.redis, target, decree(stage), record_ttl_s=RECORD_TTL_S).done
    assert state(stage, target) == "cancelled"
    if when == "held":
        lift(stage)
    if ids and when == "leased":
        assert stage.begin("L") is Begun.STALE
    if when == "behind":
        assert stage.begin("L") is Begun.BEGUN
        stage.sent("L", "a")
    assert stage.drain() == []
    assert [entry.message for entry in history(stage.redis, NUMBER) if entry.verb == "cancel"] == [target]
    left = (keys.kept(NUMBER), keys.deferred(NUMBER), keys.leased(NUMBER), keys.heads(NUMBER), keys.lines(NUMBER))
    assert [key for key in left if stage.redis.exists(key)] == []


def test_what_can_not_be_cancelled_says_why(stage: Stage) -> None:
    """Being sent, sent, given up, never heard of."""

    def asked(message_id: str) -> str:
        found = cancel(stage.redis, message_id, decree(stage), record_ttl_s=RECORD_TTL_S)
        assert not found.done
        return found.state

    stage.push("a", "b", class_="urgent")
    stage.granted("L")
    stage.begin("L")
    assert asked("a") == "sending"
    stage.settle("L", Settlement("a", State.SENT), Settlement("b", State.DEAD))
    assert (asked("a"), asked("b"), asked("c")) == ("sent", "dead", "")


def test_an_uncertain_message_is_cancelled_once_it_is_held(stage: Stage) -> None:
    """Before, nobody may say that it doesn't leave: it may have left."""
    stage.push("a")
    stage.granted("L")
    stage.begin("L")
    stage.settle("L", Settlement("a", State.UNCERTAIN))
    assert cancel(stage.redis, "a", decree(stage), record_ttl_s=RECORD_TTL_S).state == "uncertain"
    stage.redis.zadd(keys.uncertain(NUMBER), {"a": -1})
    assert cancel(stage.redis, "a", decree(stage), record_ttl_s=RECORD_TTL_S).done
    assert not stage.redis.exists(keys.uncertain(NUMBER), keys.kept(NUMBER))


@pytest.mark.parametrize("what", [What.HOLD, What.DROP])
def test_who_stands_behind_a_marked_message_goes_on(stage: Stage, what: What) -> None:
    """A message of a held, or dropped, campaign that had its recipient's turn gives it up."""
    stage.change(tps_milli=100_000, order=("normal",))
    stage.push("a", to="19990000001", campaign="c")
    stage.push("b", to="19990000001")
    stage.granted("L")
    stage.drain()
    stage.later(ms=10)
    put(stage, what, Selection(campaign="c"))
    assert stage.begin("L") is Begun.STALE
    assert stage.drain() == ["b"]
    left = keys.lines(NUMBER), keys.heads(NUMBER)
    assert [int(stage.redis.exists(key)) for key in left] == [0, 1]


def test_a_number_pauses_until_a_time(stage: Stage) -> None:
    """And goes on by itself; the audit log says until when."""
    stage.push("a")
    until_ms = stage.now_us // 1000 + 60_000
    steer(stage.redis, NUMBER, Verb.PAUSE, Selection(), decree(stage, until_ms=until_ms), record_ttl_s=RECORD_TTL_S)
    assert isinstance(stage.lease(), Refuse)
    assert history(stage.redis, NUMBER)[0].until_ms == until_ms
    stage.later(ms=60_000)
    assert stage.ids() == ["a"]


@pytest.mark.parametrize("selection", [BULK, Selection(campaign="c")], ids=str)
def test_what_expires_while_it_is_held_never_leaves(stage: Stage, selection: Selection) -> None:
    """However long a person took: the lease that meets it says that it has expired."""
    stage.push("a", class_="bulk", campaign="c", expires_at="2030-03-17T18:00:00Z")
    put(stage, What.HOLD, selection)
    stage.drain()
    stage.later(ms=24 * 3600 * 1000)
    lift(stage)
    (row,) = stage.granted().rows
    assert row.verdict == "expired"


def test_what_nobody_can_mean_is_refused(stage: Stage) -> None:
    """Each error names the field."""
    asked: list[tuple[Verb, Selection, Decree, str]] = [
        (Verb.PURGE, Selection(), decree(stage, reason=""), "reason"),
        (Verb.CANCEL, Selection(), decree(stage), "selection"),
        (Verb.DRAIN, Selection(campaign="c"), decree(stage), "selection"),
        (Verb.PURGE, BULK, decree(stage, until_ms=2**52), "until"),
        (Verb.RESUME, BULK, decree(stage), "selection"),
    ]
    for verb, selection, by, named in asked:
        with pytest.raises(ControlError) as caught:
            steer(stage.redis, NUMBER, verb, selection, by, record_ttl_s=RECORD_TTL_S)
        assert caught.value.field == named
    assert not stage.redis.keys()


def test_a_mark_that_is_made_again_replaces_the_one_before(stage: Stage) -> None:
    """One hold of one selection; a drop supersedes the older one of the same selection."""
    for what in (What.HOLD, What.DROP):
        for reason in ("first", "second"):
            put(stage, what, BULK, reason=reason)
            stage.later(ms=1)
    standing = marks.read(stage.redis, NUMBER, now_ms=stage.now_us // 1000)
    assert [(mark.what, mark.reason) for mark in standing] == [(What.HOLD, "second"), (What.DROP, "second")]


def test_a_drained_number_takes_no_more_and_lets_out_what_waits(stage: Stage) -> None:
    """The client raises with who and why; a repeated push of what was accepted before is no error; others go on."""
    stage.change(tps_milli=100_000)
    client = Client(stage.redis)
    client.push(NUMBER, to="19990000001", text="x", class_="bulk", id="before")
    put(stage, What.DRAIN, BULK, reason="the shop is closed", until_ms=stage.now_us // 1000 + 1000)
    with pytest.raises(NumberDrained, match=f"{NUMBER}: bulk takes no more messages: the shop is closed .ada."):
        client.push(NUMBER, to="19990000001", text="x", class_="bulk")
    client.push(NUMBER, to="19990000001", text="x", class_="bulk", id="before")
    client.push(NUMBER, to="19990000002", text="x", class_="high", id="other")
    assert sorted(stage.drain()) == ["before", "other"]
    put(stage, What.DRAIN, Selection())
    with pytest.raises(NumberDrained, match="the number takes no more"):
        client.push(NUMBER, to="19990000002", text="x", class_="high")
    lift(stage)
    client.push(NUMBER, to="19990000002", text="x", class_="high")


@pytest.mark.parametrize("before", [1, 2])
def test_what_is_held_moves_with_the_shards(stage: Stage, before: int) -> None:
    """The unit that held it is no longer in force: it comes back to the lanes, and is held again where it goes."""
    former = keys.units(NUMBER, before)[0]
    stage.push(*(f"a{i:03}" for i in range(700)), class_="bulk", campaign="c")
    if before > 1:
        stage.redis.hset(keys.shards(NUMBER), mapping={"now": 4, "2": 1, "4": 1})
        stage.redis.rename(keys.lanes(NUMBER)[3], keys.lanes(former)[3])
    mark = put(stage, What.HOLD, Selection(campaign="c"))
    while stage.run(leases.lease(replace(stage.rules, number=former), "L", "w", now_us=stage.now_us))[3] == b"again":
        pass
    assert stage.redis.hget(keys.held(former), mark.id) == b"700"
    move = shards.sort(NUMBER, 4, now_us=stage.now_us) if before == 1 else shards.drain(former, 2, now_us=stage.now_us)
    stage.redis.hset(keys.shards(NUMBER), mapping={"now": 4, "4": 1})
    while stage.run(move)[-1]:
        pass
    assert not stage.redis.exists(keys.held(former), keys.kept(former))
    out = [lane for unit in (NUMBER, *keys.units(NUMBER, 4)) for lane in [keys.lanes(unit)[3]]]
    found = [[json.loads(raw)["headers"]["id"] for raw in reversed(stage.redis.lrange(lane, 0, -1))] for lane in out]
    assert sum(map(len, found)) == 700
    assert all(ids == sorted(ids) for ids in found)


@pytest.mark.parametrize(
    "text",
    [
        "", "7", "[]", "{}", "x", '{"what": "drop"}', '{"what": "drop", "at_ms": 1, "before_ms": 9e15}',
        '{"what": "hold", "at_ms": null}', '{"what": "hold", "at_ms": 1, "until_ms": null, "step": "9"}',
        '{"what": "drop", "at_ms": 1, "before_ms": "x", "ttl_s": 1}', '{"what": "drain", "at_ms": 1, "until_ms": "x"}',
    ],
)  # fmt: skip
def test_a_mark_that_was_written_by_hand_and_can_not_be_is_passed_over(stage: Stage, text: str) -> None:
    """It stops nobody: not a push, not a lease, not a begin, nor who lists marks."""
    stage.redis.hset(keys.marks(NUMBER), "abc", text)
    stage.push("a", class_="urgent")
    assert stage.ids("L") == ["a"]
    assert stage.begin("L") is Begun.BEGUN
    marks.read(stage.redis, NUMBER, now_ms=stage.now_us // 1000)
    assert history(stage.redis, NUMBER) == []


def test_there_is_a_bound_of_marks(stage: Stage) -> None:
    """Each lease reads them all."""
    for i in range(200):
        put(stage, What.HOLD, Selection(tag=f"t{i}"))
    with pytest.raises(ControlError, match="too many marks"):
        put(stage, What.HOLD, Selection(tag="t200"))
