"""Under what conditions does the simulated number work, and what do the people at the other end do?"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from math import log
from typing import Final, Protocol

from simulator.record import DELIVERED, READ

#: What people write. Spaces, signs and letters that an URL-encoded `message-in` has to bear.
TEXTS: Final = (
    "Hello",
    "Where is my order?",
    "¿A qué hora abren?",
    "Grazie mille 🙏",
    "100 % + 2 & more = ?",
    "ठीक है, धन्यवाद",
    "Não, obrigado",
    "STOP",
)

#: Prefix and count of free digits: ranges that regulators keep for fiction (US, UK, France, Australia).
_FICTION: Final = (("120255501", 2), ("447700900", 3), ("336399801", 2), ("6149157", 4))

#: Spread of the receipts' delays: two thirds of them lie between 0.6 and 1.65 times the median.
_SIGMA: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """A number and its surroundings.

    Attributes:
        tps: transactions per second that the container works off.
        capacity: incoming events that may wait; an inbound message that finds as many waiting is lost for good. The
            provider names no figure: 200 is ten seconds of work at 20 TPS.
        inbound_per_s: inbound messages per second, on average (Poisson).
        burst: so many inbound messages more, spread over one second, every `burst_every`; 0: no bursts.
        burst_every: between the starts of two bursts; the first starts after as long.
        receipts: the kinds that the container produces: `delivered`, `read`, both or none.
        delivered_share: share of sends that are delivered, 0 to 1; of a group send, of its members.
        delivered_after: median time from the send to its delivered receipt.
        read_share: share of the delivered that are read, 0 to 1.
        read_after: median time from the delivered receipt to the read receipt.
        group_members: how many members each group has.
        seed: same seed and same sends, same record.

    Raises ValueError when a figure makes no sense.
    """

    tps: float = 10
    capacity: int = 200
    inbound_per_s: float = 0
    burst: int = 0
    burst_every: timedelta = timedelta(seconds=10)
    receipts: frozenset[str] = frozenset({DELIVERED, READ})
    delivered_share: float = 0.98
    delivered_after: timedelta = timedelta(seconds=0.8)
    read_share: float = 0.6
    read_after: timedelta = timedelta(seconds=4)
    group_members: int = 20
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.tps <= 1_000_000:
            raise ValueError("tps must be more than 0 and at most 1,000,000")
        if min(self.capacity, self.inbound_per_s, self.burst, self.group_members) < 0:
            raise ValueError("capacity, inbound, burst and group members can't be negative")
        if not (0 <= self.delivered_share <= 1 and 0 <= self.read_share <= 1):
            raise ValueError("shares lie between 0 and 1")
        if min(self.burst_every, self.delivered_after, self.read_after) <= timedelta(0):
            raise ValueError("times must be longer than nothing")
        if self.receipts - {DELIVERED, READ}:
            raise ValueError("receipts are delivered, read, both or none")


@dataclass(frozen=True, slots=True)
class Inbound:
    """What somebody wrote, and from where."""

    number: str
    message: str


class Crowd(Protocol):
    """Those who write, receive and read. All times in microseconds; `now_us` is the container's."""

    def next_inbound_us(self, now_us: int, /) -> int | None:
        """Return how long until the next inbound message; None: never."""

    def burst_us(self) -> list[int]:
        """Return the offsets of a burst's messages from its start."""

    def inbound(self) -> Inbound:
        """Return who wrote what."""

    def receipts_us(self, now_us: int, /) -> tuple[int | None, int | None]:
        """Return after how long a message sent now is delivered, and read; None: never."""


class People:
    """Decide when somebody writes, receives and reads.

    There are two streams of chance, so that what is sent doesn't change who writes.
    """

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        # Reproducible on purpose: the same seed gives the same run.
        self._writing = random.Random(f"{conditions.seed} writing")  # noqa: S311
        self._reading = random.Random(f"{conditions.seed} reading")  # noqa: S311
        self._delivered_mu = log(conditions.delivered_after.total_seconds() * 1e6)
        self._read_mu = log(conditions.read_after.total_seconds() * 1e6)

    def next_inbound_us(self, _now_us: int, /) -> int | None:
        """Return how long until the next inbound message, in microseconds; None: never."""
        rate = self._conditions.inbound_per_s
        return round(self._writing.expovariate(rate) * 1e6) if rate else None

    def burst_us(self) -> list[int]:
        """Return the offsets of a burst's messages from its start, in microseconds, below one second."""
        return [self._writing.randrange(1_000_000) for _ in range(self._conditions.burst)]

    def inbound(self) -> Inbound:
        """Return who wrote what."""
        prefix, digits = self._writing.choice(_FICTION)
        number = prefix + str(self._writing.randrange(10**digits)).zfill(digits)
        return Inbound(number, self._writing.choice(TEXTS))

    def receipts_us(self, _now_us: int, /) -> tuple[int | None, int | None]:
        """Return after how many microseconds the recipient has the message, and has read it; None: never."""
        chance, conditions = self._reading, self._conditions
        # Always the same draws, so that a switched-off kind doesn't shift the others.
        delivered, read = chance.random() < conditions.delivered_share, chance.random() < conditions.read_share
        delivered_us = round(chance.lognormvariate(self._delivered_mu, _SIGMA))
        read_us = delivered_us + round(chance.lognormvariate(self._read_mu, _SIGMA))
        return (delivered_us if delivered else None), (read_us if delivered and read else None)
