"""Does settle write down what became of a row, once, and leave it in one place?"""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from delivery.retries import MOST_ATTEMPTS, RETRY_FOR
from delivery.settle import Settlement
from delivery.states import State
from headway import keys
from tests.scripts.stage import NUMBER, RECORD_TTL_S, START_US, Stage, everything


def begun(stage: Stage, *ids: str, lease_id: str = "L", class_: str = "urgent") -> None:
    """Push, lease and begin messages."""
    stage.push(*ids, class_=class_)
    assert stage.ids(lease_id) == list(ids)
    stage.begin(lease_id)


def test_sent_is_recorded_and_ends_the_lease(stage: Stage) -> None:
    """The record says what, when and under which name of the provider; the envelope is gone; the charge stays."""
    begun(stage, "a")
    stage.later(ms=300)
    assert stage.settle("L", Settlement("a", State.SENT, provider_id="wamid.1", push_id="77", code="100")) == ["sent"]
    assert stage.record("a") == {
        "state": "sent",
        "number": NUMBER,
        "class": "urgent",
        "accepted_ms": "1900000000000",
        "begun_ms": "1900000000000",
        "changed_ms": "1900000000300",
        "attempts": "1",
        "provider_id": "wamid.1",
        "push_id": "77",
        "code": "100",
    }
    assert 0 < stage.redis.ttl(keys.record("a")) <= RECORD_TTL_S
    assert not stage.redis.exists(keys.leases(NUMBER), keys.leased(NUMBER), keys.deadlines(NUMBER), keys.kept(NUMBER))
    assert stage.meter()["send"] == stage.meter()["window"] == 1


@pytest.mark.parametrize("state", sorted({State.SENT, State.DEFERRED, State.UNCERTAIN, State.DEAD, State.WAITING}))
def test_settling_again_changes_nothing(stage: Stage, state: State) -> None:
    """The second run answers that nothing changed, and so it is."""
    begun(stage, "a", "b")
    first = stage.settle("L", Settlement("a", state, retry_ms=5000))
    assert first == [state.value]
    before = everything(stage.redis)
    stage.later(ms=100)
    assert stage.settle("L", Settlement("a", state, retry_ms=5000)) == [""]
    assert everything(stage.redis) == before


def test_a_row_named_twice_in_one_settle_is_settled_once(stage: Stage) -> None:
    """The first word counts."""
    begun(stage, "a")
    assert stage.settle("L", Settlement("a", State.SENT), Settlement("a", State.DEAD)) == ["sent", ""]
    assert stage.record("a")["state"] == "sent"
    assert stage.record("a")["attempts"] == "1"


def test_a_lease_ends_with_its_last_row(stage: Stage) -> None:
    """Settled in parts, it holds the rest."""
    begun(stage, "a", "b", "c")
    stage.sent("L", "b")
    assert [row[0] for row in json.loads(stage.redis.hget(keys.leases(NUMBER), "L"))["rows"]] == ["a", "c"]
    stage.sent("L", "c")
    assert stage.names(keys.leases(NUMBER)) == {"L"}
    stage.sent("L", "a")
    assert not stage.redis.exists(keys.leases(NUMBER), keys.deadlines(NUMBER))


def test_what_never_left_is_refunded(stage: Stage) -> None:
    """Two of ten never left: two more may leave at once."""
    stage.push(*(f"m{i}" for i in range(12)), class_="urgent")
    stage.granted("L")
    stage.later(ms=100)
    stage.begin("L")
    stage.settle("L", Settlement("m3", State.DEAD, left=False), Settlement("m4", State.DEAD, left=False))
    assert stage.meter()["window"] == stage.meter()["send"] == 8
    assert stage.scores(keys.window(NUMBER)) == {"L:8": stage.now_us}
    assert stage.ids() == ["m10", "m11"]


def test_a_refund_after_the_window_forgives_no_debt(stage: Stage) -> None:
    """The container has long drained that charge: what came in since stays owed."""
    begun(stage, "a", "b", "c", "d", "e")
    stage.later(ms=5000)
    stage.count(*(f"in{i}" for i in range(8)))
    stage.settle("L", *(Settlement(id_, State.DEAD, left=False) for id_ in "abcde"))
    assert stage.debt() == 8
    assert stage.meter()["window"] == 8
    assert stage.meter()["send"] == 0


def test_a_refund_never_makes_debt_negative(stage: Stage) -> None:
    """Refunded within the window after it has drained, the debt is nothing, not less."""
    begun(stage, "a", "b", "c", "d", "e")
    stage.later(ms=900)
    stage.count("in")
    stage.settle("L", *(Settlement(id_, State.DEAD, left=False) for id_ in "abcde"))
    assert stage.meter()["backlog"] >= 0


