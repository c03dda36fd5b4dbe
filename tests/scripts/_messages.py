"""What do publishers put on lanes? Envelopes of every kind, with what the model must know of each."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from typing import Any

from headway import MessageClass
from headway.envelope import seal
from headway.message import Message
from tests.scripts._choices import Choices
from tests.scripts.model import Item
from tests.scripts.stage import NUMBER

USUAL_MEMBERS = 256
PEOPLE = [f"1999000000{i}" for i in range(6)]

OPTIONAL: list[tuple[str, list[Any]]] = [
    ("template_id", ["A", "B"]),
    ("send_in_ms", [-1000, 0, 1, 700, 5000]),
    ("expires_in_ms", [-1000, 0, 300, 5000]),
    ("class", list(MessageClass)),
    ("pickle", [True]),
    ("group_members", [None, 5, 1024]),
]


def fields(c: Choices) -> dict[str, Any]:
    """What a message says; times are relative."""
    chosen: dict[str, Any] = {"to": c.pick(PEOPLE), "text": c.pick(["x", "y" * 300])}
    return chosen | {name: c.pick(options) for name, options in OPTIONAL if c.pick([False, False, True])}


def message(said: dict[str, Any], id_: str, now: int) -> Item:
    """The envelope of a message, published now."""
    kwargs = {name: value for name, value in said.items() if name in ("to", "text", "template_id")}
    if "group_members" in said:
        kwargs["group_id"] = f"group-of-{kwargs.pop('to')}"
        kwargs |= {"group_members": said["group_members"]} if said["group_members"] else {}
    times = {}
    for ours, theirs in (("send_in_ms", "send_at"), ("expires_in_ms", "expires_at")):
        if ours in said:
            times[theirs] = now + said[ours] * 1000
            kwargs[theirs] = _text(times[theirs])
    raw = seal(NUMBER, id_, Message.of(kwargs))
    envelope = json.loads(raw)
    refused = ""
    if "class" in said:
        body = json.loads(envelope["body"])
        body[1]["class"] = said["class"].value
        envelope["body"] = json.dumps(body)
    if "pickle" in said:
        envelope["content-type"] = "application/x-python-serialize"
        refused = "content-type: only plain JSON is read, never pickle"
    if "class" in said or "pickle" in said:
        raw = json.dumps(envelope).encode()
    return Item(
        id_, raw, envelope["body"], kwargs.get("to") or kwargs["group_id"],
        f'template_id="{kwargs["template_id"]}"\n' if "template_id" in kwargs else "",
        step=said["class"].priority if "class" in said and not refused else None,
        not_before=times.get("send_at", 0), expires=times.get("expires_at", float("inf")), refused=refused,
        members=(said["group_members"] or USUAL_MEMBERS) if "group_members" in said else 0,
    )  # fmt: skip


def rubbish(text: str) -> Item:
    """What nobody can read."""
    raw = text.encode()
    return Item(f"unreadable-{sha1(raw, usedforsecurity=False).hexdigest()}", raw, refused="unreadable")


def _text(at_us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)).isoformat()
