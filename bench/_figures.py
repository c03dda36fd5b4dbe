"""What do the records of a run on the wire say? Pure: the meter's entries and the sink's journal in, a table out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.verdict import Judgement, judge, judge_journal

SECOND_US = 1_000_000

#: What the wire bench wants: share of trailing seconds over TPS, by how much, and share of TPS used.
OVER_SHARE, OVER_BY, USED = 0.001, 0.02, 0.98

#: Even pacing: of a second's budget no more than this share in any tenth of a second, from so many a second on.
IN_A_TENTH, EVEN_FROM = 0.2, 20

#: The window forgets an entry a second after its last stamp: whoever looks more often than this has seen that stamp.
BLIND_US = 900_000


class MeterLog:
    """The meter's own record of a whole run, put together from looks at its window.

    An entry is `<lease id>:<events>` with the microsecond of its charge; begin stamps it anew: the last stamp counts.
    One that is gone before its second is over was refunded: its rows went back, and nothing was spent.
    """

    def __init__(self) -> None:
        self._recent: dict[str, tuple[int, int]] = {}
        self._charged_us: list[int] = []
        self._looked_us: int | None = None
        #: Longest time between two looks, in microseconds of the server's clock.
        self.longest_gap_us = 0

    def look(self, now_us: int, entries: Iterable[tuple[str, int]]) -> None:
        """Take the window's entries (member, microsecond) as they were at `now_us`."""
        if self._looked_us is not None:
            self.longest_gap_us = max(self.longest_gap_us, now_us - self._looked_us)
        self._looked_us = now_us
        seen = {}
        for member, at_us in entries:
            lease_id, charged = member.rsplit(":", 1)
            seen[lease_id] = (at_us, int(charged))
        for lease_id in self._recent.keys() - seen.keys():
            at_us, events = self._recent.pop(lease_id)
            if at_us + SECOND_US <= now_us:
                self._charged_us += [at_us] * events
        self._recent.update(seen)

    def charged_us(self) -> list[int]:
        """Return the microsecond of each event that was charged so far, in order."""
        recent = [at_us for at_us, events in self._recent.values() for _ in range(events)]
        return sorted(self._charged_us + recent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: who sent, and what the sink and the meter say of it.

    Attributes:
        side: headway, celery or bullmq.
        processes: worker processes.
        tps: the rate that was wanted, per second.
        rows: messages that were enqueued.
        sink: the sink's journal, judged.
        used: share of TPS used after the first second; see `used_share`.
        tenth: most rows in any tenth of a second at the sink, the first second left out.
        meter: the meter's own record, judged; None for a peer.
        unseen_us: longest time that nobody looked at the meter.
        sent: records that say `sent`; None for a peer.
    """

    side: str
    processes: int
    tps: float
    rows: int
    sink: Judgement
    used: float | None
    tenth: int = 0
    meter: Judgement | None = None
    unseen_us: int = 0
    sent: int | None = None


def judged(
    side: str,
    *,
    processes: int,
    tps: float,
    rows: int,
    journal: Sequence[Mapping[str, Any]],
    meter: MeterLog | None = None,
    sent: int | None = None,
) -> Run:
    """Judge what the sink wrote down, and what the meter did."""
    arrivals_us = [int(row["at_us"]) for row in journal if row.get("taken", True)]
    return Run(
        side=side,
        processes=processes,
        tps=tps,
        rows=rows,
        sink=judge_journal(journal, tps=tps),
        used=used_share(arrivals_us, tps=tps),
        tenth=most_in_a_tenth(arrivals_us),
        meter=judge(meter.charged_us(), tps=tps) if meter else None,
        unseen_us=meter.longest_gap_us if meter else 0,
        sent=sent,
    )


def used_share(at_us: Sequence[int], *, tps: float) -> float | None:
    """Return which share of TPS was used from the first to the last arrival, the first window (1 s or 1/TPS) left out.

    The burst tolerance of the start belongs to that window. What arrives together at the moment where counting starts
    opens the time and isn't counted, so rows that share a request don't flatter. None: too few arrivals to say.
    """
    times = sorted(at_us)
    window_us = max(SECOND_US, round(SECOND_US / tps))
    start = bisect_right(times, times[0] + window_us) if times else 0
    if start >= len(times) or times[start] == times[-1]:
        return None
    counted = len(times) - bisect_right(times, times[start])
    return counted * SECOND_US / ((times[-1] - times[start]) * tps)


def most_in_a_tenth(at_us: Sequence[int]) -> int:
    """Return the most arrivals in any tenth of a second, of those after the first second."""
    times = sorted(at_us)
    times = times[bisect_right(times, times[0] + SECOND_US) :] if times else []
    return max((index + 1 - bisect_right(times, at - SECOND_US // 10) for index, at in enumerate(times)), default=0)


def broken(run: Run) -> list[str]:
    """Name the bounds that a run broke; empty when it kept all."""
    sink, found = run.sink, _by_the_meter(run)
    if sink.total - sink.duplicates != run.rows:
        found.append(f"{sink.total - sink.duplicates} of {run.rows} rows arrived")
    if sink.duplicates:
        found.append(f"{sink.duplicates} arrived twice")
    if run.sent is not None and run.sent != run.rows:
        found.append(f"{run.sent} of {run.rows} records say sent")
    if sink.over_share > OVER_SHARE or sink.over_by > OVER_BY:
        found.append(f"{sink.over_share:.2%} of trailing seconds over at the sink, by {sink.over_by:.1%}")
    if run.used is None or run.used < USED:
        found.append(f"{_percent(run.used)} of TPS used")
    return found


def _by_the_meter(run: Run) -> list[str]:
    """Name what only Headway is held to: its own record, and even pacing."""
    if run.meter is None:
        return []
    found = []
    if run.unseen_us > BLIND_US:
        found.append(f"nobody looked at the meter for {run.unseen_us / SECOND_US:.1f} s: too busy a machine")
    if run.meter.worst > max(1, run.tps):
        found.append(f"the meter's own record has {run.meter.worst} in a window")
    if run.meter.total != run.sink.total:
        found.append(f"the meter charged {run.meter.total} events for {run.sink.total} arrivals")
    if run.tps >= EVEN_FROM and run.tenth > IN_A_TENTH * run.tps:
        found.append(f"{run.tenth} rows within a tenth of a second")
    return found


_HEAD = (
    "side",
    "processes",
    "TPS",
    "arrived",
    "meter worst",
    "sink worst",
    "over",
    "over by",
    "in 0.1 s",
    "used",
    "kept",
)


def table(runs: Iterable[Run]) -> str:
    """Return the runs as a Markdown table; `kept` says whether all bounds hold."""
    rows = [_HEAD, *(_cells(run) for run in runs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, " | ".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" for line in lines)


def _cells(run: Run) -> tuple[str, ...]:
    return (
        run.side,
        str(run.processes),
        f"{run.tps:,g}",
        f"{run.sink.total:,} of {run.rows:,}",
        f"{run.meter.worst:,}" if run.meter else "",
        f"{run.sink.worst:,}",
        f"{run.sink.over_share:.2%}",
        f"{run.sink.over_by:.1%}",
        str(run.tenth),
        _percent(run.used),
        "no" if broken(run) else "yes",
    )


def _percent(share: float | None) -> str:
    return "unknown share" if share is None else f"{share:.1%}"
