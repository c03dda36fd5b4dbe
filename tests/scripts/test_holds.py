"""Do expiry, quiet hours, caps and the loop guard hold single messages back, and nobody else?"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
import redis as redis_py

from delivery.settle import Settlement
from delivery.states import State
from headway import keys
from runtime.windows import Cap, LoopGuard, QuietHours
from scheduler.decisions import Grant, Wait
from scheduler.leases import Begun
from scheduler.unit_figures import read_units
from tests.scripts.stage import NUMBER, SECOND, START_US, Stage

TO, OTHER = "393331234567", "393337654321"
NIGHT = QuietHours(21 * 60, 8 * 60)
HOUR_US = 3600 * SECOND
OFFLINE = Cap("tag", "offline", 1, 3_600_000, "drop")
TWO_A_DAY = Cap("class", "bulk", 2, 86_400_000, "defer")


def us(*when: int, zone: str) -> int:
    """Return a local time in microseconds since 1970."""
    return int(datetime(*when, tzinfo=ZoneInfo(zone)).timestamp()) * SECOND  # type: ignore[misc,arg-type]


def leaves(stage: Stage, lease_id: str) -> list[str]:
    """Let what may leave now leave; return `<id>` of what was sent and `<id> <verdict>` of the rest."""
    decision = stage.lease(lease_id)
    if not isinstance(decision, Grant):
        assert isinstance(decision, Wait)
        return leaves(stage, lease_id) if decision.until_us == stage.now_us else []
    if decision.charged:
        assert stage.begin(lease_id) is Begun.BEGUN
    ends = {"send": State.SENT, "expired": State.EXPIRED}
    for row in decision.rows:
        stage.settle(lease_id, Settlement(row.id, ends.get(row.verdict, State.CAPPED), left=row.verdict == "send"))
    return [row.id if row.verdict == "send" else f"{row.id} {row.verdict}" for row in decision.rows]


# --- expiry of a class


def test_a_message_of_a_class_never_leaves_stale(stage: Stage) -> None:
    """It counts from when the message was accepted; one microsecond before it still leaves."""
    stage.change(expires_ms={"urgent": 300_000})
    stage.push("stale", "other", class_="urgent")
    stage.now_us += 300 * SECOND - 1
    assert stage.ids("L") == ["stale", "other"]
    stage.end("L")
    stage.push("b", class_="bulk")
    stage.now_us += 1
    assert [(row.id, row.verdict) for row in stage.granted().rows] == [
        ("stale", "expired"), ("other", "expired"), ("b", "send"),
    ]  # fmt: skip


def test_the_message_s_own_expiry_wins_if_it_is_earlier(stage: Stage) -> None:
    """And the class's, if that is."""
    stage.change(expires_ms={"urgent": 300_000})
    soon, late = (datetime.fromtimestamp(START_US / SECOND + s, UTC).isoformat() for s in (60, 3600))
    stage.push("own", class_="urgent", expires_at=soon)
    stage.push("class", class_="urgent", expires_at=late)
    stage.later(ms=61_000)
    assert [row.verdict for row in stage.granted("L").rows] == ["expired", "send"]
    stage.end("L")
    stage.later(ms=240_000)
    assert [row.verdict for row in stage.granted().rows] == ["expired", "expired"]


def test_what_is_sent_next_month_expires_after_its_time(stage: Stage) -> None:
    """The class's time counts from `send_at`, else nothing of a later time would ever leave."""
    stage.change(expires_ms={"normal": 60_000})
    stage.push("m", send_at=datetime.fromtimestamp(START_US / SECOND + 3600, UTC).isoformat())
    assert stage.drain() == []
    stage.later(ms=3_600_000 + 59_000)
    assert [row.verdict for row in stage.granted("L").rows] == ["send"]
    stage.end("L")
    stage.later(ms=1_000)
    assert [row.verdict for row in stage.granted().rows] == ["expired"]


@pytest.mark.parametrize("of", ["class", "message"])
def test_what_expires_in_the_pool_doesn_t_leave_either(stage: Stage, of: str) -> None:
    """A lease waited for its turn: begin says no, and the next lease lets go what expired, and sends the rest."""
    own = datetime.fromtimestamp(START_US / SECOND + 2, UTC).isoformat()
    stage.change(expires_ms={"urgent": 2_000} if of == "class" else {})
    stage.push("code", class_="urgent", **({"expires_at": own} if of == "message" else {}))
    stage.push("news")
    assert stage.ids("L") == ["code", "news"]
    stage.later(ms=2_000)
    assert stage.begin("L") is Begun.STALE
    assert leaves(stage, "M") == ["code expired", "news"]
    assert stage.record("code")["state"] == "expired"


