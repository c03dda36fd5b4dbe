"""Which messages are in a CSV file, and what is wrong with it, line by line?

The first line names the columns. Those that are fields of a message are read; others (a name, a note) are left alone.
An empty cell is a field left out. `template_values` and `location` are written as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from campaigns import csv_file, xlsx_file
from campaigns.problems import UnreadableFile
from headway.classes import MessageClass
from headway.errors import InvalidMessage
from headway.message import FIELDS, Message

#: Bounds of one file: it is read into memory, and checked whole before the first row is enqueued.
MOST_BYTES: Final = 10 * 1024 * 1024
MOST_ROWS: Final = 100_000

#: Fields whose cell holds JSON.
_JSON: Final = frozenset({"template_values", "location"})
#: Where spaces around belong to the message.
_AS_IT_IS: Final = frozenset({"text"})


@dataclass(frozen=True, slots=True)
class Row:
    """A message and the line on which its row begins, the header being line 1."""

    line: int
    message: Message


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that can't be sent: line, field, and what is wrong with it."""

    line: int
    field: str
    problem: str


@dataclass(frozen=True, slots=True)
class Recipients:
    """What a file holds. `ignored`: columns that aren't fields of a message."""

    rows: tuple[Row, ...]
    bad: tuple[BadRow, ...]
    ignored: tuple[str, ...]


def parse(content: bytes, *, class_: MessageClass = MessageClass.NORMAL, now: datetime | None = None) -> Recipients:
    """Read a file; `class_` is for rows that name none. Rows that expire before `now` are bad.

    Raises UnreadableFile, whose text says what to change.
    """
    if len(content) > MOST_BYTES:
        raise UnreadableFile(f"the file is larger than {MOST_BYTES // 1024 // 1024} MB: split it")
    if xlsx_file.is_workbook(content):
        raise UnreadableFile("this is a workbook: save it as CSV UTF-8, or send it with `headway campaign send`")
    records = csv_file.records(csv_file.decode(content))
    _, header = next(records, (0, []))
    columns = _columns(header)
    rows: list[Row] = []
    bad: list[BadRow] = []
    for line, cells in records:
        try:
            message = _message(columns, cells, class_)
            _require_time(message, now)
            rows.append(Row(line, message))
        except InvalidMessage as problem:
            bad.append(BadRow(line, problem.field, problem.problem))
        if len(rows) + len(bad) > MOST_ROWS:
            raise UnreadableFile(f"the file has more than {MOST_ROWS:,} rows: split it")
    if not rows and not bad:
        raise UnreadableFile("the file has no rows below its first line")
    return Recipients(tuple(rows), tuple(bad), tuple(name for name in columns if name not in FIELDS))


def _columns(header: Sequence[str]) -> list[str]:
    columns = [name.strip().casefold() for name in header]
    if not {"to", "group_id"} & set(columns):
        shown = ", ".join(header)[:100] or "nothing"
        raise UnreadableFile(f"the first line must name the columns, at least to and text; it says: {shown}")
    for name in columns:
        if columns.count(name) > 1:
            raise UnreadableFile(f"the first line names the column {name!r} twice")
    return columns


def _message(columns: Sequence[str], cells: Sequence[str], class_: MessageClass) -> Message:
    if len(cells) > len(columns):
        raise InvalidMessage(
            "row", f'has {len(cells)} cells for {len(columns)} columns; put "…" around a text with commas'
        )
    # A row may end early: the cells that it leaves out are empty.
    named = dict(zip(columns, cells, strict=False))
    fields = {name: _value(name, cell) for name, cell in named.items() if name in FIELDS and cell.strip()}
    fields.setdefault("class", class_)
    return Message.of(fields)


def _require_time(message: Message, now: datetime | None) -> None:
    if now is None or message.expires_at is None:
        return
    if datetime.fromisoformat(str(message.expires_at)) <= now:
        raise InvalidMessage("expires_at", "is over already, so it would never leave; write a later time")


def _value(name: str, cell: str) -> Any:
    if name in _AS_IT_IS:
        return cell
    if name not in _JSON:
        return cell.strip()
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        raise InvalidMessage(name, f"must be JSON, like {_EXAMPLES[name]}") from None


_EXAMPLES: Mapping[str, str] = {"template_values": '["Ada", "12:30"]', "location": '{"lat": 41.9, "long": 12.5}'}
