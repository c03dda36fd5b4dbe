"""How does a push over HTTP become messages on their lanes? `POST /api/v2/push`, as Picky Assist has it.

Checked whole before anything is enqueued; answered when every row is on its lane with a record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

import msgspec
import redis
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from gateway import idempotency
from gateway.auth import bearer
from gateway.body import PUSH_LIMIT, parse_object, read
from gateway.estimates import Estimates
from gateway.groups import Groups
from gateway.idempotency import Claims
from gateway.parts import Parts
from gateway.problems import Conflict, Unavailable
from gateway.push_rows import kind_of, messages
from gateway.push_shapes import PushAnswer, PushedRow
from gateway.push_shapes import read as read_shape
from headway import keys, publish
from headway.errors import BrokerUnavailable
from headway.message import Message
from headway.publish import CHUNK
from runtime import scripts
from runtime.scripts import Call
from runtime.telemetry import Event, get_logger
from scheduler.estimate import Estimate

T = TypeVar("T")

#: A longer body is read and sealed on a thread, in bytes: it would hold up the loop for more than about 5 ms.
LARGE = 32 * 1024

_log = get_logger("gateway")


@dataclass(frozen=True, slots=True)
class Pushed:
    """A push that was checked and has its ids: `first` is that of its first row, the others follow."""

    number: str
    rows: Sequence[Message]
    push_id: int
    #: The ids of the rows, in their order: those after the push's own.
    ids: Sequence[str]

    @property
    def first(self) -> int:
        """The id of the first row."""
        return self.push_id + 1

    def calls(self, record_ttl_s: int) -> Iterator[Call]:
        """Yield the calls that enqueue it, CHUNK rows each, in the order of its rows: a push has one class."""
        script = scripts.load("headway", "push")
        push_id = str(self.push_id)
        for names, args in publish.calls(self.number, self.rows, self.ids, record_ttl_s=record_ttl_s, push_id=push_id):
            yield Call(script, names, args)

    def remembered(self, record_ttl_s: int) -> Call:
        """Build the call that notes what the push brought, for delivery reports."""
        to = "\n".join(recipient(row) for row in self.rows)
        args: list[scripts.Argument] = [
            record_ttl_s,
            self.number,
            self.first,
            len(self.rows),
            to,
            kind_of(self.rows[0]),
        ]
        return Call(scripts.load("gateway", "remember_push"), [keys.push(str(self.push_id))], args)


class PushEndpoint:
    """Takes pushes."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._claims = Claims(parts.commit)
        self._groups = Groups(parts.commit, parts.session, parts.settings)
        parts.before_close.append(self._groups.close)
        self._estimates = Estimates(parts.commit, parts.settings)
        self._ttl_s = parts.settings.record_ttl_s

    async def push(self, request: Request) -> Response:
        """Accept messages for a number: all rows of a push, or none of them when one is wrong."""
        key = idempotency.key_of(request)
        body = await read(request, limit=PUSH_LIMIT)
        on = self._parts.build if len(body) > LARGE else _at_once
        found, caller = await on(lambda: self._opened(request, body))
        if not key:
            number, rows = await on(lambda: self._checked(found))
            push_id = await self._parts.serials.take(len(rows) + 1)
            return _answer(await self._accept(number, rows, push_id, size=len(body)))
        asked = await on(lambda: idempotency.asked(key, caller=caller, body=body))
        claim = await self._claims.find(asked)
        if claim and claim.done and (kept := await self._parts.ask(partial(_kept, push_id=claim.push_id))):
            return _answer(_said_before(kept, claim.said), headers=idempotency.REPLAYED)
        number, rows = await on(lambda: self._checked(found))
        if not claim:
            mine = await self._parts.serials.take(len(rows) + 1)
            claim = await self._claims.take(asked, mine)
        accepted = await self._accept(number, rows, claim.push_id, size=len(body))
        for row in accepted.data:  # a repetition is told what the first was: of all rows, not of each
            row.estimated_send_at = UNSET
        await self._claims.conclude(asked, claim.push_id, _said(accepted))
        return _answer(accepted, headers=idempotency.REPLAYED if claim.known else None)

    def _opened(self, request: Request, body: bytes) -> tuple[dict[str, Any], str]:
        """Return the object in a body, and who asks. Raises HttpProblem; the token is looked at before anything else.

        With the right token in the header the body needs none.
        """
        tokens, in_header = self._parts.tokens, bearer(request)
        caller = tokens.caller(request) or tokens.require_in_front(body, in_header=in_header)
        found = parse_object(body, deepest=None)
        caller = caller or tokens.require_in_body(found.get("token") or in_header)
        return {"token": "", **found}, caller

    def _checked(self, found: dict[str, Any]) -> tuple[str, list[Message]]:
        """Return the number and its messages. Raises HttpProblem."""
        shape = read_shape(found)
        return self._parts.applications.require(str(shape.application).strip()), messages(shape)

    async def _accept(self, number: str, rows: Sequence[Message], push_id: int, *, size: int) -> PushAnswer:
        """Put the rows on their lanes under ids that follow the push's own; rows that are there already stay."""
        rows = await self._groups.with_members(number, rows)
        pushed = Pushed(number, rows, push_id, [str(id) for id in range(push_id + 1, push_id + 1 + len(rows))])
        place = await self._estimates.ask(number, rows)
        try:
            if size > LARGE or len(rows) > CHUNK:
                await self._enqueue_large(pushed)
            else:
                await self._enqueue(pushed)
        except Conflict:
            await self._parts.ask(lambda client: client.delete(keys.push(str(push_id))))
            raise
        return _estimated(_told(push_id, [recipient(row) for row in rows]), await self._estimates.of(place))

    async def _enqueue(self, pushed: Pushed) -> None:
        calls = [pushed.remembered(self._ttl_s), *pushed.calls(self._ttl_s)]
        for reply in await self._parts.commit.run_all(calls):
            if isinstance(reply, redis.ResponseError):
                if why := publish.drained(reply):
                    raise Conflict(f"{pushed.number}: {why}; nothing was accepted") from reply
                raise Unavailable(f"the server takes no messages ({reply}); nothing was accepted, try again") from reply

    async def _enqueue_large(self, pushed: Pushed) -> None:
        """Seal a piece on a thread while the server takes the one before."""
        under_way: list[asyncio.Future[Any]] = []
        calls = pushed.calls(self._ttl_s)
        call: Call | None = pushed.remembered(self._ttl_s)
        while call is not None:
            under_way.append(asyncio.ensure_future(self._parts.commit.run(call)))
            call = await self._parts.build(lambda: next(calls, None))
        _, *replies = await asyncio.gather(*under_way, return_exceptions=True)
        _whole(pushed, replies)


