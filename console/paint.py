"""How do numbers and settings look on a terminal? Bars first: people look before they read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from console.output import COLOURS, bar
from scheduler.figures import NumberFigures, rate

#: More numbers than this are a table of one line each.
_IN_FULL = 4

#: Seconds, and their name: a duration is told in the largest of which it has two.
_UNITS = ((86_400, "days"), (3_600, "h"), (60, "min"))


def numbers(console: Console, found: Sequence[NumberFigures]) -> None:
    """Draw the numbers: a few in full, many as one table."""
    if len(found) > _IN_FULL:
        console.print(_overview(found))
        return
    # One scale for all, so that bars of two numbers can be compared.
    most = max((rows for one in found for rows in one.waiting.values()), default=0)
    for one in found:
        console.print(_in_full(one, most=most, width=max(10, min(40, console.width - 50))))


def _in_full(one: NumberFigures, *, most: int, width: int) -> Table:
    lanes = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    lanes.add_column(width=11)
    lanes.add_column(width=width)
    lanes.add_column(justify="right")
    for class_, rows in one.waiting.items():
        colour = COLOURS[class_]
        lanes.add_row(
            Text(class_, colour),
            Text(bar(rows, most, width=width), colour),
            f"{rows:,} waiting{_empty_in(one, class_)}",
        )
    may_spend = one.tps_milli * max(1, len(one.shards))
    spent = Text(bar(one.spent, may_spend / 1000, width=width), "green")
    lanes.add_row("last second", spent, f"{one.spent:,} of {rate(may_spend):,}")
    parked = f"leased {one.leased:,}   deferred {one.deferred:,}   uncertain {one.uncertain:,}   dead {one.dead:,}"
    parked += f"   held {one.held:,}" if one.held else ""
    totals = "   ".join(f"{kind} {events:,}" for kind, events in one.totals.items())
    grid = Table.grid()
    grid.add_row(_title(one))
    grid.add_row(lanes)
    grid.add_row(Text(parked, "red" if one.uncertain or one.dead else ""))
    grid.add_row(Text(f"so far: {totals}", "dim"))
    if one.shards:
        grid.add_row(_shards(one, width=width))
    grid.add_row("")
    return grid


def _empty_in(one: NumberFigures, class_: str) -> str:
    """Say when a lane will be empty, as people say it: in seconds, minutes or hours."""
    seconds = one.empty_in_s.get(class_)
    if not seconds:
        return ""
    shown = next((f"{seconds / unit:.0f} {name}" for unit, name in _UNITS if seconds >= 2 * unit), f"{seconds:.0f} s")
    return f", empty in {shown}"


def _shards(one: NumberFigures, *, width: int) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(width=11)
    table.add_column(width=width)
    table.add_column(justify="right")
    for shard, own in enumerate(one.shards):
        spent = Text(bar(own.spent, one.tps_milli / 1000, width=width), "green")
        behind = f"   {own.debt_ms / 1000:.1f} s behind" if own.debt_ms else ""
        told = f"{own.spent:,} of {rate(one.tps_milli):,}   {sum(own.waiting.values()):,} waiting{behind}"
        table.add_row(Text(f"shard {shard}", "dim"), spent, told)
    return table


def _title(one: NumberFigures) -> Text:
    each = f" on each of {len(one.shards)} shards" if one.shards else ""
    title = Text.assemble((one.number, "bold"), f"   {rate(one.tps_milli)} TPS{each} ({one.tps_from})")
    if one.debt_ms:
        title.append(f"   {one.debt_ms / 1000:.1f} s behind", "yellow")
    if one.paused:
        title.append(f"   paused by {one.by}", "bold red")
    return title


def _overview(found: Sequence[NumberFigures]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("number", no_wrap=True)
    table.add_column("TPS", justify="right")
    table.add_column("last second", no_wrap=True)
    for class_, colour in COLOURS.items():
        table.add_column(class_, justify="right", style=colour)
    for name in ("leased", "parked", "dead"):
        table.add_column(name, justify="right")
    for one in found:
        number = Text.assemble(one.number, (" paused" if one.paused else "", "red"))
        may_spend = one.tps_milli * max(1, len(one.shards)) / 1000
        spent = Text(f"{bar(one.spent, may_spend, width=8):<8} {one.spent:,}", "green")
        waiting = (f"{rows:,}" for rows in one.waiting.values())
        parked = f"{one.deferred + one.uncertain:,}"
        table.add_row(number, f"{rate(one.tps_milli):,}", spent, *waiting, f"{one.leased:,}", parked, f"{one.dead:,}")
    return table


def settings(console: Console, rows: Sequence[Mapping[str, str]], notes: Sequence[str]) -> None:
    """Draw the settings, the process's and then each number's: what differs from its default stands out."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("variable", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("from", overflow="fold")
    number = ""
    for row in rows:
        if row["number"] != number:
            number = row["number"]
            table.add_row(Text(number, "bold"))
        source = "" if row["source"] == row["variable"] else row["source"]
        style = "dim" if row["source"] == "default" else ""
        table.add_row(
            row["variable"],
            escape(row["value"]),
            escape(source.removeprefix("default, ") or "environment"),
            style=style,
        )
    console.print(table)
    for note in notes:
        console.print(Text.assemble(("note ", "yellow"), note))
