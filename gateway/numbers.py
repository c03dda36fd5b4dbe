"""How do the numbers stand, and what may be changed while everything runs? `/v1/numbers`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import redis
from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from delivery import outbox_desk
from gateway.body import SMALL_LIMIT, parse_object, read, shown
from gateway.outbox_api import OutboxFigures
from gateway.parts import Parts
from gateway.problems import BadRequest, NotFound, json_response
from headway.errors import ControlError, SettingError
from headway.message import NUMBER
from runtime import variables
from runtime.parsing import did_you_mean
from runtime.settings import NumberSettings, Settings
from runtime.telemetry import Event, get_logger
from scheduler import control, figures, limits, live
from scheduler.decree import Decree, ends_at
from scheduler.marks import server_ms
from scheduler.outlook import outlook
from scheduler.rules import rules_of

#: Characters of who decided something.
_BY_LONGEST = 100
_CHANGEABLE = (*live.BY_NAME, "paused")

_log = get_logger("gateway")


class ShardFigures(Struct, kw_only=True):
    """One shard of a number with several; `shard` counts from 0."""

    shard: int
    waiting: dict[str, int]
    leased: int
    deferred: int
    uncertain: int
    dead: int
    spent: int
    debt_ms: int
    totals: dict[str, int]
    silent_pushes: int
    by_floor: int
    held: int


class NumberFigures(Struct, kw_only=True):
    """One number at one moment, as `headway numbers --json` has it.

    `tps_from`: `live`, `workers` (the lowest that a running worker was started with), `default`, or an environment
    variable. `waiting` is by class. `spent`: events charged in the trailing window. `debt_ms`: how far its container
    is behind. `silent_pushes`: requests that the provider accepted and of which nothing came back. `by_floor`:
    sends that the floor let go, whatever window and debt said. `held`: messages that a person holds aside.
    `empty_in_s`: by class, in how many seconds nothing will wait; null when nothing leaves.
    `outbox`: what came in and the number's app hasn't taken yet. `by` and `at_ms`: who
    changed something live last, and when. With several `shards` (left out with one) `tps` is that of each, `debt_ms`
    that of the one furthest behind, and all else the sum of all.
    """

    number: str
    tps: int | float
    tps_from: str
    paused: bool
    by: str | None
    at_ms: int | None
    waiting: dict[str, int]
    leased: int
    deferred: int
    uncertain: int
    dead: int
    spent: int
    debt_ms: int
    totals: dict[str, int]
    silent_pushes: int
    by_floor: int
    held: int
    empty_in_s: dict[str, float | None]
    outbox: OutboxFigures
    shards: list[ShardFigures] | UnsetType = UNSET


class NumberList(Struct):
    """The numbers of HEADWAY_NUMBERS."""

    numbers: list[NumberFigures]


class NumberDetail(NumberFigures, kw_only=True):
    """One number, and why it sends what it sends, as `headway explain <number> --json` has it.

    `limits`: each with its value, what is used of it, and where it comes from. `classes`: whether each may leave now,
    or what it waits for and until when. `changes`: who set what, when and from where, the newest first. `ignored`:
    values that were written by hand and can't be. `would_go`: of each class that has something waiting how much, how
    old its oldest is, and how many of the first `looked` have expired already, and never leave.
    """

    now_ms: int
    limits: list[dict[str, Any]]
    classes: list[dict[str, Any]]
    ignored: list[dict[str, str | None]]
    changes: list[dict[str, Any]]
    would_go: list[dict[str, Any]]


class NumberChange(Struct, forbid_unknown_fields=True):
    """What to change, with the bounds of the environment variables: all of it or nothing.

    null clears a live value, so that the environment's holds again; what is left out stays as it is. `headroom`, `calm`
    and `floor` are shares of the TPS, `guard` is in seconds, `receipts` is `delivered,read`, `delivered` or `none`,
    `event_webhook` is `on` or `off`; `by` says who decided, `reason` why. `until` (a time with its zone, or a duration
    like 2h) is when a pause ends by itself.
    """

    tps: int | float | str | UnsetType | None = UNSET
    headroom: int | float | str | UnsetType | None = UNSET
    calm: int | float | str | UnsetType | None = UNSET
    floor: int | float | str | UnsetType | None = UNSET
    in_flight: int | str | UnsetType | None = UNSET
    guard: int | float | str | UnsetType | None = UNSET
    push_per_minute: int | str | UnsetType | None = UNSET
    receipts: str | UnsetType | None = UNSET
    event_webhook: str | bool | UnsetType | None = UNSET
    paused: bool | UnsetType = UNSET
    by: str = "http"
    reason: str = ""
    until: str = ""


class NumberEndpoints:
    """Shows and changes numbers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def list(self, request: Request) -> Response:
        """Show how each number of HEADWAY_NUMBERS stands."""
        self._parts.tokens.require_bearer(request)
        settings = self._parts.settings
        found = await self._parts.ask(
            lambda client: [_figures(client, settings, number) for number in settings.numbers]
        )
        return json_response({"numbers": found})

    async def get(self, request: Request) -> Response:
        """Show how a number stands."""
        self._parts.tokens.require_bearer(request)
        return await self._shown(await known_number(self._parts, request))

    async def patch(self, request: Request) -> Response:
        """Change a number's TPS or what else a lease reads, or let it rest, in every process from the next lease on."""
        fingerprint = self._parts.tokens.require_bearer(request)
        number = await known_number(self._parts, request)
        body = parse_object(await read(request, limit=SMALL_LIMIT))
        by, told = _change(body)
        reason, until = (body.get(name, "") for name in ("reason", "until"))
        where = f"token {fingerprint} from {request.client.host if request.client else 'nowhere'}"
        own = self._parts.settings.number(number)
        try:
            await self._parts.ask(lambda client: _apply(client, own, told, _decree(client, by, where, reason, until)))
        except (SettingError, ControlError) as error:
            raise BadRequest(str(error)) from None
        _log.info(Event.NUMBER_CHANGED, number=number, by=by, where=where, **told)
        return await self._shown(number)

    async def _shown(self, number: str) -> Response:
        settings = self._parts.settings
        rules = rules_of(settings.number(number), lease_ttl_ms=settings.lease_ttl_ms)

        def detail(client: redis.Redis) -> dict[str, Any]:
            explained = limits.read(client, settings, number, rules).as_json()
            would_go = [one.as_json() for one in outlook(client, settings.number(number))]
            return {**_figures(client, settings, number), **explained, "would_go": would_go}

        return json_response(await self._parts.ask(detail))


