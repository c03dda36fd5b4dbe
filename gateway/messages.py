"""What became of a message, and how is one taken back? `GET` and `DELETE /v1/messages/{id}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from delivery import records
from delivery.records import Record
from gateway.parts import Parts
from gateway.problems import BadRequest, Conflict, NotFound
from headway.errors import ControlError
from headway.message import MESSAGE_ID
from scheduler.cancel import cancel
from scheduler.decree import Decree

NO_RECORD = (
    "there is no record of such a message: it never was accepted here, or its record has gone (HEADWAY_RECORD_TTL "
    "after its last change), or a plain Celery app published it and it has not been settled yet"
)


class MessageRecord(Struct, kw_only=True, omit_defaults=True):
    """What is known of a message; what isn't known is left out. Times are the server's, in milliseconds since 1970.

    `push`: our id of the push that brought it, `reference`: the app's own `reference_number`. `provider_id` and
    `push_id` are the provider's ids. `until_ms`: before then a deferred message doesn't leave. `history`: what didn't
    go well, and what was decided about it, oldest first.
    """

    id: str
    state: str
    number: str
    class_: str = msgspec.field(name="class")
    attempts: int
    accepted_ms: int | None = None
    changed_ms: int | None = None
    until_ms: int | None = None
    provider_id: str = ""
    push_id: str = ""
    push: str = ""
    reference: str = ""
    code: str = ""
    reason: str = ""
    history: tuple[Mapping[str, Any], ...] = ()


class MessageEndpoint:
    """Looks messages up."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def get(self, request: Request) -> Response:
        """Say what became of a message."""
        self._parts.tokens.require_bearer(request)
        return await self._shown(request.path_params["id"])

    async def cancel(self, request: Request) -> Response:
        """Take a message back before it leaves: `?reason=…&by=…`; 409 when it has left, or may have."""
        fingerprint = self._parts.tokens.require_bearer(request)
        message_id, asked = request.path_params["id"], request.query_params
        if not MESSAGE_ID.match(message_id):
            raise NotFound(NO_RECORD)
        where = f"token {fingerprint} from {request.client.host if request.client else 'nowhere'}"
        try:
            decree = Decree(by=asked.get("by") or f"token {fingerprint}", where=where, reason=asked.get("reason", ""))
        except ControlError as error:
            raise BadRequest(str(error)) from None
        ttl_s = self._parts.settings.record_ttl_s
        done = await self._parts.ask(lambda client: cancel(client, message_id, decree, record_ttl_s=ttl_s))
        if done.done:
            return await self._shown(message_id)
        if not done.state:
            raise NotFound(NO_RECORD)
        raise Conflict(f"{message_id} can't be cancelled: {done.why}")

    async def _shown(self, message_id: str) -> Response:
        found = None
        if MESSAGE_ID.match(message_id):
            found = await self._parts.ask(lambda client: records.look_up(client, message_id))
        if found is None:
            raise NotFound(NO_RECORD)
        return Response(msgspec.json.encode(_said(found)), media_type="application/json")


def _said(record: Record) -> MessageRecord:
    return MessageRecord(
        id=record.message_id,
        state=record.state.value,
        number=record.number,
        class_=record.class_,
        attempts=record.attempts,
        accepted_ms=record.accepted_ms,
        changed_ms=record.changed_ms,
        until_ms=record.until_ms,
        provider_id=record.provider_id,
        push_id=record.push_id,
        push=record.push,
        reference=record.reference,
        code=record.code,
        reason=record.reason,
        history=record.history,
    )
