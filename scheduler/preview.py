"""How many messages is a selection about now, and which, before anybody acts on them?

A bounded look that changes nothing: of the lanes from their heads, and of what is parked, up to LOOK rows in all. How
many there are is exact when all was looked at; else it is a least number, and says so.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from headway import keys
from headway.classes import MessageClass
from scheduler import shards
from scheduler.marks import Selection, server_ms

#: Rows looked at, at the most, and of one question.
LOOK = 10_000
PIECE = 500
#: Samples shown.
SAMPLES = 5

_CLASSES = {str(class_.priority): class_ for class_ in MessageClass}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One message, as far as it may be shown: `to` is masked. `age_s`: since it was accepted; None: nobody knows."""

    id: str
    class_: str
    to: str
    age_s: int | None
    campaign: str = ""
    tag: str = ""
    where: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it for programs, without what isn't known."""
        said = {
            "id": self.id, "class": self.class_, "to": self.to, "age_s": self.age_s, "campaign": self.campaign,
            "tag": self.tag, "where": self.where,
        }  # fmt: skip
        return {name: value for name, value in said.items() if value not in ("", None)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """How many a selection is about. `exact`: all were counted; else there are at least so many in `looked` rows."""

    count: int
    exact: bool
    looked: int
    samples: tuple[Sample, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        samples = [sample.as_json() for sample in self.samples]
        return {"count": self.count, "exact": self.exact, "looked": self.looked, "samples": samples}

    def __str__(self) -> str:
        """Say how many."""
        return f"{self.count:,}" if self.exact else f"at least {self.count:,} (in the first {self.looked:,} looked at)"


@dataclass(frozen=True, slots=True)
class Row:
    """A message that waits, read as far as it can be: a stranger may have put it there."""

    id: str
    class_: MessageClass
    to: str
    campaign: str
    tag: str
    where: str
    kwargs: Mapping[str, Any]
    headers: Mapping[str, Any]


def preview(client: redis.Redis, number: str, selection: Selection) -> Preview:
    """Look at what waits. A few round trips for each thousand rows."""
    now_ms = server_ms(client)
    found, looked, whole = [], 0, True
    for rows in pieces(client, number):
        looked += len(rows)
        found += _selected(client, rows, selection, now_ms)
        if looked >= LOOK:
            whole = False
            break
    count, exact = len(found), whole
    if not whole and selection.whole_class and (lanes := _waiting(client, number, selection)) > count:
        count, exact = lanes, False
    samples = tuple(_sample(row, at_ms, now_ms) for row, at_ms in _with_times(client, found[:SAMPLES]))
    return Preview(count=count, exact=exact, looked=looked, samples=samples)


def pieces(client: redis.Redis, number: str) -> Iterator[list[Row]]:
    """Yield what waits of a number, in pieces: lanes in class order from their heads, then what is parked."""
    units = shards.read(client, number).all_units(number)
    for class_ in MessageClass:
        for unit in units:
            yield from _of_lane(client, unit, class_)
    for unit in units:
        for where, ids in _parked(client, unit):
            yield from _kept(client, unit, where, ids)


def accepted_ms(client: redis.Redis, rows: Sequence[Row]) -> list[int | None]:
    """Return when each row was accepted, or tried anew by a person (server's time); None when nobody knows."""
    with client.pipeline(transaction=False) as pipe:
        for row in rows:
            pipe.hmget(keys.record(row.id), "retried_ms", "accepted_ms")
        found = pipe.execute() if rows else []
    return [int(retried or accepted) if retried or accepted else None for retried, accepted in found]


def _of_lane(client: redis.Redis, unit: str, class_: MessageClass) -> Iterator[list[Row]]:
    end = -1
    while True:
        raws: Any = client.lrange(keys.lane(unit, class_), end - PIECE + 1, end)
        if raws:
            yield [row for raw in reversed(raws) if (row := read_row(raw, class_, "lane"))]
        if len(raws) < PIECE:
            return
        end -= PIECE


def _parked(client: redis.Redis, unit: str) -> Iterator[tuple[str, Callable[[int], list[str]]]]:
    """Yield where rows of a unit are parked, and how to get a piece of their ids."""

    def of_set(key: str) -> Callable[[int], list[str]]:
        def piece(start: int) -> list[str]:
            found: Any = client.zrange(key, start, start + PIECE - 1)
            return [_text(member).rpartition("\n")[2] for member in found]

        return piece

    def of_list(key: str) -> Callable[[int], list[str]]:
        def piece(start: int) -> list[str]:
            found: Any = client.lrange(key, start, start + PIECE - 1)
            return [_text(member) for member in found]

        return piece

    yield "behind another one", of_set(keys.lines(unit))
    yield "deferred", of_set(keys.deferred(unit))
    for step in (0, 3, 6, 9):
        yield "due", of_list(keys.due_line(unit, step))
    marks: Any = client.hkeys(keys.held(unit))
    for mark in marks:
        for step in (0, 3, 6, 9):
            yield "held", of_list(keys.held_rows(unit, _text(mark), step))


def _kept(client: redis.Redis, unit: str, where: str, ids: Callable[[int], list[str]]) -> Iterator[list[Row]]:
    start = 0
    while True:
        piece = ids(start)
        if piece:
            found: Any = client.hmget(keys.kept(unit), piece)
            yield [row for raw in found if raw and (row := read_row(raw[1:], _CLASSES[chr(raw[0])], where))]
        if len(piece) < PIECE:
            return
        start += PIECE


def read_row(raw: bytes, class_: MessageClass, where: str) -> Row | None:
    """Read an envelope as a lease would; None for what can't be read."""
    try:
        envelope = json.loads(raw)
        body = envelope["body"]
        if envelope["properties"].get("body_encoding") == "base64":
            body = base64.b64decode(body)
        kwargs = json.loads(body)[1]
        label = {name: str(kwargs.get(name) or "") for name in ("campaign", "tag")}
        to = str(kwargs.get("to") or kwargs.get("group_id") or "")
        own = kwargs.get("class")
        class_ = MessageClass(own) if own in list(MessageClass) else class_
        headers = envelope["headers"]
        return Row(str(headers["id"]), class_, to, label["campaign"], label["tag"], where, kwargs, headers)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return None


def _selected(client: redis.Redis, rows: Sequence[Row], selection: Selection, now_ms: int) -> list[Row]:
    found = [row for row in rows if _meets(row, selection)]
    if selection.older_than is None:
        return found
    before_ms = now_ms - int(selection.older_than.total_seconds() * 1000)
    times = accepted_ms(client, found)
    return [row for row, at_ms in zip(found, times, strict=True) if at_ms is not None and at_ms <= before_ms]


def _meets(row: Row, wanted: Selection) -> bool:
    """Whether it is about this row, its age aside; as `meets` in include/marks.lua."""
    return (
        wanted.class_ in (None, row.class_)
        and wanted.campaign in ("", row.campaign)
        and wanted.tag in ("", row.tag)
        and wanted.to in ("", row.to)
    )


def _waiting(client: redis.Redis, number: str, selection: Selection) -> int:
    classes = [selection.class_] if selection.class_ else list(MessageClass)
    with client.pipeline(transaction=False) as pipe:
        for unit in shards.read(client, number).all_units(number):
            for class_ in classes:
                pipe.llen(keys.lane(unit, class_))
        return sum(pipe.execute())


def _with_times(client: redis.Redis, rows: Sequence[Row]) -> Iterator[tuple[Row, int | None]]:
    yield from zip(rows, accepted_ms(client, rows), strict=True)


def _sample(row: Row, at_ms: int | None, now_ms: int) -> Sample:
    age_s = None if at_ms is None else max(0, now_ms - at_ms) // 1000
    return Sample(
        id=row.id, class_=row.class_.value, to=masked(row.to), age_s=age_s, campaign=row.campaign, tag=row.tag,
        where=row.where,
    )  # fmt: skip


def masked(to: str) -> str:
    """Return a recipient as it may be shown: its first four and its last two characters."""
    return to[:4] + "•" * max(1, len(to) - 6) + to[-2:] if len(to) > 6 else "•" * len(to)  # noqa: PLR2004


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
