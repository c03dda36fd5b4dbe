"""How is one message taken back, and how are those dropped that a drop is about, without waiting for leases?

What has begun can't be taken back. Everything else is `cancelled` at once: its record says so, and whoever has it on a
lane, deferred or leased lets it go when it is met next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import redis

from headway import keys
from headway.classes import MessageClass
from runtime import scripts
from scheduler import shards
from scheduler.decree import Decree

#: Rows of one call: a few milliseconds of the server's time.
ROWS = 100


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Whether a message is cancelled now; else `state` says why not: its state, `sending`, or empty for no record."""

    done: bool
    state: str

    @property
    def why(self) -> str:
        """Say why it can't be cancelled."""
        told = {
            "": "there is no record of such a message",
            "sending": "it is being sent at this moment",
            "uncertain": "it may have been sent already, and its receipt is waited for: ask again in a minute",
            "dead": "it was given up: discard it (`headway dead discard`)",
        }
        return told.get(self.state, f"it is {self.state} already")


def cancel(client: redis.Redis, message_id: str, decree: Decree, *, record_ttl_s: int) -> Cancelled:
    """Take one message back. Safe to run twice."""
    unit = client.hget(keys.record(message_id), "number")
    if unit is None:
        return Cancelled(done=False, state="")
    number = keys.number_of_unit(_text(unit))
    names = [keys.record(message_id), keys.cancelled(number), keys.changes(number)]
    for one in shards.read(client, number).all_units(number):
        names += [keys.kept(one), keys.deferred(one), keys.uncertain(one), keys.leases(one), keys.leased(one)]
    args = [
        decree.now, message_id, record_ttl_s, decree.by, decree.where, decree.reason, keys.doorbell(number),
    ]  # fmt: skip
    done, state = scripts.load("scheduler", "cancel").run(client, names, args)
    return Cancelled(bool(done), _text(state))


def clear(client: redis.Redis, number: str, *, now_us: int | None = None) -> Iterator[int]:
    """Drop what the number's drops are about, as far as it can be reached at once; yield how many rows, call by call.

    At the head of lanes up to the first row that stays, and wherever rows are parked; what stands behind others on a
    lane is dropped when a lease meets it. Works on a paused number too.
    """
    for unit in shards.read(client, number).all_units(number):
        for where in ("lines", "lanes", "deferred", "uncertain", *_lists(client, unit)):
            skip, more = 0, True
            while more:
                dropped, skip, more = _clear(client, unit, where, skip, now_us)
                if dropped:
                    yield dropped


def _clear(client: redis.Redis, unit: str, where: str, skip: int, now_us: int | None) -> tuple[int, int, bool]:
    names = [
        *keys.lanes(unit), keys.marks(unit), keys.held(unit), keys.deferred(unit), keys.uncertain(unit),
        keys.kept(unit), keys.leased(unit), keys.heads(unit), keys.lines(unit),
        keys.due(unit),
    ]  # fmt: skip
    args: list[scripts.Argument] = ["" if now_us is None else now_us, keys.record(""), where, skip, ROWS]
    dropped, passed, more = scripts.load("scheduler", "clear").run(client, names, args)
    return int(dropped), int(passed), bool(more)


def _lists(client: redis.Redis, unit: str) -> list[str]:
    """Return the lists of ids that are due, and of those that are held aside."""
    marks: Any = client.hkeys(keys.held(unit))
    steps = [class_.priority for class_ in MessageClass]
    held = [keys.held_rows(unit, _text(mark), step) for mark in marks for step in steps]
    return [*(keys.due_line(unit, step) for step in steps), *held]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
