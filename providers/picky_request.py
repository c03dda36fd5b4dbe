"""What does a Push API v2 request of Picky Assist look like, given rows of one shape?

Sources of the wire shape: Picky's pages "API Variables", "Sending Dynamic Messages (Push)" and, for groups, a
third-party copy of their group page. We write strictly: only documented keys, and no key without a value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from headway.classes import MessageClass
from providers.base import Row

PATH = "/api/v2/push"

#: Picky takes these once per request, so rows of one request must agree on them.
SHAPE_FIELDS = ("template_id", "template_header", "media_url", "media_name", "group_id", "location")

#: Our field -> Picky's key, for the request. `location` keeps its inner names: name, address, lat, long.
_REQUEST_KEYS = {
    "template_id": "template_id",
    "template_header": "template_header",
    "media_url": "globalmedia",
    "media_name": "media_name",
    "group_id": "group_id",
    "location": "location",
}
#: Our field -> Picky's key, for one row of `data`. `reference` is the app's own and stays with us.
_ROW_KEYS = {"template_values": "template_message", "language": "language"}
#: Classes that go into the faster of Picky's two places.
_FAST_CLASSES = frozenset({MessageClass.URGENT, MessageClass.HIGH})


def fitting(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that can share one request with the first one.

    The lease already sees to that; this is the last guard before a row would go out with another row's template.
    A group send has no `data` at all, so it can only go alone.
    """
    first = rows[0]
    if first.fields.get("group_id"):
        return [first]
    shape = shape_of(first)
    return [row for row in rows if shape_of(row) == shape]


def shape_of(row: Row) -> tuple[Any, ...]:
    """Return what a row must have in common with the others of its request; an empty value is the same as none."""
    return tuple(row.fields.get(field) or None for field in SHAPE_FIELDS)


def encode(rows: Sequence[Row], *, token: str, application: str) -> bytes:
    """Return the JSON body for rows of one shape.

    Raises TypeError, ValueError or RecursionError when a field holds what JSON can't say.
    """
    first = rows[0]
    fast = any(row.fields.get("class") in _FAST_CLASSES for row in rows)
    request: dict[str, Any] = {"token": token, "application": application, "priority": "1" if fast else "0"}
    request |= _renamed(first.fields, _REQUEST_KEYS)
    if first.fields.get("group_id"):
        request["globalmessage"] = first.text or ""
    else:
        # Empty on purpose: Picky's samples of personalised rows carry it so.
        request["globalmessage"] = ""
        request["data"] = [_row(row) for row in rows]
    # ASCII out, so that a lone surrogate in a text travels as an escape instead of failing to encode.
    return json.dumps(request, separators=(",", ":"), allow_nan=False).encode("ascii")


def _row(row: Row) -> dict[str, Any]:
    data: dict[str, Any] = {"number": row.to, "reference_number": row.id}
    if row.text is not None:
        data["message"] = row.text
    return data | _renamed(row.fields, _ROW_KEYS)


def _renamed(fields: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    return {key: fields[field] for field, key in keys.items() if fields.get(field)}
