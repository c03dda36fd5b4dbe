"""What does a person, or a program, hear of a campaign that was checked or sent?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from campaigns import bad_rows
from campaigns.load import Outcome
from campaigns.plan import Plan
from campaigns.problems import MOST_LISTED, Problem
from campaigns.store import Campaign
from campaigns.tables import Table
from console import output
from scheduler.cost import Cost

#: Bad rows that a person is shown; a program gets a hundred, and a file all of them.
SHOWN: Final = 20


def tell_dry(
    made: Plan, suppressed: int, cost: Cost, *, met: Campaign | None, conflict: str, preview: int, as_json: bool
) -> None:
    """Say what would be sent. `met` is the campaign that the send would go on with; a `conflict` refuses it."""
    if as_json:
        output.print_json(
            {"campaign": None, "dry_run": True, "repeated": met is not None and met.whole, **_counts(made, suppressed)}
            | {"preview": made.preview(preview), "cost": cost.as_json()}
        )
        return
    print_bad(made.bad, len(made.bad), file=made.file, word=made.word)
    for message in made.preview(preview):
        to, row = message.pop("to"), message.pop("row")
        click.echo(f"{made.word} {row}: to {to}, {message.pop('class')}")
        for name, value in message.items():
            click.echo(f"    {name}: {value}")
    _print_left_out(made, suppressed)
    if met is not None and met.whole:
        click.echo(
            f"Campaign {met.id} has this file and name already, and is {met.state.value}: nothing would be sent. To "
            "send it again give it another --name."
        )
        return
    if met is not None:
        click.echo(f"Campaign {met.id} broke off after {met.loaded:,} of {met.records:,} rows: the send goes on there.")
    if not conflict:
        click.echo(
            f"{output.count(len(made.rows) - suppressed, 'message')} would be sent{_time(cost)}. Nothing was enqueued."
        )


def _time(cost: Cost) -> str:
    """Say behind a number of messages how long they take."""
    if not cost.messages:
        return ""
    seconds = round(cost.seconds)
    minutes, rest = divmod(seconds, 60)
    hours, rest_m = divmod(minutes, 60)
    span = f"{hours} h {rest_m} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds} s"
    done = f", the last one about {output.moment(cost.done_us // 1000)}" if cost.done_us is not None else ""
    waits = f" (now it waits for: {', '.join(cost.waits_for)})" if cost.done_us is None and cost.waits_for else ""
    return f", which takes about {span} at {cost.per_second:.3g} a second{done}{waits}"


def tell(outcome: Outcome, *, as_json: bool) -> None:
    """Say what was sent."""
    found, made = outcome.campaign, outcome.plan
    if as_json:
        output.print_json(
            {"campaign": found.as_json(), "dry_run": False, "repeated": outcome.repeated}
            | {**_counts(made, found.suppressed), "preview": [], "cost": None}
        )
        return
    if outcome.repeated:
        click.echo(
            f"Campaign {found.id} has this file and name already, and is {found.state.value}: nothing was enqueued. To "
            "send it again give it another --name.",
            err=True,
        )
        return
    _print_left_out(made, found.suppressed)
    # Nobody counts of which class those are who are suppressed; with one class it is that one.
    whole = not found.suppressed
    classes = ", ".join(f"{rows:,} {class_}" if whole else class_ for class_, rows in made.by_class.items())
    queued = output.count(found.queued, "message")
    click.echo(f"Campaign {found.id}: {queued} of {found.number} enqueued ({classes}).")
    click.echo(f"To watch it: headway campaign watch {found.id}")


def _counts(made: Plan, suppressed: int) -> dict[str, Any]:
    listed = [problem.as_json() for problem in made.bad[:MOST_LISTED]]
    return {
        "records": made.records,
        "rows": len(made.rows),
        "by_class": made.by_class,
        "duplicates": [one.as_json() for one in made.duplicates[:MOST_LISTED]],
        "suppressed": suppressed,
        "bad": listed,
        "bad_rows": made.bad_rows,
        "ignored_columns": list(made.ignored),
    }


def _print_left_out(made: Plan, suppressed: int) -> None:
    if made.ignored:
        click.echo(f"Columns that nothing asks for: {', '.join(made.ignored)}.", err=True)
    for one in made.duplicates[:SHOWN]:
        click.echo(f"{made.word} {one.row}: {one.to} is in {made.word} {one.first_row} already; left out", err=True)
    if len(made.duplicates) > SHOWN:
        click.echo(f"… and {len(made.duplicates) - SHOWN:,} more that are there twice", err=True)
    if suppressed:
        is_ = "is" if suppressed == 1 else "are"
        click.echo(f"{output.count(suppressed, 'recipient')} {is_} suppressed and left out.", err=True)


def tell_bad(outcome: Outcome, table: Table, to: Path | None, *, as_json: bool) -> None:
    """Write the bad rows to a file."""
    if not outcome.plan.bad or outcome.repeated:
        return
    path = to or Path(f"{Path(table.file).stem or 'campaign'}.{outcome.campaign.id}.bad.csv")
    with path.open("w", encoding="utf-8", newline="") as file:
        count = bad_rows.write(table, outcome.plan, file)
    if not as_json:
        print_bad(outcome.plan.bad, len(outcome.plan.bad), file=table.file, word=table.word)
    are = "is left out, and stands" if count == 1 else "are left out, and stand"
    click.echo(f"{output.count(count, 'bad row')} {are} in {path}.", err=True)


def print_bad(bad: Sequence[Problem], found: int, *, file: str, word: str) -> None:
    """Say on standard error which rows are bad."""
    for problem in bad[:SHOWN]:
        click.echo(problem.told(file, word=word), err=True)
    if found > SHOWN:
        click.echo(f"… and {found - SHOWN:,} more (--dry-run --json shows a hundred)", err=True)
