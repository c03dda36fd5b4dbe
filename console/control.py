"""How does a person steer a number's messages: pause, resume, drain, purge, cancel, and what was done so far?

Every command can show first how many messages it is about, and which (`--dry-run`), and says in the audit log who did
it, from where and why.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from console import output
from console.change import here, me, say
from console.door import Door, NumberType, opened, read_settings, require_known
from headway.classes import MessageClass
from headway.client import check_id
from headway.errors import HeadwayError
from scheduler import control as settings_of
from scheduler.decree import Decree, duration, ends_at
from scheduler.marks import Selection, server_ms
from scheduler.steer import Steered, Verb, check, steer

if TYPE_CHECKING:
    from scheduler.preview import Preview

F = TypeVar("F", bound=Callable[..., Any])

_number = click.argument("number", type=NumberType())


class NotCancelled(HeadwayError):
    """A message has left, or may have, or there is no record of it."""


def _age(_: click.Context, __: click.Parameter, value: str) -> timedelta | None:
    return duration(value, "--older-than") if value else None


# Values, not members: click shows and takes an enum's names, which are in capitals.
_class_option = click.option(
    "--class", "class_", type=click.Choice([class_.value for class_ in MessageClass]), help="Of this class only."
)


def _selecting(command: F) -> F:
    """Add the options that say which messages are meant."""
    older = click.option("--older-than", default="", callback=_age, help="Accepted so long ago: 90s, 30m, 2h or 1d.")
    to = click.option("--to", default="", help="For this recipient only: a number, or a group's id.")
    tag = click.option("--tag", default="", help="With this tag only.")
    campaign = click.option("--campaign", default="", help="Of this campaign only.")
    return _class_option(campaign(tag(to(older(command)))))


def _deciding(command: F) -> F:
    """Add the options that say who decides, and why."""
    by = click.option("--by", default=me, show_default="your user name", help="Who decided this.")
    reason = click.option("--reason", default="", help="Why: for the audit log, and for the next person.")
    json_ = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
    dry = click.option("--dry-run", is_flag=True, help="Only show how many messages it is about, and some of them.")
    return by(reason(dry(json_(command))))


_until = click.option(
    "--until", default="", help="When it ends by itself: a time like 2030-01-31T08:00:00Z, or 90s, 30m, 2h, 1d."
)
_yes = click.option("--yes", is_flag=True, help="Don't ask first.")


@click.command(short_help="Stop a number, or some of its messages, at once.")
@_number
@_selecting
@_until
@_deciding
def pause(*, number: str, **given: Any) -> None:
    """Stop a number, or some of its messages, at once; what has begun finishes. What is leased waits again.

    \b
    Example:
      headway pause 15555550100 --reason "wrong template" --until 2h
      headway pause 15555550100 --class bulk
      headway pause 15555550100 --campaign spring-sale --dry-run
    """
    _steer(number, Verb.PAUSE, given)


@click.command(short_help="Let go on what was paused.")
@_number
@_selecting
@_deciding
def resume(*, number: str, **given: Any) -> None:
    """Let go on what was paused, by the same options. `headway numbers` shows before what would go then.

    \b
    Example:
      headway resume 15555550100
      headway resume 15555550100 --campaign spring-sale
    """
    _steer(number, Verb.RESUME, given)


@click.command(short_help="Take no more messages; let out what waits.")
@_number
@_class_option
@click.option("--end", is_flag=True, help="Take messages again.")
@_until
@_deciding
def drain(*, number: str, end: bool, **given: Any) -> None:
    """Have a number, or one class of it, take no more messages: pushes are refused with the reason, what waits leaves.

    What a plain Celery app publishes goes through: nobody can refuse it.

    \b
    Example:
      headway drain 15555550100 --reason "moves to another provider" --until 1d
      headway drain 15555550100 --end
    """
    _steer(number, Verb.ACCEPT if end else Verb.DRAIN, given)


@click.command(short_help="Drop what waits of a number.")
@_number
@_selecting
@_yes
@_deciding
def purge(*, number: str, **given: Any) -> None:
    """Drop what waits of a number: what was accepted before now never leaves, and its record says who and why.

    --older-than 0s isn't needed: what comes later leaves as always. Unlike `celery purge` it leaves no message without
    a trace.

    \b
    Example:
      headway purge 15555550100 --class bulk --reason "sent by mistake" --dry-run
      headway purge 15555550100 --class bulk --reason "sent by mistake" --yes
    """
    _steer(number, Verb.PURGE, given)


@click.command(short_help="Take messages back before they leave.")
@click.argument("message_ids", metavar="[ID]…", nargs=-1)
@click.option("--number", type=NumberType(), help="Instead of ids: of this number those that the other options name.")
@_selecting
@_yes
@_deciding
def cancel(*, message_ids: tuple[str, ...], number: str | None, **given: Any) -> None:
    """Take messages back before they leave: by their ids, or by campaign, tag, recipient, class and age.

    What is being sent, or has been, can't be taken back: the status is 2 then, and the answer says why.

    \b
    Example:
      headway cancel 0b83f1c2d3e84c5fa1f0c6f2b1f5f9aa
      headway cancel --number 15555550100 --to 393331234567 --reason "wrong number"
    """
    if bool(message_ids) == bool(number):
        raise click.UsageError("name messages, or --number and what to cancel of it")
    if number:
        _steer(number, Verb.CANCEL, given)
    else:
        _cancel(message_ids, given)


@click.command(short_help="Show what stands of pauses, purges and drains.")
@_number
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs: a list of marks.")
def marks(*, number: str, as_json: bool) -> None:
    """Show what stands of a number's pauses, purges and drains: of which messages, by whom, why and until when.

    \b
    Example:
      headway marks 15555550100
    """
    from console import paint_control
    from scheduler import marks as standing

    with opened(read_settings()) as door:
        require_known(door, number)
        found = standing.read(door.client, number)
        paused = not as_json and settings_of.read(door.client, number).paused
    if paused:  # a setting of the number, and no mark; who looks here wants to know why nothing leaves
        click.echo(f"{number} is paused as a whole: `headway explain {number}` says by whom and until when")
    if as_json:
        output.print_json([mark.as_json() for mark in found])
    else:
        paint_control.marks(output.terminal(), found)


@click.command(short_help="Show who did what with a number.")
@click.argument("numbers", nargs=-1, type=NumberType())
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many each.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs: see above.")
def audit(*, numbers: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Show who did what with numbers (default: those of HEADWAY_NUMBERS), when, from where and why; the newest first.

    --json prints {number: [{"at_ms", "by", "where", "verb", "name", "before", "after", "reason", "selection",
    "message", "rows", "until_ms"}]}, without what is not known.

    \b
    Example:
      headway audit
      headway audit 15555550100 --json --limit 1000
    """
    from console import paint_control
    from scheduler.history import history

    settings = read_settings()
    with opened(settings) as door:
        found = {number: history(door.client, number, most=limit) for number in numbers or settings.numbers}
    if as_json:
        output.print_json({number: [one.as_json() for one in entries] for number, entries in found.items()})
        return
    for number, entries in found.items():
        paint_control.audit(output.terminal(), number, entries)


