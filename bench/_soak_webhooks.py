"""Is each of very many webhooks counted once, and what is left of them? Doubled, late, out of order, of unknown ids.

One gateway with two numbers: of the second an app wants to hear, which refuses each fiftieth body once. Of a hundred
webhooks about 72 are receipts of known messages (read before delivered, too), 6 of messages that nobody knows, 10
inbound messages; 12 repeat one of them, at once or much later; a tenth is of the number with the app. After each lap
the meters, the records, the app's own list and the claims in the server are compared with what was sent.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import redis

from bench._ground import NUMBER, process, server
from bench._soak_app import App
from bench.gateway import Load, answering, load
from headway import keys
from scheduler import meter
from tests.harness.servers import free_port

FORWARDED: Final = "15555550101"
_CHANNELS: Final = {NUMBER: 121, FORWARDED: 122}
_KEY: Final = "k"
#: Shares of a hundred: messages with two receipts each, receipts of strangers, inbound messages; the rest is repeated.
_MESSAGES, _STRANGERS, _INBOUND = 36, 6, 10
#: How far a webhook strays from its place: most a little, some anywhere.
_NEAR, _FAR_SHARE = 200, 0.2
_TO_THE_APP: Final = 0.1
_PATIENCE_S: Final = 60.0


@dataclass(slots=True)
class Lap:
    """The webhooks of one lap, and what must have become of them."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    #: Number → what its meter counts, by kind.
    counts: dict[str, Counter[str]] = field(default_factory=lambda: {number: Counter() for number in _CHANNELS})
    #: Message → its number.
    messages: dict[str, str] = field(default_factory=dict)
    #: Ids of the inbound messages that the app must have.
    inbound: list[str] = field(default_factory=list)


