"""Does the judge count by hand-made records what a person would, and does it tell a good sender from a bad one?"""

from __future__ import annotations

import json
from collections import deque
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.conditions import Conditions
from simulator.container import Container
from simulator.judge import NumberVerdict, into_full_us, judge
from simulator.limiter import judge_outbound_only, outbound_only
from simulator.record import DELIVERED, INBOUND, SEND, Event, Kind, Record

SECOND_US = 1_000_000


def send(at_us: int, reference: str = "", *, reply: bool = False) -> Event:
    """A send that had its turn at once."""
    return Event(SEND, at_us, turn_us=at_us, reference=reference, source="reply" if reply else "push")


def came(at_us: int, *, told_us: int | None = None, kind: Kind = INBOUND) -> Event:
    """An incoming event that had its turn at once."""
    return Event(kind, at_us, turn_us=at_us, told_us=told_us)


def even(count: int, *, every_us: int) -> list[Event]:
    """Sends, evenly."""
    return [send(index * every_us, f"m{index}") for index in range(count)]


# ------------------------------------------------------------------------------------------------- loss and backlog


def test_a_quiet_record_has_no_fault() -> None:
    """Ten sends a second at 10 TPS, nothing else: all that is possible, none over."""
    verdict = judge(even(101, every_us=100_000), tps=10)
    assert (verdict.inbound_lost, verdict.duplicates, verdict.into_full) == (0, 0, 0)
    assert (verdict.behind_max_s, verdict.over_share, verdict.worst_second) == (0.0, 0.0, 10)
    assert verdict.possible.share == pytest.approx(1.0)


def test_an_empty_record_can_be_judged() -> None:
    """Nothing came: nothing is wrong, and nothing was possible to say."""
    verdict = judge([], tps=10)
    assert (verdict.arrived, verdict.inbound_lost, verdict.possible.share) == ({}, 0, None)


def test_lost_inbound_messages_are_counted_and_use_no_transaction() -> None:
    """They are in no trailing second, and wait for nothing."""
    verdict = judge([*(Event(INBOUND, 0) for _ in range(30)), came(0)], tps=10)
    assert (verdict.inbound_lost, verdict.arrived, verdict.worst_second) == (30, {INBOUND: 31}, 1)


def test_the_backlog_is_what_an_arrival_finds_before_it() -> None:
    """One of 100 arrivals waits 3 s, another 2 s: the most, and what 99 of 100 don't exceed."""
    waits_us = [0] * 98 + [2 * SECOND_US, 3 * SECOND_US]
    verdict = judge([Event(INBOUND, 0, turn_us=wait_us) for wait_us in waits_us], tps=10)
    assert (verdict.behind_max_s, verdict.behind_p99_s) == (3.0, 2.0)


def test_every_kind_fills_the_trailing_second() -> None:
    """Five sends and six receipts within a second are one over at 10 TPS, for the last of them."""
    events = [send(index, f"m{index}") for index in range(5)] + [came(900_000 + i, kind=DELIVERED) for i in range(6)]
    verdict = judge(events, tps=10)
    assert verdict.worst_second == 11
    assert verdict.over_share == pytest.approx(1 / 11)


def test_a_reference_sent_twice_is_a_duplicate() -> None:
    """Sends without a reference are none, and a receipt carries its send's reference without being one."""
    events = [send(1, "a"), send(2, "a"), send(3, "b"), send(4), send(5), Event(DELIVERED, 6, turn_us=6, reference="b")]
    assert judge(events, tps=10).duplicates == 1


def test_a_span_leaves_out_what_is_outside() -> None:
    """Both ends belong to it."""
    events = [send(1, "a"), send(2, "a"), send(3, "a"), send(4, "a")]
    assert judge(events, tps=10, since_us=2, until_us=3).duplicates == 1


def test_the_order_of_events_does_not_matter() -> None:
    """The record of a late stamp is sorted before it is judged."""
    events = even(30, every_us=50_000)
    assert judge(events[::-1], tps=10) == judge(events, tps=10)


def test_a_verdict_can_be_written_as_json() -> None:
    """For the wire."""
    told = judge([send(1, "a"), came(2)], tps=10, class_of={"a": "urgent"}).told()
    assert json.loads(json.dumps(told))["classes"] == [{"name": "urgent", "sends": 1, "first_us": 1, "last_us": 1}]


