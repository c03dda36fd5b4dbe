"""What does a person say of some of a number's messages: hold them, drop them, or take no more of them?

A *mark* says it, by class, campaign, tag, recipient and age. It stands in Redis; every lease, and once more every
begin, compares its rows with it, so it is in force on all workers at once, also for what they have leased already.
Nothing is taken out of the middle of a list: rows are dropped, or held aside, when a lease meets them at the head of
their lane.

- *hold*: rows wait aside until the hold ends, and go back to the head of their lane in their order then. A class that
  is held whole isn't moved at all: leases pass its lane over.
- *drop*: what was accepted before it never leaves; each record says `cancelled`, who and why. It goes when nothing
  older can be left, or after HEADWAY_RECORD_TTL: then the record is gone that says when a message was accepted.
- *drain*: pushes are refused, what waits leaves. What a plain Celery app publishes can't be refused.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

import redis

from headway import keys
from headway.classes import MessageClass
from headway.errors import ControlError
from headway.message import LABEL
from runtime import scripts
from scheduler.decree import Decree

#: The furthest age that can be asked for: records are kept for less.
MOST_AGE = timedelta(days=3650)


_NEVER_MS = 2**53
#: As a group's id.
_TO_LONGEST = 128


class What(StrEnum):
    """What becomes of the messages that a mark is about."""

    HOLD = "hold"
    DROP = "drop"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which messages of a number: all that is given must be so; nothing given is all of them.

    `to`: a recipient's number or a group's id. `older_than`: accepted before so long ago. Raises ControlError.
    """

    class_: MessageClass | None = None
    campaign: str = ""
    tag: str = ""
    to: str = ""
    older_than: timedelta | None = None

    def __post_init__(self) -> None:
        for field, text in (("campaign", self.campaign), ("tag", self.tag)):
            if text and not LABEL.match(text):
                raise ControlError(field, "must have 1 to 64 letters, digits or any of _ . : -")
        if self.to and (len(self.to) > _TO_LONGEST or not self.to.isprintable()):
            raise ControlError("to", "must be a recipient's number, digits only, or a group's id")
        if self.older_than is not None and not timedelta(0) < self.older_than <= MOST_AGE:
            raise ControlError("older_than", "must be more than nothing, and 10 years at the most")

    @property
    def everything(self) -> bool:
        """Whether it is about all messages of the number."""
        return self == Selection()

    @property
    def whole_class(self) -> bool:
        """Whether it is about all messages of the number, or of one class."""
        return not (self.campaign or self.tag or self.to or self.older_than)

    def as_json(self) -> dict[str, str | int]:
        """Return what is given, by the names that people use."""
        age_s = None if self.older_than is None else int(self.older_than.total_seconds())
        said = {
            "class": self.class_.value if self.class_ else "", "campaign": self.campaign, "tag": self.tag,
            "to": self.to, "older_than_s": age_s,
        }  # fmt: skip
        return {name: value for name, value in said.items() if value}

    def __str__(self) -> str:
        """Say it as a person would."""
        said = self.as_json()
        if not said:
            return "all messages"
        age = f"older than {said.pop('older_than_s')} s" if self.older_than else ""
        return ", ".join([*(f"{name} {value}" for name, value in said.items()), *([age] if age else [])])


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A mark that stands. Times are the server's, in milliseconds since 1970. `rows`: how many it has dropped."""

    id: str
    what: What
    verb: str
    selection: Selection
    by: str
    where: str
    reason: str
    at_ms: int
    until_ms: int | None = None
    before_ms: int | None = None
    rows: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return it for programs, without what isn't said."""
        said = asdict(self) | {"what": self.what.value, "selection": self.selection.as_json()}
        return {name: value for name, value in said.items() if value not in ("", None)}


def read(client: redis.Redis, number: str, *, now_ms: int | None = None) -> list[Mark]:
    """Return the marks that stand now, the oldest first; those whose time has passed are left out."""
    found: Any = client.hgetall(keys.marks(number))
    if not found:
        return []
    now_ms = server_ms(client) if now_ms is None else now_ms
    fields = {_text(name): _text(value) for name, value in found.items()}
    marks = [mark_of(name, text, rows=fields.get(name + ".rows", "")) for name, text in fields.items()]
    standing = [mark for mark in marks if mark and (mark.until_ms is None or mark.until_ms > now_ms)]
    return sorted(standing, key=lambda mark: (mark.at_ms, mark.id))


