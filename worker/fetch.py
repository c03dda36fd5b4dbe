"""What does one fetch ask the server, and what follows from its answers?

One fetch pipelines the lease scripts of all numbers that are due, or of their shards; where something new waits, the
number's own lanes are sorted onto those of its shards first, in the same round trip. A lease id is chosen before the
question and kept until it is answered: after a reconnect the same question gets the same answer, and nothing is left in
a dead socket.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis.exceptions import NoScriptError

from headway import keys
from runtime.clock import Clock
from runtime.scripts import Call
from runtime.telemetry import Event, get_logger
from scheduler import leases, shards
from scheduler.decisions import Because, Grant, Refuse, Wait
from scheduler.rules import NumberRules
from worker.agenda import Agenda
from worker.parcel import TAG, Leased
from worker.registry import HeldLease, Registry

#: Units asked in one fetch: their rows travel in one Celery message.
UNITS_A_FETCH = 32

#: A unit that is due so soon is asked now: the loop's timers are no finer.
EARLY_US = 500

#: How long to leave a number alone after the server refused its script.
REFUSED_US = 1_000_000

log = get_logger("worker")


class Fetch:
    """The questions of one process. `full(unit)`: whether it may hold no further lease of a unit just now."""

    def __init__(
        self,
        holder: str,
        *,
        agenda: Agenda,
        registry: Registry,
        clock: Clock,
        rules: Callable[[str], NumberRules],
        full: Callable[[str], bool],
    ) -> None:
        self.holder = holder
        self._agenda = agenda
        self._registry = registry
        self._clock = clock
        self._rules = rules
        self._full = full
        self._filled: set[str] = set()
        self._serial = itertools.count(1)
        self._sorted: list[str] = []
        self._asked: list[str] = []
        self._pending: dict[str, str] = {}
        #: The last question about each unit, and the rules that it was built by.
        self._built: dict[str, tuple[NumberRules, Call]] = {}
        self._forgotten = False

    def questions(self) -> list[Call]:
        """Return the calls to make now: sorts, then leases; none when no number is due."""
        due = self._agenda.due(self._clock.monotonic_us() + EARLY_US, most=UNITS_A_FETCH)
        self._sorted, self._asked = self._agenda.unsorted(due), []
        for unit in due:
            # A full unit sleeps here: the end of a lease of its number rings. Who ends one looks at `_filled` after it,
            # and we look for room after the unit stands there: one of both sees it.
            self._filled.add(unit)
            if not self._full(unit):
                self._filled.discard(unit)
                self._asked.append(unit)
        sorts = [shards.sort(number, len(self._agenda.units(number))) for number in self._sorted]
        return [*sorts, *(self._question(unit) for unit in self._asked)]

    def filled(self, unit: str) -> list[str]:
        """Return the units of its number that were last found full: what ends of this one may make room for them."""
        if not self._filled:
            return []
        number = keys.number_of_unit(unit)
        return [other for other in list(self._filled) if keys.number_of_unit(other) == number]

    def commands(self, calls: Sequence[Call]) -> list[list[Any]]:
        """Return the words of the Redis commands; with the whole source after the server forgot a script."""
        commands = [call.command() for call in calls]
        if self._forgotten:
            self._forgotten = False
            for command, call in zip(commands, calls, strict=True):
                command[:2] = ["EVAL", call.script.source]
        return commands

    def answers(self, replies: Sequence[Any]) -> tuple[str, list[Leased]]:
        """Take the replies to the last questions, in order; return the tag and the leases of what was granted."""
        tag = f"{TAG}{self.holder}-{next(self._serial)}"
        granted = []
        for number, reply in zip(self._sorted, replies, strict=False):
            self._sort_answer(number, reply)
        for unit, reply in zip(self._asked, replies[len(self._sorted) :], strict=True):
            lease = self._answer(unit, reply)
            if lease is not None:
                granted.append(lease)
        if granted:
            self._registry.hold(tag, (HeldLease(o.number, o.lease_id, tuple(r.id for r in o.rows)) for o in granted))
        self._sorted, self._asked = [], []
        return tag, granted

    def unanswered(self) -> None:
        """Ask the same again as soon as there is a connection: the answers were lost with the last one."""
        self._agenda.ring([*self._sorted, *self._asked])
        self._sorted, self._asked = [], []

    def unread(self) -> list[HeldLease]:
        """Return the leases that were asked for and never read: whether they were granted, only the server knows."""
        return [HeldLease(number, lease_id, ()) for number, lease_id in self._pending.items()]

    def _question(self, unit: str) -> Call:
        lease_id = self._pending.get(unit) or f"{self.holder}-{next(self._serial)}"
        self._pending[unit] = lease_id
        rules, asked = self._rules(unit), self._built.get(unit)
        if asked is None or asked[0] is not rules:
            asked = self._built[unit] = rules, leases.lease(rules, lease_id, self.holder)
        return leases.again(asked[1], lease_id)

    def _sort_answer(self, number: str, reply: Any) -> None:
        if isinstance(reply, redis.RedisError):
            self._refused(number, reply, script="sort")
            return
        done = shards.sorted_(reply)
        if done.in_force != len(self._agenda.units(number)):
            # The keeper finds out what holds by now; until then none of its units is asked.
            self._agenda.serve(number, ())
        elif done.more:
            self._agenda.ring([number])

    def _answer(self, number: str, reply: Any) -> Leased | None:
        if isinstance(reply, redis.RedisError):
            self._refused(number, reply, script="lease")
            return None
        now_us = self._clock.monotonic_us()
        match leases.decision(reply):
            case Grant(rows=rows) as grant:
                log.debug(Event.LEASE_GRANTED, number=number, rows=len(rows), charged=grant.charged)
                ask_in_us = max(0, grant.next_us - grant.now_us)
                self._agenda.later(number, now_us + ask_in_us if grant.next_us else None)
                return Leased(number, self._pending.pop(number), self.holder, rows)
            case Wait(because=Because.AGAIN):
                self._agenda.later(number, now_us)
            case Wait(until_us=0):
                self._agenda.later(number, None)
            case Wait(until_us=until, now_us=server_now):
                self._agenda.later(number, now_us + max(0, until - server_now))
            case Refuse():
                # The person who lets it go on rings the doorbell.
                self._agenda.later(number, None)
        return None

    def _refused(self, number: str, error: redis.RedisError, *, script: str) -> None:
        if isinstance(error, NoScriptError):
            self._forgotten = True
            if script == "sort":  # to be sorted once more, not only asked
                self._agenda.ring([number])
            self._agenda.later(number, self._clock.monotonic_us())
            return
        # What isn't sorted now, the keeper's sweep rings for within a second.
        log.error(Event.SCRIPT_REFUSED, number=number, script=script, error=str(error))
        self._agenda.later(number, self._clock.monotonic_us() + REFUSED_US)
