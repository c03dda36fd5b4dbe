"""How does a file, or a list of rows, become a campaign over HTTP, and how is it looked at? `/v1/campaigns`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
import redis
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response

from campaigns import load, progress, store, tables
from campaigns.plan import Plan
from campaigns.problems import (
    MOST_LISTED,
    BadColumns,
    BadRows,
    CampaignConflict,
    CampaignError,
    UnknownCampaign,
    UnreadableFile,
)
from campaigns.progress import Progress
from campaigns.recipe import RECIPE, Recipe
from campaigns.store import Campaign, State, Who
from campaigns.tables import Limits, Table
from gateway.body import SMALL_LIMIT, parse_object, read, shown
from gateway.campaign_shapes import (
    CampaignAnswer,
    CampaignOrder,
    CampaignPage,
    CampaignRequest,
    CampaignShown,
    CampaignWish,
)
from gateway.parts import Parts
from gateway.problems import BadRequest, Conflict, HttpProblem, NotFound, TooLarge, Unavailable, json_response
from gateway.routes import Endpoint
from headway.errors import ControlError, InvalidMessage, NumberDrained
from runtime.telemetry import Event, get_logger
from scheduler import campaigns as of_campaign
from scheduler import cost
from scheduler.decree import Decree
from scheduler.steer import Verb

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

#: Bytes of a body beside its file.
_REST: Final = 256 * 1024
#: Campaigns that may wait for their turn with their bodies in memory.
_MOST_WAITING: Final = 4
_STATES: Final = {Verb.PAUSE: State.PAUSED, Verb.RESUME: State.RUNNING, Verb.CANCEL: State.CANCELLED}
_MULTIPART: Final = "multipart/form-data"

_log = get_logger("gateway")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request for a campaign: what it says, and the file's name and bytes unless it has rows."""

    order: CampaignOrder
    rows: list[dict[str, Any]] | None = None
    file: str = ""
    content: bytes = b""


