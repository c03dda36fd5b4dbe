"""How do the limits of a number look on a terminal? What binds first, then each limit, then who changed what."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from console.output import COLOURS, moment, passed_over
from scheduler.explain import PAUSED, Room
from scheduler.history import Change
from scheduler.limits import Explanation, Limit

#: Names get so many characters in a table, so that 80 columns hold a line: who, and from where.
_WHO, _WHERE = 10, 14
_SHOWN_CHANGES = 10
#: Shards in full; of more only those where something waits.
_UNITS = 2


def explanation(console: Console, found: Explanation) -> None:
    """Draw the whole: classes, limits, changes."""
    console.print(Text(found.number, "bold"))
    console.print(_classes(found))
    console.print()
    console.print(_limits(found))
    for bad in found.ignored:
        console.print(Text.assemble(("note ", "yellow"), passed_over(bad)))
    if found.changes:
        console.print()
        console.print(_changes(found.changes))


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, justify="right" if column in {"waiting", "used"} else "left", overflow="fold")
    return table


def _classes(found: Explanation) -> Table:
    table = _table("class", "waiting", "now", "until")
    for unit, standing in found.units:
        for room in standing.rooms:
            if len(found.units) > _UNITS and not room.waiting:
                continue
            shard = f" {unit.partition('/')[2]}" if "/" in unit else ""
            name = Text.assemble((room.class_.value, COLOURS[room.class_.value]), shard)
            table.add_row(name, f"{room.waiting:,}", _now(room), _until(room, found.now_us))
    return table


def _now(room: Room) -> Text:
    if room.may_leave:
        return Text(f"{room.may_leave:,} may leave", "green")
    return Text(f"waits: {room.because}", "red" if room.because == PAUSED else "yellow")


def _until(room: Room, now_us: int) -> str:
    if room.may_leave:
        return ""
    if not room.until_us:
        return "somebody resumes it" if room.because == PAUSED else ""
    return f"{moment(room.until_us // 1000)[11:]}, in {max(0, room.until_us - now_us) / 1e6:.2f} s"


def _limits(found: Explanation) -> Table:
    table = _table("limit", "value", "used", "from")
    for limit in found.limits:
        style = "" if limit.source not in {"", "default"} else "dim"
        used = "" if limit.used is None else _number(limit.used)
        table.add_row(limit.limit, _value(limit), used, _from(limit), style=style)
    return table


def _value(limit: Limit) -> str:
    if limit.limit == "throttle" and limit.until_ms:
        return f"until {moment(limit.until_ms)[11:]}"
    if limit.value is None:
        return "none"
    if isinstance(limit.value, bool):
        return "yes" if limit.value else "no"
    value = limit.value if isinstance(limit.value, str) else _number(limit.value)
    return f"{value} {limit.unit}".strip()


def _number(value: float) -> str:
    text = f"{value:,.3f}"
    return text.rstrip("0").rstrip(".")


def _from(limit: Limit) -> str:
    """Return where a value comes from, short: the row's name says the variable."""
    if limit.source == "live":
        return f"{_short(limit.by, _WHO) or 'by hand'} {moment(limit.at_ms)[5:16]}".strip()
    if limit.source.startswith("HEADWAY_"):
        return "environment"
    return limit.source


def _changes(changes: tuple[Change, ...]) -> Table:
    table = _table("changed", "by", "from", "what")
    for one in changes[:_SHOWN_CHANGES]:
        table.add_row(moment(one.at_ms)[5:], _short(one.by, _WHO), _short(one.where, _WHERE), one.what)
    return table


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