def lap(count: int, *, seed: int) -> Lap:
    """Make the webhooks of a lap; another seed gives other ids."""
    chance = random.Random(seed)
    made, first = Lap(), (seed + 1) * 10_000_000
    for index in range(count * _MESSAGES // 100):
        number, message = _number(chance), str(first + index)
        made.messages[message] = number
        for kind, status in (("delivered", 1), ("read", 3)):
            made.bodies.append(_receipt(number, first + index, message, status))
            made.counts[number][kind] += 1
    for index in range(count * _STRANGERS // 100):
        number = _number(chance)
        made.bodies.append(_receipt(number, first + 5_000_000 + index, f"not-ours-{index}", 1))
        made.counts[number]["delivered"] += 1
    for index in range(count * _INBOUND // 100):
        number, unique = _number(chance), f"{first + index}"
        made.bodies.append(_inbound(number, unique, f"39333{chance.randrange(2000):07d}"))
        made.counts[number]["inbound"] += 1
        if number == FORWARDED:
            made.inbound.append(unique)
    made.bodies += chance.sample(made.bodies, count - len(made.bodies))
    made.bodies = _strayed(made.bodies, chance)
    return made


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen after a lap: how fast it was, what is wrong, and where to look further."""

    load: Load
    wrong: list[str]
    client: redis.Redis
    gateway: int


def flood(count: int, laps: int) -> Iterator[Seen]:
    """Send that many webhooks in laps; give what was seen after each. Exits when one isn't answered 200."""
    with server() as running, App() as app, _gateway(running.url, app.url) as (url, pid):
        client = running.client()
        for at in range(laps):
            made = lap(count // laps, seed=at)
            before = _counted(client)
            _make_records(client, made)
            found = load(f"{url}/webhooks/picky/{NUMBER}?key={_KEY}", made.bodies)
            _wait_until_empty(client)
            yield Seen(found, _wrong(client, made, before, app), client, pid)
            app.forget()


@contextmanager
def _gateway(url: str, app: str) -> Iterator[tuple[str, int]]:
    port = free_port()
    environ = {
        "HEADWAY_REDIS_URL": url, "HEADWAY_NUMBERS": f"{NUMBER},{FORWARDED}", "HEADWAY_API_TOKENS": "bench",
        "HEADWAY_LOG": "json", "HEADWAY_WEBHOOK_KEY": _KEY, f"HEADWAY_FORWARD_URL_{FORWARDED}": app,
        **{f"HEADWAY_APPLICATION_{number}": str(channel) for number, channel in _CHANNELS.items()},
    }  # fmt: skip
    command = [sys.executable, "-m", "gateway.serve", "--port", str(port)]
    with process("the gateway", command, environ=environ) as running:
        answering(f"http://127.0.0.1:{port}/healthz")
        yield f"http://127.0.0.1:{port}", running.pid


def _make_records(client: redis.Redis, made: Lap) -> None:
    """Let the messages be sent already."""
    names = list(made.messages.items())
    for start in range(0, len(names), 1000):
        pipe = client.pipeline(transaction=False)
        for message, number in names[start : start + 1000]:
            record = ["state", "sent", "number", number, "class", "bulk", "push", "1", "attempts", "1"]
            pipe.hset(keys.record(message), items=record)
            pipe.expire(keys.record(message), 3600)
        pipe.execute()


def _counted(client: redis.Redis) -> dict[str, Counter[str]]:
    found = {number: meter.spent(client, number) for number in _CHANNELS}
    return {
        number: Counter(inbound=spent.inbound, delivered=spent.delivered, read=spent.read)
        for number, spent in found.items()
    }


def _wait_until_empty(client: redis.Redis) -> None:
    """Wait until the app has taken what it refused at first, or for as long as that may take."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while client.hlen(keys.outbox(FORWARDED)) and time.monotonic() < deadline_s:
        time.sleep(0.2)


def _wrong(client: redis.Redis, made: Lap, before: dict[str, Counter[str]], app: App) -> list[str]:
    now, said = _counted(client), []
    for number, wanted in made.counts.items():
        found = now[number] - before[number]
        if found != wanted:
            said.append(f"{number} counted {dict(found)} of {dict(wanted)}")
    unread = sum(state != b"read" for state in _fields(client, [keys.record(message) for message in made.messages]))
    if unread:
        said.append(f"{unread} of {len(made.messages)} records don't say read")
    if app.taken != Counter(made.inbound):
        missing, more = Counter(made.inbound) - app.taken, app.taken - Counter(made.inbound)
        said.append(f"the app misses {missing.total()} messages, and had {more.total()} too often")
    if not app.refused:
        said.append("the app refused nothing, so nothing was repeated to it")
    claims = client.mget([keys.forwarded(FORWARDED, f"in:{unique}") for unique in made.inbound])
    held = sum(not isinstance(value, bytes) or not value.startswith(b"done:") for value in claims)
    turns = sum(1 for _ in client.scan_iter(keys.turns(FORWARDED, "*"), count=5000))
    kept = int(client.hlen(keys.outbox(FORWARDED)))
    if held or turns or kept:
        said.append(f"left behind: {held} claims, {turns} turns, {kept} bodies for the app")
    return said


def _fields(client: redis.Redis, names: Sequence[str]) -> Iterator[bytes | None]:
    for start in range(0, len(names), 1000):
        pipe = client.pipeline(transaction=False)
        for name in names[start : start + 1000]:
            pipe.hget(name, "state")
        yield from pipe.execute()


def _number(chance: random.Random) -> str:
    return FORWARDED if chance.random() < _TO_THE_APP else NUMBER


def _receipt(number: str, provider_id: int, reference: str, status: int) -> dict[str, Any]:
    row = {"push_id": 1, "msg_id": provider_id, "number": f"39333{provider_id % 10_000_000:07d}", "error_message": ""}
    row |= {"reference_number": reference, "channel_id": _CHANNELS[number], "status": status}
    return {"project_id": 27, "event_id": 1, "data": [row]}


def _inbound(number: str, unique: str, sender: str) -> dict[str, Any]:
    return {
        "number": sender, "message-in": "Hello", "message_in_raw": "Hello", "type": 1, "application": _CHANNELS[number],
        "unique-id": unique, "project-id": 27, "direction": 0, "name": "E",
    }  # fmt: skip


def _strayed(bodies: Sequence[dict[str, Any]], chance: random.Random) -> list[dict[str, Any]]:
    """Return them out of order: most near their place, some anywhere behind it."""
    at = {
        index: index + (chance.random() * (len(bodies) if chance.random() < _FAR_SHARE else _NEAR))
        for index in chance.sample(range(len(bodies)), len(bodies))
    }
    order = sorted(range(len(bodies)), key=at.__getitem__)
    return [bodies[index] for index in order]
