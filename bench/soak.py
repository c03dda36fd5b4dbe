"""Does memory stay flat over a day, and when a million messages wait?

Three parts. *day*: the messages of a day, in laps, through a gateway, a worker and a simulated number with receipts and
inbound messages, as fast as they go. After each lap what has a time to live is removed, as time would do it; what is
left is compared, lap by lap: the server's `used_memory`, the resident memory of worker and gateway. *waiting*: messages
of 120 characters are pushed to a number that stands still, beside a worker that serves it. *webhooks*: very many of
them, doubled, late, out of order and of unknown ids, through one gateway. Wanted, else exit 1:
  - day: from the second lap on nothing grows by more than 5 % (and 4 MB), and no key without a time to live stays,
  - waiting: at most 0.8 KB (819 bytes) each in the server, records included; the worker grows by less than 8 MB,
  - webhooks: each is answered 200 and counted once, all reach the app, no claim is left, nothing grows as by day.
`--full` is 345,600 messages (a day of 4 sends a second, all that 10 TPS leave beside receipts), 1,000,000 that wait and
1,000,000 webhooks.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from bench._chaos_house import simulator
from bench._ground import NUMBER, celery_worker, fill_headway, headways_ready, process, server, wait_until_ready
from bench._soak_figures import MB, grown, soaked
from bench._soak_webhooks import flood
from headway import keys
from scheduler import control
from tests.harness.servers import ThrowawayServer, free_port

PARTS = ("day", "waiting", "webhooks")
FULL_DAY, FULL_WAITING, FULL_WEBHOOKS = 345_600, 1_000_000, 1_000_000
BYTES_EACH, WORKER_MAY_GROW = 819, 8 * MB
LAP_PATIENCE_S, REST_S = 600.0, 4.0
KEY = "soak"

#: What everything takes, in bytes; and `keys`: how many have no time to live.
Sizes = dict[str, int]


@dataclass(frozen=True, slots=True)
class Place:
    """What a day runs on: the server, and the ids of worker and gateway."""

    client: redis.Redis
    worker: int
    gateway: int


def resident(pid: int) -> int:
    """Return the resident bytes of a process and its children."""
    files = Path(f"/proc/{pid}/task").glob("*/children")
    pids = [pid, *(int(child) for file in files for child in file.read_text(encoding="ascii").split())]
    return sum(int(Path(f"/proc/{one}/statm").read_text(encoding="ascii").split()[1]) * 4096 for one in pids)


def environ(url: str, sink: str, *, tps: int) -> dict[str, str]:
    return {
        "HEADWAY_REDIS_URL": url,
        "HEADWAY_NUMBERS": NUMBER,
        "HEADWAY_TPS": str(tps),
        "HEADWAY_PUSH_PER_MINUTE": "1000000",
        "HEADWAY_PROVIDER_URL": sink,
        "HEADWAY_PROVIDER_TOKEN": "bench",
        "HEADWAY_API_TOKENS": "bench",
        "HEADWAY_WEBHOOK_KEY": KEY,
        "HEADWAY_LOG": "json",
    }


@contextmanager
def place(tps: int) -> Iterator[Place]:
    """Start everything."""
    with ExitStack() as stack:
        running: ThrowawayServer = stack.enter_context(server())
        port = free_port()
        hook = f"http://127.0.0.1:{port}/webhooks/picky/{NUMBER}"
        quick = ("--delivered-after", "0.2", "--read-after", "0.4", "--inbound", "20", "--retries", "1,1,2")
        sink = stack.enter_context(
            simulator("--webhook", hook, "--key", KEY, "--application", NUMBER, *quick, latency_ms=5)
        )
        told = environ(running.url, sink, tps=tps)
        command = [sys.executable, "-m", "gateway.serve", "--port", str(port)]
        gateway = stack.enter_context(process("the gateway", command, environ=told))
        command = celery_worker("worker.app", "-P", "threads", "-c", "8")
        worker = stack.enter_context(process("the worker", command, environ=told))
        client = running.client()
        wait_until_ready("headway", headways_ready, client, 1)
        yield Place(client, worker.pid, gateway.pid)


def day(messages: int, laps: int) -> list[str]:
    """Live through the messages of a day; return what grew."""
    seen: list[Sizes] = []
    with place(5000) as there:
        for lap in range(1, laps + 1):
            began_s = time.monotonic()
            for _ in fill_headway(there.client, messages // laps):
                pass
            wait_until_drained(there.client)
            rate = messages // laps / (time.monotonic() - began_s)
            time.sleep(REST_S)  # the last receipts
            seen.append(sizes(there.client, {"worker": there.worker, "gateway": there.gateway}))
            print(f"lap {lap} of {laps}: {rate:,.0f} messages/s; {told(seen[-1])}", flush=True)
    return soaked(seen)


def webhooks(count: int, laps: int) -> list[str]:
    """Take very many webhooks; return what isn't as it should be."""
    seen: list[Sizes] = []
    wrong: list[str] = []
    for lap, found in enumerate(flood(count, laps), start=1):
        wrong += [f"lap {lap}: {problem}" for problem in found.wrong]
        seen.append(sizes(found.client, {"gateway": found.gateway}))
        rate, p99_ms = found.load["rate"], found.load["p99_ms"]
        print(f"lap {lap} of {laps}: {rate:,.0f} webhooks/s, p99 {p99_ms:.0f} ms; {told(seen[-1])}", flush=True)
    return wrong + soaked(seen)


