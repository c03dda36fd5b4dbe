"""How much CPU have a process and its descendants used? Linux: read from /proc, in ticks of 10 ms.

What a child used stands with its parent once the child is gone, so the sum over a tree never falls.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def ticks(stat: str) -> int:
    """Return what /proc/<pid>/stat says a process and its former children used, user and system, in ticks."""
    # A process may be called anything, brackets and blanks included.
    fields = stat.rpartition(")")[2].split()
    return sum(map(int, fields[11:15]))


def cpu_s(roots: Iterable[int]) -> float:
    """Return the CPU seconds of these processes and all that descend from them."""
    used, todo = 0, list(roots)
    while todo:
        folder = Path(f"/proc/{todo.pop()}")
        # A process may end while it is looked at; what it used stands with its parent then.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            used += ticks((folder / "stat").read_text())
            for task in (folder / "task").iterdir():
                todo += map(int, (task / "children").read_text().split())
    return used / TICKS_A_SECOND
