"""Does somebody hear of it when the loop guard lets a contact rest?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import redis as redis_py

from headway import keys
from runtime.clock import FakeClock
from runtime.telemetry import Event
from runtime.windows import LoopGuard
from tests.scripts.stage import NUMBER, Stage
from worker.engine import Engine
from worker.watch import Watch


def warned(caplog: pytest.LogCaptureFixture, watch: Watch) -> list[dict[str, Any]]:
    """Look once; return what was said of contacts that rest."""
    caplog.clear()
    watch.look([NUMBER])
    said = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    return [entry for entry in said if entry["event"] == Event.CONTACT_RESTS]


def test_each_new_rest_is_said_once(redis: redis_py.Redis, caplog: pytest.LogCaptureFixture) -> None:
    """With the number and how many; never with the contact."""
    rules = Stage(redis, loop_guard=LoopGuard(5, 60_000)).rules
    engine = SimpleNamespace(client=redis, rules=lambda unit: rules, clock=FakeClock())
    watch = Watch(cast("Engine", engine))
    assert warned(caplog, watch) == []
    redis.hincrby(keys.meter(NUMBER), "rested", 2)
    (entry,) = warned(caplog, watch)
    assert (entry["number"], entry["contacts"], entry["level"]) == (NUMBER, 2, "warning")
    assert warned(caplog, watch) == []
