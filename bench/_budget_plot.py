"""What do the curves look like?

One panel for each situation; small SVGs with text as text. The only file that needs matplotlib (group `bench`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure

from bench._budget_curves import Curves, Point

_COLUMNS = 4
_HEADWAY, _PLAIN, _GRID = "#0b6e4f", "#b5651d", "#dddddd"


#: What stands on the upright axis: its words, and a point's figure.
_MEASURES: Final[dict[str, tuple[str, Callable[[Point], float]]]] = {
    "over": ("seconds over TPS, %", lambda point: 100 * point.over),
    "behind": ("container behind, p99, s", lambda point: point.behind_p99_s),
}


def draw(found: Sequence[Curves], path: Path, *, delays: str, measure: str) -> None:
    """Draw one panel for each situation into an SVG. The same figures give the same file."""
    rows = -(-len(found) // _COLUMNS)
    words, figure_of = _MEASURES[measure]
    style = {"svg.fonttype": "none", "svg.hashsalt": "headway", "font.size": 8, "font.sans-serif": ["DejaVu Sans"]}
    with mpl.rc_context(style):
        figure = Figure(figsize=(3 * _COLUMNS, 2.6 * rows), layout="constrained")
        panels = figure.subplots(rows, _COLUMNS, squeeze=False).flatten()
        for panel, both in zip(panels, found, strict=False):
            for points, colour, mark, label in (
                (both.plain, _PLAIN, "", "window + debt"),
                (both.headway, _HEADWAY, "o", "Headway"),
            ):
                across = [100 * point.sends for point in points]
                panel.plot(across, [figure_of(p) for p in points], color=colour, marker=mark, markersize=4, label=label)
            panel.set_title(both.situation)
            panel.grid(color=_GRID, linewidth=0.5)
            panel.set_ylim(bottom=0)
        for panel in panels[len(found) :]:
            panel.set_axis_off()
        panels[0].legend(frameon=False)
        figure.supxlabel("sends, % of the oracle's")
        figure.supylabel(words)
        figure.suptitle(
            f"{delays} delays; from 0 (right) to 40 % (left) of TPS left free; lower and further right is better"
        )
        drawn = StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    # A tenth of a point is finer than anybody sees, and half the file.
    path.write_text(re.sub(r"\d+\.\d{2,}", lambda number: f"{float(number[0]):.1f}", drawn.getvalue()))
