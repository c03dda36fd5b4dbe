"""How many sends for how much calm: the whole curve, by how much of TPS is left free?

A point is the mean over seeds of one situation at one share of TPS left free, which is Headway's calm and the plain
sender's headroom: sends as a share of the oracle's, against the share of arrivals whose trailing second holds more than
TPS events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any, Final

from bench._budget_conditions import Scene
from bench._budget_measures import Figures, MakeSender, live
from bench._budget_oracle import Oracle
from bench._budget_policies import WindowAndDebt

SHARES: Final = (0.0, 0.1, 0.2, 0.3, 0.4)

#: The plain sender's curve is read between its points: it is quick to run, so it gets more of them.
PLAIN_SHARES: Final = tuple(step / 40 for step in range(17))

HEAD: Final = (
    "| situation | side | left free | sends, of the oracle's | seconds over TPS | behind, most | p99 "
    "| inbound lost | into a full second | requests a minute |\n" + "| --- " * 10 + "|"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One side at one share left free; means over seeds, but for the worst of `behind_max_s` and `requests_most`."""

    free: float
    sends: float
    over: float
    behind_p99_s: float
    behind_max_s: float
    inbound_lost: int
    into_full: int
    requests_most: int


@dataclass(frozen=True, slots=True)
class Curves:
    """Both sides' curves of one situation, by what is left free. `oracle_lost`: inbound messages that it lost too."""

    situation: str
    scene: Scene
    headway: tuple[Point, ...]
    plain: tuple[Point, ...]
    oracle_lost: int

    def gaps(self) -> list[float]:
        """Return for each of Headway's points by how much its share of seconds over TPS lies below the plain curve.

        The plain curve is read at the same sends, between its points straight. Left of its calmest point it stays at
        that point's share: who sends less should be at least as calm. Right of its busiest point it ends: more sends
        than the plain sender reaches at all are compared with nothing.
        """
        return [at - point.over for point, at in self._pairs(lambda point: point.over)]

    def behind_ratios(self) -> list[float]:
        """Return for each of Headway's points its p99 of work found before an arrival, over the plain sender's."""
        return [point.behind_p99_s / at for point, at in self._pairs(lambda point: point.behind_p99_s) if at]

    def _pairs(self, figure: Callable[[Point], float]) -> Iterator[tuple[Point, float]]:
        plain = sorted(self.plain, key=lambda point: point.sends)
        for point in self.headway:
            at = _read(plain, point.sends, figure)
            if at is not None:
                yield point, at

    def told(self) -> dict[str, Any]:
        """Return it as JSON."""
        sides = {"headway": self.headway, "plain": self.plain}
        return {"situation": self.situation} | {side: [asdict(p) for p in points] for side, points in sides.items()}


def curves(scenes: Sequence[Scene], headway: MakeSender) -> Curves:
    """Return the curves of one situation; `scenes` are its seeds."""
    oracle = [live(scene, Oracle(scene)) for scene in scenes]

    def side(make: MakeSender, shares: Iterable[float]) -> tuple[Point, ...]:
        return tuple(_point(free, [live(scene, make(scene, free)) for scene in scenes], oracle) for free in shares)

    lost = sum(seen.inbound_lost for seen in oracle)
    return Curves(scenes[0].name, scenes[0], side(headway, SHARES), side(WindowAndDebt, PLAIN_SHARES), lost)


def all_curves(
    situations: Sequence[Sequence[Scene]], headway: MakeSender, *, say: Callable[[str], None]
) -> list[Curves]:
    """Return the curves of each situation; say each as it is done."""
    say(HEAD)
    found = []
    for scenes in situations:
        found.append(curves(scenes, headway))
        say(_told(found[-1]))
    return found


def _told(both: Curves) -> str:
    rows = []
    for side, points in (("Headway", both.headway), ("window + debt", both.plain)):
        rows += [
            f"| {both.situation} | {side} | {p.free:.0%} | {p.sends:.1%} | {p.over:.1%} | {p.behind_max_s:.2f} s "
            f"| {p.behind_p99_s:.2f} s | {p.inbound_lost} | {p.into_full} | {p.requests_most} |"
            for p in points
            if p.free in SHARES
        ]
    return "\n".join(rows)


def _point(free: float, seen: Sequence[Figures], oracle: Sequence[Figures]) -> Point:
    return Point(
        free=free,
        sends=fmean(each.weight / max(1.0, best.weight) for each, best in zip(seen, oracle, strict=True)),
        over=fmean(each.over_share for each in seen),
        behind_p99_s=fmean(each.behind_p99_s for each in seen),
        behind_max_s=max(each.behind_max_s for each in seen),
        inbound_lost=sum(each.inbound_lost for each in seen),
        into_full=sum(each.into_full for each in seen),
        requests_most=max(each.requests_most for each in seen),
    )


def _read(curve: Sequence[Point], sends: float, figure: Callable[[Point], float]) -> float | None:
    if sends <= curve[0].sends:
        return figure(curve[0])
    for before, after in pairwise(curve):
        if sends <= after.sends:
            part = (sends - before.sends) / (after.sends - before.sends)
            return figure(before) + part * (figure(after) - figure(before))
    return None
