"""What may a person do about messages that were given up, or of which nobody knows?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from console import output
from console.change import me
from console.door import NumberType, opened, read_settings
from delivery import dead as desk
from delivery.dead import Verb
from delivery.states import State
from headway.client import check_id
from headway.errors import HeadwayError

if TYPE_CHECKING:
    from delivery.dead import Page

_number = click.option("--number", type=NumberType(), help="Of this number only; else of HEADWAY_NUMBERS.")
_by = click.option("--by", default=me, show_default="your user name", help="Who decided this; kept in the history.")
_WHAT = {State.DEAD: "dead", State.UNCERTAIN: "uncertain"}
_DONE = {Verb.RETRY: "wait to be sent again", Verb.DISCARD: "are discarded", Verb.SENT: "are sent"}


class NotKept(HeadwayError):
    """The message isn't dead, or not uncertain, as the command has it."""

    def __init__(self, message_id: str, state: State) -> None:
        super().__init__(f"{message_id} is not {_WHAT[state]}: `headway status` says what became of it")


def _commands(group: click.Group, state: State, verbs: Sequence[Verb]) -> None:
    """Give a group its commands: to look, and to decide."""
    what = _WHAT[state]

    @group.command("list", short_help=f"List what is {what}.")
    @_number
    @click.option("--limit", type=click.IntRange(1, desk.MOST), default=50, show_default=True, help="At most so many.")
    @click.option("--after", default="", help="Go on behind the last page: what it said at its end.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON for programs: see above.")
    def list_(*, number: str | None, limit: int, after: str, as_json: bool) -> None:
        settings = read_settings()
        with opened(settings) as door:
            try:
                numbers = (number,) if number else settings.numbers
                page = desk.page(door.client, numbers, state, most=limit, after=after)
            except ValueError as error:
                raise click.UsageError(f"--after: {error}") from None
        if as_json:
            output.print_json({"messages": [row.as_json() for row in page.rows], "after": page.next})
        else:
            _print(page, what)

    @group.command(short_help="Show one with what it says and its history.")
    @click.argument("message_id", metavar="ID")
    def show(*, message_id: str) -> None:
        check_id(message_id)
        settings = read_settings()
        with opened(settings) as door:
            found = desk.find(door.client, settings.numbers, message_id)
        if found is None or found.state is not state:
            raise NotKept(message_id, state)
        output.print_json(found.as_json())

    list_.help = f"""List what is {what}, what is held for a person first.

    --json prints {{"messages": [{{"id", "number", "state", "held", "class", "since_ms", "attempts", "code", "reason",
    "push", "reference"}}], "after"}}, without what is not known. held: a person decides.

    \b
    Example:
      headway {what} list
      headway {what} list --json --limit 200
    """
    show.help = f"""Show one message that is {what}, as JSON: what `list --json` has of it, "fields" and "history".

    \b
    Example:
      headway {what} show 0b83f1c2d3e84c5fa1f0c6f2b1f5f9aa
    """
    for verb in verbs:
        _verb(group, state, verb)


def _verb(group: click.Group, state: State, verb: Verb) -> None:
    meaning = {
        Verb.RETRY: "Have messages sent again, from the tail of their lanes, with all their tries.",
        Verb.DISCARD: "Let messages go: they never leave.",
        Verb.SENT: "Say that messages were sent: they never leave again.",
    }[verb]
    what = _WHAT[state]

    @group.command(verb.value, short_help=meaning.partition(":")[0].partition(",")[0].rstrip(".") + ".")
    @click.argument("message_ids", metavar="[ID]…", nargs=-1)
    @click.option("--all", "every", is_flag=True, help=f"All that are {what} now.")
    @_number
    @_by
    def command(*, message_ids: tuple[str, ...], every: bool, number: str | None, by: str) -> None:
        if every == bool(message_ids):
            raise click.UsageError("name messages, or say --all")
        for message_id in message_ids:
            check_id(message_id)
        settings = read_settings()
        numbers, ttl_s = (number,) if number else settings.numbers, settings.record_ttl_s
        with opened(settings) as door:
            if every:
                pieces = desk.decide_all(door.client, numbers, state, verb, by=by[:100], record_ttl_s=ttl_s)
                click.echo(f"{sum(pieces):,} messages {_DONE[verb]}")
                return
            for message_id in message_ids:
                if not desk.decide_some(
                    door.client, numbers, state, [message_id], verb, by=by[:100], record_ttl_s=ttl_s
                ):
                    raise NotKept(message_id, state)
            click.echo(f"{len(message_ids):,} messages {_DONE[verb]}")

    command.help = f"""{meaning}

    \b
    Example:
      headway {what} {verb.value} 0b83f1c2d3e84c5fa1f0c6f2b1f5f9aa
      headway {what} {verb.value} --all --number 15555550100
    """


@click.group()
def dead() -> None:
    """See what was given up, have it tried again, or let it go."""


@click.group(short_help="Decide about messages that may have been sent.")
def uncertain() -> None:
    """See which messages may have been sent, and decide about those that are held."""


_commands(dead, State.DEAD, (Verb.RETRY, Verb.DISCARD))
_commands(uncertain, State.UNCERTAIN, tuple(Verb))


def _print(page: Page, what: str) -> None:
    from rich.table import Table
    from rich.text import Text

    if not page.rows:
        click.echo(f"nothing is {what}")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("id", "number", "class", "since", "tries", "held", "why"):
        table.add_column(name)
    for row in page.rows:
        why = f"{row.code} {row.reason}".strip()
        cells = (row.message_id, row.number, row.class_, output.moment(row.since_ms), str(row.attempts))
        # Text, not markup: a stranger wrote it.
        table.add_row(*(Text(cell) for cell in (*cells, "held" if row.held else "", why)))
    console = output.terminal()
    console.print(table)
    if page.next:
        console.print(f"more: --after {page.next}")
