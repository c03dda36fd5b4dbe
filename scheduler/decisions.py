"""What can the answer be to "may it go now?": Grant, Wait or Refuse.

They are values: an answer that says no is expected, and says until when and why.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Because(StrEnum):
    """What a wait waits for."""

    #: The trailing window is full: until its oldest charge leaves it.
    WINDOW = "window"
    #: The container is behind with events that nobody could refuse.
    DEBT = "debt"
    #: Receipts still to come of what was sent would overrun the container.
    FORECAST = "forecast"
    #: The provider takes no more requests in this minute.
    QUOTA = "quota"
    #: The provider said: not before this time.
    THROTTLED = "throttled"
    #: Paced classes leave evenly.
    PACE = "pace"
    #: As many leases are out as the number may have.
    IN_FLIGHT = "in flight"
    #: A person holds what waits: its class, or all of it by its campaign, tag, recipient or age.
    HELD = "held"
    #: Nothing waits, or only what was deferred.
    EMPTY = "empty"
    #: There was more to look at than one script call should; ask again.
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class LeasedRow:
    """One message of a lease.

    `verdict`: `send`, `expired`, `capped: <cap>` or `refused: <why>`; `body`: Celery's JSON body, as text.
    """

    id: str
    step: int
    verdict: str
    body: str


@dataclass(frozen=True, slots=True)
class Grant:
    """These may leave now; they are charged. Times are the server's, in microseconds.

    `next_us`: when to ask again, or 0: ask when the doorbell rings.
    """

    now_us: int
    deadline_us: int
    charged: int
    rows: tuple[LeasedRow, ...]
    next_us: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet. `until_us` is the server's time to ask again, or 0: ask when the doorbell rings."""

    now_us: int
    until_us: int
    because: Because


@dataclass(frozen=True, slots=True)
class Refuse:
    """Not until a person changes something: the number is paused."""

    now_us: int
    because: str


Decision = Grant | Wait | Refuse
