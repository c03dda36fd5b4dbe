"""The worker's own app, in front of a provider that takes 200 ms and notes when each row began to leave.

BENCH_NOTES: a folder; each process appends `<id> <microseconds since 1970>` to a file of its own there.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from providers.base import Row
from providers.outcomes import Outcome, Verdict
from worker.app import app, lifecycle

SEND_S = float(os.environ.get("BENCH_SEND_S", "0.2"))


class NotingProvider:
    """Takes every row, slowly."""

    name = "noting"
    shape_fields: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._file = (Path(os.environ["BENCH_NOTES"]) / str(os.getpid())).open("a", encoding="ascii")

    async def send(self, rows: Sequence[Row]) -> list[Outcome]:
        """Note when, and take as long as a provider does."""
        now_us = time.time_ns() // 1000
        self._file.write("".join(f"{row.id} {now_us}\n" for row in rows))
        self._file.flush()
        await asyncio.sleep(SEND_S)
        return [Outcome(row.id, Verdict.SENT, provider_id=row.id[:12], push_id="1", code="100") for row in rows]

    async def close(self) -> None:
        """Nothing is lost: each note was flushed."""
        self._file.close()


def noting(_number: str, _session: Any) -> NotingProvider:
    return NotingProvider()


lifecycle.use_provider(noting)

__all__ = ["app"]
