"""What will come in because of what has been sent?

Each send brings receipts later, at times that nobody chooses: a share `p` of the sends is delivered, after `d` on the
mean, and a share is read. This module is the reference of `lua/include/forecast.lua`, which does the same in a lease.

*What is on its way.* Delays are modelled as Erlang of order 3 (mean `d`, spread 0.58 of it: between an exponential,
which expects most at once, and a clock). So the sends whose receipt of one kind is still to come are three numbers, the
stages of a chain that each is left at rate `3/d`. With `a = 3 t / d` stages `x, y, z` become after `t`

    x e^-a,   (y + x a) e^-a,   (z + y a + x a^2 / 2) e^-a

and what has left the chain, times `p`, has been expected to come. A send adds 1 to the first stage; a group send adds
its members, to a chain of their own with its own share. The cost is the same however many sends are on their way.

*Learning.* The share is corrected by evidence: as much as is expected to come takes `p / n` of it away, a receipt that
comes gives `1 / n` back. So a receipt counts against sends that were due when it came, and the share settles where both
are the same, whatever `d`. A delay moves by `1 / n` towards each that is seen. `n` is 60 receipts, or a quarter of a
minute's of them if those are more. A number that was never told of a receipt expects none from single sends: perhaps
nobody asked for them. Groups are expected to bring them from the first on, because for groups they can't be switched
off.

*The container's work.* Sends, inbound messages and expected receipts fill a leaky bucket that TPS drains: `behind`. The
meter's debt can't show it, because a container that is behind tells of its events only as it works them off.

*The test.* Let `E(h)` be what comes within `h`, inbound messages at their mean rate included, and `s(h)` those events
of the trailing window that will still be in it after `h`. `n` single sends may leave if at each quarter `h` of the
window

    s(h) + u + E(h) + z sqrt(E(h)) + n <= TPS

where `u` is what has come but waits at the container, so that nobody told of it (`lua/include/queued.lua` says how that
is known), and `z` is 5 times the calm: what comes is about Poisson, so its deviation is the root of its mean. Where a
request quota makes batches, only the last two quarters are looked at: what a batch leaves free isn't used before the
next one. One that is alone in its window may always leave: a slow number has room for no more. And at longer horizons
`behind + E(h) <= TPS (h + 0.5 s)`. A group send, whose own receipts alone overrun the container, goes when nothing else
would: as above with 0.3 s, its own receipts left out.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, floor, sqrt

#: Receipts and what is believed of them before any was seen: the provider's page and the simulator's people.
KINDS = ("delivered", "read")
PRIOR_SHARE = (0.98, 0.6)
PRIOR_DELAY_US = (1_000_000.0, 6_000_000.0)

#: Receipts of evidence that a share or a delay rests on; at least so many seconds of them.
EVIDENCE = 60.0
EVIDENCE_S = 15.0
#: As much for groups, in members.
EVIDENCE_GROUPS = 512.0

#: Over which the rate of inbound messages is averaged.
INBOUND_US = 60_000_000.0

#: How many deviations are kept free, for each unit of calm.
DEVIATIONS = 5.0

#: Parts of the window, and longer horizons in microseconds.
NEAR = (0.25, 0.5, 0.75, 1.0)
NEAR_BATCH = (0.75, 1.0)
FAR_US = (2_000_000, 5_000_000, 15_000_000, 40_000_000)

#: Seconds of work that may stand before the container, for a single send and for a group.
CALM_S = 0.5
CALM_GROUP_S = 0.3

#: With less than this of TPS told in the trailing window the container isn't behind, whatever was expected.
BUSY = 0.6

_SHORTEST_US = 50_000.0
_LEAST_SHARE = 0.02
_FORMAT = "<25d"


def _after(stages: Sequence[float], a: float) -> tuple[float, float, float]:
    x, y, z = stages
    e = exp(-a)
    return x * e, (y + x * a) * e, (z + y * a + x * a * a / 2) * e


@dataclass(slots=True)
class Stream:
    """Receipts of one kind: their share of sends and of groups' members, their delay, and sends whose is to come."""

    share: float
    group_share: float
    delay_us: float
    one: tuple[float, float, float] = (0.0, 0.0, 0.0)
    many: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def evidence(self) -> float:
        """Return how many receipts a change is spread over."""
        return max(EVIDENCE, EVIDENCE_S * 1e6 * sum(self.one) / self.delay_us)

    def within(self, us: float, *, single: bool, group: bool) -> float:
        """Return how many are expected within so many microseconds."""
        p, q = self.share if single else 0.0, self.group_share if group else 0.0
        stages = [p * one + q * many for one, many in zip(self.one, self.many, strict=True)]
        return max(0.0, sum(stages) - sum(_after(stages, 3 * us / self.delay_us)))

    def pass_on(self, dt_us: int) -> tuple[float, float]:
        """Let time go on; return how many single sends and members of groups were due meanwhile."""
        a, one, many = 3 * dt_us / self.delay_us, sum(self.one), sum(self.many)
        self.one, self.many = _after(self.one, a), _after(self.many, a)
        return one - sum(self.one), many - sum(self.many)


