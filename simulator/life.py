"""What do the people at the other end do over hours: when do they write, and how soon do they receive and read?

`simulator.conditions.People` behaves the same all day. Here behaviour has a shape (delays from a family of
distributions), may change at a moment, and inbound messages follow a course. Everything is drawn ahead from the seed
alone: the k-th message sent while a behaviour lasts meets the same fate, whoever sends it and when. So two senders
before the same life differ by what they do, not by chance; and an oracle can read the future from a copy.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import log, pi, sin
from typing import Final, Literal

from simulator.conditions import Inbound

_SECOND_US: Final = 1_000_000

Course = Literal["none", "steady", "bursts", "day"]
Shape = Literal["lognormal", "gamma", "two-humped", "exponential", "fixed"]

#: What a message sent at some moment meets: after how long it is delivered and read, in microseconds; None: never.
Fate = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How messages are received. Delays are medians in seconds; `read_s` counts from the delivered receipt.

    Attributes:
        shape: family of both delays. `lognormal`: sigma 0.5. `gamma`: of order 2. `two-humped`: seven of ten phones
            are on (lognormal, sigma 0.3); the others come back later, around 20 times the median. `exponential`: most
            at once, a long tail. `fixed`: always the median.
        delivered_share, read_share: of sends, and of the delivered.
    """

    shape: Shape = "lognormal"
    delivered_share: float = 0.98
    delivered_s: float = 0.8
    read_share: float = 0.6
    read_s: float = 4.0


class Life:
    """Inbound messages along a course, receipts by behaviours that follow each other. A `Crowd` for the container."""

    def __init__(
        self, *, seed: int, inbound_us: Sequence[int], behaviours: Sequence[tuple[int, Behaviour]], start_us: int = 0
    ) -> None:
        """Live from `start_us`: `inbound_us` are moments, sorted; each behaviour begins at its moment.

        Raises ValueError when no behaviour holds at the start.
        """
        if not behaviours or behaviours[0][0] > start_us:
            raise ValueError("a behaviour must hold at the start")
        self._inbound_us = inbound_us
        self._written = 0
        self._start_us = start_us
        self._begins = [begin_us for begin_us, _ in behaviours]
        self._fates = [_fates(seed, index, behaviour) for index, (_, behaviour) in enumerate(behaviours)]
        self._met = [0] * len(behaviours)

    def next_inbound_us(self, now_us: int, /) -> int | None:
        """Return how long until the next inbound message; None: never again."""
        if self._written == len(self._inbound_us):
            return None
        at_us = self._inbound_us[self._written]
        self._written += 1
        return max(0, at_us - now_us)

    def burst_us(self) -> list[int]:
        """Return nothing: bursts are part of the course."""
        return []

    def inbound(self) -> Inbound:
        """Return who wrote what: always the same, nobody reads it."""
        return _SOMEBODY

    def receipts_us(self, now_us: int, /) -> Fate:
        """Return what the message sent now meets, and let the next one meet another fate."""
        phase = bisect_right(self._begins, now_us) - 1
        (fate,) = self.foreseen(now_us, 1)
        self._met[phase] += 1
        return fate

    def foreseen(self, now_us: int, count: int) -> Sequence[Fate]:
        """Return what the next `count` messages would meet if they left at `now_us`; nothing changes by asking."""
        phase = bisect_right(self._begins, now_us) - 1
        fates, met = self._fates[phase], self._met[phase]
        fates.reach(met + count)
        return fates.drawn[met : met + count]


class _Fates:
    """A stream of fates that grows as it is needed, shared by all lives with one seed."""

    def __init__(self, seed: str, behaviour: Behaviour) -> None:
        self.drawn: list[Fate] = []
        # Reproducible on purpose: the same seed gives the same run.
        self._chance = random.Random(seed)  # noqa: S311
        self._behaviour = behaviour

    def reach(self, count: int) -> None:
        while len(self.drawn) < count:
            self.drawn.append(self._draw())

    def _draw(self) -> Fate:
        chance, b = self._chance, self._behaviour
        after = _DELAYS[b.shape]
        delivered, read = chance.random() < b.delivered_share, chance.random() < b.read_share
        delivered_us = round(after(chance, b.delivered_s) * _SECOND_US)
        read_us = delivered_us + round(after(chance, b.read_s) * _SECOND_US)
        return (delivered_us if delivered else None), (read_us if delivered and read else None)


def course_us(course: Course, *, tps: float, span_us: int, seed: int) -> list[int]:
    """Return the moments of inbound messages within `span_us` from 0.

    `none`; `steady`: Poisson at a fifth of TPS; `bursts`: a twentieth of TPS, and for 10 s in each minute nine tenths;
    `day`: a whole day's curve pressed into the span, between a twentieth and half of TPS, twice up and down.
    """
    rate = {"none": _none, "steady": _steady, "bursts": _bursts, "day": _day}[course]
    chance = random.Random(f"{seed} {course} {tps}")  # noqa: S311  reproducible on purpose
    moments: list[int] = []
    at_us, fastest = 0, 0.9 * tps
    while course != "none":
        # Thinning: draw at the fastest rate, keep in proportion to the rate of the moment.
        at_us += round(chance.expovariate(fastest) * _SECOND_US) + 1
        if at_us >= span_us:
            break
        if chance.random() * 0.9 < rate(at_us, span_us):
            moments.append(at_us)
    return moments


def _none(_at_us: int, _span_us: int) -> float:
    return 0.0


def _steady(_at_us: int, _span_us: int) -> float:
    return 0.2


def _bursts(at_us: int, _span_us: int) -> float:
    return 0.9 if 30 <= at_us / _SECOND_US % 60 < 40 else 0.05


def _day(at_us: int, span_us: int) -> float:
    return 0.275 - 0.225 * sin(pi / 2 + 4 * pi * at_us / span_us)


@cache
def _fates(seed: int, index: int, behaviour: Behaviour) -> _Fates:
    return _Fates(f"{seed} {index} fates", behaviour)


def _lognormal(chance: random.Random, median_s: float) -> float:
    return chance.lognormvariate(log(median_s), 0.5)


def _gamma(chance: random.Random, median_s: float) -> float:
    return chance.gammavariate(2, median_s / 1.678)  # the median of order 2 is 1.678 times the scale


def _two_humped(chance: random.Random, median_s: float) -> float:
    away = chance.random() >= 0.7
    return chance.lognormvariate(log(median_s * (20 if away else 1)), 0.3)


def _exponential(chance: random.Random, median_s: float) -> float:
    return chance.expovariate(log(2) / median_s)


def _fixed(_chance: random.Random, median_s: float) -> float:
    return median_s


_DELAYS: Final[Mapping[Shape, Callable[[random.Random, float], float]]] = {
    "lognormal": _lognormal,
    "gamma": _gamma,
    "two-humped": _two_humped,
    "exponential": _exponential,
    "fixed": _fixed,
}

_SOMEBODY: Final = Inbound("12025550100", "Hello")
