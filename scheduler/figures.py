"""How does a number stand: what may it spend, what waits, what has it spent?

Read only, in a few round trips; every figure is the server's own at about one moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import redis

from headway import keys
from runtime.settings import Settings
from runtime.variables import TPS
from scheduler import control, estimate, shards
from scheduler.control import Live
from scheduler.rules import rules_of
from scheduler.unit_figures import UnitFigures, read_units, total


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberFigures:
    """One number at one moment. `waiting` is by class; `spent` are the events charged in the trailing window.

    With several shards TPS is that of each, the debt that of the one furthest behind, and all else the sum of all.
    """

    number: str
    tps_milli: int
    #: `live`, `workers` (the lowest that a running worker was started with), `default` or an environment variable.
    tps_from: str
    paused: bool
    #: Who changed something live last, and when (milliseconds since 1970); empty and 0 for nobody.
    by: str
    at_ms: int
    waiting: Mapping[str, int]
    leased: int
    deferred: int
    uncertain: int
    dead: int
    spent: int
    #: How far the container is behind, in milliseconds of its TPS.
    debt_ms: int
    #: Events so far, by kind: send, inbound, delivered, read.
    totals: Mapping[str, int]
    #: Requests that the provider accepted and of which nothing came back.
    silent_pushes: int = 0
    #: Sends that the floor let go, whatever window and debt said.
    by_floor: int = 0
    #: How often the loop guard let a contact rest.
    rested: int = 0
    #: Messages that a person holds aside, by campaign, tag, recipient or age.
    held: int = 0
    #: In how many seconds nothing of each class will wait; None: nobody knows.
    empty_in_s: Mapping[str, float | None] = field(default_factory=dict)
    #: Those in force, when there are several.
    shards: tuple[UnitFigures, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints and the HTTP API answers, keys in their documented order."""
        each = [{"shard": shard, **one.as_json()} for shard, one in enumerate(self.shards)]
        return {
            "number": self.number,
            "tps": rate(self.tps_milli),
            "tps_from": self.tps_from,
            "paused": self.paused,
            "by": self.by or None,
            "at_ms": self.at_ms or None,
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
            "empty_in_s": dict(self.empty_in_s),
            **({"shards": each} if each else {}),
        }


def rate(milli: int) -> int | float:
    """Return thousandths as the number that people write: 10000 is 10, 500 is 0.5."""
    return milli // 1000 if milli % 1000 == 0 else milli / 1000


def read(client: redis.Redis, settings: Settings, number: str) -> NumberFigures:
    """Return the figures of a number. Raises SettingError when it isn't one."""
    live = control.read(client, number)
    tps_milli, tps_from = allowed(live, settings, number)
    agreed = shards.read(client, number)
    units = agreed.all_units(number)
    found = dict(zip(units, read_units(client, units, tps_milli, now_us=server_now_us(client)), strict=True))
    all_of_it = total(list(found.values()))
    in_force = agreed.units(number)
    rules = rules_of(settings.number(number), lease_ttl_ms=settings.lease_ttl_ms)
    return NumberFigures(
        number=number,
        tps_milli=tps_milli,
        tps_from=tps_from,
        paused=live.paused,
        by=live.by,
        at_ms=live.at_ms,
        waiting=all_of_it.waiting,
        leased=all_of_it.leased,
        deferred=all_of_it.deferred,
        uncertain=all_of_it.uncertain,
        dead=all_of_it.dead,
        spent=all_of_it.spent,
        debt_ms=all_of_it.debt_ms,
        totals=all_of_it.totals,
        silent_pushes=all_of_it.silent_pushes,
        by_floor=all_of_it.by_floor,
        rested=all_of_it.rested,
        held=all_of_it.held,
        empty_in_s=estimate.until_empty(client, rules, in_force),
        shards=tuple(found[unit] for unit in in_force) if len(in_force) > 1 else (),
    )


def allowed(live: Live, settings: Settings, number: str) -> tuple[int, str]:
    """Return the TPS that holds, in thousandths, and where it comes from; as the lease decides it."""
    if live.tps_milli:
        return live.tps_milli, "live"
    ours = settings.number(number).tps_milli
    # Running workers hold what they were started with, whatever this command's environment says.
    if live.lowest_declared_milli and live.lowest_declared_milli != ours:
        return live.lowest_declared_milli, "workers"
    return ours, source(settings, number)


def source(settings: Settings, number: str) -> str:
    """Return the variable that gives a number its TPS in this environment, or `default`."""
    return settings.source(TPS, number)


def known(client: redis.Redis, settings: Settings, number: str) -> bool:
    """Whether anybody has heard of a number: HEADWAY_NUMBERS, a worker, a publisher or the meter."""
    traces = [*keys.lanes(number), keys.declared(number), keys.meter(number), keys.settings(number), keys.kept(number)]
    traces.append(keys.shards(number))
    return number in settings.numbers or bool(client.exists(*traces))


def server_now_us(client: redis.Redis) -> int:
    """Return the server's time in microseconds since 1970."""
    seconds, micros = client.time()
    return int(seconds) * 1_000_000 + int(micros)
