"""What does the number say to an app: webhooks, and the answers of the smaller endpoints?

Pure. Shapes as the provider's pages and its clients have them: ids are numbers in webhooks and text in the answer to a
push, `message-in` is URL-encoded, hyphens and underscores are mixed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote_plus

from simulator.push import MESSAGES, SUCCESS
from simulator.record import DELIVERED, READ, Event

#: The project that all of it belongs to; number and text, as the endpoint has it.
PROJECT: Final = 27

#: What the event webhook and the delivery report call the states.
_STATUS: Final = {"": 0, DELIVERED: 1, READ: 3}


def inbound(event: Event, *, application: str) -> bytes:
    """Return the body of the global webhook about an inbound message."""
    return _json(
        {
            "number": event.number,
            "message-in": quote_plus(event.message),
            "message_in_raw": event.message,
            "type": 1,
            "application": _number(application),
            "unique-id": event.msg_id,
            "project-id": PROJECT,
            "direction": 0,
            "name": f"Visitor {event.number[-2:]}",
        }
    )


def receipts(events: Iterable[Event], *, application: str) -> bytes:
    """Return the body of the event webhook about delivered and read receipts: several may share one."""
    data = [
        {
            "push_id": _number(event.push_id),
            "msg_id": _number(event.msg_id),
            "number": event.number,
            "status": _STATUS[event.kind],
            "reference_number": event.reference,
            "error_message": "",
            "channel_id": _number(application),
        }
        for event in events
    ]
    return _json({"project_id": PROJECT, "event_id": 1, "data": data})


def instant_reply(answer: bytes) -> tuple[str, str] | None:
    """Return number (may be empty) and text of the reply in a webhook's answer; None: it holds none."""
    try:
        reply = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    if not isinstance(reply, dict):
        return None
    message = reply.get("message-out") or reply.get("message_out")
    return (str(reply.get("number") or ""), message) if isinstance(message, str) and message else None


def refusal(status: int) -> dict[str, Any]:
    """Return the answer that refuses a call."""
    return {"status": status, "message": MESSAGES.get(status, "Error")}


def delivery_report(sends: Sequence[Event], *, push_id: str, application: str, now_us: int) -> dict[str, Any]:
    """Return the answer to a poll for the receipts of one push."""
    data = [
        {"number": send.number, "msg_id": send.msg_id, "status": str(_STATUS[send.state]), "error_code": ""}
        for send in sends
    ]
    return {
        "project_id": str(PROJECT),
        "push_id": _number(push_id),
        "application": application,
        "message_type": "3",
        "time": _moment(now_us).strftime("%d-%m-%Y %I:%M %p"),
        "data": data,
    }


def device_status(*, connected_number: str, waiting: int, now_us: int) -> dict[str, Any]:
    """Return the answer about the connection. `status` is a word here."""
    return {
        "project_id": str(PROJECT),
        "status": "CONNECTED",
        "connected_number": connected_number,
        "version": "2.2119.6",
        "message_queue_count": waiting,
        "time": _moment(now_us).isoformat(timespec="seconds"),
    }


def balance() -> dict[str, Any]:
    """Return the answer about the balance, which is never used up."""
    return {"status": SUCCESS, "message": MESSAGES[SUCCESS], "balance": 1000.0}


def group_details(group_id: str, *, members: int) -> dict[str, Any]:
    """Return the answer about a group: every group has as many members."""
    since = "2024-01-01 10:00:00"
    people = [{"number": f"6149157{index:04d}", "created_time": since} for index in range(members)]
    return {
        "status": SUCCESS,
        "message": MESSAGES[SUCCESS],
        "group_id": group_id,
        "group_subject": f"Group {group_id}",
        "group_icon_link": "",
        "group_created_date": since,
        "group_invite_link": "",
        "group_members": people,
        "group_admins": people[:1],
    }


def _number(text: str) -> int | str:
    """Return digits as the number that webhooks carry."""
    return int(text) if text.isascii() and text.isdigit() else text


def _moment(now_us: int) -> datetime:
    return datetime.fromtimestamp(now_us / 1e6, tz=UTC)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
