"""Did the arrivals keep to the TPS, and did each message arrive once?

Pure: arrival times in, figures out. This room has no clock and no connection here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the arrivals say.

    Attributes:
        total: rows that arrived.
        duplicates: rows beyond the first with the same reference number.
        window_us: the trailing window, max(1 s, 1/TPS), in microseconds.
        worst: most rows in any trailing window.
        over_share: share of row arrivals, 0 to 1, whose trailing window (that row included) holds more than its due.
        over_by: how far the worst window is over its due, as a share of it: 0.05 is 5 % too many, 0 is none over.
        used_share: rows after the first, over what TPS allows between the first and the last arrival. None when that
            can't be said: fewer than two rows, or all at one moment. A burst at the start may lift it above 1.
        first_of_class: each class with the moment of its first arrival (microseconds), earliest first.
    """

    total: int
    duplicates: int
    window_us: int
    worst: int
    over_share: float
    over_by: float
    used_share: float | None
    first_of_class: tuple[tuple[str, int], ...]


def judge(
    at_us: Sequence[int],
    *,
    tps: float,
    references: Sequence[str] = (),
    classes: Sequence[str] = (),
) -> Judgement:
    """Judge arrivals, in any order.

    A trailing window ends with an arrival and is half open, (t - window, t]: of two rows exactly one window apart only
    one is inside. Its due is TPS times its length, so below one per second it is one row in 1/TPS seconds.

    Args:
        at_us: when each row arrived, in microseconds of one clock.
        tps: what the number may do per second.
        references: each row's reference number, in the order of at_us; empty strings are never duplicates.
        classes: each row's class, in the order of at_us.

    Raises ValueError when tps isn't positive, or references or classes don't match the arrivals one to one.
    """
    if tps <= 0:
        raise ValueError("tps must be more than 0")
    for name, values in (("references", references), ("classes", classes)):
        if values and len(values) != len(at_us):
            raise ValueError(f"{name}: {len(values)} for {len(at_us)} arrivals")
    times = sorted(at_us)
    window_us = max(_SECOND_US, round(_SECOND_US / tps))
    due = max(1.0, tps * window_us / _SECOND_US)
    in_window = _trailing(times, window_us)
    worst = max(in_window, default=0)
    over = sum(count > due + 1e-6 for count in in_window)  # the dust of 1/TPS as a float is no excess
    return Judgement(
        total=len(times),
        duplicates=sum(count - 1 for reference, count in Counter(references).items() if reference),
        window_us=window_us,
        worst=worst,
        over_share=over / len(times) if times else 0.0,
        over_by=max(0.0, worst / due - 1) if over else 0.0,
        used_share=_used(times, tps),
        first_of_class=_first_of_class(at_us, classes),
    )


def judge_journal(
    rows: Sequence[Mapping[str, Any]], *, tps: float, class_of: Callable[[str], str] | None = None
) -> Judgement:
    """Judge the rows of a sink's journal that were, or may have been, taken.

    Rows that the sink certainly refused used no TPS, and sending one again is no duplicate. `class_of` tells the class
    of a reference number, where the caller knows it. Raises ValueError when tps isn't positive.
    """
    taken = [row for row in rows if row.get("taken", True)]
    references = [str(row["reference_number"]) for row in taken]
    classes = [class_of(reference) for reference in references] if class_of else ()
    return judge([int(row["at_us"]) for row in taken], tps=tps, references=references, classes=classes)


def _trailing(times: Sequence[int], window_us: int) -> list[int]:
    """Return for each arrival how many rows its trailing window holds. `times` is sorted."""
    counts = []
    start = 0
    for time_us in times:
        while times[start] <= time_us - window_us:
            start += 1
        # Rows of one request arrive at one moment: all of them are inside, not only those counted so far.
        counts.append(bisect_right(times, time_us) - start)
    return counts


def _used(times: Sequence[int], tps: float) -> float | None:
    if len(times) < 2 or times[-1] == times[0]:
        return None
    return (len(times) - 1) * _SECOND_US / ((times[-1] - times[0]) * tps)


def _first_of_class(at_us: Sequence[int], classes: Sequence[str]) -> tuple[tuple[str, int], ...]:
    first: dict[str, int] = {}
    for time_us, name in zip(at_us, classes, strict=bool(classes)):
        first[name] = min(time_us, first.get(name, time_us))
    return tuple(sorted(first.items(), key=lambda item: item[1]))