def sizes(client: redis.Redis, processes: Mapping[str, int]) -> Sizes:
    """Forget what has a time to live, and return what everything takes then; `processes` by name."""
    finished = int(client.info("memory")["used_memory"])
    forget_what_expires(client)
    client.memory_purge()
    time.sleep(1)
    space = client.info("keyspace")["db0"]
    return {
        "server": int(client.info("memory")["used_memory"]),
        "server before": finished,
        **{name: resident(pid) for name, pid in processes.items()},
        "keys": int(space["keys"]) - int(space.get("expires", 0)),  # webhooks go on meanwhile
    }


def told(found: Sizes) -> str:
    said = ", ".join(f"{name} {size / MB:.1f}" for name, size in found.items() if name != "keys")
    return f"MB: {said}; keys {found['keys']}"


def wait_until_drained(client: redis.Redis) -> None:
    """Wait until nothing waits and nothing is leased; exits when that takes too long."""
    deadline_s = time.monotonic() + LAP_PATIENCE_S
    while any(client.llen(lane) for lane in keys.lanes(NUMBER)) or client.hlen(keys.leases(NUMBER)):
        if time.monotonic() > deadline_s:
            sys.exit(f"bench: a lap wasn't done after {LAP_PATIENCE_S:.0f} s")
        time.sleep(0.1)


def forget_what_expires(client: redis.Redis) -> None:
    """Remove every key with a time to live: that time has passed."""
    names = list(client.scan_iter(count=5000))
    for start in range(0, len(names), 5000):
        chunk = names[start : start + 5000]
        pipe = client.pipeline(transaction=False)
        for name in chunk:
            pipe.pttl(name)
        over = [name for name, pttl_ms in zip(chunk, pipe.execute(), strict=True) if pttl_ms >= 0]
        if over:
            client.unlink(*over)


def waiting(count: int) -> list[str]:
    """Let messages wait; return what takes too much."""
    with place(5000) as there:
        control.pause(there.client, NUMBER, by="the bench", where="bench")
        time.sleep(REST_S)
        server_bytes, worker_bytes = int(there.client.info("memory")["used_memory"]), resident(there.worker)
        said_s = time.monotonic()
        for done in fill_headway(there.client, count):
            if time.monotonic() - said_s > 15:
                said_s = time.monotonic()
                print(f"    {done:,} of {count:,} wait", flush=True)
        time.sleep(REST_S)
        each = (int(there.client.info("memory")["used_memory"]) - server_bytes) / count
        more = resident(there.worker) - worker_bytes
    print(f"waiting: {count:,} messages, {each:,.0f} bytes each; the worker grew by {more / MB:.1f} MB", flush=True)
    said = [f"{each:,.0f} bytes a waiting message, wanted {BYTES_EACH}"] if each > BYTES_EACH else []
    return said + ([f"the worker grew by {more / MB:.1f} MB"] if grown(more, WORKER_MAY_GROW) else [])


def main() -> None:
    options = arguments()
    parts: dict[str, Callable[[], list[str]]] = {
        "day": lambda: day(options.messages, options.laps),
        "waiting": lambda: waiting(options.waiting),
        "webhooks": lambda: webhooks(options.webhooks, options.webhook_laps),
    }
    broken = [f"{part}: {problem}" for part in options.only for problem in parts[part]()]
    if broken:
        sys.exit("bench: " + "\nbench: ".join(broken))
    print("memory is flat")


def arguments(args: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=60_000, help="messages of the day (default %(default)s)")
    parser.add_argument("--laps", type=int, default=6, help="laps of the day (default %(default)s)")
    parser.add_argument("--waiting", type=int, default=200_000, help="messages that wait (default %(default)s)")
    parser.add_argument("--webhooks", type=int, default=60_000, help="webhooks in all (default %(default)s)")
    parser.add_argument("--webhook-laps", type=int, default=6, help="laps of the webhooks (default %(default)s)")
    parser.add_argument("--full", action="store_true", help="a whole day, a million that wait, a million webhooks")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts alone")
    options = parser.parse_args(args)
    if options.full:
        options.messages, options.laps, options.waiting = FULL_DAY, 12, FULL_WAITING
        options.webhooks, options.webhook_laps = FULL_WEBHOOKS, 10
    return options


if __name__ == "__main__":
    main()
