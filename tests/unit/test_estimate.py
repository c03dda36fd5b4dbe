"""Does the model say when messages leave, by figures that are given to it?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway import MessageClass
from scheduler.estimate import Figures, Lane, empty_in_s, of_row
from scheduler.outflow import Outflow, Stream, kept_by

NOW_US = 1_900_000_000_000_000
PLAIN = Outflow(events=10, window_s=1.0)
#: Nine in ten are delivered after a second, and half are read after five.
RECEIPTS = (Stream(0.9, 1.0, (0.0, 0.0, 0.0)), Stream(0.5, 5.0, (0.0, 0.0, 0.0)))


def figures(*, weights: bool = True, comes: dict[str, float] | None = None, **more: Any) -> Figures:
    """Return a number of 10 TPS where nothing waits; `more`: rows by class, or fields."""
    lanes = tuple(
        Lane(
            waiting=more.pop(class_.value, 0),
            comes=(comes or {}).get(class_.value, 0.0),
            weight=weight if weights else 0,
            held=False,
            outflow=replace(PLAIN, paced=class_ is not MessageClass.URGENT),
        )
        for class_, weight in zip(MessageClass, (0, 70, 20, 10), strict=True)
    )
    found = Figures(
        now_us=NOW_US, lanes=lanes, due=(), paused=False, rests_until_us=0, workers=1, debt_s=0.0, may_leave=1,
        until_us=0, because="",
    )  # fmt: skip
    return replace(found, **more)


def wait_s(f: Figures, class_: str, **more: Any) -> float:
    """Return how long the last row of a class waits."""
    at_us = of_row(f, MessageClass(class_), **more).at_us
    assert at_us is not None
    return (at_us - NOW_US) / 1_000_000


# ------------------------------------------------------------------------------------------------- how fast they leave


def test_without_receipts_rows_leave_at_the_pace() -> None:
    """Ten a window, which is a little longer than a second because leases begin a little late."""
    assert PLAIN.seconds(100) == pytest.approx(10.04, abs=0.01)
    assert PLAIN.seconds(0) == 0


def test_receipts_come_later_than_sends_and_slow_them_down() -> None:
    """The first seconds are as fast as without; in the long run each send takes its receipts with it."""
    outflow = replace(PLAIN, streams=RECEIPTS)
    assert outflow.seconds(5) == pytest.approx(PLAIN.seconds(5), rel=0.1)
    assert outflow.steady() == pytest.approx(10 / 2.4)
    assert outflow.seconds(1010) - outflow.seconds(1000) == pytest.approx(2.4, rel=0.01)


def test_receipts_on_their_way_count_from_the_start() -> None:
    """Who asks in the middle of a campaign is not told of a start."""
    warm = (Stream(0.9, 1.0, (1.25, 1.25, 1.25)), Stream(0.5, 5.0, (3.5, 3.5, 3.5)))
    assert replace(PLAIN, streams=warm).seconds(20) == pytest.approx(20 / (10 / 2.4), rel=0.15)


def test_inbound_messages_and_what_is_kept_for_them_are_taken_off() -> None:
    """Two messages a second come in, one event is kept: eight a second are left, then nine at most."""
    assert replace(PLAIN, inbound=2.0).steady() == pytest.approx(8.0)
    assert replace(PLAIN, kept=3).steady() == pytest.approx(7.0)
    assert kept_by(1, 0.5) == 1


def test_what_was_measured_counts_by_its_evidence() -> None:
    """A provider that lets only four a second through is in no rule."""
    assert replace(PLAIN, measured=4.0, evidence=1.0).steady() == pytest.approx(4.0)
    assert replace(PLAIN, measured=4.0, evidence=0.5).steady() == pytest.approx(7.0)
    assert replace(PLAIN, measured=4.0, evidence=0.0).steady() > 9


def test_turns_of_a_request_quota_bind_when_they_are_far_apart() -> None:
    """One request of ten rows every four seconds."""
    assert replace(PLAIN, slot_s=4.0).steady() == pytest.approx(2.5)


def test_a_flood_leaves_a_part() -> None:
    """More comes in than TPS: the answer is far away, but it is one."""
    assert 100 < replace(PLAIN, inbound=50.0).seconds(100) < 10_000


@given(
    rows=st.floats(0, 5000), more=st.floats(0, 500), inbound=st.floats(0, 20), calm=st.floats(0, 0.5),
    others=st.floats(0, 12),
)  # fmt: skip
def test_more_rows_never_take_less_time(rows: float, more: float, inbound: float, calm: float, others: float) -> None:
    """Whatever comes in and goes on besides."""
    outflow = replace(PLAIN, inbound=inbound, calm=calm, streams=RECEIPTS)
    assert outflow.seconds(rows, others=others) <= outflow.seconds(rows + more, others=others) + 1e-6


# --------------------------------------------------------------------------------------------------------- who is ahead


def test_what_may_leave_at_once_waits_for_nothing() -> None:
    """Alone at the head of its lane, and there is room."""
    found = of_row(figures(normal=1), MessageClass.NORMAL)
    assert (found.at_us, found.waits_for) == (NOW_US, ())


def test_urgent_passes_all_and_all_wait_for_urgent() -> None:
    """A thousand bulk rows cost an urgent one nothing, fifty urgent ones cost a bulk row five seconds."""
    assert wait_s(figures(urgent=1, bulk=1000), "urgent") == 0
    alone = wait_s(figures(bulk=100), "bulk")
    assert wait_s(figures(bulk=100, urgent=50), "bulk") == pytest.approx(alone + 5, abs=0.1)


def test_classes_share_by_weight_and_lend_what_they_do_not_need() -> None:
    """Ten bulk rows wait for twenty normal ones, or for all there are when there are fewer."""
    alone = wait_s(figures(bulk=10), "bulk")
    assert wait_s(figures(bulk=10, normal=1000), "bulk") == pytest.approx(alone + 2, abs=0.05)
    assert wait_s(figures(bulk=10, normal=5), "bulk") == pytest.approx(alone + 0.5, abs=0.05)
    assert wait_s(figures(bulk=10, normal=1000, high=1000), "bulk") == pytest.approx(alone + 9, abs=0.1)


def test_without_shares_lower_classes_wait_for_all_of_the_higher() -> None:
    """And the higher for none of the lower."""
    alone = wait_s(figures(weights=False, bulk=10), "bulk")
    assert wait_s(figures(weights=False, bulk=10, normal=300), "bulk") == pytest.approx(alone + 30, abs=0.3)
    assert wait_s(figures(weights=False, normal=10, bulk=300), "normal") == pytest.approx(alone, abs=0.05)


def test_what_goes_on_coming_in_is_ahead_too() -> None:
    """Five urgent ones a second are half of it; a class that shares takes no more than its weight."""
    alone = wait_s(figures(bulk=100), "bulk")
    assert wait_s(figures(bulk=100, comes={"urgent": 5}), "bulk") == pytest.approx(2 * alone, rel=0.05)
    assert wait_s(figures(bulk=100, comes={"normal": 1}), "bulk") == pytest.approx(alone * 10 / 9, rel=0.05)
    assert wait_s(figures(bulk=100, comes={"normal": 50}), "bulk") == pytest.approx(3 * alone, rel=0.1)


def test_deferred_rows_that_fall_due_meanwhile_are_ahead() -> None:
    """Fifty within the minute, of which some come too late to matter."""
    alone = wait_s(figures(bulk=200), "bulk")
    assert alone < wait_s(figures(bulk=200, due=(50, 50, 50, 50, 50, 50)), "bulk") < alone + 6


def test_rows_behind_and_rows_still_to_come() -> None:
    """`behind` asks for a row in the middle; below nothing it stands for rows that are pushed after the look."""
    f = figures(bulk=100)
    assert wait_s(f, "bulk", behind=50) == pytest.approx(wait_s(figures(bulk=50), "bulk"))
    assert wait_s(f, "bulk", behind=-50) == pytest.approx(wait_s(figures(bulk=150), "bulk"))


# ------------------------------------------------------------------------------------------------ what it waits for


@pytest.mark.parametrize(
    ("more", "word"), [({"paused": True}, "paused"), ({"workers": 0}, "worker")]
)  # fmt: skip
def test_nobody_knows_when_a_number_stands_still(more: dict[str, Any], word: str) -> None:
    """A person has to resume it, or to start a worker; then no lane is known to be empty but an empty one."""
    f = figures(bulk=10, **more)
    found = of_row(f, MessageClass.BULK)
    assert (found.at_us, found.told(), found.waits_for) == (None, None, (word,))
    assert empty_in_s(f) == {"urgent": 0.0, "high": 0.0, "normal": 0.0, "bulk": None}


def test_a_class_that_is_held_waits_for_a_person_and_nobody_waits_for_it() -> None:
    """Held whole, it uses none of its share."""
    f = figures(bulk=10, normal=1000)
    f = replace(f, lanes=(*f.lanes[:2], replace(f.lanes[2], held=True), f.lanes[3]))
    assert of_row(f, MessageClass.NORMAL).waits_for == ("held",)
    assert wait_s(f, "bulk") == wait_s(figures(bulk=10), "bulk")


def test_its_own_time_comes_first() -> None:
    """Tomorrow is tomorrow; a time that has passed is none."""
    tomorrow = NOW_US + 86_400_000_000
    found = of_row(figures(bulk=10), MessageClass.BULK, send_at_us=tomorrow)
    assert (found.at_us, found.waits_for) == (tomorrow, ("send_at",))
    assert found.told() == "2030-03-18T17:46:40.000Z"
    assert of_row(figures(bulk=1), MessageClass.BULK, send_at_us=NOW_US - 1).waits_for == ()
    assert of_row(figures(paused=True), MessageClass.BULK, send_at_us=tomorrow).waits_for == ("send_at", "paused")


def test_a_providers_pause_and_debt_come_before_the_first() -> None:
    """Whichever is longer."""
    resting = figures(bulk=1, may_leave=0, until_us=NOW_US + 30_000_000, because="throttled")
    assert wait_s(resting, "bulk") == 30
    assert of_row(resting, MessageClass.BULK).waits_for == ("throttled",)
    assert wait_s(figures(bulk=5, debt_s=12.0), "bulk") == pytest.approx(12.4, abs=0.05)


def test_time_to_empty_is_that_of_the_last_row() -> None:
    """Each class of its own; those that share finish later for it."""
    found = empty_in_s(figures(normal=100, bulk=100))
    assert found["urgent"] == found["high"] == 0
    assert found["normal"] == pytest.approx(15, abs=0.3)
    assert found["bulk"] == pytest.approx(20, abs=0.3)
