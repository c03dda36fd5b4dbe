"""How fast does one worker process drain a lane, beside stock Celery in the same run?

20,000 messages that are sent into nothing, TPS far above reach; meter, begin, settle and record are on. The peer is
Celery 5.7 with its stock Redis transport, threads and prefork, acks_late, a task that does nothing. Wanted: at least ten
times stock Celery on threads. Exits 1 when it is less.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import uuid
from collections.abc import Callable

import redis
from _ground import drained, server, worker

from headway import Client, Message, keys

NUMBER = "15555550100"
TEXT = "x" * 120


def fill_stock(client: redis.Redis, count: int) -> None:
    """Put ready-made envelopes on the queue: publishing isn't what is measured."""
    with client.pipeline(transaction=False) as pipe:
        for index in range(count):
            pipe.lpush("stock", stock_envelope(index))
        pipe.execute()


def stock_envelope(index: int) -> str:
    task_id = str(uuid.uuid4())
    body = json.dumps([[], {"to": f"39333{index:07d}", "text": TEXT}, {}])
    return json.dumps({
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": "stock.noop", "id": task_id, "root_id": task_id, "ignore_result": True},
        "properties": {
            "correlation_id": task_id,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "stock"},
            "priority": 0,
            "body_encoding": "utf-8",
            "delivery_tag": task_id,
        },
    })


def fill_headway(client: redis.Redis, count: int) -> None:
    messages = [Message(to=f"39333{index:07d}", text=TEXT) for index in range(count)]
    Client(client).push_many(NUMBER, messages)


def stock(client: redis.Redis, url: str, count: int, *pool: str) -> float:
    """Messages a second of stock Celery."""
    client.flushall()
    fill_stock(client, count)
    with worker("bench._stock", "-Q", "stock", *pool, environ={"BENCH_BROKER": url}):
        return drained(client, lambda c: int(c.llen("stock")) + int(c.hlen("unacked")), count, patience_s=240)


def headway(client: redis.Redis, url: str, count: int, *pool: str) -> float:
    """Messages a second of Headway: until each has settled, and its record says `sent`."""
    client.flushall()
    fill_headway(client, count)

    def left(c: redis.Redis) -> int:
        return sum(int(c.llen(lane)) for lane in keys.lanes(NUMBER)) + int(c.hlen(keys.leased(NUMBER)))

    environ = {"HEADWAY_REDIS_URL": url, "HEADWAY_TPS": "10000000", "HEADWAY_LOG": "json"}
    with worker("bench._noop", *pool, environ=environ):
        rate = drained(client, left, count, patience_s=120)
    sent = sum(client.hget(key, "state") == b"sent" for key in client.scan_iter("headway:message:*", count=1000))
    if sent != count:
        sys.exit(f"bench: {sent} of {count} records say sent")
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("headway",), help="leave the peer out, to try something (no verdict)")
    options = parser.parse_args()
    pools = {"threads": ("-P", "threads", "-c", "8"), "prefork": ("-P", "prefork", "-c", "2")}
    rates: dict[str, list[float]] = {}
    sides: dict[str, Callable[..., float]] = {"headway": headway, "stock": stock}
    with server() as running:
        client = running.client()
        for turn in range(options.rounds):
            for side, measure in sides.items():
                if options.only in {None, side}:
                    for pool, arguments in pools.items():
                        rate = measure(client, running.url, options.count, *arguments)
                        rates.setdefault(f"{side} {pool}", []).append(rate)
                        print(f"round {turn + 1}: {side:7} {pool:7} {rate:8,.0f} messages/s", flush=True)
    for name, values in rates.items():
        print(f"{name:16} median {statistics.median(values):8,.0f} messages/s of {len(values)}")
    if options.only is None:
        verdict(rates)


def verdict(rates: dict[str, list[float]]) -> None:
    pairs = zip(rates["headway threads"], rates["stock threads"], strict=True)
    ratios = sorted(ours / theirs for ours, theirs in pairs)
    prefork = statistics.median(rates["headway prefork"]) / statistics.median(rates["stock prefork"])
    print(f"headway / stock, threads: {statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f}); wanted 10")
    print(f"headway / stock, prefork: {prefork:.1f}")
    if statistics.median(ratios) < 10:
        sys.exit("bench: less than ten times stock Celery")


if __name__ == "__main__":
    main()
