"""How does an app test that it hands over the right messages, without a server?

    client = RecordingClient()
    shop.confirm(order, client)
    assert client.accepted[0].message.text == "Your order 17 is on its way"

It checks exactly what `headway.Client` checks, and accepts an id once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headway.client import check_id, checked, one
from headway.errors import BrokerUnavailable
from headway.message import Message


@dataclass(frozen=True, slots=True)
class Accepted:
    """One message that was handed over: the sending number, its id and the message."""

    number: str
    id: str
    message: Message


class RecordingClient:
    """A `headway.Client` that keeps what it accepts in `accepted`, in order. Needs no server.

    With `away` set to True it raises BrokerUnavailable, as the real one does while its server is away. What can be
    checked is checked before.
    """

    def __init__(self) -> None:
        self.accepted: list[Accepted] = []
        self.away = False

    def push(self, number: str, message: Message | None = None, /, *, id: str | None = None, **fields: Any) -> str:
        """Accept one message (a Message, or its fields) and return its id. Raises as `Client.push` does."""
        return self.push_many(number, [one(message, fields)], ids=None if id is None else [id])[0]

    def push_many(
        self, number: str, messages: Iterable[Message | Mapping[str, Any]], *, ids: Sequence[str] | None = None
    ) -> list[str]:
        """Accept many messages, all of them or none, and return their ids. Raises as `Client.push_many` does."""
        rows, ids = checked(number, messages, ids)
        self._answer()
        known = {accepted.id for accepted in self.accepted}
        pairs = zip(ids, rows, strict=True)
        self.accepted += [Accepted(number, message_id, row) for message_id, row in pairs if message_id not in known]
        return ids

    def status(self, message_id: str) -> dict[str, str] | None:
        """Return what the record of a waiting message says, or None for an id that was never accepted."""
        check_id(message_id)
        self._answer()
        found = next((accepted for accepted in self.accepted if accepted.id == message_id), None)
        if found is None:
            return None
        said = {"reference": found.message.reference} if found.message.reference else {}
        return {"state": "waiting", "number": found.number, "class": found.message.class_.value, **said}

    def _answer(self) -> None:
        if self.away:
            raise BrokerUnavailable("the server doesn't answer (the test said so); repeat with the same ids")
