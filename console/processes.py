"""How does `headway` become a worker, the gateway or the simulator?

By exec: what runs is Celery's own worker, and the modules of gateway and simulator, with nothing of ours around it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from console.door import NumberType, read_settings
from headway import keys
from headway.errors import ServerError
from runtime.clock import SystemClock
from runtime.health import reports
from runtime.settings import Settings

#: The checkout or the image: rooms and celeryconfig.py lie there.
ROOT = Path(__file__).resolve().parents[1]

#: Sends wait for the provider, not for the processor.
THREADS = 16

#: Where apps find the gateway unless told otherwise.
GATEWAY_PORT = 8080


def worker_command(
    numbers: Sequence[str], *, concurrency: int | None = None, pool: str = "threads", quiet: bool = False
) -> list[str]:
    """Return the Celery command that serves these numbers; none: those of HEADWAY_NUMBERS. Runs from any directory.

    `quiet` leaves out Celery's banner. Raises ServerError when Celery isn't installed beside this Python.
    """
    celery = Path(sys.executable).with_name("celery")
    if not celery.exists():
        raise ServerError(f"there is no {celery}: run `make setup`, then .venv/bin/headway")
    # Prefork without -c: Celery's own default, a process for each core.
    slots = concurrency or (THREADS if pool == "threads" else None)
    return [
        str(celery),
        *("-A", "worker.app", "--workdir", str(ROOT), *(("--quiet",) if quiet else ()), "worker"),
        *(("-Q", ",".join(keys.queue(number) for number in numbers)) if numbers else ()),
        *("-P", pool, *(("-c", str(slots)) if slots else ())),
        # Mingle waits a second at the start for revokes that other workers know, gossip listens to every other
        # worker's events: nothing here needs either, and a worker is ready sooner without. Inspect goes on working.
        *("--without-mingle", "--without-gossip"),
    ]


def worker_environment(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a worker: as here, with HEADWAY_HOME made absolute, for `--workdir` changes it."""
    return {**environ, "HEADWAY_HOME": str(settings.home)}


@click.command()
@click.option("--number", "numbers", multiple=True, type=NumberType(), help="Serve this number; may be repeated.")
@click.option("--concurrency", "-c", type=click.IntRange(1, 1000), help=f"Requests at a time.  [threads: {THREADS}]")
@click.option(
    "--pool", "-P", type=click.Choice(["threads", "prefork"]), default="threads", show_default=True, help="Celery pool."
)
@click.option("--check", is_flag=True, help="Start nothing: say whether this machine's workers get on.")
def worker(*, numbers: tuple[str, ...], concurrency: int | None, pool: str, check: bool) -> None:
    """Start a Celery worker that sends.

    This is `celery -A worker.app worker -Q headway.<number>,…` and no more: every other option of Celery is yours by
    running that. Without --number it serves all of HEADWAY_NUMBERS. SIGTERM ends it when what has begun is settled.

    \b
    Example: one pool of workers for one busy number
      headway worker --number 15555550100 --concurrency 32

    With --check it is a health check: status 0 when the workers of HEADWAY_HOME on this machine get on with their work,
    1 when one doesn't or there is none. One that waits for its server is well: a restart wouldn't help it.
    """
    settings = read_settings()
    if check:
        raise SystemExit(_check(settings.home))
    for number in numbers:
        settings.number(number)
    command = worker_command(numbers, concurrency=concurrency, pool=pool)
    _become(command, worker_environment(settings, os.environ))


@click.command(short_help="Start the HTTP gateway.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=GATEWAY_PORT, type=click.IntRange(0, 65535), show_default=True, help="0: a free one.")
def gateway(*, host: str, port: int) -> None:
    """Start the HTTP gateway: pushes and webhooks come in, apps and people look and change.

    It listens on this machine only until --host says otherwise, and speaks plain HTTP: put what ends TLS before it.
    Apps present one of the tokens of HEADWAY_API_TOKENS. SIGTERM ends it when the requests that it has are answered.

    \b
    Example:
      HEADWAY_API_TOKENS=s3cret headway gateway --port 8080
    """
    read_settings()
    _become(gateway_command("--host", host, "--port", str(port)), rooms_environment(os.environ))


def _check(home: Path) -> int:
    """Say of each worker how it is; return the status to end with."""
    now_ms = SystemClock().now_us() // 1000
    found = reports(home)
    for report in found:
        click.echo(f"worker {report.pid}: {report.problem(now_ms) or report.state}")
    if not found:
        click.echo("no worker runs here")
    return int(not found or any(report.problem(now_ms) for report in found))


def gateway_command(*arguments: str) -> list[str]:
    """Return the command that starts the gateway; it needs `rooms_environment`."""
    return [sys.executable, "-P", "-m", "gateway.serve", *arguments]


@click.command(
    short_help="Start a WhatsApp number in software.",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def simulator(*, arguments: tuple[str, ...]) -> None:
    """Start a WhatsApp number in software that speaks Picky's API (`--help`: its options).

    \b
    Example: 20 TPS, two inbound messages a second, webhooks to a gateway of this machine
      HEADWAY_TPS=20 HEADWAY_PROVIDER_URL=http://127.0.0.1:8090 headway up
      headway simulator --tps 20 --inbound 2 --webhook http://127.0.0.1:8080/webhooks/picky/15555550100 \\
        --key "$(cat .headway/webhook-key)"
    """
    _become(simulator_command(*arguments), rooms_environment(os.environ))


def simulator_command(*arguments: str) -> list[str]:
    """Return the command that starts the simulator; it needs `rooms_environment`."""
    return [sys.executable, "-P", "-m", "simulator", *arguments]


def rooms_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which a room's module is found from any directory.

    -P in the commands: a folder of a room's name in the current directory isn't ours.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), environ.get("PYTHONPATH", "")]))
    return {**environ, "PYTHONPATH": path}


def _become(command: Sequence[str], environ: Mapping[str, str]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], list(command), dict(environ))
