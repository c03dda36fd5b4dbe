"""How many shards has a number now, as far as this gateway knows?

The workers agree on it (`scheduler.shards`); a gateway follows them, whatever its own environment says, because events
that are counted on a meter that nobody leases by hold nothing back. It looks once a second for each number while
something comes in for it; who comes first after a pause waits for the answer, all others go by the last one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import redis

from gateway.commit import Commit
from headway import keys
from headway.errors import BrokerUnavailable
from runtime import scripts
from runtime.clock import Clock, SystemClock
from runtime.scripts import Call
from runtime.telemetry import Event, get_logger
from scheduler.rules import NumberRules

#: Between two looks.
LOOK_EVERY_US = 1_000_000

_log = get_logger("gateway")


class ShardsSeen:
    """The numbers of shards, looked up now and then; used from one event loop. `rules`: those of the environment."""

    def __init__(self, commit: Commit, rules: Mapping[str, NumberRules], *, clock: Clock | None = None) -> None:
        self._commit = commit
        self._clock = clock or SystemClock()
        self._ours = {number: own.shards for number, own in rules.items()}
        self._seen = dict(self._ours)
        self._looked_us: dict[str, int] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}

    async def of(self, number: str) -> int:
        """Return how many shards a number has; what was last known while the server is away."""
        now_us = self._clock.monotonic_us()
        looked_us = self._looked_us.get(number)
        if looked_us is None or now_us - looked_us >= LOOK_EVERY_US:
            task = self._looking.get(number)
            if task is None:
                task = self._looking[number] = asyncio.get_running_loop().create_task(self._look(number))
            if looked_us is None or now_us - looked_us >= 2 * LOOK_EVERY_US:
                await asyncio.shield(task)
        return self._seen[number]

    async def _look(self, number: str) -> None:
        call = Call(scripts.load("gateway", "shards_seen"), [keys.shards(number)], [])
        try:
            found = int(await self._commit.run(call)) or self._ours[number]
        except (BrokerUnavailable, redis.ResponseError):
            return
        finally:
            del self._looking[number]
        self._looked_us[number] = self._clock.monotonic_us()
        if found != self._seen[number] and found != self._ours[number]:
            _log.warning(Event.SHARDS_DIFFER, number=number, ours=self._ours[number], fewest=found)
        self._seen[number] = found
