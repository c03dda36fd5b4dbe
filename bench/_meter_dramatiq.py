"""The peer dramatiq: an actor behind its window rate limiter, retried by dramatiq's own middleware when it says no.

BENCH_BROKER: its Redis. BENCH_RATE: how many a second. The documented use raises RateLimitExceeded and lets the
message come again after a back-off; its defaults (15 s to 7 days, 20 times) would leave most of the rate unused and
then drop the message, so it comes again after 0.1 to 1 s, for ever.
"""

from __future__ import annotations

import os
from typing import Any

import dramatiq  # type: ignore[import-not-found]  # it is in the peers' venv
import redis
from dramatiq.brokers.redis import RedisBroker  # type: ignore[import-not-found]
from dramatiq.rate_limits import WindowRateLimiter  # type: ignore[import-not-found]
from dramatiq.rate_limits.backends import RedisBackend  # type: ignore[import-not-found]

from bench._meter_notes import Notes

BROKER = os.environ["BENCH_BROKER"]

notes = Notes()


class SaysReady(dramatiq.Middleware):  # type: ignore[misc]  # untyped where it isn't installed
    """Counts up what the bench waits for, once in each worker process."""

    def after_worker_boot(self, _broker: Any, _worker: Any) -> None:
        """It consumes now."""
        redis.Redis.from_url(BROKER).incr("bench:ready")


broker = RedisBroker(url=BROKER)
broker.add_middleware(SaysReady())
dramatiq.set_broker(broker)
limiter = WindowRateLimiter(
    RedisBackend(client=redis.Redis.from_url(BROKER)), "number", limit=int(os.environ["BENCH_RATE"]), window=1
)


def run(**_message: str) -> None:
    """Run when the limiter has room; raises RateLimitExceeded when it has none."""
    with limiter.acquire():
        notes.note()


dramatiq.actor(run, actor_name="run", max_retries=None, min_backoff=100, max_backoff=1_000)
