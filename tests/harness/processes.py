"""How does a test run a real process, read what it says, and end it in each way that it can end?

Every process is ended by its own id; none outlives its test when started in a `with` block.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import IO, Self

from tests.harness.waiting import PATIENCE, wait_until

ROOT = Path(__file__).resolve().parents[2]

#: How many of the last lines a failed wait shows.
SHOWN_LINES = 40


class RunningProcess:
    """A process of ours: its output (both streams, in order, line by line) and its end.

        with RunningProcess([sys.executable, "-m", "simulator.sink"]) as sink:
            sink.wait_for_line("sink ready")

    It leads a process group of its own, so that a signal meant for it never reaches the test run.
    """

    def __init__(
        self,
        args: Sequence[str | os.PathLike[str]],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
    ) -> None:
        """Start `args`; `env` is added to this process's environment."""
        self.args = [os.fspath(arg) for arg in args]
        self._lines: list[str] = []
        self._process = subprocess.Popen(
            self.args,
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._lines.append(line.rstrip("\n"))

    @property
    def pid(self) -> int:
        """The id of the process itself."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its status, negative for a signal; None while it runs."""
        return self._process.poll()

    @property
    def output(self) -> str:
        """All it has said so far."""
        return "\n".join(self._lines)

    def tail(self) -> str:
        """Its command, state and last lines: what a failed wait shows."""
        state = "still running" if self.returncode is None else f"ended with status {self.returncode}"
        lines = self._lines[-SHOWN_LINES:]
        return "\n".join([f"$ {' '.join(self.args)}   (pid {self.pid}, {state})", *(f"  | {line}" for line in lines)])

    def wait_for_line(self, pattern: str, *, timeout: timedelta = PATIENCE, after: int = 0) -> re.Match[str]:
        """Wait for a line, from line number `after` on, in which the regular expression `pattern` is found.

        Raises:
            AssertionError: no such line in time, or the process ended without saying it.

        """
        regex = re.compile(pattern)

        def find() -> re.Match[str] | None:
            ended = self.returncode is not None and not self._reader.is_alive()
            found = next(filter(None, map(regex.search, self._lines[after:])), None)
            assert found or not ended, f"it ended without a line like {pattern!r}\n{self.tail()}"
            return found

        found = wait_until(find, description=f"a line like {pattern!r}", timeout=timeout, detail=self.tail)
        assert found is not None
        return found

    def line_count(self) -> int:
        """How many lines it has said: `after` of a wait that wants a line said later."""
        return len(self._lines)

    def wait(self, *, timeout: timedelta = PATIENCE) -> int:
        """Wait until it has ended by itself and its output is read; return its status."""
        wait_until(lambda: self.returncode is not None, description="its end", timeout=timeout, detail=self.tail)
        # A child that it left behind may hold the pipe open: the output up to here is enough then.
        self._reader.join(timeout=1)
        return self._process.returncode

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process alone."""
        self._process.send_signal(number)

    def terminate(self, *, timeout: timedelta = PATIENCE) -> int:
        """Send SIGTERM and wait for its end; return its status."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout=timeout)

    def kill(self) -> int:
        """Send SIGKILL to the process alone (its children live on) and wait for its end; return its status."""
        self._process.kill()
        return self.wait()

    def children(self) -> list[int]:
        """The ids of its direct children, oldest first (Linux: read from /proc)."""
        tasks = Path(f"/proc/{self.pid}/task")
        found = [pid for task in tasks.glob("*/children") for pid in task.read_text(encoding="ascii").split()]
        return sorted(map(int, found))

    def end(self) -> None:
        """Leave nothing behind: kill it if it still runs, and what is left of its process group."""
        if self.returncode is None:
            self._process.kill()
            self._process.wait()
        # Nobody may be left in the group (macOS answers with the second error).
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._reader.join(timeout=1)
