"""Who is put through chaos, and how is each filled, drained and judged? Headway, and stock Celery."""

from __future__ import annotations

import argparse
import json
import shutil
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from bench._chaos_house import House, arrivals, simulator
from bench._chaos_nursery import Nursery
from bench._chaos_push import Pusher
from bench._chaos_verdict import Story, Tally, problems, tally
from bench._ground import server
from bench._peers import _envelope
from headway import keys
from tests.harness.leaks import leaks
from tests.harness.servers import ThrowawayServer, free_port

NUMBERS = ("15555550100", "15555550101")
TOKEN, KEY = "chaos", "chaos-webhooks"

#: A message that is uncertain waits so long for an echo; a lease whose holder is lost ends after so long.
UNCERTAIN_WAIT_S, LEASE_TTL_S, VISIBILITY_S = 6, 3, 10

#: How long a side may take to finish when the kills are over, and how long nothing may move before it counts as stuck.
DRAIN_S, STILL_S = 240.0, 30.0

_WORKER = ("celery", "-A", "{app}", "worker", "--without-mingle", "--without-gossip", "-n", "{name}@chaos")
_POOLS = (("prefork", "2"), ("prefork", "2"), ("threads", "8"))


class Side(Protocol):
    """One side in its house."""

    house: House

    def start(self) -> None:
        """Everybody is ready: begin to hand messages over."""

    def upto(self, count: int) -> None:
        """Have so many messages handed over."""

    def drain(self) -> None:
        """Wait until nothing moves any more."""

    def verdict(self) -> tuple[Tally, list[str]]:
        """Return the figures, and what must not be."""

    def remarks(self) -> list[str]:
        """Return what else is worth a line."""