def test_classes_are_told_by_their_first_arrival() -> None:
    """Sends that the map doesn't know belong to no class."""
    events = [send(1, "b1"), send(2, "u1"), send(3, "b2"), send(4, "other")]
    classes = judge(events, tps=10, class_of={"u1": "urgent", "b1": "bulk", "b2": "bulk"}).classes
    assert [(seen.name, seen.sends, seen.first_us, seen.last_us) for seen in classes] == [
        ("bulk", 2, 1, 3),
        ("urgent", 1, 2, 2),
    ]


# ------------------------------------------------------------------------------------------------- into a full second


def test_a_send_into_a_full_second_is_seen() -> None:
    """The eleventh in a trailing second at 10 TPS, not the tenth."""
    assert into_full_us(even(11, every_us=1000), tps=10) == [10_000]
    assert into_full_us(even(10, every_us=1000), tps=10) == []


def test_the_rows_of_one_request_fill_the_second_one_by_one() -> None:
    """Twelve at one moment: two are too many."""
    assert into_full_us([send(7) for _ in range(12)], tps=10) == [7, 7]


@pytest.mark.parametrize(
    ("told_us", "full"),
    [(None, False), (400_000, True), (400_001, False), (700_000, False)],
    ids=["never told", "just known", "too late to know", "told afterwards"],
)
def test_only_what_was_known_counts(told_us: int | None, full: bool) -> None:
    """Ten events came; the send at 0.5 s is at fault only if they were answered 100 ms before."""
    events = [*(came(100_000, told_us=told_us) for _ in range(10)), send(500_000)]
    assert bool(into_full_us(events, tps=10)) is full


@pytest.mark.parametrize(("send_us", "full"), [(1_099_999, True), (1_100_000, False)])
def test_a_known_event_leaves_the_window_after_a_second(send_us: int, full: bool) -> None:
    """Exactly a second later it isn't in the trailing second any more."""
    events = [*(came(100_000, told_us=200_000) for _ in range(10)), send(send_us)]
    assert bool(into_full_us(events, tps=10)) is full


def test_instant_replies_count_but_are_not_judged() -> None:
    """The eleventh is a reply: it followed its webhook. The push behind it is at fault."""
    events = [*(send(index) for index in range(10)), send(10, reply=True), send(11)]
    assert into_full_us(events, tps=10) == [11]


def test_below_one_per_second_the_window_is_longer() -> None:
    """At 0.5 TPS a send may follow after two seconds."""
    assert into_full_us([send(0), send(2 * SECOND_US)], tps=0.5) == []
    assert into_full_us([send(0), send(2 * SECOND_US - 1)], tps=0.5) == [2 * SECOND_US - 1]


@given(
    sends=st.lists(st.integers(0, 30), max_size=15),
    others=st.lists(st.tuples(st.integers(0, 30), st.none() | st.integers(0, 15)), max_size=15),
    tps=st.sampled_from([0.5, 1, 1.5, 3]),
)
def test_the_count_agrees_with_looking_at_each_send(
    sends: list[int], others: list[tuple[int, int | None]], tps: float
) -> None:
    """The sweep gives the same as asking, for each send, for each event."""
    tick_us = 100_000
    incoming = [came(at * tick_us, told_us=None if late is None else (at + late) * tick_us) for at, late in others]
    events = sorted([*(send(at * tick_us) for at in sends), *incoming], key=lambda event: event.at_us)
    window_us = max(SECOND_US, round(SECOND_US / tps))
    expected = []
    before: list[Event] = []
    for event in (event for event in events if event.kind == SEND):
        begins_us = event.at_us - window_us
        known = [
            other
            for other in incoming
            if other.told_us is not None and other.told_us + 100_000 <= event.at_us and other.at_us > begins_us
        ]
        count = len(known) + sum(other.at_us > begins_us for other in before)
        if count + 1 > tps * window_us / SECOND_US + 1e-3:
            expected.append(event.at_us)
        before.append(event)
    assert into_full_us(events, tps=tps) == expected


# ------------------------------------------------------------------------------------------------------- the possible


def test_possible_sends_are_what_inbound_leaves_by_what_a_send_costs() -> None:
    """10 s at 10 TPS, 10 inbound, 30 sends with a receipt each: room for 45 sends, two thirds of it used."""
    sends = [send(0), *(send(index * 333_333) for index in range(1, 30)), send(10 * SECOND_US)]
    receipts = [came(at_us + 1, kind=DELIVERED) for at_us in range(0, 9_000_000, 300_000)]
    inbound = [came(at_us) for at_us in range(500_000, 10_000_000, 1_000_000)]
    possible = judge([*sends, *receipts, *inbound], tps=10).possible
    assert (possible.span_s, possible.cost, possible.made) == (10.0, 2.0, 30)
    assert possible.sends == pytest.approx(45)
    assert possible.share == pytest.approx(2 / 3)


