"""How long does an urgent message wait behind a campaign, and are shares kept?

At 10 messages a second, 200 ms a send, without quota and receipts: urgent messages arrive at random, a tenth of the
TPS, while 2,000 and while 100,000 bulk ones wait. Wanted: p99 of the wait until the send begins of 1.2 / TPS + 50 ms.
The best possible is half an interval in the median and one at the most: 0.05 and 0.10 s. Then four workers: how many
bulk messages began between an urgent one's arrival and its begin, and how far, in points, each class's part of what
left was from its share. Peers in the same run: BullMQ with priorities and a limiter, and Celery with kombu's
priorities, a rate limit and ten threads. Exits 1 when something wanted was missed.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import redis

from bench._ground import NUMBER, ROOT, TEXT, celery_worker, headways_ready, process, server, wait_until_ready
from bench._peers import install_bullmq, peers_ready
from headway import Client, MessageClass

TPS = 10
WANTED_S = 1.2 / TPS + 0.05
SHARES = {"high": 70, "normal": 20, "bulk": 10}
SHARES_TPS = 80
MOST_POINTS = 3.0
SETTLE_S = 3.0


@dataclass(frozen=True, slots=True)
class Run:
    """What one run asks: how many wait, when urgent ones arrive (seconds from its begin), and how many workers."""

    waiting: int
    at: tuple[float, ...]
    workers: int = 1


def arrivals(seconds: float, *, seed: int = 7) -> tuple[float, ...]:
    """When urgent messages arrive: at random, a tenth of the TPS."""
    chance, found, now = random.Random(seed), list[float](), 0.0
    while (now := now + chance.expovariate(TPS / 10)) < seconds:
        found.append(now)
    return tuple(found)


def notes(folder: Path) -> dict[str, float]:
    """When each message began to leave, in seconds since 1970."""
    pairs = (line.split() for file in folder.iterdir() for line in file.read_text("ascii").splitlines())
    return {message_id: int(at_us) / 1e6 for message_id, at_us in pairs}


def environ(url: str, folder: Path, tps: int) -> dict[str, str]:
    """A worker's settings: nothing comes back, and nobody counts requests."""
    return {
        "HEADWAY_REDIS_URL": url,
        "HEADWAY_TPS": str(tps),
        "HEADWAY_RECEIPTS": "none",
        "HEADWAY_PUSH_PER_MINUTE": "1000000",
        "HEADWAY_IN_FLIGHT": "100",
        "HEADWAY_LOG": "json",
        "BENCH_NOTES": str(folder),
    }


def fill(client: Client, count: int, class_: MessageClass, *, first: int = 0) -> list[str]:
    """Put messages on a lane, each to a recipient of its own."""
    ids: list[str] = []
    for start in range(first, first + count, 1000):
        rows = [{"to": f"39333{index:07d}", "text": TEXT} for index in range(start, min(first + count, start + 1000))]
        ids += client.push_many(NUMBER, [row | {"class": class_.value} for row in rows])
    return ids


def headway(run: Run) -> tuple[list[float], int]:
    """Seconds that each urgent message waited; and bulk messages that began while one waited, at the most."""
    with ExitStack() as stack:
        running = stack.enter_context(server())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        client = running.client()
        app = Client(client)
        fill(app, run.waiting, MessageClass.BULK)
        for _ in range(run.workers):
            command = celery_worker("bench._order_worker", "-P", "threads", "-c", "20")
            stack.enter_context(process("the worker", command, environ=environ(running.url, folder, TPS)))
        wait_until_ready("Headway", headways_ready, client, run.workers)
        time.sleep(SETTLE_S)
        began, arrived = time.monotonic(), dict[str, float]()
        for index, second in enumerate(run.at):
            time.sleep(max(0.0, began + second - time.monotonic()))
            now = time.time()
            arrived[app.push(NUMBER, to=f"39444{index:07d}", text=TEXT, class_=MessageClass.URGENT)] = now
        time.sleep(2)
        found = notes(folder)
    if missing := arrived.keys() - found.keys():
        sys.exit(f"bench: {len(missing)} urgent messages never left")
    bulk = sorted(at for message_id, at in found.items() if message_id not in arrived)
    passed = [sum(at < began_at < found[message_id] for began_at in bulk) for message_id, at in arrived.items()]
    return [found[message_id] - at for message_id, at in arrived.items()], max(passed)


def celery(run: Run) -> list[float]:
    """The same of stock Celery, ten threads."""
    with ExitStack() as stack:
        running = stack.enter_context(server())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        client = running.client()
        for start in range(0, run.waiting, 1000):
            envelopes = [envelope(f"bulk{index}", 9) for index in range(start, min(run.waiting, start + 1000))]
            client.lpush("stock\x06\x169", *envelopes)
        settings = {"BENCH_BROKER": running.url, "BENCH_RATE": str(TPS), "BENCH_NOTES": str(folder)}
        command = celery_worker("bench._order_celery", "-Q", "stock", "-P", "threads", "-c", "10")
        stack.enter_context(process("stock Celery", command, environ=settings))
        wait_until_ready("Celery", peers_ready, client, 1)
        time.sleep(SETTLE_S)
        began, arrived = time.monotonic(), dict[str, float]()
        for index, second in enumerate(run.at):
            time.sleep(max(0.0, began + second - time.monotonic()))
            arrived[f"urgent{index}"] = time.time()
            client.lpush("stock", envelope(f"urgent{index}", 0))
        time.sleep(6)
        found = notes(folder)
    return [found[message_id] - at for message_id, at in arrived.items() if message_id in found]


