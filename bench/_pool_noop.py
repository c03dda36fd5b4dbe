"""The worker's own app, sending into nothing, which notes when each message would have gone on the wire.

One number's provider refuses whatever it gets: the environment names it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from bench._noop import NoopProvider
from bench._pool_notes import FAILING, Notes
from providers.base import Row
from providers.outcomes import Outcome, Verdict
from worker.app import app, lifecycle

notes = Notes()


class NotingProvider(NoopProvider):
    """Takes every row at once, and notes it."""

    async def send(self, rows: Sequence[Row]) -> list[Outcome]:
        """Note the rows and say that all were taken."""
        notes.note([row.text or "" for row in rows])
        return await super().send(rows)


class FailingProvider(NoopProvider):
    """Refuses every row."""

    async def send(self, rows: Sequence[Row]) -> list[Outcome]:
        """Say that none was taken, nor ever will be."""
        return [Outcome(row.id, Verdict.REFUSED, code="1", reason="no") for row in rows]


def noting(number: str, _session: Any) -> NoopProvider:
    return FailingProvider() if number == os.environ.get(FAILING) else NotingProvider()


lifecycle.use_provider(noting)

__all__ = ["app"]
