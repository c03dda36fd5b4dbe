"""When did each message leave, and how long had it waited? 16 bytes a message in a file of each worker process.

All processes of a bench run on one machine, so their clock is one. A message that tells when it was pushed is a probe.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Names the folder, and the number that fails, to a worker process.
FOLDER, FAILING = "BENCH_NOTES", "BENCH_FAILING"
#: How the text of a probe begins; microseconds follow.
PROBE = "pushed "


def probe() -> str:
    """Return the text of a message that is pushed now."""
    return f"{PROBE}{time.time_ns() // 1000}"


@dataclass(frozen=True, slots=True)
class Note:
    """When a message left (us), and what a probe had waited (us); -1 for others."""

    at_us: int
    waited_us: int


class Notes:
    """The file of this process in the folder that the environment names; opened at the first note, after any fork."""

    def __init__(self) -> None:
        self._pid = 0
        self._file = -1

    def note(self, texts: Sequence[str]) -> None:
        """Write down that these leave now. Safe in threads: one write, appended whole."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            path = Path(os.environ[FOLDER]) / str(self._pid)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        now_us = time.time_ns() // 1000
        waits = (now_us - int(text.removeprefix(PROBE)) if text.startswith(PROBE) else -1 for text in texts)
        os.write(self._file, b"".join(struct.pack("<qq", now_us, wait) for wait in waits))


def noted(folder: Path) -> list[Note]:
    """Return what all processes have noted so far, in order."""
    found = [Note(*pair) for file in folder.iterdir() for pair in struct.iter_unpack("<qq", _whole(file.read_bytes()))]
    return sorted(found, key=lambda note: note.at_us)


def _whole(written: bytes) -> bytes:
    return written[: len(written) // 16 * 16]
