"""How does an answer look: to a person, and to a program?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from scheduler.control import Ignored

_EIGHTHS = "▏▎▍▌▋▊▉█"

#: Class -> colour, wherever a class is shown.
COLOURS: Mapping[str, str] = {"urgent": "red", "high": "yellow", "normal": "cyan", "bulk": "blue"}


def terminal(*, stderr: bool = False) -> Console:
    """Return a rich console on the stream as it is now."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def print_json(value: object) -> None:
    """Write a value for programs: one line, keys in their documented order."""
    click.echo(json.dumps(value, ensure_ascii=False))


def bar(part: float, whole: float, *, width: int) -> str:
    """Return a bar of eighths: `part` of `whole`, `width` characters when full. What isn't nothing always shows."""
    if part <= 0 or whole <= 0:
        return ""
    eighths = max(1, round(min(1.0, part / whole) * width * 8))
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest - 1] if rest else "")


def count(number: int, of: str) -> str:
    """Return how many there are of something whose plural ends in s: 1 row, 1,200 rows."""
    return f"{number:,} {of}{'' if number == 1 else 's'}"


def passed_over(bad: Ignored) -> str:
    """Say that a value which was written by hand can't be, and what holds instead."""
    instead = f"{bad.holds}, the last good one, holds" if bad.holds is not None else "the environment's holds"
    return f"the live value {bad.name} {bad.text[:40]!r} was written by hand and can't be: {instead}"


def moment(ms: int | None) -> str:
    """Return a time for people, in their own time zone; empty for none."""
    if not ms:
        return ""
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def print_history(history: Sequence[Mapping[str, Any]]) -> None:
    """Say line by line what didn't go well with a message, and what was decided about it."""
    for entry in history:
        told = [f"{name.replace('_', ' ')} {value}" for name, value in entry.items() if name not in {"at_ms", "state"}]
        click.echo(f"  {moment(entry['at_ms'])}  {entry['state']}{'  ' if told else ''}{', '.join(sorted(told))}")
