"""Is there a request left of those that a provider takes in a minute?

A quota belongs to an account (a provider's token) and is shared by all its numbers and processes: a log of the requests
of the trailing minute, so that no sliding minute ever has more. Push requests are charged by the lease and its begin
(`scheduler/lua/include/slots.lua`); everything else takes from its named quota here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from headway import keys
from runtime import scripts
from runtime.scripts import Call

#: As many requests a minute, or more, are no limit: nothing is kept.
UNLIMITED = 1_000_000


@dataclass(frozen=True, slots=True)
class Taken:
    """What a named quota answers: the request may be made now, or not before `until_us` (the server's time)."""

    granted: bool
    now_us: int
    until_us: int = 0


def account_of(provider: str, token: str) -> str:
    """Return the name of a provider's account in Redis: 16 hex digits that tell nothing of the token."""
    return hashlib.sha256(f"{provider}\n{token}".encode()).hexdigest()[:16]


def take(account: str, name: str, per_minute: int, request_id: str, *, now_us: int | None = None) -> Call:
    """Build the call that takes a request from a named quota; with the same id it is taken once. Safe to run twice."""
    time = "" if now_us is None else now_us
    return Call(scripts.load("scheduler", "quota"), [keys.quota(account, name)], [time, request_id, per_minute])


def taken(reply: Any) -> Taken:
    """Read what `take` answered."""
    granted, now_us, until_us = map(int, reply)
    return Taken(bool(granted), now_us, until_us)
