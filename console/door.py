"""How does a command come to its settings and its server?"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import click
import redis

from headway.errors import HeadwayError
from headway.message import NUMBER
from runtime import telemetry
from runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Door:
    """What a command works with. `url` may hold a password."""

    settings: Settings
    client: redis.Redis
    url: str = field(repr=False)


class NumberType(click.ParamType[str, str]):
    """A sending number on the command line."""

    name = "number"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return it as it is; anything but digits with country code ends the command."""
        if not NUMBER.match(value):
            self.fail(f"{value!r} is no number: write 7 to 15 digits with country code, without +", param, ctx)
        return value


def read_settings() -> Settings:
    """Read the environment, and show warnings from now on. Raises SettingError."""
    settings = Settings.from_env(os.environ)
    telemetry.configure(settings.log, level=logging.WARNING)
    return settings


class UnknownNumber(HeadwayError):
    """Nobody has heard of the number: most likely it is mistyped."""


def require_known(door: Door, number: str) -> None:
    """Let only numbers pass that somebody has heard of. Raises UnknownNumber."""
    from scheduler import figures

    if not figures.known(door.client, door.settings, number):
        raise UnknownNumber(f"no worker and no message knows {number}: check it, or name it in HEADWAY_NUMBERS first")


@contextmanager
def opened(settings: Settings) -> Iterator[Door]:
    """Give a client of the server that the settings name, or of the embedded one, which is left at the end.

    A person waits for the answer, so a server that is away is an error at once: BrokerUnavailable. Raises ServerError
    as well.
    """
    # Here, not above: --help needs none of it.
    from runtime.address import parse
    from runtime.connect import connect, wait_for_server
    from runtime.embedded import EmbeddedServer

    server = None if settings.redis_url else EmbeddedServer.join(settings.home)
    try:
        url = settings.redis_url or (server.url if server else "")
        client = connect(url, name="headway-console")
        try:
            wait_for_server(client, shown=parse(url).shown, patience=timedelta(0))
            yield Door(settings, client, url)
        finally:
            client.close()
    finally:
        if server is not None:
            server.leave()


def the_number(settings: Settings, asked: str | None) -> str:
    """Return the number that was asked for, or the only one there is; two or more end the command."""
    if asked:
        return asked
    if len(settings.numbers) == 1:
        return settings.numbers[0]
    raise click.UsageError(f"say which number: --number {' | '.join(settings.numbers[:5])}")
