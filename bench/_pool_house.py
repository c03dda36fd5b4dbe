"""What does the bench of many numbers stand on? A server, some workers that serve all numbers, and who pushes."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from bench._ground import TEXT, celery_worker, process, server, wait_until_ready
from bench._meter_cpu import cpu_s
from bench._pool_notes import FAILING, FOLDER, Note, noted, probe
from headway import Client, Message, keys

TPS = 10


def numbers_of(count: int) -> list[str]:
    """Return that many numbers."""
    return [f"1555{index:07d}" for index in range(count)]


@dataclass(frozen=True, slots=True)
class House:
    """A running pool. `server_pid` and `workers`: whose CPU is measured."""

    client: redis.Redis
    numbers: Sequence[str]
    notes: Path
    server_pid: int
    workers: Sequence[int]

    def cpu_s(self) -> tuple[float, float]:
        """Return the CPU seconds of workers and server so far."""
        return cpu_s(self.workers), cpu_s([self.server_pid])

    def each_cpu_s(self) -> list[float]:
        """Return the CPU seconds of the server and of each worker so far."""
        return [cpu_s([pid]) for pid in (self.server_pid, *self.workers)]

    def noted(self) -> list[Note]:
        """Return what left so far."""
        return noted(self.notes)

    def fill(self, number: str, count: int) -> None:
        """Let so many messages to different people wait for a number."""
        to_headway = Client(self.client)
        for start in range(0, count, 500):
            people = range(start, min(count, start + 500))
            to_headway.push_many(number, [Message(to=f"39333{index:07d}", text=TEXT) for index in people])

    def probes(self, numbers: Sequence[str], *, a_second: float, seconds: float) -> list[int]:
        """Push single messages to numbers at random; return how long each waited (us) until it left."""
        before, to_headway, pushed = len(self._waits()), Client(self.client), 0
        began = time.monotonic()
        while (now := time.monotonic() - began) < seconds:
            if now < pushed / a_second:
                time.sleep(pushed / a_second - now)
                continue
            to_headway.push(random.choice(numbers), to=f"39333{pushed:07d}", text=probe())
            pushed += 1
        deadline = time.monotonic() + 10
        while len(self._waits()) < before + pushed and time.monotonic() < deadline:
            time.sleep(0.1)
        return self._waits()[before:]

    def _waits(self) -> list[int]:
        return [note.waited_us for note in self.noted() if note.waited_us >= 0]


@contextmanager
def house(
    count: int, *, workers: int = 2, failing: str = "", environ: Mapping[str, str] | None = None
) -> Iterator[House]:
    """A pool of workers that serve so many numbers, ready."""
    numbers = numbers_of(count)
    with ExitStack() as stack:
        notes = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running = stack.enter_context(server())
        settings = {
            FOLDER: str(notes), FAILING: failing,
            "HEADWAY_HOME": str(notes / "home"),
            "HEADWAY_REDIS_URL": running.url, "HEADWAY_NUMBERS": ",".join(numbers), "HEADWAY_TPS": str(TPS),
            "HEADWAY_RECEIPTS": "none", "HEADWAY_PUSH_PER_MINUTE": "1000000", "HEADWAY_LOG": "json", **(environ or {}),
        }  # fmt: skip
        (notes / "left").mkdir()
        settings[FOLDER] = str(notes / "left")
        command = celery_worker("bench._pool_noop", "-P", "threads", "-c", "8")
        started = [
            stack.enter_context(process("a worker", command, environ=settings, grace_s=30)).pid for _ in range(workers)
        ]
        client = running.client()
        wait_until_ready("headway", lambda _: _ready(client, numbers[-1]), client, workers)
        yield House(client, numbers, notes / "left", running.pid or 0, started)


def _ready(client: redis.Redis, number: str) -> int:
    return max(0, int(client.hlen(keys.declared(number))) - 1)
