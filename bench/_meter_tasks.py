"""The peers in Celery: its own `rate_limit`, and the two limiter libraries in a task that retries.

On bench/_stock.py's app, stock transport, acks_late. BENCH_BROKER: its broker. BENCH_RATE: how many a second all
workers together may run. BENCH_WORKERS: how many worker processes there are, since `rate_limit` counts in each by
itself and can only share a limit in equal parts. BENCH_LIMITER: whose tasks these are (rate_limit, limits, throttled).

Both libraries keep their count in the broker's Redis and say yes or no. `limits` (moving window) says no more than
that, so its task retries after one window; `throttled` (GCRA) says after how long, so its task retries then.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from bench._meter_notes import Notes
from bench._stock import BROKER, app

RATE = int(os.environ["BENCH_RATE"])
WORKERS = int(os.environ["BENCH_WORKERS"])
LIMITER = os.environ["BENCH_LIMITER"]
#: One window: what `limits` counts over.
WINDOW_S = 1.0

notes = Notes()


def limits_wait() -> Callable[[], float]:
    """Return a question to `limits`: 0 for a yes, else how many seconds to wait."""
    from limits import RateLimitItemPerSecond  # type: ignore[import-not-found]  # noqa: PLC0415  # the peers' venv
    from limits.storage import storage_from_string  # type: ignore[import-not-found]  # noqa: PLC0415
    from limits.strategies import MovingWindowRateLimiter  # type: ignore[import-not-found]  # noqa: PLC0415

    limiter = MovingWindowRateLimiter(storage_from_string(BROKER))
    item = RateLimitItemPerSecond(RATE)
    return lambda: 0.0 if limiter.hit(item, "number") else WINDOW_S


def throttled_wait() -> Callable[[], float]:
    """Return the same question to throttled-py."""
    from throttled import RateLimiterType, RedisStore, Throttled, per_sec  # type: ignore[import-not-found]  # noqa: PLC0415

    limiter = Throttled(using=RateLimiterType.GCRA.value, quota=per_sec(RATE), store=RedisStore(server=BROKER))

    def wait() -> float:
        result = limiter.limit("number")
        return float(result.state.retry_after) if result.limited else 0.0

    return wait


def rated(**_message: str) -> None:
    """Celery has waited before it runs this."""
    notes.note()


def asked(task: Any, **_message: str) -> None:
    """Ask the limiter; come again when it says no."""
    wait_s = wait()
    if wait_s > 0:
        raise task.retry(countdown=wait_s, max_retries=None)
    notes.note()


if LIMITER == "rate_limit":
    app.task(name="meter.run", rate_limit=f"{RATE / WORKERS}/s")(rated)
else:
    wait = {"limits": limits_wait, "throttled": throttled_wait}[LIMITER]()
    app.task(name="meter.run", bind=True, max_retries=None)(asked)
