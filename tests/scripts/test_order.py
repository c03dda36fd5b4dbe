"""Do messages of a class to one recipient leave in the order in which they were accepted, one in flight at a time?"""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis as redis_py

from delivery import doubts
from delivery.dead import Verb, decide
from delivery.policy import Policy
from delivery.receipts import Receipt, receipts
from delivery.settle import Ending, Settlement
from delivery.states import State
from headway import MessageClass, keys
from scheduler import order
from scheduler.rules import Quota
from tests.scripts.stage import NUMBER, RECORD_TTL_S, START_US, Stage

ANNA, BERT = "19995550001", "19995550002"
ALL = ("urgent", "high", "normal", "bulk")


@pytest.fixture
def stage(redis: redis_py.Redis) -> Stage:
    """20 TPS, every class in order."""
    return Stage(redis, tps=20, headroom=0, order=ALL)


def in_flight(stage: Stage) -> dict[str, str]:
    """Who is ahead of whom: the id for each place."""
    return {place.decode(): id_.decode() for place, id_ in stage.redis.hgetall(keys.heads(NUMBER)).items()}


def line(stage: Stage) -> list[str]:
    """The ids that stand behind somebody, in order."""
    return [member.decode().rsplit("\n", 1)[1] for member in stage.redis.zrange(keys.lines(NUMBER), 0, -1)]


def out(stage: Stage) -> list[str]:
    """The ids that may leave in the next two seconds."""
    found: list[str] = []
    for _ in range(20):
        stage.later(ms=100)
        found += stage.drain()
    return found


def nothing_is_left(stage: Stage) -> None:
    """No head, no line, nothing kept."""
    assert not stage.redis.exists(keys.heads(NUMBER), keys.lines(NUMBER), keys.kept(NUMBER), *keys.lanes(NUMBER))


def test_a_second_message_waits_until_the_first_has_left(stage: Stage) -> None:
    """And others go on meanwhile: it waits beside the lane."""
    stage.push("a1", "a2", "a3", to=ANNA, class_="urgent")
    stage.push("b1", to=BERT, class_="urgent")
    assert stage.drain() == ["a1", "b1"]
    assert (line(stage), stage.waiting("urgent")) == (["a2", "a3"], [])
    assert in_flight(stage) == {f"0:{ANNA}": "a1", f"0:{BERT}": "b1"}
    for first, then in (("a1", "a2"), ("a2", "a3")):
        lease_id = _lease_of(stage, first)
        stage.begin(lease_id)
        stage.sent(lease_id, first)
        assert out(stage) == [then]
    stage.sent(_lease_of(stage, "b1"), "b1")
    stage.sent(_lease_of(stage, "a3"), "a3")
    nothing_is_left(stage)


def _lease_of(stage: Stage, message_id: str) -> str:
    for lease_id, record in stage.redis.hgetall(keys.leases(NUMBER)).items():
        if f'"{message_id}"'.encode() in record:
            return str(lease_id.decode())
    raise AssertionError(f"no lease holds {message_id}")


def test_what_comes_later_goes_behind_the_line(stage: Stage) -> None:
    """Not only behind the head."""
    stage.push("a1", "a2", to=ANNA)
    assert out(stage) == ["a1"]
    stage.push("a3", to=ANNA)
    assert out(stage) == []
    assert line(stage) == ["a2", "a3"]


def test_each_class_has_its_own_order(stage: Stage) -> None:
    """An urgent code never waits behind a row of a campaign, though the campaign's is in flight."""
    stage.push("bulk", to=ANNA, class_="bulk")
    assert out(stage) == ["bulk"]
    stage.push("code", to=ANNA, class_="urgent")
    assert out(stage) == ["code"]


def test_a_class_without_order_lets_them_go_at_once(redis: redis_py.Redis) -> None:
    """One lease has no recipient twice, but the next lease may go."""
    stage = Stage(redis, tps=20, headroom=0, order=("bulk",))
    stage.push("a1", "a2", to=ANNA)
    assert out(stage) == ["a1", "a2"]
    assert not redis.exists(keys.heads(NUMBER))


@pytest.mark.parametrize("to", ["+1 999 555-0001", "1 (999) 555.0001"])
def test_one_number_is_one_recipient_however_it_is_written(stage: Stage, to: str) -> None:
    """A stock publisher may write it as people do."""
    stage.push("a1", to=ANNA)
    assert out(stage) == ["a1"]
    stage.push("a2", to=ANNA)
    envelope = stage.redis.lpop(keys.lane(NUMBER, MessageClass.NORMAL)).decode()
    stage.put(envelope.replace(ANNA, to))
    assert out(stage) == []
    assert line(stage) == ["a2"]


def test_a_group_is_a_recipient(stage: Stage) -> None:
    """Two messages to one group leave one after the other."""
    for id_ in ("g1", "g2"):
        stage.push(id_, class_="urgent", to=None, group_id="12036@g.us", group_members=3)
    assert out(stage) == ["g1"]
    assert line(stage) == ["g2"]


