"""Which messages does a push mean? Its rows, each with what it takes from the push, as Headway's own messages.

`headway.Message` is the one place that checks them; here its words become Picky's, with the row they are about.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gateway.body import shown
from gateway.findings import Findings
from gateway.problems import BadRequest, BadRows
from gateway.push_shapes import PushRequest, PushRow
from headway.classes import MessageClass
from headway.errors import InvalidMessage
from headway.message import Message

#: `priority` 0 with more rows than this is a campaign.
BULK_ABOVE = 100

#: Our field -> the row's and the push's own; empty where there is none.
_PLACES: Mapping[str, tuple[str, str]] = {
    "to": ("number", ""),
    "text": ("message", "globalmessage"),
    "media_url": ("media", "globalmedia"),
    "template_values": ("template_message", "template_globalmessage"),
    "language": ("language", "language"),
    "reference": ("reference_number", ""),
    "send_at": ("send_at", "send_at"),
    "expires_in": ("expires_in", "expires_in"),
    "tag": ("tag", "tag"),
    "media_name": ("", "media_name"),
    "template_id": ("", "template_id"),
    "template_header": ("", "template_header"),
    "location": ("", "location"),
    "group_id": ("", "group_id"),
    "group_members": ("", "group_members"),
}
#: More digits than a group may have members.
_MEMBERS_DIGITS = 6
#: The one row of a push to a group.
_GROUP = PushRow(number="")
_HEAD = re.compile(r"\w*")
_NOTHING_SAID = "says nothing: give message or media, or globalmessage, globalmedia, template_id or location"

#: Kinds of message in Picky's delivery report; this enumeration differs from all its others.
_TEXT, _DOCUMENT = "3", "5"
_KINDS = {"jpg": "1", "jpeg": "1", "png": "1", "webp": "1", "mp4": "2", "3gp": "2", "mp3": "4", "ogg": "4", "aac": "4",
          "amr": "4", "opus": "4", "m4a": "4"}  # fmt: skip


def messages(request: PushRequest) -> list[Message]:
    """Return the messages of a push, in the order of its rows; one for a group.

    Raises BadRequest and BadRows, which name fields and rows in Picky's words; then the whole push is refused.
    """
    rows = request.data or []
    class_ = class_of(request.priority, rows=len(rows))
    if request.group_id not in ("", None):
        if rows:
            raise BadRequest("data: a push to a group has no rows; leave out data or group_id")
        fields = {**_shared(request, class_), "group_id": str(request.group_id)}
        if request.group_members not in ("", None):
            fields["group_members"] = _whole(request.group_members)
        return _checked([_GROUP], fields)
    if request.group_members not in ("", None):
        raise BadRequest("group_members: goes with group_id; leave it out")
    if not rows:
        raise BadRows("data: there is no row to send to")
    return _checked(rows, _shared(request, class_))


def class_of(priority: str | int | None, *, rows: int) -> MessageClass:
    """Return the class that a push asks for: Picky's 0 and 1, or a class by its name. Raises BadRequest."""
    said = str(priority if priority is not None else "").strip()
    if said in {"", "0"}:
        return MessageClass.BULK if rows > BULK_ABOVE else MessageClass.NORMAL
    if said == "1":
        return MessageClass.HIGH
    try:
        return MessageClass(said)
    except ValueError:
        raise BadRequest(f"priority: must be 0, 1 or one of {', '.join(MessageClass)}, is {shown(said)!r}") from None


def kind_of(message: Message) -> str:
    """Return what Picky's delivery report calls this kind of message; of media only the address's ending is known."""
    if message.media_url is None:
        return _TEXT
    path = re.split(r"[?#]", message.media_url, maxsplit=1)[0]
    return _KINDS.get(path.rpartition(".")[2].lower(), _DOCUMENT)


def _shared(request: PushRequest, class_: MessageClass) -> dict[str, Any]:
    """Return what rows take from the push; what says nothing is left out."""
    fields = {
        "class_": class_,
        "text": request.globalmessage,
        "media_url": request.globalmedia,
        "media_name": request.media_name,
        "template_id": _text(request.template_id),
        "template_header": request.template_header,
        "template_values": _values(request.template_globalmessage),
        "language": request.language,
        "location": _location(request.location),
        "send_at": request.send_at,
        "tag": request.tag,
        "expires_in": _text(request.expires_in),
    }
    return {name: value for name, value in fields.items() if value}


def _fields(row: PushRow, shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's message: its own fields over the push's. Called 10,000 times a push, hence plain."""
    fields = dict(shared)
    if row is not _GROUP:
        fields["to"] = str(row.number)
    if row.message:
        fields["text"] = row.message
    if row.media:
        fields["media_url"] = row.media
    if row.template_message:
        fields["template_values"] = _values(row.template_message)
    if row.language:
        fields["language"] = row.language
    if row.reference_number not in ("", None):
        fields["reference"] = str(row.reference_number)
    if row.tag:
        fields["tag"] = row.tag
    if row.send_at:
        fields["send_at"] = row.send_at
    if row.expires_in not in ("", None):
        fields["expires_in"] = row.expires_in
    return fields


def _checked(rows: list[PushRow], shared: Mapping[str, Any]) -> list[Message]:
    findings = Findings()
    found = []
    for index, row in enumerate(rows):
        fields = _fields(row, shared)
        try:
            found.append(Message(**fields))
        except InvalidMessage as error:
            findings.add(*_translated(error, row, index, says=fields.get("text")))
            if findings.full:
                break
    findings.raise_if_any()
    return found


def _translated(error: InvalidMessage, row: PushRow, index: int, *, says: str | None) -> tuple[str, str]:
    """Return Picky's name for the field, with its row unless the push gave it, and what is wrong."""
    head = _HEAD.match(error.field)
    name = head[0] if head else ""
    if name == "text" and says is None:
        return "globalmessage" if row is _GROUP else f"data[{index}].message", _NOTHING_SAID
    in_row, in_push = _PLACES.get(name, ("", name))
    rest = error.field[len(name) :]
    if in_row and (not in_push or getattr(row, in_row)):
        return f"data[{index}].{in_row}{rest}", error.problem
    return f"{in_push}{rest}", error.problem


def _text(value: str | float | None) -> str | None:
    """Return text, or None for what says nothing."""
    return None if value is None or value == "" else str(value)


def _whole(value: str | int) -> str | int:
    """Return digits in text as the number that they mean; what else it is, the message refuses."""
    digits = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MEMBERS_DIGITS
    return int(value) if digits else value


def _values(values: list[str | int] | None) -> tuple[str, ...] | None:
    return tuple(map(str, values)) if values else None


def _location(location: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return {name: value for name, value in (location or {}).items() if value not in ("", None)} or None
