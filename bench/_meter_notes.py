"""When did each message run? Each worker process notes it in a file of its own: 8 bytes a message, microseconds.

All of a bench's workers run on one machine, so their clock is one. A note is one write of 8 bytes a message, the same
for every side: about 2 us.
"""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

#: Names the folder to a worker process.
VARIABLE = "BENCH_NOTES"


class Notes:
    """The file of this process in the folder that the environment names; opened at the first note, after any fork."""

    def __init__(self) -> None:
        self._folder = Path(os.environ[VARIABLE])
        self._pid = 0
        self._file = -1

    def note(self, messages: int = 1) -> None:
        """Write down that so many messages run now. Safe in threads: one write each, appended whole."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._file = os.open(self._folder / str(self._pid), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(self._file, struct.pack("<q", time.time_ns() // 1000) * messages)


def noted(folder: Path) -> list[int]:
    """Return the microsecond of each message that all processes have noted so far, in order."""
    found: list[int] = []
    for file in folder.iterdir():
        written = file.read_bytes()
        whole = len(written) // 8
        found += struct.unpack(f"<{whole}q", written[: whole * 8])
    return sorted(found)
