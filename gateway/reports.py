"""What may an app ask about its pushes, and how are its rows doing? `POST /api/v2/delivery-report`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import redis
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from delivery.states import State
from gateway.body import QUESTION_LIMIT, parse_object, read
from gateway.parts import Parts
from gateway.problems import BadRequest, NotFound
from headway import keys

#: Our states in the numbers of Picky's delivery report: 1 delivered, 2 failed, 3 read, and 0 for what is still open.
STATUSES: Mapping[str, str] = {
    State.DELIVERED: "1",
    State.FAILED: "2",
    State.EXPIRED: "2",
    State.CAPPED: "2",
    State.DEAD: "2",
    State.READ: "3",
}
_OPEN = "0"
#: Below 2^53, as Serials gives them.
_MOST_DIGITS = 16


class ReportRequest(Struct):
    """Which push; what else Picky would take is not looked at."""

    token: str
    push_id: str | int


class ReportRow(Struct):
    """One row: `status` 0 open or unknown, 1 delivered, 2 failed, 3 read."""

    number: str
    msg_id: str
    status: str
    error_code: str = ""
    error_message: str = ""


class Report(Struct):
    """A push and its rows, in order. `time` is UTC. Types are Picky's: `push_id` is a number here."""

    project_id: str
    push_id: int
    application: str
    message_type: str
    time: str
    data: list[ReportRow]


@dataclass(frozen=True, slots=True)
class _Push:
    number: str
    first: int
    to: list[str]
    kind: str
    at_ms: int


class ReportEndpoint:
    """Reports on pushes from their records."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def report(self, request: Request) -> Response:
        """Report on the rows of a push."""
        body = parse_object(await read(request, limit=QUESTION_LIMIT))
        self._parts.tokens.require_in_body(body.get("token"))
        push_id = str(body.get("push_id", "")).strip()
        if not (push_id.isascii() and push_id.isdigit() and len(push_id) <= _MOST_DIGITS):
            raise BadRequest("push_id: must be the number that the push was answered with")
        report = await self._parts.ask(lambda client: _report(client, push_id, self._parts))
        return Response(msgspec.json.encode(report), media_type="application/json")


def _report(client: redis.Redis, push_id: str, parts: Parts) -> Report:
    push = _find(client, push_id)
    with client.pipeline(transaction=False) as pipe:
        for index in range(len(push.to)):
            pipe.hmget(keys.record(str(push.first + index)), "state", "code", "reason")
        found = pipe.execute()
    return Report(
        project_id="0",
        push_id=int(push_id),
        application=parts.settings.number(push.number).application,
        message_type=push.kind,
        time=datetime.fromtimestamp(push.at_ms / 1000, UTC).strftime("%d-%m-%Y %I:%M %p"),
        data=[_row(push, index, *map(_text, record)) for index, record in enumerate(found)],
    )


def _find(client: redis.Redis, push_id: str) -> _Push:
    fields = {_text(name): _text(value) for name, value in client.hgetall(keys.push(push_id)).items()}
    if not fields:
        raise NotFound(
            f"push_id: {push_id} is not known; it never was a push here, or its time is over (HEADWAY_RECORD_TTL)"
        )
    to = fields["to"].split("\n") if fields["count"] != "1" else [fields["to"]]
    return _Push(fields["number"], int(fields["first"]), to, fields["type"], int(fields["at_ms"]))


def _row(push: _Push, index: int, state: str, code: str, reason: str) -> ReportRow:
    status = STATUSES.get(state, _OPEN)
    failed = status == STATUSES[State.FAILED]
    error = (code, reason) if failed else ("", "")
    return ReportRow(push.to[index], str(push.first + index), status, *error)


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""