@pytest.mark.parametrize("state", [State.DEFERRED, State.WAITING, State.UNCERTAIN])
def test_a_head_that_is_tried_again_holds_its_recipient_only(stage: Stage, state: State) -> None:
    """The second goes after it, whenever that is; others pass."""
    stage.push("a1", "a2", to=ANNA)
    assert out(stage) == ["a1"]
    lease_id = _lease_of(stage, "a1")
    stage.begin(lease_id)
    stage.settle(lease_id, Settlement("a1", state, retry_ms=60_000))
    stage.push("b1", to=BERT)
    assert set(out(stage)) == {"b1"} | ({"a1"} if state is State.WAITING else set())
    assert line(stage) == ["a2"]
    assert in_flight(stage)[f"6:{ANNA}"] == "a1"


@pytest.mark.parametrize("state", [State.SENT, State.DEAD, State.EXPIRED])
def test_what_is_over_lets_the_next_go(stage: Stage, state: State) -> None:
    """Whatever its end: the bell rings for who comes next."""
    stage.push("a1", "a2", to=ANNA)
    out(stage)
    lease_id = _lease_of(stage, "a1")
    stage.begin(lease_id)
    with stage.redis.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(keys.doorbell(NUMBER))
        assert channel.get_message(timeout=0.2) is None
        stage.settle(lease_id, Settlement("a1", state))
        assert channel.get_message(timeout=1)["data"] == NUMBER.encode()
    assert out(stage) == ["a2"]


def test_a_lost_worker_s_rows_keep_their_order(stage: Stage) -> None:
    """What had not begun goes back to the head, and stays ahead; what had is uncertain, and stays ahead too."""
    stage.push("a1", "a2", to=ANNA)
    out(stage)
    assert stage.end(_lease_of(stage, "a1"), when=Ending.ENDED).what == "returned"
    assert out(stage) == ["a1"]
    lease_id = _lease_of(stage, "a1")
    stage.begin(lease_id)
    assert stage.end(lease_id, when=Ending.ENDED).what == "uncertain"
    assert out(stage) == []
    assert line(stage) == ["a2"]


@pytest.mark.parametrize("what", ["resend", "hold"])
def test_an_uncertain_head_that_is_held_for_a_person_is_out_of_the_way(stage: Stage, what: str) -> None:
    """One that is sent again is not."""
    stage.push("a1", "a2", to=ANNA)
    out(stage)
    lease_id = _lease_of(stage, "a1")
    stage.begin(lease_id)
    stage.settle(lease_id, Settlement("a1", State.UNCERTAIN))
    stage.later(ms=61_000)
    policy = Policy(uncertain=dict.fromkeys(Policy().uncertain, what), wait=timedelta(seconds=60))
    stage.run(doubts.resolve(NUMBER, ["a1"], policy, record_ttl_s=RECORD_TTL_S, now_us=stage.now_us))
    assert out(stage) == (["a1"] if what == "resend" else ["a2"])


@pytest.mark.parametrize("verb", list(Verb))
def test_a_person_who_decides_of_an_uncertain_head_frees_its_recipient(stage: Stage, verb: Verb) -> None:
    """What is tried anew goes to the tail, behind those that waited for it."""
    stage.push("a1", "a2", to=ANNA)
    out(stage)
    lease_id = _lease_of(stage, "a1")
    stage.begin(lease_id)
    stage.settle(lease_id, Settlement("a1", State.UNCERTAIN))
    stage.run(decide(NUMBER, ["a1"], verb, by="ada", record_ttl_s=RECORD_TTL_S, now_us=stage.now_us))
    assert out(stage) == ["a2"]
    assert line(stage) == (["a1"] if verb is Verb.RETRY else [])


@pytest.mark.parametrize("before", [State.UNCERTAIN, State.DEFERRED])
def test_a_receipt_that_proves_it_was_sent_frees_the_recipient(stage: Stage, before: State) -> None:
    """Of an uncertain head, and of one that waits to be tried again."""
    stage.push("a1", "a2", to=ANNA)
    out(stage)
    lease_id = _lease_of(stage, "a1")
    stage.begin(lease_id)
    stage.settle(lease_id, Settlement("a1", before, retry_ms=3_600_000))
    receipt = Receipt(reference="a1", state=State.DELIVERED)
    stage.run(receipts(NUMBER, [receipt], record_ttl_s=RECORD_TTL_S, now_us=stage.now_us))
    assert out(stage) == ["a2"]


def test_a_late_settle_frees_the_recipient(stage: Stage) -> None:
    """The worker that was given up had sent it after all."""
    stage.push("a1", "a2", to=ANNA)
    out(stage)
    lease_id = _lease_of(stage, "a1")
    stage.begin(lease_id)
    stage.end(lease_id, when=Ending.ENDED)
    assert stage.sent(lease_id, "a1") == ["sent"]
    assert out(stage) == ["a2"]


def test_a_message_of_a_future_time_holds_nobody_up(stage: Stage) -> None:
    """Until then it isn't ahead of anybody."""
    stage.push("later", to=ANNA, send_at="2030-06-01T00:00:00Z")
    stage.push("now", to=ANNA)
    assert out(stage) == ["now"]


