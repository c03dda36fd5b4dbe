"""How does Headway's own scheduler decide, when a scene's clock is the time?

The real Lua scripts (lease, begin, settle, count) on a server, called as a worker and a gateway call them, with the
scene's time in place of the server's. Nothing of the scheduler is copied here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import redis

from bench import _ground
from bench._budget_conditions import Scene
from delivery import settle
from delivery.states import State
from headway import MessageClass, keys
from headway.envelope import seal
from headway.message import Message
from providers import catalogue
from runtime import scripts
from runtime import variables as v
from scheduler import ahead, leases, meter
from scheduler.decisions import Grant, Refuse, Wait
from scheduler.rules import NumberRules, Quota
from simulator.timeline import Answer, Heard

NUMBER = "15555550100"
HOLDER = "bench"

#: The scene's moment 0 on the server's clock: no moment of a scene is 0 for the scripts.
EPOCH_US = 1_800_000_000_000_000

#: So many rows wait at least, so many are added at a time.
_WAITING, _MORE = 250, 500

#: When nothing says when to ask again.
_AGAIN_US = 50_000


def rules_of(scene: Scene, calm: float) -> NumberRules:
    """The rules as a worker would make them from settings: defaults, but for calm, which is 0 unless asked for."""
    return NumberRules(
        number=NUMBER,
        tps_milli=scene.tps * 1000,
        guard_us=v.GUARD.read(v.GUARD.default),
        headroom_ppm=v.HEADROOM.read(v.HEADROOM.default),
        calm_ppm=round(calm * 1_000_000),
        floor_ppm=v.FLOOR.read(v.FLOOR.default),
        in_flight=25,
        lease_ttl_us=15_000_000,
        receipts=scene.kinds,
        quota=Quota("bench", scene.batch) if scene.batch else None,
        shape_fields=catalogue.shape_fields("picky"),
    )


class Headway:
    """A worker and a gateway in one, on an empty server."""

    def __init__(self, client: redis.Redis, scene: Scene, calm: float = 0.0) -> None:
        """Begin with an empty server: what is on it is thrown away."""
        client.flushall()
        for room, name in (
            ("scheduler", "lease"),
            ("scheduler", "begin"),
            ("scheduler", "count"),
            ("scheduler", "learn"),
            ("delivery", "settle"),
        ):
            client.script_load(scripts.load(room, name).source)
        self._client = client
        self._pending: list[scripts.Call] = []
        self._rules = rules_of(scene, calm)
        self._members_of = scene.way().members_of
        self._lane = keys.lane(NUMBER, MessageClass.BULK)
        self._pushed = 0
        self._ids = count()
        self._events = count()

    def ask(self, now_us: int, row: int) -> Answer:
        """Lease, begin and settle what may leave now."""
        if self._pushed - row < _WAITING:
            self._push()
        now = EPOCH_US + now_us
        lease_id = f"lease-{next(self._ids)}"
        call = leases.lease(self._rules, lease_id, HOLDER, now_us=now)
        # What happened since is told with its own time, but on the way with the lease: a third of the round trips.
        found = leases.decision(self._run(call))
        if isinstance(found, Wait):
            return Answer(0, found.until_us - EPOCH_US if found.until_us else now_us + _AGAIN_US)
        if isinstance(found, Refuse):
            raise TypeError(f"the scheduler refuses: {found.because}")
        return Answer(self._send(found, lease_id, now, row), now_us)

    def hear(self, now_us: int, events: Sequence[Heard]) -> None:
        """Count what came in, and let the forecast learn of receipts, as the gateway does: one call each."""
        came = [meter.Event(f"event-{next(self._events)}", meter.Kind(event.kind)) for event in events]
        self._pending.append(meter.count(self._rules, came, now_us=EPOCH_US + now_us))
        learned = [
            ahead.Learned(kind=event.kind, delay_us=now_us - event.sent_us, group=event.group)
            for event in events
            if event.sent_us is not None
        ]
        if learned:
            self._pending.append(ahead.learn(self._rules, learned, now_us=EPOCH_US + now_us))

    def _send(self, grant: Grant, lease_id: str, now: int, row: int) -> int:
        ids = [leased.id for leased in grant.rows]
        if ids != [f"row-{index}" for index in range(row, row + len(ids))]:
            raise ValueError(f"rows left in another order than they came: {ids[:5]} at {row}")
        outcomes = [settle.Settlement(message_id, State.SENT) for message_id in ids]
        self._pending += [
            leases.begin(self._rules, lease_id, HOLDER, "token", now_us=now),
            settle.settle(NUMBER, lease_id, outcomes, record_ttl_s=600, now_us=now),
        ]
        return len(ids)

    def _push(self) -> None:
        first, self._pushed = self._pushed, self._pushed + _MORE
        self._client.lpush(self._lane, *(self._envelope(row) for row in range(first, self._pushed)))

    def _envelope(self, row: int) -> bytes:
        if members := self._members_of(row):
            message = Message(group_id=f"group-{row}", group_members=members, text="Hello", class_=MessageClass.BULK)
        else:
            message = Message(to=f"39333{row:07d}", text="Hello", class_=MessageClass.BULK)
        return seal(NUMBER, f"row-{row}", message)

    def _run(self, last: scripts.Call) -> object:
        """Run what is pending and `last`, in order; return what `last` answers."""
        calls, self._pending = [*self._pending, last], []
        for call, reply in zip(calls, replies := scripts.run_all(self._client, calls), strict=True):
            if isinstance(reply, redis.ResponseError):
                raise reply
            if call.script.name == "begin" and leases.begun(reply) is not leases.Begun.BEGUN:
                raise ValueError(f"a lease of this moment can't begin: {reply!r}")
        return replies[-1]


@contextmanager
def running() -> Iterator[Callable[[Scene, float], Headway]]:
    """A server of the bench's own, nothing written to disk; yields what makes Headway for a scene and a calm."""
    with tempfile.TemporaryDirectory() as directory:
        socket = Path(directory) / "socket"
        with _ground.server(appendonly="no", save="", unixsocket=str(socket)):
            client = redis.Redis(unix_socket_path=str(socket))
            yield lambda scene, calm: Headway(client, scene, calm)
            client.close()
