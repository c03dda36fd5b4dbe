"""Does the meter hold on the wire? Headway beside stock Celery and BullMQ, into the same sink at the same rate.

One number, sends alone. For each rate and number of worker processes: real `celery -A worker.app worker -P threads`
processes, a real sink, enough rows for --seconds. Wanted of Headway, else the bench exits 1:
  - in the meter's own record no trailing second (or 1/TPS) ever holds more than TPS,
  - at the sink at most 0.1 % of trailing seconds are over TPS, by at most 2 %,
  - at least 98 % of TPS is used, the first second (burst tolerance) left out,
  - from 20 a second on no more than a fifth of a second's budget arrives in any tenth of a second,
  - each row arrives once, and its record says `sent`.
The peers are judged by the same bounds but decide nothing: Celery 5.7 with `rate_limit="<rate>/s"` on its stock
transport, BullMQ with `limiter: {max: <rate>, duration: 1000}`. A peer that can't run fails the bench. A run that isn't
done a quarter of the time later than it should be is cut off there. Below one a second a run takes as long as seven
rows need. All of it takes about half an hour; `--only headway --rates 0.2,1,10,15,20,80,1000 --processes 1,4,8
--seconds 12` some ten minutes. It wants a quiet machine: who shares its cores is late at the sink, and that is counted.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import redis

from bench._figures import MeterLog, Run, broken, judged, table
from bench._ground import (
    NUMBER,
    celery_worker,
    fill_headway,
    headways_ready,
    process,
    records_sent,
    server,
    wait_until_ready,
)
from bench._peers import bullmq_worker, fill_bullmq, fill_stock, install_bullmq, peers_ready, stock_worker
from headway import keys
from tests.harness.processes import RunningProcess

RATES, PROCESSES = (10, 20, 80, 1000), (1, 4)
POOL = ("-P", "threads", "-c", "8")
LOOK_S, SAY_S = 0.05, 5.0
LEAST_ROWS = 7


@dataclass(frozen=True, slots=True)
class Place:
    """What a side runs on: a server, a sink and a rate."""

    client: redis.Redis
    url: str
    sink: str
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """How one side is run: a worker's command and environment, how many are ready, and how its queue is filled."""

    worker: Callable[[Place], tuple[list[str], dict[str, str]]]
    ready: Callable[[redis.Redis], int]
    fill: Callable[[redis.Redis, int], Iterator[int]]


def headway_worker(place: Place) -> tuple[list[str], dict[str, str]]:
    return celery_worker("worker.app", *POOL), {
        "HEADWAY_REDIS_URL": place.url,
        "HEADWAY_NUMBERS": NUMBER,
        "HEADWAY_TPS": f"{place.rate:g}",
        "HEADWAY_PUSH_PER_MINUTE": "1000000",  # no quota
        "HEADWAY_PROVIDER_URL": place.sink,
        "HEADWAY_PROVIDER_TOKEN": "bench",
        "HEADWAY_LOG": "json",
    }


def limited_celery(place: Place) -> tuple[list[str], dict[str, str]]:
    return stock_worker(*POOL), {"BENCH_BROKER": place.url, "BENCH_RATE": f"{place.rate:g}", "BENCH_SINK": place.sink}


def limited_bullmq(place: Place) -> tuple[list[str], dict[str, str]]:
    return bullmq_worker(place.client, "--rate", f"{place.rate:g}", "--sink", place.sink), {}


SIDES = {
    "headway": Side(worker=headway_worker, ready=headways_ready, fill=fill_headway),
    "celery": Side(worker=limited_celery, ready=peers_ready, fill=partial(fill_stock, task="stock.post")),
    "bullmq": Side(worker=limited_bullmq, ready=peers_ready, fill=fill_bullmq),
}


