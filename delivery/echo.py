"""Does anything come back of what the provider accepted?

A provider drops what is over its limits, and says "accepted" all the same. One request tells little: phones are off,
numbers don't exist. Of SURE rows in one request somebody's phone answers within PATIENCE, or it never arrived: were a
fifth of the phones off, one such request in 400,000 would stay silent by chance. Smaller requests count together, and
only while nothing at all comes back for the number: then RUN rows make as sure, were half of the phones off.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from delivery.settle import storable
from headway import keys
from runtime import scripts
from runtime.scripts import Call

#: How long a first receipt may take.
PATIENCE = timedelta(minutes=2)
SURE = 8
RUN = 20


@dataclass(frozen=True, slots=True)
class Silent:
    """Requests, and rows in them, that were accepted and of which nothing came back."""

    requests: int
    rows: int


def expect(unit: str, request: str, rows: int, *, now_us: int | None = None) -> Call:
    """Build the call that notes a request that was accepted, by the provider's id of it. Safe to run twice."""
    time = "" if now_us is None else now_us
    return Call(scripts.load("delivery", "expect"), [keys.echo(unit)], [time, storable(request), rows])


def silent(unit: str, *, now_us: int | None = None) -> Call:
    """Build the call that asks which requests stayed silent; each is told, and counted in the meter, once."""
    time = "" if now_us is None else now_us
    patience_ms = PATIENCE // timedelta(milliseconds=1)
    return Call(scripts.load("delivery", "silent"), [keys.echo(unit), keys.meter(unit)], [time, patience_ms, SURE, RUN])


def found(reply: Any) -> Silent:
    """Read what `silent` answered."""
    requests, rows = map(int, reply)
    return Silent(requests, rows)
