"""What may a person look at: a message, the numbers, the broker's address?"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click
import redis

from console import output
from console.door import NumberType, opened, read_settings
from delivery import outbox_desk
from delivery.records import look_up
from headway.client import check_id
from scheduler import figures

NO_RECORD = (
    "no record: there is no such message, or its record has gone (HEADWAY_RECORD_TTL); a message that a plain Celery "
    "app published has one from its first settle on"
)

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs: see above.")


@click.command()
@click.argument("message_id", metavar="ID")
@_as_json
def status(*, message_id: str, as_json: bool) -> None:
    """Say what became of a message.

    --json prints the record: {"id", "state", "number", "class", "accepted_ms", "changed_ms", "attempts", "until_ms",
    "provider_id", "push_id", "push", "reference", "code", "reason", "history": [{"at_ms", "state", …}]}, without what
    is not known. An id without a record prints {"id", "state": null}, and the status is 1.

    \b
    Example:
      headway status 0b83f1c2d3e84c5fa1f0c6f2b1f5f9aa
    """
    settings = read_settings()
    with opened(settings) as door:
        record, history = _record(door.client, message_id) or ({}, ())
    if as_json:
        numeric = {name: int(value) for name, value in record.items() if _counts(name)}
        more = {"history": history} if history else {}
        output.print_json({"id": message_id, "state": None, **record, **numeric, **more})
    elif record:
        _print_record(message_id, record)
        output.print_history(history)
    else:
        click.echo(f"{message_id}: {NO_RECORD}", err=True)
    if not record:
        sys.exit(1)


@click.command(short_help="Show how each number stands.")
@click.argument("numbers", nargs=-1, type=NumberType())
@_as_json
def numbers(*, numbers: tuple[str, ...], as_json: bool) -> None:
    """Show how each number stands (default: those of HEADWAY_NUMBERS).

    --json prints a list of {"number", "tps", "tps_from", "paused", "by", "at_ms", "waiting": {class: rows}, "leased",
    "deferred", "uncertain", "dead", "spent" (events charged in the trailing second), "debt_ms", "totals": {"send",
    "inbound", "delivered", "read"}, "silent_pushes" (accepted, and nothing came back), "outbox": {"waiting",
    "contacts", "parked", "bytes", "oldest_ms"} (what the app hasn't taken), "held" (aside, by a person), "empty_in_s":
    {class: seconds until nothing of it will wait, null when nothing leaves}, "would_go":
    [{"class", "waiting", "oldest_s", "looked", "expired"}] (what would go now if nothing held the number back: of the
    first rows looked at so many have expired and never leave)}; of a number with several shards also "shards", a list
    of the same figures of each.

    \b
    Example:
      headway numbers
      headway numbers 15555550100 --json
    """
    from console import paint, paint_control
    from scheduler.outlook import outlook

    settings = read_settings()
    with opened(settings) as door:
        asked = numbers or settings.numbers
        found = [figures.read(door.client, settings, number) for number in asked]
        kept = [outbox_desk.counts(door.client, number) for number in asked] if as_json else []
        would_go = {
            one.number: outlook(door.client, settings.number(one.number)) for one in found if as_json or one.paused
        }
    if as_json:
        more = [{"would_go": [row.as_json() for row in would_go[number]]} for number in asked]
        output.print_json(
            [{**one.as_json(), "outbox": box.as_json(), **go} for one, box, go in zip(found, kept, more, strict=True)]
        )
    else:
        paint.numbers(output.terminal(), found)
        paint_control.would_go(output.terminal(), would_go)


@click.command(short_help="Print the broker's URL for an app on this machine.")
def url() -> None:
    """Print the broker's URL, password included: what an app on this machine connects to.

    The embedded server runs as long as somebody uses it, a worker for one.

    \b
    Example:
      HEADWAY_REDIS_URL="$(headway url)" python examples/python_client.py
    """
    settings = read_settings()
    with opened(settings) as door:
        click.echo(door.url)


def _record(client: redis.Redis, message_id: str) -> tuple[dict[str, str], Sequence[Mapping[str, Any]]] | None:
    """Return what is known of a message, in order and without what is not, and its history; or None."""
    check_id(message_id)
    found = look_up(client, message_id)
    if found is None:
        return None
    named = {("class" if name == "class_" else name): value for name, value in asdict(found).items()}
    del named["message_id"], named["history"]
    return {name: str(value) for name, value in named.items() if value not in {"", None}}, found.history


def _counts(name: str) -> bool:
    return name == "attempts" or name.endswith("_ms")


def _print_record(message_id: str, record: dict[str, str]) -> None:
    click.echo(f"{message_id}  {click.style(record.get('state', '?'), bold=True)}")
    for name, value in record.items():
        if name == "state":
            continue
        label, shown = (name[:-3], output.moment(int(value))) if name.endswith("_ms") else (name, value)
        click.echo(f"  {label.replace('_', ' '):<12} {shown}")
