"""What does a turn of Celery's event loop cost us? As little as can be, and none at all while nothing is due.

kombu's transport registers every socket anew at each turn. At ten messages a second that is a good part of what a
worker does, so here a turn in which nothing has changed does nothing.
"""

from __future__ import annotations

from typing import Any

from worker.engine import Engine

#: How long a turn of the loop may pass over kombu's sockets when nothing seems to have changed.
TICK_US = 1_000_000


class Tick:
    """What the event loop does at each turn: as kombu's own, which registers every socket anew each time, does.

    Nothing at all when nothing is due and nothing has changed; but once a second it looks all the same.
    """

    def __init__(self, engine: Engine, transport: Any, loop: Any) -> None:
        self._engine = engine
        self._cycle = transport.cycle
        self._on_readable = transport.on_readable
        self._loop = loop
        self._known: tuple[int, ...] = ()
        self._again_us = 0

    def __call__(self) -> None:
        """Ask what is due, and see to it that the loop hears the answers."""
        cycle, now_us = self._cycle, self._engine.clock.monotonic_us()
        if now_us < self._again_us and self._known == self._standing() and self._engine.rests(now_us):
            return
        cycle.on_poll_start()
        readers = self._loop.readers
        for fd in cycle.fds:
            if readers.get(fd) != (self._on_readable, (fd,)):
                self._loop.add_reader(fd, self._on_readable, fd)
        # While the pool is full, kombu must look at each turn: an answer that nobody reads would spin the loop.
        self._known = () if cycle._paused_brpop else self._standing()
        self._again_us = now_us + TICK_US

    def _standing(self) -> tuple[int, ...]:
        cycle = self._cycle
        return len(cycle._channels), len(cycle._chan_to_sock), len(cycle._fd_to_chan), len(cycle._paused_brpop)


class Alarm:
    """Celery's event loop as the engine sees it: wake at a time, or from another thread at once."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._entry: Any = None
        self._at_us: int | None = None

    def wake(self) -> None:
        """Turn the loop once; from any thread."""
        self._loop.call_soon(_nothing)

    def wake_at(self, at_us: int, now_us: int) -> None:
        """Turn the loop at this time; from the loop's own thread. One timer for the whole process."""
        if self._at_us == at_us:
            return
        if self._entry is not None:
            self._entry.cancel()
        self._at_us = at_us
        self._entry = self._loop.call_later(max(0.0, (at_us - now_us) / 1_000_000), self._rang)

    def _rang(self) -> None:
        self._entry = self._at_us = None


def _nothing() -> None:
    """Turn the event loop: its turn asks what is due."""
