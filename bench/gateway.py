"""How fast does one gateway process take pushes and webhooks, beside a bare endpoint in the same run?

Webhooks over 64 connections: receipts of messages that are ours, inbound messages, some repeated; each is counted,
deduplicated and matched before its 200, which the server's own state proves at the end. Single pushes over 64
connections, and pushes of 10,000 rows one after the other: accepted when they are on their lanes. The peer is a
Starlette endpoint that reads the JSON and does one INCR. Server, gateway and load are processes of their own on this
machine. Wanted, as medians of the rounds: webhooks 6,000 a second with p99 under 25 ms, single pushes 3,000 a second, a
push of 10,000 rows in 0.2 s. Exits 1 when one is missed, and at once when an answer is wrong.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis

from bench._ground import NUMBER, ROOT, process, server
from headway import keys
from scheduler import meter
from tests.harness.servers import free_port

CONNECTIONS = 64
TOKEN = "bench"  # noqa: S105  of a server that ends with the bench
WEBHOOKS, P99_MS, PUSHES, LARGE_MS = 6000, 25, 3000, 200
LARGE_ROWS = 10_000

Load = dict[str, Any]


def webhooks(count: int) -> list[dict[str, Any]]:
    """Of ten: four delivered and four read receipts of four messages, one inbound message, and a repetition."""
    found: list[dict[str, Any]] = []
    for ten in range(count // 10):
        for index in range(4):
            message = ten * 4 + index
            row = {"push_id": 1, "msg_id": 5_000_000 + message, "number": f"39333{message:07d}", "error_message": ""}
            row |= {"reference_number": str(message), "channel_id": 121}
            found += [{"project_id": 27, "event_id": 1, "data": [{**row, "status": status}]} for status in (1, 3)]
        found.append(
            {"number": "393331234567", "message-in": "Hello", "message_in_raw": "Hello", "type": 1, "application": 121,
             "unique-id": str(751_403_635 + ten), "project-id": 27, "direction": 0, "name": "E"}
        )  # fmt: skip
        found.append(found[-1] if ten % 2 else found[-2])
    return found


def push(rows: int, serial: int = 0) -> dict[str, Any]:
    data = [{"number": f"39333{(serial + row) % 10_000_000:07d}", "message": "x" * 120} for row in range(rows)]
    return {"token": TOKEN, "application": "121", "globalmessage": "", "data": data}


@contextmanager
def gateway(url: str) -> Iterator[str]:
    port = free_port()
    environ = {
        "HEADWAY_REDIS_URL": url, "HEADWAY_NUMBERS": NUMBER, "HEADWAY_API_TOKENS": TOKEN, "HEADWAY_LOG": "json",
        "HEADWAY_APPLICATION": "121", "HEADWAY_WEBHOOK_KEY": "k", "HEADWAY_TPS": "1000",
    }  # fmt: skip
    with process("gateway", [sys.executable, "-m", "gateway.serve", "--port", str(port)], environ=environ):
        answering(f"http://127.0.0.1:{port}/healthz")
        yield f"http://127.0.0.1:{port}"


@contextmanager
def peer(url: str) -> Iterator[str]:
    port = free_port()
    environ = {"BENCH_REDIS": url, "BENCH_PORT": str(port)}
    with process("peer", [sys.executable, "bench/_http_peer.py"], environ=environ):
        answering(f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{port}"


def answering(url: str) -> None:
    """Wait until a server answers anything at all."""
    for _ in range(400):
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310  loopback
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    sys.exit(f"bench: nobody answers at {url}")


def load(url: str, bodies: Sequence[dict[str, Any]], *, connections: int = CONNECTIONS) -> Load:
    """Let a process of its own send them; each must be answered 200."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(body) + "\n" for body in bodies)
        file.flush()
        command = [sys.executable, "bench/_http_load.py", url, file.name, str(connections)]
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    if said.returncode:
        sys.exit(f"bench: the load ended by itself:\n{said.stderr[-4000:]}")
    result: Load = json.loads(said.stdout)
    if result["statuses"] != {"200": len(bodies)}:
        sys.exit(f"bench: {len(bodies)} requests were answered {result['statuses']}")
    return result


