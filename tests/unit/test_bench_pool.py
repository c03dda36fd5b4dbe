"""Does the bench of many numbers fail when it should?"""

from __future__ import annotations

import pytest

from bench._pool_figures import (
    Idle,
    Rate,
    Waits,
    busy_problems,
    flat_problems,
    growth_problems,
    idle_problems,
    waits,
)


def waited(p99_ms: float, *, numbers: int = 1000, cpu_ms: float = 2.0) -> Waits:
    """Return what one look found."""
    return Waits(what="x", numbers=numbers, count=100, p50_ms=1, p99_ms=p99_ms, cpu_ms=cpu_ms)


def test_waits_are_percentiles_and_nothing_is_no_measure() -> None:
    """Of a hundred the 99th is the second longest, the one after it the longest."""
    found = waits("x", 1, [1000 * one for one in range(1, 101)], cpu_s=0.5)
    assert (found.p50_ms, found.p99_ms, found.cpu_ms) == (51, 100, 5)
    with pytest.raises(ValueError, match="no probe"):
        waits("x", 1, [], cpu_s=0)


def test_bounds_break_when_passed_and_hold_when_kept() -> None:
    """Each on both sides."""
    assert growth_problems(waited(10), waited(59)) == []
    assert growth_problems(waited(10), waited(60)) != []
    assert flat_problems([waited(1, numbers=1), waited(1, numbers=5000, cpu_ms=4.0)]) == []
    assert flat_problems([waited(1, numbers=1), waited(1, numbers=5000, cpu_ms=4.1)]) != []
    kept = Rate(side="headway", numbers=1000, possible=10_000, reached=9_800, workers=1, server=1)
    assert busy_problems(kept) == []
    assert busy_problems(Rate(side="headway", numbers=1, possible=10, reached=9.7, workers=1, server=1)) != []
    assert idle_problems(Idle(side="headway", numbers=1, workers=(0.01, 0.01), server=0.01)) == []
    assert len(idle_problems(Idle(side="headway", numbers=1, workers=(0.02, 0.01), server=0.011))) == 2