def test_a_stock_publisher_s_message_has_no_record_to_count_from(stage: Stage) -> None:
    """So the class's expiry doesn't hold for it; its own does."""
    stage.change(expires_ms={"normal": 1_000})
    stage.push("m")
    stage.redis.delete(keys.record("m"))
    stage.later(ms=5_000)
    assert [row.verdict for row in stage.granted().rows] == ["send"]


# --- quiet hours


def test_bulk_waits_for_the_recipient_s_morning(redis: redis_py.Redis) -> None:
    """Rome sleeps, New York doesn't: each by its own clock, and urgent has no quiet hours."""
    stage = Stage(redis, tps=100, quiet={"bulk": NIGHT})
    stage.now_us = us(2026, 11, 22, 22, zone="Europe/Rome")
    stage.push("rome", class_="bulk", to=TO)
    stage.push("york", class_="bulk", to="12125550100")
    stage.push("code", class_="urgent", to=TO)
    assert sorted(stage.drain()) == ["code", "york"]
    assert stage.record("rome")["state"] == "waiting"
    assert stage.waits().until_us == us(2026, 11, 23, 8, zone="Europe/Rome")
    stage.now_us = us(2026, 11, 23, 8, zone="Europe/Rome") - 1
    assert stage.drain() == []
    stage.now_us += 1
    assert stage.ids() == ["rome"]


def test_a_group_sleeps_where_its_number_does(redis: redis_py.Redis) -> None:
    """Of a group nobody knows where its members are."""
    stage = Stage(redis, tps=100, quiet={"bulk": NIGHT}, number="393330000000")
    stage.now_us = us(2026, 11, 22, 22, zone="Europe/Rome")
    stage.push("g", class_="bulk", to=None, group_id="1203630@g.us", group_members=5)
    assert stage.drain() == []
    stage.now_us = us(2026, 11, 23, 8, zone="Europe/Rome")
    assert stage.ids() == ["g"]


def test_many_who_sleep_don_t_keep_the_awake_waiting(redis: redis_py.Redis) -> None:
    """2,000 rows of a sleeping country stand before one of a country that is awake: a few calls, and it leaves."""
    stage = Stage(redis, tps=10, quiet={"bulk": NIGHT})
    stage.now_us = us(2026, 11, 22, 22, zone="Europe/Rome")
    for start in range(0, 2_000, 200):
        stage.push(*(f"r{start + i}" for i in range(200)), class_="bulk", to=TO)
    stage.push("york", class_="bulk", to="12125550100")
    assert stage.drain(calls=12) == ["york"]
    assert redis.zcard(keys.deferred(NUMBER)) == 2_000


def test_a_retry_that_comes_at_night_waits_too(redis: redis_py.Redis) -> None:
    """Whatever brings it back to its lane."""
    stage = Stage(redis, tps=10, quiet={"bulk": NIGHT})
    stage.now_us = us(2026, 11, 22, 20, 59, 50, zone="Europe/Rome")
    stage.push("m", class_="bulk", to=TO)
    stage.granted("L")
    stage.begin("L")
    stage.settle("L", Settlement("m", State.DEFERRED, retry_ms=30_000))
    stage.later(ms=30_000)
    assert stage.drain() == []
    stage.now_us = us(2026, 11, 23, 8, zone="Europe/Rome")
    assert stage.ids() == ["m"]


# --- caps


def test_one_offline_reply_an_hour(redis: redis_py.Redis) -> None:
    """The second ends as capped, without a send; another contact and another tag aren't concerned."""
    stage = Stage(redis, tps=100, caps=(OFFLINE,))
    stage.push("a", tag="offline", to=TO)
    assert leaves(stage, "A") == ["a"]
    stage.push("b", tag="offline", to=TO)
    stage.push("c", tag="offline", to=OTHER)
    stage.push("d", tag="news", to=TO)
    assert leaves(stage, "B") == ["b capped: tag:offline=1/3600", "c", "d"]
    assert stage.record("b")["state"] == "capped"
    stage.now_us += HOUR_US
    stage.push("e", tag="offline", to=TO)
    assert leaves(stage, "C") == ["e"]


