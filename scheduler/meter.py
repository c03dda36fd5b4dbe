"""What has a number spent, and how far behind is its container?

Two bounds, and both must fit. The *window*: events charged in the trailing max(1 s, 1/TPS) plus guard, at most TPS.
The *debt*: a leaky bucket (GCRA) that every event fills and TPS drains; events that nobody can refuse may push it
beyond one window's worth, sends may not. All four kinds of event count ("High volume messaging bots": the TPS is
calculated based on receiving, sending, delivery reports and read reports).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import redis

from headway import keys
from runtime import scripts
from runtime.scripts import Call
from scheduler.rules import NumberRules

#: Longer than any provider repeats an event: Picky for 8 hours, Meta for 7 days.
SEEN_TTL = timedelta(days=8)

#: Debt counts at most this many seconds of the TPS that holds, but no less than DEBT_CAP_EVENTS: the container's queue.
#: The provider says that there is one, and that inbound messages beyond it are lost for good, but not how long it is;
#: what is lost needn't be worked off. So a provider that repeats a day's events at once, without saying when they
#: happened (Picky never does), stops sends for half a minute and no longer.
DEBT_CAP_S = 30
DEBT_CAP_EVENTS = 100


class Kind(StrEnum):
    """What spends TPS without a lease, and can't be refused."""

    #: A reply in the app's answer to a webhook: the provider sends it at once, around every queue.
    SEND = "send"
    INBOUND = "inbound"
    DELIVERED = "delivered"
    READ = "read"


@dataclass(frozen=True, slots=True)
class Event:
    """An event that came in. `id` is the provider's own: counted once. `at_us`: when it happened, if we were told.

    `contact`: who it came from or goes to, or the group: with several shards it is counted on theirs.
    """

    id: str
    kind: Kind
    at_us: int | None = None
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Spent:
    """The meter's own record: totals by kind, charged in the window, and the debt in millionths of an event."""

    send: int
    inbound: int
    delivered: int
    read: int
    window: int
    backlog_ue: int
    backlog_at_us: int
    #: Requests that the provider accepted and of which nothing came back.
    silent_pushes: int = 0
    #: Sends that the floor let go.
    by_floor: int = 0
    #: How often the loop guard let a contact rest.
    rested: int = 0


def count(rules: NumberRules, events: Sequence[Event], *, now_us: int | None = None) -> Call:
    """Build the call that charges events that nobody can refuse; it answers how many were new. Safe to run twice."""
    n = rules.number
    names = [
        keys.settings(n), keys.declared(n), keys.meter(n), keys.window(n), keys.throttle(n),
        *(keys.seen(n, e.id) for e in events),
    ]  # fmt: skip
    args: list[scripts.Argument] = [
        "" if now_us is None else now_us, rules.tps_milli, rules.guard_us, int(SEEN_TTL.total_seconds()), DEBT_CAP_S,
        DEBT_CAP_EVENTS, ",".join(rules.counts),
    ]  # fmt: skip
    for event in events:
        args += [event.kind.value, "" if event.at_us is None else event.at_us]
    return Call(scripts.load("scheduler", "count"), names, args)


def spent(client: redis.Redis, number: str) -> Spent:
    """Read the meter as it was left by the last lease or count: what has left the window since still stands in it."""
    return spent_of(client.hgetall(keys.meter(number)))


def spent_of(fields: Mapping[bytes | str, bytes | str]) -> Spent:
    """Read the fields of a meter; there may be others that are no figures."""
    meter = {_text(name): _text(value) for name, value in fields.items()}
    return Spent(
        send=int(meter.get("send", 0)),
        inbound=int(meter.get("inbound", 0)),
        delivered=int(meter.get("delivered", 0)),
        read=int(meter.get("read", 0)),
        window=int(meter.get("window", 0)),
        backlog_ue=int(meter.get("backlog", 0)),
        backlog_at_us=int(meter.get("backlog_at", 0)),
        silent_pushes=int(meter.get("silent_pushes", 0)),
        by_floor=int(meter.get("floor", 0)),
        rested=int(meter.get("rested", 0)),
    )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
