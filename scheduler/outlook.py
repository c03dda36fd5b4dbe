"""What would go now if a person let a number go on: how much waits, how old is it, and what of it has expired already?

After an outage or a long pause this is what to look at first. What is past its expiry never leaves: the lease that
meets it settles it as expired. A bounded look that changes nothing: the first LOOK rows of each lane are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import redis

from headway import keys
from headway.classes import MessageClass
from runtime.settings import NumberSettings
from scheduler import shards
from scheduler.marks import server_ms
from scheduler.preview import Row, accepted_ms, read_row

#: Rows of each lane that are looked at.
LOOK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassOutlook:
    """One class: `waiting` rows, of which `expired` of the first `looked` never leave; `oldest_s`: since its first one
    was accepted; None when nobody knows.
    """

    class_: MessageClass
    waiting: int
    oldest_s: int | None
    looked: int
    expired: int

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "class": self.class_.value, "waiting": self.waiting, "oldest_s": self.oldest_s, "looked": self.looked,
            "expired": self.expired,
        }  # fmt: skip


def outlook(client: redis.Redis, own: NumberSettings) -> tuple[ClassOutlook, ...]:
    """Look at each class of a number that has something waiting."""
    units = shards.read(client, own.number).all_units(own.number)
    now_ms = server_ms(client)
    with client.pipeline(transaction=False) as pipe:
        for class_ in MessageClass:
            for unit in units:
                pipe.llen(keys.lane(unit, class_))
                pipe.lrange(keys.lane(unit, class_), -LOOK, -1)
        found = pipe.execute()
    each = 2 * len(units)
    classes = [
        _of_class(client, class_, found[place * each : (place + 1) * each], own, now_ms)
        for place, class_ in enumerate(MessageClass)
    ]
    return tuple(one for one in classes if one.waiting)


def _of_class(
    client: redis.Redis, class_: MessageClass, found: Sequence[Any], own: NumberSettings, now_ms: int
) -> ClassOutlook:
    rows = [row for raws in found[1::2] for raw in reversed(raws) if (row := read_row(raw, class_, "lane"))]
    times = accepted_ms(client, rows)
    expired = sum(_expired(row, at_ms, own, now_ms) for row, at_ms in zip(rows, times, strict=True))
    known = [at_ms for at_ms in times if at_ms is not None]
    oldest_s = max(0, now_ms - min(known)) // 1000 if known else None
    return ClassOutlook(
        class_=class_, waiting=sum(found[::2]), oldest_s=oldest_s, looked=len(rows), expired=expired
    )  # fmt: skip


def _expired(row: Row, at_ms: int | None, own: NumberSettings, now_ms: int) -> bool:
    """Whether a lease would find it expired now: by itself, by its publisher, or by its class."""
    ends = [_ms(row.kwargs.get("expires_at")), _ms(row.headers.get("expires"))]
    lasts_ms = own.expires_ms.get(row.class_.value)
    if lasts_ms is not None and at_ms is not None:
        start_ms = max(at_ms, _ms(row.kwargs.get("send_at")) or 0, _ms(row.headers.get("eta")) or 0)
        ends.append(start_ms + lasts_ms)
    return any(end is not None and end <= now_ms for end in ends)


def _ms(text: object) -> int | None:
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return int(at.timestamp() * 1000) if at is not None and at.tzinfo is not None else None
