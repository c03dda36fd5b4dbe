"""What happened at the number, stamped at its arrival, before the number's own queue?"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TextIO

Kind = Literal["send", "inbound", "delivered", "read"]

SEND: Final = "send"
INBOUND: Final = "inbound"
DELIVERED: Final = "delivered"
READ: Final = "read"

#: Events kept in memory: some 150 MB at worst. The oldest are forgotten first, and the record says how many.
MOST_EVENTS: Final = 300_000


@dataclass(slots=True, eq=False)
class Event:
    """One event that wants a transaction of the number.

    Attributes:
        kind: `send`, `inbound`, `delivered` or `read`.
        at_us: when it arrived, in microseconds of the record's clock.
        turn_us: when its turn came, which is when it was worked off; None: it was lost and used no transaction.
        told_us: when the app's 200 to the webhook about it was in; None: nobody was told. A send needs no telling.
        number: recipient of a send or of the message that a receipt is about (a group's id too), sender of an inbound.
        reference: the caller's reference_number, of a send and of its receipts.
        push_id, msg_id: the provider's ids, as text; an inbound message's own id is its msg_id.
        message: what a send or an inbound message says.
        source: of a send: `push`, or `reply` for an instant reply in the answer of a webhook.
        group: a send to a group, or a receipt from one of its members.
        request: serial number of the push request, from 1; 0 for everything else.
        state: of a send: the furthest receipt that was worked off; empty before.
        of: of a receipt: its send.
    """

    kind: Kind
    at_us: int
    turn_us: int | None = None
    told_us: int | None = None
    number: str = ""
    reference: str = ""
    push_id: str = ""
    msg_id: str = ""
    message: str = ""
    source: Literal["push", "reply", ""] = ""
    group: bool = False
    request: int = 0
    state: Literal["", "delivered", "read"] = ""
    of: Event | None = None

    def told(self) -> dict[str, Any]:
        """Return it as JSON. A send's reference has the name that the wire gives it."""
        return {
            "kind": self.kind,
            "at_us": self.at_us,
            "turn_us": self.turn_us,
            "told_us": self.told_us,
            "number": self.number,
            "reference_number": self.reference,
            "push_id": self.push_id,
            "msg_id": self.msg_id,
            "message": self.message,
            "source": self.source,
            "group": self.group,
            "request": self.request,
        }


class Record:
    """The last events in the order in which they came about, and the counts of all."""

    def __init__(self, *, most: int = MOST_EVENTS, file: Path | None = None) -> None:
        """Keep the last `most` events; append to `file` what is written. Raises OSError when it can't be opened."""
        self.events: deque[Event] = deque(maxlen=most)
        self.arrived: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self._file: TextIO | None = file.open("a", encoding="utf-8") if file else None

    def add(self, event: Event) -> None:
        """Keep an event; its turn, or its loss, is decided by now."""
        self.events.append(event)
        self.arrived[event.kind] += 1
        if event.turn_us is None:
            self.lost[event.kind] += 1

    @property
    def forgotten(self) -> int:
        """How many events are no longer kept."""
        return self.arrived.total() - len(self.events)

    def write(self, events: Iterable[Event]) -> None:
        """Write events whose story is told, one JSON line each, and flush, so that a killed process leaves them."""
        if self._file:
            self._file.write("".join(json.dumps(event.told(), separators=(",", ":")) + "\n" for event in events))
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
            self._file = None