def test_an_expired_row_is_recorded_uncharged(stage: Stage) -> None:
    """It was no attempt."""
    stage.push("old", expires_at="2020-01-01T00:00:00Z")
    stage.granted("L")
    assert stage.settle("L", Settlement("old", State.EXPIRED, left=False)) == ["expired"]
    assert stage.record("old")["state"] == "expired"
    assert "attempts" not in stage.record("old")


def test_deferred_waits_and_comes_back_at_the_head(stage: Stage) -> None:
    """It may leave after its pause, before those that waited; its record says until when."""
    begun(stage, "a")
    stage.push("b", class_="urgent")
    assert stage.settle("L", Settlement("a", State.DEFERRED, retry_ms=5000, reason="busy")) == ["deferred"]
    assert stage.record("a")["until_ms"] == "1900000005000"
    assert stage.scores(keys.deferred(NUMBER)) == {"a": 1_900_000_005_000}
    stage.later(ms=5000)
    assert stage.ids() == ["a", "b"]


def test_pauses_double_to_an_hour_and_then_a_message_is_dead(stage: Stage) -> None:
    """5 s, 10 s, 20 s … and after the last attempt it is kept for a person."""
    stage.push("a", class_="urgent")
    pauses = []
    for attempt in range(MOST_ATTEMPTS):
        assert stage.ids(f"L{attempt}") == ["a"]
        stage.begin(f"L{attempt}")
        (state,) = stage.settle(f"L{attempt}", Settlement("a", State.DEFERRED, retry_ms=60_000))
        if state == "deferred":
            pauses.append(int(stage.record("a")["until_ms"]) - stage.now_us // 1000)
            stage.later(ms=pauses[-1])
    assert pauses == [60_000, 120_000, 240_000, 480_000, 960_000, 1_920_000, 3_600_000, 3_600_000, 3_600_000]
    assert stage.record("a")["state"] == "dead"
    assert stage.scores(keys.dead(NUMBER)).keys() == stage.names(keys.kept(NUMBER)) == {"a"}
    assert not stage.redis.exists(keys.deferred(NUMBER))


def test_what_never_left_is_tried_without_end(stage: Stage) -> None:
    """A provider that can't be reached costs a message no attempt, and the pause stays short."""
    stage.push("a", class_="urgent")
    for turn in range(MOST_ATTEMPTS + 5):
        stage.granted(f"L{turn}")
        stage.begin(f"L{turn}")
        assert stage.settle(f"L{turn}", Settlement("a", State.DEFERRED, left=False, retry_ms=5000)) == ["deferred"]
        stage.later(ms=5000)


def test_a_late_settle_of_an_uncertain_row_is_taken(stage: Stage) -> None:
    """Its worker was thought lost, and then answers: the record says sent, one attempt, and nothing is kept."""
    begun(stage, "a")
    stage.end("L")
    assert stage.record("a")["state"] == "uncertain"
    stage.later(ms=1000)
    assert stage.sent("L", "a") == ["sent"]
    assert stage.record("a")["state"] == "sent"
    assert stage.record("a")["attempts"] == "1"
    assert not stage.redis.exists(keys.uncertain(NUMBER), keys.kept(NUMBER))


@pytest.mark.parametrize("state", [State.DEFERRED, State.DEAD, State.WAITING])
def test_a_late_settle_leaves_the_row_in_one_place(stage: Stage, state: State) -> None:
    """From uncertain to deferred, dead or its lane: never in both."""
    begun(stage, "a")
    stage.end("L")
    assert stage.settle("L", Settlement("a", state, retry_ms=1000)) == [state.value]
    assert not stage.redis.exists(keys.uncertain(NUMBER))
    places = [
        stage.redis.zscore(keys.deferred(NUMBER), "a") is not None,
        stage.redis.zscore(keys.dead(NUMBER), "a") is not None,
        stage.waiting("urgent") == ["a"],
    ]
    assert sum(places) == 1
    assert stage.names(keys.kept(NUMBER)) == (set() if state is State.WAITING else {"a"})


def test_a_late_settle_of_a_settled_row_changes_nothing(stage: Stage) -> None:
    """Sent stays sent, dead stays dead."""
    begun(stage, "a", "b")
    stage.settle("L", Settlement("a", State.SENT), Settlement("b", State.DEAD))
    before = everything(stage.redis)
    assert stage.settle("L", Settlement("a", State.DEAD), Settlement("b", State.SENT)) == ["", ""]
    assert everything(stage.redis) == before


def test_an_old_lease_does_not_settle_what_a_new_one_holds(stage: Stage) -> None:
    """A worker that lost its lease before the begin says `expired` late: the row belongs to another lease by now."""
    stage.push("a", class_="urgent")
    stage.granted("old")
    stage.end("old")
    stage.granted("new")
    before = everything(stage.redis)
    assert stage.settle("old", Settlement("a", State.EXPIRED, left=False)) == [""]
    assert everything(stage.redis) == before
    stage.begin("new")
    assert stage.sent("new", "a") == ["sent"]
    assert not stage.redis.exists(keys.leases(NUMBER))


def test_rows_that_go_back_keep_their_order(stage: Stage) -> None:
    """Several rows settled as waiting stand at the head of their lane as they stood before."""
    begun(stage, "a", "b", "c")
    stage.push("d", class_="urgent")
    stage.settle("L", *(Settlement(id_, State.WAITING, left=False) for id_ in "abc"))
    assert stage.waiting("urgent") == ["a", "b", "c", "d"]


def test_any_words_of_a_provider_can_be_recorded(stage: Stage) -> None:
    """Quotes, control characters, other scripts, half a surrogate pair, and too much of it."""
    begun(stage, "a", "b")
    words = 'say "no"\n\x00 ترافیک 🛑 \ud83d ' + "x" * 1000
    states = stage.settle(
        "L", Settlement("a", State.DEAD, reason=words), Settlement("b", State.SENT, provider_id="\udfff")
    )
    assert states == ["dead", "sent"]
    assert stage.record("a")["reason"].startswith('say "no"\n\x00 ترافیک 🛑 ? x')
    assert len(stage.record("a")["reason"]) == 300
    assert stage.record("b")["provider_id"] == "?"


def test_a_stock_message_has_a_record_from_its_first_settle_on(stage: Stage) -> None:
    """Nobody wrote one when it was published."""
    stage.push("a", class_="high")
    stage.redis.delete(keys.record("a"))
    stage.granted("L")
    stage.begin("L")
    stage.sent("L", "a")
    assert stage.record("a")["state"] == "sent"
    assert stage.record("a")["class"] == "high"
    assert stage.redis.ttl(keys.record("a")) > 0


def test_a_refund_in_part_leaves_the_window_its_time_to_live(stage: Stage) -> None:
    """Its only charge is replaced by a smaller one, and an idle number's window still goes away."""
    begun(stage, "a", "b")
    stage.settle("L", Settlement("a", State.DEAD, left=False))
    assert stage.scores(keys.window(NUMBER)) == {"L:1": stage.now_us}
    assert stage.redis.pttl(keys.window(NUMBER)) > 0


# ----------------------------------------------------------------------------------------------------- bounded in time


@pytest.mark.parametrize(("state", "left"), [(State.DEFERRED, False), (State.DEFERRED, True), (State.WAITING, False)])
def test_a_row_that_never_leaves_is_dead_after_its_time(stage: Stage, state: State, *, left: bool) -> None:
    """An address that is down for a day burns no attempt; the time since the first try ends it, with its history."""
    stage.push("a", class_="urgent")
    stage.change(lease_ttl_us=10**12)
    for turn in range(3):
        assert stage.ids(f"L{turn}") == ["a"]
        stage.begin(f"L{turn}")
        last = stage.settle(f"L{turn}", Settlement("a", state, left=left, retry_ms=1000, code="down"))
        assert last == ([state.value] if turn < 2 else ["dead"])
        stage.later(ms=RETRY_FOR / timedelta(milliseconds=2))
    record = stage.record("a")
    assert (record["state"], record["first_ms"]) == ("dead", str(START_US // 1000))
    assert record.get("attempts") == ("3" if left else None)
    assert json.loads(record["history"].splitlines()[-1])["gave_up"] == "time"
    assert list(stage.scores(keys.dead(NUMBER))) == ["a"]


def test_the_time_that_a_message_waits_for_its_first_try_does_not_count(stage: Stage) -> None:
    """A lane may be long: its clock runs from its first begin on."""
    stage.push("a", class_="urgent")
    stage.later(ms=2 * RETRY_FOR / timedelta(milliseconds=1))
    assert stage.ids("L") == ["a"]
    stage.begin("L")
    assert stage.settle("L", Settlement("a", State.DEFERRED, retry_ms=1000)) == ["deferred"]


def test_a_history_is_bounded_and_tells_what_repeats_once(stage: Stage) -> None:
    """Forty throttle answers are one entry; of forty different reasons the last thirty stay."""
    stage.push("a", class_="urgent")
    for turn in range(80):
        stage.ids(f"L{turn}")
        stage.begin(f"L{turn}")
        code = "429" if turn < 40 else str(turn)
        assert stage.settle(f"L{turn}", Settlement("a", State.WAITING, left=False, code=code)) == ["waiting"]
        stage.later(ms=1000)
        if turn == 39:
            (entry,) = (json.loads(line) for line in stage.record("a")["history"].splitlines())
            assert (entry["times"], entry["at_ms"] - entry["from_ms"]) == (40, 39_000)
    lines = stage.record("a")["history"].splitlines()
    assert [json.loads(line)["code"] for line in lines] == [str(turn) for turn in range(50, 80)]


def test_the_happy_path_writes_no_history(stage: Stage) -> None:
    """A million messages that are simply sent cost nothing for it."""
    begun(stage, "a")
    stage.sent("L", "a")
    assert not {"history", "first_ms"} & stage.record("a").keys()
