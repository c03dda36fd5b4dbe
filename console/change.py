"""What may a person change while everything runs: that a number rests, and its TPS.

A live value wins over the environment, holds in every process from the next lease on, and says who set it.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable

import click
import redis

from console.door import NumberType, opened, read_settings
from headway.errors import HeadwayError
from runtime import variables
from runtime.settings import Settings
from scheduler import control, figures


class UnknownNumber(HeadwayError):
    """Nobody has heard of the number: most likely it is mistyped."""


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "command line"


_number = click.argument("number", type=NumberType())
_by = click.option("--by", default=_me, show_default="your user name", help="Who decided this; kept with the setting.")


@click.command()
@_number
@_by
def pause(*, number: str, by: str) -> None:
    """Stop a number at once; what has begun finishes.

    \b
    Example:
      headway pause 15555550100 --by ada
    """
    _change(number, lambda client, _: control.pause(client, number, by=by[:100]))


@click.command()
@_number
@_by
def resume(*, number: str, by: str) -> None:
    """Let a paused number go on.

    \b
    Example:
      headway resume 15555550100
    """
    _change(number, lambda client, _: control.resume(client, number, by=by[:100]))


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
    _change(number, lambda client, _: control.set_tps(client, number, _milli(value), by=by[:100]))


@click.group()
def number() -> None:
    """Clear what was set live for a number."""


@number.command("unset")
@_number
@_by
def number_unset(*, number: str, by: str) -> None:
    """Clear every live value of a number, a pause too: the environment's hold again.

    \b
    Example:
      headway number unset 15555550100
    """

    def clear(client: redis.Redis, live: control.Live) -> None:
        if live.tps_milli is not None:
            control.set_tps(client, number, None, by=by[:100])
        if live.paused:
            control.resume(client, number, by=by[:100])

    _change(number, clear)


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
        if not figures.known(door.client, settings, number):
            raise UnknownNumber(
                f"no worker and no message knows {number}: check it, or name it in HEADWAY_NUMBERS first"
            )
        change(door.client, control.read(door.client, number))
        _say(settings, number, control.read(door.client, number))


def _say(settings: Settings, number: str, live: control.Live) -> None:
    tps_milli, tps_from = figures.allowed(live, settings, number)
    rests = "is paused" if live.paused else "may send"
    click.echo(f"{number} {rests}; its TPS is {figures.rate(tps_milli)} ({tps_from}).")
