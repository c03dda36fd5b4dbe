"""Who passes an inbound message on to the app, so that a repeated webhook reaches it once?

The provider repeats a webhook whose answer it didn't like, and sometimes delivers one twice within a second. The first
request claims the message; once the app took it, its answer is kept and given again, because a provider that repeats
has not seen it. A claim whose app is down is let go, so that the repetition gets through.
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

    #: This request passes it on.
    MINE = "mine"
    #: Another request does, right now.
    BUSY = "busy"
    #: It was done.
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim was answered; `answer` is the app's, as JSON, with DONE."""

    standing: Standing
    answer: bytes = b""


def claim(number: str, event_id: str, *, token: str, ttl: timedelta) -> Call:
    """Build the call that claims a message for a request; `ttl` is longer than the app may take."""
    key = keys.forwarded(number, event_id)
    return Call(scripts.load("gateway", "claim"), [key], [token, ttl // timedelta(milliseconds=1)])


def claimed(reply: Any) -> Claim:
    """Read what `claim` answered."""
    return Claim(Standing(reply[0].decode()), reply[1] if len(reply) > 1 else b"")


def done(number: str, event_id: str, *, token: str, answer: bytes) -> Call:
    """Build the call that says that the app took the message, and what it answered (JSON)."""
    kept = answer if len(answer) <= KEPT_ANSWER else b"{}"
    return _conclude(number, event_id, token, kept)


def let_go(number: str, event_id: str, *, token: str) -> Call:
    """Build the call that gives a claim up: the app didn't take the message."""
    return _conclude(number, event_id, token, b"")


def _conclude(number: str, event_id: str, token: str, answer: bytes) -> Call:
    script = scripts.load("gateway", "conclude")
    return Call(script, [keys.forwarded(number, event_id)], [token, answer, int(DONE_TTL.total_seconds())])
