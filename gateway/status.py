"""What does the provider say of a number's device or balance? `/api/v2/device-status` and `/api/v2/check-balance`.

Asked with our own token, and rarely: the provider allows three questions a minute and token, so all gateway processes
share one answer for a third of a minute. The claim to ask is in the server, so that two processes don't ask at once.
When other numbers of the token have used up the minute, the last answer is told, up to LAST old.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import redis
from msgspec import Struct
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from gateway.body import QUESTION_LIMIT, parse_object, read
from gateway.parts import Parts
from gateway.problems import NotFound, Unavailable, json_response
from headway import keys
from providers.picky_status import BALANCE_PATH, DEVICE_PATH, PATIENCE, ask
from providers.quotas import Request
from providers.wire import NoAnswer
from scheduler import quota

_MINUTE_MS = 60_000
#: How long an answer is kept for when no question is left.
LAST = timedelta(minutes=15)
#: Stands where the answer will be, while somebody asks for it.
_ASKING = b"asking"
_LOOK_AGAIN_S = 0.1
#: Never passed on: they would lead the app past us.
_REDIRECTS = range(300, 400)
_BAD_GATEWAY = 502


class StatusRequest(Struct):
    """Which number; it may be left out where there is but one. What else Picky would take is not looked at."""

    token: str
    application: str | int | None = None


class StatusEndpoints:
    """Passes questions on, at most as often as the provider allows."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def device(self, request: HttpRequest) -> Response:
        """Say what the provider says of a number's device; the answer may be a third of a minute old."""
        return await self._passed_on(request, DEVICE_PATH, keys.device_status)

    async def balance(self, request: HttpRequest) -> Response:
        """Say what the provider says of the balance; the answer may be a third of a minute old."""
        return await self._passed_on(request, BALANCE_PATH, keys.balance)

    async def _passed_on(self, request: HttpRequest, path: str, key_of: Callable[[str], str]) -> Response:
        body = parse_object(await read(request, limit=QUESTION_LIMIT))
        self._parts.tokens.require_in_body(body.get("token"))
        number = self._number(body.get("application"))
        key = key_of(number)
        kept_ms = max(1, _MINUTE_MS // self._parts.settings.number(number).status_per_minute)
        for _ in range(int((PATIENCE.total_seconds() + 1) / _LOOK_AGAIN_S)):
            found, ours = await self._parts.ask(lambda client: _claim(client, key, kept_ms))
            if ours:
                taken = await self._taken(number)
                return await (self._asked(number, path, key) if taken.granted else self._last(key, taken))
            if found != _ASKING:
                return _told(json.loads(found))
            await asyncio.sleep(_LOOK_AGAIN_S)
        raise Unavailable("somebody else asks the provider, and gets no answer")

    async def _taken(self, number: str) -> quota.Taken:
        """Take a question of those that the provider answers in a minute."""
        own = self._parts.settings.number(number)
        account = quota.account_of(own.provider, own.provider_token.reveal())
        call = quota.take(account, Request.STATUS, own.status_per_minute, uuid4().hex)
        return quota.taken(await self._parts.commit.run(call))

    async def _last(self, key: str, taken: quota.Taken) -> Response:
        """Tell what was said last, to all who ask before the provider may be asked again."""
        pause_ms = max(1, (taken.until_us - taken.now_us) // 1000)
        found = await self._parts.ask(lambda client: _fall_back(client, key, pause_ms))
        if found is None:
            raise Unavailable(f"the provider may not be asked again before {pause_ms // 1000 + 1} seconds are over")
        return _told(json.loads(found))

    def _number(self, application: object) -> str:
        if application is None or application == "":
            if len(self._parts.applications.numbers) == 1:
                return self._parts.applications.numbers[0]
            raise NotFound("application: is missing, and there is more than one number")
        return self._parts.applications.require(str(application).strip())

    async def _asked(self, number: str, path: str, key: str) -> Response:
        """Ask the provider and share what it said; a failure is shared too, for it may have used up a question."""
        own = self._parts.settings.number(number)
        token = own.provider_token.reveal()
        application = own.application if path == DEVICE_PATH else None
        answer = await ask(self._parts.session, path, urls=own.provider_urls, token=token, application=application)
        told: dict[str, Any]
        if isinstance(answer, NoAnswer):
            told = {"http": Unavailable.status, "body": {"status": 101, "message": f"the provider: {answer.reason}"}}
        else:
            http = answer.http_status if answer.http_status not in _REDIRECTS else _BAD_GATEWAY
            told = {"http": http, "body": _object(answer.body)}
        text = json.dumps(told)
        if token:
            text = text.replace(json.dumps(token)[1:-1], "***")
        await self._parts.ask(lambda client: _share(client, key, text))
        return _told(json.loads(text))


def _claim(client: redis.Redis, key: str, kept_ms: int) -> tuple[bytes, bool]:
    """Return what is there, or that the claim to ask is ours."""
    if client.set(key, _ASKING, nx=True, px=kept_ms):
        return b"", True
    found = client.get(key)
    return found if isinstance(found, bytes) else _ASKING, False


def _share(client: redis.Redis, key: str, text: str) -> None:
    """Put the answer where those who ask look, and by for when no question is left."""
    client.set(key, text, xx=True, keepttl=True)
    client.set(keys.last(key), text, px=LAST)


def _fall_back(client: redis.Redis, key: str, pause_ms: int) -> bytes | None:
    """Return the last answer, and put it where those who ask look; without one, let the next one ask."""
    found = client.get(keys.last(key))
    if found is None:
        client.delete(key)
        return None
    client.set(key, found, px=pause_ms)
    return found if isinstance(found, bytes) else None


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"status": 101, "message": "the provider's answer can't be read"}


def _told(told: dict[str, Any]) -> Response:
    return json_response(told["body"], status=told["http"])
