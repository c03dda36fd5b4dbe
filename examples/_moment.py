"""What is known of the run right now? Everything that the picture shows, and nothing of how."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any, Final

SECOND_US: Final = 1_000_000

#: In the order in which they are stacked: what we send lies below, on it what nobody can hold back.
KINDS: Final = ("send", "delivered", "read", "inbound")

#: Lines of what came and went that are kept to be shown.
_KEPT: Final = 60


@dataclass(slots=True)
class Urgent:
    """An urgent message: pushed, and perhaps there. Microseconds since 1970."""

    pushed_us: int
    there_us: int | None = None

    @property
    def waited_us(self) -> int | None:
        """From the answer to its push to its arrival; None: it isn't there yet."""
        # It may be there before the answer to its push is back.
        return None if self.there_us is None else max(0, self.there_us - self.pushed_us)


@dataclass(frozen=True, slots=True)
class Line:
    """Something that came or went: when, what, from or to whom, and what it said."""

    at_us: int
    what: str
    number: str
    text: str


@dataclass(slots=True, kw_only=True)
class Moment:
    """What there is to see now."""

    number: str
    tps: float
    seconds: int
    began_us: int
    now_us: int
    #: When the campaign was accepted: where the picture's time begins.
    start_us: int = 0
    campaign: int = 0
    says: str = ""
    waiting: dict[str, int] = field(default_factory=dict)
    behind_s: float = 0.0
    behind_most_s: float = 0.0
    first_us: int | None = None
    columns: list[Counter[str]] = field(default_factory=list)
    last_second: deque[tuple[int, str]] = field(default_factory=deque)
    totals: Counter[str] = field(default_factory=Counter)
    arrived: Counter[str] = field(default_factory=Counter)
    urgent: dict[str, Urgent] = field(default_factory=dict)
    lines: deque[Line] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def at(self, now_us: int) -> None:
        """Let time go by: there is a column for each second that has begun."""
        self.now_us = now_us
        begun = min(self.seconds, (now_us - self.start_us) // SECOND_US + 1) if self.start_us else 0
        self.columns += [Counter() for _ in range(begun - len(self.columns))]
        while self.last_second and self.last_second[0][0] <= now_us - SECOND_US:
            self.last_second.popleft()

    def add(self, event: Mapping[str, Any]) -> None:
        """Take in an event of the simulator's journal; they come in any order."""
        kind, at_us = str(event["kind"]), int(event["at_us"])
        self.totals[kind] += 1
        self.last_second.append((at_us, kind))
        column = (at_us - self.start_us) // SECOND_US
        if self.start_us and 0 <= column < len(self.columns):
            self.columns[column][kind] += 1
        if kind == "send":
            self._add_send(event, at_us)
        elif kind == "inbound":
            self.lines.append(Line(at_us, "inbound", event["number"], event["message"]))

    def _add_send(self, event: Mapping[str, Any], at_us: int) -> None:
        reference = str(event["reference_number"])
        self.arrived[reference] += 1
        self.first_us = self.first_us or at_us
        urgent = self.urgent.get(reference)
        if urgent:
            urgent.there_us = urgent.there_us or at_us
            self.lines.append(Line(at_us, "urgent", event["number"], event["message"]))

    def spent(self) -> Counter[str]:
        """Count the events of the last second by kind."""
        return Counter(kind for at_us, kind in self.last_second if at_us > self.now_us - SECOND_US)

    def waits_us(self) -> list[int]:
        """Return how long each urgent message waited that is there, shortest first."""
        return sorted(wait for urgent in self.urgent.values() if (wait := urgent.waited_us) is not None)


class Tail:
    """Reads what was appended to a file of JSON lines since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_to = 0

    def read(self) -> list[dict[str, Any]]:
        """Return the new lines; a half one is left for the next look."""
        with self._path.open("rb") as file:
            file.seek(self._read_to)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read_to += len(whole) + len(newline)
        return [json.loads(line) for line in whole.splitlines()]


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value that a share of the ordered values doesn't exceed; 0 for none."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else 0.0
