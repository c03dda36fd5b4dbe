"""What do webhooks of Picky Assist look like, good ones and bad ones?"""

from __future__ import annotations

from typing import Any

#: A body that a user recorded in production.
RECORDED: dict[str, Any] = {
    "number": "61400000000",
    "message-in": "Hello",
    "message_in_raw": "Hello",
    "type": 1,
    "application": 121,
    "unique-id": "751403635",
    "project-id": 501326,
    "direction": 0,
    "name": "E",
}
#: Built from the table of the event webhook's page.
ROW: dict[str, Any] = {
    "push_id": 7478630,
    "msg_id": 9844217,
    "number": "934343442290",
    "status": 1,
    "reference_number": "r-1",
    "error_message": "",
}
EVENT: dict[str, Any] = {"project_id": 27, "event_id": 1, "data": [ROW]}


def row(**fields: Any) -> dict[str, Any]:
    """Return an event webhook with one receipt, some of whose fields are other ones; `...` takes one out."""
    changed = {**ROW, **fields}
    return {**EVENT, "data": [{name: value for name, value in changed.items() if value is not ...}]}


def inbound(**fields: Any) -> dict[str, Any]:
    """Return an inbound message with other fields; `...` takes one out."""
    changed = {**RECORDED, **{name.replace("__", "-"): value for name, value in fields.items()}}
    return {name: value for name, value in changed.items() if value is not ...}


#: Bodies that can't be read, and the field that says why.
HOSTILE: list[tuple[dict[str, Any], str]] = [
    ({}, "unique-id"),
    (inbound(unique__id=...), "unique-id"),
    (inbound(unique__id=""), "unique-id"),
    (inbound(unique__id=1.5), "unique-id"),
    (inbound(unique__id=True), "unique-id"),
    (inbound(unique__id=["1"]), "unique-id"),
    (inbound(unique__id="x" * 129), "unique-id"),
    (inbound(number=...), "number"),
    (inbound(number={"a": 1}), "number"),
    (inbound(number="9" * 513), "number"),
    (inbound(application=[8]), "application"),
    (inbound(application="8" * 129), "application"),
    (inbound(direction=2), "direction"),
    (inbound(direction="in"), "direction"),
    (inbound(message_in_raw={"a": 1}), "message_in_raw"),
    (inbound(message__in="x" * 65_537), "message-in"),
    (inbound(context__msg__id=[]), "context-msg-id"),
    ({"event_id": "one"}, "event_id"),
    ({"event_id": -1}, "event_id"),
    ({"event_id": {}}, "event_id"),
    ({"event_id": 1}, "data"),
    ({"event_id": 1, "data": None}, "data"),
    ({"event_id": 1, "data": "rows"}, "data"),
    ({"event_id": 1, "data": [{}] * 10_001}, "data"),
    ({"event_id": 1, "data": [[]]}, "data[0]"),
    ({"event_id": 1, "data": [ROW, 7]}, "data[1]"),
    (row(msg_id=..., reference_number=...), "data[0].msg_id"),
    (row(msg_id={"a": 1}), "data[0].msg_id"),
    (row(reference_number="r" * 513), "data[0].reference_number"),
    (row(status=...), "data[0].status"),
    (row(status=None), "data[0].status"),
    (row(status="read"), "data[0].status"),
    (row(status=True), "data[0].status"),
    (row(status="²"), "data[0].status"),
    (row(channel_id=[]), "data[0].channel_id"),
]
