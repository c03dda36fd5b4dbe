"""Which ids do pushes over HTTP and their rows get?

Numbers below 2^53 that are never given twice: a stock Picky client expects numbers in event webhooks and strings in
answers to pushes, so an id must be both. Each process takes blocks from the server and gives them out from memory.
"""

from __future__ import annotations

import asyncio

import redis

from gateway.commit import Commit
from headway import keys
from headway.errors import BrokerUnavailable
from runtime import scripts
from runtime.scripts import Call

#: Ids of one block: one round trip for 500 single pushes. What is left of a block at the end of a process is lost.
BLOCK = 1000


class Serials:
    """Gives out ids; used from one event loop."""

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._next = 1
        self._last = 0
        self._lock = asyncio.Lock()

    async def take(self, count: int) -> int:
        """Return the first of `count` ids that follow each other. Raises BrokerUnavailable."""
        if self._next + count - 1 > self._last:
            async with self._lock:  # one block for all who wait for it
                await self._refill(count)
                return self._taken(count)
        return self._taken(count)

    async def _refill(self, count: int) -> None:
        if self._next + count - 1 <= self._last:
            return
        size = max(BLOCK, count)
        try:
            last = int(await self._commit.run(Call(scripts.load("gateway", "serials"), [keys.serial()], [size])))
        except redis.ResponseError as error:
            raise BrokerUnavailable(f"the server gives no ids ({error}): nothing was accepted, try again") from error
        self._next, self._last = last - size + 1, last

    def _taken(self, count: int) -> int:
        first = self._next
        self._next += count
        return first
