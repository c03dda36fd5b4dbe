"""The worker's own app, sending into nothing, which notes when each message would have gone on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench._meter_notes import Notes
from bench._noop import NoopProvider
from providers.base import Row
from providers.outcomes import Outcome
from worker.app import app, lifecycle

notes = Notes()


class NotingProvider(NoopProvider):
    """Takes every row at once, and notes it."""

    async def send(self, rows: Sequence[Row]) -> list[Outcome]:
        """Note the rows and say that all were taken."""
        notes.note(len(rows))
        return await super().send(rows)


def noting(_number: str, _session: Any) -> NotingProvider:
    return NotingProvider()


lifecycle.use_provider(noting)

__all__ = ["app"]