def test_the_third_of_a_day_waits_until_the_first_is_a_day_old(redis: redis_py.Redis) -> None:
    """`defer` keeps the message; the window trails, it has no midnight."""
    stage = Stage(redis, tps=100, caps=(TWO_A_DAY,))
    for i in range(3):
        stage.push(f"m{i}", class_="bulk", to=TO)
    assert leaves(stage, "A") == ["m0"]
    stage.now_us += HOUR_US
    assert leaves(stage, "B") == ["m1"]
    assert leaves(stage, "C") == []
    assert stage.waits().until_us == START_US + 24 * HOUR_US
    stage.now_us = START_US + 24 * HOUR_US
    assert leaves(stage, "D") == ["m2"]


def test_what_never_left_doesn_t_count(redis: redis_py.Redis) -> None:
    """A message that the provider refused without sending it gives its place back."""
    stage = Stage(redis, tps=100, caps=(OFFLINE,))
    stage.push("a", tag="offline", to=TO)
    stage.granted("A")
    stage.settle("A", Settlement("a", State.DEAD, left=False, code="invalid"))
    stage.push("b", tag="offline", to=TO)
    assert leaves(stage, "B") == ["b"]


def test_a_message_that_is_tried_twice_counts_once(redis: redis_py.Redis) -> None:
    """It isn't in its own way, handed back or deferred."""
    stage = Stage(redis, tps=100, caps=(OFFLINE,))
    stage.push("a", tag="offline", to=TO)
    stage.granted("A")
    stage.end("A")
    stage.granted("B")
    stage.begin("B")
    stage.settle("B", Settlement("a", State.DEFERRED, retry_ms=1_000))
    stage.later(ms=1_000)
    assert leaves(stage, "C") == ["a"]


def test_a_lease_that_is_asked_for_again_says_the_same_of_what_is_capped(redis: redis_py.Redis) -> None:
    """Its caller never saw the first answer."""
    stage = Stage(redis, tps=100, caps=(OFFLINE,))
    stage.push("a", tag="offline", to=TO)
    leaves(stage, "A")
    stage.push("b", tag="offline", to=TO)
    assert stage.granted("B").rows == stage.granted("B").rows
    assert stage.granted("B").rows[0].verdict == "capped: tag:offline=1/3600"


# --- the loop guard


def guarded(redis: redis_py.Redis) -> Stage:
    """Return a number with the guard as it is by default."""
    return Stage(redis, tps=100, loop_guard=LoopGuard(5, 60_000))


def test_the_sixth_of_one_text_in_a_minute_rests_a_minute(redis: redis_py.Redis) -> None:
    """Five leave; the sixth and what follows of that text wait a minute from when the sixth came."""
    stage = guarded(redis)
    for i in range(5):
        stage.push(f"m{i}", text="hello?", to=TO)
        assert leaves(stage, f"L{i}") == [f"m{i}"]
        stage.later(ms=1_000)
    stage.push("m5", text="hello?", to=TO)
    stage.push("m6", text="hello?", to=TO)
    assert leaves(stage, "L5") == []
    stage.later(ms=59_999)
    assert leaves(stage, "L6") == []
    stage.later(ms=1)
    assert leaves(stage, "L7") == ["m5"]
    assert leaves(stage, "L8") == ["m6"]


def test_others_and_other_texts_go_on(redis: redis_py.Redis) -> None:
    """The contact rests from that text only, and nobody else does."""
    stage = guarded(redis)
    for i in range(6):
        stage.push(f"m{i}", class_="urgent", text="hello?", to=TO)
    assert [leaves(stage, f"L{i}") for i in range(6)] == [["m0"], ["m1"], ["m2"], ["m3"], ["m4"], []]
    stage.push("other", class_="urgent", text="hello?", to=OTHER)
    stage.push("text", class_="urgent", text="your code is 1", to=TO)
    assert leaves(stage, "M") == ["other", "text"]


def test_five_in_a_minute_are_no_loop(redis: redis_py.Redis) -> None:
    """The minute trails: with one every 12 seconds there are never more than five in it."""
    stage = guarded(redis)
    for i in range(20):
        stage.push(f"m{i}", class_="urgent", text="hello?", to=TO)
        assert leaves(stage, f"L{i}") == [f"m{i}"]
        stage.later(ms=12_000)


