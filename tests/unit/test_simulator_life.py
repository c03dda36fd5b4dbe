"""Do people live through hours as their seed says, and does the timeline keep the time of everybody on it?"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median

import pytest

from simulator.conditions import Conditions
from simulator.container import Container
from simulator.life import Behaviour, Course, Life, Shape, course_us
from simulator.record import Record
from simulator.timeline import Answer, Heard, Way, run

SECOND_US = 1_000_000
FIXED = Behaviour(shape="fixed", delivered_share=1, delivered_s=1, read_share=1, read_s=2)


class Scripted:
    """A sender that sends what its script says, and notes what it hears and when it is asked."""

    def __init__(self, *script: tuple[int, int]) -> None:
        self.script = list(script)
        self.asked: list[tuple[int, int]] = []
        self.heard: list[tuple[int, Heard]] = []

    def ask(self, now_us: int, row: int) -> Answer:
        """Answer by the script: at this moment so many rows."""
        self.asked.append((now_us, row))
        if not self.script:
            return Answer(0, now_us + 3600 * SECOND_US)
        at_us, rows = self.script[0]
        if now_us < at_us:
            return Answer(0, at_us)
        self.script.pop(0)
        return Answer(rows, now_us)

    def hear(self, now_us: int, events: Sequence[Heard]) -> None:
        """Note it."""
        self.heard += [(now_us, event) for event in events]


def life(*behaviours: tuple[int, Behaviour], inbound_us: Sequence[int] = ()) -> Life:
    """A life of fixed seed."""
    return Life(seed=1, inbound_us=inbound_us, behaviours=behaviours or ((0, FIXED),))


def lived(sender: Scripted, way: Way, people: Life, *, seconds: int = 20, members: int = 0) -> tuple[Record, list[int]]:
    """What the number saw, and when requests left."""
    number = Container(Conditions(tps=10, group_members=members), people=people)
    requests = run(number, sender, way, until_us=seconds * SECOND_US)
    return number.record, requests


# -------------------------------------------------------------------------------------------------------------- people


def test_the_same_row_meets_the_same_fate_whenever_it_leaves_within_a_behaviour() -> None:
    """Two senders before one life differ by what they do, not by chance."""
    quick, slow = life((0, Behaviour())), life((0, Behaviour()))
    assert [quick.receipts_us(at) for at in range(20)] == [slow.receipts_us(at * SECOND_US) for at in range(20)]


def test_looking_ahead_changes_nothing() -> None:
    """What is foreseen is what comes, also after somebody looked."""
    people = life((0, Behaviour()))
    ahead = list(people.foreseen(0, 5))
    assert people.foreseen(0, 5) == ahead
    assert [people.receipts_us(0) for _ in range(5)] == ahead


def test_a_behaviour_begins_at_its_moment() -> None:
    """After the change messages meet the new one."""
    other = Behaviour(shape="fixed", delivered_share=1, delivered_s=5, read_share=0)
    people = life((0, FIXED), (SECOND_US, other))
    assert people.receipts_us(SECOND_US - 1) == (SECOND_US, 3 * SECOND_US)
    assert people.receipts_us(SECOND_US) == (5 * SECOND_US, None)


def test_somebody_must_live_at_the_start() -> None:
    """A life without a first behaviour is refused."""
    with pytest.raises(ValueError, match="at the start"):
        life((1, FIXED))


@pytest.mark.parametrize("shape", ["lognormal", "gamma", "exponential", "fixed"])
def test_half_of_the_delays_lie_below_the_median(shape: Shape) -> None:
    """Every family of delays has the median that it is given."""
    people = life((0, Behaviour(shape=shape, delivered_share=1, delivered_s=2, read_share=1)))
    delays = [delivered for delivered, _ in (people.receipts_us(0) for _ in range(4000)) if delivered]
    assert median(delays) == pytest.approx(2 * SECOND_US, rel=0.06)


def test_two_humps_leave_a_gap_between_them() -> None:
    """Phones that are off answer much later, and few in between."""
    people = life((0, Behaviour(shape="two-humped", delivered_share=1, delivered_s=1, read_share=0)))
    delays = [delivered / SECOND_US for delivered, _ in (people.receipts_us(0) for _ in range(2000)) if delivered]
    late = sum(delay > 4 for delay in delays) / len(delays)
    assert late == pytest.approx(0.3, abs=0.04)
    assert sum(3 < delay < 7 for delay in delays) < 20


@pytest.mark.parametrize(("course", "rate"), [("none", 0.0), ("steady", 0.2), ("day", 0.275)])
def test_a_course_has_its_mean(course: Course, rate: float) -> None:
    """Inbound messages come as often as the course says."""
    moments = course_us(course, tps=10, span_us=1000 * SECOND_US, seed=1)
    assert len(moments) / 10_000 == pytest.approx(rate, rel=0.1)


def test_bursts_reach_nine_tenths_of_tps_and_end() -> None:
    """Ten seconds of each minute are a burst."""
    moments = course_us("bursts", tps=10, span_us=600 * SECOND_US, seed=1)
    inside = [at for at in moments if 30 <= at / SECOND_US % 60 < 40]
    assert len(inside) / 100 == pytest.approx(9, rel=0.15)
    assert fmean(30 <= at / SECOND_US % 60 < 40 for at in moments) > 0.7


# ------------------------------------------------------------------------------------------------------------ timeline


def test_a_send_takes_the_wire_and_its_receipts_are_told_after_their_turns() -> None:
    """Each on the one clock: decision, arrival, receipt, turn, webhook."""
    sender = Scripted((SECOND_US, 1))
    record, requests = lived(sender, Way(wire_us=5_000, webhook_us=20_000), life())
    assert requests == [SECOND_US]
    assert [(event.kind, event.at_us) for event in record.events] == [
        ("send", 1_005_000),
        ("delivered", 2_005_000),
        ("read", 4_005_000),
    ]
    assert [(at, heard.kind, heard.row, heard.sent_us) for at, heard in sender.heard] == [
        (2_025_000, "delivered", 0, SECOND_US),
        (4_025_000, "read", 0, SECOND_US),
    ]


def test_what_waits_for_its_turn_is_told_later() -> None:
    """Three sends of one request take turns of a tenth of a second, and a message behind them its own."""
    sender = Scripted((0, 3))
    _, _ = lived(sender, Way(wire_us=0, webhook_us=0), life(inbound_us=[10]))
    inbound = [at for at, heard in sender.heard if heard.kind == "inbound"]
    assert inbound == [300_000]


def test_a_row_to_a_group_brings_receipts_of_every_member() -> None:
    """Every second row goes to the group here."""
    sender = Scripted((0, 2))
    record, _ = lived(sender, Way(members=4, group_every=2), life(), members=4)
    assert [event.group for event in record.events if event.kind == "send"] == [False, True]
    assert record.arrived == {"send": 2, "delivered": 5, "read": 5}


def test_nobody_is_asked_while_nothing_waits() -> None:
    """The sender sleeps until there is something to send again."""
    sender = Scripted((0, 1), (3 * SECOND_US, 1))
    _, requests = lived(sender, Way(asleep=((SECOND_US, 5 * SECOND_US),)), life())
    assert requests == [0, 5 * SECOND_US]
    assert not [at for at, _ in sender.asked if SECOND_US <= at < 5 * SECOND_US]


def test_a_sender_without_a_plan_does_not_stop_the_clock() -> None:
    """Who answers `ask me now` and sends nothing is asked a little later."""

    class Idle(Scripted):
        def ask(self, now_us: int, row: int) -> Answer:
            self.asked.append((now_us, row))
            return Answer(0, now_us)

    idle = Idle()
    run(Container(Conditions(tps=10), people=life()), idle, Way(), until_us=10_000)
    assert len(idle.asked) == 100