class Watch:
    """Looks at the meter and at the sink's journal while a run goes on."""

    def __init__(self, client: redis.Redis, journal: Path) -> None:
        self._client = client
        self._journal = journal.open("rb")
        self._lines = b""
        self.meter = MeterLog()
        self.first_s = 0.0

    def look(self) -> int:
        """Look once; return how many rows the sink has."""
        pipe = self._client.pipeline(transaction=False)
        pipe.time()
        pipe.zrange(keys.window(NUMBER), 0, -1, withscores=True)
        (seconds, micros), entries = pipe.execute()
        self.meter.look(seconds * 1_000_000 + micros, [(member.decode(), int(score)) for member, score in entries])
        self._lines += self._journal.read()
        if self._lines and not self.first_s:
            self.first_s = time.monotonic()
        return self._lines.count(b"\n")

    def rows(self) -> list[dict[str, Any]]:
        """What the sink wrote down so far, whole lines."""
        return [json.loads(line) for line in self._lines.split(b"\n")[:-1]]

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()


@contextmanager
def sink(journal: Path) -> Iterator[str]:
    """A real sink; gives its address."""
    journal.touch()
    with RunningProcess([sys.executable, "-m", "simulator.sink", "--port", "0", "--journal", journal]) as running:
        yield running.wait_for_line(r"sink ready on (\S+)")[1]


def run(name: str, *, processes: int, rate: float, seconds: float) -> Run:
    """Run one side at one rate and judge it."""
    seconds = max(seconds, LEAST_ROWS / rate)
    side, total = SIDES[name], round(rate * seconds)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running = stack.enter_context(server())
        client = running.client()
        address = stack.enter_context(sink(folder / "journal"))
        command, environ = side.worker(Place(client, running.url, address, rate))
        for _ in range(processes):
            stack.enter_context(process(f"a worker of {name}", command, environ=environ))
        wait_until_ready(name, side.ready, client, processes)
        watch = Watch(client, folder / "journal")
        stack.callback(watch.close)
        meter, sent = (watch.meter, partial(records_sent, client)) if name == "headway" else (None, None)
        follow(watch, side.fill(client, total), total, patience_s=seconds * 1.25 + 2)
        if sent:
            wait_until_settled(client)
        return judged(
            name,
            processes=processes,
            tps=rate,
            rows=total,
            journal=watch.rows(),
            meter=meter,
            sent=sent() if sent else None,
        )


def wait_until_settled(client: redis.Redis) -> None:
    """The sink has a row before its outcome is written down."""
    deadline = time.monotonic() + 10
    while client.hlen(keys.leases(NUMBER)) and time.monotonic() < deadline:
        time.sleep(LOOK_S)


def follow(watch: Watch, fill: Iterator[int], total: int, *, patience_s: float) -> None:
    """Fill and look until all rows are at the sink, or until that long after the first one."""
    watch.look()
    for _ in fill:
        watch.look()
    begun_s = said_s = time.monotonic()
    while (arrived := watch.look()) < total:
        now_s = time.monotonic()
        if now_s - (watch.first_s or begun_s) > patience_s:
            print(f"    cut off: {arrived:,} of {total:,} arrived", flush=True)
            return
        if now_s - said_s >= SAY_S:
            said_s = now_s
            print(f"    {arrived:,} of {total:,} arrived", flush=True)
        time.sleep(LOOK_S)


def main() -> None:
    options = arguments()
    if "bullmq" in options.only:
        install_bullmq()
    runs, failures = [], []
    for rate in options.rates:
        for processes in options.processes:
            for name in options.only:
                title = f"{name} {rate:g}/s, {processes} worker {'process' if processes == 1 else 'processes'}"
                print(f"{title}: sending for about {options.seconds:g} s …", flush=True)
                result = run(name, processes=processes, rate=rate, seconds=options.seconds)
                if not result.sink.total:
                    sys.exit(f"bench: {title} can't run: nothing arrived at the sink")
                runs.append(result)
                problems = broken(result)
                print("    " + ("; ".join(problems) or "every bound kept"), flush=True)
                if name == "headway":
                    failures += [f"{title}: {problem}" for problem in problems]
    print(table(runs))
    if failures:
        sys.exit("bench: " + "\nbench: ".join(failures))


def arguments(args: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=_rates, default=RATES, help="per second, as in 0.2,80 (default 10,20,80,1000)")
    parser.add_argument("--processes", type=_list, default=PROCESSES, help="worker processes (default 1,4)")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each run sends (default %(default)g)")
    parser.add_argument("--only", nargs="+", choices=SIDES, default=tuple(SIDES), help="these sides alone")
    return parser.parse_args(args)


def _rates(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def _list(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    main()
