"""What is a provider to the rest of Headway?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from providers.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Row:
    """One message as a provider sees it.

    Attributes:
        id: our id of the message; it travels as the provider's echoed reference.
        to: the recipient, digits only with country code; empty for a group send.
        text: the text or caption; None when the message has none.
        fields: the message's validated kwargs, by their names in Headway (`template_id`, `media_url`, `class`, ...).
    """

    id: str
    to: str
    text: str | None
    fields: Mapping[str, Any]


class Provider(Protocol):
    """Carries rows to WhatsApp."""

    @property
    def name(self) -> str:
        """The provider's name in settings, logs and metrics."""
        ...

    @property
    def shape_fields(self) -> tuple[str, ...]:
        """Kwargs that belong to the request, not to the row: the rows of one request must agree on them."""
        ...

    async def send(self, rows: Sequence[Row]) -> list[Outcome]:
        """Send rows of one shape once; return exactly one outcome per row, in the same order.

        Ends within the provider's deadline. Raises nothing but asyncio.CancelledError.
        """
        ...

    async def close(self) -> None:
        """Give back what the provider itself opened; the session belongs to whoever made it."""
        ...


@runtime_checkable
class Warmable(Protocol):
    """A provider that can set up its connection before something is to be sent."""

    async def warm(self) -> None:
        """Have a connection ready for the next send, unless there is one. Raises nothing but asyncio.CancelledError."""
        ...
