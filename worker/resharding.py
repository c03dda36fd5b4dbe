"""How many shards has each number now, and what becomes of messages when that changes?

All processes agree on it in Redis (`scheduler.shards.agree`); a process whose number has several says so once a second,
others with each declaration. While former units are not empty nothing is sorted, so that what waits there, which is
older, stays ahead. Rows that leases of former units hand back later are moved too, until nobody holds such a lease.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import redis

from headway import keys
from runtime.scripts import run_all
from runtime.telemetry import Event, get_logger
from scheduler import control, shards
from scheduler.shards import Agreed
from worker.engine import Engine
from worker.lookout import AT_ONCE, Lookout

#: Drains of one unit in one go: many rows, and still well below the deadlines of the leases that the keeper renews.
DRAINS_AT_ONCE = 200

#: What `agree` answers of a number that has one shard, and never had others.
ALONE = (1, 0, 1)

#: Between two looks at a number of which it isn't known yet how many shards it has.
UNDECIDED_US = 100_000

log = get_logger("worker")


class Resharding:
    """What one process knows of the shards of its numbers; used by the keeper's thread alone."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._client = engine.client
        self._known: dict[str, Agreed] = {}
        self._told: dict[str, int] = {}
        self._said: set[tuple[str, str]] = set()
        self._again_us = 0
        #: Another one whenever something else is known.
        self.version = 0

    def all_units(self, number: str) -> tuple[str, ...]:
        """Return every unit of a number that may hold something."""
        known = self._known.get(number)
        return known.all_units(number) if known else (number,)

    def agree(self, numbers: Sequence[str]) -> None:
        """Say what our environment gives these numbers, learn what is in force, and ask those units from now on."""
        if not numbers:
            return
        plain = set(self._plain(numbers))
        for number in plain:
            self._learn(number, 1, ALONE)
        numbers = [number for number in numbers if number not in plain]
        ours = [self._engine.rules(number).shards for number in numbers]
        calls = [shards.agree(n, self._engine.holder, own) for n, own in zip(numbers, ours, strict=True)]
        for number, own, reply in zip(numbers, ours, run_all(self._client, calls) if calls else [], strict=True):
            self._learn(number, own, reply)

    def _plain(self, numbers: Sequence[str]) -> list[str]:
        """Return those that have one shard, and never had others: they have no key, as `agree` guarantees."""
        single = [number for number in numbers if self._engine.rules(number).shards == 1]
        busy = set(Lookout(single, lambda number: (keys.shards(number),)).busy(self._client))
        return [number for number in single if number not in busy]

    def turn(self, undecided: Sequence[str], now_us: int) -> None:
        """Find out about numbers of which nobody has said yet how many shards they have."""
        if undecided and now_us >= self._again_us:
            self._again_us = now_us + UNDECIDED_US
            # First its TPS: who has declared that, and says nothing of shards, means one.
            rules = [self._engine.rules(number) for number in undecided]
            parts = [rules[start : start + AT_ONCE] for start in range(0, len(rules), AT_ONCE)]
            run_all(self._client, [control.declare_all(part, self._engine.holder) for part in parts])
            self.agree(undecided)
            self.empty_former()

    def empty_former(self) -> None:
        """Move what waits in units that are no longer in force; with shards this also renews what we agreed on."""
        several = [number for number in self._engine.agenda.numbers() if self._has_several(number)]
        for number in several:
            known = self._known.get(number)
            if known is None:
                continue
            if self._drain(number, known) and known.moving:
                own = self._engine.rules(number).shards
                call = shards.agree(number, self._engine.holder, own, emptied=known.in_force)
                self._learn(number, own, run_all(self._client, [call])[0])
        self.agree(several)

    def leave(self) -> None:
        """Say that this process serves its numbers no more; if the server is away, it notices by itself."""
        with suppress(redis.RedisError, OSError):
            shards.leave(self._client, list(self._known), self._engine.holder)

    def _has_several(self, number: str) -> bool:
        known = self._known.get(number)
        return self._engine.rules(number).shards > 1 or (known is not None and known.used != (1,))

    def _learn(self, number: str, own: int, reply: Any) -> None:
        if self._refused(number, "agree", reply):
            return
        agreed = shards.agreed(reply)
        before = self._known.get(number)
        if before != agreed:
            self._known[number] = agreed
            self.version += 1
        if agreed.in_force < own and self._told.get(number) != agreed.in_force:
            log.warning(Event.SHARDS_DIFFER, number=number, ours=own, fewest=agreed.in_force)
        self._told[number] = agreed.in_force
        if before is not None and before.in_force != agreed.in_force:
            log.info(Event.SHARDS_CHANGE, number=number, shards=agreed.in_force)
        agenda = self._engine.agenda
        units = () if agreed.moving else agreed.units(number)
        if number in agenda and agenda.units(number) != units:
            agenda.serve(number, units)
            self._engine.ring([number])

    def _drain(self, number: str, known: Agreed) -> bool:
        """Move what waits in former units; whether all of them are empty now."""
        empty, moved = True, 0
        for unit, count in known.former(number):
            for _ in range(DRAINS_AT_ONCE):
                (reply,) = run_all(self._client, [shards.drain(unit, count)])
                if self._refused(number, "drain", reply):
                    return False
                moved += reply[0]
                if not reply[1]:
                    break
            else:
                empty = False
        if moved:
            self._engine.ring([number])
        return empty

    def _refused(self, number: str, script: str, reply: Any) -> bool:
        """Whether the server refused this number's script: said once, and tried again while the others go on."""
        refused = isinstance(reply, redis.ResponseError)
        if refused and (number, script) not in self._said:
            log.error(Event.SCRIPT_REFUSED, number=number, script=script, error=str(reply))
        (self._said.add if refused else self._said.discard)((number, script))
        return refused
