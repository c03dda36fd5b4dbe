"""Did the sender keep to the number's TPS, counting everything that uses it, and did it make what was possible?

Pure: stamped events in, figures out. It stands on `simulator.verdict`, which judges bare arrivals.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from math import ceil
from typing import Any, Final

from simulator import verdict
from simulator.record import INBOUND, SEND, Event

_SECOND_US: Final = 1_000_000

#: After so long an answered webhook is known: the sender has had the time to count it.
KNOWN_AFTER: Final = timedelta(milliseconds=100)

#: So many moments of sends into a full second are named; all are counted.
_NAMED: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSeen:
    """What came of one class: how many sends, and when the first and the last of them arrived (microseconds)."""

    name: str
    sends: int
    first_us: int
    last_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Possible:
    """How many sends the container had room for while sends were made, and how many were made.

    Attributes:
        span_s: from the first send to the last, in seconds: nobody knows whether there was anything to send outside.
        cost: transactions that one send costs: itself, and its part of the receipts that arrived in the span.
        sends: possible sends: (TPS x span - inbound messages taken) / cost, less the instant replies, which nobody can
            hold back. Divided by the cost, since who sends less also gets fewer receipts: to subtract them as if they
            were given would punish each missing send as often as it costs. The cost is as measured, so that chance
            doesn't count: the share is 1 exactly when the sends and all that came in used every transaction.
        made: pushes made after the first moment of the span, up to its end.
        share: made over possible; above 1 the container fell behind. None when nothing was possible or measurable.
    """

    span_s: float
    cost: float
    sends: float
    made: int
    share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberVerdict:
    """What the record says.

    Attributes:
        arrived: events by kind, the lost ones included.
        replies: how many of the sends were instant replies.
        inbound_lost: inbound messages that found the incoming queue full.
        behind_max_s, behind_p99_s: work that an event found before it at its arrival, in seconds: the most, and what
            99 of 100 arrivals didn't exceed.
        over_share: share of arrivals, 0 to 1, whose trailing second holds more than TPS events.
        worst_second: most events in any trailing second.
        duplicates: sends beyond the first with the same reference.
        into_full: pushes let go into a second known to be full (see `into_full_us`).
        into_full_us: when the first of them arrived.
        possible: how many sends there was room for.
        classes: by their first arrival; empty when nobody told the classes.
    """

    arrived: Mapping[str, int]
    replies: int
    inbound_lost: int
    behind_max_s: float
    behind_p99_s: float
    over_share: float
    worst_second: int
    duplicates: int
    into_full: int
    into_full_us: tuple[int, ...]
    possible: Possible
    classes: tuple[ClassSeen, ...]

    def told(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


def judge(
    events: Iterable[Event],
    *,
    tps: float,
    class_of: Mapping[str, str] | None = None,
    since_us: int | None = None,
    until_us: int | None = None,
) -> NumberVerdict:
    """Judge a record, in any order of events.

    Args:
        events: every event that arrived, lost ones too.
        tps: transactions per second of the number.
        class_of: reference -> class, where the caller knows it; other sends belong to no class.
        since_us: leave out what arrived before; None: nothing.
        until_us: leave out what arrived later; None: nothing.

    Raises ValueError when tps isn't positive.
    """
    seen = sorted((event for event in events if _within(event.at_us, since_us, until_us)), key=_at_us)
    taken = [event for event in seen if event.turn_us is not None]
    sends = [event for event in taken if event.kind == SEND]
    arrivals = verdict.judge([event.at_us for event in taken], tps=tps)
    sent = verdict.judge([event.at_us for event in sends], tps=tps, references=[event.reference for event in sends])
    behind_us = sorted(max(0, (event.turn_us or 0) - event.at_us) for event in taken)
    full_us = into_full_us(taken, tps=tps)
    return NumberVerdict(
        arrived=dict(Counter(event.kind for event in seen)),  # asdict can't copy a Counter
        replies=sum(event.source == "reply" for event in sends),
        inbound_lost=sum(event.turn_us is None and event.kind == INBOUND for event in seen),
        behind_max_s=behind_us[-1] / _SECOND_US if behind_us else 0.0,
        behind_p99_s=behind_us[ceil(0.99 * len(behind_us)) - 1] / _SECOND_US if behind_us else 0.0,
        over_share=arrivals.over_share,
        worst_second=arrivals.worst,
        duplicates=sent.duplicates,
        into_full=len(full_us),
        into_full_us=tuple(full_us[:_NAMED]),
        possible=possible(taken, tps=tps),
        classes=classes_seen(sends, class_of or {}),
    )


def into_full_us(events: Sequence[Event], *, tps: float, known_after: timedelta = KNOWN_AFTER) -> list[int]:
    """Return when pushes arrived whose trailing second was known to hold TPS events already. `events` by arrival.

    The second (below one TPS: the 1/TPS seconds) ends at the push's arrival and is half open. Of what arrived in it
    count the sends that came before, also in the same request, and the events whose webhook had been answered
    `known_after` before the push arrived: more the sender can't know. Instant replies count but aren't judged: they
    follow their webhook at once.
    """
    window_us = max(_SECOND_US, round(_SECOND_US / tps))
    due = tps * window_us / _SECOND_US + 1e-6  # the dust of 1/TPS as a float
    after_us = known_after // timedelta(microseconds=1)
    # An incoming event is known and in the window from its answer plus known_after until it is one window old.
    known = [(event.told_us + after_us, event.at_us + window_us) for event in events if event.told_us is not None]
    begins = sorted(begin for begin, end in known if begin < end)
    ends = sorted(end for begin, end in known if begin < end)
    sends = [event for event in events if event.kind == SEND]
    sent_us = [event.at_us for event in sends]
    full = []
    for index, event in enumerate(sends):
        before = index - bisect_right(sent_us, event.at_us - window_us, hi=index)
        told = bisect_right(begins, event.at_us) - bisect_right(ends, event.at_us)
        if event.source != "reply" and before + told + 1 > due:
            full.append(event.at_us)
    return full


def possible(events: Sequence[Event], *, tps: float) -> Possible:
    """Return how many sends there was room for between the first and the last. `events`: those taken, by arrival."""
    sent_us = [event.at_us for event in events if event.kind == SEND]
    if not sent_us or sent_us[0] == sent_us[-1]:
        return Possible(span_s=0.0, cost=1.0, sends=0.0, made=0, share=None)
    times = [event.at_us for event in events]
    # Half open, (first, last]: n intervals hold n sends.
    inside = events[bisect_right(times, sent_us[0]) : bisect_right(times, sent_us[-1])]
    span_s = (sent_us[-1] - sent_us[0]) / _SECOND_US
    sends = len(sent_us) - bisect_right(sent_us, sent_us[0])
    inbound = sum(event.kind == INBOUND for event in inside)
    replies = sum(event.source == "reply" for event in inside)
    cost = (len(inside) - inbound) / sends
    room = max(0.0, (tps * span_s - inbound) / cost - replies)
    made = sends - replies
    return Possible(span_s=span_s, cost=cost, sends=room, made=made, share=made / room if room else None)


def classes_seen(sends: Sequence[Event], class_of: Mapping[str, str]) -> tuple[ClassSeen, ...]:
    """Return each class that was seen, by its first arrival. `sends` by arrival."""
    times: dict[str, list[int]] = {}
    for event in sends:
        name = class_of.get(event.reference)
        if name is not None:
            times.setdefault(name, []).append(event.at_us)
    return tuple(
        ClassSeen(name=name, sends=len(at_us), first_us=at_us[0], last_us=at_us[-1]) for name, at_us in times.items()
    )


def _at_us(event: Event) -> int:
    return event.at_us


def _within(at_us: int, since_us: int | None, until_us: int | None) -> bool:
    return (since_us is None or at_us >= since_us) and (until_us is None or at_us <= until_us)
