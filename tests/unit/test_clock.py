"""Does a test hold the time in its own hands?"""

from __future__ import annotations

from datetime import timedelta

import pytest

from runtime.clock import Deadline, FakeClock, SystemClock


def test_a_fake_clock_moves_only_when_told() -> None:
    """Both its clocks go together, in whole microseconds."""
    clock = FakeClock(now_us=5)
    clock.advance(timedelta(seconds=1, microseconds=2))
    assert (clock.now_us(), clock.monotonic_us()) == (1_000_007, 1_000_002)


def test_time_does_not_run_backwards() -> None:
    """A negative step is a mistake in the test."""
    with pytest.raises(ValueError, match="can't be advanced"):
        FakeClock().advance(timedelta(seconds=-1))


def test_a_deadline_passes_exactly_at_its_end() -> None:
    """Not a microsecond earlier."""
    clock = FakeClock()
    deadline = Deadline(timedelta(milliseconds=5), clock=clock)
    clock.advance(timedelta(microseconds=4_999))
    assert not deadline.passed
    clock.advance(timedelta(microseconds=1))
    assert deadline.passed


def test_the_system_clock_speaks_microseconds() -> None:
    """Between 2020 and 2100, and never backwards."""
    clock = SystemClock()
    assert 1_577_836_800_000_000 < clock.now_us() < 4_102_444_800_000_000
    assert clock.monotonic_us() <= clock.monotonic_us()
