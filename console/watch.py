"""Who watches the processes that belong together, starts again what dies, and ends them in order?

All of it happens on one thread, which is also the one that starts children: on Linux a tied child ends with the thread
that started it. A second thread for each child only reads what it says.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from os import getpid
from pathlib import Path
from time import sleep
from typing import IO, Final

from runtime.clock import Clock, Deadline, SystemClock

#: So many deaths within a minute are no accident.
MOST_DEATHS: Final = 5
_MINUTE_US: Final = 60_000_000
_FIRST_PAUSE_US: Final = 500_000
_LONGEST_PAUSE_US: Final = 5_000_000
_LOOK_S: Final = 0.05
#: Lines of a child that are shown when everything ends because of it.
_LAST_WORDS: Final = 15
_TIED: Final = Path(__file__).with_name("tied.py")

#: Says a line: who, and what.
Say = Callable[[str, str], None]


class GivenUp(Exception):
    """A process can't be kept alive; the text has its last words."""


class Deaths:
    """When may something that died be started again?"""

    def __init__(self) -> None:
        self._at_us: deque[int] = deque()

    def pause_us(self, now_us: int) -> int | None:
        """Note a death and return the pause before the next start, in microseconds; None: no more starts.

        The pause doubles with each death of the last minute.
        """
        self._at_us.append(now_us)
        while self._at_us[0] <= now_us - _MINUTE_US:
            self._at_us.popleft()
        count = len(self._at_us)
        if count >= MOST_DEATHS:
            return None
        return min(_FIRST_PAUSE_US << (count - 1), _LONGEST_PAUSE_US)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process of the whole.

    Attributes:
        name: what people call it.
        command: may name the group of a former `ready` as {0}, so that a free port stays the same after a restart.
        environ: its whole environment.
        ready: matches the line by which it says that it is ready.
        patience: how long it may take to end when it is asked to.
    """

    name: str
    command: Callable[[str], Sequence[str]]
    environ: Mapping[str, str]
    ready: re.Pattern[str]
    patience: timedelta


class Child:
    """A part's process: the present one, and what became of the former ones."""

    def __init__(self, part: Part, *, say: Say) -> None:
        self.part = part
        #: What `ready` matched first, in the present process; None: not ready yet.
        self.match: re.Match[str] | None = None
        #: The first group of the last match of any of its processes.
        self.found = ""
        self.deaths = Deaths()
        #: When to start it again, in monotonic microseconds; None: it isn't waiting for that.
        self.again_us: int | None = None
        self._say = say
        self._last: deque[str] = deque(maxlen=_LAST_WORDS)
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """Its id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def status(self) -> int | None:
        """How it ended, negative for a signal; None: it runs, or never did."""
        return self._process.poll() if self._process else None

    def start(self) -> None:
        """Start it, in a session of its own: Ctrl-C is for the watcher alone. Raises OSError."""
        self.match, self.again_us = None, None
        self._last.clear()
        self._process = subprocess.Popen(
            tied(self.part.command(self.found)),
            env=dict(self.part.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        if self._process.stdout:
            self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
            self._reader.start()

    def end(self, *, at_once: Callable[[], bool], clock: Clock) -> None:
        """Ask it to end and wait; kill it when it takes too long, or when `at_once` says so."""
        process, name = self._process, self.part.name
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        deadline = Deadline(self.part.patience, clock=clock)
        while process.poll() is None:
            if at_once() or deadline.passed:
                self._say(name, "is killed" if at_once() else "does not end: killed")
                process.kill()
                process.wait()
            sleep(_LOOK_S)
        self.listen_out()

    def listen_out(self) -> None:
        """Let the reader finish what an ended process has said."""
        if self._reader:
            self._reader.join(timeout=1)

    def last_words(self) -> str:
        """Return the last lines of the present process."""
        return "\n".join(self._last)

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for text in stream:
                line = text.rstrip("\n")
                if self.match is None and (match := self.part.ready.search(line)):
                    self.found = match[1] if match.re.groups else ""
                    self.match = match
                if line.strip():
                    self._last.append(line)
                    self._say(self.part.name, line)


class Watch:
    """Starts parts, keeps them alive, and ends them in their order."""

    def __init__(self, parts: Sequence[Part], *, say: Say, warn: Say, clock: Clock | None = None) -> None:
        """`say` gets the lines of children, `warn` what happens to them."""
        self.children = [Child(part, say=say) for part in parts]
        self._warn = warn
        self._clock = clock or SystemClock()
        self._was_ready: set[str] = set()

    @property
    def ready(self) -> bool:
        """Whether all are ready now."""
        return all(child.match is not None for child in self.children)

    def start(self) -> None:
        """Start all. Raises OSError."""
        for child in self.children:
            child.start()

    def look(self) -> None:
        """See who died, start again whose pause is over, and rest for a moment.

        Raises GivenUp for one that ends before it was ever ready (a mistake in settings or in an address, which another
        start doesn't mend), or that died five times within a minute.
        """
        for child in self.children:
            if child.match is not None and child.part.name not in self._was_ready:
                self._was_ready.add(child.part.name)
            if child.again_us is not None:
                if self._clock.monotonic_us() >= child.again_us:
                    child.start()
            elif child.status is not None:
                self._died(child)
        sleep(_LOOK_S)

    def end(self, *, at_once: Callable[[], bool]) -> None:
        """End all, one after the other, in the order of the parts."""
        for child in self.children:
            child.end(at_once=at_once, clock=self._clock)

    def _died(self, child: Child) -> None:
        child.listen_out()  # it may have said that it was ready just before
        name, how = child.part.name, _how(child.status)
        if child.match is None and name not in self._was_ready:
            raise GivenUp(f"the {name} {how} before it was ready; it said:\n{child.last_words()}")
        now_us = self._clock.monotonic_us()
        pause_us = child.deaths.pause_us(now_us)
        if pause_us is None:
            raise GivenUp(f"the {name} {how}, {MOST_DEATHS} times within a minute; it said:\n{child.last_words()}")
        child.again_us = now_us + pause_us
        self._warn(name, f"{how}; started again in {pause_us / 1e6:g} s")


def tied(command: Sequence[str]) -> list[str]:
    """Return the command that runs another one and ends with this process. Its first word is a path."""
    return [sys.executable, "-I", "-S", str(_TIED), str(getpid()), *command]


def _how(status: int | None) -> str:
    if status is not None and status < 0:
        return f"was ended by signal {-status}"
    return f"ended with status {status}"
