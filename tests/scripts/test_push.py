"""Does a push put a message on its lane once, with its record?"""

from __future__ import annotations

import json

from headway import keys
from headway.client import push_script
from headway.envelope import seal
from headway.message import Message
from headway.publish import calls
from tests.scripts.stage import NUMBER, RECORD_TTL_S, Stage, everything


def test_a_message_is_put_on_its_lane_with_its_record(stage: Stage) -> None:
    """The head of a lane is at its right, as kombu reads it."""
    stage.push("a", "b", class_="high")
    lane = keys.lanes(NUMBER)[1]
    assert lane == f"headway.{NUMBER}\x06\x163"
    assert json.loads(stage.redis.lindex(lane, -1))["headers"]["id"] == "a"
    assert stage.record("a") == {
        "state": "waiting",
        "number": NUMBER,
        "class": "high",
        "accepted_ms": str(stage.now_us // 1000),
    }
    assert 0 < stage.redis.ttl(keys.record("a")) <= RECORD_TTL_S


def test_an_id_is_accepted_once(stage: Stage) -> None:
    """Pushed again, in the same call or another, while it waits or after it was sent: nothing changes."""
    row = ("a", seal(NUMBER, "a", Message(to="15551230000", text="hi")))
    assert stage.push_sealed([row, row], class_="urgent") == 1
    before = everything(stage.redis)
    assert stage.push_sealed([row], class_="urgent") == 0
    assert stage.push_sealed([row], class_="bulk") == 0
    assert everything(stage.redis) == before
    stage.granted("L")
    stage.begin("L")
    stage.sent("L", "a")
    assert stage.push_sealed([row], class_="urgent") == 0
    assert stage.drain() == []


def test_the_doorbell_rings_once_for_what_is_new(stage: Stage) -> None:
    """A push that accepted nothing wakes nobody."""
    bell = stage.redis.pubsub(ignore_subscribe_messages=True)
    bell.subscribe(keys.doorbell(NUMBER))
    bell.get_message(timeout=1)
    row = ("a", seal(NUMBER, "a", Message(to="15551230000", text="hi")))
    stage.push_sealed([row])
    stage.push_sealed([row])
    rung = bell.get_message(timeout=1)
    assert rung is not None
    assert rung["data"] == NUMBER.encode()
    assert bell.get_message(timeout=0.05) is None
    bell.close()


def test_each_row_has_its_own_reference_and_no_other(stage: Stage) -> None:
    """Records are copied from the first new one; what is one row's own is not."""
    texts = [None, "first", None, "third"]
    rows = [Message(to=f"1555123000{place}", text="hi", reference=text) for place, text in enumerate(texts)]
    ids = ["a", "b", "c", "d"]
    for turn in (rows[:1], rows):
        ((names, args),) = calls(NUMBER, turn, ids[: len(turn)], record_ttl_s=RECORD_TTL_S, push_id="77")
        stage.redis.eval(push_script(), len(names), *names, *args)
    assert [stage.record(id_).get("reference") for id_ in ids] == texts
    assert {stage.record(id_)["push"] for id_ in ids} == {"77"}
    assert all(0 < stage.redis.ttl(keys.record(id_)) <= RECORD_TTL_S for id_ in ids)
    assert stage.waiting("normal") == ids


def test_a_repeated_push_leaves_a_record_as_it_is(stage: Stage) -> None:
    """The first row is there already and the others are new: its record isn't what they are copied from."""
    stage.push("a", class_="urgent")
    stage.granted("L")
    stage.begin("L")
    stage.sent("L", "a")
    before = stage.record("a")
    rows = [(id_, seal(NUMBER, id_, Message(to="15551230000", text="hi"))) for id_ in ("a", "b", "a", "c")]
    assert stage.push_sealed(rows) == 2
    assert stage.record("a") == before
    assert {stage.record(id_)["state"] for id_ in ("b", "c")} == {"waiting"}
    assert stage.waiting("normal") == ["b", "c"]
