"""Can a person see what was given up or is uncertain, and decide about it, once?"""

from __future__ import annotations

import json

import pytest

from delivery import dead
from delivery.dead import Verb, decide, decide_all, decide_some, find, page
from delivery.retries import MOST_ATTEMPTS
from delivery.settle import Settlement
from delivery.states import State
from headway import keys
from tests.scripts.stage import NUMBER, RECORD_TTL_S, Stage, everything

OTHER = "15555550101"


def died(stage: Stage, *ids: str, lease_id: str = "L", class_: str = "urgent") -> None:
    """Let messages be refused for good."""
    stage.push(*ids, class_=class_)
    assert stage.ids(lease_id) == list(ids)
    stage.begin(lease_id)
    stage.settle(lease_id, *(Settlement(id_, State.DEAD, code="402", reason="no such number") for id_ in ids))


def lost(stage: Stage, *ids: str, lease_id: str = "L") -> None:
    """Let messages become uncertain."""
    stage.push(*ids, class_="urgent")
    assert stage.ids(lease_id) == list(ids)
    stage.begin(lease_id)
    stage.end(lease_id)


def do(stage: Stage, verb: Verb, *ids: str) -> list[str]:
    """Decide; return the new states."""
    call = decide(NUMBER, ids, verb, by="ada", record_ttl_s=RECORD_TTL_S, now_us=stage.now_us)
    return [state.decode() for state in stage.run(call)]


def states(stage: Stage, id_: str) -> list[str]:
    """The states in its history."""
    return [json.loads(line)["state"] for line in stage.record(id_)["history"].splitlines()]


