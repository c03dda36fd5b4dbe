"""What does one worker process share between Celery's event loop, its pool and our threads?"""

from __future__ import annotations

import os
import queue
import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import redis

from headway import keys
from runtime.clock import Clock, SystemClock
from runtime.scripts import Call
from scheduler.rules import NumberRules
from worker.agenda import Agenda
from worker.fetch import EARLY_US, Fetch
from worker.parcel import Leased
from worker.registry import HeldLease, Registry

#: A unit that asks within this time need not be reminded.
SOON_US = 1_000_000


class Alarm(Protocol):
    """Celery's event loop, as far as it concerns us."""

    def wake(self) -> None:
        """Turn the loop once; from any thread."""
        ...

    def wake_at(self, at_us: int, now_us: int) -> None:
        """Turn the loop at a time; from its own thread."""
        ...


class Engine:
    """The agenda, the registry and the fetch of one worker process. `rules`: those of a number, or of a unit of it.

    `slots`: parcels that the pool works on at a time. With several numbers, one may hold a quarter of them at the most,
    so that a slow provider fills its own share and no other number waits behind it.
    """

    def __init__(
        self, client: redis.Redis, rules: Callable[[str], NumberRules], *, slots: int, clock: Clock | None = None
    ) -> None:
        self.client = client
        self.rules = rules
        self.clock = clock or SystemClock()
        self.holder = f"{os.getpid()}-{secrets.token_hex(4)}"
        self.agenda = Agenda()
        self.registry = Registry()
        self.fetch = Fetch(
            self.holder,
            agenda=self.agenda,
            registry=self.registry,
            clock=self.clock,
            rules=rules,
            full=self.full,
        )
        self._stopping = False
        self._giving_up = False
        self.slots = slots
        self._alarm: Alarm | None = None
        self._released: list[HeldLease] = []
        self._released_lock = threading.Lock()
        #: What wakes the keeper. Unlike a condition it may be written to in a signal's handler.
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()

    @property
    def stopping(self) -> bool:
        """Lease no more.

        Set in a signal's handler, which may have interrupted whoever holds one of our locks: no more than this and
        `giving_up` is done there, the keeper does the rest.
        """
        return self._stopping

    @stopping.setter
    def stopping(self, on: bool) -> None:
        self._stopping = on
        self._news.put(None)

    @property
    def giving_up(self) -> bool:
        """Give up what is held, too."""
        return self._giving_up

    @giving_up.setter
    def giving_up(self, on: bool) -> None:
        self._giving_up = on
        self._news.put(None)

    def full(self, unit: str) -> bool:
        """Whether this process holds as many leases of a unit, or parcels for its number, as it may."""
        number = keys.number_of_unit(unit)
        share = self.slots if len(self.agenda.numbers()) <= 1 else max(1, self.slots // 4)
        if number != unit and self.registry.parcels(number) >= share:
            return True
        return self.registry.count(unit) >= min(share, self.rules(unit).in_flight)

    def serve(self, number: str) -> None:
        """Begin to serve a number; it is asked as soon as the keeper has learned how many shards are in force."""
        if number in self.agenda:
            self.agenda.ring([number])
        else:
            self.agenda.serve(number, ())
            self._news.put(None)

    def attach(self, alarm: Alarm) -> None:
        """The event loop is there (again): after a reconnect everything is asked anew."""
        self._alarm = alarm
        self.ring(self.agenda.numbers())

    def questions(self) -> list[Call]:
        """Return the lease calls to make now, and see to it that the loop turns when the next is due."""
        if self.stopping:
            return []
        calls = self.fetch.questions()
        if not calls:
            self._arm(self.agenda.next_us(), self.clock.monotonic_us())
        return calls

    def answers(self, replies: Sequence[Any]) -> tuple[str, list[Leased]]:
        """Take the replies; see to it that the loop turns when the next number is due."""
        tag, leases = self.fetch.answers(replies)
        self._arm(self.agenda.next_us(), self.clock.monotonic_us())
        return tag, leases

    def unanswered(self) -> None:
        """The connection broke before the answers came."""
        self.fetch.unanswered()

    def ring(self, numbers: Sequence[str]) -> None:
        """Ask these numbers, or single units, at once; from any thread."""
        if numbers:
            self.agenda.ring(numbers)
            self.wake()

    def remind(self, units: Sequence[str]) -> None:
        """Something waits for these units: ask those that don't ask soon anyway. From any thread."""
        self.ring(self.agenda.forgetful(units, self.clock.monotonic_us() + SOON_US))

    def release(self, tag: str) -> None:
        """Celery is done with a parcel; leases that did not end with it are to be ended. From any thread."""
        held = self.registry.release(tag)
        if held:
            with self._released_lock:
                self._released += held
            self._news.put(None)
        self.ring([name for lease in held for name in (lease.number, *self.fetch.filled(lease.number))])

    def settled(self, tag: str, number: str, lease_id: str, *, back: bool = True) -> None:
        """A lease of a unit (`number`) has ended as it should. From any thread.

        `back`: some of its rows did not leave for good, so what the unit waits for may have changed. Else only who was
        full has reason to ask: the others know their time, and would ask in vain.
        """
        self.registry.settled(tag, lease_id)
        self.ring([*((number,) if back else ()), *self.fetch.filled(number)])

    def take_released(self, *, timeout_s: float) -> list[HeldLease]:
        """Return the leases to end, waiting so long at the most for them or for other news."""
        with suppress(queue.Empty):
            self._news.get(timeout=timeout_s)
            while True:
                self._news.get_nowait()
        with self._released_lock:
            released, self._released = self._released, []
            return released

    def rests(self, now_us: int) -> bool:
        """Whether nothing is due; if so, the loop turns when the next is. From the loop's own thread."""
        at_us = self.agenda.next_us()
        if at_us is None:
            return True
        if at_us <= now_us + EARLY_US:
            return False
        self._arm(at_us, now_us)
        return True

    def wake(self) -> None:
        """Turn the event loop once; from any thread."""
        if self._alarm is not None:
            self._alarm.wake()

    def _arm(self, at_us: int | None, now_us: int) -> None:
        if at_us is not None and self._alarm is not None and not self.stopping:
            self._alarm.wake_at(at_us, now_us)
