"""What can an app ask us to send, and what must be true of it?

The one place where a message is checked: the Python client, plain Celery publishers and the HTTP gateway all end here.
Bounds come from the provider's pages: Push API "API variables" (numbers are digits with country code, no `+`, no
leading
`0`; file names 20 and headers 60 characters), "High volume messaging" and WhatsApp's own 4,096 characters of text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import InitVar, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from headway.classes import MessageClass
from headway.errors import InvalidMessage

#: E.164 allows 15 digits; shorter than 7 is no international number.
NUMBER = re.compile(r"[1-9][0-9]{6,14}\Z")

#: A message id is a Celery task id: a uuid, or whatever a plain publisher chose within these bounds.
MESSAGE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}\Z")

#: What an app groups its messages by: `tag` for caps and control, `campaign` the one that brought it.
LABEL = re.compile(r"[A-Za-z0-9_.:-]{1,64}\Z")

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?\Z")
_YEAR_S = 366 * 24 * 60 * 60

#: WhatsApp's own bound of a group.
MOST_MEMBERS = 1024

Check = Callable[[str, Any], Any]


def _text(longest: int) -> Check:
    def check(field: str, value: Any) -> str:
        if not isinstance(value, str):
            raise InvalidMessage(field, "must be text")
        if not value or len(value) > longest:
            raise InvalidMessage(field, f"must have 1 to {longest} characters, has {len(value)}")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidMessage(field, "has half of a surrogate pair, which is no character") from None
        return value

    return check


def _number(field: str, value: Any) -> str:
    if not isinstance(value, str) or not NUMBER.match(value):
        raise InvalidMessage(field, "must be 7 to 15 digits with country code, without + and without a leading 0")
    return value


def _label(field: str, value: Any) -> str:
    if not isinstance(value, str) or not LABEL.match(value):
        raise InvalidMessage(field, "must have 1 to 64 letters, digits or any of _ . : -")
    return value


def _url(field: str, value: Any) -> str:
    text: str = _text(2048)(field, value)
    if not re.match(r"https?://[^\s/]+", text):
        raise InvalidMessage(field, "must be an http:// or https:// address")
    return text


def _values(field: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or len(value) > 32:
        raise InvalidMessage(field, "must be a list of at most 32 texts")
    return tuple(_text(1024)(f"{field}[{index}]", item) for index, item in enumerate(value))


def _degrees(value: Any, bound: int) -> bool:
    """Whether it is a number within the bound, or text that says one; JSON knows no other kind of number."""
    if isinstance(value, str):
        return bool(re.fullmatch(r"-?[0-9]{1,3}(\.[0-9]{1,20})?", value)) and -bound <= float(value) <= bound
    return isinstance(value, int | float) and not isinstance(value, bool) and -bound <= value <= bound


def _location(field: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not {"lat", "long"} <= set(value) <= {"lat", "long", "name", "address"}:
        raise InvalidMessage(field, "must be an object with lat, long and, if you like, name and address")
    for key, bound in (("lat", 90), ("long", 180)):
        if not _degrees(value[key], bound):
            raise InvalidMessage(f"{field}.{key}", f"must be a number from -{bound} to {bound}")
    for key in {"name", "address"} & set(value):
        _text(512)(f"{field}.{key}", value[key])
    return dict(value)


def _members(field: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_MEMBERS:
        raise InvalidMessage(field, f"must be a whole number from 1 to {MOST_MEMBERS}")
    return value


def _class(field: str, value: Any) -> MessageClass:
    if isinstance(value, MessageClass):
        return value
    try:
        return MessageClass(value)
    except ValueError:
        raise InvalidMessage(field, f"must be one of {', '.join(MessageClass)}") from None


def _time(field: str, value: Any) -> str:
    """Keep the text (RFC 3339): the lease reads it with the server's clock."""
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise InvalidMessage(field, "must be a time like 2030-01-31T08:00:00Z") from None
    offset = time.utcoffset()
    if offset is None or offset % timedelta(minutes=1):
        raise InvalidMessage(field, "must say its time zone, in hours and minutes, like 2030-01-31T08:00:00Z")
    return time.isoformat()


#: Field -> its check, in the words of the JSON kwargs of `worker.send`.
CHECKS: Mapping[str, Check] = {
    "to": _number,
    "group_id": _text(128),
    "group_members": _members,
    "text": _text(4096),
    "media_url": _url,
    "media_name": _text(20),
    "template_id": _text(64),
    "template_values": _values,
    "template_header": _text(60),
    "language": _text(16),
    "location": _location,
    "reference": _text(128),
    "tag": _label,
    "campaign": _label,
    "class": _class,
    "send_at": _time,
    "expires_at": _time,
}

#: What an app may say instead of `expires_at`: seconds, or a timedelta.
EXPIRES_IN = "expires_in"
#: Everything that an app may say of a message.
FIELDS = (*CHECKS, EXPIRES_IN)

#: A Message's attribute -> its field and the check.
_ATTRIBUTES = {("class_" if name == "class" else name): (name, check) for name, check in CHECKS.items()}

