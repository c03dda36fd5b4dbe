"""What does a test of the worker stand on? A server, a sink, and real workers: `celery -A worker.app worker`."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from headway import keys
from headway.client import Client
from headway.message import Message
from runtime import scripts
from runtime.scripts import Call
from tests.harness.leaks import leaks
from tests.harness.processes import RunningProcess
from tests.harness.servers import ThrowawayServer, find_binary
from tests.harness.waiting import wait_until

#: Rows of a worker that was killed are back within this (README).
BACK_WITHIN = timedelta(seconds=15)

#: A worker's start, on a machine that is busy.
START = timedelta(seconds=40)

#: Neighbours are of no interest to most tests, and looking for them takes a second.
ALONE = ("--without-gossip", "--without-mingle")

POOLS = ("threads", "prefork")

SINK = (sys.executable, "-m", "simulator.sink", "--port", "0")
SINK_READY = r"^sink ready on (http://\S+)$"
READY = '"event": "worker_ready"'


class Worker(RunningProcess):
    """A worker; `name` is its node's name."""

    def __init__(self, args: Sequence[str], *, name: str, env: Mapping[str, str], faults: Path) -> None:
        command = [sys.executable, "-m", "celery", "-A", "worker.app", "worker", "-n", name, *args]
        super().__init__(command, env={**env, "FAULT_DIR": str(faults)})
        self.name = name
        self._faults = faults

    def ready(self) -> Worker:
        """Wait until it leases."""
        self.wait_for_line(READY, timeout=START)
        return self

    def stands_at(self, point: str) -> int:
        """Wait until one of its processes stands at a point of `worker_faults`; return that process's id."""
        file = self._faults / point
        wait_until(file.exists, description=f"a process that stands at {point}", timeout=START, detail=self.tail)
        return int(file.read_text())

    def go_on(self) -> None:
        """Let it go on from where it stands."""
        (self._faults / "go").touch()

    def kill_all(self) -> None:
        """Kill it and its pool at one blow, as the machine does when memory is short."""
        os.killpg(self.pid, signal.SIGKILL)
        self.wait()

    def says(self, event: str, *, after: int = 0) -> dict[str, Any]:
        """Wait until it says an event of ours; return the line's fields."""
        line = self.wait_for_line(rf'.*"event": "{event}".*', after=after)
        fields: dict[str, Any] = json.loads(line[0])
        return fields


