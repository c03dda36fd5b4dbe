"""What does a push say to the server?

The arguments of `headway/lua/push.lua`, a call for each class and at most CHUNK rows. The client and the gateway both
push with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from headway import keys
from headway.classes import MessageClass
from headway.envelope import seal
from headway.message import Message

#: Rows of one script call: others get their turn between two of them.
CHUNK = 500

#: The keys and the arguments of one call.
PushCall = tuple[list[str], list[str | int | bytes]]


def calls(
    number: str, rows: Sequence[Message], ids: Sequence[str], *, record_ttl_s: int, push_id: str = ""
) -> Iterator[PushCall]:
    """Yield the calls that put rows on a number's lanes, in class order. `push_id` is kept in each row's record."""
    for class_ in MessageClass:
        of_class = [(message_id, row) for message_id, row in zip(ids, rows, strict=True) if row.class_ is class_]
        for start in range(0, len(of_class), CHUNK):
            chunk = of_class[start : start + CHUNK]
            yield _call(number, class_, chunk, record_ttl_s=record_ttl_s, push_id=push_id)


def _call(
    number: str, class_: MessageClass, chunk: Sequence[tuple[str, Message]], *, record_ttl_s: int, push_id: str
) -> PushCall:
    names = [keys.lane(number, class_), *(keys.record(message_id) for message_id, _ in chunk)]
    # A record must outlive the wait of its message.
    ttl_s = record_ttl_s + max(_wait_s(message) for _, message in chunk)
    args: list[str | int | bytes] = ["", number, class_.value, keys.doorbell(number), ttl_s, push_id]
    for message_id, message in chunk:
        args += seal(number, message_id, message), message.reference or ""
    return names, args


def _wait_s(message: Message) -> int:
    """Return about how long a message waits for its `send_at`; the exact time is the lease's."""
    if message.send_at is None:
        return 0
    at = message.send_at if isinstance(message.send_at, datetime) else datetime.fromisoformat(message.send_at)
    return max(0, int((at - datetime.now(UTC)).total_seconds()))