#: At least one of these is what the message says.
CONTENT = ("text", "media_url", "template_id", "location")
_CONTENT = frozenset(CONTENT)


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message to one recipient (`to`) or one group (`group_id`), checked.

    `send_at` and `expires_at` are RFC 3339 texts with a time zone, or datetimes; `expires_in`, seconds or a timedelta
    from now or from `send_at`, may be given instead of `expires_at`, and becomes that. `group_members`: how many
    receipts of a kind a send to the group may bring. `reference` is the app's own, `tag` and `campaign` what it groups
    its messages by; none of them leaves for the provider. Raises InvalidMessage, which names the
    field, from `of` and from the constructor alike. Has no slots: an instance holds what is said, and finds None in the
    class for all else.
    """

    to: str | None = None
    group_id: str | None = None
    group_members: int | None = None
    text: str | None = None
    media_url: str | None = None
    media_name: str | None = None
    template_id: str | None = None
    template_values: tuple[str, ...] | None = None
    template_header: str | None = None
    language: str | None = None
    location: Mapping[str, Any] | None = None
    reference: str | None = None
    tag: str | None = None
    campaign: str | None = None
    class_: MessageClass = MessageClass.NORMAL
    send_at: str | datetime | None = None
    expires_at: str | datetime | None = None
    expires_in: InitVar[timedelta | float | str | None] = None

    if not TYPE_CHECKING:  # the generated one sets all fields one by one: three times as long

        def __init__(self, **fields: Any) -> None:
            said = {}
            if EXPIRES_IN in fields:
                fields = _lasting(fields)
            for attribute, value in fields.items():
                if attribute not in _ATTRIBUTES:
                    raise TypeError(f"Message has no field {attribute!r}; it has {', '.join(_ATTRIBUTES)}")
                if value is not None:
                    name, check = _ATTRIBUTES[attribute]
                    said[attribute] = check(name, value)
            _complete(said)
            # What isn't said is the class's own None.
            self.__dict__.update(said)

    @classmethod
    def of(cls, kwargs: Any) -> Message:
        """Check what a stranger sent as the kwargs of `worker.send`; None stands for a field left out."""
        said = checked(_lasting(kwargs) if isinstance(kwargs, Mapping) and EXPIRES_IN in kwargs else kwargs)
        if "class" in said:
            said["class_"] = said.pop("class")
        message = object.__new__(cls)
        message.__dict__.update(said)
        return message

    def kwargs(self) -> dict[str, Any]:
        """Return the JSON kwargs of `worker.send`, without the class: its lane says that."""
        said = self.__dict__.copy()
        said.pop("class_", None)
        return said


def checked(kwargs: Any) -> dict[str, Any]:
    """Return the fields of a message, checked as `Message.of` does: for who handles many and needs no Message.

    Raises InvalidMessage, which names the field.
    """
    if not isinstance(kwargs, Mapping):
        raise InvalidMessage("kwargs", "must be an object with the message's fields")
    fields = {}
    for name, value in kwargs.items():
        check = CHECKS.get(name)
        if check is None:
            raise InvalidMessage(str(name)[:64], f"is not a field of a message; there are {', '.join(CHECKS)}")
        if value is not None:
            fields[name] = check(name, value)
    _complete(fields)
    return fields


def expiry(send_at: Any, expires_in: Any) -> str:
    """Return the `expires_at` of a message that expires so long after it may leave. Raises InvalidMessage."""
    if isinstance(expires_in, str) and _SECONDS.match(expires_in.strip()):
        expires_in = float(expires_in)
    if isinstance(expires_in, int | float) and not isinstance(expires_in, bool) and 0 < expires_in <= _YEAR_S:
        expires_in = timedelta(seconds=expires_in)
    if not isinstance(expires_in, timedelta) or not timedelta(0) < expires_in <= timedelta(seconds=_YEAR_S):
        raise InvalidMessage(EXPIRES_IN, f"must be a number of seconds above 0, {_YEAR_S} at most")
    leaves = datetime.now(UTC)
    if send_at is not None:
        leaves = max(leaves, datetime.fromisoformat(_time("send_at", send_at)))
    try:
        return (leaves + expires_in).isoformat()
    except OverflowError:
        raise InvalidMessage("send_at", "is too far away to expire after it") from None


def _lasting(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a message with `expires_at` in the place of `expires_in`."""
    found = dict(fields)
    expires_in = found.pop(EXPIRES_IN)
    if expires_in is not None:
        if found.get("expires_at") is not None:
            raise InvalidMessage(EXPIRES_IN, "says the same as expires_at; keep one of them")
        found["expires_at"] = expiry(found.get("send_at"), expires_in)
    return found


def _complete(said: Mapping[str, Any]) -> None:
    """Raise InvalidMessage for fields, each good by itself, that make no message together."""
    if ("to" in said) == ("group_id" in said):
        raise InvalidMessage("to", "name either a recipient (to) or a group (group_id)")
    if "group_members" in said and "group_id" not in said:
        raise InvalidMessage("group_members", "goes with a group (group_id); leave it out")
    if _CONTENT.isdisjoint(said):
        raise InvalidMessage("text", f"say something: one of {', '.join(CONTENT)}")
