"""Does the simulated container keep to the provider's rules, on a clock that the test holds?"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from simulator.conditions import TEXTS, Conditions, People
from simulator.container import Container
from simulator.quota import Quota
from simulator.record import DELIVERED, INBOUND, READ, SEND, Event, Record

SECOND_US = 1_000_000

#: Every send is delivered and read; nobody writes.
CERTAIN: dict[str, Any] = {"delivered_share": 1, "read_share": 1}


def container(**conditions: Any) -> Container:
    """A container that begins at moment 0."""
    return Container(Conditions(**conditions))


def kinds(record: Record) -> Counter[str]:
    """How many events of each kind."""
    return Counter(event.kind for event in record.events)


def story(record: Record) -> list[dict[str, Any]]:
    """The whole record as plain values."""
    return [event.told() for event in record.events]


def campaign(seed: int, *, sends: int = 50, **conditions: Any) -> Record:
    """Five sends a second, and a minute of whatever follows."""
    number = container(seed=seed, **{"inbound_per_s": 1, **conditions})
    for index in range(sends):
        number.send(index * 200_000, number="39333", reference=f"m{index}")
    number.arrive(to_us=60 * SECOND_US)
    return number.record


# ------------------------------------------------------------------------------------------------------------ chance


def test_the_same_seed_gives_the_same_record() -> None:
    """A run can be repeated, event for event."""
    assert story(campaign(7)) == story(campaign(7))


def test_another_seed_gives_another_record() -> None:
    """The seed is what decides."""
    assert story(campaign(7)) != story(campaign(8))


def test_what_is_sent_does_not_change_who_writes() -> None:
    """Two senders under one seed meet the same people: that makes them comparable."""

    def written(record: Record) -> list[tuple[int, str, str]]:
        return [(event.at_us, event.number, event.message) for event in record.events if event.kind == INBOUND]

    few, many = written(campaign(7, sends=1)), written(campaign(7, sends=200))
    assert len(few) > 30
    assert few == many


def test_people_write_as_often_as_asked() -> None:
    """1,000 s at two a second bring 2,000 messages, give or take four standard deviations."""
    number = container(tps=1000, inbound_per_s=2)
    number.arrive(to_us=1000 * SECOND_US)
    assert 1820 <= number.record.arrived[INBOUND] <= 2180
    assert {event.message for event in number.record.events} == set(TEXTS)


def test_a_burst_comes_when_it_should() -> None:
    """All of it within the second after its start, and again after as long."""
    number = container(burst=30, burst_every=timedelta(seconds=20))
    number.arrive(to_us=45 * SECOND_US)
    seconds = Counter(event.at_us // SECOND_US for event in number.record.events)
    assert seconds == {20: 30, 40: 30}


# ---------------------------------------------------------------------------------------------------------- receipts


def test_receipts_follow_their_send_and_name_it() -> None:
    """Delivered first, then read, with the send's ids and reference."""
    number = container(**CERTAIN)
    number.send(5, number="39333", reference="m1", push_id="7", msg_id="9")
    number.arrive(to_us=600 * SECOND_US)
    send, delivered, read = number.record.events
    assert [send.kind, delivered.kind, read.kind] == [SEND, DELIVERED, READ]
    assert send.at_us < delivered.at_us < read.at_us
    for receipt in (delivered, read):
        assert (receipt.number, receipt.reference, receipt.push_id, receipt.msg_id) == ("39333", "m1", "7", "9")


