"""What does a person see of the run? Lanes that go down, the last second against TPS, and what the sink received."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from console.output import COLOURS, bar, spark
from examples._stage import Arrival
from examples._verdict import Pushed
from runtime.telemetry import mask

#: Lines of the picture beside the rows received, and one for the cursor.
_FRAME = 13
#: Lines of what is printed below the last picture.
_VERDICT = 7
_LABEL = 13
_SECOND_US = 1_000_000


@dataclass(slots=True)
class Moment:
    """What there is to see now. Times in microseconds since 1970."""

    number: str
    tps: float
    began_us: int
    now_us: int = 0
    waiting: Mapping[str, int] = field(default_factory=dict)
    says: str = ""
    done: bool = False
    pushed: dict[str, Pushed] = field(default_factory=dict)
    late: list[str] = field(default_factory=list)
    arrived: list[Arrival] = field(default_factory=list)

    def in_second(self, ends_us: int) -> int:
        """Count the rows that arrived in the second before a time."""
        return sum(ends_us - _SECOND_US < row.at_us <= ends_us for row in self.arrived)

    def seconds(self, count: int) -> list[int]:
        """Count the rows of each of the last whole seconds since the first arrival."""
        if not self.arrived:
            return []
        first = self.arrived[0].at_us
        counts = [0] * ((self.now_us - first) // _SECOND_US + 1)
        for row in self.arrived:
            counts[min(len(counts) - 1, (row.at_us - first) // _SECOND_US)] += 1
        return counts[:-1][-count:]


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
            print(f"{_since(moment, moment.now_us)}  {moment.says}", flush=True)
        if moment.now_us >= self._next_us:
            self._next_us = moment.now_us + _SECOND_US
            lanes = "  ".join(f"{class_} {rows:>2}" for class_, rows in moment.waiting.items())
            spent = f"last second {moment.in_second(moment.now_us)} of {moment.tps:g}"
            print(f"{_since(moment, moment.now_us)}  waiting: {lanes}   {spent}", flush=True)


class Picture:
    """The picture on a terminal, drawn over itself."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False)
        self._most = 1

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def show(self, moment: Moment) -> None:
        """Draw."""
        self._live.update(self._draw(moment), refresh=True)

    def _draw(self, moment: Moment) -> Group:
        width = max(20, min(90, self._console.width - _LABEL - 16))
        self._most = max(self._most, *moment.waiting.values())
        clock = _since(moment, moment.now_us).strip()
        return Group(
            Text.assemble((f"{moment.number}", "bold"), f"   {moment.tps:g} TPS   {clock}"),
            Text(moment.says, "yellow"),
            "",
            *(self._lane(class_, rows, width) for class_, rows in moment.waiting.items()),
            "",
            self._second(moment, width),
            Text.assemble(f"{'each second':<{_LABEL}}", (spark(moment.seconds(width), top=int(moment.tps)), "green")),
            "",
            Text(f"received by the sink: {len(moment.arrived)} of {len(moment.pushed)}", "dim"),
            *self._received(moment),
        )

    def _lane(self, class_: str, rows: int, width: int) -> Text:
        colour = COLOURS[class_]
        drawn = f"{bar(rows, self._most, width=width):<{width}}"
        return Text.assemble((f"{class_:<{_LABEL}}", colour), (drawn, colour), f"  {rows:>3} waiting")

    def _second(self, moment: Moment, width: int) -> Text:
        spent, events = moment.in_second(moment.now_us), max(1, int(moment.tps))
        cell = max(1, min(3, width // events))
        full = min(spent, events)
        drawn = ("■" * cell + " ") * full + ("□" * cell + " ") * (events - full)
        if len(drawn) > width:
            drawn = bar(spent, events, width=width)
        return Text.assemble(
            f"{'last second':<{_LABEL}}", (f"{drawn:<{width}}", "green"), f"  {spent:>3} of {moment.tps:g}"
        )

    def _received(self, moment: Moment) -> list[Text]:
        room = max(3, min(20, self._console.height - _FRAME - (_VERDICT if moment.done else 0)))
        newest = deque(reversed(moment.arrived[-room:]))
        lines = [self._row(moment, row) for row in newest]
        return lines + [Text("")] * (room - len(lines))

    def _row(self, moment: Moment, row: Arrival) -> Text:
        class_ = moment.pushed[row.id].class_ if row.id in moment.pushed else ""
        line = Text.assemble(
            (f"{_since(moment, row.at_us)}  ", "dim"), (f"{class_:<8}", COLOURS.get(class_, "")), f"{mask(row.to):<16}"
        )
        if row.id in moment.late:
            waited_s = (row.at_us - moment.pushed[row.id].at_us) / _SECOND_US
            line.append(f"overtook: here {waited_s:.1f} s after its push   ", "bold red")
        line.append(row.text.replace("\n", " "), "dim")
        line.truncate(self._console.width - 1, overflow="ellipsis")
        return line


def _since(moment: Moment, at_us: int) -> str:
    return f"{(at_us - moment.began_us) / _SECOND_US:5.1f} s"
