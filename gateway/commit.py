"""How do requests that arrive together share one round trip to the server (group commit)?

While one batch of script calls is under way, the next one gathers; so the busier the gateway, the fewer round trips a
request costs. Heavy calls (pieces of a large push) go one a batch, so that webhooks never wait behind ten thousand
rows. A server that is away is found out once: until it answers a ping again, every caller hears so at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any

import redis
from redis import asyncio as redis_asyncio

from headway.errors import BrokerUnavailable
from runtime.scripts import Call, run_all_async
from runtime.secret import hide_passwords
from runtime.telemetry import Event, get_logger

#: Keys that may wait: about ten pushes of 10,000 rows. What is more would only wait longer than its caller does.
MOST_WAITING = 100_000
#: Calls with more keys than this are heavy.
LIGHT_KEYS = 64
#: Light keys of one batch: about 5 ms of the server's time.
BATCH_KEYS = 512
#: How long the server may take for a batch: an app that pushes hears within two seconds that it is away, or too slow.
#: All our scripts together take milliseconds.
ANSWER_WITHIN = timedelta(seconds=1.8)
#: Between two pings of a server that is away, in seconds.
PING_EVERY_S = 0.25

_log = get_logger("gateway")


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Calls of one caller that go in one batch, and where their replies are awaited."""

    calls: Sequence[Call]
    keys: int
    replies: asyncio.Future[list[Any]]


class Commit:
    """One connection that runs the script calls of all requests, batch by batch.

    Used from one event loop only. `most_waiting`: keys that may wait before callers are turned away.
    """

    def __init__(self, client: redis_asyncio.Redis, *, most_waiting: int = MOST_WAITING) -> None:
        """Take a client of its own, as `runtime.connect.connect_async` makes it: bounded waits, nothing sent twice."""
        self._client = client
        self._most_waiting = most_waiting
        self._light: deque[_Waiting] = deque()
        self._heavy: deque[_Waiting] = deque()
        self._keys = 0
        #: The batch that is under way, or will leave in this turn of the loop.
        self._under_way: asyncio.Task[None] | None = None
        self._away = ""
        self._pinging: asyncio.Task[None] | None = None

    @property
    def away(self) -> str:
        """Why the server can't be reached; empty while it can."""
        return self._away

    async def run(self, call: Call) -> Any:
        """Run a script call with whatever else is there, and return its reply.

        Raises redis.ResponseError when the server refused this call (nothing of it was done), BrokerUnavailable when it
        didn't answer or too much waits for it. After a time-out the call may have run: repeat only what bears it.
        """
        (reply,) = await self.run_all([call])
        if isinstance(reply, redis.ResponseError):
            raise reply
        return reply

    async def run_all(self, calls: Sequence[Call]) -> list[Any]:
        """Run calls: light ones in their order, heavy ones in theirs, batch after batch; each answers by itself.

        A refused call answers with its ResponseError. Raises BrokerUnavailable as `run` does; then each of the calls
        may have run or not.
        """
        keys = sum(len(call.keys) for call in calls)
        self._admit(keys)
        if keys <= LIGHT_KEYS or all(len(call.keys) <= LIGHT_KEYS for call in calls):
            return await self._queued(calls, keys)
        pieces = [self._queued([call], len(call.keys), heavy=len(call.keys) > LIGHT_KEYS) for call in calls]
        return [reply for replies in await asyncio.gather(*pieces) for reply in replies]

    async def close(self) -> None:
        """Wait for the batch under way; what still waits fails."""
        self._away = "the gateway is ending: try again"
        self._fail_waiting(self._away)
        if self._pinging is not None:
            self._pinging.cancel()
        if self._under_way is not None:
            await self._under_way
        await self._client.aclose()

    def _queued(self, calls: Sequence[Call], keys: int, *, heavy: bool = False) -> asyncio.Future[list[Any]]:
        """Queue calls for one batch; their replies will come."""
        loop = asyncio.get_running_loop()
        entry = _Waiting(calls, keys, loop.create_future())
        (self._heavy if heavy else self._light).append(entry)
        if self._under_way is None:  # a task begins later: what else arrives in this turn of the loop comes along
            self._under_way = loop.create_task(self._send_all())
        return entry.replies

    def _admit(self, keys: int) -> None:
        if self._away:
            raise BrokerUnavailable(self._away)
        if self._keys and self._keys + keys > self._most_waiting:
            raise BrokerUnavailable("too many requests wait for the server: try again in a second")
        self._keys += keys

    async def _send_all(self) -> None:
        """Send batch after batch until nothing waits; whatever goes wrong reaches those who wait for it."""
        while batch := self._next_batch():
            calls = [call for entry in batch for call in entry.calls]
            try:
                replies = iter(await run_all_async(self._client, calls))
            except (redis.ConnectionError, redis.TimeoutError) as problem:
                self._lost(batch, problem)
            except Exception as problem:  # noqa: BLE001  told to each of them
                for entry in batch:
                    _answer(entry, problem)
            else:
                for entry in batch:
                    _answer(entry, list(islice(replies, len(entry.calls))))
        self._under_way = None

    def _next_batch(self) -> list[_Waiting]:
        """Take light calls up to a bound, and one heavy one behind them; those whose caller has gone are still run: it
        was told nothing else.
        """
        batch: list[_Waiting] = []
        keys = 0
        while self._light and keys < BATCH_KEYS:
            keys += self._light[0].keys
            batch.append(self._light.popleft())
        if self._heavy:
            batch.append(self._heavy.popleft())
        self._keys -= sum(entry.keys for entry in batch)
        return batch

    def _lost(self, batch: Sequence[_Waiting], problem: Exception) -> None:
        said = hide_passwords(str(problem))
        self._away = f"the server doesn't answer ({said}): try again later"
        _log.warning(Event.BROKER_AWAY, url="HEADWAY_REDIS_URL", problem=said, attempt=1)
        unsure = BrokerUnavailable(f"the server didn't answer ({said}): what was asked may have been done")
        for entry in batch:
            _answer(entry, unsure)
        self._fail_waiting(self._away)
        self._pinging = asyncio.get_running_loop().create_task(self._until_back())

    def _fail_waiting(self, said: str) -> None:
        for entry in (*self._light, *self._heavy):
            _answer(entry, BrokerUnavailable(said))
        self._light.clear()
        self._heavy.clear()
        self._keys = 0

    async def _until_back(self) -> None:
        """Ask until the server answers; then let calls through again."""
        attempts = 0
        while True:
            await asyncio.sleep(PING_EVERY_S)
            attempts += 1
            try:
                await self._client.ping()
            except redis.RedisError as error:
                self._away = f"the server doesn't answer ({hide_passwords(str(error))}): try again later"
                continue
            self._away = ""
            _log.info(Event.BROKER_BACK, url="HEADWAY_REDIS_URL", attempts=attempts)
            return


def _answer(entry: _Waiting, told: list[Any] | BaseException) -> None:
    """Give a caller its replies, or why there are none; one that has gone (its connection closed) takes neither."""
    if entry.replies.done():
        return
    if isinstance(told, BaseException):
        entry.replies.set_exception(told)
    else:
        entry.replies.set_result(told)
