"""The worker's own app, sending into nothing: everything but the provider's wire is the production path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from providers.base import Row
from providers.outcomes import Outcome, Verdict
from worker.app import app, lifecycle


class NoopProvider:
    """Takes every row at once."""

    name = "noop"
    shape_fields: tuple[str, ...] = ()

    async def send(self, rows: Sequence[Row]) -> list[Outcome]:
        """Say that all were taken."""
        return [Outcome(row.id, Verdict.SENT, provider_id=row.id[:12], push_id="1", code="100") for row in rows]

    async def close(self) -> None:
        """Nothing to close."""


def noop(_number: str, _session: Any) -> NoopProvider:
    return NoopProvider()


lifecycle.use_provider(noop)

__all__ = ["app"]
