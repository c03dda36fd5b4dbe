"""What does a file, or a list of rows, say: which columns, and which records below them?

A file is taken by what its bytes are, never by its name: XLSX or CSV. Its first record names the columns.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from campaigns import csv_file, xlsx_file
from campaigns.problems import UnreadableFile

#: The old Excel format, and every Office file with a password.
_OLE: Final = b"\xd0\xcf\x11\xe0"
#: Characters of a column's name.
_LONGEST_NAME: Final = 100
#: Characters of a stranger's text that an error repeats.
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one campaign may be: recipients of all of it, rows of a file that is uploaded, bytes of that file."""

    recipients: int = 10_000
    upload: int = 5_000
    bytes: int = 10 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """One row below the names: `row` as the file counts, cells as text, and what is wrong with cells, by position."""

    row: int
    cells: Sequence[str]
    faults: Mapping[int, str] = field(default_factory=dict)

    def cell(self, at: int) -> str:
        """Return a cell; a row may end early, and what it leaves out is empty."""
        return self.cells[at] if at < len(self.cells) else ""


@dataclass(frozen=True)
class Table:
    """Columns as they were written, stripped, and records. `digest` tells one content from another.

    `word` is what the source calls a row: `line` in a CSV.
    """

    file: str
    word: str
    columns: tuple[str, ...]
    records: tuple[Record, ...]
    digest: str

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Name of a column, in small letters -> its position."""
        return {name.casefold(): at for at, name in enumerate(self.columns) if name}


def read(content: bytes, *, file: str, limits: Limits, sheet: str = "") -> Table:
    """Read a file. Raises UnreadableFile, whose text begins with the file's name and says what to change."""
    file = shown(file) or "the file"
    try:
        return _read(content, file=file, limits=limits, sheet=sheet)
    except UnreadableFile as error:
        raise UnreadableFile(f"{file}: {error}") from None


def of_rows(rows: Sequence[Mapping[str, object]], *, file: str, limits: Limits) -> Table:
    """Make a table of objects: column -> text or number. Raises UnreadableFile."""
    if len(rows) > limits.recipients:
        raise UnreadableFile(
            f"rows: there are {len(rows):,}, at most {limits.recipients:,} are taken (HEADWAY_CAMPAIGN_RECIPIENTS)"
        )
    names = _columns(list(dict.fromkeys(name for row in rows for name in row)), word="rows")
    records = [
        Record(at, [_cell(row.get(name), at, name) for name in names]) for at, row in enumerate(rows, start=1) if row
    ]
    if not records:
        raise UnreadableFile("rows: there is none")
    digest = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
    return Table(file, "row", tuple(names), tuple(records), digest)


def shown(text: str) -> str:
    """Return a stranger's text as an error may repeat it: short, and printable."""
    return "".join(char if char.isprintable() else "?" for char in text[:_SHOWN])


def _read(content: bytes, *, file: str, limits: Limits, sheet: str) -> Table:
    if len(content) > limits.bytes:
        raise UnreadableFile(
            f"is larger than {limits.bytes / 1024 / 1024:g} MB (HEADWAY_CAMPAIGN_BYTES): split it, or raise the limit"
        )
    if content.startswith(_OLE):
        raise UnreadableFile("is an old .xls or has a password: save it as .xlsx without, or as CSV UTF-8")
    workbook = xlsx_file.is_workbook(content)
    if sheet and not workbook:
        raise UnreadableFile("is no workbook, so it has no sheets: leave the sheet out")
    word = "row" if workbook else "line"
    records = _sheet_records(content, sheet, limits.bytes) if workbook else _csv_records(content)
    columns, found = _table(records, word=word, most=limits.upload)
    return Table(
        file, word, columns, found, hashlib.sha256(content + sheet.encode("utf-8", "surrogatepass")).hexdigest()
    )


def _csv_records(content: bytes) -> Iterator[Record]:
    for line, cells in csv_file.records(csv_file.decode(content)):
        yield Record(line, cells)


def _sheet_records(content: bytes, sheet: str, most_bytes: int) -> Iterator[Record]:
    for row in xlsx_file.rows(content, sheet=sheet, most_bytes=most_bytes):
        yield Record(row.row, row.cells, row.faults)


def _table(records: Iterable[Record], *, word: str, most: int) -> tuple[tuple[str, ...], tuple[Record, ...]]:
    """Return columns and records. The first record names the columns, and reading ends one above `most`."""
    below = iter(records)
    head = next(below, None)
    if head is None:
        raise UnreadableFile("is empty: its first row must name the columns")
    if head.faults:
        raise UnreadableFile(f"{word} {head.row} names the columns, but column {min(head.faults) + 1} of it is no text")
    columns = _columns(head.cells, word=f"{word} {head.row}")
    found: list[Record] = []
    for record in below:
        if len(found) == most:
            raise UnreadableFile(f"has more than {most:,} rows (HEADWAY_CAMPAIGN_UPLOAD): split it, or raise the limit")
        found.append(_checked(record, columns, word=word))
    if not found:
        raise UnreadableFile("has no rows below its first one")
    return tuple(columns), tuple(found)


def _columns(names: Sequence[str], *, word: str) -> list[str]:
    """Return the names of columns, without those at the end that have none."""
    columns = [name.strip() for name in names]
    while columns and not columns[-1]:
        columns.pop()
    seen: dict[str, int] = {}
    for at, name in enumerate(columns, start=1):
        if len(name) > _LONGEST_NAME:
            raise UnreadableFile(f"{word}: column {at} has a name of {len(name)} characters: is this row the names?")
        before = seen.setdefault(name.casefold(), at)
        if name and before != at:
            raise UnreadableFile(f"{word} names {shown(name)!r} twice, in columns {before} and {at}: rename one")
    return columns


def _checked(record: Record, columns: Sequence[str], *, word: str) -> Record:
    """Return the record. Raises UnreadableFile for one with a cell below no name in the middle of the columns."""
    for at, cell in enumerate(record.cells):
        if cell.strip() and at < len(columns) and not columns[at]:
            raise UnreadableFile(f"column {at + 1} has no name, but {word} {record.row} has something there: name it")
    return record


def _cell(value: object, at: int, name: str) -> str:
    """Return what JSON says in a cell as text. Raises UnreadableFile for what is no cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str | int | float):
        return str(value)
    raise UnreadableFile(f"rows: row {at}, {shown(name)}: must be text or a number")
