"""What does the meter cost, and does a limit that several processes share hold?

Cost: one lease and one count on loopback, with 10 to 1,000,000 messages waiting; counts in bulk.
Limit: 10, 80 and 1,000 a second shared by 4 worker processes, which run messages that do nothing as fast as they may.
Headway's is the production path: real `celery worker` processes, meter, begin, settle and record on; in the same run
BullMQ's limiter, Celery's `rate_limit` (a process has its share of the limit), the libraries `limits` and throttled-py
in a Celery task that retries, and dramatiq's window limiter. A standing backlog, a few seconds to settle in, then
--seconds are measured. Wanted of Headway, else the bench exits 1:
  - a lease's p99 is below 1 ms, its median flat over the backlog; at least 50,000 events a second are counted in bulk,
  - the meter's own record never holds more than the limit in any trailing second,
  - at least 98 % of the limit is reached,
  - workers and server use less CPU for a message than BullMQ's, at each rate.
The peers decide nothing else, but one that can't run fails the bench. All of it takes about 8 minutes.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import redis

from bench._figures import MeterLog
from bench._ground import NUMBER, process, server, wait_until_ready
from bench._meter_cost import costs, fill
from bench._meter_cpu import cpu_s
from bench._meter_figures import Cost, Shared, cost_problems, cost_table, shared, shared_problems, shared_table
from bench._meter_notes import noted
from bench._meter_sides import SIDES, Place, Side, install_peers
from bench._peers import install_bullmq
from headway import keys

WAITING, RATES = (10, 1_000, 100_000, 1_000_000), (10, 80, 1000)
#: Looks cost the server time that is counted as Headway's: as few as prove something.
SETTLE_IN_S, LOOK_S = 3.0, 0.4
#: Seconds' worth of messages beyond those of the run itself, for filling and a busy machine.
SPARE_S = 8.0


def measured_costs(sizes: Sequence[int]) -> list[Cost]:
    """What calls cost with each number of messages waiting."""
    found = []
    # Rewriting the file behind a million messages' back would be measured too.
    with server("any", **{"auto-aof-rewrite-percentage": "0"}) as running:
        client = running.client()
        for size in sorted(sizes):
            print(f"cost with {size:,} messages waiting: filling …", end=" ", flush=True)
            for _ in fill(client, size):
                pass
            print("measuring …", end=" ", flush=True)
            found += costs(client, size)
            print("done", flush=True)
    return found


def look(client: redis.Redis, meter: MeterLog) -> None:
    """Look at the meter's window once."""
    pipe = client.pipeline(transaction=False)
    pipe.time()
    pipe.zrange(keys.window(NUMBER), 0, -1, withscores=True)
    (seconds, micros), entries = pipe.execute()
    meter.look(seconds * 1_000_000 + micros, [(member.decode(), int(score)) for member, score in entries])


def rest(seconds: float, client: redis.Redis, meter: MeterLog | None) -> None:
    """Let that much time pass; look at the meter now and then, where there is one."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if meter is not None:
            look(client, meter)
        time.sleep(min(left, LOOK_S))


def run(name: str, *, rate: int, processes: int, seconds: float) -> Shared:
    """Run one side at one rate: start, fill, settle in, measure."""
    side, total = SIDES[name], round(rate * (SETTLE_IN_S + seconds + SPARE_S))
    with ExitStack() as stack:
        notes = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running = stack.enter_context(server())
        client = running.client()
        place = Place(client, running.url, notes, rate, processes)
        workers = [
            stack.enter_context(
                process(f"a worker of {name}", command, environ=side.environ(place), grace_s=side.grace_s)
            ).pid
            for command in side.commands(place)
        ]
        wait_until_ready(name, side.ready, client, processes)
        meter = MeterLog() if name == "headway" else None
        fill_and_settle_in(side, client, total, meter)
        began_us, workers_s, server_s = time.time_ns() // 1000, cpu_s(workers), cpu_s([running.pid or 0])
        rest(seconds, client, meter)
        ended_us, workers_s, server_s = (
            time.time_ns() // 1000, cpu_s(workers) - workers_s, cpu_s([running.pid or 0]) - server_s,
        )  # fmt: skip
        # Notes first: what ran by then had been charged when the meter is looked at last.
        noted_us = noted(notes)
        if meter is not None:
            look(client, meter)
    try:
        return shared(
            name, rate=rate, noted_us=noted_us, measured_us=(began_us, ended_us), workers_s=workers_s,
            server_s=server_s, waiting=total, meter=meter,
        )  # fmt: skip
    except ValueError as error:
        sys.exit(f"bench: a peer can't run: {error}" if meter is None else f"bench: {error}")


def fill_and_settle_in(side: Side, client: redis.Redis, total: int, meter: MeterLog | None) -> None:
    """Fill the queue while the workers run already, and let the start's bursts and pauses pass."""
    for _ in side.fill(client, total):
        if meter is not None:
            look(client, meter)
    rest(SETTLE_IN_S, client, meter)


def limits(options: argparse.Namespace) -> tuple[list[Shared], list[str]]:
    """Run all sides at all rates; return the runs and what Headway missed."""
    runs: list[Shared] = []
    problems = []
    for rate in options.rates:
        of_rate = {}
        for name in options.only:
            print(f"{rate:,}/s, {options.processes} processes: {name:18} …", end=" ", flush=True)
            one = of_rate[name] = run(name, rate=rate, processes=options.processes, seconds=options.seconds)
            print(
                f"{one.done:6,} ran, at most {one.worst:5,} in a second, {one.cpu_s:6.2f} CPU s per 1,000", flush=True
            )
        runs += of_rate.values()
        if "headway" in of_rate:
            problems += shared_problems(of_rate["headway"], bullmq=of_rate.get("bullmq"))
    return runs, problems


def main() -> None:
    options = arguments()
    problems = []
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > cores / 2:
        print(f"others use this machine (load {load:.1f} on {cores} cores): times mean little", flush=True)
    if "limit" in options.parts:
        if not Path("/proc/self/stat").is_file():
            sys.exit("bench: CPU is read from /proc: run it on Linux, or the costs alone with --parts cost")
        if "bullmq" in options.only:
            install_bullmq()
        if set(options.only) - {"headway", "bullmq"}:
            install_peers()
    if "cost" in options.parts:
        found = measured_costs(options.waiting)
        print(cost_table(found))
        problems += cost_problems(found)
    if "limit" in options.parts:
        runs, missed = limits(options)
        print(shared_table(runs))
        problems += missed
    if problems:
        sys.exit("bench: " + "\nbench: ".join(problems))
    print("every bound kept")


def arguments(args: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=("cost", "limit"), default=("cost", "limit"), help="these alone")
    parser.add_argument("--waiting", type=_list, default=WAITING, help="backlogs of the costs, as in 10,1000")
    parser.add_argument("--rates", type=_list, default=RATES, help="limits a second (default 10,80,1000)")
    parser.add_argument("--processes", type=int, default=4, help="worker processes (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=12.0, help="measured of each run (default %(default)g)")
    parser.add_argument("--only", nargs="+", choices=SIDES, default=tuple(SIDES), help="these sides alone")
    return parser.parse_args(args)


def _list(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    main()
