"""Does this worker get on with its work? The keeper asks once a turn, and writes down the answer.

A process that runs says nothing: its event loop may have lost the server and never ask again. So what counts is whether
a number that is due is asked, and its answer read.
"""

from __future__ import annotations

from collections.abc import Callable

from runtime.health import HealthFile
from runtime.telemetry import Event, get_logger
from worker.engine import Engine

#: A number that is due is asked within milliseconds. Longer than a reconnect after a silent connection takes.
DEAF_US = 30_000_000
#: How often the file is written while it would say the same: who reads it waits for five times as long.
WRITE_US = 3_000_000

log = get_logger("worker")


class Progress:
    """Judges one engine. `heard_us` tells when the event loop last read an answer, by the engine's clock."""

    def __init__(self, engine: Engine, file: HealthFile, *, heard_us: Callable[[], int]) -> None:
        self._engine = engine
        self._file = file
        self._heard_us = heard_us
        self._due_since_us: int | None = None
        self._written_us = -WRITE_US
        self._written = ""
        self._said = False
        self._writable = True

    def turned(self, *, away: bool) -> str:
        """Look once; `away`: the server didn't answer the keeper. Return the state, as in the file."""
        now_us = self._engine.clock.monotonic_us()
        state = self._state(now_us, away=away)
        if state == "deaf" and not self._said:
            log.error(Event.WORKER_DEAF, overdue_ms=(now_us - (self._due_since_us or now_us)) // 1000)
        self._said = state == "deaf"
        if (state != self._written or now_us - self._written_us >= WRITE_US) and self._writable:
            self._written_us, self._written = now_us, state
            try:
                self._file.write(state)
            except OSError as problem:  # a read-only disk is no reason to stop sending
                self._writable = False
                log.warning(Event.HEALTH_UNWRITTEN, problem=str(problem))
        return state

    def ended(self) -> None:
        """The process ends: nobody shall wait for its report."""
        self._file.remove()

    def _state(self, now_us: int, *, away: bool) -> str:
        if self._engine.stopping:
            return "stopping"
        if away:
            self._due_since_us = None
            return "away"
        due_us = self._engine.agenda.next_us()
        busy = len(self._engine.registry.held()) >= self._engine.slots
        if due_us is None or due_us > now_us or busy:
            self._due_since_us = None
        elif self._due_since_us is None or self._heard_us() > self._due_since_us:
            self._due_since_us = now_us
        overdue = self._due_since_us is not None and now_us - self._due_since_us >= DEAF_US
        return "deaf" if overdue else "working"
