"""When is each number to be asked again whether something may leave?

What is asked is a unit: the number itself, or each of its shards. One heap of next times for the whole process, because
Celery's event loop fires only ten timers a turn. Times are the process's monotonic clock, in microseconds. Rings come
from other threads; everything else from the event loop.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterable, Sequence

from headway import keys

#: A ring means: at once.
NOW = 0


class Agenda:
    """The next time to ask for each unit of the numbers that this process serves. One that sleeps is woken by a ring.

    A number may be served without units: then nobody has said yet how many shards it has, and it isn't asked.
    """

    def __init__(self) -> None:
        # Celery cancels its queues in a signal's handler, which may have interrupted this very thread inside the lock.
        self._lock = threading.RLock()
        self._units: dict[str, tuple[str, ...]] = {}
        self._unsorted: set[str] = set()
        self._next: dict[str, int] = {}
        self._asleep: set[str] = set()
        self._heap: list[tuple[int, str]] = []
        #: Another one whenever other numbers, or other units of them, are served.
        self.version = 0

    def __contains__(self, number: str) -> bool:
        with self._lock:
            return number in self._units

    def numbers(self) -> list[str]:
        """Return the numbers that are served, in no order."""
        with self._lock:
            return list(self._units)

    def units(self, number: str) -> tuple[str, ...]:
        """Return the units of a number that are asked; none while it isn't known how many it has, or isn't served."""
        with self._lock:
            return self._units.get(number, ())

    def undecided(self) -> list[str]:
        """Return the numbers of which nobody has said yet how many shards they have."""
        with self._lock:
            return [number for number, units in self._units.items() if not units]

    def serve(self, number: str, units: Sequence[str] | None = None) -> None:
        """Begin to serve a number, which is its own unit unless others are named: all are asked at once.

        Called again, it asks these units instead of the ones before.
        """
        with self._lock:
            self.drop(number)
            self.version += 1
            self._units[number] = (number,) if units is None else tuple(units)
            self.ring([number])

    def drop(self, number: str) -> None:
        """Serve a number no longer."""
        with self._lock:
            self.version += 1
            self._unsorted.discard(number)
            for unit in self._units.pop(number, ()):
                self._next.pop(unit, None)
                self._asleep.discard(unit)

    def ring(self, names: Iterable[str]) -> None:
        """Ask these numbers, or single units of them, at once, if they are served.

        A number rings when something new may wait on its own lanes: with several shards it is sorted first.
        """
        with self._lock:
            for name in names:
                units = self._units.get(name)
                if units is not None and units != (name,):
                    self._unsorted.add(name)
                for unit in (name,) if units is None else units:
                    if unit in self._next or unit in self._asleep or units is not None:
                        self._set(unit, NOW)

    def forgetful(self, units: Iterable[str], until_us: int) -> list[str]:
        """Return those of these units that sleep or are asked after `until_us` only."""
        with self._lock:
            asked = self._next
            return [unit for unit in units if unit in self._asleep or asked.get(unit, NOW) > until_us]

    def later(self, unit: str, at_us: int | None) -> None:
        """Ask again at `at_us`, or sleep until it rings (None). A ring that came meanwhile is kept."""
        with self._lock:
            if self._next.get(unit) == NOW:
                return
            if at_us is None:
                if self._next.pop(unit, None) is not None:
                    self._asleep.add(unit)
            elif unit in self._next or unit in self._asleep:
                self._set(unit, at_us)

    def due(self, now_us: int, *, most: int) -> list[str]:
        """Return the units to ask now, longest due first; they sleep until `later` says otherwise."""
        due: list[str] = []
        with self._lock:
            while self._heap and self._heap[0][0] <= now_us and len(due) < most:
                at, unit = heapq.heappop(self._heap)
                if self._next.get(unit) == at:
                    del self._next[unit]
                    self._asleep.add(unit)
                    due.append(unit)
        return due

    def unsorted(self, units: Iterable[str]) -> list[str]:
        """Return those numbers of the units whose own lanes are to be sorted first; each is returned once a ring."""
        with self._lock:
            if not self._unsorted:
                return []
            numbers = [number for number in dict.fromkeys(map(keys.number_of_unit, units)) if number in self._unsorted]
            self._unsorted.difference_update(numbers)
            return numbers

    def next_us(self) -> int | None:
        """Return when the next unit is due, or None when all sleep."""
        with self._lock:
            while self._heap and self._next.get(self._heap[0][1]) != self._heap[0][0]:
                heapq.heappop(self._heap)
            return self._heap[0][0] if self._heap else None

    def _set(self, unit: str, at_us: int) -> None:
        if self._next.get(unit) != at_us:
            self._asleep.discard(unit)
            self._next[unit] = at_us
            heapq.heappush(self._heap, (at_us, unit))