async def _at_once(work: Callable[[], T]) -> T:
    """Do a piece of work on the loop: a thread would cost more."""
    return work()


def _told(push_id: int, to: Sequence[str]) -> PushAnswer:
    rows = [PushedRow(str(push_id + at), whom) for at, whom in enumerate(to, start=1)]
    return PushAnswer(push_id=str(push_id), data=rows)


def _estimated(answer: PushAnswer, found: Sequence[Estimate]) -> PushAnswer:
    """Put estimates into an answer: the last one's, and those of the rows where each has one."""
    last = found[-1] if found else Estimate(None, ())
    answer.estimated_send_at, answer.waits_for = last.told(), list(last.waits_for)
    if len(found) == len(answer.data):
        for row, one in zip(answer.data, found, strict=True):
            row.estimated_send_at = one.told()
    return answer


def _said(answer: PushAnswer) -> str:
    """Return an answer's estimate, as a repetition finds it."""
    return msgspec.json.encode([answer.estimated_send_at, answer.waits_for]).decode()


def _said_before(answer: PushAnswer, said: str) -> PushAnswer:
    if said:
        answer.estimated_send_at, answer.waits_for = msgspec.json.decode(said)
    return answer


def _answer(accepted: PushAnswer, *, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(accepted), media_type="application/json", headers=headers)


def _kept(client: redis.Redis, *, push_id: int) -> PushAnswer | None:
    """Return the answer that a push was given, from what is remembered of it; None: its time is over."""
    to, count = cast("list[bytes | None]", client.hmget(keys.push(str(push_id)), "to", "count"))
    if to is None or count is None:
        return None
    text = to.decode("utf-8", "surrogatepass")
    return _told(push_id, text.split("\n") if int(count) > 1 else [text])


def recipient(row: Message) -> str:
    """Return whom a message is for: a number, or a group's id."""
    return row.to or row.group_id or ""


def _whole(pushed: Pushed, replies: Sequence[Any]) -> None:
    """See that every piece was taken. Raises Unavailable, which says which rows are accepted when some are."""
    problem = next((reply for reply in replies if isinstance(reply, BaseException)), None)
    if problem is None:
        return
    if not isinstance(problem, redis.ResponseError | BrokerUnavailable):
        raise problem
    taken = [index for index, reply in enumerate(replies) if not isinstance(reply, BaseException)]
    if not taken:
        if why := publish.drained(problem):
            raise Conflict(f"{pushed.number}: {why}; nothing was accepted") from problem
        raise Unavailable(f"nothing is known to be accepted: {problem}") from problem
    count = len(pushed.rows)
    spans = [(index * CHUNK, min(count, (index + 1) * CHUNK) - 1) for index in taken]
    accepted = sum(last - first + 1 for first, last in spans)
    _log.error(Event.PUSH_CUT, push=str(pushed.push_id), accepted=accepted, rows=count)
    named = ", ".join(f"data[{first}] to data[{last}]" for first, last in spans)
    raise Unavailable(
        f"only {accepted} of {count} rows are known to be accepted, as push_id {pushed.push_id} (msg_id of data[0] is "
        f"{pushed.first}, the others follow): {named}; {problem}"
    ) from problem
