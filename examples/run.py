"""What does Headway do? The main job, on real input, in half a minute: `make run`.

A CSV of recipients goes onto a number's Celery queue, four priorities deep; then a real Celery worker drains it, class
by class, through the number's TPS, to a local sink that speaks Picky's Push API. While bulk is leaving, three urgent
messages are pushed, and overtake what waits. The sink's journal is the judge: status 0 only if every promise was kept.

Nothing leaves this machine, and nobody's data is touched: all of it lives in a folder of its own, gone at the end.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import redis
from rich.console import Console

from console import recipients
from examples._picture import Moment, Picture, Plain
from examples._stage import Broken, Stage, now_us
from examples._verdict import Promise, Pushed, promises
from headway import Client, HeadwayError, Message, MessageClass, keys
from runtime import telemetry
from runtime.variables import DEMO_NUMBER, TPS

RECIPIENTS = Path(__file__).with_name("recipients.csv")

#: What comes while bulk is leaving.
CODES = [
    Message(to=f"120255501{end}", text=f"Your code is {code}.", class_=MessageClass.URGENT)
    for end, code in (("95", "482913"), ("96", "190277"), ("97", "735164"))
]

#: Bulk messages that have arrived when the urgent ones are pushed.
BULK_FIRST = 5

#: From the start to the first message at the sink; a cold machine compiles what it imports.
START_PATIENCE_US = 60_000_000
FRAME_S = 0.1

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Run:
    """One run: what was pushed, what arrived."""

    def __init__(self, stage: Stage, client: redis.Redis, moment: Moment) -> None:
        self._stage = stage
        self._redis = client
        self._client = Client(client)
        self.moment = moment
        self.overtaken = 0
        self.sent = 0

    def push(self, messages: list[Message]) -> list[str]:
        """Enqueue messages in one publish, and remember them."""
        at_us = now_us()
        ids = self._client.push_many(DEMO_NUMBER, messages)
        for id, message in zip(ids, messages, strict=True):
            self.moment.pushed[id] = Pushed(message.class_, at_us)
        return ids

    def look(self) -> None:
        """Bring the picture up to date."""
        moment = self.moment
        moment.arrived += self._stage.arrivals()
        with self._redis.pipeline(transaction=False) as pipe:
            for lane in keys.lanes(DEMO_NUMBER):
                pipe.llen(lane)
            moment.waiting = dict(zip((class_.value for class_ in MessageClass), pipe.execute(), strict=True))
        moment.now_us = now_us()

    def interrupt(self) -> None:
        """Push the urgent messages once some bulk has gone and much of it waits."""
        moment = self.moment
        classes = Counter(moment.pushed[row.id].class_ for row in moment.arrived if row.id in moment.pushed)
        bulk = sum(message.class_ is MessageClass.BULK for message in moment.pushed.values())
        halfway = 2 * len(moment.arrived) >= len(moment.pushed)  # a person's own file may have no bulk at all
        if moment.late or not halfway or classes[MessageClass.BULK] < min(BULK_FIRST, bulk):
            return
        self.overtaken = moment.waiting[MessageClass.BULK]
        moment.late = self.push(CODES)
        moment.says = f"{len(CODES)} urgent messages pushed: they overtake {self.overtaken} waiting bulk ones"

    def finished(self) -> bool:
        """Whether every message has arrived and its record says so."""
        moment = self.moment
        if len(moment.arrived) < len(moment.pushed) or not moment.late:
            return False
        records = [self._client.status(id) or {} for id in moment.pushed]
        self.sent = sum(record.get("state") == "sent" for record in records)
        return self.sent == len(moment.pushed)

    def drain(self, show: Callable[[Moment], None]) -> None:
        """Watch until all is done, or the time is up: the verdict then says what is missing."""
        moment = self.moment
        patience_us = START_PATIENCE_US + int(2e6 * len(moment.pushed) / moment.tps)
        while not self.finished() and moment.now_us - moment.began_us < patience_us:
            self.look()
            if moment.arrived and not moment.late:
                moment.says = "draining in class order"
            self.interrupt()
            show(moment)
            time.sleep(FRAME_S)


def messages_of(file: Path) -> list[Message]:
    """Read the file. Raises HeadwayError when a row can't be sent."""
    found = recipients.parse(file.read_bytes())
    for bad in found.bad:
        raise HeadwayError(f"{file}, line {bad.line}, {bad.field}: {bad.problem}")
    return [row.message for row in found.rows]


def run(stage: Stage, *, file: Path, tps: float, began_us: int) -> list[Promise]:
    """Push, start the worker, watch, judge. The order lets the lanes fill first, so that their order can be seen."""
    moment = Moment(DEMO_NUMBER, tps, began_us)
    console = Console(highlight=False)
    with Picture(console) if console.is_terminal else Plain() as picture:
        play = Run(stage, stage.open(), moment)
        play.push(messages_of(file))
        moment.says = f"{len(moment.pushed)} messages of {file.name} are enqueued; the worker starts"
        play.look()
        picture.show(moment)
        stage.start_worker()
        play.drain(picture.show)
        moment.says, moment.done = "", True
        play.look()
        picture.show(moment)
    if moment.arrived:
        first_s = (moment.arrived[0].at_us - began_us) / 1e6
        console.print()
        console.print(f"First message at the sink {first_s:.1f} s after the start, server and worker included.")
    return promises(stage.rows, moment.pushed, sent=play.sent, tps=tps, late=moment.late, overtaken=play.overtaken)


def verdict(kept: list[Promise]) -> int:
    """Print the promises and return the status."""
    console = Console(highlight=False)
    for promise in kept:
        console.print("[green]kept[/]  " if promise.kept else "[bold red]BROKEN[/]", promise.says, soft_wrap=True)
    return 0 if all(promise.kept for promise in kept) else 1


def _tps(_: click.Context, __: click.Parameter, value: str) -> str:
    try:
        milli = TPS.read(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if not 1000 <= milli <= 50_000:
        raise click.BadParameter("from 1 to 50: with more, all is over before the urgent messages come")
    return value


@click.command(help=(__doc__ or "").partition("\n")[2])
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=RECIPIENTS)
@click.option("--tps", default="4", show_default=True, callback=_tps, help="Slower than a real number: eyes follow.")
def main(*, file: Path, tps: str) -> None:
    # Imports are part of what a person waits for; the processor time used so far is about what they took.
    began_us = now_us() - int(time.process_time() * 1e6)
    telemetry.configure(level=30)
    for number in _ENDS:  # a closed window too: what was started must not outlive the run
        signal.signal(number, _interrupt)
    home = Path(tempfile.mkdtemp(prefix="headway-run-"))
    stage = Stage(home, tps=tps)
    status = 1
    try:
        status = verdict(run(stage, file=file, tps=float(tps), began_us=began_us))
    except (Broken, HeadwayError, redis.RedisError) as error:
        print(f"headway: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nending what was started …", file=sys.stderr)
        status = 130
    finally:
        for number in _ENDS:  # a second Ctrl-C must not leave a process behind
            signal.signal(number, signal.SIG_IGN)
        stage.close()
        if status == 1:
            print(f"The logs are in {home}", file=sys.stderr)
        else:
            shutil.rmtree(home, ignore_errors=True)
    sys.exit(status)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
