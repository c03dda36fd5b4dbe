"""Before which numbers and people is the budget judged, and before which was it tuned?

Tuning and judging share nothing: other seeds, other families of delays, other shares. Whoever changes the forecast or a
constant of the meter looks at TUNING only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from simulator.conditions import Conditions
from simulator.container import Container
from simulator.life import Behaviour, Course, Life, course_us
from simulator.record import Record
from simulator.timeline import Way

SECOND_US: Final = 1_000_000

#: Events that may wait at the container: a group's receipts alone must fit, or nobody could help the loss.
CAPACITY: Final = 1_000

RECEIPTS: Final = {"both": ("delivered", "read"), "delivered": ("delivered",), "none": ()}

COURSES: Final[tuple[Course, ...]] = ("none", "steady", "bursts", "day")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One number, its people, and what waits to be sent. The same scene gives every sender the same world.

    `behaviours`: each holds from its share of the span on. `asleep_s`: spans without anything to send. `batch`: only
    so many requests leave in any minute, so rows share them; None: every row is a request.
    """

    name: str = "steady"
    tps: int = 10
    receipts: str = "both"
    inbound: Course = "none"
    members: int = 0
    seconds: int = 600
    seed: int = 1
    behaviours: tuple[tuple[float, Behaviour], ...] = ((0.0, Behaviour()),)
    asleep_s: tuple[tuple[int, int], ...] = ()
    batch: int | None = None

    @property
    def until_us(self) -> int:
        return self.seconds * SECOND_US

    @property
    def kinds(self) -> tuple[str, ...]:
        """The receipts that single messages bring; groups always bring both."""
        return RECEIPTS[self.receipts]

    def inbound_us(self) -> list[int]:
        return course_us(self.inbound, tps=self.tps, span_us=self.until_us, seed=self.seed)

    def life(self) -> Life:
        behaviours = [(round(share * self.until_us), behaviour) for share, behaviour in self.behaviours]
        return Life(seed=self.seed, inbound_us=self.inbound_us(), behaviours=behaviours)

    def way(self) -> Way:
        asleep = tuple((begin * SECOND_US, end * SECOND_US) for begin, end in self.asleep_s)
        return Way(members=self.members, asleep=asleep)

    def container(self) -> Container:
        conditions = Conditions(
            tps=self.tps, capacity=CAPACITY, receipts=frozenset(self.kinds), group_members=self.members, seed=self.seed
        )
        return Container(conditions, record=Record(most=10**9), people=self.life())


# ------------------------------------------------------------------------------------------------- what was tuned on

#: Lognormal delays as in the design's own table, delivered 98 %, read 60 %; seeds 1 to 3.
TUNING_SEEDS: Final = (1, 2, 3)
TUNING_BEHAVIOUR: Final = Behaviour()

# -------------------------------------------------------------------------------------------------- what is judged on

JUDGING_SEEDS: Final = (101, 102, 103, 104, 105)
GAMMA: Final = Behaviour(shape="gamma", delivered_share=0.90, delivered_s=1.2, read_share=0.3, read_s=8.0)
TWO_HUMPED: Final = Behaviour(shape="two-humped", delivered_share=0.95, delivered_s=0.5, read_share=0.7, read_s=2.0)
QUICK: Final = Behaviour(shape="exponential", delivered_share=0.99, delivered_s=0.3, read_share=0.9, read_s=1.0)
JUDGING_BEHAVIOURS: Final = {"gamma": GAMMA, "two-humped": TWO_HUMPED}


@dataclass(frozen=True, slots=True)
class Situations:
    """The named situations that the curves are drawn for, of a behaviour and seeds."""

    behaviour: Behaviour
    other: Behaviour
    seeds: tuple[int, ...]
    seconds: int = field(default=600)

    def scenes(self, seed: int) -> Iterator[Scene]:
        """Yield one scene for each situation."""
        plain = Scene(inbound="steady", seed=seed, seconds=self.seconds, behaviours=((0.0, self.behaviour),))
        yield plain
        yield replace(plain, name="no inbound", inbound="none")
        yield replace(plain, name="bursts", inbound="bursts")
        yield replace(plain, name="80 TPS", tps=80, seconds=self.seconds // 4)
        yield replace(plain, name="groups", members=256, seconds=self.seconds * 3)
        yield replace(plain, name="batches", batch=90)
        yield replace(plain, name="batches at 20", tps=20, batch=90)
        starts = tuple((begin, begin + 60) for begin in range(20, self.seconds, 80))
        yield replace(plain, name="cold starts", asleep_s=starts)
        yield replace(plain, name="pause", asleep_s=((self.seconds // 3, self.seconds // 3 + 120),))
        yield replace(plain, name="change", behaviours=((0.0, self.behaviour), (0.5, self.other)))


def tuning(seconds: int = 600) -> Situations:
    """The situations to tune on."""
    other = Behaviour(delivered_share=0.8, delivered_s=2.0, read_share=0.2, read_s=10.0)
    return Situations(TUNING_BEHAVIOUR, other, TUNING_SEEDS, seconds)


def judging(name: str = "gamma", seconds: int = 600) -> Situations:
    """The situations to judge on: `gamma` or `two-humped` delays, which change in the middle to quick ones."""
    return Situations(JUDGING_BEHAVIOURS[name], QUICK, JUDGING_SEEDS, seconds)


def sweep(behaviour: Behaviour, *, seed: int, events: int) -> Iterator[Scene]:
    """Yield TPS x receipts x inbound x groups; `events` is about how many events a scene without groups has."""
    for tps in (10, 15, 20, 80):
        for receipts in RECEIPTS:
            for inbound in COURSES:
                for members in (0, 256):
                    yield Scene(
                        name="sweep", tps=tps, receipts=receipts, inbound=inbound, members=members, seed=seed,
                        seconds=max(60, events * (3 if members else 1) // tps), behaviours=((0.0, behaviour),),
                    )  # fmt: skip
