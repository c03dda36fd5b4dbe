"""Is anybody still waiting behind a message that isn't there any more?

Of a lane's messages to one recipient one is ahead from its lease to its end, and the others stand behind it. The
scripts that end a message's way let the next one go; what they can't see, a purged lane or what a server forgot, is
found here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headway import keys
from runtime import scripts
from runtime.scripts import Call

#: Where a look through all heads and lines begins, and ends.
START = ("0", "")


@dataclass(frozen=True, slots=True)
class Relieved:
    """How many recipients were freed; `at`: where the next call goes on, START after the last."""

    freed: int
    at: tuple[str, str]


def relieve(unit: str, at: tuple[str, str] = START) -> Call:
    """Build the call that frees recipients of a unit whose head is in no place any more; a part of them, from `at` on.

    Whoever is leased, kept or on its lane is left alone. Safe to run twice.
    """
    names = [
        *keys.lanes(unit), keys.heads(unit), keys.lines(unit), keys.kept(unit), keys.leased(unit), keys.dead(unit),
        keys.uncertain(unit),
    ]  # fmt: skip
    return Call(scripts.load("scheduler", "relieve"), names, [*at, keys.doorbell(keys.number_of_unit(unit)), unit])


def relieved(reply: Any) -> Relieved:
    """Read what `relieve` answered."""
    freed, cursor, place = reply
    return Relieved(int(freed), (_text(cursor), _text(place)))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
