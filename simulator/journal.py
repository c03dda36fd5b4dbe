"""What arrived at the sink, and when?"""

from __future__ import annotations

import itertools
import json
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from simulator.push import Push

_SECOND_US = 1_000_000
_BARS = "▁▂▃▄▅▆▇█"
#: Seconds that the live picture looks back.
_LOOK_BACK = 30


class Journal:
    """Every row that arrived, in memory and, if a file is named, as one JSON line each.

    A row is a dict: at_us (arrival of its request, microseconds since 1970), push_id, msg_id, number, reference_number,
    message, priority ("0" or "1"), request (serial number of its request, from 1), taken (False when the sink certainly
    refused it).
    """

    def __init__(self, file: Path | None = None) -> None:
        """Append to `file`. Raises OSError when it can't be opened."""
        self.rows: list[dict[str, Any]] = []
        self.requests = 0
        self._taken_us: list[int] = []
        self._file: TextIO | None = file.open("a", encoding="utf-8") if file else None

    def add(self, push: Push, *, at_us: int, push_id: str, msg_ids: Sequence[str], taken: bool) -> None:
        """Write down the rows of one request; the file is flushed, so that a killed sink leaves what it saw."""
        self.requests += 1
        rows = [
            {
                "at_us": at_us,
                "push_id": push_id,
                "msg_id": msg_id,
                "number": row.number,
                "reference_number": row.reference_number,
                "message": row.message,
                "priority": push.priority,
                "request": self.requests,
                "taken": taken,
            }
            for msg_id, row in zip(msg_ids, push.rows, strict=True)
        ]
        self.rows += rows
        if taken:
            self._taken_us += [at_us] * len(rows)
        if self._file:
            self._file.write("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))
            self._file.flush()

    def picture(self, *, now_us: int) -> str:
        """Return the last half minute as one line: rows, requests, the trailing second, a bar for each second."""
        edges = [now_us - ago * _SECOND_US for ago in range(_LOOK_BACK, -1, -1)]
        positions = [bisect_right(self._taken_us, edge) for edge in edges]
        counts = [after - before for before, after in itertools.pairwise(positions)]
        most = max(*counts, 1)
        bars = "".join(_BARS[-(-count * (len(_BARS) - 1) // most)] for count in counts)
        return f"{len(self._taken_us):>9,} rows {self.requests:>7,} requests {counts[-1]:>6,} in the last second {bars}"

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
            self._file = None