class CampaignEndpoints:
    """Makes, shows and steers campaigns. One is made at a time: its work would hold up webhooks else."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        settings = parts.settings
        self._limits = Limits(settings.campaign_recipients, settings.campaign_upload, settings.campaign_bytes)
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def make(self, request: Request) -> Response:
        """Send rows, or a CSV or XLSX file, to everybody in it; `dry_run` shows what would be sent, and its cost."""
        fingerprint = self._parts.tokens.require_bearer(request)
        asked = await self._asked(request)
        where = _where(request, fingerprint)
        if self._waiting >= _MOST_WAITING:
            raise Unavailable("several campaigns are being made: try again when they are")
        self._waiting += 1
        try:
            async with self._turn:
                answer = await self._parts.ask(lambda client: _saying(lambda: self._made(client, asked, where)))
        finally:
            self._waiting -= 1
        return json_response(answer)

    async def page(self, request: Request) -> Response:
        """List campaigns, the newest first: `?limit=50&after=…`."""
        self._parts.tokens.require_bearer(request)
        limit, after = request.query_params.get("limit", "50"), request.query_params.get("after", "")
        if not (limit.isascii() and limit.isdigit() and 0 < int(limit[:9]) <= store.MOST):
            raise BadRequest(f"limit: must be a whole number from 1 to {store.MOST}")
        found, next_ = await self._parts.ask(
            lambda client: _saying(lambda: _listed(client, most=int(limit), after=after[:64]))
        )
        return json_response({"campaigns": [one.as_json() for one in found], "after": next_})

    async def get(self, request: Request) -> Response:
        """Show a campaign, and how many of its messages are in each state."""
        self._parts.tokens.require_bearer(request)
        return await self._shown(request.path_params["id"])

    def steer(self, verb: Verb) -> Callable[[Request], Awaitable[Response]]:
        """Return what pauses, resumes or cancels the path's campaign."""

        async def steer(request: Request) -> Response:
            fingerprint = self._parts.tokens.require_bearer(request)
            body = await read(request, limit=SMALL_LIMIT)
            wish = _converted(parse_object(body) if body else {}, CampaignWish)
            campaign_id = request.path_params["id"]
            who = Who(wish.by, _where(request, fingerprint), wish.reason)
            changed = await self._parts.ask(lambda client: _saying(lambda: _become(client, campaign_id, verb, who)))
            _log.info(
                Event.CAMPAIGN_CHANGED,
                campaign=changed.id,
                number=changed.number,
                state=changed.state.value,
                by=who.by,
                where=who.where,
            )
            return await self._shown(campaign_id)

        steer.__doc__ = {
            Verb.PAUSE: "Let a campaign rest: within a second none of its messages leaves.",
            Verb.RESUME: "Let a paused campaign go on.",
            Verb.CANCEL: "End a campaign for good: what has not left never does. Say why, as `reason`.",
        }[verb]
        return steer

    async def _shown(self, campaign_id: str) -> Response:
        def look(client: redis.Redis) -> dict[str, Any]:
            found = store.read(client, campaign_id)
            counts = Progress(found.id).look(client, found)
            return {**progress.noted(client, found, counts).as_json(), "messages": dict(counts)}

        return json_response(await self._parts.ask(lambda client: _saying(lambda: look(client))))

    async def _asked(self, request: Request) -> _Asked:
        """Read a body of either kind. Raises HttpProblem."""
        body = await read(request, limit=self._limits.bytes + _REST)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == _MULTIPART:
            return await _upload(request, body, self._limits)
        asked = _converted(parse_object(body), CampaignRequest)
        order = CampaignOrder(**{name: getattr(asked, name) for name in CampaignOrder.__struct_fields__})
        return _Asked(order, rows=asked.rows)

    def _made(self, client: redis.Redis, asked: _Asked, where: str) -> dict[str, Any]:
        """Make the campaign, on a thread."""
        said, settings = asked.order, self._parts.settings
        number = self._parts.applications.require(said.number)
        recipe = Recipe.of({name: getattr(said, "class_" if name == "class" else name) for name in RECIPE})
        table = self._table(asked, recipe)
        order = load.Order(
            table=table, recipe=recipe, number=number, name=said.name or table.file,
            who=Who(said.by, where, said.reason),
        )  # fmt: skip
        if said.dry_run:
            made, suppressed = load.preview(client, order, limits=self._limits)
            costs = cost.of_more(client, settings, number, recipe.class_, len(made.rows) - suppressed)
            return {"campaign": None, **_counts(made, suppressed), "repeated": False} | {
                "preview": made.preview(said.preview), "cost": costs.as_json(),
            }  # fmt: skip
        outcome = load.send(client, order, limits=self._limits, record_ttl_s=settings.record_ttl_s)
        _tell(outcome, number)
        return {"campaign": outcome.campaign.as_json(), **_counts(outcome.plan, outcome.campaign.suppressed)} | {
            "repeated": outcome.repeated, "preview": [], "cost": None,
        }  # fmt: skip

    def _table(self, asked: _Asked, recipe: Recipe) -> Table:
        if asked.rows is None:
            return tables.read(asked.content, file=asked.file, limits=self._limits, sheet=recipe.sheet)
        return tables.of_rows(asked.rows, file=asked.order.name, limits=self._limits)


def endpoints(parts: Parts) -> list[Endpoint]:
    """Return the addresses of campaigns."""
    served = CampaignEndpoints(parts)
    path = "/v1/campaigns"
    found = [
        Endpoint("GET", path, served.page, gives=CampaignPage, auth="bearer"),
        Endpoint(
            "POST", path, served.make, takes=CampaignRequest, gives=CampaignAnswer, auth="bearer", uploads=CampaignOrder
        ),
        Endpoint("GET", path + "/{id}", served.get, gives=CampaignShown, auth="bearer"),
    ]
    steered = {verb: f"{path}/{{id}}/{verb.value}" for verb in of_campaign.VERBS}
    return found + [
        Endpoint("POST", at, served.steer(verb), takes=CampaignWish, gives=CampaignShown, auth="bearer")
        for verb, at in steered.items()
    ]


