"""Is a process of this machine still getting on with its work? Files that say so, and who reads them.

One small file for each process under `<home>/run`, written again every second. A process that runs and doesn't write is
stuck; one that writes may still say that it isn't well. No server is asked, so the answer doesn't hang on one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from runtime.clock import Clock, SystemClock

#: A report older than this is from a process that no longer gets on.
STALE_MS = 15_000

_NAME = re.compile(r"worker-(.+)-([0-9]+)\.json\Z")


@dataclass(frozen=True, slots=True)
class Report:
    """What a process says of itself. Times: milliseconds since 1970-01-01 UTC.

    `state`: `working`, `away` (the server doesn't answer: waits for it), `deaf` (the server answers, and the process
    doesn't ask it for messages), `stopping`.
    """

    pid: int
    state: str
    at_ms: int

    def problem(self, now_ms: int) -> str:
        """Say what is wrong, or nothing. A server that is away is no fault of the process: a new one can't help it."""
        if now_ms - self.at_ms > STALE_MS:
            return f"says nothing since {(now_ms - self.at_ms) // 1000} s"
        return "doesn't ask for messages that could leave" if self.state == "deaf" else ""


class HealthFile:
    """The file of this process."""

    def __init__(self, home: Path, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._path = home / "run" / f"worker-{socket.gethostname()}-{os.getpid()}.json"

    def write(self, state: str) -> None:
        """Put the report in place at once. Raises OSError when the directory can't be written."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(asdict(Report(os.getpid(), state, self._clock.now_us() // 1000))))
        draft.replace(self._path)

    def remove(self) -> None:
        """Take it away: the process ends."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def reports(home: Path) -> list[Report]:
    """Return what the processes of this machine say that still run; files that dead ones left are taken away."""
    return sorted(_found(home), key=lambda report: report.pid)


def _found(home: Path) -> Iterator[Report]:
    for path in (home / "run").glob("worker-*.json"):
        match = _NAME.match(path.name)
        if match is None or match[1] != socket.gethostname():
            continue  # another machine, or container, on the same volume
        if not _lives(int(match[2])):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            continue
        with contextlib.suppress(OSError, ValueError, TypeError):
            yield Report(**json.loads(path.read_text()))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, but there
        return True
    return True
