"""How fast does one process hand over 10,000 messages, beside Celery and BullMQ in the same run?

Into durable queues: one server for all, its append-only file on (everysec). Ours is `Client.push_many`, every message
checked, from fields and from Message objects that are built in the measured time; it answers when each has its place
and its record. Celery's is `apply_async` of a task, one by one; kombu's is a batch of messages through one producer and
channel; BullMQ's is `addBulk`, 1,000 jobs a call, timed by Node itself. Wanted, as medians of the rounds: 100,000
messages a second, and 6 times BullMQ's. Exits 1 when one is missed.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis
from celery import Celery
from kombu.connection import Connection
from kombu.entity import Queue

from bench._ground import NUMBER, TEXT, server
from bench._peers import add_to_bullmq, install_bullmq
from headway import Client, Message, keys

WANTED, TIMES_BULLMQ = 100_000, 6.0

Enqueue = Callable[[redis.Redis, int], float]


@contextmanager
def timed(found: list[float]) -> Iterator[None]:
    began = time.perf_counter()
    yield
    found.append(time.perf_counter() - began)


def from_fields(client: redis.Redis, count: int) -> float:
    """Messages a second, from what an app reads of its own rows."""
    to_headway, took = Client(client), list[float]()
    rows = [{"to": f"39333{index:07d}", "text": TEXT} for index in range(count)]
    with timed(took):
        ids = to_headway.push_many(NUMBER, rows)
    return accepted(client, ids) / took[0]


def from_messages(client: redis.Redis, count: int) -> float:
    """Messages a second, each built and checked as a Message first."""
    to_headway, took = Client(client), list[float]()
    with timed(took):
        rows = [Message(to=f"39333{index:07d}", text=TEXT) for index in range(count)]
        ids = to_headway.push_many(NUMBER, rows)
    return accepted(client, ids) / took[0]


def accepted(client: redis.Redis, ids: list[str]) -> int:
    """How many there are; ends the bench when one isn't on its lane, or has no record."""
    waiting = sum(int(client.llen(lane)) for lane in keys.lanes(NUMBER))
    records = int(client.exists(*(keys.record(id_) for id_ in ids)))
    if not waiting == records == len(ids):
        sys.exit(f"bench: of {len(ids)} messages {waiting} are on their lanes, {records} have a record")
    return len(ids)


def apply_async(client: redis.Redis, count: int) -> float:
    """Messages a second of Celery's own way."""
    took = list[float]()
    with Celery("publisher", broker=url(client)) as app:

        @app.task(name="stock.noop", ignore_result=True)  # type: ignore[untyped-decorator]  # celery has no types
        def task(to: str, text: str) -> None:
            raise NotImplementedError

        task.apply_async(kwargs={"to": "0", "text": TEXT}, queue="stock")
        with timed(took):
            for index in range(count):
                task.apply_async(kwargs={"to": f"39333{index:07d}", "text": TEXT}, queue="stock")
    return taken(client, count + 1) / took[0]


def kombu_batch(client: redis.Redis, count: int) -> float:
    """Messages a second through one producer, without what Celery adds to each."""
    took = list[float]()
    with Connection(url(client)) as connection, connection.Producer(serializer="json") as producer:
        queue = Queue("stock")
        producer.publish([[], {"to": "0", "text": TEXT}, {}], routing_key="stock", declare=[queue])
        with timed(took):
            for index in range(count):
                producer.publish([[], {"to": f"39333{index:07d}", "text": TEXT}, {}], routing_key="stock")
    return taken(client, count + 1) / took[0]


def add_bulk(client: redis.Redis, count: int) -> float:
    """Messages a second of BullMQ's batches."""
    return count / add_to_bullmq(client, count)


def taken(client: redis.Redis, count: int) -> int:
    if (found := int(client.llen("stock"))) != count:
        sys.exit(f"bench: {found} of {count} messages are on the stock queue")
    return count


def url(client: redis.Redis) -> str:
    return f"redis://127.0.0.1:{client.connection_pool.connection_kwargs['port']}/0"


SIDES: dict[str, Enqueue] = {
    "headway, from fields": from_fields,
    "headway, from Messages": from_messages,
    "celery apply_async": apply_async,
    "kombu batch": kombu_batch,
    "bullmq addBulk": add_bulk,
}
OURS, BULLMQ = "headway, from fields", "bullmq addBulk"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="messages of each round (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the median counts (default %(default)s)")
    parser.add_argument("--only", default="", help="sides whose name has this in it (no verdict)")
    options = parser.parse_args()
    if options.only in BULLMQ:
        try:
            install_bullmq()
        except (OSError, subprocess.SubprocessError) as error:
            sys.exit(f"bench: the peer BullMQ can't run: {error}")
    sides = {name: measure for name, measure in SIDES.items() if options.only in name}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    with server() as running:
        client = running.client()
        for _ in range(options.rounds + 1):
            for name, measure in sides.items():
                client.flushall()
                rates[name].append(measure(client, options.count))
    medians = {name: statistics.median(found[1:]) for name, found in rates.items()}  # the first one warms up
    for name, rate in medians.items():
        print(f"{name:24} {rate:9,.0f} messages/s  ({min(rates[name][1:]):,.0f} to {max(rates[name][1:]):,.0f})")
    if not options.only:
        verdict(medians)


def verdict(medians: dict[str, float]) -> None:
    """Print the ratios; exit when one is less than wanted."""
    for name in (one for one in SIDES if not one.startswith("headway")):
        print(f"{OURS} / {name}: {medians[OURS] / medians[name]:.1f}")
    missed = []
    if medians[OURS] < WANTED:
        missed.append(f"wanted {WANTED:,} messages a second")
    if medians[OURS] < TIMES_BULLMQ * medians[BULLMQ]:
        missed.append(f"wanted {TIMES_BULLMQ:g} times {BULLMQ}")
    if missed:
        sys.exit("bench: " + "; ".join(missed))


if __name__ == "__main__":
    main()
