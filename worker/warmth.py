"""Is there a connection to the provider before a lease begins?

After a pause the first request needs one: DNS, TCP, TLS. Between begin and the wire that would be a fifth of a second
in which the meter believes the messages sent. A number that was used a moment ago costs a look into a dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import wait
from typing import Any

import aiohttp

from providers.base import Provider, Warmable
from providers.wire import KEEPALIVE_S
from runtime.clock import Clock, SystemClock
from worker.calls import CallLoop

#: A connection that was used so recently is still there, in microseconds.
WARM_US = round(0.75 * KEEPALIVE_S * 1_000_000)
#: Longest wait for connections: begin comes after it in any case, and the send finds out what is wrong.
PATIENCE_S = 2.0


class Warmth:
    """Sets up connections for numbers that had none to do for a while; thread-safe. `provider_of` runs on the loop."""

    def __init__(
        self,
        calls: CallLoop,
        provider_of: Callable[[str, aiohttp.ClientSession], Provider],
        *,
        clock: Clock | None = None,
    ) -> None:
        self._calls = calls
        self._provider_of = provider_of
        self._clock = clock or SystemClock()
        self._used_us: dict[str, int] = {}

    def before(self, numbers: Collection[str]) -> None:
        """Return when these numbers' providers have a connection, or can't have one soon. Raises nothing."""
        since_us = self._clock.monotonic_us() - WARM_US
        cold = [number for number in numbers if self._used_us.get(number, since_us) <= since_us]
        if cold:
            wait([self._calls.submit(self._warming(number)) for number in cold], timeout=PATIENCE_S)

    def used(self, numbers: Collection[str]) -> None:
        """Note that their connections were used until now."""
        self._used_us.update(dict.fromkeys(numbers, self._clock.monotonic_us()))

    def _warming(self, number: str) -> Callable[[aiohttp.ClientSession], Any]:
        async def warm(session: aiohttp.ClientSession) -> None:
            provider = self._provider_of(number, session)
            if isinstance(provider, Warmable):
                await provider.warm()

        return warm