def _streams() -> tuple[Stream, Stream]:
    first, second = (Stream(p, p, d) for p, d in zip(PRIOR_SHARE, PRIOR_DELAY_US, strict=True))
    return first, second


@dataclass(frozen=True, slots=True)
class Expects:
    """Which receipts come (delivered, read) from single sends and from groups, and whether anybody tells of them."""

    single: tuple[bool, bool] = (True, True)
    group: tuple[bool, bool] = (True, True)
    webhook: bool = True


@dataclass(slots=True)
class Forecast:
    """What is on its way for one unit. Moments in microseconds, amounts in events; changed by what happens.

    `told`, `told_groups`: whether anybody ever told of a receipt. `inbound_per_s`: mean rate; `inbound_seen`: the
    meter's total of inbound messages that `behind` has. `owed`: receipts that nobody tells us of, not yet charged.
    """

    at_us: int = 0
    behind: float = 0.0
    inbound_per_s: float = 0.0
    inbound_seen: int = 0
    told: bool = False
    told_groups: bool = False
    owed: float = 0.0
    streams: tuple[Stream, Stream] = field(default_factory=_streams)

    def advance(self, e: Expects, now_us: int, tps_milli: int, inbound: int) -> tuple[float, float]:
        """Let time go on; return how many receipts of single sends and of groups were expected meanwhile.

        `inbound`: the meter's total of inbound messages. A clock that was set back lets no time pass.
        """
        dt = max(0, now_us - self.at_us)
        came_one = came_many = 0.0
        for stream, single, group in zip(self.streams, e.single, e.group, strict=True):
            n = stream.evidence()
            due_one, due_many = stream.pass_on(dt)
            came_one += stream.share * due_one if single and self.speaks(e) else 0.0
            came_many += stream.group_share * due_many if group else 0.0
            if e.webhook and self.told:
                stream.share = max(_LEAST_SHARE, stream.share * exp(-due_one / n))
            if e.webhook and self.told_groups:
                stream.group_share = max(_LEAST_SHARE, stream.group_share * exp(-due_many / EVIDENCE_GROUPS))
        wrote = max(0, inbound - self.inbound_seen)
        self.behind = max(0.0, self.behind + came_one + came_many + wrote - dt * tps_milli / 1e9)
        self.inbound_per_s = self.inbound_per_s * exp(-dt / INBOUND_US) + wrote * 1e6 / INBOUND_US
        self.at_us, self.inbound_seen = now_us, inbound
        return came_one, came_many

    def speaks(self, e: Expects) -> bool:
        """Whether receipts of single sends are expected at all."""
        return self.told or not e.webhook

    def at_lease(self, e: Expects, now_us: int, *, window_us: int, tps_milli: int, inbound: int, spent: int) -> float:
        """Look ahead as a lease does; return how many events the container is behind that no webhook will tell of.

        `spent`: events charged in the trailing window.
        """
        self.advance(e, max(self.at_us, now_us - window_us) if now_us > self.at_us else self.at_us, tps_milli, inbound)
        one, many = self.advance(e, now_us, tps_milli, inbound)
        groups = sum(sum(stream.many) for stream in self.streams)
        self.owed += (0.0 if e.webhook else one) + (0.0 if e.webhook and self.told_groups else many)
        if not e.webhook or (not self.told_groups and (groups > 0 or many > 0)):
            return self.behind
        if spent < BUSY * max(1, tps_milli // 1000):
            self.behind = min(self.behind, CALM_S * tps_milli / 1000)
        return 0.0

    def send(self, singles: int, groups: int = 0, members: int = 0) -> None:
        """Single sends leave, and group sends with so many members together."""
        self.behind += singles + groups
        for stream in self.streams:
            stream.one = (stream.one[0] + singles, *stream.one[1:])
            stream.many = (stream.many[0] + members, *stream.many[1:])

    def hear(self, kind: str, delay_us: int | None, *, group: bool, tps_milli: int) -> None:
        """Learn of a receipt. `delay_us`: since its send began, None when nobody knows.

        While it waited for its turn at the container it wasn't on its way any more, so that time is taken off.
        """
        stream = self.streams[KINDS.index(kind)]
        if group:
            self.told_groups = True
            stream.group_share = min(1.0, stream.group_share + 1 / EVIDENCE_GROUPS)
            return
        self.told = True
        n = stream.evidence()
        stream.share = min(1.0, stream.share + 1 / n)
        if delay_us is not None:
            delay = max(_SHORTEST_US, delay_us - self.behind * 1e9 / tps_milli)
            stream.delay_us += (delay - stream.delay_us) / n

    def expected(self, e: Expects, us: float) -> float:
        """Return how many events come within so many microseconds that nobody can refuse."""
        comes = self.inbound_per_s * us / 1e6
        for stream, single, group in zip(self.streams, e.single, e.group, strict=True):
            comes += stream.within(us, single=single and self.speaks(e), group=group)
        return comes

    def excess_s(self, e: Expects, *, tps_milli: int, behind: float = 0.0) -> float:
        """Return how many seconds of work will stand before the container at most, at any of FAR_US.

        `behind`: the meter's debt, in events; the larger of the two counts.
        """
        behind = max(behind, self.behind)
        return max(0.0, *((behind + self.expected(e, us)) * 1000 / tps_milli - us / 1e6 for us in FAR_US))

    def fits(
        self, e: Expects, staying: Mapping[float, float], *, window_us: int, events: int, calm: float, untold: float = 0
    ) -> int:
        """Return how many single sends may leave by the near test; `staying`: `s(h)` for each of NEAR or NEAR_BATCH.

        `untold`: events that wait at the container, so that nobody was told of them yet.
        """
        free = float(events)
        for part, stays in staying.items():
            comes = self.expected(e, part * window_us)
            free = min(free, events - stays - untold - comes - DEVIATIONS * calm * sqrt(comes))
        return max(0, floor(free))

    def pack(self) -> bytes:
        """Return it as the scripts keep it."""
        flat = [self.at_us, self.behind, self.inbound_per_s, self.inbound_seen, self.told, self.told_groups, self.owed]
        for stream in self.streams:
            flat += [stream.share, stream.group_share, stream.delay_us, *stream.one, *stream.many]
        return struct.pack(_FORMAT, *flat)


def unpack(raw: bytes) -> Forecast:
    """Read what a script kept. Raises struct.error for anything else."""
    at, behind, rate, seen, told, told_groups, owed, *rest = struct.unpack(_FORMAT, raw)
    streams = [
        Stream(part[0], part[1], part[2], (part[3], part[4], part[5]), (part[6], part[7], part[8]))
        for part in (rest[:9], rest[9:])
    ]
    return Forecast(
        int(at), behind, rate, int(seen), told == 1, told_groups == 1, owed, streams=(streams[0], streams[1])
    )
