"""Was the server's clock set back, or is this another server whose clock is behind? Then pauses are brought nearer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import redis

from runtime.clock import Clock
from runtime.telemetry import Event, get_logger
from scheduler import ease

#: A smaller step makes no message wait noticeably longer.
NOTICED = timedelta(seconds=1)

_US = timedelta(microseconds=1)

log = get_logger("worker")


class ClockWatch:
    """Compares the server's clock with ours, which runs evenly; used from one thread."""

    def __init__(self, client: redis.Redis, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._ahead_us: int | None = None

    def look(self, units: Sequence[str]) -> None:
        """Ease what waits in these units if the clock was set back since the last look.

        Each worker does it, and who comes second finds it done. Raises redis-py's errors; then the next look finds
        the step again.
        """
        seconds, micros = self._time()
        server_us = seconds * 1_000_000 + micros
        ahead_us = server_us - self._clock.monotonic_us()
        back = ((self._ahead_us or ahead_us) - ahead_us) * _US
        if back >= NOTICED:
            eased = sum(ease.ease_all(self._client, unit, back=back, now_us=server_us) for unit in units)
            log.warning(Event.CLOCK_SET_BACK, by_ms=back // timedelta(milliseconds=1), eased=eased)
        self._ahead_us = ahead_us

    def _time(self) -> tuple[int, int]:
        found: Any = self._client.time()
        return int(found[0]), int(found[1])
