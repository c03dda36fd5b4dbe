"""What is kept for the app, and what may be done about it? `/v1/outbox`."""

from __future__ import annotations

import json
from typing import Any, cast

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from delivery import outbox_desk
from delivery.outbox_desk import MOST_PAGE, PAGE, Place
from gateway.body import shown
from gateway.parts import Parts
from gateway.problems import BadRequest, NotFound, json_response
from gateway.routes import Endpoint
from headway.message import NUMBER

_PLACES = ("waiting", "parked")


class OutboxFigures(Struct, kw_only=True):
    """An outbox: entries that wait, in the lines of so many contacts; entries given up; bytes of all.

    `oldest_ms`: when the first of those that wait came, in milliseconds since 1970.
    """

    waiting: int
    contacts: int
    parked: int
    bytes: int
    oldest_ms: int | None


class OutboxCounts(OutboxFigures, kw_only=True):
    """One number's outbox."""

    number: str


class OutboxList(Struct, kw_only=True):
    """The outbox of each number of HEADWAY_NUMBERS."""

    numbers: list[OutboxCounts]


class OutboxEntry(Struct, kw_only=True):
    """Something that came in and that the app hasn't taken yet. Times are in milliseconds since 1970.

    `state`: `waiting` or `parked`; `what`: `inbound`, `receipts` or `notice`. `due_ms`: when its contact's line is
    tried next; `parked_ms`: when it was given up. `problem`: why the app didn't take it last.
    """

    id: str
    state: str
    what: str
    contact: str
    at_ms: int
    attempts: int
    due_ms: int | None
    parked_ms: int | None
    problem: str


class OutboxDetail(OutboxEntry, kw_only=True):
    """An entry with its body, as the app gets it."""

    body: dict[str, Any]


class OutboxPage(Struct, kw_only=True):
    """Some entries; `after` asks for the next page, and is empty on the last one."""

    entries: list[OutboxEntry]
    after: str


class OutboxDone(Struct, kw_only=True):
    """How many entries are tried at once."""

    retried: int


class OutboxEndpoints:
    """Shows and changes what is kept for the apps."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def counts(self, request: Request) -> Response:
        """Show how much is kept for the app of each number."""
        self._parts.tokens.require_bearer(request)
        numbers = self._parts.settings.numbers
        found = await self._parts.ask(lambda client: [outbox_desk.counts(client, number) for number in numbers])
        told = [{"number": number, **one.as_json()} for number, one in zip(numbers, found, strict=True)]
        return json_response({"numbers": told})

    async def page(self, request: Request) -> Response:
        """List what is kept for the app of a number: `?state=waiting|parked&limit=50&after=…`."""
        number = self._number(request)
        place, after = request.query_params.get("state", "waiting"), request.query_params.get("after", "")
        if place not in _PLACES:
            raise BadRequest("state: must be waiting or parked")
        limit = request.query_params.get("limit", str(PAGE))
        if not (limit.isascii() and limit.isdigit() and 0 < int(limit[:9]) <= MOST_PAGE):
            raise BadRequest(f"limit: must be a whole number from 1 to {MOST_PAGE}")
        chosen = cast("Place", place)
        try:
            found = await self._parts.ask(
                lambda client: outbox_desk.page(client, number, chosen, after=after, limit=int(limit))
            )
        except ValueError as error:
            raise BadRequest(str(error)) from None
        return json_response({"entries": [one.as_json() for one in found.entries], "after": found.after})

    async def get(self, request: Request) -> Response:
        """Show one entry with its body."""
        number, entry_id = self._number(request), request.path_params["id"]
        found = await self._parts.ask(lambda client: outbox_desk.look_up(client, number, entry_id))
        if found is None:
            raise _no_entry(entry_id)
        return json_response({**found.as_json(), "body": json.loads(found.entry.body)})

    async def retry(self, request: Request) -> Response:
        """Try an entry at once, parked or not, and for days again."""
        number, entry_id = self._number(request), request.path_params["id"]
        if not await self._parts.ask(lambda client: outbox_desk.retry(client, number, entry_id)):
            raise _no_entry(entry_id)
        return json_response({"retried": 1})

    async def retry_all(self, request: Request) -> Response:
        """Try everything that is kept for the app of a number at once, parked or not."""
        number = self._number(request)
        return json_response({"retried": await self._parts.ask(lambda client: outbox_desk.retry_all(client, number))})

    async def discard(self, request: Request) -> Response:
        """Throw an entry away: the app never gets it."""
        number, entry_id = self._number(request), request.path_params["id"]
        if not await self._parts.ask(lambda client: outbox_desk.discard(client, number, entry_id)):
            raise _no_entry(entry_id)
        return json_response({})

    def _number(self, request: Request) -> str:
        """Return the path's number, once the token is right."""
        self._parts.tokens.require_bearer(request)
        number: str = request.path_params["number"]
        if not NUMBER.match(number):
            raise NotFound(f"number: {shown(number)} is no WhatsApp number")
        return number


def endpoints(parts: Parts) -> list[Endpoint]:
    """Return the addresses of the outbox."""
    box = OutboxEndpoints(parts)
    one = "/v1/outbox/{number}/{id:path}"
    return [
        Endpoint("GET", "/v1/outbox", box.counts, gives=OutboxList, auth="bearer"),
        Endpoint("GET", "/v1/outbox/{number}", box.page, gives=OutboxPage, auth="bearer"),
        Endpoint("POST", "/v1/outbox/{number}/retry", box.retry_all, gives=OutboxDone, auth="bearer"),
        Endpoint("POST", f"{one}/retry", box.retry, gives=OutboxDone, auth="bearer"),
        Endpoint("GET", one, box.get, gives=OutboxDetail, auth="bearer"),
        Endpoint("DELETE", one, box.discard, auth="bearer"),
    ]


def _no_entry(entry_id: str) -> NotFound:
    return NotFound(f"there is no entry {shown(entry_id)}: the app took it, or a person discarded it")
