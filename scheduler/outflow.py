"""How fast will messages leave a number while some wait?

A fluid model of one unit. Let `Q` be the events a second that a number takes while rows wait, and `u(t)` what comes in
that nobody can refuse. Then `s(t) = Q - u(t)` leave, never more than pace and headroom let.

*Q.* By the rules, for a class that leaves a part `c` of N events in a window W free as calm,

    Q = min(N - N c, N - 5 c sqrt(u W)) / W

and, where a provider counts requests, at most N for each turn. Leases measure it, too (`lua/include/outflow.lua`):
over seconds in which rows waited all the while, exponentially weighted. Measured, it has what no rule says: a provider
that is slow, a shape of its own for each row, workers that wake late. It counts by the evidence that it rests on.

*u.* The mean of inbound messages, and the receipts of what leaves: the forecast's own chain (`scheduler/forecast.py`),
run ahead. So the first seconds of a campaign, before its receipts come, are faster than the rest. Once `u` stands
still, at `s = (Q - inbound) / (1 + receipts of a send)`, time is just what is left, by `s`.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, exp, floor, inf, sqrt

from scheduler.forecast import DEVIATIONS

#: A lease charges its rows anew at begin, some milliseconds later (`lua/include/room.lua`).
_BEGIN_S = 0.004
#: Steps of the model while what comes in still changes, and for how many delays it is followed.
_STEP_S = 0.25
_DELAYS = 4.0
_MOST_STEPS = 400
#: However much comes in, this part of the rate is left: the answer is far away, not never.
_LEAST = 0.02


@dataclass(frozen=True, slots=True)
class Stream:
    """Receipts of one kind: how many a send brings, after how long, and how many are on their way, by stage."""

    per_send: float
    delay_s: float
    stages: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outflow:
    """What lets sends of one class leave a unit. `calm` (a part of TPS) and `kept` (events, for what can't be refused)
    are what the class leaves free. `measured` is Q in events a second, `evidence` its weight from 0 to 1.
    """

    events: int
    window_s: float
    calm: float = 0.0
    kept: int = 0
    paced: bool = True
    #: Of events that nobody can refuse, without receipts of what is still to leave.
    inbound: float = 0.0
    streams: tuple[Stream, ...] = ()
    #: From one turn of the request quota to the next; 0: the provider counts none.
    slot_s: float = 0.0
    measured: float = 0.0
    evidence: float = 0.0

    def total(self) -> float:
        """Return Q, in events a second."""
        ruled = self._by_rules(self.inbound)
        for _ in range(3):  # what comes in follows from what leaves
            ruled = self._by_rules(max(self.inbound, ruled - self._steady(ruled)))
        return self.evidence * self.measured + (1 - self.evidence) * ruled

    def steady(self) -> float:
        """Return the sends a second once receipts come in as they leave."""
        return self._steady(self.total())

    def seconds(self, rows: float, *, others: float = 0.0) -> float:
        """Return how long so many rows take while `others` a second leave besides; 0 for none."""
        if rows <= 0:
            return 0.0
        left, rate = _course(self, others)
        step = bisect_left(left, rows)
        if step == len(left):
            return len(left) * _STEP_S + (rows - (left[-1] if left else 0.0)) / rate
        before = left[step - 1] if step else 0.0
        return (step + (rows - before) / (left[step] - before)) * _STEP_S

    def follow(self, others: float) -> tuple[list[float], float]:
        """Return how many rows have left at the end of each step, and how many a second leave after the last."""
        total, so_far = self.total(), 0.0
        left: list[float] = []
        chains = [[*stream.stages] for stream in self.streams]
        follow_s = min(_MOST_STEPS * _STEP_S, _DELAYS * max((s.delay_s for s in self.streams), default=0.0))
        while len(left) * _STEP_S < follow_s:
            due = sum(_pass_on(chain, stream.delay_s) for chain, stream in zip(chains, self.streams, strict=True))
            rate = self._bounded(total - self.inbound - due / _STEP_S)
            so_far += max(_LEAST * rate, rate - others) * _STEP_S
            left.append(so_far)
            for chain, stream in zip(chains, self.streams, strict=True):
                chain[0] += stream.per_send * rate * _STEP_S
        rate = self._steady(total)
        return left, max(_LEAST * rate, rate - others)

    def _by_rules(self, comes_in: float) -> float:
        expects = any(stream.per_send > 0 for stream in self.streams)
        spread = DEVIATIONS * self.calm * sqrt(comes_in * self.window_s) if expects else 0.0
        fits = min(self._cap(), self.events - spread)
        return max(_LEAST * self.events, fits / max(self.window_s, self.slot_s))

    def _cap(self) -> int:
        return max(1, floor(self.events * (1 - self.calm)))

    def _steady(self, total: float) -> float:
        return self._bounded((total - self.inbound) / (1 + sum(stream.per_send for stream in self.streams)))

    def _bounded(self, rate: float) -> float:
        pace = self._cap() / (self.window_s + _BEGIN_S) if self.paced else inf
        most = min(pace, (self.events - self.kept) / self.window_s)
        return max(_LEAST * most, min(most, rate))


@lru_cache(maxsize=256)
def _course(outflow: Outflow, others: float) -> tuple[list[float], float]:
    """Keep what is asked again and again, for each row of a push."""
    return outflow.follow(others)


def kept_by(reserve: int, share: float) -> int:
    """Return the events that a class with this share of headroom keeps for what can't be refused."""
    return ceil(reserve * share)


def _pass_on(chain: list[float], delay_s: float) -> float:
    """Let a step pass over a chain of three stages; return what left it."""
    x, y, z = chain
    a = 3 * _STEP_S / delay_s
    stays = exp(-a)
    chain[0], chain[1], chain[2] = x * stays, (y + x * a) * stays, (z + y * a + x * a * a / 2) * stays
    return x + y + z - sum(chain)
