"""Was reached what was to be reached?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from bench._budget_curves import Curves
from bench._budget_sweep import Cell

#: Of the oracle's sends, at the default headroom.
LEAST_SHARE: Final = 0.95

#: Situations in which looking ahead must pay.
BETTER_IN: Final = ("groups", "batches", "batches at 20", "cold starts")


@dataclass(frozen=True, slots=True)
class Check:
    """One bound: whether it held, and what was seen."""

    bound: str
    held: bool
    seen: str

    def told(self) -> str:
        """Return it as one line."""
        return f"{'ok    ' if self.held else 'MISSED'} {self.bound}: {self.seen}"


def of_sweep(cells: Sequence[Cell]) -> list[Check]:
    """Check the sweep: nothing lost that needn't be, nothing into a full second, near what was possible."""
    fit = [each for each in cells if each.figures["oracle"].inbound_lost == 0]
    lost = sum(each.figures["Headway"].inbound_lost for each in fit)
    full = sum(each.figures["Headway"].into_full for each in cells)
    short = sorted((each for each in cells if each.share("Headway") < LEAST_SHARE), key=lambda c: c.share("Headway"))
    shares = [each.share("Headway") for each in cells]
    worst = "; ".join(f"{name(each)} {each.share('Headway'):.1%}" for each in short[:5])
    return [
        Check("no inbound message lost wherever the oracle loses none", lost == 0, f"{lost} in {len(fit)} scenes"),
        Check("no send into a second known to be full", full == 0, f"{full} in {len(cells)} scenes"),
        Check(
            f"at least {LEAST_SHARE:.0%} of the oracle's sends at the default headroom",
            not short,
            f"mean {fmean(shares):.1%}, {len(cells) - len(short)} of {len(cells)} scenes"
            + (worst and f"; worst: {worst}"),
        ),
    ]


def of_curves(found: Sequence[Curves], *, tolerance: float) -> list[Check]:
    """Check the curves: nowhere worse than window + debt, better where looking ahead must pay.

    `tolerance`: the part of chance in a difference between two curves, a share of seconds; half of it in their
    mean, which is also what a better curve must be better by.
    """
    checks = [_curve(both, tolerance) for both in found]
    lost = sum(point.inbound_lost for both in found if not both.oracle_lost for point in both.headway)
    full = sum(point.into_full for both in found for point in both.headway)
    checks.append(Check("curves: no inbound message lost", lost == 0, str(lost)))
    checks.append(Check("curves: no send into a second known to be full", full == 0, str(full)))
    for both in found:
        if both.scene.batch:
            most = max(point.requests_most for point in both.headway)
            bound = f"{both.situation}: at most {both.scene.batch} requests in any minute"
            checks.append(Check(bound, most <= both.scene.batch, str(most)))
    return checks


def name(each: Cell) -> str:
    """Return the scene of a cell in some words."""
    scene = each.scene
    return f"{scene.tps} TPS, receipts {scene.receipts}, inbound {scene.inbound}" + (", groups" * (scene.members > 0))


def _curve(both: Curves, tolerance: float) -> Check:
    gaps = both.gaps()
    beyond = len(both.headway) - len(gaps)
    mean = fmean(gaps) if gaps else 0.0
    better = both.situation in BETTER_IN
    held = all(gap >= -tolerance for gap in gaps) and mean > (tolerance if better else -tolerance) / 2
    seen = (
        f"seconds over TPS lower by {mean * 100:+.1f} points in the mean, {min(gaps, default=0.0) * 100:+.1f} at worst"
    )
    seen += f"; p99 behind {fmean(both.behind_ratios() or [1.0]):.2f} of its"
    more = f"; {beyond} points have more sends than window + debt reaches" if beyond else ""
    return Check(
        f"{both.situation}: curve {'better than' if better else 'nowhere worse than'} window + debt", held, seen + more
    )
