"""What was given up, and of what does nobody know? `/v1/dead` and `/v1/uncertain`: look, retry, discard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from delivery import dead
from delivery.dead import Verb
from delivery.states import State
from gateway.body import SMALL_LIMIT, parse_object, read, shown
from gateway.parts import Parts
from gateway.problems import BadRequest, NotFound, json_response
from gateway.routes import Endpoint
from headway.message import MESSAGE_ID

_PAGE = 50
#: Ids in one request.
_MOST_IDS = 1000
#: Characters of who decided something.
_BY_LONGEST = 100


class KeptMessage(Struct, kw_only=True, omit_defaults=True):
    """A dead or an uncertain message; what isn't known is left out. Times are in milliseconds since 1970.

    `held`: nothing came back of an uncertain one in time, and a person decides. `push` is our id of the push that
    brought it, `reference` the app's own. One that is asked for alone has `fields`, what it says, and `history`, what
    didn't go well, oldest first.
    """

    id: str
    number: str
    state: str
    class_: str = msgspec.field(name="class", default="")
    since_ms: int
    attempts: int
    held: bool | None = None
    code: str = ""
    reason: str = ""
    push: str = ""
    reference: str = ""
    fields: dict[str, Any] = {}
    history: list[dict[str, Any]] = []


class KeptPage(Struct, kw_only=True):
    """Some of them, held ones first; `after` asks for the next page, and is empty on the last one."""

    messages: list[KeptMessage]
    after: str


class KeptChoice(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which messages: by `ids`, or `all` of them, of one `number` or of all. `by` says who decided."""

    ids: list[str] = []
    all: bool = False
    number: str = ""
    by: str = "http"


class KeptDone(Struct, kw_only=True):
    """How many messages were changed."""

    changed: int


class KeptEndpoints:
    """Shows and changes messages that are in one of the two states."""

    def __init__(self, parts: Parts, state: State) -> None:
        self._parts = parts
        self._state = state
        self._name = "dead" if state is State.DEAD else "uncertain"

    async def page(self, request: Request) -> Response:
        """List such messages, those that are held for a person first: `?number=…&limit=50&after=…`."""
        self._parts.tokens.require_bearer(request)
        asked = request.query_params
        numbers = self._numbers(asked.get("number", ""))
        limit, after = asked.get("limit", str(_PAGE)), asked.get("after", "")
        if not (limit.isascii() and limit.isdigit() and 0 < int(limit[:9]) <= dead.MOST):
            raise BadRequest(f"limit: must be a whole number from 1 to {dead.MOST}")
        try:
            found = await self._parts.ask(
                lambda client: dead.page(client, numbers, self._state, most=int(limit), after=after)
            )
        except ValueError as error:
            raise BadRequest(f"after: {error}") from None
        return json_response({"messages": [row.as_json() for row in found.rows], "after": found.next})

    async def get(self, request: Request) -> Response:
        """Show such a message: what it says, why it is here, and its history."""
        self._parts.tokens.require_bearer(request)
        message_id = self._id(request)
        found = await self._parts.ask(lambda client: dead.find(client, self._parts.settings.numbers, message_id))
        if found is None or found.state is not self._state:
            raise self._none(message_id)
        return json_response(found.as_json())

    def one(self, verb: Verb) -> Callable[[Request], Awaitable[Response]]:
        """Return what decides about the path's message."""

        async def decide(request: Request) -> Response:
            self._parts.tokens.require_bearer(request)
            message_id = self._id(request)
            if not await self._decide([message_id], verb, by="http"):
                raise self._none(message_id)
            return json_response({"changed": 1})

        decide.__doc__ = {
            Verb.RETRY: "Have such a message sent again, from the tail of its lane, with all its tries.",
            Verb.DISCARD: "Let such a message go: it never leaves.",
            Verb.SENT: "Say that such a message was sent: it never leaves again.",
        }[verb]
        return decide

    def many(self, verb: Verb) -> Callable[[Request], Awaitable[Response]]:
        """Return what decides about several messages, or about all."""

        async def decide(request: Request) -> Response:
            self._parts.tokens.require_bearer(request)
            chosen = _chosen(parse_object(await read(request, limit=SMALL_LIMIT)))
            if chosen.all:
                changed = await self._decide_all(self._numbers(chosen.number), verb, by=chosen.by)
            else:
                changed = await self._decide(chosen.ids, verb, by=chosen.by)
            return json_response({"changed": changed})

        decide.__doc__ = f"{verb.value.capitalize()} several such messages, or all of them."
        return decide

    async def _decide(self, ids: list[str], verb: Verb, *, by: str) -> int:
        settings = self._parts.settings
        return await self._parts.ask(
            lambda client: len(
                dead.decide_some(
                    client, settings.numbers, self._state, ids, verb, by=by, record_ttl_s=settings.record_ttl_s
                )
            )
        )

    async def _decide_all(self, numbers: tuple[str, ...], verb: Verb, *, by: str) -> int:
        ttl_s = self._parts.settings.record_ttl_s
        return await self._parts.ask(
            lambda client: sum(dead.decide_all(client, numbers, self._state, verb, by=by, record_ttl_s=ttl_s))
        )

    def _numbers(self, asked: str) -> tuple[str, ...]:
        if not asked:
            return self._parts.settings.numbers
        if asked not in self._parts.settings.numbers:
            raise NotFound(f"number: {shown(asked)} isn't in HEADWAY_NUMBERS")
        return (asked,)

    def _id(self, request: Request) -> str:
        message_id: str = request.path_params["id"]
        if not MESSAGE_ID.match(message_id):
            raise self._none(message_id)
        return message_id

    def _none(self, message_id: str) -> NotFound:
        return NotFound(f"{shown(message_id)} is not {self._name}: GET /v1/messages/{{id}} says what became of it")


