"""What does a test of scripts need: one number on a real server, at a time that the test decides."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from typing import Any

import redis as redis_py

from delivery.settle import Ended, Ending, Settlement, end, ended, settle
from delivery.states import State
from headway import keys
from headway.classes import MessageClass
from headway.client import push_script
from headway.envelope import seal
from headway.message import Message
from runtime.scripts import Call, run_all
from scheduler import leases, meter
from scheduler.decisions import Decision, Grant, Wait
from scheduler.leases import Begun
from scheduler.meter import Event, Kind
from scheduler.rules import NumberRules

NUMBER = "15555550100"
START_US = 1_900_000_000_000_000
SECOND = 1_000_000
RECORD_TTL_S = 3600


class Stage:
    """One number and its scripts. Time stands still until the test moves it; `holder` of every lease is one worker."""

    def __init__(self, redis: redis_py.Redis, *, tps: float = 10, headroom: float = 0.1, **more: Any) -> None:
        self.redis: Any = redis
        self.now_us = START_US
        self.rules = NumberRules(
            **{
                "number": NUMBER,
                "tps_milli": round(tps * 1000),
                "guard_us": 0,
                "headroom_ppm": round(headroom * 1_000_000),
                "in_flight": 1000,
                "lease_ttl_us": 10 * SECOND,
                "shape_fields": ("template_id", "media_url"),
                **more,
            }
        )
        self._leases = 0
        self._people = 0

    # --- time, rules

    def later(self, *, ms: float) -> None:
        """Move time on."""
        self.now_us += round(ms * 1000)

    def change(self, **rules: Any) -> None:
        """Change rules, as a restarted worker with another environment would."""
        self.rules = replace(self.rules, **rules)

    def run(self, call: Call) -> Any:
        """Run one call; an error of the server is raised."""
        reply = run_all(self.redis, [call])[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    # --- waiting

    def push(self, *ids: str, class_: str = "normal", **fields: Any) -> int:
        """Enqueue messages, each to a recipient of its own unless `to` is given; return how many were new."""
        rows = []
        for id_ in ids:
            self._people += 1
            to = f"1999{self._people:07d}"
            message = Message.of({"to": to, "text": f"text of {id_}", "class": class_, **fields})
            rows.append((id_, seal(self.rules.number, id_, message)))
        return self.push_sealed(rows, class_=class_)

    def push_sealed(self, rows: Sequence[tuple[str, bytes]], *, class_: str = "normal") -> int:
        """Run the push script on ready envelopes."""
        number = self.rules.number
        names = [keys.lane(number, MessageClass(class_)), keys.marks(number), *(keys.record(id_) for id_, _ in rows)]
        args = [self.now_us, number, class_, keys.doorbell(number), RECORD_TTL_S, "", *(raw for _, raw in rows)]
        return int(self.redis.eval(push_script(), len(names), *names, *args))

    def put(self, raw: bytes | str, *, class_: str = "normal") -> None:
        """Put an envelope on a lane as a stock publisher does: no script, no record."""
        self.redis.lpush(keys.lane(self.rules.number, MessageClass(class_)), raw)

    def waiting(self, class_: str) -> list[str]:
        """Return the ids on a lane, the head first."""
        raws = self.redis.lrange(keys.lane(self.rules.number, MessageClass(class_)), 0, -1)
        return [json.loads(raw)["headers"]["id"] for raw in reversed(raws)]

    # --- leases

    def lease(self, lease_id: str = "", *, holder: str = "worker") -> Decision:
        """Ask for a lease; without an id it gets a new one."""
        self._leases += 1
        call = leases.lease(self.rules, lease_id or f"lease{self._leases}", holder, now_us=self.now_us)
        return leases.decision(self.run(call))

    def granted(self, lease_id: str = "") -> Grant:
        """Ask for a lease that must be granted."""
        decision = self.lease(lease_id)
        assert isinstance(decision, Grant), decision
        return decision

    def ids(self, lease_id: str = "") -> list[str]:
        """Ask for a lease that must be granted; return its rows' ids."""
        return [row.id for row in self.granted(lease_id).rows]

    def waits(self) -> Wait:
        """Ask for a lease that must not be granted."""
        decision = self.lease()
        assert isinstance(decision, Wait), decision
        return decision

    def drain(self, *, calls: int = 100) -> list[str]:
        """Lease at this moment until nothing more may leave; return the ids in the order in which they may leave."""
        out: list[str] = []
        for _ in range(calls):
            decision = self.lease()
            if isinstance(decision, Grant):
                out += [row.id for row in decision.rows]
            elif not (isinstance(decision, Wait) and decision.until_us == self.now_us):
                return out
        raise AssertionError(f"still granted after {calls} calls")

    def begin(self, lease_id: str, *, holder: str = "worker", token: str = "try") -> Begun:  # noqa: S107 (no secret)
        """Begin a lease."""
        return leases.begun(self.run(leases.begin(self.rules, lease_id, holder, token, now_us=self.now_us)))

    def renew(self, *lease_ids: str) -> list[str]:
        """Renew leases; return those that have ended."""
        reply = self.run(leases.renew(self.rules.number, lease_ids, self.rules.lease_ttl_us, now_us=self.now_us))
        return [part.decode() for part in reply]

    def settle(self, lease_id: str, *rows: Settlement) -> list[str]:
        """Settle rows of a lease; return the new state of each, '' where nothing changed."""
        call = settle(self.rules.number, lease_id, rows, record_ttl_s=RECORD_TTL_S, now_us=self.now_us)
        return [part.decode() for part in self.run(call)]

    def sent(self, lease_id: str, *ids: str) -> list[str]:
        """Settle rows as sent."""
        return self.settle(lease_id, *(Settlement(id_, State.SENT) for id_ in ids))

    def end(self, lease_id: str, *, when: Ending = Ending.ENDED, rows: Sequence[str] | None = None) -> Ended:
        """End a lease that nobody will settle."""
        if rows is None:
            record = self.redis.hget(keys.leases(self.rules.number), lease_id)
            rows = [row[0] for row in json.loads(record)["rows"]] if record else []
        call = end(
            self.rules.number, lease_id, rows, when=when, why="lost", record_ttl_s=RECORD_TTL_S, now_us=self.now_us
        )
        return ended(self.run(call))

    def sweep(self) -> int:
        """Ask whether something may leave (1) and whether a holder is lost (2)."""
        (found,) = self.run(leases.sweep([self.rules.number], now_us=self.now_us))
        return int(found)

    # --- meter

    def count(self, *ids: str, kind: Kind = Kind.INBOUND, age_ms: float | None = None) -> int:
        """Count events, of now or of some time ago; return how many were new."""
        at_us = None if age_ms is None else self.now_us - round(age_ms * 1000)
        events = [Event(id_, kind, at_us) for id_ in ids]
        return int(self.run(meter.count(self.rules, events, now_us=self.now_us)))

    def meter(self) -> dict[str, int]:
        """Read the meter as it stands in Redis."""
        found = self.redis.hgetall(keys.meter(self.rules.number))
        return {name.decode(): int(value) for name, value in found.items() if name not in {b"turn", b"outflow"}}

    def debt(self) -> float:
        """Return how many events the container is behind now."""
        found = self.meter()
        drained_ue = (self.now_us - found.get("backlog_at", self.now_us)) * self.rules.tps_milli / 1000
        return max(0.0, found.get("backlog", 0) - drained_ue) / 1_000_000

    def change_live(self, **fields: object) -> None:
        """Set what a person may set while running: tps_milli, paused."""
        self.redis.hset(keys.settings(self.rules.number), mapping={name: str(value) for name, value in fields.items()})

    def unset(self, *names: str) -> None:
        """Clear what a person set."""
        self.redis.hdel(keys.settings(self.rules.number), *names)

    # --- look

    def record(self, message_id: str) -> dict[str, str]:
        """Read the record of a message."""
        found = self.redis.hgetall(keys.record(message_id))
        return {name.decode(): value.decode() for name, value in found.items()}

    def scores(self, key: str) -> dict[str, float]:
        """Read a sorted set."""
        return {member.decode(): score for member, score in self.redis.zrange(key, 0, -1, withscores=True)}

    def names(self, key: str) -> set[str]:
        """Read the fields of a hash."""
        return {name.decode() for name in self.redis.hkeys(key)}


def everything(redis: Any) -> dict[bytes, Any]:
    """Read all keys with all that is in them, to compare before and after."""
    read = {
        b"hash": redis.hgetall,
        b"string": redis.get,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
    }
    return {key: read[redis.type(key)](key) for key in redis.scan_iter(count=1000)}


def include(redis: Any, room: str, name: str, expression: str, *args: str) -> Any:
    """Evaluate a Lua expression with one include of a room, or one that rooms share, in reach; ARGV are `args`."""
    own = resources.files(room) / "lua" / "include" / f"{name}.lua"
    source = (own if own.is_file() else resources.files("runtime") / "lua" / f"{name}.lua").read_text()
    return redis.eval(f"{source}\nreturn {expression}", 0, *args)
