"""How does each sender do before every kind of number: TPS x receipts x inbound x groups?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

from bench._budget_conditions import Scene
from bench._budget_measures import Figures, MakeSender, live
from bench._budget_oracle import Oracle
from bench._budget_policies import OutboundOnly, WindowAndDebt

HEAD: Final = (
    "| TPS | receipts | inbound | group | sender | inbound lost | behind, most | p99 | into a full second "
    "| seconds over TPS | sends, of the oracle's |\n" + "| --- " * 11 + "|"
)

#: An outbound-only limiter drowns a number with groups: a part of the scene shows it, and the rest is only slow.
_DROWNS = 6


@dataclass(frozen=True, slots=True)
class Cell:
    """One scene, and what each sender made of it."""

    scene: Scene
    figures: Mapping[str, Figures]

    def share(self, side: str) -> float:
        """Return a side's sends over the oracle's (`Figures.weight`)."""
        spans = {"outbound only": _DROWNS} if self.scene.members else {}
        return self.figures[side].weight * spans.get(side, 1) / max(1.0, self.figures["oracle"].weight)


def cell(scene: Scene, headway: MakeSender, headroom: float) -> Cell:
    """Let every sender live through a scene: Headway with its defaults, its plain peer with as much headroom."""
    drowning = replace(scene, seconds=scene.seconds // _DROWNS) if scene.members else scene
    return Cell(
        scene,
        {
            "Headway": live(scene, headway(scene, 0.0)),
            "window + debt": live(scene, WindowAndDebt(scene, headroom)),
            "outbound only": live(drowning, OutboundOnly(drowning)),
            "oracle": live(scene, Oracle(scene)),
        },
    )


def sweep(scenes: Sequence[Scene], headway: MakeSender, headroom: float, *, say: Callable[[str], None]) -> list[Cell]:
    """Return a cell for each scene; say each as it is done."""
    say(HEAD)
    cells = []
    for scene in scenes:
        cells.append(cell(scene, headway, headroom))
        say(told(cells[-1]))
    return cells


def told(cell: Cell) -> str:
    """Return a cell as rows of a table."""
    scene = cell.scene
    return "\n".join(
        f"| {scene.tps} | {scene.receipts} | {scene.inbound} | {scene.members or 'none'} | {side} "
        f"| {seen.inbound_lost} | {seen.behind_max_s:.2f} s | {seen.behind_p99_s:.2f} s | {seen.into_full} "
        f"| {seen.over_share:.1%} | {cell.share(side):.1%} |"
        for side, seen in cell.figures.items()
    )


def summary(cells: Sequence[Cell]) -> str:
    """Return the sweep in one table: scenes without and with groups, and each sender over all of them."""
    head = (
        "scenes",
        "sender",
        "inbound lost",
        "behind, most",
        "p99, worst",
        "into a full second",
        "seconds over TPS, mean",
    )
    lines = [
        "| " + " | ".join((*head, "sends, of the oracle's: mean", "least")) + " |",
        "| --- " * (len(head) + 2) + "|",
    ]
    for members in sorted({each.scene.members for each in cells}):
        some = [each for each in cells if each.scene.members == members]
        for side in some[0].figures:
            seen, shares = [each.figures[side] for each in some], [each.share(side) for each in some]
            lines.append(
                f"| {len(some)} {f'with groups of {members}' if members else 'without groups'} | {side} "
                f"| {sum(f.inbound_lost for f in seen)} | {max(f.behind_max_s for f in seen):.1f} s "
                f"| {max(f.behind_p99_s for f in seen):.1f} s | {sum(f.into_full for f in seen)} "
                f"| {fmean(f.over_share for f in seen):.1%} | {fmean(shares):.1%} | {min(shares):.1%} |"
            )
    return "\n".join(lines)
