"""What is the model made of? Constants of the scripts, and the values that it passes around."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import Any

from delivery.settle import Settlement
from delivery.states import State
from scheduler.decisions import LeasedRow

RECORD_TTL_MS = 3_600_000
RETRY_FOR_MS = 86_400_000
#: States of what isn't over.
AGAIN = (State.WAITING, State.DEFERRED, State.UNCERTAIN, State.DEAD)
EVENT_UE = 1_000_000
SECOND_US = 1_000_000


def constant(file: str, name: str) -> float:
    """Read a tunable constant of an include of the scheduler."""
    source = (resources.files("scheduler") / "lua" / "include" / file).read_text()
    names, values = re.search(rf"local (\w*[\w, ]*\b{name}\b[\w, ]*) = ([\d., ]+)", source).groups()  # type: ignore[union-attr]
    value = float(values.split(", ")[names.split(", ").index(name)])
    return int(value) if value.is_integer() else value


SKIPS = int(constant("take.lua", "SKIPS"))
LOOK = int(constant("take.lua", "LOOK"))
MOVES = int(constant("take.lua", "MOVES"))
SLACK_US = int(constant("room.lua", "SLACK_US"))
GATHER_US = int(constant("room.lua", "GATHER_US"))
BEGIN_US = int(constant("room.lua", "BEGIN_US"))
LATE_US = int(constant("turn.lua", "LATE_US"))
HANDOVER_US = int(constant("turn.lua", "HANDOVER_US"))
SPARE_US = int(constant("turn.lua", "SPARE_US"))
CALM_MEMORY_US = int(constant("measure.lua", "CALM_MEMORY_US"))
DEVIATION = constant("measure.lua", "DEVIATION")
IN_WEIGHT = constant("uncontrolled.lua", "WEIGHT")


def whole(number: float) -> int:
    """Round as the scripts write numbers down."""
    return int(f"{number:.0f}")


@dataclass(frozen=True, slots=True)
class Item:
    """One envelope on a lane, as its publisher meant it. `step`: of its class kwarg, if it has one."""

    id: str
    raw: bytes
    body: str = ""
    to: str = ""
    shape: str = ""
    step: int | None = None
    not_before: int = 0
    expires: float = math.inf
    refused: str = ""
    #: Of the group that it goes to.
    members: int = 0

    def shown(self) -> str:
        """Return the body that a lease shows."""
        return "null" if self.refused else self.body

    def verdict(self, now: int) -> str:
        """Say what a lease makes of it."""
        if self.refused:
            return f"refused: {self.refused}"
        return "expired" if self.expires <= now else "send"


@dataclass(slots=True)
class Lease:
    """A lease's record."""

    id: str
    holder: str
    at: int
    charged: int
    rows: list[tuple[str, int]]
    deadline: int
    state: str = "leased"
    token: str = ""
    #: The quota's limit as it was, and the logs that have its request.
    limit: int = 0
    logs: list[dict[str, int]] = field(default_factory=list)
    #: When the first of its rows expires (us), as it was leased.
    expires: float = math.inf
    #: Of its rows that are ahead of others.
    places: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Record:
    """The part of a message's record that the scripts decide."""

    state: str
    attempts: int = 0
    #: When it was begun first, if that try wasn't the last.
    first_ms: int = 0
    #: What a settle that came too late said of it, for the next one.
    receipt: str = ""


@dataclass(slots=True)
class Account:
    """What all units with one token share: requests by id, those that went alone, and until when a unit wants some."""

    push: dict[str, int] = field(default_factory=dict)
    alone: dict[str, int] = field(default_factory=dict)
    wanting: dict[str, int] = field(default_factory=dict)

    def set_back(self, now: int) -> None:
        """A clock that was set back: requests of the future count as made now."""
        for log in (self.push, self.alone):
            log.update({id_: now for id_, at in log.items() if at > now})


@dataclass(slots=True)
class Throttle:
    """What the provider's throttle answers did."""

    tps_milli: int
    at: int
    was: int
    until: int


@dataclass(slots=True)
class NumberState:
    """What all units of a number share: what a person set, by its field in the settings hash, as far as it may be
    used; records of messages; ids of events that were counted; what its provider takes and refuses.
    """

    live: dict[str, Any] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    account: Account = field(default_factory=Account)
    throttle: Throttle | None = None
    #: Rows that the next lease drops, by the time they were marked.
    cancelled: dict[str, int] = field(default_factory=dict)

    def mark(self, id_: str, now_ms: int) -> None:
        """Let a row not leave again; marks as old as a record may get go."""
        self.cancelled[id_] = now_ms
        self.cancelled = {id_: at for id_, at in self.cancelled.items() if at > now_ms - RECORD_TTL_MS}

    def note_used(self, id_: str) -> None:
        """The settle that a note was for has come."""
        self.records[id_].receipt = ""
        self.cancelled.pop(id_, None)

    @property
    def paused(self) -> bool:
        """Whether a person paused the number."""
        return "paused" in self.live


@dataclass(slots=True)
class Allocation:
    """What the number may spend."""

    tps_milli: int
    events: int
    window_us: int
    rests_until: int = 0


@dataclass(slots=True)
class Uncontrolled:
    """How many events a second come in that nobody can refuse; mean and square in millionths."""

    second: int
    count: int = 0
    mean: int = 0
    square: int = 0

    def at(self, now: int) -> Uncontrolled:
        """Return it with the seconds that have ended since."""
        second = now // SECOND_US
        if second <= self.second:
            return replace(self)
        idle = (1 - IN_WEIGHT) ** (second - self.second - 1)
        mean = math.floor((self.mean + (self.count * EVENT_UE - self.mean) * IN_WEIGHT) * idle)
        square = math.floor((self.square + (self.count**2 * EVENT_UE - self.square) * IN_WEIGHT) * idle)
        return Uncontrolled(second, 0, mean, square)

    def reserved(self, headroom_ppm: int, events: int) -> int:
        """Return how many events are kept for such: what they need, but no more than is set, and one is left."""
        deviation = DEVIATION * math.sqrt(max(0.0, self.square / 1e6 - (self.mean / 1e6) ** 2))
        most = max(1, math.floor(events * headroom_ppm / 1e6)) if headroom_ppm else 0
        return min(most, math.floor(self.mean / 1e6 + deviation), events - 1)


@dataclass(slots=True)
class Measured:
    """The meter as one lease finds and spends it."""

    now: int
    spent: int
    sends: int
    behind: float
    reserve: int
    calm: int
    pace_at: float
    floor_at: int
    by_floor: int = 0
    quota: Any = None
    foreseen: Any = None


@dataclass(slots=True)
class Taking:
    """A lease that is being built."""

    rows: list[LeasedRow] = field(default_factory=list)
    held: list[tuple[int, Item]] = field(default_factory=list)
    people: set[str] = field(default_factory=set)
    shape: str | None = None
    taken: int = 0
    groups: int = 0
    members: int = 0
    groups_until: int = 0
    size: int = 0
    look: bool = False
    moved: int = 0
    #: Whether any message is ahead of anything; those that this lease puts ahead, by place and by id; lost heads.
    heads: bool = False
    mine: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    gone: list[tuple[str, str]] = field(default_factory=list)
    #: Closed for every lane.
    shut: bool = False
    #: Recipients of rows that were set aside.
    aside: set[str] = field(default_factory=set)
    #: Whether due messages are at the front of a lane, and rows that left lanes.
    fronts: bool = False
    passes: list[tuple[int, int]] = field(default_factory=list)


Settlements = list[Settlement]
