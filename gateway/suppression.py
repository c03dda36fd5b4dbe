"""Who gets no campaign, over HTTP? `/v1/suppression`: look, add, remove."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import msgspec
import redis
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from campaigns import phones, suppression
from campaigns.phones import NoNumber
from campaigns.problems import CampaignError
from gateway.body import SMALL_LIMIT, parse_object, read, shown
from gateway.parts import Parts
from gateway.problems import BadRequest, NotFound, json_response
from gateway.routes import Endpoint

#: Recipients in one request.
_MOST: Final = 10_000
#: Characters of a cursor of the server.
_CURSOR: Final = 20


class SuppressedRecipient(Struct, kw_only=True):
    """A recipient that no campaign sends to; who said so, from where, when (milliseconds since 1970) and why."""

    to: str
    by: str
    where: str
    at_ms: int
    reason: str


class SuppressionPage(Struct, kw_only=True):
    """Some of the list, in no order; `after` asks for the next page, and is empty on the last one."""

    recipients: list[SuppressedRecipient]
    after: str


class SuppressionChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which recipients, as people write phone numbers; `country` (two letters): where those without + are from."""

    recipients: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(min_length=1, max_length=_MOST)]
    country: Annotated[str, Meta(max_length=2)] = ""
    by: Annotated[str, Meta(min_length=1, max_length=100)] = "http"
    reason: Annotated[str, Meta(max_length=500)] = ""


class SuppressionDone(Struct, kw_only=True):
    """How many recipients were changed, and how many are on the list now."""

    changed: int
    total: int


class SuppressionEndpoints:
    """Shows and changes the list."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def page(self, request: Request) -> Response:
        """List who gets no campaign: `?after=…`."""
        self._parts.tokens.require_bearer(request)
        after = request.query_params.get("after", "0")
        if not (after.isascii() and after.isdigit() and len(after) <= _CURSOR and int(after) < 1 << 64):
            raise BadRequest("after: must be what the last page said")
        found, next_ = await self._parts.ask(lambda client: suppression.page(client, cursor=int(after)))
        return json_response({"recipients": [one.as_json() for one in found], "after": str(next_) if next_ else ""})

    async def get(self, request: Request) -> Response:
        """Say who put a recipient on the list, and why."""
        self._parts.tokens.require_bearer(request)
        to = request.path_params["to"]
        found = await self._parts.ask(lambda client: suppression.find(client, to[:64]))
        if found is None:
            raise NotFound(f"{shown(to)} is not on the list")
        return json_response(found.as_json())

    async def add(self, request: Request) -> Response:
        """Put recipients on the list: no campaign sends to them, one that is being loaded neither."""
        fingerprint = self._parts.tokens.require_bearer(request)
        where = f"token {fingerprint} from {request.client.host if request.client else 'nowhere'}"

        def change(client: redis.Redis, told: SuppressionChange, to: list[str]) -> int:
            return suppression.add(client, to, by=told.by, where=where, reason=told.reason)

        return await self._changed(request, change)

    async def remove(self, request: Request) -> Response:
        """Take recipients off the list."""
        self._parts.tokens.require_bearer(request)
        return await self._changed(request, lambda client, _told, to: suppression.remove(client, to))

    async def _changed(
        self, request: Request, change: Callable[[redis.Redis, SuppressionChange, list[str]], int]
    ) -> Response:
        found = parse_object(await read(request, limit=SMALL_LIMIT))
        try:
            told = msgspec.convert(found, SuppressionChange)
        except msgspec.ValidationError as error:
            raise BadRequest(_told(str(error))) from None
        to = await self._parts.build(lambda: _numbers(told))
        try:
            changed, total = await self._parts.ask(lambda client: (change(client, told, to), suppression.count(client)))
        except CampaignError as error:
            raise BadRequest(str(error)) from None
        return json_response({"changed": changed, "total": total})


def endpoints(parts: Parts) -> list[Endpoint]:
    """Return the addresses of the list."""
    served, path = SuppressionEndpoints(parts), "/v1/suppression"

    def post(at: str, handler: Callable[[Request], Awaitable[Response]]) -> Endpoint:
        return Endpoint("POST", at, handler, takes=SuppressionChange, gives=SuppressionDone, auth="bearer")

    return [
        Endpoint("GET", path, served.page, gives=SuppressionPage, auth="bearer"),
        post(path, served.add),
        post(path + "/remove", served.remove),
        Endpoint("GET", path + "/{to}", served.get, gives=SuppressedRecipient, auth="bearer"),
    ]


def _told(problem: str) -> str:
    """Name the fields that are taken where one is unknown or missing: msgspec names no place then."""
    return problem if " - at `" in problem else f"{problem}; it takes {', '.join(SuppressionChange.__struct_fields__)}"


def _numbers(told: SuppressionChange) -> list[str]:
    country = told.country.upper()
    if country and country not in phones.countries():
        raise BadRequest(f"country: {shown(country)!r} is none; write two letters, as in IT")
    found = []
    for at, text in enumerate(told.recipients):
        try:
            found.append(phones.normalised(text, country=country))
        except NoNumber as error:
            raise BadRequest(f"recipients[{at}]: {error}; nothing was changed") from None
    return found