class House:
    """One server and one sink for a module's tests; each test has numbers of its own."""

    def __init__(self, folder: Path, server: ThrowawayServer, sink: str) -> None:
        self.folder = folder
        self.server = server
        self.sink = sink
        self.redis = server.client()
        self._serial = itertools.count(1)

    @contextmanager
    def another_sink(self, *options: str) -> Iterator[House]:
        """The same server with a sink of its own, as if it were another provider."""
        with RunningProcess([*SINK, *options]) as sink:
            other = House(self.folder, self.server, sink.wait_for_line(SINK_READY)[1])
            other._serial = self._serial
            yield other
            other.redis.close()

    def number(self) -> str:
        """Return a number that no other test has used."""
        return f"1555555{next(self._serial):04d}"

    def worker(
        self,
        *numbers: str,
        pool: str = "threads",
        concurrency: int = 2,
        fault: str = "",
        args: Sequence[str] = ALONE,
        env: Mapping[str, str] | None = None,
    ) -> Worker:
        """Start a worker; it may not be ready yet."""
        name = f"w{next(self._serial)}@here"
        faults = self.folder / name
        faults.mkdir()
        settings = {
            "HEADWAY_REDIS_URL": self.server.url,
            "HEADWAY_HOME": str(self.folder / "home"),
            "HEADWAY_NUMBERS": ",".join(numbers),
            "HEADWAY_PROVIDER_URL": self.sink,
            "HEADWAY_TPS": "500",
            "HEADWAY_PUSH_PER_MINUTE": "1000000",  # no quota
            "HEADWAY_LEASE_TTL": "3",
            "HEADWAY_LOG": "json",
            "FAULT_POINT": fault,
        }
        more = ["-I", "tests.processes.worker_faults"] if fault else []
        command = ["-P", pool, "-c", str(concurrency), *more, *args]
        return Worker(command, name=name, env={**settings, **(env or {})}, faults=faults)

    def push(self, number: str, count: int = 1, **fields: Any) -> list[str]:
        """Enqueue messages, to as many recipients or to one (`to`); return their ids, in order."""
        rows = [Message(**{"to": f"3933312{next(self._serial):05d}", "text": "hello", **fields}) for _ in range(count)]
        return Client(self.redis).push_many(number, rows)

    def states(self, ids: Sequence[str]) -> list[str]:
        """Return what the records say, in order; nothing where there is none."""
        with self.redis.pipeline(transaction=False) as pipe:
            for message_id in ids:
                pipe.hget(keys.record(message_id), "state")
            return [text_of(state or b"") for state in pipe.execute()]

    def record(self, message_id: str) -> dict[str, str]:
        """Return a message's record."""
        found = self.redis.hgetall(keys.record(message_id))
        return {text_of(name): text_of(value) for name, value in found.items()}

    def arrivals(self, ids: Sequence[str] | None = None) -> list[str]:
        """Return the ids of rows that arrived at the sink, in order of arrival; all, or those of interest."""
        return [row["reference_number"] for row in self.journal(ids)]

    def journal(self, ids: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return the sink's journal of rows of interest."""
        wanted = None if ids is None else set(ids)
        rows: list[dict[str, Any]] = self._call("/journal")
        return [row for row in rows if wanted is None or row["reference_number"] in wanted]

    def control(self, **wish: Any) -> None:
        """Change the sink's behaviour."""
        self._call("/control", json.dumps(wish).encode())

    def _call(self, path: str, body: bytes | None = None) -> Any:
        with urllib.request.urlopen(self.sink + path, data=body, timeout=10) as answer:  # noqa: S310  loopback
            return json.loads(answer.read())

    def all_are(self, ids: Sequence[str], state: str, *, within: timedelta = timedelta(seconds=20)) -> None:
        """Wait until all messages are in this state."""
        wait_until(
            lambda: set(self.states(ids)) == {state},
            description=f"that {len(ids)} messages are {state}",
            timeout=within,
            detail=lambda: f"they are {self.states(ids)}",
        )

    def have_arrived(self, ids: Sequence[str], *, within: timedelta = timedelta(seconds=20)) -> None:
        """Wait until all messages are in the sink's journal."""
        wait_until(
            lambda: set(self.arrivals(ids)) == set(ids),
            description=f"that {len(ids)} messages are at the sink",
            timeout=within,
            detail=lambda: f"there are {len(self.arrivals(ids))}; states {self.states(ids)}",
        )

    def run(self, call: Call) -> Any:
        """Run a script of ours."""
        (reply,) = scripts.run_all(self.redis, [call])
        return reply

    @contextmanager
    def stock_app(self) -> Iterator[Celery]:
        """A plain Celery app on the same broker, which knows nothing of us."""
        app = Celery("stranger", broker=self.server.url, set_as_current=False)
        try:
            yield app
        finally:
            app.close()


@contextmanager
def open_house(folder: Path) -> Iterator[House]:
    """Start a server and a sink; at the end no undeclared key may be left."""
    binary = find_binary()
    if binary is None:
        pytest.skip("no Redis or Valkey server")
    server = ThrowawayServer(binary, directory=folder / "server")
    with ExitStack() as stack:
        server.start()
        stack.callback(server.kill)
        sink = stack.enter_context(RunningProcess(SINK))
        house = House(folder, server, sink.wait_for_line(SINK_READY)[1])
        stack.callback(house.redis.close)
        yield house
        found = leaks(house.redis)
        assert not found, "\n".join(found)


def send_nothing_again(house: House, number: str, ids: Sequence[str]) -> None:
    """See that the lane moves on, and that none of these messages arrives a second time."""
    later = house.push(number, 2)
    house.all_are(later, "sent")
    seen = house.arrivals(ids)
    assert len(seen) == len(set(seen)), f"sent twice: {sorted(seen)}"


def text_of(value: bytes | str) -> str:
    """Return an answer of the server as text."""
    return value.decode() if isinstance(value, bytes) else value