def test_possible_sends_are_less_by_the_instant_replies() -> None:
    """A reply uses what a push could have used."""
    sends = [send(0), *(send(index * 100_000, reply=index % 2 == 0) for index in range(1, 100)), send(10 * SECOND_US)]
    verdict = judge(sends, tps=10)
    assert (verdict.replies, verdict.possible.made) == (49, 51)
    assert verdict.possible.sends == pytest.approx(51)


def test_no_share_where_nothing_was_possible() -> None:
    """One send has no span; a number that others use up leaves no room."""
    assert judge([send(0)], tps=10).possible.share is None
    assert judge([send(0), *(came(1) for _ in range(50)), send(SECOND_US)], tps=10).possible.share is None


# -------------------------------------------------------------------------------------------------------- the limiter


def minute(tps: float, seconds: int) -> NumberVerdict:
    """A plain limiter's run with 10 % inbound."""
    return judge_outbound_only(Conditions(tps=tps, inbound_per_s=tps / 10), duration=timedelta(seconds=seconds))


@pytest.mark.parametrize("tps", [10, 20])
def test_a_plain_limiter_falls_behind_without_end_and_loses_inbound(tps: float) -> None:
    """It keeps to TPS by its own count, and the number pays 2.5 times that."""
    one, two = minute(tps, 60), minute(tps, 120)
    assert one.arrived[SEND] == 60 * tps
    assert one.inbound_lost > 0
    assert two.behind_max_s > 1.8 * one.behind_max_s > 1.8 * 60
    assert one.over_share > 0.95
    assert (one.possible.share or 0) > 2


def test_a_plain_limiter_is_enough_where_nothing_else_happens() -> None:
    """Without receipts and inbound messages it uses all, and harms nobody."""
    verdict = judge_outbound_only(Conditions(receipts=frozenset()), duration=timedelta(minutes=1))
    assert (verdict.inbound_lost, verdict.behind_max_s, verdict.over_share) == (0, 0.0, 0.0)
    assert verdict.possible.share == pytest.approx(1.0)


def test_a_limiter_with_little_to_send_stops() -> None:
    """Then the number catches up."""
    record = outbound_only(Conditions(), duration=timedelta(minutes=1), sends=20)
    assert record.arrived[SEND] == 20


def test_a_run_without_time_is_refused() -> None:
    """There is nothing to compare."""
    with pytest.raises(ValueError, match="longer than nothing"):
        outbound_only(Conditions(), duration=timedelta(0))


# ------------------------------------------------------------------------------------------------- a sender that counts


def count_everything(tps: float, *, seconds: int) -> NumberVerdict:
    """A sender that every 5 ms counts what it sent and was told in the trailing second, and keeps a tenth free."""
    container = Container(Conditions(tps=tps, inbound_per_s=tps / 10), record=Record(most=10**6))
    charged: deque[int] = deque()
    free_us = 0.0
    for now_us in range(0, seconds * SECOND_US, 5_000):
        for event in container.worked_off(to_us=now_us - 20_000):
            event.told_us = now_us
            charged.append(now_us)
            free_us = max(free_us, now_us) + SECOND_US / tps
        while charged and charged[0] <= now_us - SECOND_US:
            charged.popleft()
        if len(charged) + 1 <= tps * 0.9 and free_us <= now_us + SECOND_US / tps:
            container.send(now_us, number="39333", reference=str(now_us))
            charged.append(now_us)
            free_us = max(free_us, now_us) + SECOND_US / tps
    return judge(container.record.events, tps=tps)


@pytest.mark.parametrize("tps", [10, 20])
def test_a_sender_that_counts_everything_keeps_up(tps: float) -> None:
    """What the judge asks for can be had: nothing lost, never 1.5 s behind, nine tenths of the possible sends."""
    verdict = count_everything(tps, seconds=120)
    assert (verdict.inbound_lost, verdict.into_full, verdict.duplicates) == (0, 0, 0)
    assert verdict.behind_max_s < 1.5
    assert 0.9 <= (verdict.possible.share or 0) <= 1.01
