"""How does a person, or an app, steer a number's messages over HTTP?

`/v1/numbers/{number}/control`, and what was done: `…/marks` and `…/audit`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import redis
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.body import SMALL_LIMIT, parse_object, read
from gateway.numbers import known_number
from gateway.parts import Parts
from gateway.problems import BadRequest, json_response
from gateway.routes import Endpoint
from headway.classes import MessageClass
from headway.errors import ControlError
from runtime.telemetry import Event, get_logger
from scheduler import marks
from scheduler.decree import Decree, duration, ends_at
from scheduler.history import KEPT, history
from scheduler.marks import Selection, server_ms
from scheduler.preview import preview
from scheduler.steer import Verb, check, steer

#: Rows that one request drops itself; leases drop the rest as they meet it.
MOST_DROPPED: Final = 10_000
#: Entries of the audit log in one answer unless more are asked for.
_PAGE: Final = 100

_log = get_logger("gateway")


class ControlRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to do with which of a number's messages: all that is given must be so; nothing given is all of them.

    `verb`: `pause`, `resume`, `purge`, `cancel`, `drain` (take no more pushes), `accept` (take them again). `to` is a
    recipient, `older_than` a duration such as `90s`, `30m`, `2h` or `1d`. `reason` must be given for purge, cancel and
    drain; `until` (a time with its zone, or a duration) ends a pause or a drain by itself. `by` says who decided. With
    `preview` nothing is done: the answer says how many it would be, and shows some.
    """

    verb: Verb
    class_: MessageClass | None = msgspec.field(name="class", default=None)
    campaign: str = ""
    tag: str = ""
    to: str = ""
    older_than: str = ""
    reason: str = ""
    until: str = ""
    by: str = ""
    preview: bool = False


class ControlAnswer(Struct, kw_only=True, omit_defaults=True):
    """What was done, or would be. `count`: how many messages; exact, or at least so many in the `looked` first ones.

    `dropped`: rows that are cancelled by now; what stands behind others on a lane follows as leases meet it. `marks`:
    what was made, or has ended.
    """

    verb: str
    selection: dict[str, str | int]
    preview: bool = False
    count: int | None = None
    exact: bool | None = None
    looked: int | None = None
    samples: list[dict[str, Any]] = []
    dropped: int | None = None
    marks: list[dict[str, Any]] = []


class MarkList(Struct, kw_only=True):
    """What stands of holds, drops and drains, the oldest first."""

    marks: list[dict[str, Any]]


class AuditLog(Struct, kw_only=True):
    """Who did what, when, from where and why, the newest first: the last 1,000 entries are kept."""

    entries: list[dict[str, Any]]


class ControlEndpoints:
    """Steers, and tells what was done."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def control(self, request: Request) -> Response:
        """Pause, resume, purge, cancel, drain or accept, by class, campaign, tag, recipient and age; or preview it."""
        fingerprint = self._parts.tokens.require_bearer(request)
        number = await known_number(self._parts, request)
        asked = _asked(parse_object(await read(request, limit=SMALL_LIMIT)))
        where = f"token {fingerprint} from {request.client.host if request.client else 'nowhere'}"
        only_look = asked.preview or request.query_params.get("preview") == "true"
        ttl_s = self._parts.settings.record_ttl_s

        def answer(client: redis.Redis) -> dict[str, Any]:
            selection, decree = _meant(client, asked, by=asked.by or f"token {fingerprint}", where=where)
            if only_look:
                if asked.reason or asked.verb is Verb.CANCEL:
                    check(asked.verb, selection, decree)
                found = preview(client, number, selection)
                named = {"verb": asked.verb.value, "selection": selection.as_json(), "preview": True}
                return named | found.as_json()
            done = steer(client, number, asked.verb, selection, decree, record_ttl_s=ttl_s, most=MOST_DROPPED)
            return done.as_json()

        try:
            told = await self._parts.ask(answer)
        except ControlError as error:
            raise BadRequest(str(error)) from None
        if not only_look:
            _log.info(Event.NUMBER_CHANGED, number=number, by=asked.by or where, where=where, verb=asked.verb.value)
        return json_response(told)

    async def marks(self, request: Request) -> Response:
        """Show what stands of holds, drops and drains."""
        return await self._told(request, lambda client, number: {
            "marks": [mark.as_json() for mark in marks.read(client, number)]
        })  # fmt: skip

    async def audit(self, request: Request) -> Response:
        """Show who did what with a number, when, from where and why: `?limit=100`."""
        text = request.query_params.get("limit", str(_PAGE))
        if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= KEPT):
            self._parts.tokens.require_bearer(request)
            raise BadRequest(f"limit: must be a whole number from 1 to {KEPT}")
        return await self._told(request, lambda client, number: {
            "entries": [entry.as_json() for entry in history(client, number, most=int(text))]
        })  # fmt: skip

    async def _told(self, request: Request, tell: Callable[[redis.Redis, str], dict[str, Any]]) -> Response:
        self._parts.tokens.require_bearer(request)
        number = await known_number(self._parts, request)
        return json_response(await self._parts.ask(lambda client: tell(client, number)))


def endpoints(parts: Parts) -> list[Endpoint]:
    """Return the addresses."""
    control, path = ControlEndpoints(parts), "/v1/numbers/{number}"
    return [
        Endpoint(
            "POST", f"{path}/control", control.control, takes=ControlRequest, gives=ControlAnswer, auth="bearer"
        ),
        Endpoint("GET", f"{path}/marks", control.marks, gives=MarkList, auth="bearer"),
        Endpoint("GET", f"{path}/audit", control.audit, gives=AuditLog, auth="bearer"),
    ]  # fmt: skip


def _asked(body: dict[str, Any]) -> ControlRequest:
    """Read what is asked. Raises BadRequest, which names the field."""
    try:
        return msgspec.convert(body, ControlRequest)
    except msgspec.ValidationError as error:
        problem, _, place = str(error).partition(" - at `$.")
        if place == "verb`" or "`verb`" in problem:
            problem += f"; say one of {', '.join(Verb)}"
        raise BadRequest(f"{place.rstrip('`')}: {problem}" if place else problem) from None


def _meant(client: redis.Redis, asked: ControlRequest, *, by: str, where: str) -> tuple[Selection, Decree]:
    """Return which messages are meant, and who decided. Raises ControlError."""
    selection = Selection(
        class_=asked.class_,
        campaign=asked.campaign,
        tag=asked.tag,
        to=asked.to,
        older_than=duration(asked.older_than, "older_than") if asked.older_than else None,
    )
    until_ms = ends_at(asked.until, server_ms(client)) if asked.until else None
    return selection, Decree(by=by, where=where, reason=asked.reason, until_ms=until_ms)