def envelope(task_id: str, priority: int) -> str:
    """A task as `apply_async` writes it."""
    headers = {"lang": "py", "task": "order.send", "id": task_id, "root_id": task_id, "ignore_result": True}
    info = {"exchange": "", "routing_key": "stock"}
    return json.dumps(
        {
            "body": json.dumps([[], {"to": "393330000000", "text": TEXT}, {}]),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": headers,
            "properties": {
                "correlation_id": task_id,
                "delivery_mode": 2,
                "delivery_info": info,
                "priority": priority,
                "body_encoding": "utf-8",
                "delivery_tag": task_id,
            },
        }
    )


def bullmq(run: Run) -> list[float]:
    """The same of BullMQ."""
    with server() as running:
        port = str(running.client().connection_pool.connection_kwargs["port"])
        at = ",".join(f"{second:.3f}" for second in run.at)
        command = ["node", str(ROOT / "bench" / "_order_bullmq.mjs"), "--port", port, "--waiting", str(run.waiting)]
        done = subprocess.run(
            [*command, "--rate", str(TPS), "--at", at], capture_output=True, text=True, check=False, cwd=ROOT / "bench"
        )
    if done.returncode:
        sys.exit(f"bench: BullMQ can't run:\n{done.stderr[-2000:]}")
    return [float(wait) for wait in json.loads(done.stdout)]


def shares(seconds: float, *, workers: int) -> dict[str, float]:
    """The part of what left, in hundredths, of each class: all three have always messages, before four workers."""
    with ExitStack() as stack:
        running = stack.enter_context(server())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        client: redis.Redis = running.client()
        app, of = Client(client), dict[str, str]()
        count = round(SHARES_TPS * (seconds + 20))
        for place, class_ in enumerate(SHARES):
            of |= dict.fromkeys(fill(app, count, MessageClass(class_), first=place * 1_000_000), class_)
        for _ in range(workers):
            command = celery_worker("bench._order_worker", "-P", "threads", "-c", "20")
            stack.enter_context(process("the worker", command, environ=environ(running.url, folder, SHARES_TPS)))
        wait_until_ready("Headway", headways_ready, client, workers)
        time.sleep(seconds)
        left = Counter(of[message_id] for message_id in notes(folder))
    return {class_: 100 * left[class_] / max(1, left.total()) for class_ in SHARES}


def p99(waits: Sequence[float]) -> float:
    return sorted(waits)[max(0, -(-99 * len(waits) // 100) - 1)]


def told(name: str, run: Run, waits: Sequence[float]) -> None:
    print(
        f"{name:9} {run.waiting:7,} waiting, {run.workers} worker(s): urgent waits"
        f" {statistics.median(waits):.3f} s median, {p99(waits):.3f} s p99, {max(waits):.3f} s at the most,"
        f" of {len(waits)}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120, help="how long urgent messages arrive (%(default)s)")
    parser.add_argument("--waiting", default="2000,100000", help="bulk messages that wait (%(default)s)")
    parser.add_argument("--only", choices=["headway", "celery", "bullmq", "shares"], help="leave the others out")
    options = parser.parse_args()
    if options.only in {None, "bullmq"}:
        install_bullmq()
    at, missed = arrivals(options.seconds), list[str]()
    for waiting in map(int, options.waiting.split(",")):
        if options.only in {None, "headway"}:
            missed += waits_of_headway(waiting, at)
        for name, side in (("celery", celery), ("bullmq", bullmq)):
            if options.only in {None, name}:
                told(name, Run(waiting, at), side(Run(waiting, at)))
    if options.only in {None, "shares"}:
        missed += shares_of_headway(min(options.seconds, 30))
    if missed:
        sys.exit("bench: " + "; ".join(missed))


def waits_of_headway(waiting: int, at: tuple[float, ...]) -> list[str]:
    """Print how long urgent messages wait, with one worker and with four; return what was missed."""
    missed = []
    for workers in (1, 4):
        run = Run(waiting, at, workers)
        waits, passed = headway(run)
        told("headway", run, waits)
        print(f"          bulk that began while an urgent one waited: {passed} at the most", flush=True)
        if p99(waits) > WANTED_S:
            missed.append(f"{p99(waits):.3f} s behind {waiting} with {workers} worker(s), not {WANTED_S:.3f}")
    return missed


def shares_of_headway(seconds: float) -> list[str]:
    """Print how what left was shared; return what was missed."""
    found = shares(seconds, workers=4)
    off = max(abs(found[class_] - share) for class_, share in SHARES.items())
    parts = ", ".join(f"{class_} {part:.1f}" for class_, part in found.items())
    print(f"headway   shares with 4 workers at {SHARES_TPS} TPS: {parts}; {off:.1f} points off at the most")
    return [f"shares are {off:.1f} points off"] if off > MOST_POINTS else []


if __name__ == "__main__":
    main()
