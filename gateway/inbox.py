"""How does an inbound message reach the app, once and in its contact's order, and how does the app's reply get out?

Counted, claimed, passed on when the contact's former ones are; then the reply in the app's answer is charged as a send,
because the provider sends it at once, around every queue. What the app doesn't take is kept in the outbox, and the
provider hears that it was taken: it is safe. Server away: the message goes to the app all the same, and what the app
doesn't take, or what must still be counted, to the spool.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

import redis

from delivery.outbox import Entry, line_of
from delivery.receipts import Answer, Receipt
from gateway import claims, relabel
from gateway.claims import DONE_TTL, Claim, Standing
from gateway.commit import Commit
from gateway.forward import Forward, NotTaken, Taken, as_bytes
from gateway.intake import Intake
from gateway.outbox import WAITS, Keeper
from gateway.problems import Unavailable
from gateway.spool import Spool
from gateway.spool_files import Record
from headway.errors import BrokerUnavailable
from providers.picky_webhook import Inbound
from runtime.clock import Clock, SystemClock
from runtime.telemetry import Event as Said
from runtime.telemetry import get_logger
from scheduler.meter import Event, Kind

#: With more of one contact before it, a message is kept in the outbox at once.
MOST_BEFORE = 8
#: Between two looks whether the contact's former ones, at another gateway, are done.
_LOOK_AGAIN_S = 0.03

#: Contacts that this process remembers to be behind something, for while the server can't be asked.
_MOST_REMEMBERED = 100_000

_NOTHING: Mapping[str, Any] = {}

_log = get_logger("gateway")


def event(inbound: Inbound) -> Event:
    """Return an inbound message as the meter takes it."""
    return Event(inbound.event_id, Kind.INBOUND, inbound.at_us, shard_contact(inbound))


def looks(inbound: Inbound) -> list[Receipt]:
    """Return the question which of our messages it answers, if it answers one."""
    return [Receipt(provider_id=inbound.context_id, contact=shard_contact(inbound))] if inbound.context_id else []


def reply(inbound: Inbound) -> Event:
    """Return the app's instant reply to it as the meter takes it."""
    return Event(f"reply:{inbound.event_id.removeprefix('in:')}", Kind.SEND, contact=shard_contact(inbound))


def entry_of(inbound: Inbound, answers: Sequence[Answer], *, key: str, came_us: int) -> Entry:
    """Return it as the outbox keeps it."""
    return Entry(
        id=line_of(inbound.event_id),
        contact=line_of(shard_contact(inbound)),
        serial_us=came_us,
        since_ms=came_us // 1000,
        what="inbound",
        body=as_bytes(relabel.inbound(inbound.raw, answers, key=key)),
    )


def record_of(number: str, inbound: Inbound, *, kind: str, key: str, at_us: int) -> Record:
    """Return it as the spool keeps it: without our own key."""
    contact = line_of(shard_contact(inbound))
    body = relabel.inbound(inbound.raw, (), key=key)
    return Record(kind=kind, number=number, contact=contact, at_us=at_us, body=body)


@dataclass(frozen=True, slots=True)
class _Case:
    """One inbound message under way. `counted`: the server said so."""

    number: str
    inbound: Inbound
    key: str
    token: str
    at_us: int
    claim: Claim
    answers: Sequence[Answer]
    counted: bool

    @property
    def contact(self) -> str:
        return line_of(shard_contact(self.inbound))

    @property
    def came_us(self) -> int:
        return self.claim.came_us or self.at_us


