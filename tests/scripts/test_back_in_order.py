"""When a worker gives up several leases at once, do their rows stand as before they were leased?"""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runtime.clock import FakeClock
from tests.scripts.stage import NUMBER, Stage
from worker.engine import Engine
from worker.keeper import Keeper
from worker.registry import HeldLease, newest_first

HOLDER = "host-4711"


def leased(stage: Stage, count: int) -> list[HeldLease]:
    """Lease single rows, one after the other, from serial 8 on: the tenth sorts before the ninth as a text."""
    stage.change(tps_milli=1_000_000, max_rows=1)
    stage.push(*(f"m{index}" for index in range(count + 2)), class_="urgent")
    return [
        HeldLease(NUMBER, lease_id, tuple(stage.ids(lease_id)))
        for lease_id in (f"{HOLDER}-{serial}" for serial in range(8, 8 + count))
    ]


def test_the_newest_lease_is_ended_first() -> None:
    """By its number, not by its text; ids of another form come last."""
    given = [HeldLease(NUMBER, lease_id, ()) for lease_id in ("h-9", "odd", "h-10", "h-1")]
    assert [lease.lease_id for lease in newest_first(given)] == ["h-10", "h-9", "h-1", "odd"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_cold_stop_leaves_the_lane_as_it_was(stage: Stage, seed: int) -> None:
    """Whatever order the pool lets go of them in, and the registry after it."""
    held = leased(stage, 5)
    random.Random(seed).shuffle(held)
    engine = Engine(cast("Any", stage.redis), lambda _: stage.rules, slots=8, clock=FakeClock())
    engine.registry.hold("tag", held)
    keeper = Keeper(engine, record_ttl_s=100, lease_ttl_us=10_000_000)
    keeper._thread = cast("Any", SimpleNamespace(join=lambda timeout: None))  # it was never started
    keeper.stop()
    assert stage.waiting("urgent") == [f"m{index}" for index in range(7)]