class _Base(ABC):
    """What both sides have in common."""

    def __init__(self, house: House, sinks: Sequence[str], options: argparse.Namespace) -> None:
        self.house = house
        self._sinks = sinks
        self._options = options
        self._client = patient(house.server)

    def drain(self) -> None:
        """Wait until nothing is left, or until nothing moved for long."""
        began_s = moved_s = time.monotonic()
        last: tuple[int, ...] = ()
        while time.monotonic() - began_s < DRAIN_S and time.monotonic() - moved_s < STILL_S:
            self.house.tend()
            now = self.waiting()
            if not any(now):
                return
            if now != last:
                last, moved_s = now, time.monotonic()
            time.sleep(0.2)

    @abstractmethod
    def waiting(self) -> tuple[int, ...]:
        """Return what is still to be done, in figures."""

    def _arrived(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for sink in self._sinks:
            for reference, at_us in arrivals(sink):
                found[reference].append(at_us)
        return found

    def _tally(self, stories: dict[str, Story], arrived: dict[str, list[int]]) -> Tally:
        return tally(
            stories,
            strangers=arrived.keys() - stories.keys(),
            kills_us=self.house.struck_us,
            latency_us=self._options.latency_ms * 1000,
        )


class HeadwaySide(_Base):
    """Headway: gateways, workers, and a push that is repeated until it is accepted."""

    def __init__(
        self, house: House, sinks: Sequence[str], options: argparse.Namespace, gateways: Sequence[str]
    ) -> None:
        super().__init__(house, sinks, options)
        self._pusher = Pusher(self._client, gateways=gateways, token=TOKEN, numbers=NUMBERS)
        self.upto = self._pusher.upto
        self.start = self._pusher.start

    def waiting(self) -> tuple[int, ...]:
        """Return what isn't accepted, waits, is leased, deferred, or uncertain and not held."""
        missing = self._options.messages - len(self._pusher.accepted)
        pipe = self._client.pipeline(transaction=False)
        for number in NUMBERS:
            for lane in keys.lanes(number):
                pipe.llen(lane)
            pipe.hlen(keys.leases(number))
            pipe.hlen(keys.leased(number))
            pipe.zcard(keys.deferred(number))
            pipe.zcount(keys.uncertain(number), 0, "+inf")
            pipe.zcard(keys.lines(number))
        return (missing // 10, *map(int, pipe.execute()))

    def verdict(self) -> tuple[Tally, list[str]]:
        """Judge by the simulated numbers' record and ours."""
        self._pusher.stop()
        arrived, stories = self._arrived(), {}
        for message_id, class_ in self._pusher.accepted.items():
            state, history = self._client.hmget(keys.record(message_id), "state", "history")
            stories[message_id] = Story(
                class_=class_,
                arrived_us=arrived.get(message_id, ()),
                state=_text(state),
                history=_text(history),
            )
        found = self._tally(stories, arrived)
        return found, problems(found, left=self._left(), leaks=leaks(self._client), wanted=self._options.messages)

    def _left(self) -> list[str]:
        said = [f"{self.house.orphans} pools lived on without their worker"] if self.house.orphans else []
        said += [f"{name} ended though nobody killed it" for name in self.house.fell]
        for number in NUMBERS:
            ways = (keys.heads, keys.lines, keys.leases, keys.leased, keys.deferred, keys.deadlines)
            names = (*keys.lanes(number), *(way(number) for way in ways))
            sizes = [(name, self._size(name)) for name in names]
            said += [f"{size} left in {name!r}" for name, size in sizes if size]
            if undecided := self._client.zcount(keys.uncertain(number), 0, "+inf"):
                said.append(f"{undecided} uncertain of {number} that nobody decided about")
            holding = [keys.deferred(number), keys.uncertain(number), keys.dead(number)]
            held = {member for name in holding for member in self._client.zrange(name, 0, -1)}
            if odd := held ^ set(self._client.hkeys(keys.kept(number))):
                said.append(f"{len(odd)} of {number} are kept in one place and not in the other: {sorted(odd)[:3]}")
        return said

    def _size(self, name: str) -> int:
        size = {b"list": self._client.llen, b"hash": self._client.hlen, b"zset": self._client.zcard}
        kind = self._client.type(name)
        return int(size[kind](name)) if kind in size else 0

    def remarks(self) -> list[str]:
        """Return how the pushes went."""
        return [f"{self._pusher.repeats:,} tries to push failed; {self._pusher.replayed:,} answers were replayed"]


class CelerySide(_Base):
    """Stock Celery; its publisher waits while the server is away, so that no envelope is doubled by a repeated push."""

    def __init__(self, house: House, sinks: Sequence[str], options: argparse.Namespace) -> None:
        super().__init__(house, sinks, options)
        self._ids: list[str] = []

    def start(self) -> None:
        """Nothing to do."""

    def upto(self, count: int) -> None:
        """Put envelopes on the queue."""
        while len(self._ids) < count:
            envelope = _envelope("stock.post", len(self._ids))
            self._client.lpush("stock", envelope)
            self._ids.append(json.loads(envelope)["headers"]["id"])

    def waiting(self) -> tuple[int, ...]:
        """Return what is queued, and what somebody has that isn't acknowledged."""
        return int(self._client.llen("stock")), int(self._client.hlen("unacked"))

    def verdict(self) -> tuple[Tally, list[str]]:
        """Judge by the simulated number's record alone: Celery keeps none."""
        arrived = self._arrived()
        stories = {one: Story(class_="normal", arrived_us=arrived.get(one, ()), state="sent") for one in self._ids}
        return self._tally(stories, arrived), []

    def remarks(self) -> list[str]:
        """Return what is still there."""
        queued, unacked = self.waiting()
        return [
            f"at the end {queued:,} queued, {unacked:,} not acknowledged; ended by themselves {len(self.house.fell)}"
        ]


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


def patient(running: ThrowawayServer) -> redis.Redis:
    """Make a client that waits for a server that comes back."""
    retry = Retry(ConstantBackoff(0.2), 50)
    errors: list[type[Exception]] = [redis.ConnectionError, redis.TimeoutError]
    return redis.Redis(host="127.0.0.1", port=running.port, retry=retry, retry_on_error=errors, socket_timeout=5)


@contextmanager
def _house(folder: Path, options: argparse.Namespace) -> Iterator[tuple[House, ExitStack]]:
    folder.mkdir()
    with ExitStack() as stack:
        running = stack.enter_context(server(appendfsync=options.fsync))
        house = House(folder, running, Nursery())
        if options.keep:
            stack.callback(shutil.copytree, folder, options.keep / folder.name, dirs_exist_ok=True)
        stack.callback(house.close)
        yield house, stack


def _add_workers(house: House, app: str, environ: dict[str, str], *more: str) -> None:
    for place, (pool, slots) in enumerate(_POOLS):
        name = f"{pool}{place}"
        command = [word.format(app=app, name=name) for word in _WORKER]
        ready = '"event": "worker_ready"'
        house.add(name, [*command, "-P", pool, "-c", slots, *more], environ, ready=ready, pooled=pool == "prefork")


@contextmanager
def headway(folder: Path, options: argparse.Namespace) -> Iterator[HeadwaySide]:
    """Headway's house."""
    with _house(folder, options) as (house, stack):
        ports = [free_port(), free_port()]
        gateways = [f"http://127.0.0.1:{port}" for port in ports]
        told = ("--retries", "0.5,1,1,2,2,4,4,8,8", "--webhook-timeout", "5", "--key", KEY)
        odds = ("--delivered-share", "0.8", "--delivered-after", "0.4", "--read-share", "0.1", "--read-after", "1")
        sinks = [
            stack.enter_context(
                simulator(*told, *odds, "--webhook", f"{gateway}/webhooks/picky/{number}", "--application", number,
                          latency_ms=options.latency_ms)
            )
            for number, gateway in zip(NUMBERS, gateways, strict=True)
        ]  # fmt: skip
        tps = max(10, round(options.messages / (options.kills * options.every) / len(NUMBERS) * 2))
        environ = {
            "HEADWAY_REDIS_URL": house.server.url,
            "HEADWAY_HOME": str(folder / "home"),
            "HEADWAY_NUMBERS": ",".join(NUMBERS),
            "HEADWAY_TPS": str(tps),
            "HEADWAY_COUNTS": "send",
            "HEADWAY_PUSH_PER_MINUTE": "1000000",
            "HEADWAY_API_TOKENS": TOKEN,
            "HEADWAY_WEBHOOK_KEY": KEY,
            "HEADWAY_PROVIDER_TOKEN": "bench",
            "HEADWAY_LEASE_TTL": str(LEASE_TTL_S),
            "HEADWAY_UNCERTAIN_WAIT": str(UNCERTAIN_WAIT_S),
            "HEADWAY_LOG": "json",
            **{f"HEADWAY_PROVIDER_URL_{number}": sink for number, sink in zip(NUMBERS, sinks, strict=True)},
        }
        _add_workers(house, "worker.app", environ)
        for place, port in enumerate(ports):
            command = ["gateway.serve", "--port", str(port)]
            house.add(f"gateway{place}", command, environ, ready="gateway ready on", pooled=False)
        yield HeadwaySide(house, sinks, options, gateways)


@contextmanager
def celery(folder: Path, options: argparse.Namespace) -> Iterator[CelerySide]:
    """Stock Celery's house: the same workers, one simulated number, no gateway."""
    with _house(folder, options) as (house, stack):
        sink = stack.enter_context(simulator(latency_ms=options.latency_ms))
        environ = {
            "BENCH_BROKER": house.server.url,
            "BENCH_SINK": sink,
            "BENCH_VISIBILITY": str(VISIBILITY_S),
        }
        _add_workers(house, "bench._chaos_stock", environ, "-Q", "stock")
        yield CelerySide(house, [sink], options)


class _Opens(Protocol):
    def __call__(self, folder: Path, options: argparse.Namespace, /) -> AbstractContextManager[Side]: ...


SIDES: dict[str, _Opens] = {"headway": headway, "celery": celery}
