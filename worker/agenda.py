"""When is each number to be asked again whether something may leave?

One heap of next times for the whole process, because Celery's event loop fires only ten timers a turn. Times are the
process's monotonic clock, in microseconds. Rings come from other threads; everything else from the event loop.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterable

#: A ring means: at once.
NOW = 0


class Agenda:
    """The next time to ask for each number that this process serves. A number that sleeps is woken by a ring."""

    def __init__(self) -> None:
        # Celery cancels its queues in a signal's handler, which may have interrupted this very thread inside the lock.
        self._lock = threading.RLock()
        self._next: dict[str, int] = {}
        self._asleep: set[str] = set()
        self._heap: list[tuple[int, str]] = []

    def numbers(self) -> list[str]:
        """Return the numbers that are served, in no order."""
        with self._lock:
            return [*self._next, *self._asleep]

    def serve(self, number: str) -> None:
        """Begin to serve a number: it is asked at once."""
        with self._lock:
            self._set(number, NOW)

    def drop(self, number: str) -> None:
        """Serve a number no longer."""
        with self._lock:
            self._next.pop(number, None)
            self._asleep.discard(number)

    def ring(self, numbers: Iterable[str]) -> None:
        """Ask these numbers at once, if they are served."""
        with self._lock:
            for number in numbers:
                if number in self._next or number in self._asleep:
                    self._set(number, NOW)

    def later(self, number: str, at_us: int | None) -> None:
        """Ask again at `at_us`, or sleep until it rings (None). A ring that came meanwhile is kept."""
        with self._lock:
            if self._next.get(number) == NOW:
                return
            if at_us is None:
                if self._next.pop(number, None) is not None:
                    self._asleep.add(number)
            elif number in self._next or number in self._asleep:
                self._set(number, at_us)

    def due(self, now_us: int, *, most: int) -> list[str]:
        """Return the numbers to ask now, longest due first; they sleep until `later` says otherwise."""
        due: list[str] = []
        with self._lock:
            while self._heap and self._heap[0][0] <= now_us and len(due) < most:
                at, number = heapq.heappop(self._heap)
                if self._next.get(number) == at:
                    del self._next[number]
                    self._asleep.add(number)
                    due.append(number)
        return due

    def next_us(self) -> int | None:
        """Return when the next number is due, or None when all sleep."""
        with self._lock:
            while self._heap and self._next.get(self._heap[0][1]) != self._heap[0][0]:
                heapq.heappop(self._heap)
            return self._heap[0][0] if self._heap else None

    def _set(self, number: str, at_us: int) -> None:
        if self._next.get(number) != at_us:
            self._asleep.discard(number)
            self._next[number] = at_us
            heapq.heappush(self._heap, (at_us, number))
