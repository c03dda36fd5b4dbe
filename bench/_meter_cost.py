"""What does one lease cost, and one count, however many messages wait?

On one connection to a server on loopback, one call after the other: the time as its caller has it, from building the
call to its answer read. After each lease its rows go back, outside the time, so that as many wait for the next one.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import redis

from bench._ground import NUMBER, TEXT
from bench._meter_figures import BULK, ONE_EVENT, ONE_ROW, TEN_ROWS, WAIT, Cost, cost
from delivery.settle import Ending, end
from headway import Message, MessageClass, keys
from headway.envelope import new_id, seal
from runtime.scripts import Call, run_all
from scheduler import leases, meter
from scheduler.decisions import Grant, Wait
from scheduler.rules import NumberRules

#: Far above reach, so that every lease is granted.
FREE = NumberRules(
    number=NUMBER, tps_milli=10_000_000_000, guard_us=20_000, headroom_ppm=0, in_flight=25, lease_ttl_us=10_000_000,
    max_rows=1,
)  # fmt: skip
#: One event in 100 seconds: after the first lease every other one must wait.
FULL = replace(FREE, tps_milli=10)

ROUNDS, CALLS, WARM = 3, 1000, 50
#: As webhooks come in when many do: so many events in one count, so many counts in one round trip.
EVENTS, COUNTS, TRIPS = 60, 10, 50

_serial = itertools.count()


def fill(client: redis.Redis, count: int) -> Iterator[int]:
    """Put ready-made envelopes on the number's normal lane, as a stock publisher does; say how many there are."""
    lane = keys.lane(NUMBER, MessageClass.NORMAL)
    own_id, own_to = new_id(), "39333000000000"
    sealed = seal(NUMBER, own_id, Message(to=own_to, text=TEXT))
    envelope = sealed.decode() if isinstance(sealed, bytes) else sealed
    have = int(client.llen(lane))
    for start in range(have, count, 5000):
        wanted = range(start, min(count, start + 5000))
        client.lpush(lane, *(envelope.replace(own_id, new_id()).replace(own_to, f"39333{n:09d}") for n in wanted))
        yield wanted.stop


def costs(client: redis.Redis, waiting: int) -> list[Cost]:
    """Measure each kind of call with so many messages waiting; the lane holds as many as before afterwards."""
    found = [
        _leases(client, ONE_ROW, waiting, rows=1),
        _leases(client, TEN_ROWS, waiting, rows=10),
        _waits(client, waiting),
        cost(ONE_EVENT, waiting=waiting, rounds=_rounds(lambda: _took_ns(client, _count(1)))),
        cost(BULK, waiting=waiting, rounds=[_bulk(client) for _ in range(ROUNDS)], events=EVENTS * COUNTS),
    ]
    if (left := int(client.llen(keys.lane(NUMBER, MessageClass.NORMAL)))) != waiting:
        sys.exit(f"bench: {left} messages wait where {waiting} should")
    return found


def _rounds(measure: Callable[[], int]) -> list[list[int]]:
    for _ in range(WARM):
        measure()
    return [[measure() for _ in range(CALLS)] for _ in range(ROUNDS)]


def _took_ns(client: redis.Redis, build: Callable[[], Call]) -> int:
    began_ns = time.perf_counter_ns()
    call = build()
    call.script.run(client, call.keys, call.args)
    return time.perf_counter_ns() - began_ns


def _leases(client: redis.Redis, what: str, waiting: int, *, rows: int) -> Cost:
    rules = replace(FREE, max_rows=rows)

    def measure() -> int:
        lease_id, grant, took_ns = _lease(client, rules)
        if not isinstance(grant, Grant) or len(grant.rows) != rows:
            sys.exit(f"bench: {what}: not granted but {grant}")
        _give_back(client, lease_id, [row.id for row in grant.rows])
        return took_ns

    return cost(what, waiting=waiting, rounds=_rounds(measure))


def _waits(client: redis.Redis, waiting: int) -> Cost:
    held_id, grant, _ = _lease(client, FULL)
    if not isinstance(grant, Grant):
        sys.exit(f"bench: {WAIT}: the first was not granted but {grant}")

    def measure() -> int:
        _, wait, took_ns = _lease(client, FULL)
        if not isinstance(wait, Wait):
            sys.exit(f"bench: {WAIT}: granted after the first")
        return took_ns

    found = cost(WAIT, waiting=waiting, rounds=_rounds(measure))
    _give_back(client, held_id, [row.id for row in grant.rows])
    return found


def _lease(client: redis.Redis, rules: NumberRules) -> tuple[str, object, int]:
    """Lease once: the lease's id, the decision, and what it took in nanoseconds."""
    lease_id = f"bench-{next(_serial)}"
    began_ns = time.perf_counter_ns()
    call = leases.lease(rules, lease_id, "bench")
    reply = call.script.run(client, call.keys, call.args)
    took_ns = time.perf_counter_ns() - began_ns
    return lease_id, leases.decision(reply), took_ns


def _give_back(client: redis.Redis, lease_id: str, rows: Sequence[str]) -> None:
    call = end(NUMBER, lease_id, rows, when=Ending.UNBEGUN, why="measured", record_ttl_s=60)
    call.script.run(client, call.keys, call.args)


def _count(events: int) -> Callable[[], Call]:
    return lambda: meter.count(FREE, [meter.Event(f"e{next(_serial)}", meter.Kind.DELIVERED) for _ in range(events)])


def _bulk(client: redis.Redis) -> list[int]:
    """Nanoseconds of each round trip of many counts of many events."""
    build, took_ns = _count(EVENTS), []
    for _ in range(TRIPS):
        began_ns = time.perf_counter_ns()
        replies = run_all(client, [build() for _ in range(COUNTS)])
        took_ns.append(time.perf_counter_ns() - began_ns)
        if replies != [EVENTS] * COUNTS:
            sys.exit(f"bench: counts: not {EVENTS} new events each but {replies[:3]}")
    return took_ns
