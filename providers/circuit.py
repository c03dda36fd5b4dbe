"""May a provider's URL be tried now?

One circuit for each URL and process, whichever numbers use it: each process learns by itself that an address is down,
so no state is shared and none is stale. Closed: everything goes. Open: nothing goes until the next probe is due.
Half-open: one probe is under way, and all others wait for what becomes of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from runtime.clock import Clock, SystemClock
from runtime.telemetry import Event, get_logger

#: Requests in a row that left and brought no answer, or a server's error (5xx), before nothing more is risked: each
#: leaves its rows uncertain. An address that takes no connection opens at once: trying costs nothing then but time.
FAILURES = 3
#: Until the first probe; it doubles with each one that fails.
FIRST_REST = timedelta(seconds=1)
#: Longest time between two probes: what a provider that is back waits for us at most.
LONGEST_REST = timedelta(seconds=30)
#: How long others are told to wait for a probe that is under way.
PROBE_TAKES = timedelta(seconds=1)
#: Part of a rest by which it may be longer, so that not all processes come back at one moment.
JITTER = 0.2

_US = timedelta(microseconds=1)

log = get_logger("providers")


@dataclass(frozen=True, slots=True)
class Entry:
    """Leave to try a URL once. `probe`: the URL was down, so risk as little as can be."""

    url: str
    probe: bool
    #: Which stretch of the circuit's life it is from: what a request from before says is no news.
    generation: int


class Circuit:
    """The circuit of one URL. Not thread-safe: all provider calls of a process run on one event loop."""

    def __init__(
        self, url: str, *, clock: Clock | None = None, random_part: Callable[[], float] = random.random
    ) -> None:
        """Take the URL, for logs; `random_part` gives numbers from 0 to 1."""
        self.url = url
        self._clock = clock or SystemClock()
        self._random_part = random_part
        self._failed = 0
        self._generation = 0
        self._rest_us = 0
        self._until_us = 0
        self._opened_us = 0
        self._open = False
        self._probing = False

    @property
    def open(self) -> bool:
        """Whether the URL counts as down."""
        return self._open

    def enter(self) -> Entry | None:
        """Return leave to try the URL now, which must be ended by one of the three below; None: not now."""
        if not self._open:
            return Entry(self.url, probe=False, generation=self._generation)
        if self._probing or self._clock.monotonic_us() < self._until_us:
            return None
        self._probing = True
        return Entry(self.url, probe=True, generation=self._generation)

    def wait(self) -> timedelta:
        """Return how long to wait before asking again; nothing when the circuit is closed."""
        if not self._open:
            return timedelta()
        if self._probing:
            return PROBE_TAKES
        return max(timedelta(), (self._until_us - self._clock.monotonic_us()) * _US)

    def succeeded(self, entry: Entry) -> None:
        """The URL answered as it should: it is up."""
        if entry.generation != self._generation:
            return
        self._failed = 0
        if self._open:
            log.warning(
                Event.PROVIDER_BACK, url=self.url, away_ms=(self._clock.monotonic_us() - self._opened_us) // 1000
            )
            self._open = self._probing = False
            self._rest_us = 0
            self._generation += 1

    def failed(self, entry: Entry, problem: str, *, unreachable: bool = False) -> None:
        """The URL didn't answer, or not as it should. `unreachable`: it took no connection."""
        if entry.generation != self._generation:
            return
        self._failed += 1
        if self._open or unreachable or self._failed >= FAILURES:
            self._rest(problem)

    def abandoned(self, entry: Entry) -> None:
        """Nobody waited for what becomes of it (a call that was cancelled): it says nothing."""
        if entry.probe and entry.generation == self._generation:
            self._probing = False

    def _rest(self, problem: str) -> None:
        now_us = self._clock.monotonic_us()
        self._rest_us = min(LONGEST_REST // _US, self._rest_us * 2 or FIRST_REST // _US)
        self._until_us = now_us + int(self._rest_us * (1 + JITTER * self._random_part()))
        if not self._open:
            self._open, self._opened_us = True, now_us
            log.error(Event.PROVIDER_AWAY, url=self.url, problem=problem, probe_in_ms=(self._until_us - now_us) // 1000)
        self._probing = False
        self._generation += 1


class Circuits:
    """The circuits of one process, one for each URL."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock
        self._by_url: dict[str, Circuit] = {}

    def of(self, url: str) -> Circuit:
        """Return the circuit of a URL; the same one whoever asks."""
        circuit = self._by_url.get(url)
        if circuit is None:
            circuit = self._by_url[url] = Circuit(url, clock=self._clock)
        return circuit
