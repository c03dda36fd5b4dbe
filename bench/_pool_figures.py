"""What do the figures of many numbers say, and which bounds are kept? Pure: only what was measured goes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Longest that a sparse number's p99 wait may grow because of others, in milliseconds.
GROWTH_MS = 50.0
#: Largest share of one core that each process of an idle pool may use.
IDLE_SHARE = 0.01
#: Most that the CPU of one message may grow from one number to the most, as a factor.
FLAT = 2.0
#: Part of what all numbers together may send that busy ones must reach.
BUSY_SHARE = 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long single messages waited, in milliseconds; `cpu_ms`: of workers and server for each of them."""

    what: str
    numbers: int
    count: int
    p50_ms: float
    p99_ms: float
    cpu_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How many a second left, of how many that might have, and who used how much of a core for it."""

    side: str
    numbers: int
    possible: float
    reached: float
    workers: float
    server: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Shares of one core that a pool uses which has nothing to do."""

    side: str
    numbers: int
    workers: tuple[float, ...]
    server: float


def waits(what: str, numbers: int, waited_us: Sequence[int], *, cpu_s: float) -> Waits:
    """Return the percentiles. Raises ValueError when nothing was measured."""
    if not waited_us:
        raise ValueError(f"{what}: no probe left")
    found = sorted(waited_us)
    p50, p99 = found[len(found) // 2], found[min(len(found) - 1, int(len(found) * 0.99))]
    return Waits(
        what=what, numbers=numbers, count=len(found), p50_ms=p50 / 1000, p99_ms=p99 / 1000,
        cpu_ms=cpu_s * 1000 / len(found),
    )  # fmt: skip


def growth_problems(alone: Waits, beside: Waits) -> list[str]:
    """Say whether others' trouble costs a sparse number more than it may."""
    grew = beside.p99_ms - alone.p99_ms
    return [f"{beside.what}: p99 grew by {grew:.0f} ms, bound {GROWTH_MS:.0f}"] if grew >= GROWTH_MS else []


def flat_problems(found: Sequence[Waits]) -> list[str]:
    """Say whether a message costs more the more numbers there are."""
    fewest, most = min(found, key=lambda one: one.numbers), max(found, key=lambda one: one.numbers)
    if most.cpu_ms <= fewest.cpu_ms * FLAT:
        return []
    return [f"a message among {most.numbers:,} numbers: {most.cpu_ms:.1f} ms of CPU, of one: {fewest.cpu_ms:.1f}"]


def idle_problems(found: Idle) -> list[str]:
    """Say which process of an idle pool does too much."""
    shares = [*(("a worker", share) for share in found.workers), ("the server", found.server)]
    return [
        f"idle with {found.numbers:,} numbers: {who} uses {share:.2%} of a core, bound {IDLE_SHARE:.0%}"
        for who, share in shares
        if share > IDLE_SHARE
    ]


def busy_problems(found: Rate) -> list[str]:
    """Say whether busy numbers left some of their TPS unused."""
    if found.reached >= found.possible * BUSY_SHARE:
        return []
    return [f"{found.numbers:,} busy numbers: {found.reached:,.0f} of {found.possible:,.0f} a second"]
