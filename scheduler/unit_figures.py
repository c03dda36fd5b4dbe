"""How does each unit of a number stand, and how do all of them together?

A unit is the number itself or one of its shards, those of former numbers of shards too: what still lies there counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from headway import keys
from headway.classes import MessageClass
from scheduler import meter

#: Answers of the server for each unit: four lanes, who stands behind in each and what is due, leased, deferred,
#: uncertain, dead, held, window, meter.
_ANSWERS = 19


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFigures:
    """One unit at one moment. `waiting` is by class, `spent` are the events charged in the trailing window, `debt_ms`
    how far its container is behind, in milliseconds of its TPS; `totals` are the events so far, by kind.
    """

    waiting: Mapping[str, int]
    leased: int
    deferred: int
    uncertain: int
    dead: int
    spent: int
    debt_ms: int
    totals: Mapping[str, int]
    #: Requests that the provider accepted and of which nothing came back.
    silent_pushes: int = 0
    #: Sends that the floor let go, whatever window and debt said.
    by_floor: int = 0
    #: How often the loop guard let a contact rest.
    rested: int = 0
    #: Rows that a person holds aside.
    held: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the figures by name, in their documented order."""
        return {
            "waiting": dict(self.waiting),
            "leased": self.leased,
            "deferred": self.deferred,
            "uncertain": self.uncertain,
            "dead": self.dead,
            "spent": self.spent,
            "debt_ms": self.debt_ms,
            "totals": dict(self.totals),
            "silent_pushes": self.silent_pushes,
            "by_floor": self.by_floor,
            "rested": self.rested,
            "held": self.held,
        }


def read_units(client: redis.Redis, units: Sequence[str], tps_milli: int, *, now_us: int) -> list[UnitFigures]:
    """Return the figures of units in one round trip; `tps_milli` is the TPS of each, `now_us` the server's time."""
    window_us = max(1_000_000, -(-1_000_000_000 // tps_milli))
    with client.pipeline(transaction=False) as pipe:
        for unit in units:
            for lane in keys.lanes(unit):
                pipe.llen(lane)
            for class_ in MessageClass:  # those that stand behind another one to the same recipient wait too
                pipe.zlexcount(keys.lines(unit), f"[{class_.priority}:", f"({class_.priority};")
            for class_ in MessageClass:  # and those whose time has come, that are on their way to the lane
                pipe.llen(keys.due_line(unit, class_.priority))
            pipe.hlen(keys.leased(unit))
            for parked in (keys.deferred, keys.uncertain, keys.dead):
                pipe.zcard(parked(unit))
            pipe.hvals(keys.held(unit))
            # The meter's own running total is brought up to date by the next lease only: an idle unit's is old.
            pipe.zrange(keys.window(unit), f"({now_us - window_us}", "+inf", byscore=True)
            pipe.hgetall(keys.meter(unit))
        found = pipe.execute()
    starts = range(0, len(found), _ANSWERS)
    return [_figures(found[start : start + _ANSWERS], tps_milli, now_us) for start in starts]


def total(units: Sequence[UnitFigures]) -> UnitFigures:
    """Return the sum of all units; of their debts the longest, for they are worked off side by side."""
    return UnitFigures(
        waiting=_sum([one.waiting for one in units]),
        leased=sum(one.leased for one in units),
        deferred=sum(one.deferred for one in units),
        uncertain=sum(one.uncertain for one in units),
        dead=sum(one.dead for one in units),
        spent=sum(one.spent for one in units),
        debt_ms=max(one.debt_ms for one in units),
        totals=_sum([one.totals for one in units]),
        silent_pushes=sum(one.silent_pushes for one in units),
        by_floor=sum(one.by_floor for one in units),
        rested=sum(one.rested for one in units),
        held=sum(one.held for one in units),
    )


def _figures(answers: Sequence[Any], tps_milli: int, now_us: int) -> UnitFigures:
    *counts, window, fields = answers
    spent = meter.spent_of(fields)
    drained_ue = max(0, now_us - spent.backlog_at_us) * tps_milli // 1000
    return UnitFigures(
        waiting={class_.value: counts[i] + counts[4 + i] + counts[8 + i] for i, class_ in enumerate(MessageClass)},
        leased=counts[12],
        deferred=counts[13],
        uncertain=counts[14],
        dead=counts[15],
        spent=sum(int(entry.rpartition(b":")[2]) for entry in window),
        debt_ms=max(0, spent.backlog_ue - drained_ue) // tps_milli,
        totals={"send": spent.send, "inbound": spent.inbound, "delivered": spent.delivered, "read": spent.read},
        silent_pushes=spent.silent_pushes,
        by_floor=spent.by_floor,
        rested=spent.rested,
        held=sum(map(int, counts[16])),
    )


def _sum(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    return {name: sum(part[name] for part in parts) for name in parts[0]}
