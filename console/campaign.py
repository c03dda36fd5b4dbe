"""How does a file of recipients become a campaign, and how is one that waits or runs steered?"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import IO, Any, Final

import click

from campaigns import load, store, tables
from campaigns.problems import BadRows, CampaignError
from campaigns.recipe import Recipe
from campaigns.store import Campaign, State, Who
from campaigns.tables import Limits
from console import campaign_look, campaign_told
from console.change import me
from console.door import Door, NumberType, opened, read_settings, the_number
from headway.classes import MessageClass
from runtime.settings import Settings
from scheduler import campaigns as of_campaign
from scheduler import cost
from scheduler.decree import Decree
from scheduler.steer import Verb

#: What a person asks for -> what the campaign becomes.
STATES: Final = {Verb.PAUSE: State.PAUSED, Verb.RESUME: State.RUNNING, Verb.CANCEL: State.CANCELLED}
#: Characters of who, where and why.
_LONGEST: Final = 500

_by = click.option("--by", default=me, show_default="your user name", help="Who decided this; kept with it.")
_reason = click.option("--reason", default="", help="Why; kept with it.")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs: see above.")
_file = click.argument("file", type=click.File("rb"))
_id = click.argument("campaign_id", metavar="ID")


class Pairs(click.ParamType[tuple[str, str], str]):
    """A name and what it stands for: NAME=VALUE."""

    name = "pair"

    def convert(
        self, value: str | tuple[str, str], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return the two; anything without = ends the command."""
        if isinstance(value, tuple):
            return value
        name, equals, rest = value.partition("=")
        if not equals or not name.strip():
            self.fail(f"{value[:40]!r}: write it as name=column", param, ctx)
        return name.strip(), rest


@click.group(short_help="Send one file to many, watch it, stop it.")
def campaign() -> None:
    """Send one file to many: check it, see what it costs, send it, watch it, stop it."""


@campaign.command(short_help="Send a CSV or XLSX file to everybody in it.")
@_file
@click.option("--number", type=NumberType(), help="The sending number.  [default: the only one of HEADWAY_NUMBERS]")
@click.option("--name", default="", help="What it is called.  [default: the file's name]")
@click.option(
    "--class",
    "class_",
    type=click.Choice([class_.value for class_ in MessageClass]),
    default=MessageClass.BULK.value,
    show_default=True,
    help="For rows that name no class.",
)
@click.option("--to", default="to", show_default=True, metavar="COLUMN", help="The column of phone numbers.")
@click.option("--country", default="", metavar="IT", help="Where numbers without + are from; else with country code.")
@click.option("--text", help="What is said, {{name}} for values.  [default: the column text]")
@click.option("--template", "template_id", help="The template's id.")
@click.option("--value", "values", multiple=True, help="A value of the template, in order; {{name}} for values.")
@click.option("--media-url", help="What is sent along; {{name}} for values.")
@click.option("--language", help="The template's language.")
@click.option("--tag", help="What your app groups messages by.")
@click.option("--send-at", help="Not before this time, as in 2030-01-31T08:00:00Z.")
@click.option("--expires-at", help="Not after this time.")
@click.option("--map", "columns", multiple=True, type=Pairs(), metavar="NAME=COLUMN", help="{{NAME}} is this column.")
@click.option("--default", "defaults", multiple=True, type=Pairs(), metavar="NAME=TEXT", help="{{NAME}} where empty.")
@click.option("--sheet", default="", help="Which sheet of a workbook.")
@click.option("--skip-bad", is_flag=True, help="Send the good rows, and write the bad ones to a file.")
@click.option("--bad-file", type=click.Path(dir_okay=False, path_type=Path), help="Where bad rows are written.")
@click.option("--dry-run", is_flag=True, help="Show what would be sent and what it costs, and send nothing.")
@click.option("--preview", type=click.IntRange(0, 100), default=3, show_default=True, help="Messages that are shown.")
@_by
@_reason
@_as_json
def send(
    *,
    file: IO[bytes],
    number: str | None,
    name: str,
    bad_file: Path | None,
    dry_run: bool,
    preview: int,
    by: str,
    reason: str,
    as_json: bool,
    **told: Any,
) -> None:
    """Send a CSV or XLSX file to everybody in it (- is standard input).

    Its first row names the columns. Each recipient gets one message; recipients that are suppressed get none. When a
    row is bad nothing is enqueued and the status is 2, unless --skip-bad. The same command again goes on with what
    broke off, and never sends anything twice.

    --json prints {"campaign", "dry_run", "repeated", "records", "rows", "by_class", "duplicates", "suppressed", "bad",
    "bad_rows", "ignored_columns", "preview", "cost": {"messages", "seconds", "per_second", "done_at", "waits_for"}};
    campaign is null in a dry run, else cost is.

    \b
    Example:
      headway campaign send guests.xlsx --to phone --country IT --text "Hi {{name}}!" --dry-run
      headway campaign send examples/campaign.csv
    """
    settings = read_settings()
    limits = limits_of(settings)
    recipe = _recipe(told)
    if bad_file is not None and bad_file.exists() and Path(file.name).exists() and bad_file.samefile(file.name):
        raise click.UsageError("--bad-file: is the file itself; name another one")
    content = file.read(limits.bytes + 1)
    table = tables.read(content, file=Path(file.name).name, limits=limits, sheet=recipe.sheet)
    order = load.Order(
        table=table,
        recipe=recipe,
        number=the_number(settings, number),
        name=(name or table.file)[:100],
        who=Who(by[:100], _here(), reason[:_LONGEST]),
    )
    with opened(settings) as door:
        if dry_run:
            _look(door, order, limits, preview=preview, as_json=as_json)
            return
        outcome = _send(door, order, limits)
        campaign_told.tell_bad(outcome, table, bad_file, as_json=as_json)
    campaign_told.tell(outcome, as_json=as_json)


