"""What is fuzzed, and what may never come of it? One real gateway, with its server and an app behind it.

Whatever comes in: an answer in time, never a fault of ours, in the shape of its address; and what was refused has left
nothing behind: no message, no count, no key, nothing at the app.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import redis

from headway import keys
from tests.harness.apps import AppDouble
from tests.harness.gateway import CHANNEL, NUMBER, OTHER, TOKEN
from tests.harness.home import throwaway_home
from tests.harness.processes import RunningProcess
from tests.harness.servers import ThrowawayServer, free_port

KEY = "s3cret"
#: How long each test tries new requests, in seconds. CI keeps all of them together under a minute.
SECONDS = float(os.environ.get("FUZZ_SECONDS", "6"))
#: What an answer may take on a busy machine, in seconds; a hang takes for ever.
PATIENCE_S = 15.0
#: Given to a test above its own time: it shrinks what it found.
SHRINKING_S = 240

#: Keys that say nothing of a request: the ids given so far.
_ANYWAY = {b"headway:serial"}


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as strictly as any client may."""
        return strict_json(self.body)


@dataclass(frozen=True, slots=True)
class Look:
    """What stands in the server and at the app."""

    keys: frozenset[bytes]
    lanes: Mapping[str, int]
    meters: Mapping[str, Any]
    told: int

    @property
    def waiting(self) -> int:
        """Messages on all lanes."""
        return sum(self.lanes.values())


class Target:
    """A gateway of two numbers, of which the first has an app."""

    def __init__(self, client: redis.Redis, gateway: RunningProcess, app: AppDouble) -> None:
        self.redis = client
        self.gateway = gateway
        self.app = app
        self.url: str = gateway.wait_for_line(r"^gateway ready on (http://\S+)$")[1]
        parts = urlsplit(self.url)
        self.address = (parts.hostname or "", parts.port or 0)
        self._connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE_S)

    def send(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answered:
        """Send a request and return its answer; an answer that doesn't come in time is an error."""
        try:
            self._connection.request(method, path, body, dict(headers or {}))
            answer = self._connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answered(answer.status, found, answer.read())
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def look(self) -> Look:
        """Look at everything that a request may change."""
        names = [lane for number in (NUMBER, OTHER) for lane in keys.lanes(number)]
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.keys("*")
            for name in names:
                pipe.llen(name)
            for number in (NUMBER, OTHER):
                pipe.hgetall(keys.meter(number))
            found, *rest = pipe.execute()
        lanes = dict(zip(names, rest[: len(names)], strict=True))
        meters = dict(zip((NUMBER, OTHER), rest[len(names) :], strict=True))
        return Look(frozenset(found) - _ANYWAY, lanes, meters, len(self.app.bodies))

    def refused_whole(self, before: Look) -> None:
        """Assert that a refused request has left nothing behind."""
        after = self.look()
        assert not after.keys - before.keys, f"a refusal left {sorted(after.keys - before.keys)}"
        assert after.lanes == before.lanes, "a refusal enqueued something"
        assert after.meters == before.meters, "a refusal was counted"
        assert after.told == before.told, f"a refusal reached the app: {self.app.bodies[before.told :]}"

    def sound(self) -> None:
        """Assert that the gateway lives, answers, and never met a fault of its own."""
        assert self.gateway.returncode is None, self.gateway.tail()
        assert self.send("GET", "/healthz").status == 200
        said = self.gateway.output
        faults = [line for line in said.splitlines() if "Traceback" in line or "request_failed" in line]
        assert not faults, "\n".join([*faults, self.gateway.tail()])

    def clear(self) -> None:
        """Take away what was accepted: looks stay quick, and the server small."""
        if names := [name for name in self.redis.keys("*") if name not in _ANYWAY]:
            self.redis.delete(*names)
        self.app.bodies.clear()


@contextlib.contextmanager
def open_target(server: ThrowawayServer) -> Iterator[Target]:
    """Start a gateway on this server, and an app that takes all it is told."""
    with AppDouble() as app:
        env = {
            "HEADWAY_REDIS_URL": server.url,
            "HEADWAY_HOME": throwaway_home(),
            "HEADWAY_NUMBERS": f"{NUMBER},{OTHER}",
            f"HEADWAY_APPLICATION_{NUMBER}": CHANNEL,
            "HEADWAY_API_TOKENS": TOKEN,
            "HEADWAY_WEBHOOK_KEY": KEY,
            f"HEADWAY_FORWARD_URL_{NUMBER}": app.url,
            # Nobody: no question of a test reaches a real provider.
            "HEADWAY_PROVIDER_URL": f"http://127.0.0.1:{free_port()}",
            # Wrong tokens are part of the game; a lockout would hide all that comes after them.
            "HEADWAY_LOCKOUT": "off",
            "HEADWAY_LOG": "json",
        }
        client = server.client()
        client.flushall()
        with RunningProcess([sys.executable, "-m", "gateway.serve", "--port", "0"], env=env) as gateway:
            target = Target(client, gateway, app)
            yield target
            target.close()
        client.close()


def for_a_while(batch: Callable[[], None], target: Target, *, seconds: float = SECONDS) -> None:
    """Run batches of examples, each with a new seed, until the time is up: a bound that no machine's speed changes."""
    until = time.monotonic() + seconds
    while True:
        target.clear()
        batch()
        if time.monotonic() >= until:
            return


def in_shape(path: str, answer: Answered) -> None:
    """Assert that a refusal is none of our faults, and in the contract's shape for its address."""
    assert answer.status < 500, f"HTTP {answer.status}: {answer.body[:500]!r}"
    assert b"Traceback" not in answer.body
    if answer.status < 400:
        return
    body = answer.json
    assert isinstance(body, dict)
    if path.startswith("/api/v2/"):
        assert answer.headers["content-type"] == "application/json"
        assert (body["status"], set(body)) == (answer.status, {"status", "message"})
        assert body["message"]
    else:
        assert answer.headers["content-type"] == "application/problem+json"
        assert body["status"] == answer.status
        assert set(body) - {"errors"} == {"type", "title", "status", "detail"}


def strict_json(text: bytes | str) -> Any:
    """Read JSON as its standard has it: Python alone would take NaN and Infinity."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text if isinstance(text, str) else text.decode("utf-8"), parse_constant=refuse)
