"""What does a person see of the run? Each second's events against TPS, the container's backlog, and who waits."""

from __future__ import annotations

from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.style import Style
from rich.text import Text

from console.output import COLOURS, bar
from examples._chart import KIND_COLOURS, SHADES, chart
from examples._moment import KINDS, SECOND_US, Line, Moment, quantile
from runtime.telemetry import mask

#: Lines of the picture beside the chart and what comes and goes; one for the cursor.
_FRAME: Final = 12
_LEAST_CHART, _MOST_CHART = 4, 18
#: Lines of what comes and goes below the chart, at the least.
_STREAM: Final = 3
_LABEL: Final = 10
#: Backlog at which the container's bar is full, in seconds: what it must never reach.
_FULL_S: Final = 1.5


class Plain:
    """One line a second, for logs and pipes."""

    def __init__(self) -> None:
        self._next_us = 0
        self._said = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, moment: Moment) -> None:
        """Print a line when a second has gone by, or when there is something to say."""
        if moment.says != self._said:
            self._said = moment.says
            print(f"{_clock(moment):>7}  {moment.says}", flush=True)
        if moment.start_us and moment.now_us >= self._next_us:
            self._next_us = moment.now_us + SECOND_US
            spent = moment.spent()
            kinds = " ".join(f"{kind} {spent[kind]:>2}" for kind in KINDS)
            waiting = " ".join(f"{class_} {rows}" for class_, rows in moment.waiting.items() if rows) or "nobody"
            print(
                f"{_clock(moment):>7}  {spent.total():>2} of {moment.tps:g} TPS: {kinds}   "
                f"{moment.behind_s:.1f} s behind   waiting: {waiting}",
                flush=True,
            )


class Picture:
    """The picture on a terminal, drawn over itself."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def show(self, moment: Moment) -> None:
        """Draw."""
        console = self._console
        colours = console.color_system is not None and not console.no_color
        self._live.update(draw(moment, width=console.width, height=console.height, colours=colours), refresh=True)


def draw(moment: Moment, *, width: int, height: int, colours: bool) -> RenderableType:
    """Return the picture for a terminal of so many columns and lines."""
    room = height - _FRAME - _STREAM
    rows = max(_LEAST_CHART, min(_MOST_CHART, room))
    lines = [
        _title(moment),
        Text(moment.says, "yellow"),
        Text(),
        *chart(moment, rows=rows, width=width, colours=colours),
        _legend(moment, colours=colours),
        Text(),
        *_figures(moment, width),
        Text(),
        *_stream(moment, max(_STREAM, room - rows + _STREAM), width),
    ]
    for line in lines:  # one that wraps would push the last ones off the screen
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(*lines)


def _title(moment: Moment) -> Text:
    return Text.assemble(
        (moment.number, "bold"),
        f"   {moment.tps:g} TPS   {moment.campaign:,} bulk, {len(moment.urgent)} urgent pushed   ",
        (_clock(moment), "bold"),
        f" of {moment.seconds} s",
    )


def _legend(moment: Moment, *, colours: bool) -> Text:
    spent = moment.spent()
    legend = Text("last second ")
    for kind in KINDS:
        legend.append("■ " if colours else f"{SHADES[kind]} ", KIND_COLOURS[kind]).append(f"{kind} {spent[kind]}  ")
    return legend.append(f"= {spent.total()} of {moment.tps:g}", "bold")


def _figures(moment: Moment, width: int) -> list[Text]:
    bar_width = max(10, min(40, width - _LABEL - 28))
    behind = Text.assemble(
        f"{'container':<{_LABEL}}",
        (f"{bar(moment.behind_s, _FULL_S, width=bar_width):<{bar_width}}", "yellow"),
        f"  {moment.behind_s:.1f} s behind, most {moment.behind_most_s:.1f} s",
    )
    most = max(moment.campaign, 1)
    shown = [class_ for class_ in moment.waiting if class_ in ("urgent", "bulk") or moment.waiting[class_]]
    lanes = [_lane(class_, moment.waiting[class_], most=most, width=bar_width) for class_ in shown]
    return [behind, *lanes, _urgent(moment)]


def _lane(class_: str, rows: int, *, most: int, width: int) -> Text:
    colour = COLOURS[class_]
    drawn = f"{bar(rows, most, width=width):<{width}}"
    return Text.assemble((f"{class_:<{_LABEL}}", colour), (drawn, colour), f"  {rows:,} waiting")


def _urgent(moment: Moment) -> Text:
    waits = moment.waits_us()
    said = f"{len(waits)} of {len(moment.urgent)} there"
    if waits:
        middle, most = quantile(waits, 0.5) / SECOND_US, waits[-1] / SECOND_US
        said += f": half of them within {middle:.2f} s, all within {most:.2f} s"
    return Text.assemble((f"{'urgent':<{_LABEL}}", COLOURS["urgent"]), said)


def _stream(moment: Moment, room: int, width: int) -> list[Text]:
    """Return what came and went last, the newest first."""
    newest = sorted(moment.lines, key=lambda line: -line.at_us)[:room]
    return [_came(moment, line, width) for line in newest] + [Text()] * (room - len(newest))


def _came(moment: Moment, line: Line, width: int) -> Text:
    urgent = line.what == "urgent"
    colour = COLOURS["urgent"] if urgent else KIND_COLOURS["inbound"]
    text = Text.assemble(
        (f"{max(0, line.at_us - moment.start_us) / SECOND_US:5.1f} s  ", "dim"),
        (f"{'→' if urgent else '←'} {line.what:<8}", Style(color=colour)),
        f"{mask(line.number):<14}",
        (line.text.replace("\n", " "), "dim"),
    )
    text.truncate(width - 1, overflow="ellipsis")
    return text


def _clock(moment: Moment) -> str:
    return f"{max(0, moment.now_us - moment.start_us) / SECOND_US if moment.start_us else 0:.1f} s"
