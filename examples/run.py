"""What does Headway do? The main job, on real input, in a minute: `make run`.

A campaign from a CSV goes as bulk to a number with 20 TPS, while urgent messages are pushed and people write: over
HTTP through the gateway, Celery queues and a real Celery worker, to a WhatsApp number in software that answers with
receipts and inbound messages. Everything that uses the number's TPS is shown as it happens; then the number judges, and
beside it stands what a limiter that counts only what it sends would have done to it.

Status 0 when nothing was lost or doubled and the container kept up. Nothing leaves this machine, and nobody's data is
touched: all of it lives in a folder of its own, gone at the end.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from console import recipients
from examples._app import App
from examples._minute import Minute
from examples._moment import SECOND_US, Moment
from examples._picture import Picture, Plain
from examples._stage import Broken, Stage, now_us, say_error
from examples._verdict import Measured, table, told
from headway import HeadwayError, Message, MessageClass
from runtime import telemetry
from runtime.variables import DEMO_NUMBER
from simulator.conditions import Conditions
from simulator.limiter import judge_outbound_only

CAMPAIGN = Path(__file__).with_name("campaign.csv")

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def conditions_of(*, tps: float, seconds: int) -> Conditions:
    """Return what the number has to bear: inbound of a tenth of TPS, and two bursts of half a second's worth."""
    return Conditions(
        tps=tps,
        inbound_per_s=tps / 10,
        burst=max(2, round(tps / 2)),
        burst_every=timedelta(seconds=0.4 * seconds),
        seed=7,
    )


def messages_of(file: Path) -> list[Message]:
    """Read the file. Raises HeadwayError when a row can't be part of this run."""
    found = recipients.parse(file.read_bytes(), class_=MessageClass.BULK)
    for bad in found.bad:
        raise HeadwayError(f"{file}, line {bad.line}, {bad.field}: {bad.problem}")
    for row in found.rows:
        message = row.message
        if Message(to=message.to, text=message.text, media_url=message.media_url, class_=message.class_) != message:
            raise HeadwayError(f"{file}, line {row.line}: this run takes to, text, media_url and class, nothing else")
    return [row.message for row in found.rows]


async def play(stage: Stage, moment: Moment, campaign: list[Message], show: Callable[[Moment], None]) -> Measured:
    """Live through the minute, and measure. Raises Broken."""
    app = App(stage.gateway_url, stage.simulator_url, token=stage.token)
    try:
        return await Minute(stage, app, moment, show).play(campaign)
    finally:
        await app.close()


def tell(
    console: Console, measured: Measured, moment: Moment, conditions: Conditions, *, file: Path | None = None
) -> int:
    """Print both verdicts and return the status; write them into `file` too, for programs."""
    plain = judge_outbound_only(
        conditions, duration=timedelta(seconds=moment.seconds), sends=moment.campaign + measured.urgent
    )
    if file is not None:
        file.write_text(json.dumps(told(measured, plain)))
    if moment.first_us:
        first_s = (moment.first_us - moment.began_us) / SECOND_US
        console.print(f"\nFirst message at the number {first_s:.1f} s after the start of this run.")
    console.print()
    console.print(table(measured, plain, seconds=moment.seconds))
    console.print("* counts only what it sends; same number, people and campaign, in simulated time", style="dim")
    console.print()
    if measured.unsound:
        console.print(measured.unsound, style="yellow", soft_wrap=True)
    broken = measured.broken()
    for promise in broken:
        console.print("[bold red]BROKEN[/]", promise, soft_wrap=True)
    if not broken:
        console.print("[green]kept[/]  nothing lost, nothing doubled, and the container kept up", soft_wrap=True)
    return 1 if broken else 0


def run(
    stage: Stage, file: Path, conditions: Conditions, *, seconds: int, began_us: int, into: Path | None = None
) -> int:
    """Start, live through it, judge; return the status."""
    campaign = messages_of(file)
    moment = Moment(
        number=DEMO_NUMBER,
        tps=conditions.tps,
        seconds=seconds,
        campaign=len(campaign),
        began_us=began_us,
        now_us=began_us,
    )
    console = Console(highlight=False)
    with Picture(console) if console.is_terminal else Plain() as picture:
        moment.says = "starting a server, the gateway, a worker, and a number in software"
        picture.show(moment)
        stage.open()
        measured = _until_ended(play(stage, moment, campaign, picture.show))
    return tell(console, measured, moment, conditions, file=into)


def _until_ended(work: Coroutine[Any, Any, Measured]) -> Measured:
    """Run until it is done, or the end is asked for: then raises CancelledError."""

    async def ended() -> Measured:
        task = asyncio.ensure_future(work)
        for number in _ENDS:
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await task

    return asyncio.run(ended())


@click.command(help=(__doc__ or "").partition("\n")[2])
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=CAMPAIGN)
@click.option("--seconds", type=click.IntRange(5, 600), default=60, show_default=True, help="How long it runs.")
@click.option("--tps", type=click.FloatRange(2, 200), default=20, show_default=True, help="TPS of the number.")
@click.option("--json", "into", type=click.Path(path_type=Path), help="Write the verdicts into this file as JSON.")
def main(*, file: Path, seconds: int, tps: float, into: Path | None) -> None:
    # Imports are part of what a person waits for; the processor time used so far is about what they took.
    began_us = now_us() - int(time.process_time() * SECOND_US)
    telemetry.configure(level=30)
    for number in _ENDS:  # a closed window too: what was started must not outlive the run
        signal.signal(number, _interrupt)
    conditions = conditions_of(tps=tps, seconds=seconds)
    home = Path(tempfile.mkdtemp(prefix="headway-run-"))
    stage = Stage(home, conditions=conditions)
    status = 1
    try:
        status = run(stage, file, conditions, seconds=seconds, began_us=began_us, into=into)
    except (Broken, HeadwayError) as error:
        say_error(str(error))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("\nending what was started …", file=sys.stderr)
        status = 130
    finally:
        for number in _ENDS:  # a second Ctrl-C must not leave a process behind
            signal.signal(number, signal.SIG_IGN)
        stage.close()
        if status == 1:
            say_error(f"the logs are in {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)
    sys.exit(status)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
