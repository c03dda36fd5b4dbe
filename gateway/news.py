"""How do receipts and other news reach the app, and what becomes of them when it doesn't take them?

Counted and matched first, then passed on with our ids. What the app doesn't take, and what is of a contact for whom
the outbox holds something already, is kept there, contact by contact. With the server away nobody knows their ids:
then they wait in the spool, and are counted at their own time when it is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import redis

from delivery import outbox
from delivery.outbox import Entry, line_of
from delivery.receipts import Answer
from delivery.receipts import Receipt as Applied
from delivery.states import State
from gateway import relabel
from gateway.commit import Commit
from gateway.forward import Forward, NotTaken, as_bytes
from gateway.intake import Intake
from gateway.outbox import WAITS, Keeper
from gateway.spool import Spool
from gateway.spool_files import Record
from headway.errors import BrokerUnavailable
from providers.picky_webhook import Notice, Receipt, Receipts, Status
from runtime.clock import Clock, SystemClock
from scheduler.meter import Event, Kind

#: As long as a call to keep it may be repeated.
GUARD_TTL = timedelta(hours=1)

_KIND = {Status.DELIVERED: Kind.DELIVERED, Status.READ: Kind.READ}

#: Refunded is failed with the credit given back; unknown changes nothing.
_STATE = {
    Status.SUBMITTED: State.SENT,
    Status.DELIVERED: State.DELIVERED,
    Status.READ: State.READ,
    Status.FAILED: State.FAILED,
    Status.REFUNDED: State.FAILED,
}

#: The line of receipts in the spool: those of all contacts, since one webhook brings many.
_ALL = ""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Receipts of one number: as they were read, and as they came in the body."""

    body: Mapping[str, Any]
    rows: Sequence[Receipt]
    raws: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, webhook: Receipts) -> Bundle:
        """Return all receipts of a webhook."""
        data = webhook.raw["data"]
        return cls(webhook.raw, webhook.rows, data if isinstance(data, list) else [data])

    def only(self, places: Sequence[int]) -> Bundle:
        """Return the receipts at some places."""
        return Bundle(self.body, [self.rows[at] for at in places], [self.raws[at] for at in places])

    def as_came(self) -> dict[str, Any]:
        """Return the body that brings these and no others."""
        return {**self.body, "data": list(self.raws) if isinstance(self.body["data"], list) else self.raws[0]}

    def by_contact(self, answers: Sequence[Answer]) -> dict[str, Mapping[str, Any]]:
        """Return a body for each contact, with its receipts as the app gets them."""
        of_contact: dict[str, list[int]] = {}
        for at, row in enumerate(self.rows):
            of_contact.setdefault(line_of(row.to), []).append(at)
        return {contact: self.relabelled(answers, ats) for contact, ats in of_contact.items()}

    def relabelled(self, answers: Sequence[Answer], places: Sequence[int]) -> dict[str, Any]:
        """Return the body that brings the receipts at some places, with our ids."""
        return relabel.receipts(self.body, [self.raws[at] for at in places], [answers[at] for at in places])