def _steer(number: str, verb: Verb, given: Mapping[str, Any]) -> None:
    """Do what was asked, or show how many messages it would be about."""
    from console import paint_control
    from scheduler.preview import preview

    settings = read_settings()
    with opened(settings) as door:
        require_known(door, number)
        selection, decree = _meant(door, given)
        if not given["dry_run"]:
            check(verb, selection, decree)
        drops = verb in (Verb.PURGE, Verb.CANCEL)
        found = preview(door.client, number, selection) if given["dry_run"] or drops else None
        if found and (given["dry_run"] or not given["as_json"]):
            _show(found, number, verb, selection, as_json=given["as_json"])
        if given["dry_run"]:
            return
        if drops and not given["yes"]:
            _ask(number, selection, found)
        done = steer(door.client, number, verb, selection, decree, record_ttl_s=settings.record_ttl_s)
        if given["as_json"]:
            output.print_json(done.as_json())
        elif selection.everything and verb in (Verb.PAUSE, Verb.RESUME):
            say(settings, number, settings_of.read(door.client, number))
        else:
            click.echo(paint_control.told(number, done))


def _meant(door: Door, given: Mapping[str, Any]) -> tuple[Selection, Decree]:
    class_ = given.get("class_")
    selection = Selection(
        class_=MessageClass(class_) if class_ else None,
        campaign=given.get("campaign", ""),
        tag=given.get("tag", ""),
        to=given.get("to", ""),
        older_than=given.get("older_than"),
    )
    until = given.get("until", "")
    until_ms = ends_at(until, server_ms(door.client)) if until else None
    return selection, Decree(by=given["by"][:100], where=here(), reason=given["reason"], until_ms=until_ms)


def _show(found: Preview, number: str, verb: Verb, selection: Selection, *, as_json: bool) -> None:
    from console import paint_control

    if as_json:
        output.print_json({"verb": verb.value, "selection": selection.as_json(), "preview": True, **found.as_json()})
    else:
        paint_control.preview(output.terminal(), f"{verb.value} {selection} of {number}", found)


def _ask(number: str, selection: Selection, found: Preview | None) -> None:
    """Ask before something is dropped; where nobody can answer, --yes must be said."""
    if not sys.stdin.isatty():
        raise click.UsageError("say --yes: this can't be undone, and nobody is here to ask")
    click.confirm(f"drop {found} messages ({selection}) of {number}?", abort=True)


def _cancel(message_ids: tuple[str, ...], given: Mapping[str, Any]) -> None:
    from scheduler.cancel import cancel as take_back

    for message_id in message_ids:
        check_id(message_id)
    settings = read_settings()
    decree = Decree(by=given["by"][:100], where=here(), reason=given["reason"])
    with opened(settings) as door:
        if given["dry_run"]:
            raise click.UsageError("--dry-run goes with --number; `headway status` says what became of a message")
        for message_id in message_ids:
            done = take_back(door.client, message_id, decree, record_ttl_s=settings.record_ttl_s)
            if not done.done:
                raise NotCancelled(f"{message_id} can't be cancelled: {done.why}")
            if given["as_json"]:
                output.print_json({"id": message_id, "state": done.state})
            else:
                click.echo(f"{message_id}  cancelled")


__all__ = ["Steered", "audit", "cancel", "drain", "marks", "pause", "purge", "resume"]
