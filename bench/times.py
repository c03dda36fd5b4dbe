"""What do a million messages of a later time cost, and how late are those that are due?

`--count` messages (1,000,000) with a `send_at` in the coming months are deferred; `--due` of them are for one moment.
Said are the bytes of each (message, record and place), how long a lease takes beside them, how long calls take while
those of one moment fall due, whether they leave in order, and how late due ones leave beside a real worker. Exits 1
when the p99 of the calls is above `LONGEST_MS`, one overtakes, or the p99 of lateness is above a second.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta

import redis

from bench._ground import NUMBER, TEXT, celery_worker, process, server
from headway import Client, keys
from runtime.scripts import run_all
from scheduler import leases
from scheduler.decisions import Grant, Wait
from scheduler.rules import NumberRules

LONGEST_MS = 50.0
LATE_S = 1.0
BATCH = 10_000
PROBES = 100


def rules() -> NumberRules:
    return NumberRules(
        number=NUMBER,
        tps_milli=10_000_000,
        guard_us=0,
        headroom_ppm=0,
        in_flight=10_000,
        lease_ttl_us=10_000_000,
        order=("urgent", "high", "normal", "bulk"),
    )


def ask(client: redis.Redis, turn: int, *, now_us: int) -> tuple[Grant | Wait, float]:
    """One lease, and how long it took in milliseconds."""
    began = time.perf_counter()
    (reply,) = run_all(client, [leases.lease(rules(), f"L{turn}", "bench", now_us=now_us)])
    took_ms = (time.perf_counter() - began) * 1000
    decision = leases.decision(reply)
    if not isinstance(decision, Grant | Wait):
        sys.exit(f"bench: {decision}")
    return decision, took_ms


def enqueue(client: redis.Redis, ids: list[str], send_at: list[datetime]) -> None:
    rows = [
        {"to": f"1999{int(id_[1:]):08d}", "text": TEXT, "class": "bulk", "send_at": at}
        for id_, at in zip(ids, send_at, strict=True)
    ]
    Client(client).push_many(NUMBER, rows, ids=ids)


def deferred(client: redis.Redis, count: int, due: int, start: datetime) -> float:
    """Put them aside by leases, as a worker does; return bytes of each."""
    before = int(client.info("memory")["used_memory"])
    turn, moment = 0, start + timedelta(hours=1)
    for first in range(0, count, BATCH):
        ids = [f"m{index}" for index in range(first, min(count, first + BATCH))]
        later = [start + timedelta(days=1, seconds=index * 7) for index in range(len(ids))]
        enqueue(client, ids, [moment if int(id_[1:]) < due else at for id_, at in zip(ids, later, strict=True)])
        while client.exists(*keys.lanes(NUMBER)):
            ask(client, -(turn := turn + 1), now_us=int(start.timestamp() * 1e6))
        print(f"\r{first + len(ids):,} deferred", end="", flush=True)
    each = (int(client.info("memory")["used_memory"]) - before) / count
    print(f": {each:,.0f} bytes each")
    return each


def burst(client: redis.Redis, due: int, start: datetime) -> bool:
    """Let those of one moment leave: in order, and no call long."""
    now_us = int((start + timedelta(hours=1)).timestamp() * 1e6)
    idle = [ask(client, 10**9 + n, now_us=now_us - 60_000_000)[1] for n in range(PROBES)]
    left: list[str] = []
    calls: list[float] = []
    while len(left) < due:
        decision, took_ms = ask(client, len(calls), now_us=now_us)
        calls.append(took_ms)
        if isinstance(decision, Grant):
            left += [row.id for row in decision.rows]
        elif decision.until_us:
            now_us = max(now_us, decision.until_us)
        else:
            break
    in_order = left == [f"m{index}" for index in range(due)]
    calls.sort()
    print(
        f"beside them a lease takes {statistics.median(idle):.2f} ms; {due:,} of one moment: {len(calls):,} calls, "
        f"median {calls[len(calls) // 2]:.2f} ms, p99 {calls[int(len(calls) * 0.99)]:.1f} ms, "
        f"longest {calls[-1]:.1f} ms; "
        f"{'in order' if in_order else 'OUT OF ORDER: ' + str(len(left))}"
    )
    return in_order and calls[int(len(calls) * 0.99)] <= LONGEST_MS


def lateness(client: redis.Redis, url: str, count: int) -> bool:
    """A real worker, and messages over some seconds: how long after its time each is begun."""
    other = "15555550101"
    first = datetime.now(UTC) + timedelta(seconds=25)  # the worker must be there by then
    times = {f"t{n}": first + timedelta(milliseconds=100 * n) for n in range(count)}
    rows = [{"to": f"1998{n:07d}", "text": TEXT, "send_at": at} for n, at in enumerate(times.values())]
    Client(client).push_many(other, rows, ids=list(times))
    environ = {"HEADWAY_REDIS_URL": url, "HEADWAY_TPS": "100", "HEADWAY_LOG": "json", "HEADWAY_NUMBERS": other}
    environ["HEADWAY_PUSH_PER_MINUTE"] = "1000000"
    with process("the worker", celery_worker("bench._noop", "-P", "threads", "-c", "4"), environ=environ):
        while datetime.now(UTC) < first + timedelta(milliseconds=100 * count, seconds=5):
            time.sleep(0.5)
    late = []
    for id_, at in times.items():
        begun = client.hget(keys.record(id_), "begun_ms")
        late.append(float("inf") if begun is None else int(begun) / 1000 - at.timestamp())
    late.sort()
    p99 = late[int(len(late) * 0.99)]
    print(f"lateness of {count} beside a worker: median {late[len(late) // 2] * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms")
    return p99 <= LATE_S


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000, help="deferred messages (default %(default)s)")
    parser.add_argument("--due", type=int, default=100_000, help="of them, due at one moment (default %(default)s)")
    parser.add_argument(
        "--late", type=int, default=100, help="messages whose lateness is measured (default %(default)s)"
    )
    options = parser.parse_args()
    start = datetime.now(UTC)
    with server() as running:
        client = running.client()
        deferred(client, options.count, options.due, start)
        good = burst(client, options.due, start)
        good = lateness(client, running.url, options.late) and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
