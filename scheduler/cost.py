"""What does it cost a number to send so many messages more?

As many sends, and the time that the number takes for them: what waits already goes first, then they leave as fast as
the number can go on, receipts counted (`scheduler/estimate.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis

from headway.classes import MessageClass
from runtime.scripts import run_all
from runtime.settings import Settings
from scheduler import estimate, shards
from scheduler.rules import rules_of

_US = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """`seconds`: what so many messages take by themselves, `per_second` how many leave then.

    `done_us`: when the last one will have left, by the server's clock; None: nobody knows, because of `waits_for`.
    """

    messages: int
    seconds: float
    per_second: float
    done_us: int | None
    waits_for: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        done = None if self.done_us is None else _rfc_3339(self.done_us)
        return {
            "messages": self.messages,
            "seconds": round(self.seconds, 1),
            "per_second": round(self.per_second, 3),
            "done_at": done,
            "waits_for": list(self.waits_for),
        }


def of_more(client: redis.Redis, settings: Settings, number: str, class_: MessageClass, messages: int) -> Cost:
    """Return the cost of so many messages more of a class, as if they were pushed now. Nothing is written.

    With several shards each takes its part, and the slowest decides.
    """
    rules = rules_of(settings.number(number), lease_ttl_ms=settings.lease_ttl_ms)
    units = shards.read(client, number).units(number)
    each = -(-messages // len(units))
    calls = [estimate.ask(shards.rules_of_unit(rules, unit), class_) for unit in units]
    found = [_figures(reply, unit) for unit, reply in zip(units, run_all(client, calls), strict=True)]
    lanes = [one.lanes[list(MessageClass).index(class_)] for one in found]
    last = [estimate.of_row(one, class_, behind=-each) for one in found]
    moments = [one.at_us for one in last]
    return Cost(
        messages=messages,
        seconds=max(lane.outflow.seconds(each) for lane in lanes),
        per_second=sum(lane.outflow.steady() for lane in lanes),
        done_us=None if messages == 0 or None in moments else max(at for at in moments if at is not None),
        waits_for=tuple(dict.fromkeys(word for one in last for word in one.waits_for)),
    )


def _figures(reply: Any, unit: str) -> estimate.Figures:
    if isinstance(reply, redis.ResponseError):
        raise reply
    return estimate.figures(reply, unit)


def _rfc_3339(us: int) -> str:
    return datetime.fromtimestamp(us / _US, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
