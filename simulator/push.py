"""How does Picky's Push API v2 read a request and answer it?

Read leniently, as Picky does: key names are stripped (its own samples write `"priority "`), and the body is JSON,
whatever its content type says.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

#: Picky: "Maximum numbers can be passed in single API".
MOST_ROWS = 10_000
#: Longest body, in bytes. Picky's own limit isn't documented; 10,000 rows of 4,096 ASCII characters fit.
LONGEST_BODY = 64 * 1024 * 1024

SUCCESS = 100
UNAUTHORISED = 401
NO_NUMBERS = 402
#: Not one of Picky's: what it says to a body that it can't read isn't documented.
UNREADABLE = 400

#: Not confirmed by any page: what is over the limit is "dropped and not processed", and one client has met HTTP 429.
TOO_MANY = 429

MESSAGES = {
    SUCCESS: "Success",
    101: "Service unavailable",
    UNREADABLE: "Invalid request",
    UNAUTHORISED: "Authentication failed",
    NO_NUMBERS: "Number list is empty",
    403: "Insufficient balance",
    404: "Phone not reachable",
    TOO_MANY: "Too many requests",
}


@dataclass(frozen=True, slots=True)
class PushRow:
    """One row of a push: whom it is for, what it says, and the caller's reference."""

    number: str
    message: str = ""
    reference_number: str = ""


@dataclass(frozen=True, slots=True)
class Push:
    """A push as it was understood: a status of the body, and the rows; beside what it says, which channel it names."""

    status: int
    rows: tuple[PushRow, ...] = ()
    priority: str = "0"
    application: str = field(default="", compare=False)
    group: bool = field(default=False, compare=False)


def read(body: bytes, *, token: str = "") -> Push:
    """Understand a request's body. An empty `token` lets every caller in. Raises nothing: faults are a status."""
    if len(body) > LONGEST_BODY:
        return Push(UNREADABLE)
    request = read_object(body)
    if request is None:
        return Push(UNREADABLE)
    rows = _rows(request)
    status = SUCCESS if 0 < len(rows) <= MOST_ROWS else NO_NUMBERS
    if not admits(request, token):
        status = UNAUTHORISED
    return Push(
        status,
        rows if status == UNAUTHORISED else rows[:MOST_ROWS],
        _text(request.get("priority")) or "0",
        application=_text(request.get("application")),
        group=bool(_text(request.get("group_id"))),
    )


def read_object(body: bytes) -> dict[str, Any] | None:
    """Return a body's JSON object with stripped key names; None: it is none. Raises nothing."""
    try:
        request = _stripped(json.loads(body))
    except (ValueError, RecursionError):
        return None
    return request if isinstance(request, dict) else None


def admits(request: Mapping[str, Any], token: str) -> bool:
    """Does the request carry the token? An empty `token` lets every caller in."""
    return not token or _text(request.get("token")) == token


def text_of(request: Mapping[str, Any], name: str) -> str:
    """Return a field's text, a number's digits, or nothing."""
    return _text(request.get(name))


def _rows(request: Mapping[str, Any]) -> tuple[PushRow, ...]:
    common = _text(request.get("globalmessage"))
    group = _text(request.get("group_id"))
    if group:
        return (PushRow(group, common),)
    data = request.get("data")
    rows = (_row(entry, common) for entry in data if isinstance(entry, dict)) if isinstance(data, list) else ()
    return tuple(row for row in rows if row.number)


def _row(entry: Mapping[str, Any], common: str) -> PushRow:
    return PushRow(
        number=_text(entry.get("number")) or _text(entry.get("messenger_id")),
        message=_text(entry.get("message")) or _values(entry.get("template_message")) or common,
        reference_number=_text(entry.get("reference_number")),
    )


def _values(values: object) -> str:
    """Return a template row's values as text: the only words that it has."""
    return " | ".join(_text(value) for value in values) if isinstance(values, list) else ""


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _stripped(value: Any) -> Any:
    """Strip the key names of every object."""
    if isinstance(value, dict):
        return {key.strip(): _stripped(inner) for key, inner in value.items()}
    return [_stripped(inner) for inner in value] if isinstance(value, list) else value


@dataclass(slots=True)
class Ids:
    """Makes ids as Picky's look: digits in a string, one series for requests, one for messages.

    They start from the clock, in microseconds, so that a sink started again on the same journal repeats none.
    """

    _pushes: Iterator[int] = field(default_factory=lambda: itertools.count(time.time_ns() // 1000))
    _messages: Iterator[int] = field(default_factory=lambda: itertools.count(time.time_ns() // 1000))

    def push(self) -> str:
        """Return the next id of a request."""
        return str(next(self._pushes))

    def messages(self, count: int) -> list[str]:
        """Return the next ids of that many messages."""
        return [str(number) for number in itertools.islice(self._messages, count)]


def answer(push: Push, *, push_id: str, msg_ids: list[str]) -> dict[str, Any]:
    """Return the answer's JSON object. Only an accepted push has ids and rows."""
    text = MESSAGES.get(push.status, "Error")
    if push.status != SUCCESS:
        return {"status": push.status, "message": text}
    data = [
        {"msg_id": msg_id, "number": row.number, "credit": "0.005"}
        for msg_id, row in zip(msg_ids, push.rows, strict=True)
    ]
    return {"status": push.status, "push_id": push_id, "message": text, "data": data}