async def _upload(request: Request, body: bytes, limits: Limits) -> _Asked:
    """Read a form with the parts `file` and `campaign`. Raises BadRequest."""

    async def stream() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(body), 1 << 16):
            yield body[start : start + (1 << 16)]

    parser = MultiPartParser(request.headers, stream(), max_files=1, max_fields=1, max_part_size=_REST)
    try:
        form = await parser.parse()
    except (MultiPartException, ValueError, LookupError, AssertionError) as error:
        raise BadRequest(f"the form can't be read: {shown(str(error)) or type(error).__name__}") from None
    try:
        file, said = form.get("file"), form.get("campaign")
        if not isinstance(file, UploadFile) or not isinstance(said, str):
            raise BadRequest("give a form with two parts: file, with a name, and campaign, a JSON object")
        content = await file.read(limits.bytes + 1)
        if len(content) > limits.bytes:
            raise TooLarge(f"file: has more than {limits.bytes} bytes (HEADWAY_CAMPAIGN_BYTES)")
        order = _converted(parse_object(said.encode("utf-8", "surrogatepass")), CampaignOrder)
        return _Asked(order, file=file.filename or order.name, content=content)
    finally:
        await form.close()


def _converted(found: Mapping[str, Any], kind: type[S]) -> S:
    """Return an object as one of our shapes. Raises BadRequest, which names the field."""
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        raise BadRequest(_told(str(error))) from None


def _told(error: str) -> str:
    """Say `$.rows[2].to: …` as our other errors do."""
    problem, _, place = error.partition(" - at `")
    return f"{shown(place.rstrip('`').removeprefix('$.'))}: {problem}" if place else problem


def _saying(work: Callable[[], T]) -> T:
    """Do something of campaigns, and say its refusals as HTTP does."""
    try:
        return work()
    except HttpProblem:
        raise
    except UnknownCampaign as error:
        raise NotFound(str(error)) from None
    except (CampaignConflict, NumberDrained) as error:
        raise Conflict(str(error)) from None
    except BadRows as error:
        raise BadRequest(str(error), problems=error.listed) from None
    except BadColumns as error:
        raise BadRequest(str(error), problems=error.problems) from None
    except (CampaignError, UnreadableFile, InvalidMessage, ControlError) as error:
        raise BadRequest(str(error)) from None


def _listed(client: redis.Redis, *, most: int, after: str) -> tuple[list[Campaign], str]:
    found, next_ = store.page(client, most=most, after=after)
    return [progress.settled(client, one) for one in found], next_


def _become(client: redis.Redis, campaign_id: str, verb: Verb, who: Who) -> Campaign:
    """Change a campaign's state, then what its messages do: nothing is pushed behind the mark that drops them."""
    found = store.read(client, campaign_id)
    decree = Decree(by=who.by, where=who.where, reason=who.reason)
    of_campaign.require(verb, found.id, decree)
    changed = store.become(client, found.id, _STATES[verb])
    of_campaign.steer_all(client, found.number, found.id, verb, decree, record_ttl_s=changed.ttl_s)
    return changed


def _counts(made: Plan, suppressed: int) -> dict[str, Any]:
    return {
        "records": made.records,
        "rows": len(made.rows),
        "by_class": made.by_class,
        "duplicates": [one.as_json() for one in made.duplicates[:MOST_LISTED]],
        "suppressed": suppressed,
        "bad": [problem.as_json() for problem in made.bad[:MOST_LISTED]],
        "bad_rows": made.bad_rows,
        "ignored_columns": list(made.ignored),
    }


def _tell(outcome: load.Outcome, number: str) -> None:
    found = outcome.campaign
    if not outcome.repeated:
        _log.info(Event.CAMPAIGN_BEGUN, campaign=found.id, number=number, rows=found.rows, by=found.by)
        _log.info(
            Event.CAMPAIGN_LOADED,
            campaign=found.id,
            number=number,
            queued=found.queued,
            suppressed=found.suppressed,
        )


def _where(request: Request, fingerprint: str) -> str:
    return f"token {fingerprint} from {request.client.host if request.client else 'nowhere'}"
