"""Which commands does `headway` have, and how does it say that something can't be done?

Every command shows an example with --help. What can't be done is one sentence on standard error and status 2, never a
traceback; status 1 is an answer that says no (`headway status` of an id without a record).
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from typing import IO, Any

import click
import redis

from console import campaign, change, control, dead, explain, look, outbox, processes, push, suppression, up
from headway.errors import HeadwayError
from runtime.secret import hide_passwords


class Refusal(click.ClickException):
    """What the command says on standard error when it can't do what was asked."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the sentence."""
        click.echo(f"headway: {self.format_message()}", file=file, err=True)


class Commands(click.Group):
    """Turns our errors, the server's and the system's into one sentence each."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except HeadwayError as error:
            raise Refusal(str(error)) from error
        except redis.RedisError as error:
            raise Refusal(f"the server can't do this ({hide_passwords(str(error))}); try again") from error
        except BrokenPipeError:
            raise  # `headway … | head` isn't worth a word: click ends quietly
        except OSError as error:
            raise Refusal(f"the system says no: {error}") from error

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  the signature is click's
        """Return the names in the order in which they were added: by use, not by letter."""
        return list(self.commands)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def cli() -> None:
    """Headway holds messages for WhatsApp numbers and lets each leave when its number has room.

    Settings are environment variables (HEADWAY_…); `headway explain` shows them. Without HEADWAY_REDIS_URL a command
    uses the embedded server of HEADWAY_HOME, and starts it when nobody else has.
    """


def _add(commands: Iterable[click.Command]) -> None:
    for command in commands:
        cli.add_command(command)


_add((up.up, processes.worker, processes.gateway, push.push, look.status, look.numbers, explain.explain))
_add((dead.dead, dead.uncertain))
_add((control.pause, control.resume, control.drain, control.purge, control.cancel, control.marks, control.audit))
_add((change.tps, change.number, outbox.outbox, look.url, processes.simulator))
_add((campaign.campaign, suppression.group))


def main() -> None:
    """Run the command line; always ends with SystemExit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no block characters still gets its answer
    cli(prog_name="headway")