def _look(door: Door, order: load.Order, limits: Limits, *, preview: int, as_json: bool) -> None:
    """Say what would be sent. Raises CampaignError where the real send is refused."""
    made, suppressed = load.preview(door.client, order, limits=limits)
    known, conflict = load.standing(door.client, order)
    costs = cost.of_more(door.client, door.settings, order.number, order.recipe.class_, len(made.rows) - suppressed)
    refused = conflict
    if made.bad and not order.recipe.skip_bad and (conflict or known is None or not known.whole):
        refused = BadRows(made.bad, file=made.file, word=made.word, rows=made.records).args[0]
    met = None if conflict else known
    campaign_told.tell_dry(made, suppressed, costs, met=met, conflict=conflict, preview=preview, as_json=as_json)
    if refused:
        raise CampaignError(refused)


def _send(door: Door, order: load.Order, limits: Limits) -> load.Outcome:
    from runtime.connect import check_server

    check_server(door.client)
    try:
        with campaign_look.bar(len(order.table.records)) as say:
            return load.send(door.client, order, limits=limits, record_ttl_s=door.settings.record_ttl_s, say=say)
    except BadRows as error:
        campaign_told.print_bad(error.problems, error.found, file=error.file, word=error.word)
        raise


def _recipe(told: dict[str, Any]) -> Recipe:
    """Return the recipe that the options make. Ends the command for a name that is given twice."""
    for option in ("columns", "defaults"):
        names = [name.casefold() for name, _ in told[option]]
        if len(set(names)) < len(names):
            raise click.UsageError(f"--{'map' if option == 'columns' else 'default'}: a name is given twice")
    fields = {
        "text": told["text"],
        "template_id": told["template_id"],
        "template_values": list(told["values"]) or None,
        "media_url": told["media_url"],
        "language": told["language"],
        "tag": told["tag"],
        "send_at": told["send_at"],
        "expires_at": told["expires_at"],
    }
    return Recipe(
        to=told["to"],
        class_=MessageClass(told["class_"]),
        fields={name: value for name, value in fields.items() if value is not None},
        columns=dict(told["columns"]),
        defaults=dict(told["defaults"]),
        country=told["country"],
        sheet=told["sheet"],
        skip_bad=told["skip_bad"],
    )


