"""How do the numbers stand, and what may be changed while everything runs? `/v1/numbers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import redis
from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from gateway.body import SMALL_LIMIT, parse_object, read, shown
from gateway.parts import Parts
from gateway.problems import BadRequest, NotFound, json_response
from headway.message import NUMBER
from runtime import variables
from runtime.parsing import did_you_mean
from runtime.telemetry import Event, get_logger
from scheduler import control, figures

#: Characters of who decided something.
_BY_LONGEST = 100

_log = get_logger("gateway")


class NumberFigures(Struct, kw_only=True):
    """One number at one moment, as `headway numbers --json` has it.

    `tps_from`: `live`, `workers` (the lowest that a running worker was started with), `default`, or an environment
    variable. `waiting` is by class. `spent`: events charged in the trailing window. `debt_ms`: how far its container
    is behind. `by` and `at_ms`: who changed something live last, and when.
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


class NumberList(Struct):
    """The numbers of HEADWAY_NUMBERS."""

    numbers: list[NumberFigures]


class NumberChange(Struct, forbid_unknown_fields=True):
    """What to change: `tps` null clears the live value, so that the environment's holds again; `by` says who decided.

    What is left out stays as it is.
    """

    tps: int | float | str | UnsetType | None = UNSET
    paused: bool | UnsetType = UNSET
    by: str = "http"


class NumberEndpoints:
    """Shows and changes numbers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def list(self, request: Request) -> Response:
        """Show how each number of HEADWAY_NUMBERS stands."""
        self._parts.tokens.require_bearer(request)
        settings = self._parts.settings
        found = await self._parts.ask(
            lambda client: [figures.read(client, settings, number).as_json() for number in settings.numbers]
        )
        return json_response({"numbers": found})

    async def get(self, request: Request) -> Response:
        """Show how a number stands."""
        self._parts.tokens.require_bearer(request)
        return await self._shown(await self._known(request))

    async def patch(self, request: Request) -> Response:
        """Change a number's TPS, or let it rest, in every process from the next lease on."""
        self._parts.tokens.require_bearer(request)
        number = await self._known(request)
        change = _change(parse_object(await read(request, limit=SMALL_LIMIT)))
        tps_milli = _milli(change.tps)
        await self._parts.ask(lambda client: _apply(client, number, change, tps_milli))
        told = {name: value for name in ("tps", "paused") if (value := getattr(change, name)) is not UNSET}
        _log.info(Event.NUMBER_CHANGED, number=number, by=change.by, **told)
        return await self._shown(number)

    async def _shown(self, number: str) -> Response:
        settings = self._parts.settings
        return json_response(await self._parts.ask(lambda client: figures.read(client, settings, number).as_json()))

    async def _known(self, request: Request) -> str:
        """Return the path's number, if anybody has heard of it: a mistyped one is neither shown nor paused."""
        number: str = request.path_params["number"]
        settings = self._parts.settings
        known = bool(NUMBER.match(number)) and await self._parts.ask(
            lambda client: figures.known(client, settings, number)
        )
        if known:
            return number
        raise NotFound(f"no worker and no message knows {shown(number)}: check it, or name it in HEADWAY_NUMBERS first")


def _change(body: Mapping[str, Any]) -> NumberChange:
    fields = NumberChange.__struct_fields__
    for name in body:
        if name not in fields:
            near = did_you_mean(name, fields)
            raise BadRequest(f"{shown(name)}: can't be changed{near}; there is {', '.join(fields)}")
    for name, meaning in (("paused", "true or false"), ("by", "text")):
        if name in body and not isinstance(body[name], bool if name == "paused" else str):
            raise BadRequest(f"{name}: must be {meaning}")
    if "tps" not in body and "paused" not in body:
        raise BadRequest("tps, paused: there is nothing to change")
    try:
        change = msgspec.convert(body, NumberChange)
    except msgspec.ValidationError:
        raise BadRequest("tps: must be a number, as in 20 or 0.5, or null to clear the live value") from None
    if not change.by.strip() or len(change.by) > _BY_LONGEST or not change.by.isprintable():
        raise BadRequest(f"by: must have 1 to {_BY_LONGEST} printable characters")
    return change


def _milli(tps: float | str | UnsetType | None) -> int | None:
    """Return the TPS in thousandths, by the same rules as HEADWAY_TPS. Raises BadRequest."""
    if tps is None or tps is UNSET:
        return None
    try:
        return variables.TPS.read(str(tps))
    except ValueError as error:
        raise BadRequest(f"tps: {error}") from None


def _apply(client: redis.Redis, number: str, change: NumberChange, tps_milli: int | None) -> None:
    if change.tps is not UNSET:
        control.set_tps(client, number, tps_milli, by=change.by)
    if change.paused is not UNSET:
        (control.pause if change.paused else control.resume)(client, number, by=change.by)
