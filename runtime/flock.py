"""Who holds this file? Locks that the kernel drops with their holder, however it dies.

A lock belongs to the open file, not to the process: a forked child and a started server keep it too, and closing one's
own copy leaves it to them.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self


class FileLock:
    """One open lock file. Nothing here waits: who wants to wait asks again."""

    def __init__(self, path: Path) -> None:
        """Open the file, and create it for this user alone when it is missing. No lock is taken yet."""
        self.path = path
        self._fd: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def try_exclusive(self) -> bool:
        """Take the file for this holder alone. On False even a shared lock that was held before is gone."""
        return self._try(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        """Take the file together with other shared holders."""
        return self._try(fcntl.LOCK_SH)

    def fileno(self) -> int:
        """Return the descriptor, for a child process that shall keep the lock. Raises ValueError once closed."""
        if self._fd is None:
            raise ValueError(f"{self.path} is closed")
        return self._fd

    def close(self) -> None:
        """Let go, unless a child still has the open file. Safe to call twice."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self.fileno(), kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def is_held(path: Path) -> bool:
    """Whether somebody holds the file exclusively right now. A file that doesn't exist is held by nobody."""
    if not path.exists():
        return False
    with FileLock(path) as lock:
        return not lock.try_shared()