class News:
    """Takes receipts and notices; used from one event loop."""

    def __init__(
        self,
        commit: Commit,
        intake: Intake,
        forward: Forward,
        *,
        keeper: Keeper,
        spool: Spool,
        clock: Clock | None = None,
    ) -> None:
        self._commit = commit
        self._intake = intake
        self._forward = forward
        self._keeper = keeper
        self._spool = spool
        self._clock = clock or SystemClock()

    async def receipts(self, number: str, bundle: Bundle) -> None:
        """Take receipts of one number. They are safe when this returns; raises Unavailable when they are nowhere so."""
        if self._spool.holds(number, _ALL):
            await self._write_down(number, bundle)
            return
        try:
            answers, behind = await self._matched(number, bundle.rows)
        except BrokerUnavailable:
            await self._write_down(number, bundle)
            return
        if self._forward.wanted(number):
            await self._pass_on(number, bundle, answers, behind)

    async def notice(self, number: str, notice: Notice) -> None:
        """Pass on what uses no TPS. Raises Unavailable when it is nowhere safe."""
        if not self._forward.wanted(number):
            return
        outcome = await self._forward.post(number, notice.raw, what="notice")
        if isinstance(outcome, NotTaken):
            contact = notice.raw.get("number")
            named = contact if isinstance(contact, str | int) else ""
            await self._keep(number, "notice", {line_of(str(named)): notice.raw}, problem=outcome.problem)

    async def apply(self, number: str, rows: Sequence[Receipt], *, at_us: int | None = None) -> list[Answer]:
        """Count and match receipts; `at_us`: when they came, if not now. Raises BrokerUnavailable."""
        events = [Event(row.event_id, _KIND[row.status], at_us, row.to) for row in rows if row.status in _KIND]
        return await self._intake.take(number, events, [_applied(row) for row in rows])

    async def _matched(self, number: str, rows: Sequence[Receipt]) -> tuple[list[Answer], set[str]]:
        """Count and match; find out for which contacts the outbox holds something. Raises BrokerUnavailable."""
        if not self._forward.wanted(number):
            return await self.apply(number, rows), set()
        contacts = list(dict.fromkeys(line_of(row.to) for row in rows))
        results: tuple[Any, ...] = await asyncio.gather(
            self.apply(number, rows), self._commit.run(outbox.behind(number, contacts)), return_exceptions=True
        )
        for result in results:
            if isinstance(result, redis.ResponseError):
                raise BrokerUnavailable(f"the server refuses ({result}): try again later")
            if isinstance(result, BaseException):
                raise result
        return results[0], {contacts[place - 1] for place in results[1]}

    async def _pass_on(self, number: str, bundle: Bundle, answers: Sequence[Answer], behind: set[str]) -> None:
        first = [at for at, row in enumerate(bundle.rows) if not behind or line_of(row.to) not in behind]
        problem = ""
        if first:
            outcome = await self._forward.post(number, bundle.relabelled(answers, first), what="receipts")
            problem = outcome.problem if isinstance(outcome, NotTaken) else ""
        if problem or behind:
            bodies = bundle.by_contact(answers)
            kept = bodies if problem else {contact: bodies[contact] for contact in behind}
            await self._keep(number, "receipts", kept, problem=problem)

    async def _keep(self, number: str, what: str, bodies: Mapping[str, Mapping[str, Any]], *, problem: str) -> None:
        """Keep bodies for later, one of each contact: in the outbox, or in the spool. Raises Unavailable."""
        at_us = self._clock.now_us()
        records = [
            Record(kind=what, number=number, contact=contact, at_us=at_us, body=body, ready=True)
            for contact, body in bodies.items()
        ]
        if not any(self._spool.holds(number, contact) for contact in bodies):
            entries = [replace(entry_of(record), attempts=1 if problem else 0, problem=problem) for record in records]
            try:
                await self._keeper.keep(number, entries, first_try=WAITS[0], guard_ttl=GUARD_TTL)
            except BrokerUnavailable:
                pass
            else:
                return
        await asyncio.gather(*(self._spool.put(record) for record in records))

    async def _write_down(self, number: str, bundle: Bundle) -> None:
        at_us, body = self._clock.now_us(), bundle.as_came()
        await self._spool.put(Record(kind="receipts", number=number, contact=_ALL, at_us=at_us, body=body))


def entry_of(record: Record) -> Entry:
    """Return what the outbox keeps of a record that is ready for the app."""
    return Entry(
        id=f"{record.kind}:{record.id}",
        contact=record.contact,
        serial_us=record.at_us,
        since_ms=record.at_us // 1000,
        what=record.kind,
        body=as_bytes(record.body),
    )


def _applied(row: Receipt) -> Applied:
    state = _STATE.get(row.status)
    applied = Applied(reference=row.reference, provider_id=row.provider_id, state=state, contact=row.to)
    return replace(applied, code=row.code, reason=row.error or row.status.value) if state is State.FAILED else applied
