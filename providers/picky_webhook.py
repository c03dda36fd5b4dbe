"""What does a webhook of Picky Assist tell us?

Sources: Picky's pages "Webhook variables", "Event webhook variables" and "Configuring webhook URL", and bodies that
clients recorded. Ids come as numbers or as text, `message_in_raw` is spelled in two ways, and no body is signed or says
when its event happened. We read what we use, and refuse what we can't read; all else belongs to the app.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from headway.errors import HeadwayError
from providers.outcomes import clean

#: Longest id, in characters: ours have 36, Picky's about 10.
ID_LIMIT = 128
#: Longest text: a person may be called anything, and an app's reference is its own affair.
NAME_LIMIT = 512
#: WhatsApp's texts have 4,096 characters; URL-encoded, twelve for each.
MESSAGE_LIMIT = 65_536
#: Most receipts of one webhook: as many as one push may have rows.
ROWS_LIMIT = 10_000

_DELIVERY_REPORT = 1


class InvalidWebhook(HeadwayError):
    """A field of a webhook isn't what the provider's pages say it is; nothing was counted."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class Status(StrEnum):
    """What a receipt says; the numbers on the wire have no order of progress."""

    UNKNOWN = "unknown"
    DELIVERED = "delivered"
    FAILED = "failed"
    READ = "read"
    SUBMITTED = "submitted"
    REFUNDED = "refunded"


_STATUS = MappingProxyType(dict(enumerate(Status)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """A message from somebody.

    Attributes:
        event_id: Picky's id of the message: the same in every repetition.
        number: the sender: digits, a contact's name, `Group @Sender`, or a Messenger id.
        application: the channel it came in on; empty when the body doesn't say.
        context_id: the provider's id of the message it answers; empty when it answers none.
        at_us: when it happened, in microseconds since 1970; Picky never says.
        raw: the body.
    """

    event_id: str
    number: str
    application: str
    context_id: str
    at_us: int | None
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of one message that was sent.

    Attributes:
        event_id: the same in every repetition: the message, and what happened to it.
        provider_id: the provider's id of the message (`msg_id`); may be empty when there is a reference.
        reference: what the sender gave as `reference_number`: our own id, if we sent it.
        push_id: the provider's id of the request.
        application: the channel of this row; empty when neither row nor body says.
        status: what happened.
        to: the recipient, as the provider writes it.
        code: the provider's code of a failure.
        error: its words for it.
    """

    event_id: str
    provider_id: str
    reference: str
    push_id: str
    application: str
    status: Status
    to: str
    code: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipts:
    """An event webhook with receipts, in the order of the body's `data`."""

    rows: tuple[Receipt, ...]
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What uses no TPS: the echo of a message of our own, a WhatsApp filter report, a group's or subscriber's news."""

    application: str
    raw: Mapping[str, Any]


Webhook = Inbound | Receipts | Notice


def parse(body: Mapping[str, Any]) -> Webhook:
    """Read the body of the global webhook, or with `event_id` of the event webhook, which may share one address.

    Raises InvalidWebhook, which names the field.
    """
    event_id = _text(body, "event_id")
    application = _text(body, "application") or _text(body, "channel_id")
    if event_id:
        if _whole("event_id", event_id) != _DELIVERY_REPORT:
            return Notice(application=application, raw=body)
        return Receipts(rows=_rows(body, application), raw=body)
    direction = _text(body, "direction") or "0"
    if direction not in ("0", "1"):
        raise InvalidWebhook("direction", "must be 0 (inbound) or 1 (outbound)")
    if direction == "1":
        return Notice(application=application, raw=body)
    return _inbound(body, application)


def _inbound(body: Mapping[str, Any], application: str) -> Inbound:
    unique = _text(body, "unique-id")
    if not unique:
        raise InvalidWebhook("unique-id", "is missing: without it a repeated message can't be told from a new one")
    number = _text(body, "number", limit=NAME_LIMIT) or _text(body, "messenger_id")
    if not number:
        raise InvalidWebhook("number", "is missing, and so is messenger_id: a message must say who sent it")
    for name in ("message-in", "message_in_raw", "message-in-raw"):
        _text(body, name, limit=MESSAGE_LIMIT)
    for name in ("type", "name"):
        _text(body, name, limit=NAME_LIMIT)
    return Inbound(
        event_id=f"in:{unique}",
        number=number,
        application=application,
        context_id=_text(body, "context-msg-id", limit=NAME_LIMIT),
        at_us=None,
        raw=body,
    )


def _rows(body: Mapping[str, Any], application: str) -> tuple[Receipt, ...]:
    data = body.get("data")
    # No page shows that a single receipt comes in a list.
    rows = [data] if isinstance(data, Mapping) else data
    if not isinstance(rows, list):
        raise InvalidWebhook("data", "must be a list of receipts" if "data" in body else "is missing")
    if len(rows) > ROWS_LIMIT:
        raise InvalidWebhook("data", f"has {len(rows)} receipts, at most {ROWS_LIMIT} are taken")
    return tuple(_receipt(f"data[{index}]", row, application) for index, row in enumerate(rows))


def _receipt(path: str, row: Any, application: str) -> Receipt:
    if not isinstance(row, Mapping):
        raise InvalidWebhook(path, "must be an object")
    at = f"{path}."
    provider_id = _text(row, "msg_id", at)
    reference = _text(row, "reference_number", at, limit=NAME_LIMIT)
    if not provider_id and not reference:
        raise InvalidWebhook(f"{at}msg_id", "is missing, and so is reference_number: a receipt must name its message")
    said = _text(row, "status", at)
    if not said:
        raise InvalidWebhook(f"{at}status", "is missing")
    # A status that was added since is news of a message, and no reason to refuse those of the others.
    status = _STATUS.get(_whole(f"{at}status", said), Status.UNKNOWN)
    to = _text(row, "number", at, limit=NAME_LIMIT)
    return Receipt(
        event_id=f"{provider_id or reference}:{status}:{to}",  # each member of a group brings receipts of one message
        provider_id=provider_id,
        reference=reference,
        push_id=_text(row, "push_id", at),
        application=_text(row, "channel_id", at) or _text(row, "application", at) or application,
        status=status,
        to=to,
        code=clean(row["error_code"]) if row.get("error_code") else "",
        error=clean(row["error_message"]) if row.get("error_message") else "",
    )


def _text(fields: Mapping[str, Any], name: str, at: str = "", *, limit: int = ID_LIMIT) -> str:
    """Return a text, or a whole number as text; nothing for a field that is missing, null or empty."""
    value = fields.get(name)
    if value is None:
        return ""
    if type(value) is int:  # not a bool
        value = str(value)
    elif type(value) is not str:
        raise InvalidWebhook(at + name, "must be text or a whole number")
    if len(value) > limit:
        raise InvalidWebhook(at + name, f"has {len(value)} characters, at most {limit} are taken")
    value = value.strip()
    # JSON can carry half a surrogate pair, UTF-8 can't.
    return value if value.isascii() else value.encode(errors="replace").decode()


def _whole(field: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise InvalidWebhook(field, "must be a whole number")
    return int(text)
