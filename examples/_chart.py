"""How does a minute look? One column for each second, its events stacked by kind, against the line of TPS."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Final

from rich.text import Text

from examples._moment import KINDS, Moment

KIND_COLOURS: Final[Mapping[str, str]] = {"send": "green", "delivered": "blue", "read": "cyan", "inbound": "magenta"}

_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
#: Without colours each kind has a shade of its own.
SHADES: Final[Mapping[str, str]] = {"send": "█", "delivered": "▓", "read": "▒", "inbound": "░"}
#: What lies just below the line of TPS where nothing else is.
_LINE: Final = "▔"
#: Columns of the scale at the left.
_SCALE: Final = 5
#: The line of TPS lies so high, as a share of the chart: seconds above it must be seen as well.
_HEIGHT_OF_TPS: Final = 2 / 3


def chart(moment: Moment, *, rows: int, width: int, colours: bool) -> list[Text]:
    """Return the chart, `rows` lines high, and the scale of time below it."""
    draw = cell_of if colours else shade_of
    line_row = max(1, round(rows * _HEIGHT_OF_TPS))
    most = max((column.total() for column in moment.columns), default=0)
    # A second that doesn't fit on the paper lowers the line.
    while line_row > 1 and moment.tps / line_row * rows < most:
        line_row -= 1
    worth = moment.tps / line_row
    cell = max(1, (width - _SCALE - 1) // moment.seconds)
    shown = moment.columns[-((width - _SCALE - 1) // cell) :]
    lines = []
    for row in range(rows, 0, -1):
        label = f"{moment.tps:g}" if row == line_row else "TPS" if row == line_row + 1 else "0" if row == 1 else ""
        line = Text(f"{label:>{_SCALE - 1}} ", "dim")
        blank = _LINE if row == line_row else " "
        for column in shown:
            glyph, style = draw(column, (row - 1) * worth, row * worth, blank=blank)
            line.append(glyph * cell, style)
        rest = moment.seconds - len(moment.columns)
        line.append(blank * max(0, min(rest * cell, width - _SCALE - 1 - len(shown) * cell)), "dim")
        lines.append(line)
    return [*lines, _time(moment, cell=cell, columns=max(len(shown), min(moment.seconds, (width - 6) // cell)))]


def cell_of(column: Mapping[str, int], low: float, high: float, *, blank: str = " ") -> tuple[str, str]:
    """Return glyph and style of the cell between two counts of events of a column.

    One cell has two colours at the most: the kind at its bottom, and above it the one that fills most of the rest.
    """
    pieces = _pieces(column, low, high)
    if not pieces:
        return blank, "dim"
    (kind, filled), *above = pieces
    eighths = ceil(filled / (high - low) * 8 - 0.5)
    if eighths <= 0 and above:
        (kind, filled), *above = above
        eighths = ceil(filled / (high - low) * 8 - 0.5)
    eighths = max(1, min(8, eighths))
    empty = (high - low) - sum(length for _, length in pieces)
    top = max(above, key=lambda piece: piece[1], default=None)
    if eighths == 8 or top is None or top[1] < empty:
        return _EIGHTHS[eighths], KIND_COLOURS[kind]
    return _EIGHTHS[eighths], f"{KIND_COLOURS[kind]} on {KIND_COLOURS[top[0]]}"


def shade_of(column: Mapping[str, int], low: float, high: float, *, blank: str = " ") -> tuple[str, str]:
    """Return the same for a terminal without colours: the shade of what fills most of the cell."""
    pieces = _pieces(column, low, high)
    if sum(length for _, length in pieces) < (high - low) / 2:
        return blank, ""
    return SHADES[max(pieces, key=lambda piece: piece[1])[0]], ""


def _pieces(column: Mapping[str, int], low: float, high: float) -> list[tuple[str, float]]:
    """Return the kinds between two heights of a column, from below, with how much of each."""
    found, base = [], 0.0
    for kind in KINDS:
        top = base + column.get(kind, 0)
        length = min(high, top) - max(low, base)
        if length > 1e-9:
            found.append((kind, length))
        base = top
    return found


def _time(moment: Moment, *, cell: int, columns: int) -> Text:
    """Return the scale of time: every ten seconds, or every two for a short run."""
    first = max(0, len(moment.columns) - columns)
    step = 10 if moment.seconds > 20 else 2
    marks = [" "] * (columns * cell + 4)
    for second in range(first, first + columns + 1):
        if second % step == 0:
            label = f"{second} s" if second else "0"
            place = (second - first) * cell
            marks[place : place + len(label)] = label
    return Text(" " * _SCALE + "".join(marks).rstrip(), "dim")
