"""How many shards has a number now, as far as this gateway knows?

The workers agree on it (`scheduler.shards`); a gateway follows them, because an event that is counted on the meter of
a shard that nobody leases for holds nothing back. It looks once a second for the numbers that its own environment gives
several shards, and while something comes in for them; numbers with one shard cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import redis

from gateway.commit import Commit
from headway import keys
from headway.errors import BrokerUnavailable
from runtime import scripts
from runtime.clock import Clock, SystemClock
from runtime.scripts import Call
from scheduler.rules import NumberRules

#: Between two looks.
LOOK_EVERY_US = 1_000_000


class ShardsSeen:
    """The numbers of shards, looked up now and then; used from one event loop."""

    def __init__(self, commit: Commit, rules: Mapping[str, NumberRules], *, clock: Clock | None = None) -> None:
        self._commit = commit
        self._clock = clock or SystemClock()
        self._seen = {number: own.shards for number, own in rules.items()}
        self._look_at_us = {number: 0 for number, own in rules.items() if own.shards > 1}

    async def of(self, number: str) -> int:
        """Return how many shards a number has; what was last known while the server is away."""
        if number in self._look_at_us and self._look_at_us[number] <= self._clock.monotonic_us():
            self._look_at_us[number] = self._clock.monotonic_us() + LOOK_EVERY_US
            try:
                call = Call(scripts.load("gateway", "shards_seen"), [keys.shards(number)], [])
                self._seen[number] = int(await self._commit.run(call)) or self._seen[number]
            except (BrokerUnavailable, redis.ResponseError):
                self._look_at_us[number] = 0
        return self._seen[number]
