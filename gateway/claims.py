"""Who passes an inbound message on to the app, so that a repeated webhook reaches it once, and is it its turn?

The provider repeats a webhook whose answer it didn't like, and sometimes delivers one twice within a second. The first
request claims the message; once the app took it, or it is kept in the outbox, the answer is kept and given again,
because a provider that repeats has not seen it. A contact's messages have their turns in the order they came, across
all gateways, and behind what the outbox holds for the contact.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from headway import keys
from runtime import scripts
from runtime.scripts import Call

#: Longer than Picky repeats a webhook: for eight and a half hours at most.
DONE_TTL = timedelta(days=1)
#: Longest answer that is kept, in bytes; a longer one is relayed once.
KEPT_ANSWER = 16_384


class Standing(StrEnum):
    """How a claim stands."""

    #: This request passes it on, now.
    MINE = "mine"
    #: This request has it, but others of the same contact came before and are under way.
    WAIT = "wait"
    #: This request has it, and the outbox holds something of the same contact: it goes behind that.
    BEHIND = "behind"
    #: Another request has it, right now.
    BUSY = "busy"
    #: It was done.
    DONE = "done"
    #: The server is away: nobody knows.
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim was answered.

    `answer` is the app's, as JSON, with DONE; `came_us` when the request came, by the server's clock; `before` how many
    are before it, with WAIT.
    """

    standing: Standing
    answer: bytes = b""
    came_us: int = 0
    before: int = 0


def claim(number: str, event_id: str, *, contact: str, token: str, ttl: timedelta, now_us: int | None = None) -> Call:
    """Build the call that claims a message for a request; `ttl` is longer than the app may take. Safe to repeat."""
    names = [keys.forwarded(number, event_id), keys.turns(number, contact), keys.outbox_due(number)]
    args: list[scripts.Argument] = [token, ttl // timedelta(milliseconds=1), contact, "" if now_us is None else now_us]
    return Call(scripts.load("gateway", "claim"), names, args)


def claimed(reply: Any) -> Claim:
    """Read what `claim` answered."""
    standing = Standing(reply[0].decode())
    if standing is Standing.DONE:
        return Claim(standing, answer=reply[1])
    came_us, before = (*map(int, reply[1:]), 0, 0)[:2]
    return Claim(standing, came_us=came_us, before=before)


def done(number: str, event_id: str, *, contact: str, token: str, answer: bytes) -> Call:
    """Build the call that says that the app took the message, and what it answered (JSON)."""
    kept = answer if len(answer) <= KEPT_ANSWER else b"{}"
    return _conclude(number, event_id, contact, token, kept)


def let_go(number: str, event_id: str, *, contact: str, token: str) -> Call:
    """Build the call that gives a claim up: the app didn't take the message."""
    return _conclude(number, event_id, contact, token, b"")


def _conclude(number: str, event_id: str, contact: str, token: str, answer: bytes) -> Call:
    names = [keys.forwarded(number, event_id), keys.turns(number, contact)]
    return Call(scripts.load("gateway", "conclude"), names, [token, answer, int(DONE_TTL.total_seconds())])
