"""What came in from Picky Assist? `POST /webhooks/picky/{number}`, for its global and its event webhook.

Counted first, then matched, then passed on to the app, then answered. A repetition is counted once. An inbound message
reaches the app once; receipts may reach it again when the provider repeats them, as they do without us. What the app
doesn't take is kept for it (`gateway.outbox`), what can't be counted while the server is away is written down
(`gateway.spool`); 200 says that it is safe in one of these places, and 503 that it is nowhere.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gateway import auth
from gateway.body import SMALL_LIMIT, parse_object, read, shown
from gateway.forward import Forward
from gateway.inbox import Inbox
from gateway.intake import Intake
from gateway.news import Bundle, News
from gateway.outbox import Keeper, Runner
from gateway.parts import Parts
from gateway.problems import BadRequest, NotFound, json_response
from gateway.replay import Replay
from gateway.routes import Endpoint
from gateway.spool import Spool
from providers import picky_webhook
from providers.picky_webhook import Inbound, InvalidWebhook, Notice, Receipts
from runtime.settings import Settings
from scheduler.rules import NumberRules, rules_of

#: A response holds nothing of its request, so one serves all.
NOTHING_TO_SAY = json_response({})


class PickyWebhooks:
    """Takes webhooks; used from one event loop."""

    def __init__(self, parts: Parts) -> None:
        self._applications = parts.applications
        self._numbers = {number: parts.settings.number(number) for number in parts.settings.numbers}
        self._intake = Intake(parts.commit, rules(parts.settings), record_ttl_s=parts.settings.record_ttl_s)
        urls = {number: own.forward_url for number, own in self._numbers.items()}
        self._forward = Forward(parts.session, urls)
        keeper, spool = Keeper(parts.commit), Spool(parts.settings.home)
        self._inbox = Inbox(parts.commit, self._intake, self._forward, keeper=keeper, spool=spool)
        self._news = News(parts.commit, self._intake, self._forward, keeper=keeper, spool=spool)
        runner = Runner(parts.commit, self._forward, [n for n in self._numbers if self._forward.wanted(n)])
        replay = Replay(
            parts.commit, self._intake, self._forward, keeper=keeper, told=self._news, numbers=self._numbers
        )
        runner.start()
        spool.start(replay.take, away=lambda: parts.commit.away)
        parts.before_close += [runner.close, spool.close]

    async def take(self, request: Request) -> Response:
        """Take a webhook of Picky Assist: an inbound message or receipts.

        The answer is the app's instant reply, or an empty object.
        """
        number = request.path_params["number"]
        if number not in self._numbers:
            raise NotFound(f"number: {shown(number)} is no number of HEADWAY_NUMBERS")
        key = _key(request)
        self._require_key(number, key)
        body = parse_object(await read(request, limit=SMALL_LIMIT))
        try:
            webhook = picky_webhook.parse(body)
        except InvalidWebhook as problem:
            raise BadRequest(str(problem)) from None
        if isinstance(webhook, Receipts):
            await self._receipts(number, webhook, key)
        elif isinstance(webhook, Inbound):
            answer = await self._inbound(number, webhook, key)
            return json_response(answer) if answer else NOTHING_TO_SAY
        else:
            await self._notice(number, webhook, key)
        return NOTHING_TO_SAY

    async def _inbound(self, path_number: str, inbound: Inbound, key: str) -> object:
        number = self._number_of(inbound.application, path_number, key)
        ours = "" if self._numbers[number].webhooks_open else key  # it is one of the number's: so much is proven
        if self._forward.wanted(number):
            return await self._inbox.pass_on(number, inbound, key=ours)
        await self._inbox.count(number, inbound, key=ours)
        return {}

    async def _receipts(self, path_number: str, webhook: Receipts, key: str) -> None:
        numbers = {row.application for row in webhook.rows}
        number_of = {application: self._number_of(application, path_number, key) for application in numbers}
        bundle = Bundle.of(webhook)
        if len(number_of) == 1:
            await self._news.receipts(next(iter(number_of.values())), bundle)
            return
        for number in dict.fromkeys(number_of.values()):
            mine = [at for at, row in enumerate(webhook.rows) if number_of[row.application] == number]
            await self._news.receipts(number, bundle.only(mine))

    async def _notice(self, path_number: str, notice: Notice, key: str) -> None:
        number = self._number_of(notice.application, path_number, key)
        await self._news.notice(number, notice)

    def _number_of(self, application: str, path_number: str, key: str) -> str:
        """Return the number that the body means; the address's is the default, and wins where numbers share a channel.

        A number without HEADWAY_APPLICATION takes any channel on its own address: nobody said which one it is.
        Raises NotFound for a channel that no number has, Unauthorised when the other number's key isn't given.
        """
        own = self._numbers[path_number].application
        if application in ("", own):
            return path_number
        found = self._applications.find(application)
        if found is not None and found != path_number:
            self._require_key(found, key)
        if found is None and own != path_number:
            raise NotFound(
                f"application: {shown(application)} is the channel of no number here; "
                "say whose it is, as in HEADWAY_APPLICATION_<number>"
            )
        return found or path_number

    def _require_key(self, number: str, given: str) -> None:
        own = self._numbers[number]
        auth.require_key(own.webhook_keys, given, open_to_all=own.webhooks_open)


def endpoints(parts: Parts) -> list[Endpoint]:
    """Return the addresses that providers call."""
    return [Endpoint("POST", "/webhooks/picky/{number}", PickyWebhooks(parts).take)]


def rules(settings: Settings) -> dict[str, NumberRules]:
    """Return each number's rules, as far as counting needs them."""
    return {n: rules_of(settings.number(n), lease_ttl_ms=settings.lease_ttl_ms) for n in settings.numbers}


def _key(request: Request) -> str:
    """Return what was given as `?key=`; read plainly when nothing else was, as in nearly every webhook."""
    query: bytes = request.scope["query_string"]
    if query.startswith(b"key=") and query[4:].isalnum():
        return query[4:].decode("ascii")
    return request.query_params.get("key", "")
