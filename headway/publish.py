"""What does a push say to the server?

The arguments of `headway/lua/push.lua`, a call for each class and at most CHUNK rows. The client and the gateway both
push with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from headway import keys
from headway.classes import MessageClass
from headway.envelope import seal_all
from headway.message import Message

#: Rows of one script call: others get their turn between two of them.
CHUNK = 500

#: The keys and the arguments of one call.
PushCall = tuple[list[str], list[str | int | bytes]]


def calls(
    number: str, rows: Sequence[Message], ids: Sequence[str], *, record_ttl_s: int, push_id: str = ""
) -> Iterator[PushCall]:
    """Yield the calls that put rows on a number's lanes, in class order. `push_id` is kept in each row's record."""
    of_class: dict[MessageClass, tuple[list[str], list[Message]]] = {}
    for message_id, row in zip(ids, rows, strict=True):
        found = of_class.get(row.class_) or of_class.setdefault(row.class_, ([], []))
        found[0].append(message_id)
        found[1].append(row)
    for class_ in sorted(of_class, key=lambda one: one.priority):
        own_ids, own = of_class[class_]
        for start in range(0, len(own), CHUNK):
            chunk = slice(start, start + CHUNK)
            yield _call(number, class_, own_ids[chunk], own[chunk], record_ttl_s=record_ttl_s, push_id=push_id)


def _call(
    number: str, class_: MessageClass, ids: Sequence[str], rows: Sequence[Message], *, record_ttl_s: int, push_id: str
) -> PushCall:
    names = [keys.lane(number, class_), keys.marks(number), *map(keys.record, ids)]
    # A record must outlive the wait of its message.
    ttl_s = record_ttl_s + max([_wait_s(row) for row in rows if row.send_at is not None], default=0)
    args: list[str | int | bytes] = ["", number, class_.value, keys.doorbell(number), ttl_s, push_id]
    args += seal_all(number, class_, ids, rows)
    for place, row in enumerate(rows, start=1):
        if row.reference is not None:
            args += place, row.reference
    return names, args


def _wait_s(row: Message) -> int:
    """Return about how long a message waits for its `send_at`; the exact time is the lease's."""
    if row.send_at is None:
        return 0
    at = row.send_at if isinstance(row.send_at, datetime) else datetime.fromisoformat(row.send_at)
    return max(0, int((at - datetime.now(UTC)).total_seconds()))


def drained(refusal: Exception) -> str:
    """Return why the script took nothing, when a person has the number take no more messages; else nothing."""
    said, _, why = str(refusal).partition(" ")
    return why if said == "DRAINED" else ""
