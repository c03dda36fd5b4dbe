"""What follows when a try went wrong?

One table: what went wrong -> the row's state, the pause before its next try, and what becomes of its number. Every
pause is a deferral in Redis, never Celery's retry or ETA. A wait burns no attempt: only a try that left, and was
about this row, does. Attempts and time are bounded (`delivery/lua/include/place.lua`); what is over is dead, and kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from delivery.states import State

#: A message that was tried so often is dead: kept for a person.
MOST_ATTEMPTS = 10

#: One that is still tried so long after its first try is dead, too, however few attempts it was: HEADWAY_RETRY_FOR.
RETRY_FOR = timedelta(hours=24)


class Fault(StrEnum):
    """What can go wrong with a try."""

    #: Nobody took the call: certainly nothing left.
    UNREACHABLE = "unreachable"
    #: The provider can't take this row now.
    NOT_NOW = "not now"
    #: The provider asks for less: nothing is wrong with the row.
    THROTTLED = "throttled"
    #: Each next row would end the same way: token, balance, address.
    STOPPED = "stopped"
    #: The provider won't ever take it.
    REFUSED = "refused"
    #: Nobody knows whether it was taken.
    UNKNOWN = "unknown"


class Number(StrEnum):
    """What becomes of the row's number."""

    GOES_ON = "goes on"
    #: Its TPS is cut, and recovers by itself.
    SLOWS = "slows"
    #: It stands still until a person resumes it, and an alarm says so.
    PAUSES = "pauses"


@dataclass(frozen=True, slots=True)
class Reaction:
    """What follows. `pause`: before the first retry; it doubles with each attempt, to an hour at the most."""

    state: State
    pause: timedelta | None = None
    number: Number = Number.GOES_ON
    #: Whether it was an attempt, if its request left.
    burns: bool = True


TABLE: Mapping[Fault, Reaction] = {
    Fault.UNREACHABLE: Reaction(State.DEFERRED, timedelta(seconds=5), burns=False),
    Fault.NOT_NOW: Reaction(State.DEFERRED, timedelta(seconds=5)),
    Fault.THROTTLED: Reaction(State.WAITING, number=Number.SLOWS, burns=False),
    Fault.STOPPED: Reaction(State.WAITING, number=Number.PAUSES, burns=False),
    Fault.REFUSED: Reaction(State.DEAD),
    Fault.UNKNOWN: Reaction(State.UNCERTAIN),
}
