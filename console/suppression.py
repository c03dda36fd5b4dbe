"""Who gets no campaign, and how does a person change that?"""

from __future__ import annotations

import socket
from typing import IO

import click

from campaigns import phones, suppression
from campaigns.phones import NoNumber
from console import output
from console.change import me
from console.door import opened, read_settings
from headway.errors import HeadwayError

_country = click.option("--country", default="", metavar="IT", help="Where numbers without + are from.")
_recipients = click.argument("recipients", nargs=-1, metavar="[RECIPIENT]…")
_file = click.option("--file", type=click.File("r", encoding="utf-8"), help="One number a line, instead; - is stdin.")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs: see above.")


class NoRecipients(HeadwayError):
    """Something that was given is no phone number; nothing was changed."""


@click.group("suppression")
def group() -> None:
    """See and change who gets no campaign. What they asked for themselves (codes, answers) still leaves."""


@group.command(short_help="Put recipients on the list.")
@_recipients
@_file
@_country
@click.option("--by", default=me, show_default="your user name", help="Who decided this; kept with it.")
@click.option("--reason", default="", help="Why; kept with it.")
@_as_json
def add(
    *, recipients: tuple[str, ...], file: IO[str] | None, country: str, by: str, reason: str, as_json: bool
) -> None:
    """Put recipients on the list: no campaign sends to them, one that is being loaded neither.

    --json prints {"changed", "total"}: how many are new on it, and how many are on it now.

    \b
    Example:
      headway suppression add +393331234567 --reason "said stop"
      headway suppression add --file stopped.txt --country IT
    """
    numbers = _numbers(recipients, file, country)
    with opened(read_settings()) as door:
        where = f"{me()}@{socket.gethostname()}"[:100]
        new = suppression.add(door.client, numbers, by=by[:100], where=where, reason=reason[:500])
        _say(new, suppression.count(door.client), "new on the list", as_json=as_json)


@group.command(short_help="Take recipients off the list.")
@_recipients
@_file
@_country
@_as_json
def remove(*, recipients: tuple[str, ...], file: IO[str] | None, country: str, as_json: bool) -> None:
    """Take recipients off the list.

    --json prints {"changed", "total"}: how many were on it, and how many are on it now.

    \b
    Example:
      headway suppression remove 393331234567
    """
    numbers = _numbers(recipients, file, country)
    with opened(read_settings()) as door:
        gone = suppression.remove(door.client, numbers)
        _say(gone, suppression.count(door.client), "taken off the list", as_json=as_json)


@group.command("list", short_help="Show who is on the list.")
@_recipients
@_country
@_as_json
def list_(*, recipients: tuple[str, ...], country: str, as_json: bool) -> None:
    """Show who is on the list, in no order; or, of the recipients that are given, those who are.

    --json prints a line for each: {"to", "by", "where", "at_ms", "reason"}.

    \b
    Example:
      headway suppression list
      headway suppression list 393331234567 --json
    """
    with opened(read_settings()) as door:
        if recipients:
            asked = _numbers(recipients, None, country)
            _print([one for to in asked if (one := suppression.find(door.client, to))], as_json=as_json)
            return
        cursor = 0
        while True:
            found, cursor = suppression.page(door.client, cursor=cursor)
            _print(found, as_json=as_json)
            if not cursor:
                return


def _say(changed: int, total: int, what: str, *, as_json: bool) -> None:
    if as_json:
        output.print_json({"changed": changed, "total": total})
    else:
        click.echo(f"{changed:,} {what}; {output.count(total, 'recipient')} on it now")


def _print(found: list[suppression.Suppressed], *, as_json: bool) -> None:
    for one in found:
        if as_json:
            output.print_json(one.as_json())
        else:
            why = f": {one.reason}" if one.reason else ""
            click.echo(f"{one.to}  {output.moment(one.at_ms)}  {one.by}{why}")


def _numbers(recipients: tuple[str, ...], file: IO[str] | None, country: str) -> list[str]:
    """Return the recipients as digits. Raises NoRecipients, which names what is none."""
    if bool(recipients) == (file is not None):
        raise click.UsageError("name recipients, or give --file")
    if country.upper() not in phones.countries() | {""}:
        raise click.UsageError(f"--country: {country[:10]!r} is none; write two letters, as in IT")
    found = []
    try:
        lines = list(file) if file is not None else list(recipients)
    except UnicodeDecodeError:
        raise NoRecipients("the file is not UTF-8: nothing was changed") from None
    for at, text in enumerate(lines, start=1):
        if file is not None and not text.strip():
            continue
        try:
            found.append(phones.normalised(text.strip(), country=country.upper()))
        except NoNumber as error:
            where = f"line {at}" if file is not None else text[:40]
            raise NoRecipients(f"{where}: {error}; nothing was changed") from None
    return found
