"""What is kept for the app until it takes it, and what may a person do about it?"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from console import output
from console.door import NumberType, opened, read_settings, the_number
from delivery import outbox_desk
from delivery.outbox_desk import MOST_PAGE, PAGE
from headway.errors import HeadwayError

if TYPE_CHECKING:
    from delivery.outbox_desk import Counts, Page

_number = click.option("--number", type=NumberType(), help="Which number; not needed when there is one.")
_id = click.argument("entry_id", metavar="ID")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs: see above.")


class NoEntry(HeadwayError):
    """There is no such entry: the app took it, or a person discarded it."""

    def __init__(self, entry_id: str) -> None:
        super().__init__(f"there is no entry {entry_id}: the app took it, or somebody discarded it")


@click.group(short_help="See and end what is kept for the app.")
def outbox() -> None:
    """See what is kept for the app (HEADWAY_FORWARD_URL), have it tried again, or throw it away."""


@outbox.command("list", short_help="List what the app hasn't taken yet.")
@_number
@click.option("--parked", is_flag=True, help="What was given up after days, not what is still tried.")
@click.option("--limit", type=click.IntRange(1, MOST_PAGE), default=PAGE, show_default=True, help="At most so many.")
@click.option("--after", default="", help="Go on behind the last page: what it said at its end.")
@_as_json
def list_(*, number: str | None, parked: bool, limit: int, after: str, as_json: bool) -> None:
    """List what the app hasn't taken yet, contact by contact, the oldest first.

    --json prints {"number", "waiting", "contacts", "parked", "bytes", "entries": [{"id", "state", "what", "contact",
    "at_ms", "attempts", "due_ms", "parked_ms", "problem"}], "after"}.

    \b
    Example:
      headway outbox list
      headway outbox list --parked --json
    """
    settings = read_settings()
    asked = the_number(settings, number)
    with opened(settings) as door:
        counts = outbox_desk.counts(door.client, asked)
        try:
            page = outbox_desk.page(door.client, asked, "parked" if parked else "waiting", after=after, limit=limit)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    if as_json:
        entries = [one.as_json() for one in page.entries]
        output.print_json({"number": asked, **counts.as_json(), "entries": entries, "after": page.after})
    else:
        _print(asked, counts, page)


@outbox.command(short_help="Show one entry with its body.")
@_id
@_number
def show(*, entry_id: str, number: str | None) -> None:
    """Show one entry with its body, as JSON: what `list --json` has of it, and "body".

    \b
    Example:
      headway outbox show in:751403635
    """
    settings = read_settings()
    with opened(settings) as door:
        found = outbox_desk.look_up(door.client, the_number(settings, number), entry_id)
    if found is None:
        raise NoEntry(entry_id)
    output.print_json({**found.as_json(), "body": json.loads(found.entry.body)})


@outbox.command(short_help="Have entries tried at once.")
@click.argument("entry_ids", metavar="[ID]…", nargs=-1)
@_number
@click.option("--all", "every", is_flag=True, help="Everything that waits or is parked.")
def retry(*, entry_ids: tuple[str, ...], number: str | None, every: bool) -> None:
    """Have entries tried at once, parked or not, and for days again.

    \b
    Example:
      headway outbox retry in:751403635
      headway outbox retry --all
    """
    if every == bool(entry_ids):
        raise click.UsageError("name entries, or say --all")
    settings = read_settings()
    asked = the_number(settings, number)
    if every:
        with opened(settings) as door:
            click.echo(f"{outbox_desk.retry_all(door.client, asked):,} entries are tried now")
        return
    _each(entry_ids, asked, outbox_desk.retry, "is tried now")


@outbox.command(short_help="Throw entries away.")
@click.argument("entry_ids", metavar="ID…", nargs=-1, required=True)
@_number
def discard(*, entry_ids: tuple[str, ...], number: str | None) -> None:
    """Throw entries away: the app never gets them.

    \b
    Example:
      headway outbox discard in:751403635
    """
    _each(entry_ids, the_number(read_settings(), number), outbox_desk.discard, "is discarded")


def _each(entry_ids: tuple[str, ...], number: str, verb: Callable[[Any, str, str], bool], said: str) -> None:
    with opened(read_settings()) as door:
        for entry_id in entry_ids:
            if not verb(door.client, number, entry_id):
                raise NoEntry(entry_id)
            click.echo(f"{entry_id} {said}")


def _print(number: str, counts: Counts, page: Page) -> None:
    from rich.table import Table
    from rich.text import Text

    console = output.terminal()
    console.print(
        f"{number}: {counts.waiting:,} wait for the app, of {counts.contacts:,} contacts; {counts.parked:,} given up"
    )
    if not page.entries:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("id", "what", "contact", "came", "tries", "next try", "problem"):
        table.add_column(name)
    for one in page.entries:
        entry = one.entry
        next_try = output.moment(one.due_ms) if one.place == "waiting" else "given up"
        cells = (entry.id, entry.what, entry.contact, output.moment(entry.serial_us // 1000), str(entry.attempts))
        # Text, not markup: a stranger wrote it.
        table.add_row(*(Text(cell) for cell in (*cells, next_try, entry.problem)))
    console.print(table)
    if page.after:
        console.print(f"more: --after {page.after}")
