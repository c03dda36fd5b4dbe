"""How does the number tell an app, and what when the app doesn't answer?

As the provider does: one POST for each inbound message, one for a few receipts, 180 s to answer 200. Retry is off
unless asked for: what the app doesn't answer it never hears of.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import quote, urlsplit

import aiohttp

from simulator import bodies
from simulator.record import INBOUND, Event
from simulator.serving import watched

#: The provider's own schedule, where retry is switched on.
PROVIDER_RETRIES: Final = (timedelta(minutes=1), timedelta(minutes=15), timedelta(hours=2), timedelta(hours=6))

#: Webhooks that wait for a free connection, or for the end of a pause; what is over is never told.
_MOST_WAITING: Final = 20_000

_LONGEST_ANSWER: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Where webhooks go, and how.

    Attributes:
        url: the app's address; empty: nobody is told.
        key: appended as `key=...` to the address's query; empty: nothing is.
        receipts: False: the event webhook was removed; receipts use their transactions all the same.
        rows: most receipts in one body.
        connections: requests at a time.
        timeout: how long the app has to answer.
        retries: the pauses before each further try; empty: there is none.
    """

    url: str = ""
    key: str = ""
    receipts: bool = True
    rows: int = 50
    connections: int = 32
    timeout: timedelta = timedelta(seconds=180)
    retries: tuple[timedelta, ...] = ()

    def __post_init__(self) -> None:
        if self.url and (urlsplit(self.url).scheme not in {"http", "https"} or not urlsplit(self.url).hostname):
            raise ValueError(f"{self.url!r} is no address: use http://HOST:PORT/PATH")
        if min(self.rows, self.connections) < 1 or self.timeout <= timedelta(0):
            raise ValueError("rows, connections and the time-out must be more than nothing")

    @property
    def address(self) -> str:
        """The address with its key."""
        joint = "&" if "?" in self.url else "?"
        return f"{self.url}{joint}key={quote(self.key, safe='')}" if self.key else self.url


@dataclass(frozen=True, slots=True)
class _Webhook:
    body: bytes
    events: Sequence[Event]
    tried: int = 0


class Webhooks:
    """Post what was worked off; tell who answered what."""

    def __init__(
        self,
        delivery: Delivery,
        *,
        now_us: Callable[[], int],
        on_end: Callable[[Sequence[Event], bytes], None],
    ) -> None:
        """Call `on_end` with the events of each webhook that came to its end, and the answer (empty: never told)."""
        self.answered = self.failed = self.untold = 0
        self._delivery = delivery
        self._now_us = now_us
        self._on_end = on_end
        self._waiting: asyncio.Queue[_Webhook] = asyncio.Queue(_MOST_WAITING)
        self._running = asyncio.Event()
        self._running.set()
        self._later: set[asyncio.TimerHandle] = set()

    @property
    def paused(self) -> bool:
        """Are webhooks held back?"""
        return not self._running.is_set()

    def pause(self, *, paused: bool) -> None:
        """Hold webhooks back from now on, or let them go on."""
        if paused:
            self._running.clear()
        else:
            self._running.set()

    def tell(self, events: Sequence[Event], *, application: str) -> None:
        """Queue what was worked off: a webhook for each message, one for each few receipts.

        Receipts of groups use transactions, but the event webhook knows nothing of them.
        """
        delivery, silent = self._delivery, []
        receipts = []
        for event in events:
            if delivery.url and event.kind == INBOUND:
                self._queue(_Webhook(bodies.inbound(event, application=application), [event]))
            elif delivery.url and delivery.receipts and event.kind != INBOUND and not event.group:
                receipts.append(event)
            else:
                silent.append(event)
        for start in range(0, len(receipts), delivery.rows):
            part = receipts[start : start + delivery.rows]
            self._queue(_Webhook(bodies.receipts(part, application=application), part))
        if silent:
            self._on_end(silent, b"")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Post while the block runs; what still waits at its end is dropped."""
        connector = aiohttp.TCPConnector(limit=self._delivery.connections)
        timeout = aiohttp.ClientTimeout(total=self._delivery.timeout.total_seconds())
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            count = self._delivery.connections if self._delivery.url else 0
            posters = [watched(self._post_all(session)) for _ in range(count)]
            try:
                yield
            finally:
                for handle in self._later:
                    handle.cancel()
                for task in posters:
                    task.cancel()
                await asyncio.gather(*posters, return_exceptions=True)

    async def _post_all(self, session: aiohttp.ClientSession) -> None:
        while True:
            webhook = await self._waiting.get()
            await self._running.wait()
            answer = await self._post(session, webhook.body)
            if answer is None:
                self._again(webhook)
                continue
            self.answered += 1
            now_us = self._now_us()
            for event in webhook.events:
                event.told_us = now_us
            self._on_end(webhook.events, answer)

    async def _post(self, session: aiohttp.ClientSession, body: bytes) -> bytes | None:
        """Post once; return the answer, or None when it wasn't 200 or never came."""
        headers = {"content-type": "application/json"}
        address = self._delivery.address
        try:
            async with session.post(address, data=body, headers=headers, allow_redirects=False) as answer:
                return await answer.content.read(_LONGEST_ANSWER) if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    def _again(self, webhook: _Webhook) -> None:
        self.failed += 1
        retries = self._delivery.retries
        if webhook.tried >= len(retries):
            self._never(webhook)
            return
        later = _Webhook(webhook.body, webhook.events, webhook.tried + 1)

        def queue() -> None:
            self._later.discard(handle)
            self._queue(later)

        handle = asyncio.get_running_loop().call_later(retries[webhook.tried].total_seconds(), queue)
        self._later.add(handle)

    def _queue(self, webhook: _Webhook) -> None:
        try:
            self._waiting.put_nowait(webhook)
        except asyncio.QueueFull:
            self._never(webhook)

    def _never(self, webhook: _Webhook) -> None:
        self.untold += len(webhook.events)
        self._on_end(webhook.events, b"")
