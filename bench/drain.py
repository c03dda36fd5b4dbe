"""How fast does one worker process drain a lane, beside stock Celery and BullMQ in the same run?

20,000 messages that are sent into nothing, TPS far above reach; meter, begin, settle and record are on. The peers are
Celery 5.7 with its stock Redis transport (threads and prefork, acks_late) and BullMQ (one Node.js process, 100 jobs at
a time), each with a job that does nothing. Exits 1 when a ratio is less than `WANTED`. `--where` says instead where the
time of a message goes (docs/profile-of-a-drain.md).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterable

import redis

from bench._ground import NUMBER, celery_worker, drained, fill_headway, process, records_sent, server
from bench._peers import (
    bullmq_worker,
    fill_bullmq,
    fill_stock,
    install_bullmq,
    left_of_bullmq,
    left_of_stock,
    stock_worker,
)
from bench._where import Watch
from headway import keys

THREADS = ("-P", "threads", "-c", "8")
PREFORK = ("-P", "prefork", "-c", "2")


def stock(client: redis.Redis, url: str, count: int, *pool: str) -> float:
    """Messages a second of stock Celery."""
    client.flushall()
    total = last(fill_stock(client, count))
    with process("stock Celery", stock_worker(*pool), environ={"BENCH_BROKER": url}):
        return drained(client, left_of_stock, total, patience_s=240)


def bullmq(client: redis.Redis, _url: str, count: int, *_: str) -> float:
    """Messages a second of BullMQ."""
    client.flushall()
    total = last(fill_bullmq(client, count))
    with process("BullMQ", bullmq_worker(client)):
        return drained(client, left_of_bullmq, total, patience_s=240)


def headway(client: redis.Redis, url: str, count: int, *pool: str) -> float:
    """Messages a second of Headway: until each has settled, and its record says `sent`."""
    client.flushall()
    total = last(fill_headway(client, count))
    with process("the worker", celery_worker("bench._noop", *pool), environ=unlimited(url)):
        rate = drained(client, left_of_headway, total, patience_s=120)
    sent = records_sent(client)
    if sent != count:
        sys.exit(f"bench: {sent} of {count} records say sent")
    return rate


def unlimited(url: str) -> dict[str, str]:
    """The settings of a worker that no limit holds back: TPS far above reach, and no quota."""
    environ = {"HEADWAY_REDIS_URL": url, "HEADWAY_TPS": "10000000", "HEADWAY_LOG": "json"}
    return {**environ, "HEADWAY_PUSH_PER_MINUTE": "1000000"}


def where(count: int) -> None:
    """Print what a message costs worker and server, from when the first are done."""
    with server() as running:
        client = running.client()
        for name, pool in (("threads", THREADS), ("prefork", PREFORK)):
            client.flushall()
            total = last(fill_headway(client, count))
            with process("the worker", celery_worker("bench._noop", *pool), environ=unlimited(running.url)) as worker:
                while (first := left_of_headway(client)) == total:
                    time.sleep(0.005)
                watch = Watch(client, worker.pid)
                rate = drained(client, left_of_headway, first, patience_s=120)
                print(f"{name}: {rate:,.0f} messages/s", *watch.lines(first), sep="\n", flush=True)


def last(steps: Iterable[int]) -> int:
    """Fill to the end; return how many there are."""
    return max(steps, default=0)


def left_of_headway(client: redis.Redis) -> int:
    return sum(int(client.llen(lane)) for lane in keys.lanes(NUMBER)) + int(client.hlen(keys.leased(NUMBER)))


Measure = Callable[..., float]
#: Who is measured, in this order: side, pool, how, arguments of the pool.
SIDES: tuple[tuple[str, str, Measure, tuple[str, ...]], ...] = (
    ("headway", "threads", headway, THREADS),
    ("headway", "prefork", headway, PREFORK),
    ("celery", "threads", stock, THREADS),
    ("celery", "prefork", stock, PREFORK),
    ("bullmq", "node", bullmq, ()),
)


#: Ratios to reach: ours, theirs, how often at the least.
WANTED = (
    ("headway threads", "celery threads", 20.0),
    ("headway prefork", "celery prefork", 15.0),
    ("headway threads", "bullmq node", 1.5),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="messages of each round (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the median counts (default %(default)s)")
    sides = sorted({side for side, *_ in SIDES})
    parser.add_argument("--only", choices=sides, help="leave the others out, to try something (no verdict)")
    parser.add_argument("--where", action="store_true", help="say where the time of a message goes (no verdict)")
    options = parser.parse_args()
    if options.where:
        where(options.count)
        return
    if options.only in {None, "bullmq"}:
        install_bullmq()
    rates = measured(options.rounds, options.count, options.only)
    for name, values in rates.items():
        print(f"{name:16} median {statistics.median(values):8,.0f} messages/s of {len(values)}")
    if options.only is None:
        verdict(rates)


def measured(rounds: int, count: int, only: str | None) -> dict[str, list[float]]:
    """Messages a second of each side and pool, round by round."""
    rates: dict[str, list[float]] = {}
    with server() as running:
        client = running.client()
        for turn in range(1, rounds + 1):
            for side, pool, measure, arguments in SIDES:
                if only in {None, side}:
                    name = f"{side} {pool}"
                    print(f"round {turn} of {rounds}: {name:16} draining {count:,} messages …", end=" ", flush=True)
                    rate = measure(client, running.url, count, *arguments)
                    rates.setdefault(name, []).append(rate)
                    print(f"{rate:8,.0f} messages/s", flush=True)
    return rates


def verdict(rates: dict[str, list[float]]) -> None:
    """Print the ratios, round by round and their median; exit when one is less than wanted."""
    missed = []
    for ours, theirs, wanted in WANTED:
        ratios = sorted(mine / other for mine, other in zip(rates[ours], rates[theirs], strict=True))
        median = statistics.median(ratios)
        print(f"{ours} / {theirs}: {median:.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f}); wanted {wanted:g}")
        if median < wanted:
            missed.append(f"{ours} is less than {wanted:g} times {theirs}")
    if missed:
        sys.exit("bench: " + "; ".join(missed))


if __name__ == "__main__":
    main()