async def known_number(parts: Parts, request: Request) -> str:
    """Return the path's number, if anybody has heard of it: a mistyped one is neither shown nor paused."""
    number: str = request.path_params["number"]
    settings = parts.settings
    known = bool(NUMBER.match(number)) and await parts.ask(lambda client: figures.known(client, settings, number))
    if known:
        return number
    raise NotFound(f"no worker and no message knows {shown(number)}: check it, or name it in HEADWAY_NUMBERS first")


def _figures(client: redis.Redis, settings: Settings, number: str) -> dict[str, Any]:
    """Return how a number stands, and what is kept for its app."""
    outbox = outbox_desk.counts(client, number).as_json()
    return {**figures.read(client, settings, number).as_json(), "outbox": outbox}


def _change(body: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return who decided, and what: numbers as text, None to clear, `paused` as it is. Raises BadRequest."""
    told = {name: value for name, value in body.items() if name not in ("by", "reason", "until")}
    for name in told:
        if name not in NumberChange.__struct_fields__:
            raise BadRequest(_unknown(name))
    for name, meaning in (("paused", "true or false"), ("by", "text"), ("reason", "text"), ("until", "text")):
        if name in body and not isinstance(body[name], bool if name == "paused" else str):
            raise BadRequest(f"{name}: must be {meaning}")
    if not told:
        raise BadRequest(f"{', '.join(_CHANGEABLE)}: there is nothing to change")
    by = body.get("by", "http")
    if not by.strip() or len(by) > _BY_LONGEST or not by.isprintable():
        raise BadRequest(f"by: must have 1 to {_BY_LONGEST} printable characters")
    return by, {name: value if name == "paused" else _text(name, value) for name, value in told.items()}


def _unknown(name: str) -> str:
    """Say what to do about a setting that can't be changed here."""
    if name.isidentifier() and name.isascii() and f"{variables.PREFIX}{name.upper()}" in variables.BY_NAME:
        try:
            live.setting(name)
        except SettingError as error:
            return str(error)
    fields = NumberChange.__struct_fields__
    return f"{shown(name)}: can't be changed{did_you_mean(name, fields)}; there is {', '.join(fields)}"


def _text(name: str, value: object) -> str | None:
    """Return a JSON value as it would be written in the environment; None clears. Raises BadRequest."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        if name == "event_webhook":
            return "on" if value else "off"
    elif isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return f"{Decimal(value if isinstance(value, int) else repr(value)):f}"
    kind = "text" if name in ("receipts", "event_webhook") else "a number, as in 20 or 0.5,"
    raise BadRequest(f"{name}: must be {kind} or null to clear the live value")


def _decree(client: redis.Redis, by: str, where: str, reason: str, until: str) -> Decree:
    """Return who decided, why and until when. Raises ControlError."""
    until_ms = ends_at(until, server_ms(client)) if until else None
    return Decree(by=by, where=where, reason=reason, until_ms=until_ms)


def _apply(client: redis.Redis, own: NumberSettings, told: Mapping[str, Any], decree: Decree) -> None:
    if decree.until_ms is not None and told.get("paused") is not True:
        raise ControlError("until", "goes with paused: true")
    changes = {name: value for name, value in told.items() if name != "paused"}
    fields = control.checked(changes, own=own, live=control.read(client, own.number))
    if "paused" in told:
        fields["paused"] = "1" if told["paused"] else ""
    control.change(
        client, own.number, fields, by=decree.by, where=decree.where, reason=decree.reason, until_ms=decree.until_ms
    )
