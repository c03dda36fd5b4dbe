"""What do the runs of bench/meter.py say? Pure: times, notes and CPU in; tables and missed bounds out."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench._figures import BLIND_US, SECOND_US, MeterLog
from simulator.verdict import judge

#: What is wanted: milliseconds of a lease, events a second of counts in bulk, share of the rate.
LEASE_P99_US, COUNTS_A_SECOND, USED = 1000.0, 50_000.0, 0.98
#: A lease's median with most messages waiting, as a multiple of that with fewest. Noise is a quarter; what looks at
#: each waiting message would be thousands.
FLAT = 2.0

ONE_ROW, TEN_ROWS, WAIT, ONE_EVENT, BULK = (
    "lease, 1 row",
    "lease, 10 rows",
    "lease, must wait",
    "count, 1",
    "count, 10 x 60",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one call costs with so many messages waiting: microseconds, and calls (in bulk: events) a second."""

    what: str
    waiting: int
    p50_us: float
    p99_us: float
    per_s: float


def cost(what: str, *, waiting: int, rounds: Sequence[Sequence[int]], events: int = 1) -> Cost:
    """Return the cost of a call from what each took in nanoseconds: medians of the rounds' figures.

    `events`: how many of what is counted as "a second" one entry stands for.
    """
    ordered = [sorted(taken) for taken in rounds]
    return Cost(
        what=what,
        waiting=waiting,
        p50_us=statistics.median(taken[len(taken) // 2] for taken in ordered) / 1000,
        p99_us=statistics.median(taken[min(len(taken) - 1, len(taken) * 99 // 100)] for taken in ordered) / 1000,
        per_s=statistics.median(events * len(taken) * 1e9 / sum(taken) for taken in ordered),
    )


def cost_problems(costs: Sequence[Cost]) -> list[str]:
    """Name the bounds that the costs missed."""
    found = []
    for one in costs:
        with_so_many = f"with {one.waiting:,} waiting"
        if one.what in {ONE_ROW, WAIT} and one.p99_us >= LEASE_P99_US:
            found.append(f"{one.what}: p99 {one.p99_us / 1000:.2f} ms {with_so_many}; wanted below 1 ms")
        if one.what == BULK and one.per_s < COUNTS_A_SECOND:
            found.append(f"counts: {one.per_s:,.0f} events/s in bulk {with_so_many}; wanted {COUNTS_A_SECOND:,.0f}")
    for what in (ONE_ROW, TEN_ROWS, WAIT, ONE_EVENT):
        medians = [one.p50_us for one in sorted(costs, key=lambda one: one.waiting) if one.what == what]
        if medians and medians[-1] > FLAT * medians[0]:
            found.append(f"{what}: not flat, median {medians[0]:.0f} us grows to {medians[-1]:.0f} us")
    return found


def cost_table(costs: Iterable[Cost]) -> str:
    """Return the costs as a Markdown table."""
    head = ("call", "waiting", "p50 ms", "p99 ms", "a second")
    cells = [
        (one.what, f"{one.waiting:,}", f"{one.p50_us / 1000:.3f}", f"{one.p99_us / 1000:.3f}", f"{one.per_s:,.0f}")
        for one in costs
    ]
    return markdown([head, *cells])


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """One side under a limit that its processes share.

    Attributes:
        side: who.
        rate: the limit, a second.
        done: messages that ran in the measured time.
        used: share of the rate in that time; see `reached`.
        worst: most that ran in any trailing second, start included.
        workers_s: CPU seconds of the workers in the measured time.
        server_s: CPU seconds of the server.
        ran_dry: nothing was left waiting at the end.
        meter_worst: most events in any trailing second of the meter's own record; None for a peer.
        unseen_us: longest time that nobody looked at the meter.
        uncharged: messages that ran and that the meter never charged.
    """

    side: str
    rate: int
    done: int
    used: float | None
    worst: int
    workers_s: float
    server_s: float
    ran_dry: bool
    meter_worst: int | None = None
    unseen_us: int = 0
    uncharged: int = 0

    @property
    def cpu_s(self) -> float:
        """CPU seconds for 1,000 messages, workers and server."""
        return (self.workers_s + self.server_s) * 1000 / self.done


def shared(
    side: str,
    *,
    rate: int,
    noted_us: Sequence[int],
    measured_us: tuple[int, int],
    workers_s: float,
    server_s: float,
    waiting: int,
    meter: MeterLog | None = None,
) -> Shared:
    """Judge one side by its notes: `waiting` messages were enqueued, and CPU was read at both ends of `measured_us`.

    Raises ValueError when nothing ran in the measured time.
    """
    inside = [at for at in noted_us if measured_us[0] <= at < measured_us[1]]
    if not inside:
        raise ValueError(f"{side}: nothing ran in the measured time")
    charged = meter.charged_us() if meter else []
    return Shared(
        side=side,
        rate=rate,
        done=len(inside),
        used=reached(inside, rate=rate),
        worst=judge(noted_us, tps=rate).worst,
        workers_s=workers_s,
        server_s=server_s,
        ran_dry=len(noted_us) >= waiting,
        meter_worst=judge(charged, tps=rate).worst if meter else None,
        unseen_us=meter.longest_gap_us if meter else 0,
        uncharged=max(0, len(noted_us) - len(charged)) if meter else 0,
    )


def reached(at_us: Sequence[int], *, rate: float) -> float | None:
    """Return which share of the rate these messages reached: the slope of the line through their count over time.

    It doesn't matter where between two messages, or two bursts, the time was cut. None: too few to say.
    """
    if not at_us or at_us[0] == at_us[-1]:
        return None
    seconds = [(at - at_us[0]) / SECOND_US for at in at_us]
    return statistics.linear_regression(seconds, range(len(seconds))).slope / rate


def shared_problems(run: Shared, *, bullmq: Shared | None) -> list[str]:
    """Name the bounds that Headway missed at one rate; BullMQ's run at that rate is the bound for CPU."""
    found = []
    if run.unseen_us > BLIND_US:
        found.append(f"nobody looked at the meter for {run.unseen_us / SECOND_US:.1f} s: too busy a machine")
    if run.meter_worst is None or run.meter_worst > run.rate:
        found.append(f"the meter's own record has {run.meter_worst} in a second")
    if run.uncharged:
        found.append(f"{run.uncharged} messages ran and were not charged")
    if run.ran_dry:
        found.append("nothing was left waiting: the rate says nothing")
    if run.used is None or run.used < USED:
        found.append(f"{_percent(run.used)} of the rate reached; wanted {USED:.0%}")
    if bullmq is not None and run.cpu_s >= bullmq.cpu_s:
        found.append(f"{run.cpu_s:.2f} CPU s per 1,000 messages; BullMQ has {bullmq.cpu_s:.2f}")
    return [f"{run.rate:,}/s: {problem}" for problem in found]


def shared_table(runs: Iterable[Shared]) -> str:
    """Return the runs as a Markdown table."""
    head = (
        "limit/s", "side", "ran", "of the limit", "most in a second", "meter's record",
        "CPU s per 1,000", "workers", "server",
    )  # fmt: skip
    return markdown([head, *(_cells(run) for run in runs)])


def _cells(run: Shared) -> tuple[str, ...]:
    return (
        f"{run.rate:,}",
        run.side,
        f"{run.done:,}",
        _percent(run.used) + (" (ran dry)" if run.ran_dry else ""),
        f"{run.worst:,}",
        "" if run.meter_worst is None else f"{run.meter_worst:,}",
        f"{run.cpu_s:.2f}",
        f"{run.workers_s * 1000 / run.done:.2f}",
        f"{run.server_s * 1000 / run.done:.2f}",
    )


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a Markdown table; the first is its head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, " | ".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" for line in lines)


def _percent(share: float | None) -> str:
    return "unknown share" if share is None else f"{share:.1%}"
