"""How does every process of a worker hear that its time is up?

One byte of memory that forked children share: set in a signal's handler or by the keeper, seen by whoever waits.
"""

from __future__ import annotations

import mmap


class Hurry:
    """Unset until somebody sets it; make it before the pool forks."""

    def __init__(self) -> None:
        # Anonymous and shared: children see what the parent writes, and no lock is taken, so a handler may set it.
        self._byte = mmap.mmap(-1, 1)

    def set(self) -> None:
        """Wait for nothing any longer: what has not begun stays, what is under way is uncertain."""
        self._byte[0] = 1

    def __call__(self) -> bool:
        """Whether the time is up."""
        return self._byte[0] == 1