def measure_webhooks(client: redis.Redis, base: str, count: int) -> Load:
    client.flushall()
    messages = count // 10 * 4
    with client.pipeline(transaction=False) as pipe:
        for message in range(messages):
            record = ["state", "sent", "number", NUMBER, "class", "bulk", "push", "1", "attempts", "1"]
            pipe.hset(keys.record(str(message)), items=record)
            pipe.expire(keys.record(str(message)), 3600)
            if message % 1000 == 0:
                pipe.execute()
        pipe.execute()
    result = load(f"{base}/webhooks/picky/{NUMBER}?key=k", webhooks(count))
    spent = meter.spent(client, NUMBER)
    if (spent.inbound, spent.delivered, spent.read) != (count // 10, messages, messages):
        sys.exit(f"bench: of {count} webhooks the meter says {spent}")
    read = sum(client.hget(keys.record(str(message)), "state") == b"read" for message in range(messages))
    if read != messages:
        sys.exit(f"bench: {read} of {messages} records say read")
    return result


def measure_peer(client: redis.Redis, base: str, count: int) -> Load:
    client.flushall()
    result = load(f"{base}/hook", webhooks(count))
    counted = sum(int(value or 0) for value in client.mget("event", "inbound"))
    if counted != count:
        sys.exit(f"bench: the peer counted {counted} of {count}")
    return result


def measure_pushes(client: redis.Redis, base: str, count: int) -> Load:
    client.flushall()
    result = load(f"{base}/api/v2/push", [push(1, serial) for serial in range(count)])
    accepted(client, count)
    return result


def measure_large(client: redis.Redis, base: str, count: int) -> Load:
    client.flushall()
    result = load(f"{base}/api/v2/push", [push(LARGE_ROWS) for _ in range(count)], connections=1)
    accepted(client, count * LARGE_ROWS)
    return result


def accepted(client: redis.Redis, rows: int) -> None:
    found = sum(int(client.llen(lane)) for lane in keys.lanes(NUMBER))
    if found != rows:
        sys.exit(f"bench: {found} of {rows} rows are on their lanes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--webhooks", type=int, default=30_000, help="of each round (default %(default)s)")
    parser.add_argument("--pushes", type=int, default=10_000, help="single ones, of each round (default %(default)s)")
    parser.add_argument("--large", type=int, default=5, help="of 10,000 rows, of each round (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="the median counts (default %(default)s)")
    options = parser.parse_args()
    sides: dict[str, tuple[Callable[[redis.Redis, str, int], Load], int]] = {
        "webhooks": (measure_webhooks, options.webhooks // 10 * 10),
        "bare endpoint": (measure_peer, options.webhooks // 10 * 10),
        "single pushes": (measure_pushes, options.pushes),
        "large pushes": (measure_large, options.large),
    }
    found: dict[str, list[Load]] = {name: [] for name in sides}
    with server() as running, gateway(running.url) as ours, peer(running.url) as theirs:
        client = running.client()
        for turn in range(1, options.rounds + 1):
            for name, (measure, count) in sides.items():
                if count:
                    print(f"round {turn} of {options.rounds}: {count:,} {name} …", end=" ", flush=True)
                    found[name].append(measure(client, theirs if name == "bare endpoint" else ours, count))
                    print(line(found[name][-1]), flush=True)
    verdict({name: median(loads) for name, loads in found.items() if loads})


def line(load: Load) -> str:
    return (
        f"{load['rate']:8,.0f} a second, median {load['p50_ms']:6.1f} ms, "
        f"p99 {load['p99_ms']:6.1f} ms, slowest {load['max_ms']:6.1f} ms"
    )


def median(loads: Sequence[Load]) -> Load:
    names = ("rate", "p50_ms", "p99_ms", "max_ms")
    return {name: statistics.median(load[name] for load in loads) for name in names}


def verdict(medians: dict[str, Load]) -> None:
    missed = []
    for name, figures in medians.items():
        print(f"{name:14} {line(figures)}")
    if "webhooks" in medians:
        hooks = medians["webhooks"]
        print(f"webhooks / bare endpoint: {hooks['rate'] / medians['bare endpoint']['rate']:.2f}")
        if hooks["rate"] < WEBHOOKS or hooks["p99_ms"] > P99_MS:
            missed.append(f"webhooks: wanted {WEBHOOKS:,} a second with p99 under {P99_MS} ms")
    if "single pushes" in medians and medians["single pushes"]["rate"] < PUSHES:
        missed.append(f"single pushes: wanted {PUSHES:,} a second")
    if "large pushes" in medians and medians["large pushes"]["p50_ms"] > LARGE_MS:
        missed.append(f"a push of {LARGE_ROWS:,} rows: wanted in {LARGE_MS} ms")
    if missed:
        sys.exit("bench: " + "; ".join(missed))


if __name__ == "__main__":
    main()