def limits_of(settings: Settings) -> Limits:
    """Return how much a campaign may be."""
    return Limits(settings.campaign_recipients, settings.campaign_upload, settings.campaign_bytes)


campaign.add_command(campaign_look.list_)
campaign.add_command(campaign_look.show)
campaign.add_command(campaign_look.watch)


@campaign.command(short_help="Let a campaign rest.")
@_id
@_by
@_reason
@_as_json
def pause(*, campaign_id: str, by: str, reason: str, as_json: bool) -> None:
    """Let a campaign rest: within a second none of its messages leaves, until it is resumed.

    --json prints what `list --json` has of it.

    \b
    Example:
      headway campaign pause 0b83f1c2d3e8 --reason "wrong picture"
    """
    _steer(campaign_id, Verb.PAUSE, Who(by[:100], _here(), reason[:_LONGEST]), as_json=as_json)


@campaign.command(short_help="Let a campaign go on.")
@_id
@click.argument("file", type=click.File("rb"), required=False)
@_by
@_reason
@_as_json
def resume(*, campaign_id: str, file: IO[bytes] | None, by: str, reason: str, as_json: bool) -> None:
    """Let a campaign go on: one that was paused, or, with its FILE, one whose loading broke off.

    --json prints what `list --json` has of it.

    \b
    Example:
      headway campaign resume 0b83f1c2d3e8
      headway campaign resume 0b83f1c2d3e8 guests.xlsx
    """
    with opened(read_settings()) as door:
        found = store.read(door.client, campaign_id)
        if found.state is State.PAUSED:
            found = _become(door, found, Verb.RESUME, Who(by[:100], _here(), reason[:_LONGEST]))
        elif file is None and found.whole:
            raise CampaignError(f"campaign {found.id} is {found.state.value}: there is nothing to resume")
        elif file is None:
            raise CampaignError(
                f"campaign {found.id} broke off after {found.loaded:,} of {found.records:,} rows: say its file "
                f"({found.file}) to go on"
            )
        if file is not None:
            found = _go_on(door, found, file)
    campaign_look.say(found, as_json=as_json)


def _go_on(door: Door, found: Campaign, file: IO[bytes]) -> Campaign:
    """Go on with loading."""
    limits, sheet = limits_of(door.settings), str(found.recipe.get("sheet", ""))
    table = tables.read(file.read(limits.bytes + 1), file=Path(file.name).name, limits=limits, sheet=sheet)
    ttl_s = door.settings.record_ttl_s
    with campaign_look.bar(len(table.records)) as say:
        return load.resume(door.client, found.id, table, limits=limits, record_ttl_s=ttl_s, say=say).campaign


@campaign.command(short_help="End a campaign for good.")
@_id
@_by
@click.option("--reason", required=True, help="Why; kept with it.")
@_as_json
def cancel(*, campaign_id: str, by: str, reason: str, as_json: bool) -> None:
    """End a campaign for good: what has not left never does.

    --json prints what `list --json` has of it.

    \b
    Example:
      headway campaign cancel 0b83f1c2d3e8 --reason "sent to the wrong list"
    """
    _steer(campaign_id, Verb.CANCEL, Who(by[:100], _here(), reason[:_LONGEST]), as_json=as_json)


def _steer(campaign_id: str, verb: Verb, who: Who, *, as_json: bool) -> None:
    with opened(read_settings()) as door:
        found = store.read(door.client, campaign_id)
        found = _become(door, found, verb, who)
    campaign_look.say(found, as_json=as_json)


def _become(door: Door, found: Campaign, verb: Verb, who: Who) -> Campaign:
    """Change its state, then what its messages do: nothing gets onto a lane behind the mark that drops them."""
    decree = Decree(by=who.by, where=who.where, reason=who.reason)
    of_campaign.require(verb, found.id, decree)
    changed = store.become(door.client, found.id, STATES[verb])
    of_campaign.steer_all(door.client, found.number, found.id, verb, decree, record_ttl_s=changed.ttl_s)
    return changed


def _here() -> str:
    return f"{me()}@{socket.gethostname()}"[:100]
