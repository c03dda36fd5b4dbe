"""What do the curves look like?

One panel for each situation; small SVGs with text as text. The only file that needs matplotlib (group `bench`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from bench._budget_curves import Curves, Point

_COLUMNS = 4
_HEADWAY, _PLAIN, _GRID = "#0b6e4f", "#b5651d", "#dddddd"


def draw(found: Sequence[Curves], path: Path, *, title: str) -> None:
    """Draw one panel for each situation into an SVG. The same figures give the same file."""
    rows = -(-len(found) // _COLUMNS)
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "headway", "font.size": 8, "font.family": "sans-serif"}
    ):
        figure = Figure(figsize=(3 * _COLUMNS, 2.6 * rows), layout="constrained")
        panels = figure.subplots(rows, _COLUMNS, squeeze=False).flatten()
        for panel, both in zip(panels, found, strict=False):
            _line(panel, both.plain, _PLAIN, "s", "window + debt")
            _line(panel, both.headway, _HEADWAY, "o", "Headway")
            panel.set_title(both.situation)
            panel.grid(color=_GRID, linewidth=0.5)
            panel.set_axisbelow(True)
            panel.set_ylim(bottom=0)
        for panel in panels[len(found) :]:
            panel.set_axis_off()
        panels[0].legend(frameon=False)
        figure.supxlabel("sends, % of the oracle's")
        figure.supylabel("trailing seconds over TPS, %")
        figure.suptitle(
            f"Delays: {title}. Each point is a headroom, from 0 (right) to 40 % (left); lower right is better"
        )
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _line(panel: object, points: Sequence[Point], colour: str, mark: str, label: str) -> None:
    x, y = [100 * point.sends for point in points], [100 * point.over for point in points]
    panel.plot(x, y, color=colour, marker=mark, markersize=3.5, linewidth=1.3, label=label)  # type: ignore[attr-defined]
