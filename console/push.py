"""How does a file of recipients get onto a number's lanes?

All of it is checked before the first row is enqueued. Each row's id follows from the run's and its line, so a push that
broke off is repeated with --again, and no row is enqueued twice.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import IO, TYPE_CHECKING, Final

import click

from console import output, recipients
from console.door import Door, NumberType, opened, read_settings, the_number
from console.recipients import BadRow, Recipients, Row
from headway.classes import MessageClass
from headway.client import Client
from headway.errors import BrokerUnavailable, HeadwayError
from runtime.clock import SystemClock

if TYPE_CHECKING:
    from scheduler.estimate import Estimate

#: Rows of one publish: some 10 ms, so that the bar moves.
BATCH: Final = 1_000

#: Bad rows that a person is shown; a program gets them all.
SHOWN: Final = 20


#: Why nothing leaves, for people.
_STOPPED: Final = {
    "paused": "the number is paused",
    "held": "somebody holds their class",
    "worker": "no worker sends for the number",
}


class BadRows(HeadwayError):
    """Rows of the file can't be sent as they are; nothing was enqueued."""


@click.command(short_help="Enqueue the messages of a CSV file.")
@click.argument("file", type=click.File("rb"))
@click.option("--number", type=NumberType(), help="The sending number.  [default: the only one of HEADWAY_NUMBERS]")
@click.option(
    "--class",
    "class_",
    type=click.Choice([class_.value for class_ in MessageClass]),
    default=MessageClass.NORMAL.value,
    show_default=True,
    help="For rows that name no class.",
)
@click.option("--skip-bad", is_flag=True, help="Enqueue the good rows even when others are bad.")
@click.option("--dry-run", is_flag=True, help="Check the file and enqueue nothing.")
@click.option(
    "--again", metavar="RUN", type=click.UUID, help="Go on with a run that broke off; the file must be the same."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: see above.")
def push(
    *,
    file: IO[bytes],
    number: str | None,
    class_: str,
    skip_bad: bool,
    dry_run: bool,
    again: uuid.UUID | None,
    as_json: bool,
) -> None:
    """Enqueue the messages of a CSV file (- is standard input).

    Its first line names the columns: to and text at least, and if you like class, media_url, send_at, expires_at or
    expires_in (seconds), tag, reference and the other fields of a message; template_values and location are written as
    JSON. Columns that are none of these are ignored. UTF-8, at most 10 MB and 100,000 rows.

    When any row is bad, nothing is enqueued and the status is 2, unless --skip-bad.

    --json prints {"run", "number", "dry_run", "accepted", "by_class", "ids", "bad": [{"line", "field", "problem"}],
    "ignored_columns", "estimated_send_at" (of the last one, UTC; null: nobody knows), "waits_for"}; ids stand in the
    order of the good rows.

    \b
    Example:
      headway push examples/recipients.csv --class bulk
    """
    settings = read_settings()
    to_number = the_number(settings, number)
    # A run that goes on keeps its rows: one that expired meanwhile may be enqueued already.
    now = None if again else datetime.fromtimestamp(SystemClock().now_us() / 1e6, UTC)
    found = recipients.parse(file.read(recipients.MOST_BYTES + 1), class_=MessageClass(class_), now=now)
    refused, last = bool(found.bad) and not skip_bad, None
    run = again or uuid.uuid4()
    ids = [uuid.uuid5(run, str(row.line)).hex for row in found.rows]
    if not refused and not dry_run:
        with opened(settings) as door:
            _enqueue(door, to_number, found.rows, ids, run)
            last = _estimated(door, to_number, found)
    if as_json:
        _print_json(found, number=to_number, run=run, ids=[] if refused or dry_run else ids, dry_run=dry_run, last=last)
    else:
        _print(found, number=to_number, skipping=skip_bad, enqueued=not refused and not dry_run)
        if last:
            _print_estimate(last)
    if refused:
        raise BadRows(
            f"{len(found.bad):,} of {_count(found)} rows can't be sent, so nothing was enqueued: correct them, or "
            "leave them out with --skip-bad"
        )


def _enqueue(door: Door, number: str, rows: Sequence[Row], ids: Sequence[str], run: uuid.UUID) -> None:
    from runtime.connect import check_server

    check_server(door.client)
    client = Client(door.client, record_ttl=timedelta(seconds=door.settings.record_ttl_s))
    done = 0
    try:
        for start in _steps(len(rows)):
            batch = rows[start : start + BATCH]
            client.push_many(number, [row.message for row in batch], ids=ids[start : start + BATCH])
            done += len(batch)
    except BrokerUnavailable as error:
        raise BrokerUnavailable(
            f"{error}. {done:,} of {len(rows):,} rows are enqueued; go on with --again {run}, and none will be twice"
        ) from error


def _estimated(door: Door, number: str, found: Recipients) -> Estimate | None:
    """Return when the last row will leave; None where nothing was enqueued."""
    from scheduler import estimate, shards
    from scheduler.rules import rules_of

    classes = [MessageClass(name) for name in _by_class(found)]
    rules = rules_of(door.settings.number(number), lease_ttl_ms=door.settings.lease_ttl_ms)
    units = shards.read(door.client, number).units(number)
    return estimate.of_last(door.client, rules, units, classes) if classes else None


def _print_estimate(last: Estimate) -> None:
    if last.at_us is not None:
        click.echo(f"The last one will leave at about {output.moment(last.at_us // 1000)}.")
    elif last.waits_for:
        click.echo(f"When they will leave nobody knows: {_STOPPED.get(last.waits_for[-1], last.waits_for[-1])}.")


def _steps(count: int) -> Iterator[int]:
    """Yield where each batch starts, under a progress bar when a person watches."""
    from rich.progress import track

    console = output.terminal(stderr=True)
    yield from track(
        range(0, count, BATCH),
        description="enqueueing",
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _by_class(found: Recipients) -> dict[str, int]:
    counts = Counter(row.message.class_ for row in found.rows)
    return {class_.value: counts[class_] for class_ in MessageClass if counts[class_]}


def _count(found: Recipients) -> str:
    return f"{len(found.rows) + len(found.bad):,}"


def _print_json(
    found: Recipients, *, number: str, run: uuid.UUID, ids: Sequence[str], dry_run: bool, last: Estimate | None
) -> None:
    output.print_json(
        {
            "run": str(run),
            "number": number,
            "dry_run": dry_run,
            "accepted": len(ids),
            "by_class": _by_class(found),
            "ids": list(ids),
            "bad": [asdict(row) for row in found.bad],
            "ignored_columns": list(found.ignored),
            "estimated_send_at": last.told() if last else None,
            "waits_for": list(last.waits_for) if last else [],
        }
    )


def _print(found: Recipients, *, number: str, skipping: bool, enqueued: bool) -> None:
    _print_bad(found.bad)
    if found.ignored:
        names = ", ".join(name or "(no name)" for name in found.ignored)
        click.echo(f"Columns that are no field of a message are ignored: {names}.", err=True)
    classes = ", ".join(f"{count:,} {class_}" for class_, count in _by_class(found).items())
    if enqueued:
        left_out = f"; {output.count(len(found.bad), 'bad row')} left out" if found.bad else ""
        click.echo(f"Enqueued {output.count(len(found.rows), 'message')} for {number}: {classes or 'none'}{left_out}.")
    elif skipping or not found.bad:
        good = output.count(len(found.rows), "row")
        click.echo(f"{good} can be sent by {number}: {classes or 'none'}. Nothing was enqueued.")


def _print_bad(bad: Sequence[BadRow]) -> None:
    for row in bad[:SHOWN]:
        click.echo(f"line {row.line}, {row.field}: {row.problem}", err=True)
    if len(bad) > SHOWN:
        click.echo(f"… and {len(bad) - SHOWN:,} more (--json shows all)", err=True)