def test_receipts_come_as_often_and_as_late_as_people_do() -> None:
    """Of 2,000 sends 98 % are delivered, 60 % of those read; half of them within the medians."""
    number = container(tps=100_000)
    for index in range(2000):
        number.send(0, number="39333", reference=str(index))
    number.arrive(to_us=3600 * SECOND_US)
    count = kinds(number.record)
    assert count[DELIVERED] / 2000 == pytest.approx(0.98, abs=0.015)
    assert count[READ] / count[DELIVERED] == pytest.approx(0.6, abs=0.05)
    delays_us = sorted(event.at_us for event in number.record.events if event.kind == DELIVERED)
    assert delays_us[len(delays_us) // 2] == pytest.approx(800_000, rel=0.1)


@pytest.mark.parametrize("receipts", [set(), {DELIVERED}, {READ}, {DELIVERED, READ}])
def test_a_kind_that_is_switched_off_does_not_come(receipts: set[str]) -> None:
    """And uses no transaction."""
    number = container(receipts=frozenset(receipts), **CERTAIN)
    number.send(0, number="39333")
    number.arrive(to_us=600 * SECOND_US)
    assert kinds(number.record) == dict.fromkeys({SEND, *receipts}, 1)


def test_a_group_brings_receipts_of_each_member_whatever_is_switched_off() -> None:
    """One message to 256 people costs 513 transactions."""
    number = container(receipts=frozenset(), group_members=256, **CERTAIN)
    number.send(0, number="G7", group=True)
    number.arrive(to_us=3600 * SECOND_US)
    assert kinds(number.record) == {SEND: 1, DELIVERED: 256, READ: 256}
    assert all(event.group for event in number.record.events)


def test_a_sends_state_follows_what_was_worked_off() -> None:
    """Not what has arrived: nobody knows of that yet."""
    number = container(**CERTAIN)
    send = number.send(0, number="39333")
    number.arrive(to_us=600 * SECOND_US)
    states: list[str] = [send.state]
    for to_us in (number.record.events[1].at_us, 600 * SECOND_US):
        number.worked_off(to_us=to_us)
        states.append(send.state)
    assert states == ["", DELIVERED, READ]


# --------------------------------------------------------------------------------------------------- turns and loss


def test_turns_are_one_tps_apart() -> None:
    """Ten sends at one moment at 10 TPS take 0.9 s; the eleventh, later, finds the container idle."""
    number = container(receipts=frozenset())
    turns = [number.send(0, number="39333").turn_us for _ in range(10)]
    assert turns == [index * 100_000 for index in range(10)]
    assert number.behind_us == SECOND_US
    assert number.send(5 * SECOND_US, number="39333").turn_us == 5 * SECOND_US


@pytest.mark.parametrize("tps", [0.5, 3, 7, 15, 1000])
def test_turns_do_not_drift(tps: float) -> None:
    """A third of a second isn't a whole number of microseconds; 3,000 of them are 1,000 s all the same."""
    number = container(tps=tps, receipts=frozenset())
    last = [number.send(0, number="39333") for _ in range(3001)][-1]
    assert last.turn_us == pytest.approx(3000 / tps * SECOND_US, abs=3)


def test_a_send_leaves_at_once_and_pushes_back_what_comes_later() -> None:
    """It isn't queued: its receipts are no later for the container's being behind, but their turns are."""
    idle, behind = container(**CERTAIN), container(**CERTAIN)
    for _ in range(100):
        behind.send(0, number="39333")
    behind._people = People(idle.conditions)  # the same chance for the one that is watched
    for number in (idle, behind):
        number.send(1, number="39333", reference="watched")
        number.arrive(to_us=60 * SECOND_US)
    (early,), (late,) = (
        [event for event in number.record.events if event.kind == DELIVERED and event.reference == "watched"]
        for number in (idle, behind)
    )
    assert early.at_us == late.at_us
    assert early.turn_us == early.at_us
    assert (late.turn_us or 0) > 10 * SECOND_US


def test_overflow_loses_exactly_the_inbound_messages_beyond_the_capacity() -> None:
    """Of 50 at once at 1 TPS with room for 20: one has its turn at once, 20 wait, the rest is lost for good."""
    number = container(tps=1, capacity=20, burst=50, burst_every=timedelta(seconds=1000))
    number.arrive(to_us=1001 * SECOND_US)
    lost = [index for index, event in enumerate(number.record.events) if event.turn_us is None]
    assert lost == list(range(21, 50))
    assert number.record.lost == {INBOUND: 29}
    assert number.waiting == 20
    assert len(number.worked_off(to_us=1900 * SECOND_US)) == 21


def test_room_comes_back_as_events_are_worked_off() -> None:
    """A burst after the queue has emptied is taken again."""
    number = container(tps=1, capacity=20, burst=50, burst_every=timedelta(seconds=100))
    number.arrive(to_us=201 * SECOND_US)
    assert number.record.lost == {INBOUND: 58}


def test_without_a_queue_what_finds_the_container_idle_is_taken() -> None:
    """A capacity of 0 loses only what would have to wait."""
    number = container(tps=10, capacity=0, inbound_per_s=0.001)
    number.arrive(to_us=10_000 * SECOND_US)
    assert number.record.arrived[INBOUND] > 0
    assert number.record.lost == {}


def test_receipts_are_not_lost_but_take_the_room_of_the_messages() -> None:
    """The queue is full of receipts: they wait beyond the capacity, and every message is lost."""
    number = container(tps=1, capacity=20, burst=5, burst_every=timedelta(seconds=60), **CERTAIN)
    for _ in range(100):
        number.send(0, number="39333")
    number.arrive(to_us=62 * SECOND_US)
    assert number.record.lost == {INBOUND: 5}
    assert kinds(number.record)[DELIVERED] == 100
    assert number.waiting > 20


def test_worked_off_events_come_once_and_in_order() -> None:
    """Whoever tells them needs no memory."""
    number = container(tps=2, inbound_per_s=2)
    first = number.worked_off(to_us=20 * SECOND_US)
    second = number.worked_off(to_us=60 * SECOND_US)
    turns = [event.turn_us or 0 for event in first + second]
    assert len(set(map(id, first + second))) == len(turns) > 60
    assert all(after - before >= 500_000 for before, after in pairwise(turns))
    assert number.worked_off(to_us=60 * SECOND_US) == []


def test_the_next_moment_is_known() -> None:
    """So that whoever drives it in real time may sleep until then."""
    number = container(**CERTAIN)
    before = number.next_us
    number.send(0, number="39333")
    moment = number.next_us
    assert before is None
    assert moment is not None
    assert number.worked_off(to_us=moment - 1) == []
    assert [event.kind for event in number.worked_off(to_us=moment)] == [DELIVERED]


def test_a_late_stamp_is_kept_and_time_does_not_run_backwards() -> None:
    """A request stamped before a look at the container, and handed over after it, is written down as it came."""
    number = container()
    number.arrive(to_us=10 * SECOND_US)
    event = number.send(9 * SECOND_US, number="39333")
    assert (event.at_us, event.turn_us) == (9 * SECOND_US, 10 * SECOND_US)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tps": 0},
        {"tps": float("nan")},
        {"capacity": -1},
        {"inbound_per_s": -0.1},
        {"delivered_share": 1.1},
        {"read_after": timedelta(0)},
        {"receipts": frozenset({"sent"})},
    ],
    ids=str,
)
def test_conditions_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    """At the start, in words."""
    with pytest.raises(ValueError, match=r"must|can't|lie|are"):
        Conditions(**wrong)


# --------------------------------------------------------------------------------------------------- record, quota


def test_the_record_is_bounded_and_says_what_it_forgot() -> None:
    """The oldest go first; the counts stay whole."""
    record = Record(most=3)
    for at_us in range(5):
        record.add(Event(INBOUND, at_us, turn_us=at_us or None))
    assert [event.at_us for event in record.events] == [2, 3, 4]
    assert (record.forgotten, record.arrived, record.lost) == (2, {INBOUND: 5}, {INBOUND: 1})


def test_the_quota_is_a_sliding_minute() -> None:
    """Two a minute: what is over takes nothing, and a request leaves the minute exactly 60 s after it came."""
    quota = Quota(2)
    minute_us = 60 * SECOND_US
    answers = [quota.take(at_us) for at_us in (0, 1, 2, minute_us - 1, minute_us, minute_us + 1, minute_us + 2)]
    assert answers == [True, True, False, False, True, True, False]
    assert quota.dropped == 3


def test_no_quota_is_no_limit() -> None:
    """0 lets everything through."""
    assert all(Quota(0).take(0) for _ in range(1000))
