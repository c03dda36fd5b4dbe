"""What time is it? The one place of these rooms that reads a clock.

What decides about sending is Redis `TIME`, inside the scripts; this clock serves the waits and spans of one process.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Protocol

_MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """What a caller takes instead of reading the time itself."""

    def now_us(self) -> int:
        """Return the wall clock: microseconds since 1970-01-01 UTC. It may jump."""

    def monotonic_us(self) -> int:
        """Return microseconds since some fixed moment. It never goes back: the one to measure spans with."""


class SystemClock:
    """The machine's clock."""

    __slots__ = ()

    def now_us(self) -> int:
        """Return the wall clock in microseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        """Return the monotonic clock in microseconds."""
        return time.monotonic_ns() // 1000


class FakeClock:
    """A clock that a test moves by hand; it starts at 2001-09-09 01:46:40 UTC, a round number of microseconds."""

    __slots__ = ("_monotonic_us", "_now_us")

    def __init__(self, *, now_us: int = 1_000_000_000_000_000) -> None:
        self._now_us = now_us
        self._monotonic_us = 0

    def now_us(self) -> int:
        """Return the wall clock in microseconds since 1970-01-01 UTC."""
        return self._now_us

    def monotonic_us(self) -> int:
        """Return the microseconds advanced so far."""
        return self._monotonic_us

    def advance(self, span: timedelta) -> None:
        """Let time go by on both clocks. Raises ValueError for a negative span: time doesn't run backwards."""
        span_us = span // _MICROSECOND
        if span_us < 0:
            raise ValueError(f"a clock can't be advanced by {span}")
        self._now_us += span_us
        self._monotonic_us += span_us


class Deadline:
    """A moment until which something may take: one object instead of a start time and a subtraction in every loop."""

    __slots__ = ("_clock", "_end_us")

    def __init__(self, span: timedelta, *, clock: Clock) -> None:
        self._clock = clock
        self._end_us = clock.monotonic_us() + span // _MICROSECOND

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return self._clock.monotonic_us() >= self._end_us
