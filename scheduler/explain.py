"""Which limit binds each class of a number now, and until when? Answered by the functions of the lease itself.

The script behind it only looks: asking as often as one likes changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headway.classes import MessageClass
from runtime import scripts
from runtime.scripts import Call
from scheduler import leases
from scheduler.rules import NumberRules

#: What a lease refuses for: no wait ends it, a person does.
PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Room:
    """What a lease would answer if this class alone had messages waiting, many of one shape.

    `may_leave`: rows at once. If none, `because` is a word of `decisions.Because` or `paused`, and `until_us` the
    server's time to ask again (0: when somebody resumes it).
    """

    class_: MessageClass
    waiting: int
    may_leave: int
    until_us: int
    because: str
    #: From one row to the next where the class leaves evenly.
    interval_us: int


@dataclass(frozen=True, slots=True)
class Standing:
    """The meter as the next lease finds it. `facts`: by the script's names, each with its unit in `explain.lua`."""

    now_us: int
    facts: Mapping[str, int]
    rooms: tuple[Room, ...]


def ask(rules: NumberRules, *, now_us: int | None = None) -> Call:
    """Build the call that looks at a number, or at one of its units: the lease's own keys and arguments."""
    lease = leases.lease(rules, "", "", now_us=now_us)
    return Call(scripts.load("scheduler", "explain"), lease.keys, lease.args)


def standing(reply: Any) -> Standing:
    """Read what the script answered."""
    now_us, flat, *rooms = reply
    facts = {_text(flat[i]): int(_text(flat[i + 1])) for i in range(0, len(flat), 2)}
    found = zip(MessageClass, rooms, strict=True)
    return Standing(
        int(now_us),
        facts,
        tuple(
            Room(class_, int(waiting), int(fits), int(until), _text(because), int(_text(interval)))
            for class_, (waiting, fits, until, because, interval) in found
        ),
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