def mark_of(mark_id: str, text: str, *, rows: str = "") -> Mark | None:
    """Read a mark as it stands in Redis; None for what is none."""
    try:
        said = json.loads(text)
        return _mark(mark_id, said, int(rows or 0)) if isinstance(said, dict) else None
    except (ValueError, KeyError, TypeError, ControlError):
        return None


def put(
    client: redis.Redis, number: str, what: What, selection: Selection, decree: Decree, *, verb: str, record_ttl_s: int
) -> Mark:
    """Make a mark, in force from now on; a hold or drain of the same selection is replaced by it, a drop superseded.

    Raises ControlError when the number has too many marks.
    """
    now_ms = server_ms(client) if decree.now_ms is None else decree.now_ms
    standing = read(client, number, now_ms=now_ms)
    superseded = [mark.id for mark in standing if (mark.what, mark.selection) == (what, selection)]
    until_ms = decree.until_ms
    if what is What.DROP:
        until_ms = min(until_ms or _NEVER_MS, now_ms + record_ttl_s * 1000)
    said = {
        "what": what.value, "verb": verb, "ttl_s": record_ttl_s, "token": uuid.uuid4().hex,
        "class": selection.class_ and selection.class_.value,
        "step": None if selection.class_ is None else str(selection.class_.priority),
        "campaign": selection.campaign, "tag": selection.tag, "to": selection.to, "until_ms": until_ms,
        "age_ms": None if selection.older_than is None else int(selection.older_than.total_seconds() * 1000),
    }  # fmt: skip
    mark_id = hashlib.sha256(f"{what} {selection}".encode()).hexdigest()[:12]
    if what is What.DROP:
        mark_id = uuid.uuid4().hex[:12]
        ends = superseded
    else:
        ends = [other for other in superseded if other != mark_id]
    text = json.dumps({name: value for name, value in said.items() if value not in ("", None)})
    made, *_ = _run(client, number, decree, verb=verb, mark=(mark_id, text), ends=ends)
    mark = mark_of(mark_id, made)
    if mark is None:
        raise ValueError(f"the mark script does not answer like this: {made!r:.200}")
    return mark


def end(client: redis.Redis, number: str, marks: Sequence[Mark], decree: Decree, *, verb: str) -> list[Mark]:
    """End marks; return those that stood still."""
    _, *ended = _run(client, number, decree, verb=verb, mark=("", ""), ends=[mark.id for mark in marks])
    texts = set(ended[::2])
    return [mark for mark in marks if any(_same(mark, text) for text in texts)]


def server_ms(client: redis.Redis) -> int:
    """Return the server's time in milliseconds since 1970."""
    seconds, micros = client.time()
    return int(seconds) * 1000 + int(micros) // 1000


def _run(
    client: redis.Redis, number: str, decree: Decree, *, verb: str, mark: tuple[str, str], ends: Sequence[str]
) -> list[str]:
    args: list[scripts.Argument] = [
        decree.now, keys.doorbell(number), decree.by, decree.where, decree.reason, verb, *mark, *ends,
    ]  # fmt: skip
    names = [keys.marks(number), keys.changes(number)]
    taken, *rest = scripts.load("scheduler", "mark").run(client, names, args)
    if not taken:
        raise ControlError("number", "it has too many marks: end some (`headway marks` lists them)")
    return [_text(part) for part in rest]


def _same(mark: Mark, text: str) -> bool:
    other = mark_of(mark.id, text)
    return other is not None and (other.at_ms, other.what, other.selection) == (mark.at_ms, mark.what, mark.selection)


def selection_of(said: Mapping[str, Any]) -> Selection:
    """Read which messages a mark in Redis is about."""
    age_ms = said.get("age_ms")
    return Selection(
        class_=MessageClass(said["class"]) if said.get("class") else None,
        campaign=str(said.get("campaign", "")),
        tag=str(said.get("tag", "")),
        to=str(said.get("to", "")),
        older_than=timedelta(milliseconds=age_ms) if age_ms else None,
    )


def _mark(mark_id: str, said: Mapping[str, Any], rows: int) -> Mark:
    return Mark(
        id=mark_id,
        what=What(said["what"]),
        verb=str(said.get("verb", "")),
        selection=selection_of(said),
        by=str(said.get("by", "")),
        where=str(said.get("from", "")),
        reason=str(said.get("reason", "")),
        at_ms=int(said["at_ms"]),
        until_ms=_whole(said.get("until_ms")),
        before_ms=_whole(said.get("before_ms")),
        rows=rows,
    )


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
