"""How does an inbound message reach the app, once, and how does the app's reply get out?

Counted, claimed, passed on; then the reply in the app's answer is charged as a send, because the provider sends it at
once, around every queue. Redis away: the message goes to the app all the same, uncounted and maybe twice, because what
isn't taken now may be lost for good.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import redis

from delivery.receipts import Answer, Receipt
from gateway import claims, relabel
from gateway.claims import Claim, Standing
from gateway.commit import Commit
from gateway.forward import Forward, NotTaken, Taken
from gateway.intake import Intake
from gateway.problems import Unavailable
from headway.errors import BrokerUnavailable
from providers.picky_webhook import Inbound
from runtime.telemetry import Event as Said
from runtime.telemetry import get_logger
from scheduler.meter import Event, Kind

#: How much longer than the app may take a claim holds: the round trips before and after.
_CLAIM_MARGIN = timedelta(seconds=15)

_log = get_logger("gateway")


def event(inbound: Inbound) -> Event:
    """Return an inbound message as the meter takes it."""
    return Event(inbound.event_id, Kind.INBOUND, inbound.at_us, _contact(inbound))


class Inbox:
    """Passes inbound messages on; used from one event loop."""

    def __init__(self, commit: Commit, intake: Intake, forward: Forward) -> None:
        self._commit = commit
        self._intake = intake
        self._forward = forward
        self._under_way: dict[tuple[str, str], asyncio.Task[Mapping[str, Any]]] = {}

    async def pass_on(self, number: str, inbound: Inbound, *, key: str) -> Mapping[str, Any]:
        """Count a message and give it to the app; return the app's answer, which a repetition gets again.

        Raises Unavailable when the app didn't take it. A twin that arrives meanwhile waits for the same answer; a
        provider that hangs up doesn't stop what has begun.
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
        token = uuid4().hex
        claim, answers = await self._begin(number, inbound, token)
        if claim.standing is Standing.DONE:
            answer: Mapping[str, Any] = json.loads(claim.answer)
            return answer
        if claim.standing is Standing.BUSY:
            raise Unavailable("another request is just passing this message on: send it again later")
        outcome = await self._forward.post(number, relabel.inbound(inbound.raw, answers, key=key))
        await self._conclude(number, inbound, token, outcome)
        if isinstance(outcome, NotTaken):
            raise Unavailable("the app's own webhook didn't take this: send it again later")
        return outcome.answer

    async def _begin(self, number: str, inbound: Inbound, token: str) -> tuple[Claim, Sequence[Answer]]:
        """Count the message and claim it; look up which of our messages it answers."""
        looks = [Receipt(provider_id=inbound.context_id, contact=_contact(inbound))] if inbound.context_id else []
        ttl = 2 * self._forward.patience + _CLAIM_MARGIN
        results: tuple[Any, ...] = await asyncio.gather(
            self._intake.take(number, [event(inbound)], looks),
            self._commit.run(claims.claim(number, inbound.event_id, token=token, ttl=ttl)),
            return_exceptions=True,
        )
        counted, claimed = (self._or_none(Said.INBOUND_UNCOUNTED, number, inbound, result) for result in results)
        return Claim(Standing.MINE) if claimed is None else claims.claimed(claimed), counted or ()

    async def _conclude(self, number: str, inbound: Inbound, token: str, outcome: Taken | NotTaken) -> None:
        """Charge the reply, and keep the answer for a repetition; or let the claim go."""
        if isinstance(outcome, NotTaken):
            call = claims.let_go(number, inbound.event_id, token=token)
            events = []
        else:
            answer = json.dumps(outcome.answer, separators=(",", ":")).encode("ascii")
            call = claims.done(number, inbound.event_id, token=token, answer=answer)
            reply = Event(f"reply:{inbound.event_id.removeprefix('in:')}", Kind.SEND, contact=_contact(inbound))
            events = [reply] if outcome.replies else []
        results: tuple[Any, ...] = await asyncio.gather(
            self._intake.take(number, events), self._commit.run(call), return_exceptions=True
        )
        for result in results:
            self._or_none(Said.REPLY_UNCHARGED, number, inbound, result)

    @staticmethod
    def _or_none(said: Said, number: str, inbound: Inbound, result: Any) -> Any:
        """Return a result, or log that the server didn't give it and go on without. Raises what is a fault of ours."""
        if isinstance(result, BrokerUnavailable | redis.ResponseError):
            _log.warning(said, number=number, inbound=inbound.event_id, problem=str(result))
            return None
        if isinstance(result, BaseException):
            raise result
        return result


def _contact(inbound: Inbound) -> str:
    """Return whose shard a message is on: that of its group, or of its sender."""
    group = inbound.raw.get("group-id")
    return str(group) if isinstance(group, str | int) and group else inbound.number
