"""What may a push say, and what is said back? Picky Assist's Push API v2 as types; the OpenAPI page is made from them.

Loose where Picky and its clients are loose: a number may stand where digits in text are meant, null and an empty text
are the same as a field left out. Whatever would be ignored is refused by name instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from gateway.body import shown
from gateway.findings import Findings
from gateway.problems import BadRows

#: Picky: "Maximum numbers can be passed in single API".
MOST_ROWS = 10_000

#: Digits, as text or as a JSON number.
Digits = str | int
#: Seconds, as text or as a JSON number.
Seconds = str | int | float
#: Values of a template.
Values = list[str | int]


class PushRow(Struct, forbid_unknown_fields=True, gc=False):
    """One message to one recipient. What a row leaves out it takes from the push."""

    number: Annotated[Digits, Meta(description="7 to 15 digits with country code, without + and leading 0")]
    message: str | None = None
    media: str | None = None
    template_message: Values | None = None
    language: str | None = None
    reference_number: Digits | None = None
    send_at: str | None = None
    expires_in: Seconds | None = None
    tag: str | None = None


class PushRequest(Struct, forbid_unknown_fields=True):
    """A push: up to 10,000 rows for one number, or one message to a group."""

    token: str
    application: Annotated[Digits, Meta(description="the sending number, or the channel id that Picky gave it")]
    globalmessage: str | None = None
    globalmedia: str | None = None
    media_name: str | None = None
    priority: Annotated[
        Digits | None,
        Meta(description="0: normal, and bulk above 100 rows; 1: high; or a class: urgent, high, normal, bulk"),
    ] = None
    template_id: Digits | None = None
    template_globalmessage: Values | None = None
    language: str | None = None
    template_header: str | None = None
    location: dict[str, str | int | float | None] | None = None
    group_id: Digits | None = None
    group_members: Annotated[
        Digits | None, Meta(description="how many receipts of a kind a send to the group may bring, 1 to 1024")
    ] = None
    send_at: Annotated[
        str | None, Meta(description="RFC 3339, with a time zone: not before this; a row's own wins")
    ] = None
    expires_in: Annotated[
        Seconds | None, Meta(description="seconds from now, or from send_at, after which a row never leaves")
    ] = None
    tag: Annotated[str | None, Meta(description="what the app groups its messages by, for caps and control")] = None
    data: list[PushRow] | None = None


class PushedRow(Struct, gc=False):
    """A row that was accepted, in the order of the push; its estimate where a push has at most 100."""

    msg_id: str
    number: str
    credit: str = "0"
    estimated_send_at: str | UnsetType | None = UNSET


class PushAnswer(Struct, kw_only=True):
    """Every row is on its lane, with a record.

    `estimated_send_at`: when the last row will leave (RFC 3339, UTC); null when nobody knows. `waits_for`: what it
    waits for, empty when it leaves at once: a word of `because` in `headway explain`, or `paused`, `send_at`, `worker`.
    Both are left out where the answer is a repeated one.
    """

    status: int = 100
    push_id: str
    message: str = "Success"
    data: list[PushedRow] = field(default_factory=list)
    estimated_send_at: str | UnsetType | None = UNSET
    waits_for: list[str] | UnsetType = UNSET


#: Fields of Picky's (or of our own contract) whose time is still to come: refused, unless they say nothing.
NOT_YET = frozenset(
    {"globalmedia_code", "contact", "sticker", "voice",
     "interactive_globalbuttons", "quoted", "createcontact", "action", "sleep"}
)  # fmt: skip
NOT_YET_IN_ROWS = frozenset({"media_code", "messenger_id", "quoted", "contact"})

_FIELDS = tuple(name for name in PushRequest.__struct_fields__ if name != "data")
_TOLD = re.compile(r"(?P<said>.*?)(?: - at `\$\.?(?P<place>[^`]*)`)?\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_EXPECTED = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_NAMES = {"str": "text", "int": "a number", "float": "a number", "array": "a list", "object": "an object",
          "bool": "true or false", "null": "nothing"}  # fmt: skip


def read(body: Mapping[str, Any]) -> PushRequest:
    """Return the push in a JSON object whose keys are stripped.

    Raises BadRequest for fields of the push and BadRows for its rows; the message names each, up to a bound.
    """
    data = body.get("data")
    if isinstance(data, list) and len(data) > MOST_ROWS:
        raise BadRows(f"data: has {len(data)} rows, a push takes at most {MOST_ROWS}; send several")
    try:
        return msgspec.convert(body, PushRequest)
    except (msgspec.ValidationError, UnicodeEncodeError):  # the second for a name with half of a surrogate pair
        return _read_slowly(body, data)


def _read_slowly(body: Mapping[str, Any], data: object) -> PushRequest:
    """Look at each row by itself, so that all that is wrong can be named; fields that say nothing fall away."""
    findings = Findings()
    top = _known({name: body[name] for name in body if name != "data"}, _FIELDS, NOT_YET, place="", findings=findings)
    request = _converted(top, PushRequest, place="", findings=findings)
    rows: list[PushRow] = []
    if data is not None and not isinstance(data, list):
        findings.add("data", "must be a list of rows")
    for index, given in enumerate(data if isinstance(data, list) else ()):
        if findings.full:
            break
        place = f"data[{index}]"
        if not isinstance(given, dict):
            findings.add(place, "must be an object with number and message")
            continue
        known = _known(given, PushRow.__struct_fields__, NOT_YET_IN_ROWS, place=f"{place}.", findings=findings)
        row = _converted(known, PushRow, place=f"{place}.", findings=findings)
        if row is not None:
            rows.append(row)
    findings.raise_if_any()
    push: PushRequest = msgspec.structs.replace(request, data=rows or None)
    return push


def _known(
    given: Mapping[str, Any], known: tuple[str, ...], not_yet: frozenset[str], *, place: str, findings: Findings
) -> dict[str, Any]:
    """Return the fields that a shape has; the others are findings, unless they say nothing and mean none of ours."""
    fields = {}
    for name, value in given.items():
        if name in known:
            fields[name] = value
        elif name not in not_yet:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            findings.add(place + shown(name), f"is not a field of a push{hint}")
        elif value and value != "0":
            findings.add(place + name, "is not supported yet; leave it out")
    return fields


def _converted(given: Mapping[str, Any], shape: type[Any], *, place: str, findings: Findings) -> Any:
    """Return the shape, or None and a finding."""
    try:
        return msgspec.convert(given, shape)
    except msgspec.ValidationError as error:
        findings.add(*_told(str(error), place))
    except UnicodeEncodeError:  # deeper down; names of fields are known by now
        findings.add(place.rstrip(".") or "location", "has a name with half of a surrogate pair")
    return None


def _told(text: str, place: str) -> tuple[str, str]:
    """Turn a sentence of msgspec's into a field and what is wrong with it."""
    if missing := _MISSING.match(text):
        return place + missing[1], "is missing"
    told = _TOLD.match(text)
    said, inner = (told["said"], told["place"] or "") if told else (text, "")
    if expected := _EXPECTED.match(said):
        wanted = " or ".join(dict.fromkeys(_name(part) for part in expected[1].split(" | ") if part != "null"))
        said = f"must be {wanted}, is {_name(expected[2])}"
    return place + inner, said


def _name(kind: str) -> str:
    return _NAMES.get(kind, kind)