def test_what_is_dropped_on_its_lane_lets_the_next_go(stage: Stage) -> None:
    """A head that was handed back and then proven to be sent."""
    stage.push("a1", "a2", to=ANNA)
    out(stage)
    stage.end(_lease_of(stage, "a1"))
    stage.redis.zadd(keys.cancelled(NUMBER), {"a1": START_US // 1000})
    assert out(stage) == ["a2"]


def test_a_head_that_expires_on_its_lane_lets_the_next_go(stage: Stage) -> None:
    """It is leased once more to be settled as expired."""
    stage.push("a1", to=ANNA, expires_at="2030-03-17T17:46:45Z")
    stage.push("a2", to=ANNA)
    out(stage)
    stage.end(_lease_of(stage, "a1"))
    stage.later(ms=10_000)
    (row,) = stage.granted("late").rows
    assert (row.id, row.verdict) == ("a1", "expired")
    stage.settle("late", Settlement("a1", State.EXPIRED, left=False))
    assert out(stage) == ["a2"]


def test_rows_that_are_set_aside_keep_their_order(redis: redis_py.Redis) -> None:
    """A picture is set aside, and the text after it to the same recipient is no head before the picture was."""
    stage = Stage(redis, quota=Quota("0123456789abcdef", 90), max_rows=100, order=ALL)
    stage.push("t", class_="urgent")
    stage.push("picture", class_="urgent", to=ANNA, media_url="https://example.com/a.png")
    stage.push("after", class_="urgent", to=ANNA)
    assert stage.ids() == ["t"]
    assert stage.waiting("urgent") == ["picture", "after"]
    stage.later(ms=1500)
    assert stage.ids() == ["picture"]
    assert (stage.waiting("urgent"), line(stage)) == ([], ["after"])


def test_ten_thousand_messages_to_one_recipient_hold_up_nobody(stage: Stage) -> None:
    """They go behind the first, a bounded number a call, and who comes after them leaves."""
    stage.push(*(f"a{index}" for index in range(3000)), to=ANNA, class_="bulk")
    stage.push("b", to=BERT, class_="bulk")
    found: list[str] = []
    for _ in range(400):
        decision = stage.lease()
        found += [row.id for row in getattr(decision, "rows", ())]
        stage.later(ms=1)
        if "b" in found:
            break
    assert found == ["a0", "b"]
    assert len(line(stage)) == 2999


def test_order_that_is_switched_off_lets_everybody_go_who_stood_behind(stage: Stage) -> None:
    """One after the other, as their turn comes: nobody is forgotten."""
    stage.push("a1", "a2", "a3", to=ANNA)
    out(stage)
    stage.change(order=())
    for id_ in ("a1", "a2", "a3"):
        stage.begin(_lease_of(stage, id_))
        stage.sent(_lease_of(stage, id_), id_)
        out(stage)
    nothing_is_left(stage)


# --- the repair


def relieve(stage: Stage) -> int:
    """Look once through all heads and lines."""
    freed, at = 0, order.START
    for _ in range(100):
        found = order.relieved(stage.run(order.relieve(NUMBER, at)))
        freed, at = freed + found.freed, found.at
        if at == order.START:
            return freed
    raise AssertionError("it never comes to an end")


@pytest.mark.parametrize("lost", ["lane", "lease", "head"])
def test_a_head_that_is_in_no_place_any_more_is_relieved(stage: Stage, lost: str) -> None:
    """Its lane was purged, its lease was lost with the server's memory, or the head itself was."""
    stage.push("a1", "a2", "a3", to=ANNA)
    out(stage)
    if lost == "lane":
        stage.end(_lease_of(stage, "a1"))
        stage.redis.delete(*keys.lanes(NUMBER))
    elif lost == "lease":
        stage.redis.delete(keys.leases(NUMBER), keys.leased(NUMBER), keys.deadlines(NUMBER))
    else:
        stage.redis.delete(keys.heads(NUMBER))
    assert relieve(stage) == 1
    assert "a2" in out(stage)
    assert line(stage) == ["a3"]


def test_a_head_that_is_somewhere_is_left_alone(stage: Stage) -> None:
    """Leased, to be tried again, uncertain, or on its lane."""
    for index, state in enumerate((None, State.DEFERRED, State.UNCERTAIN, State.WAITING)):
        stage.push(f"{index}-first", f"{index}-second", to=f"1999777000{index}")
        out(stage)
        if state is not None:
            lease_id = _lease_of(stage, f"{index}-first")
            stage.begin(lease_id)
            stage.settle(lease_id, Settlement(f"{index}-first", state, retry_ms=3_600_000))
    before = in_flight(stage)
    assert relieve(stage) == 0
    assert in_flight(stage) == before


def test_many_are_relieved_in_bounded_steps(stage: Stage) -> None:
    """No call looks at more than a few hundred."""
    stage.redis.hset(keys.heads(NUMBER), mapping={f"6:1999{index:07d}": f"gone{index}" for index in range(2000)})
    first = order.relieved(stage.run(order.relieve(NUMBER)))
    assert 0 < first.freed < 2000
    assert first.freed + sum(iter(lambda: relieve(stage), 0)) == 2000
    nothing_is_left(stage)
