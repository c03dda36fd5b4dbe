"""What may a person change while everything runs: that a number rests, its TPS, and what else a lease reads.

A live value wins over the environment, holds in every process from the next lease on, and says who set it, when and
from where.
"""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable, Mapping

import click
import redis

from console.door import NumberType, opened, read_settings, require_known
from console.output import moment
from runtime import variables
from runtime.settings import Settings
from scheduler import control, figures
from scheduler import live as table


def me() -> str:
    """Return who sits here, as far as the system knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "command line"


def here() -> str:
    """Return who sits where: the user and the host."""
    return f"{me()}@{socket.gethostname()}"[:100]


_number = click.argument("number", type=NumberType())
_by = click.option("--by", default=me, show_default="your user name", help="Who decided this; kept with the setting.")


@click.command(short_help="Set a number's TPS while everything runs.")
@_number
@click.argument("value", required=False)
@click.option("--unset", is_flag=True, help="Clear the live value: the environment's holds again.")
@_by
def tps(*, number: str, value: str | None, unset: bool, by: str) -> None:
    """Set a number's TPS while everything runs; it wins over HEADWAY_TPS until --unset.

    \b
    Example:
      headway tps 15555550100 15
      headway tps 15555550100 --unset
    """
    if (value is None) is not unset:
        raise click.UsageError("give either a value, as in `headway tps 15555550100 15`, or --unset")
    _change(number, lambda client, _: control.set_tps(client, number, _milli(value), by=by[:100], where=here()))


@click.group()
def number() -> None:
    """Set or clear live values of a number while everything runs."""


@number.command("set", short_help="Set values of a number while everything runs.")
@_number
@click.argument("changes", nargs=-1, required=True, metavar="NAME=VALUE…")
@_by
def number_set(*, number: str, changes: tuple[str, ...], by: str) -> None:
    """Set values of a number while everything runs: all of them or none, in every process from the next lease on.

    There are tps, headroom, calm, floor, in_flight, guard, push_per_minute, receipts and event_webhook, each with the
    bounds of its environment variable, which it wins over until `headway number unset`.

    \b
    Example:
      headway number set 15555550100 tps=12 headroom=0.2
      headway number set 15555550100 receipts=none --by ada
    """
    told = _told(changes)
    settings = read_settings()

    def set_(client: redis.Redis, live: control.Live) -> None:
        fields = control.checked(told, own=settings.number(number), live=live)
        control.change(client, number, fields, by=by[:100], where=here())

    _change(number, set_)


@number.command("unset", short_help="Clear live values of a number.")
@_number
@click.argument("names", nargs=-1, metavar="[NAME…]")
@_by
def number_unset(*, number: str, names: tuple[str, ...], by: str) -> None:
    """Clear live values of a number; without names all of them, a pause too: the environment's hold again.

    \b
    Example:
      headway number unset 15555550100 tps
      headway number unset 15555550100
    """
    settings = read_settings()

    def clear(client: redis.Redis, live: control.Live) -> None:
        if names:
            fields = control.checked(dict.fromkeys(names), own=settings.number(number), live=live)
            control.change(client, number, fields, by=by[:100], where=here())
        else:
            control.unset(client, number, by=by[:100], where=here())

    _change(number, clear)


def _told(changes: tuple[str, ...]) -> Mapping[str, str]:
    """Return what was written as name=value. Ends the command for anything else, and for a name given twice."""
    told: dict[str, str] = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals or not value.strip():
            raise click.UsageError(f"{change[:40]!r} sets nothing: write name=value, as in tps=12")
        if name in told:
            raise click.UsageError(f"{name} is given twice: keep one")
        told[name] = value
    return told


def _milli(value: str | None) -> int | None:
    if value is None:
        return None
    try:
        return variables.TPS.read(value)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="VALUE") from None


def _change(number: str, change: Callable[[redis.Redis, control.Live], None]) -> None:
    """Change something, and say what holds then. Raises UnknownNumber rather than pausing a mistyped number."""
    settings = read_settings()
    with opened(settings) as door:
        require_known(door, number)
        change(door.client, control.read(door.client, number))
        say(settings, number, control.read(door.client, number))


def say(settings: Settings, number: str, live: control.Live) -> None:
    """Say what holds for a number now."""
    tps_milli, tps_from = figures.allowed(live, settings, number)
    until = f" until {moment(live.paused_until_ms)}" if live.paused_until_ms else ""
    rests = f"is paused{until}" if live.paused else "may send"
    others = [f"{name} is {value.shown}" for name, value in live.values.items() if name != table.TPS.name]
    more = f" {', '.join(others)} (live)." if others else ""
    click.echo(f"{number} {rests}; its TPS is {figures.rate(tps_milli)} ({tps_from}).{more}")