def endpoints(parts: Parts) -> list[Endpoint]:
    """Return the addresses of both."""
    found: list[Endpoint] = []
    for state, verbs in ((State.DEAD, (Verb.RETRY, Verb.DISCARD)), (State.UNCERTAIN, tuple(Verb))):
        kept, path = KeptEndpoints(parts, state), f"/v1/{state.value}"
        found.append(Endpoint("GET", path, kept.page, gives=KeptPage, auth="bearer"))
        found.append(Endpoint("GET", path + "/{id}", kept.get, gives=KeptMessage, auth="bearer"))
        for verb in verbs:
            found.append(Endpoint("POST", f"{path}/{{id}}/{verb.value}", kept.one(verb), gives=KeptDone, auth="bearer"))
            found.append(
                Endpoint(
                    "POST", f"{path}/{verb.value}", kept.many(verb), takes=KeptChoice, gives=KeptDone, auth="bearer"
                )
            )
    return found


def _chosen(body: dict[str, Any]) -> KeptChoice:
    """Read which messages are meant. Raises BadRequest."""
    unknown = [name for name in body if name not in KeptChoice.__struct_fields__]
    if unknown:
        raise BadRequest(f"{shown(unknown[0])}: there is {', '.join(KeptChoice.__struct_fields__)}")
    ids, every, number, by = body.get("ids", []), body.get("all", False), body.get("number", ""), body.get("by", "http")
    if not isinstance(ids, list) or not all(isinstance(one, str) and MESSAGE_ID.match(one) for one in ids):
        raise BadRequest("ids: must be a list of message ids")
    if len(ids) > _MOST_IDS:
        raise BadRequest(f"ids: at most {_MOST_IDS} at a time, not {len(ids)}")
    if not isinstance(every, bool) or every == bool(ids):
        raise BadRequest("ids: name messages, or say all: true")
    if not isinstance(number, str) or (number and not every):
        raise BadRequest("number: goes with all: true, as text")
    if not isinstance(by, str) or not by.strip() or len(by) > _BY_LONGEST or not by.isprintable():
        raise BadRequest(f"by: must have 1 to {_BY_LONGEST} printable characters")
    return KeptChoice(ids=ids, all=every, number=number, by=by)
