"""What becomes of a spooled record when the server is back?

It is counted at its own time, matched, and put into the outbox at its own place: what `gateway.inbox` and
`gateway.news` would have done, but for the answer to a provider that has long gone. Told twice, it counts once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import redis

from delivery.outbox import line_of
from gateway import claims, inbox, news
from gateway.claims import DONE_TTL
from gateway.commit import Commit
from gateway.forward import Forward, Taken
from gateway.intake import Intake
from gateway.news import GUARD_TTL, Bundle, News
from gateway.outbox import Keeper
from gateway.spool_files import Record
from headway.errors import BrokerUnavailable
from providers import picky_webhook
from providers.picky_webhook import Inbound, Receipts
from runtime.telemetry import Event as Said
from runtime.telemetry import get_logger

_AT_ONCE = timedelta(0)

_log = get_logger("gateway")


class Replay:
    """Takes spooled records; used from one event loop."""

    def __init__(
        self,
        commit: Commit,
        intake: Intake,
        forward: Forward,
        *,
        keeper: Keeper,
        told: News,
        numbers: Collection[str],
    ) -> None:
        """Take the parts of the webhooks, and the numbers that this gateway serves."""
        self._numbers = numbers
        self._commit = commit
        self._intake = intake
        self._forward = forward
        self._keeper = keeper
        self._news = told

    async def take(self, records: Sequence[Record]) -> list[Record]:
        """Take records, in any order: each has its place in its contact's line by when it came.

        Return those that can't ever be taken here; they would be in the way of all that come after. Raises what the
        server says when it can't now; then all of them may be told again.
        """
        results = await asyncio.gather(*(self._take(record) for record in records), return_exceptions=True)
        refused = []
        for record, result in zip(records, results, strict=True):
            if isinstance(result, BrokerUnavailable):
                raise result
            if isinstance(result, redis.ResponseError):
                raise BrokerUnavailable(f"the server refuses ({result})")
            if isinstance(result, BaseException):
                problem = f"{type(result).__name__}: {result}"
                _log.error(Said.SPOOL_REFUSED, number=record.number, record=record.id, problem=problem)
                refused.append(record)
        return refused

    async def _take(self, record: Record) -> None:
        if record.number not in self._numbers:
            raise LookupError("it came in for a number that this gateway doesn't serve")
        if record.ready or record.kind == "notice":
            entry = news.entry_of(record)
            await self._keeper.keep(record.number, [entry], first_try=_AT_ONCE, guard_ttl=GUARD_TTL)
            return
        webhook = picky_webhook.parse(record.body)
        if isinstance(webhook, Inbound):
            await (self._taken if record.kind == "taken" else self._inbound)(record, webhook)
        elif isinstance(webhook, Receipts):
            await self._receipts(record, webhook)

    async def _inbound(self, record: Record, inbound: Inbound) -> None:
        event = replace(inbox.event(inbound), at_us=record.at_us)
        answers = await self._intake.take(record.number, [event], inbox.looks(inbound))
        if self._forward.wanted(record.number):
            entry = inbox.entry_of(inbound, answers, key="", came_us=record.at_us)
            await self._keeper.keep(record.number, [entry], first_try=_AT_ONCE, guard_ttl=DONE_TTL)

    async def _taken(self, record: Record, inbound: Inbound) -> None:
        events = [replace(inbox.event(inbound), at_us=record.at_us)]
        if Taken(record.answer).replies:
            events.append(replace(inbox.reply(inbound), at_us=record.at_us))
        await self._intake.take(record.number, events)
        answer = json.dumps(record.answer, separators=(",", ":")).encode("ascii")
        call: Any = claims.done(
            record.number, line_of(inbound.event_id), contact=record.contact, token=record.id, answer=answer
        )
        await self._commit.run(call)

    async def _receipts(self, record: Record, webhook: Receipts) -> None:
        answers = await self._news.apply(record.number, webhook.rows, at_us=record.at_us)
        if not self._forward.wanted(record.number):
            return
        entries = [
            news.entry_of(replace(record, contact=contact, body=body, id=f"{record.id}:{place}"))
            for place, (contact, body) in enumerate(Bundle.of(webhook).by_contact(answers).items())
        ]
        await self._keeper.keep(record.number, entries, first_try=_AT_ONCE, guard_ttl=GUARD_TTL)
