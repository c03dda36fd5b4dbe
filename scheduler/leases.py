"""How does a worker take, begin and keep a lease?

A lease is the messages that may leave now, taken from their lanes and charged to the meter in one atomic step.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import redis

from headway import keys
from priorities import table
from runtime import scripts
from runtime.scripts import Call
from scheduler.ahead import foresight
from scheduler.caps import holds
from scheduler.decisions import Because, Decision, Grant, LeasedRow, Refuse, Wait
from scheduler.rules import NumberRules

#: Stands for the account of a number without a quota: nothing is ever written there.
NO_ACCOUNT = "none"


class Begun(StrEnum):
    """What begin answers. Only BEGUN may send."""

    BEGUN = "begun"
    #: Somebody else has its rows by now.
    LOST = "lost"
    #: Somebody else holds the same lease and has begun it.
    TAKEN = "taken"
    #: It took too long to get here, or the provider asked for a pause meanwhile: its rows are back at the head of their
    #: lanes.
    STALE = "stale"
    #: A person paused the number meanwhile: its rows are back at the head of their lanes.
    PAUSED = "paused"


def lease(rules: NumberRules, lease_id: str, holder: str, *, now_us: int | None = None) -> Call:
    """Build the call that leases: never more than window and debt allow; safe to run twice with one lease id."""
    n = rules.number
    names = [
        *keys.lanes(n), keys.settings(n), keys.declared(n), keys.meter(n), keys.window(n), keys.leases(n),
        keys.deadlines(n), keys.leased(n), keys.deferred(n), keys.kept(n), keys.throttle(n), *request_logs(rules),
        keys.forecast(n), keys.cancelled(n), keys.marks(n), keys.held(n), keys.changes(n), keys.dead(n),
        keys.heads(n), keys.lines(n), keys.due(n), keys.resting(n), keys.capped(n, 0),
        keys.shards(n),
    ]  # fmt: skip
    quota = rules.quota
    args = [
        _time(now_us), lease_id, holder, rules.lease_ttl_us, rules.tps_milli, rules.guard_us, rules.headroom_ppm,
        rules.in_flight, rules.max_rows, rules.max_bytes,
        table.as_argument(rules.floor_ppm, order=rules.order, shares=rules.shares),
        quota.per_minute if quota else "", *foresight(rules), rules.calm_ppm, ",".join(rules.shape_fields),
        keys.record(""), *holds(rules, now_us),
    ]  # fmt: skip
    return Call(scripts.load("scheduler", "lease"), names, args)


def again(call: Call, lease_id: str) -> Call:
    """Build the call that asks for another lease by the same rules, from one that `lease` built."""
    now_us, _, *others = call.args
    return Call(call.script, call.keys, [now_us, lease_id, *others])


def decision(reply: Any) -> Decision:
    """Read what the lease script answered. Raises ValueError for an answer that it doesn't give."""
    match [_text(part) if index in (0, 3) else part for index, part in enumerate(reply[:4])]:
        case ["grant", int(now), int(deadline), charged]:
            parts = [_text(part) for part in reply[5:]]
            rows = (LeasedRow(parts[i], int(parts[i + 1]), *parts[i + 2 : i + 4]) for i in range(0, len(parts), 4))
            return Grant(now, deadline, int(charged), tuple(rows), int(reply[4]))
        case ["wait", int(now), int(until), because]:
            return Wait(now, until, Because(because))
        case ["refuse", int(now), because]:
            return Refuse(now, _text(because))
    raise ValueError(f"the lease script does not answer like this: {reply!r:.200}")


def begin(rules: NumberRules, lease_id: str, holder: str, token: str, *, now_us: int | None = None) -> Call:
    """Build the call that begins a lease: of all who hold it one begins, once; its charge stands at begin."""
    n = rules.number
    names = [
        *keys.lanes(n), keys.settings(n), keys.declared(n), keys.meter(n), keys.window(n), keys.leases(n),
        keys.deadlines(n), keys.leased(n), keys.throttle(n), keys.cancelled(n), keys.marks(n),
    ]  # fmt: skip
    args = [
        _time(now_us), lease_id, holder, token, rules.lease_ttl_us, rules.tps_milli, rules.guard_us, keys.record(""),
    ]  # fmt: skip
    return Call(scripts.load("scheduler", "begin"), names, args)


def begun(reply: Any) -> Begun:
    """Read what the begin script answered."""
    return Begun(_text(reply))


def renew(number: str, lease_ids: Sequence[str], ttl_us: int, *, now_us: int | None = None) -> Call:
    """Build the call that says that these leases' holder lives; it answers the ids that have ended."""
    return Call(scripts.load("scheduler", "renew"), [keys.deadlines(number)], [_time(now_us), ttl_us, *lease_ids])


def sweep(numbers: Sequence[str], *, now_us: int | None = None) -> Call:
    """Build the call that asks, for each number, whether something may leave (1), whether a holder is lost (2),
    whether the server's clock was set back so far that lost ones would not be found soon (4), and whether it has
    uncertain rows (8).
    """
    return Call(scripts.load("scheduler", "sweep"), [name for n in numbers for name in swept(n)], [_time(now_us)])


def swept(number: str) -> tuple[str, ...]:
    """Return the keys that a sweep looks at: a number that has none of them has nothing to do."""
    return (
        *keys.lanes(number),
        keys.deferred(number),
        keys.deadlines(number),
        keys.due(number),
        keys.uncertain(number),
        keys.held(number),
    )


def clamp(number: str, ttl_us: int, *, now_us: int | None = None) -> Call:
    """Build the call that brings deadlines nearer after the server's clock was set back; safe to run twice."""
    return Call(scripts.load("scheduler", "clamp"), [keys.deadlines(number)], [_time(now_us), ttl_us])


def lost(client: redis.Redis, number: str, *, most: int = 50) -> list[str]:
    """Return the ids of leases whose deadline has passed, longest ago first."""
    seconds, micros = client.time()
    now_us = seconds * 1_000_000 + micros
    found = client.zrange(keys.deadlines(number), "-inf", now_us, byscore=True, offset=0, num=most)
    return [_text(lease_id) for lease_id in found]


def request_logs(rules: NumberRules) -> list[str]:
    """Return the logs of an account's push requests: all of them, those that went alone, and who wants some."""
    account = rules.quota.account if rules.quota else NO_ACCOUNT
    return [keys.quota(account, name) for name in ("push", "push-alone", "push-wanting")]


def _time(now_us: int | None) -> str | int:
    return "" if now_us is None else now_us


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
