"""How does the container live in real time: what is handed to it, and who is told what it worked off?"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal

from simulator import bodies
from simulator.conditions import Conditions
from simulator.container import Container
from simulator.push import Ids, Push
from simulator.quota import PUSHES_PER_MINUTE
from simulator.record import INBOUND, MOST_EVENTS, Event, Record
from simulator.serving import wall_us, watched
from simulator.webhooks import Delivery, Webhooks

#: Between two looks at what was worked off: at the least, so that receipts share a webhook, and at the most.
_TURN_S: Final = 0.005
_IDLE_S: Final = 0.02
#: A channel id, until a push names one: "WhatsApp Official".
_APPLICATION: Final = "8"

_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How the number's provider behaves.

    Attributes:
        token: what calls must carry; empty: anything goes.
        application: the channel id that webhooks name; empty: the one that the last push named.
        pushes_per_minute: push requests in any trailing minute; 0: no limit.
        over_quota: what a push over the limit is told: HTTP `429`, or `silent`: HTTP 200 whose body says 429.
        webhook_after: from an event's turn to its webhook.
        most_events: events kept in memory for the verdict.
        journal: file that gets a JSON line for each event whose story is told.
    """

    token: str = ""
    application: str = ""
    pushes_per_minute: int = PUSHES_PER_MINUTE
    over_quota: Literal["429", "silent"] = "429"
    webhook_after: timedelta = timedelta(milliseconds=20)
    most_events: int = MOST_EVENTS
    journal: Path | None = None


def steady_us() -> Callable[[], int]:
    """Return a clock in microseconds since 1970 that never steps: the wall's time at this moment, and on from there."""
    offset_us = wall_us() - time.monotonic_ns() // 1000
    return lambda: offset_us + time.monotonic_ns() // 1000


@dataclass(slots=True)
class _Pushes:
    """The sends of the last pushes, for the delivery report."""

    most_rows: int
    by_id: OrderedDict[str, list[Event]] = field(default_factory=OrderedDict)
    rows: int = 0

    def add(self, push_id: str, sends: list[Event]) -> None:
        self.by_id[push_id] = sends
        self.rows += len(sends)
        while self.rows > self.most_rows and len(self.by_id) > 1:
            self.rows -= len(self.by_id.popitem(last=False)[1])


class Number:
    """A container on the steady clock, its record, and its webhooks."""

    def __init__(
        self, conditions: Conditions, *, manners: Manners | None = None, delivery: Delivery | None = None
    ) -> None:
        """Open the journal; nothing else happens before it runs. Raises OSError when it can't be opened."""
        self.manners = manners or Manners()
        self.now_us = steady_us()
        self.record = Record(most=self.manners.most_events, file=self.manners.journal)
        self.container = Container(conditions, start_us=self.now_us(), record=self.record)
        self.webhooks = Webhooks(delivery or Delivery(), now_us=self.now_us, on_end=self._told)
        self._pushes = _Pushes(self.manners.most_events)
        self._ids = Ids()
        self._named = _APPLICATION

    @property
    def application(self) -> str:
        """The channel id that webhooks name."""
        return self.manners.application or self._named

    def take(self, push: Push, *, at_us: int, request: int) -> tuple[str, list[str]]:
        """Hand the rows of a push over; return their push_id and msg_ids."""
        self._named = push.application or self._named
        push_id, msg_ids = self._ids.push(), self._ids.messages(len(push.rows))
        sends = [
            self.container.send(
                at_us,
                number=row.number,
                reference=row.reference_number,
                message=row.message,
                push_id=push_id,
                msg_id=msg_id,
                group=push.group,
                request=request,
            )
            for row, msg_id in zip(push.rows, msg_ids, strict=True)
        ]
        self._pushes.add(push_id, sends)
        self.record.write(sends)
        return push_id, msg_ids

    def sends_of(self, push_id: str) -> list[Event] | None:
        """Return the sends of a push, as far as their receipts have come; None: no such push, or long forgotten."""
        return self._pushes.by_id.get(push_id)

    def catch_up(self) -> None:
        """Let everything arrive that should have arrived by now."""
        self.container.arrive(to_us=self.now_us())

    def counts(self) -> dict[str, Any]:
        """Return as JSON what can be told at once, since the start."""
        self.catch_up()
        return {
            "now_us": self.now_us(),
            "events": dict(self.record.arrived),
            "lost": dict(self.record.lost),
            "forgotten": self.record.forgotten,
            "waiting": self.container.waiting,
            "behind_ms": self.container.behind_us // 1000,
            "webhooks_answered": self.webhooks.answered,
            "webhooks_failed": self.webhooks.failed,
            "events_untold": self.webhooks.untold,
        }

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Live while the block runs; the journal is closed at its end."""
        async with self.webhooks.running():
            pump = watched(self._pump())
            try:
                yield
            finally:
                pump.cancel()
                await asyncio.gather(pump, return_exceptions=True)
        self.record.close()

    async def _pump(self) -> None:
        """Tell what was worked off, a little later, for ever."""
        after_us = self.manners.webhook_after // _MICROSECOND
        while True:
            self.catch_up()
            until_us = self.now_us() - after_us
            self.webhooks.tell(self.container.worked_off(to_us=until_us), application=self.application)
            next_us = self.container.next_us
            pause_s = _IDLE_S if next_us is None else (next_us - until_us) / 1e6
            await asyncio.sleep(min(max(pause_s, _TURN_S), _IDLE_S))

    def _told(self, events: Sequence[Event], reply: bytes) -> None:
        """Write events down whose webhook has come to its end; send the instant reply that came with the answer."""
        self.record.write(events)
        instant = bodies.instant_reply(reply) if events[0].kind == INBOUND and reply else None
        if instant:
            number, message = instant
            number = number or events[0].number
            push_id, (msg_id,) = self._ids.push(), self._ids.messages(1)
            send = self.container.send(
                self.now_us(), number=number, message=message, push_id=push_id, msg_id=msg_id, source="reply"
            )
            self.record.write([send])
