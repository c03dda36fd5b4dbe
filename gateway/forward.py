"""Did the app take what came in, and what did it answer?

One POST to the app's own webhook, in the body of the provider. It isn't repeated here: what isn't taken is kept in the
outbox (`gateway.outbox`), which tries for days.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import aiohttp

from gateway.body import parse_object
from gateway.problems import HttpProblem
from providers import wire
from providers.wire import Answer
from runtime.secret import Secret
from runtime.telemetry import Event, get_logger

#: How long the app has, and how long a request waits for its place before: together well under the 180 s of Picky.
PATIENCE = timedelta(seconds=10)
#: How much longer than the app may take a turn holds: the round trips before and after.
_TURN_MARGIN = timedelta(seconds=15)
#: Requests at a time to the app of one number, and how many may wait for a place.
AT_A_TIME = 64
MOST_WAITING = 1000

_CONNECT_S = 3.0

_log = get_logger("gateway")


@dataclass(frozen=True, slots=True)
class Taken:
    """The app took it. `answer` is the JSON object that it answered; empty when it answered none."""

    answer: Mapping[str, Any]

    @property
    def replies(self) -> bool:
        """Whether the answer sends a message: the keys of an instant reply end in `-out` (`message-out`)."""
        return any(name.endswith(("-out", "_out")) and bool(value) for name, value in self.answer.items())


@dataclass(frozen=True, slots=True)
class NotTaken:
    """The app didn't take it, and why."""

    problem: str


class Forward:
    """Posts to the app's webhooks: `urls` by number, without those that have none."""

    def __init__(
        self, session: aiohttp.ClientSession, urls: Mapping[str, Secret], *, patience: timedelta = PATIENCE
    ) -> None:
        self._session = session
        self._urls = {number: url for number, url in urls.items() if url}
        self._places = {number: asyncio.Semaphore(AT_A_TIME) for number in self._urls}
        self._waiting = dict.fromkeys(self._urls, 0)
        self.patience = patience
        #: How long a request, or the outbox, may have a contact's turn: to wait for it, for a place and for the answer.
        self.turn_ttl = 3 * patience + _TURN_MARGIN

    def wanted(self, number: str) -> bool:
        """Whether this number's app wants to hear of what comes in."""
        return number in self._urls

    async def post(self, number: str, body: Mapping[str, Any], *, what: str) -> Taken | NotTaken:
        """Give the app a body, and read its answer of at most 1 MB: `patience` for a place, and again for the answer.

        `what` it is (`inbound`, `receipts`, `notice`) stands in the log when it isn't taken. Raises nothing but
        asyncio.CancelledError.
        """
        return await self.post_bytes(number, as_bytes(body), what=what)

    async def post_bytes(self, number: str, payload: bytes, *, what: str) -> Taken | NotTaken:
        """Give the app a body that is JSON already, as `post` does."""
        outcome = await self._post(number, payload)
        if isinstance(outcome, NotTaken):
            _log.warning(Event.FORWARD_FAILED, number=number, what=what, problem=outcome.problem)
        return outcome

    async def _post(self, number: str, payload: bytes) -> Taken | NotTaken:
        if self._waiting[number] >= MOST_WAITING:
            return NotTaken("too much waits for the app")
        patience_s = self.patience.total_seconds()
        self._waiting[number] += 1
        try:
            async with asyncio.timeout(patience_s):
                await self._places[number].acquire()
        except TimeoutError:
            return NotTaken("other requests kept the app busy for too long")
        finally:
            self._waiting[number] -= 1
        try:
            url, deadline_s = self._urls[number].reveal(), asyncio.get_running_loop().time() + patience_s
            answer = await wire.post(self._session, url, payload, deadline_s=deadline_s, connect_s=_CONNECT_S)
        finally:
            self._places[number].release()
        return _judged(number, answer) if isinstance(answer, Answer) else NotTaken(f"{answer.code}: {answer.reason}")


def as_bytes(body: Mapping[str, Any]) -> bytes:
    """Return a body as it goes to the app: ASCII, because what strangers sent may hold half a surrogate pair."""
    return json.dumps(body, separators=(",", ":")).encode("ascii")


def _judged(number: str, answer: Answer) -> Taken | NotTaken:
    if not HTTPStatus(200) <= answer.http_status < HTTPStatus(300):
        return NotTaken(f"the app answered HTTP {answer.http_status}")
    if not answer.body.strip():
        return Taken({})
    try:
        return Taken(parse_object(answer.body))
    except HttpProblem as problem:
        _log.info(Event.REPLY_DROPPED, number=number, problem=problem.message)
        return Taken({})