def test_one_message_that_is_tried_again_and_again_is_no_loop(redis: redis_py.Redis) -> None:
    """Handed back, leased, handed back: it counts once."""
    stage = guarded(redis)
    stage.push("m", class_="urgent", text="hello?", to=TO)
    for i in range(10):
        assert stage.ids(f"L{i}") == ["m"]
        stage.end(f"L{i}")


def test_each_rest_is_counted_once(redis: redis_py.Redis) -> None:
    """For the figures, and for the one warning in the log."""
    stage = guarded(redis)
    for i in range(20):
        stage.push(f"m{i}", class_="urgent", text="hello?", to=TO)
    for i in range(8):
        leaves(stage, f"L{i}")
    assert stage.meter()["rested"] == 1
    (found,) = read_units(redis, [NUMBER], 100_000, now_us=stage.now_us)
    assert found.rested == 1


def test_memory_ends_with_the_window(redis: redis_py.Redis) -> None:
    """What a contact got first stands in a cell, what it got more in a hash; two of each take turns and end."""
    stage = guarded(redis)
    for turn in range(6):
        for i in range(10):
            stage.push(f"m{turn}-{i}", class_="urgent", text="hello?", to=f"39333{turn}{i:06d}")
        assert len(leaves(stage, f"L{turn}")) == 10
        stage.later(ms=60_000)
    firsts = [keys.first_texts(NUMBER, turn) for turn in (0, 1)]
    assert [redis.hlen(keys.last_texts(NUMBER, turn)) for turn in (0, 1)] == [1, 1]
    assert [sum(map(bool, cells(redis, key))) for key in firsts] == [10, 10]
    assert all(0 < int(redis.ttl(key)) <= 180 for key in firsts)


def cells(redis: redis_py.Redis, key: str) -> list[int]:
    """Return what stands in the cells of 32 bits."""
    raw = redis.get(key)
    assert isinstance(raw, bytes)
    return [int.from_bytes(raw[at : at + 4], "big") for at in range(0, len(raw), 4)]


@pytest.mark.parametrize("offset_s", range(0, 60, 7))
def test_a_loop_across_turns_is_cut_as_soon(redis: redis_py.Redis, offset_s: int) -> None:
    """Whenever the strings and hashes take turns: the window trails."""
    stage = guarded(redis)
    stage.later(ms=60_000 - stage.now_us / 1000 % 60_000 + offset_s * 1000)
    left = []
    for i in range(6):
        stage.push(f"m{i}", class_="urgent", text="hello?", to=TO)
        left += leaves(stage, f"L{i}")
        stage.later(ms=9_000)
    assert left == [f"m{i}" for i in range(5)]


def test_who_shares_a_cell_is_told_apart(redis: redis_py.Redis) -> None:
    """Contacts of one cell: each may have five of a text, and no sixth."""
    stage = Stage(redis, tps=1000, loop_guard=LoopGuard(5, 1_000))
    contacts = [str(39_333_000_000_000 + 4001 * n) for n in range(10)]
    for i in range(6):
        for n, contact in enumerate(contacts):
            stage.push(f"m{n}-{i}", class_="urgent", text="hello?", to=contact)
    assert [len(leaves(stage, f"L{i}")) for i in range(6)] == [10, 10, 10, 10, 10, 0]
    assert sum(map(bool, cells(redis, keys.first_texts(NUMBER, stage.now_us // 1_000_000 % 2)))) == 1


def test_a_clock_that_was_set_back_holds_nobody_for_long(redis: redis_py.Redis) -> None:
    """What stands in the future is from another clock, and forgotten."""
    stage = guarded(redis)
    for i in range(6):
        stage.push(f"m{i}", class_="urgent", text="hello?", to=TO)
        leaves(stage, f"L{i}")
    stage.now_us -= 3600 * SECOND
    stage.push("after", class_="urgent", text="hello?", to=TO)
    assert leaves(stage, "M") == ["after"]


def test_what_isn_t_set_leaves_nothing_behind(redis: redis_py.Redis) -> None:
    """No keys, no fields."""
    stage = Stage(redis, tps=100)
    for i in range(8):
        stage.push(f"m{i}", class_="urgent", text="hello?", to=TO, tag="offline")
        assert leaves(stage, f"L{i}") == [f"m{i}"]
    assert not list(redis.scan_iter("headway:*:resting*"))
    assert not list(redis.scan_iter("headway:*:capped*"))