@pytest.mark.parametrize("make", [died, lost])
def test_a_retried_message_goes_to_the_tail_with_its_attempts_anew(stage: Stage, make: object) -> None:
    """It has waited already; its history says who had it tried again; the doorbell rings."""
    (died if make is died else lost)(stage, "a")
    stage.push("b", class_="urgent")
    with stage.redis.pubsub(ignore_subscribe_messages=True) as bell:
        bell.subscribe(keys.doorbell(NUMBER))
        bell.get_message(timeout=1)
        assert do(stage, Verb.RETRY, "a") == ["waiting"]
        assert bell.get_message(timeout=5)["data"] == NUMBER.encode()
    assert stage.waiting("urgent") == ["b", "a"]
    record = stage.record("a")
    assert (record["state"], record["attempts"], record["retried_ms"]) == ("waiting", "0", str(stage.now_us // 1000))
    assert "reason" not in record
    assert json.loads(record["history"].splitlines()[-1]) == {
        "at_ms": stage.now_us // 1000, "state": "waiting", "by": "ada"
    }  # fmt: skip
    assert not stage.redis.exists(keys.dead(NUMBER), keys.uncertain(NUMBER), keys.kept(NUMBER))


def test_a_retried_message_has_all_its_tries_and_its_time_again(stage: Stage) -> None:
    """Else it would be dead again at the first pause of its provider."""
    stage.push("a", class_="urgent")
    for turn in range(2 * MOST_ATTEMPTS):
        stage.ids(f"L{turn}")
        stage.begin(f"L{turn}")
        now = stage.settle(f"L{turn}", Settlement("a", State.DEFERRED, retry_ms=1))
        assert now == (["dead"] if turn % MOST_ATTEMPTS == MOST_ATTEMPTS - 1 else ["deferred"])
        stage.later(ms=1000)
        if now == ["dead"]:
            stage.later(ms=7 * 86_400_000)
            do(stage, Verb.RETRY, "a")
            stage.change(lease_ttl_us=10_000_000)


def test_a_discarded_message_is_gone_for_good(stage: Stage) -> None:
    """Its record says who let it go, for as long as records are kept."""
    died(stage, "a")
    assert do(stage, Verb.DISCARD, "a") == ["discarded"]
    assert (stage.record("a")["state"], states(stage, "a")) == ("discarded", ["dead", "discarded"])
    assert 0 < stage.redis.ttl(keys.record("a")) <= RECORD_TTL_S
    assert not stage.redis.exists(keys.dead(NUMBER), keys.kept(NUMBER))


def test_only_an_uncertain_message_can_be_said_to_be_sent(stage: Stage) -> None:
    """A dead one was certainly not taken."""
    died(stage, "a")
    lost(stage, "b", lease_id="M")
    assert do(stage, Verb.SENT, "a", "b") == ["", "sent"]
    assert (stage.record("a")["state"], stage.record("b")["state"]) == ("dead", "sent")
    assert stage.names(keys.kept(NUMBER)) == {"a"}


@pytest.mark.parametrize("verb", list(Verb))
def test_deciding_again_changes_nothing(stage: Stage, verb: Verb) -> None:
    """A repeated request, or two people at once; nor does it touch what is neither dead nor uncertain."""
    died(stage, "a")
    lost(stage, "b", lease_id="M")
    stage.push("c", class_="urgent", send_at="2099-01-01T00:00:00Z")
    stage.waits()
    do(stage, verb, "a", "b")
    before = everything(stage.redis)
    stage.later(ms=10)
    assert do(stage, verb, *(["b"] if verb is Verb.SENT else ["a", "b"]), "c", "nobody")[-2:] == ["", ""]
    assert everything(stage.redis) == before


# --------------------------------------------------------------------------------------------------------------- look


def test_pages_show_each_message_once(stage: Stage) -> None:
    """In all numbers that were asked for; what goes meanwhile makes nobody pass another over."""
    for turn in range(5):
        died(stage, f"a{turn}", f"b{turn}", lease_id=f"L{turn}")
        stage.later(ms=1000)
    seen, after = [], ""
    for turn in range(6):
        found = page(stage.redis, [OTHER, NUMBER], State.DEAD, most=2, after=after)
        seen += [row.message_id for row in found.rows]
        if turn == 1:
            do(stage, Verb.DISCARD, "b1")  # the last of this page
        after = found.next
        if not after:
            break
    assert seen == [f"{name}{turn}" for turn in range(5) for name in "ab"]


def test_a_row_says_what_is_known(stage: Stage) -> None:
    """Why, since when, and how often it was tried; looked at alone, what it says and its history, too."""
    died(stage, "a")
    (row,) = page(stage.redis, [NUMBER], State.DEAD).rows
    assert row.as_json() == {
        "id": "a", "number": NUMBER, "state": "dead", "class": "urgent", "since_ms": stage.now_us // 1000,
        "attempts": 1, "code": "402", "reason": "no such number",
    }  # fmt: skip
    found = find(stage.redis, [NUMBER], "a")
    assert found is not None
    assert found.fields["text"] == "text of a"
    assert [entry["code"] for entry in found.history] == ["402"]
    assert find(stage.redis, [NUMBER], "b") is None


def test_what_outlived_its_record_is_still_there(stage: Stage) -> None:
    """A person may come back after a month: the message can be seen and sent."""
    died(stage, "a")
    stage.redis.delete(keys.record("a"))
    assert [row.message_id for row in page(stage.redis, [NUMBER], State.DEAD).rows] == ["a"]
    done = decide_some(stage.redis, [NUMBER], State.DEAD, ["a"], Verb.RETRY, by="ada", record_ttl_s=60)
    assert (done, stage.waiting("urgent")) == (["a"], ["a"])
    assert 0 < stage.redis.ttl(keys.record("a")) <= 60


def test_what_nobody_can_read_is_shown_without_its_fields(stage: Stage) -> None:
    """A stranger put it on the lane."""
    stage.put(b"rubbish", class_="urgent")
    (name,) = stage.ids("L")
    stage.settle("L", Settlement(name, State.DEAD, left=False, code="refused"))
    found = find(stage.redis, [NUMBER], name)
    assert found is not None
    assert (found.code, found.fields) == ("refused", {})


@pytest.mark.parametrize("after", ["x", "1~2~3", f"{NUMBER}~x~a", f"{NUMBER}"])
def test_a_cursor_that_is_none_is_refused(stage: Stage, after: str) -> None:
    """Nobody gets the first page instead."""
    with pytest.raises(ValueError, match="next"):
        page(stage.redis, [NUMBER], State.DEAD, after=after)


def test_all_of_one_state_can_be_decided_at_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Piece by piece; the other state's stay."""
    monkeypatch.setattr(dead, "MOST", 2)
    died(stage, "a", "b", "c")
    lost(stage, "d", lease_id="M")
    stage.redis.zadd(keys.dead(NUMBER), {"a": 1, "b": 2, "c": 3})  # long ago by the server's own clock
    done = decide_all(stage.redis, [NUMBER], State.DEAD, Verb.RETRY, by="ada", record_ttl_s=RECORD_TTL_S)
    assert list(done) == [2, 1]
    assert stage.waiting("urgent") == ["a", "b", "c"]
    assert stage.names(keys.kept(NUMBER)) == {"d"}


def test_a_message_of_a_shard_is_found(stage: Stage) -> None:
    """Also in one of former shards."""
    unit = keys.units(NUMBER, 4)[2]
    stage.redis.hset(keys.shards(NUMBER), mapping={"now": 2, "1": 1, "4": 1, "2": 1})
    stage.change(number=unit)
    died(stage, "a")
    assert [row.number for row in page(stage.redis, [NUMBER], State.DEAD).rows] == [NUMBER]
    assert decide_some(stage.redis, [NUMBER], State.DEAD, ["a", "x"], Verb.DISCARD, by="b", record_ttl_s=9) == ["a"]