class Inbox:
    """Passes inbound messages on; used from one event loop."""

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
        self._under_way: dict[tuple[str, str], asyncio.Task[Mapping[str, Any]]] = {}
        #: One lock a contact, first come, first served; it goes when nobody holds it or waits for it.
        self._lines: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        #: For whom the outbox held something when we last heard, the oldest first.
        self._behind: dict[tuple[str, str], None] = {}

    async def count(self, number: str, inbound: Inbound, *, key: str) -> None:
        """Count a message of a number without an app: now, or from the spool when the server is back."""
        try:
            await self._intake.take(number, [event(inbound)])
        except BrokerUnavailable:
            await self._spool.put(record_of(number, inbound, kind="inbound", key=key, at_us=self._clock.now_us()))

    async def pass_on(self, number: str, inbound: Inbound, *, key: str) -> Mapping[str, Any]:
        """Count a message and give it to the app; return the app's answer, which a repetition gets again.

        The answer is empty when the message is kept for later. Raises Unavailable when it is nowhere safe. A twin that
        arrives meanwhile waits for the same answer; a provider that hangs up doesn't stop what has begun.
        """
        name = (number, inbound.event_id)
        task = self._under_way.get(name)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._pass_on(number, inbound, key))
            self._under_way[name] = task
            task.add_done_callback(lambda done: self._ended(name, done))
        return await asyncio.shield(task)

    def _ended(self, name: tuple[str, str], task: asyncio.Task[Mapping[str, Any]]) -> None:
        del self._under_way[name]
        if not task.cancelled():
            task.exception()  # taken note of: whoever asked may have hung up

    async def _pass_on(self, number: str, inbound: Inbound, key: str) -> Mapping[str, Any]:
        case = await self._begin(number, inbound, key)
        match case.claim.standing:
            case Standing.DONE:
                answer: Mapping[str, Any] = json.loads(case.claim.answer)
                return answer
            case Standing.BUSY:
                raise Unavailable("another request is just passing this message on: send it again later")
            case Standing.BEHIND:
                return await self._keep(case)
            case Standing.WAIT if case.claim.before > MOST_BEFORE:
                return await self._keep(case)
        lock = self._lines.setdefault((number, case.contact), asyncio.Lock())
        until_s = asyncio.get_running_loop().time() + self._forward.patience.total_seconds()
        try:
            async with asyncio.timeout_at(until_s):
                await lock.acquire()
        except TimeoutError:
            return await self._keep(case)
        try:
            return await self._in_its_turn(case, until_s)
        finally:
            lock.release()

    async def _in_its_turn(self, case: _Case, until_s: float) -> Mapping[str, Any]:
        """Give a message to the app once those before it are done; this process has no other of its contact now."""
        while case.claim.standing is Standing.WAIT and asyncio.get_running_loop().time() < until_s:
            try:
                claim = claims.claimed(await self._commit.run(self._claim(case)))
            except (BrokerUnavailable, redis.ResponseError):
                claim = Claim(Standing.AWAY)
            case = replace(case, claim=claim)
            if case.claim.standing is Standing.WAIT:
                await asyncio.sleep(_LOOK_AGAIN_S)
        if self._must_wait(case):
            return await self._keep(case)
        body = relabel.inbound(case.inbound.raw, case.answers, key=case.key)
        outcome = await self._forward.post(case.number, body, what="inbound")
        if isinstance(outcome, NotTaken):
            return await self._keep(case, tried=outcome.problem)
        await self._took(case, outcome)
        return outcome.answer

    def _must_wait(self, case: _Case) -> bool:
        """Whether others of its contact go first, as far as is known."""
        line = (case.number, case.contact)
        if case.claim.standing is Standing.MINE:
            self._behind.pop(line, None)
        elif case.claim.standing is not Standing.AWAY or line in self._behind:
            return True
        return self._spool.holds(*line)

    async def _begin(self, number: str, inbound: Inbound, key: str) -> _Case:
        """Count the message and claim it; look up which of our messages it answers."""
        token, away = uuid4().hex, Claim(Standing.AWAY)
        case = _Case(number, inbound, key, token, self._clock.now_us(), away, (), counted=False)
        results: tuple[Any, ...] = await asyncio.gather(
            self._intake.take(number, [event(inbound)], looks(inbound)),
            self._commit.run(self._claim(case)),
            return_exceptions=True,
        )
        answers, claimed = (self._or_none(Said.INBOUND_UNCOUNTED, number, inbound, result) for result in results)
        claim = away if claimed is None else claims.claimed(claimed)
        return replace(case, claim=claim, answers=answers or (), counted=answers is not None)

    def _claim(self, case: _Case) -> Any:
        ttl, event_id = self._forward.turn_ttl, line_of(case.inbound.event_id)
        return claims.claim(case.number, event_id, contact=case.contact, token=case.token, ttl=ttl)

    async def _took(self, case: _Case, outcome: Taken) -> None:
        """Charge the reply, and keep the answer for a repetition; what the server can't do now waits in the spool."""
        answer = json.dumps(outcome.answer, separators=(",", ":")).encode("ascii")
        event_id = line_of(case.inbound.event_id)
        call = claims.done(case.number, event_id, contact=case.contact, token=case.token, answer=answer)
        results: tuple[Any, ...] = await asyncio.gather(
            self._intake.take(case.number, [reply(case.inbound)] if outcome.replies else []),
            self._commit.run(call),
            return_exceptions=True,
        )
        said = [self._or_none(Said.REPLY_UNCHARGED, case.number, case.inbound, result) for result in results]
        if not case.counted or None in said:
            record = record_of(case.number, case.inbound, kind="taken", key=case.key, at_us=case.at_us)
            with contextlib.suppress(Unavailable):  # the app has it: that its use isn't counted is no reason to refuse
                await self._spool.put(replace(record, answer=outcome.answer))

    async def _keep(self, case: _Case, *, tried: str = "") -> Mapping[str, Any]:
        """Keep a message for later: in the outbox, or in the spool when the server can't. Raises Unavailable."""
        if case.claim.standing is not Standing.AWAY and not self._spool.holds(case.number, case.contact):
            entry = entry_of(case.inbound, case.answers, key=case.key, came_us=case.came_us)
            entry = replace(entry, attempts=1 if tried else 0, problem=tried)
            try:
                first = WAITS[0] if tried else timedelta(0)
                await self._keeper.keep(case.number, [entry], token=case.token, first_try=first, guard_ttl=DONE_TTL)
            except BrokerUnavailable:
                pass
            else:
                self._behind[case.number, case.contact] = None
                if len(self._behind) > _MOST_REMEMBERED:
                    del self._behind[next(iter(self._behind))]
                return _NOTHING
        if case.claim.standing is not Standing.AWAY:
            await self._let_go(case)
        await self._spool.put(record_of(case.number, case.inbound, kind="inbound", key=case.key, at_us=case.at_us))
        return _NOTHING

    async def _let_go(self, case: _Case) -> None:
        """Let the contact's next one, and a repetition, through at once; else the claim and the turn end by time."""
        call = claims.let_go(case.number, line_of(case.inbound.event_id), contact=case.contact, token=case.token)
        with contextlib.suppress(BrokerUnavailable, redis.ResponseError):
            await self._commit.run(call)

    @staticmethod
    def _or_none(said: Said, number: str, inbound: Inbound, result: Any) -> Any:
        """Return a result, or log that the server didn't give it and go on without. Raises what is a fault of ours."""
        if isinstance(result, BrokerUnavailable | redis.ResponseError):
            _log.warning(said, number=number, inbound=inbound.event_id, problem=str(result))
            return None
        if isinstance(result, BaseException):
            raise result
        return result


def shard_contact(inbound: Inbound) -> str:
    """Return whose shard and whose line a message is in: that of its group, or of its sender."""
    group = inbound.raw.get("group-id")
    return str(group) if isinstance(group, str | int) and group else inbound.number
