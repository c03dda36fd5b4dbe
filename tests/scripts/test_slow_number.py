"""Does a number with room for one event at a time still send, whatever may come in?"""

from __future__ import annotations

import pytest
import redis as redis_py

from scheduler import ahead
from scheduler.decisions import Grant
from tests.scripts.stage import Stage


@pytest.mark.parametrize("tps", [0.2, 1])
def test_what_is_alone_in_its_window_leaves(redis: redis_py.Redis, tps: float) -> None:
    """The trace of receipts that was left of the last sends holds no normal message back until it has faded away."""
    stage = Stage(redis, tps=tps)
    for _ in range(5):
        stage.run(ahead.learn(stage.rules, [ahead.Learned("delivered", 800_000)], now_us=stage.now_us))
    stage.push(*(f"m{i}" for i in range(30)), class_="normal")
    sent = 0
    for _ in range(round(60 / tps)):
        stage.later(ms=1000)
        sent += isinstance(stage.lease(), Grant)
    # 60 events fit in this time, and a send brings up to two receipts.
    assert sent >= 60 / 3
