"""When will a push leave? Asked together with the push itself, so that its answer can say so.

The figures are asked for in the round trip that takes the push, and before it: its rows are then not yet among those
that wait, whatever the order in which its pieces are taken. What this gateway pushed since counts as waiting. For a
moment the figures are kept, so that thousands of pushes a second ask a few times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import redis

from gateway.commit import Commit
from headway.classes import MessageClass
from headway.errors import BrokerUnavailable
from headway.message import Message
from runtime.clock import Clock, SystemClock
from runtime.settings import Settings
from scheduler import estimate
from scheduler.estimate import Estimate, Figures
from scheduler.rules import NumberRules, rules_of
from scheduler.shards import rules_of_unit, unit_of

#: For how long figures are good enough: a tenth of what an estimate may be off.
FRESH_US = 200_000

#: Each row of a push with no more than these has an estimate of its own: all others follow from the first and the last.
EACH_UP_TO = 100


@dataclass(slots=True)
class _Kept:
    """Figures of one unit and class, and how many rows were pushed there since they were asked for."""

    asked_us: int
    figures: asyncio.Future[Figures | None]
    pushed: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a push will stand: so many rows of its own class are pushed since the figures, its own included."""

    kept: _Kept
    pushed: float
    class_: MessageClass
    last: Message
    rows: int


class Estimates:
    """The estimates of one process; used from one event loop."""

    def __init__(self, commit: Commit, settings: Settings, *, clock: Clock | None = None) -> None:
        self._commit, self._settings = commit, settings
        self._clock = clock or SystemClock()
        self._rules: dict[str, NumberRules] = {}
        self._kept: dict[tuple[str, MessageClass], _Kept] = {}

    async def ask(self, number: str, rows: Sequence[Message]) -> Place:
        """Ask for the figures of a push that is about to be enqueued; they are in its batch, and ahead of it."""
        rules, last = self._rules_of(number), rows[-1]
        unit = unit_of(number, rules.shards, last.to or last.group_id or "")
        now_us = self._clock.monotonic_us()
        kept = self._kept.get((unit, last.class_))
        if kept is None or now_us - kept.asked_us > FRESH_US:
            looked = asyncio.ensure_future(self._look(rules_of_unit(rules, unit), last.class_))
            kept = self._kept[unit, last.class_] = _Kept(now_us, looked)
            await asyncio.sleep(0)  # now it is queued; the batch leaves a turn later
        if last.send_at is None:  # what is deferred stands on no lane
            kept.pushed += max(1.0, len(rows) / rules.shards)
        return Place(kept, kept.pushed, last.class_, last, len(rows))

    async def of(self, place: Place) -> list[Estimate]:
        """Return the estimate of each row where a push has few, else of the last alone; empty: nobody knows.

        Never raises for the server's sake: the push has been accepted.
        """
        looked = place.kept.figures
        figures = looked.result() if looked.done() else await asyncio.shield(looked)
        if figures is None:
            return []
        send_at_us = _us(place.last.send_at)
        each = range(place.rows - 1, -1, -1) if place.rows <= EACH_UP_TO else (0,)
        return [
            estimate.of_row(figures, place.class_, behind=after - place.pushed, send_at_us=send_at_us) for after in each
        ]

    async def _look(self, rules: NumberRules, class_: MessageClass) -> Figures | None:
        try:
            return estimate.figures(await self._commit.run(estimate.ask(rules, class_)), rules.number)
        except (BrokerUnavailable, redis.ResponseError):
            return None

    def _rules_of(self, number: str) -> NumberRules:
        if number not in self._rules:
            own = self._settings.number(number)
            self._rules[number] = rules_of(own, lease_ttl_ms=self._settings.lease_ttl_ms)
        return self._rules[number]


def _us(send_at: str | datetime | None) -> int:
    if send_at is None:
        return 0
    at = send_at if isinstance(send_at, datetime) else datetime.fromisoformat(send_at)
    return round(at.timestamp() * 1_000_000)
