"""What every bench stands on: a throwaway server, processes that end with it, and how fast a queue drains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis

from headway import Client, Message, keys
from tests.harness.servers import Engine, ThrowawayServer, find_binary

ROOT = Path(__file__).resolve().parent.parent
NUMBER = "15555550100"
TEXT = "x" * 120
READY_S = 60.0


@contextmanager
def server(engine: Engine = "any", **options: str) -> Iterator[ThrowawayServer]:
    """A server of the bench's own, with its append-only file on, as in production."""
    binary = find_binary(engine)
    if binary is None:
        sys.exit("bench: no Redis or Valkey server found: run `make setup`")
    with tempfile.TemporaryDirectory() as directory:
        durable = {"appendonly": "yes", "appendfsync": "everysec", **options}
        running = ThrowawayServer(binary, directory=Path(directory), options=durable)
        running.start()
        try:
            yield running
        finally:
            running.stop()


@contextmanager
def process(
    what: str, command: Sequence[str], *, environ: Mapping[str, str] | None = None, grace_s: float = 20.0
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs as long as the block, quiet; ended with SIGTERM. One that ends by itself ends the bench.

    What has not ended `grace_s` later is killed, with whatever it started.
    """
    # Settings of whoever started the bench would change what is measured.
    ours = {name: value for name, value in os.environ.items() if not name.startswith("HEADWAY_")}
    ours |= {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", **(environ or {})}
    with tempfile.TemporaryFile() as log:
        running = subprocess.Popen(
            command, cwd=ROOT, env=ours, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield running
        finally:
            failed = running.poll() is not None
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(timeout=grace_s)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()
            if failed:
                log.seek(0)
                sys.exit(f"bench: {what} ended by itself:\n" + log.read().decode(errors="replace")[-4000:])


def celery_worker(app: str, *arguments: str) -> list[str]:
    """The command of a real `celery worker`."""
    return [sys.executable, "-m", "celery", "-A", app, "worker", "--without-mingle", "--without-gossip", *arguments]


def headways_ready(client: redis.Redis) -> int:
    """How many workers are: each declares its TPS then; one more field holds the lowest of all."""
    return max(0, int(client.hlen(keys.declared(NUMBER))) - 1)


def wait_until_ready(name: str, ready: Callable[[redis.Redis], int], client: redis.Redis, processes: int) -> None:
    """Wait until so many workers are ready; ends the bench when they aren't."""
    deadline = time.monotonic() + READY_S
    while ready(client) < processes:
        if time.monotonic() > deadline:
            sys.exit(f"bench: {ready(client)} of {processes} workers of {name} were ready after {READY_S:.0f} s")
        time.sleep(0.05)


def fill_headway(client: redis.Redis, count: int) -> Iterator[int]:
    """Push messages of 120 characters, some hundred at a time; say after each time how many there are."""
    to_headway = Client(client)
    for start in range(0, count, 500):
        end = min(count, start + 500)
        messages = [Message(to=f"39333{index:07d}", text=TEXT) for index in range(start, end)]
        to_headway.push_many(NUMBER, messages)
        yield end


def records_sent(client: redis.Redis) -> int:
    """How many records say `sent`."""
    return sum(client.hget(key, "state") == b"sent" for key in client.scan_iter("headway:message:*", count=1000))


def drained(client: redis.Redis, left: Callable[[redis.Redis], int], total: int, *, patience_s: float) -> float:
    """Return messages a second: from when 2 % are done, so that the start doesn't count, to the last one."""
    began, first, deadline = 0.0, 0, time.monotonic() + patience_s
    while time.monotonic() < deadline:
        now, remaining = time.monotonic(), left(client)
        if not began and remaining <= total * 0.98:
            began, first = now, remaining
        if remaining == 0:
            return first / max(0.001, now - began)
        time.sleep(0.01)
    sys.exit(f"bench: {left(client)} of {total} messages are still there after {patience_s:.0f} s")
