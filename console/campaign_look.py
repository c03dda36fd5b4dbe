"""How do a person's campaigns stand: which are there, how far is one, what became of its messages?"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from campaigns import progress, store
from campaigns.progress import LEFT, UNFINISHED, Progress
from campaigns.store import Campaign, State
from console import output
from console.door import opened, read_settings
from runtime.clock import Clock, SystemClock

if TYPE_CHECKING:
    import redis

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs: see above.")
_id = click.argument("campaign_id", metavar="ID")
#: States in which nothing more comes of a campaign by itself.
_RESTS = frozenset({State.DONE, State.CANCELLED})
#: How often watching says a line where no bar can be shown.
_SAID_EVERY_US: Final = 10_000_000


@click.command("list", short_help="List campaigns, the newest first.")
@click.option("--limit", type=click.IntRange(1, store.MOST), default=20, show_default=True, help="At most so many.")
@click.option("--after", default="", help="Go on behind the last page: what it said at its end.")
@_as_json
def list_(*, limit: int, after: str, as_json: bool) -> None:
    """List campaigns, the newest first.

    --json prints {"campaigns": [{"id", "name", "number", "file", "records", "rows", "bad", "duplicates", "suppressed",
    "loaded", "whole", "by", "where", "reason", "at_ms", "changed_ms", "class", "state", "recipe"}], "after"}.

    \b
    Example:
      headway campaign list
    """
    with opened(read_settings()) as door:
        listed, next_ = store.page(door.client, most=limit, after=after)
        found = [progress.settled(door.client, one) for one in listed]
    if as_json:
        output.print_json({"campaigns": [one.as_json() for one in found], "after": next_})
        return
    if not found:
        click.echo("there are no campaigns")
        return
    _print_list(found, next_)


@click.command(short_help="Show one campaign and what became of its messages.")
@_id
@_as_json
def show(*, campaign_id: str, as_json: bool) -> None:
    """Show one campaign and what became of its messages.

    --json prints what `list --json` has of it, and "messages": how many are in each state.

    \b
    Example:
      headway campaign show 0b83f1c2d3e8
    """
    with opened(read_settings()) as door:
        found, counts = look(door.client, Progress(campaign_id), campaign_id)
    if as_json:
        output.print_json({**found.as_json(), "messages": dict(counts)})
        return
    click.echo(line(found, counts))
    click.echo(f"made by {found.by} {output.moment(found.at_ms)} from {found.file}, {found.records:,} rows")
    for name, value in found.recipe.get("fields", {}).items():
        click.echo(f"    {name}: {value}")


@click.command(short_help="Watch a campaign until nothing of it waits.")
@_id
@click.option(
    "--every", type=click.FloatRange(0.2, 3600), default=1.0, show_default=True, help="Seconds between looks."
)
@_as_json
def watch(*, campaign_id: str, every: float, as_json: bool) -> None:
    """Watch a campaign until nothing of it waits, or it is cancelled. Ctrl-C ends the watching alone.

    --json prints a line for each look, as `show --json` does.

    \b
    Example:
      headway campaign watch 0b83f1c2d3e8
    """
    with opened(read_settings()) as door:
        seen = Progress(campaign_id)
        found, counts = look(door.client, seen, campaign_id)
        with _shown(found, as_json=as_json) as say:
            say(found, counts)
            while found.state not in _RESTS:
                time.sleep(every)
                found, counts = look(door.client, seen, campaign_id)
                say(found, counts)
    if not as_json:
        click.echo(line(found, counts))


def look(client: redis.Redis, seen: Progress, campaign_id: str) -> tuple[Campaign, Mapping[str, int]]:
    """Return a campaign as it is now, and how many of its messages are in each state. Raises UnknownCampaign."""
    found = store.read(client, campaign_id)
    counts = seen.look(client, found)
    return progress.noted(client, found, counts), counts


def say(found: Campaign, *, as_json: bool) -> None:
    """Say how a campaign stands now that it was changed."""
    if as_json:
        output.print_json(found.as_json())
    else:
        click.echo(line(found))


def line(found: Campaign, counts: Mapping[str, int] | None = None) -> str:
    """Say in one line how a campaign stands."""
    said = f"campaign {found.id} ({found.name}) of {found.number} is {found.state.value}"
    if not found.whole:
        said += f", {found.loaded:,} of {found.records:,} rows worked through"
    told = ", ".join(f"{count:,} {state}" for state, count in (counts or {}).items())
    return said + (f": {told}" if told else "")


@contextmanager
def bar(total: int) -> Iterator[Callable[[int], None]]:
    """Show on standard error how far loading is, when a person watches; yields what to tell it."""
    from rich.progress import Progress as Bar

    console = output.terminal(stderr=True)
    with Bar(console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task("enqueueing", total=total)
        yield lambda done: shown.update(task, completed=done)


def now_and_then(clock: Clock) -> Callable[[Campaign, Mapping[str, int]], None]:
    """Return what says a campaign's line at once and then every 10 s; how it ended is for the caller to say."""
    due_us = clock.monotonic_us()

    def say(now: Campaign, counts: Mapping[str, int]) -> None:
        nonlocal due_us
        if now.state not in _RESTS and clock.monotonic_us() >= due_us:
            due_us = clock.monotonic_us() + _SAID_EVERY_US
            click.echo(line(now, counts))

    return say


@contextmanager
def _shown(found: Campaign, *, as_json: bool) -> Iterator[Callable[[Campaign, Mapping[str, int]], None]]:
    if as_json:
        yield lambda now, counts: output.print_json({**now.as_json(), "messages": dict(counts)})
        return
    if not sys.stdout.isatty():
        yield now_and_then(SystemClock())
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = output.terminal()
    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[told]}"),
    )  # fmt: skip
    with Bar(*columns, console=console, transient=True) as shown:
        task = shown.add_task(found.state.value, total=found.rows - found.suppressed, told="")

        def say(now: Campaign, counts: Mapping[str, int]) -> None:
            ended = sum(count for state, count in counts.items() if state not in UNFINISHED)
            told = ", ".join(
                f"{count:,} {state}" for state, count in counts.items() if state in LEFT | {"dead", "expired"}
            )
            total = now.rows - now.suppressed
            shown.update(task, description=now.state.value, total=total, completed=ended, told=told)

        yield say


def _print_list(found: list[Campaign], next_: str) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("id", "name", "number", "state", "messages", "made", "by"):
        # An id is there to be copied, whole, also where 80 columns are too few; names and people can fold.
        folds = name in {"name", "by"}
        justify: Literal["left", "right"] = "right" if name == "messages" else "left"
        table.add_column(name, no_wrap=not folds, overflow="fold", justify=justify, min_width=5 if folds else None)
    for one in found:
        cells = (one.id, one.name, one.number, one.state.value, f"{one.rows - one.suppressed:,}")
        # Text, not markup: a stranger wrote it.
        table.add_row(*(Text(cell) for cell in (*cells, output.moment(one.at_ms)[5:16], one.by)))
    console = output.terminal()
    console.print(table)
    if next_:
        console.print(f"more: --after {next_}")
