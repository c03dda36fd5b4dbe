"""What does a campaign cost: how many messages, and how long do they take at best?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from console.door import Door
from scheduler import figures


@dataclass(frozen=True, slots=True)
class Cost:
    """So many messages, and about how many seconds after what waits already; None: the number is paused."""

    messages: int
    seconds: float | None
    per_second: float

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {"messages": self.messages, "seconds": self.seconds, "per_second": self.per_second}

    @property
    def told(self) -> str:
        """Say it behind a number of messages."""
        return f", in about {self.seconds:,.0f} s" if self.seconds is not None else ""


def cost(door: Door, number: str, messages: int) -> Cost:
    """Return what so many messages of a number cost."""
    found = figures.read(door.client, door.settings, number)
    per_second = found.tps_milli / 1000
    return Cost(messages, messages / per_second, per_second)
