"""Which rows stand in a sheet of an XLSX workbook?

The workbook is a stranger's ZIP: what it would unpack to is looked at before anything is unpacked, and reading stops at
the bounds of rows and columns. Values are read, never computed: a cell with a formula has no value of its own, and the
one that the last program left beside it may be of another day, so a formula in a column that is used is a bad cell.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Final
from xml.etree.ElementTree import ParseError

import defusedxml
import openpyxl

from campaigns.problems import UnreadableFile

#: Files in the ZIP. A workbook of one sheet has about 12.
_MOST_ENTRIES: Final = 2_000
#: What all of it may unpack to, in bytes, for each byte that the file itself may have.
_UNPACKED: Final = 5
#: Columns that are read; a table of recipients has a few.
MOST_COLUMNS: Final = 256
#: Blank rows that are stepped over: what formatting without values leaves behind.
_MOST_BLANK: Final = 100_000
#: Whole numbers that a spreadsheet keeps exactly.
_EXACT: Final = 10**15

_FORMULA: Final = "holds a formula: put its value there (copy, then paste values only)"
_ERROR: Final = "holds the error {value}: put a value there"
_INEXACT: Final = "is a number that the spreadsheet has rounded: write it as text"


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One row: its number in the sheet, its cells as text, and what is wrong with cells, by position from 0."""

    row: int
    cells: list[str]
    faults: Mapping[int, str]


def is_workbook(content: bytes) -> bool:
    """Whether the bytes begin like a ZIP, which no CSV does."""
    return content.startswith(b"PK\x03\x04")


def rows(content: bytes, *, sheet: str, most_bytes: int) -> Iterator[SheetRow]:
    """Yield the rows of a sheet that aren't blank; without a name, of the only one that holds something.

    `most_bytes`: what a file may have at most. Raises UnreadableFile.
    """
    _look(content, most_bytes=most_bytes)
    try:
        with closing(openpyxl.load_workbook(io.BytesIO(content), read_only=True, keep_links=False)) as book:
            yield from _rows(_sheet(book, sheet))
    except UnreadableFile:
        raise
    except (zipfile.BadZipFile, ParseError, EOFError) as error:
        raise UnreadableFile(f"the workbook is damaged ({error}): save it again as .xlsx") from None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        # What openpyxl raises for XML that is well-formed and no workbook; it wraps what its parser refuses.
        if any(isinstance(one, defusedxml.DefusedXmlException) for one in (error, error.__cause__, error.__context__)):
            raise UnreadableFile("the workbook declares XML entities, which no spreadsheet program writes") from None
        raise UnreadableFile(f"the workbook can't be read ({type(error).__name__}): save it again as .xlsx") from None


def _look(content: bytes, *, most_bytes: int) -> None:
    """Refuse what is no workbook, or would unpack to too much."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            entries = packed.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise UnreadableFile(f"the workbook is damaged ({error}): save it again as .xlsx") from None
    if len(entries) > _MOST_ENTRIES:
        raise UnreadableFile(f"the workbook has {len(entries):,} parts, at most {_MOST_ENTRIES:,} are read")
    if any(entry.flag_bits & 1 for entry in entries):
        raise UnreadableFile("the workbook is protected with a password: save it without")
    if "xl/workbook.xml" not in {entry.filename for entry in entries}:
        raise UnreadableFile("this is a ZIP, but no Excel workbook: save the sheet as .xlsx or as CSV UTF-8")
    # zipfile never unpacks more of an entry than it declares.
    unpacked, most = sum(entry.file_size for entry in entries), most_bytes * _UNPACKED
    if unpacked > most:
        raise UnreadableFile(
            f"the workbook unpacks to {unpacked / 1e6:,.0f} MB, at most {most / 1e6:,.0f} are read: save the sheet "
            "alone, without formats, or as CSV UTF-8"
        )


def _sheet(book: Any, name: str) -> Any:
    sheets = {sheet.title: sheet for sheet in book.worksheets if sheet.sheet_state == "visible"}
    for sheet in sheets.values():
        sheet.reset_dimensions()  # what a sheet says of its own size may be wrong
    if name:
        if name not in sheets:
            raise UnreadableFile(f"there is no sheet {name!r}; there is {_named(sheets)}")
        return sheets[name]
    filled = [sheet for sheet in sheets.values() if next(_rows(sheet), None) is not None] if len(sheets) > 1 else []
    if len(filled) > 1:
        raise UnreadableFile(f"several sheets hold something: say which one, {_named(sheets)}")
    if not sheets:
        raise UnreadableFile("the workbook has no sheet that can be seen")
    return filled[0] if filled else next(iter(sheets.values()))


def _named(sheets: Mapping[str, Any]) -> str:
    return ", ".join(repr(name) for name in list(sheets)[:10])


def _rows(sheet: Any) -> Iterator[SheetRow]:
    blank = 0
    for number, row in enumerate(sheet.iter_rows(max_col=MOST_COLUMNS + 1), start=1):
        cells: list[str] = []
        faults: dict[int, str] = {}
        for at, cell in enumerate(row):
            text, fault = _text(cell)
            cells.append(text)
            if fault:
                faults[at] = fault
        while cells and not cells[-1].strip() and len(cells) - 1 not in faults:
            cells.pop()
        if len(cells) > MOST_COLUMNS:
            raise UnreadableFile(f"row {number} goes beyond {MOST_COLUMNS} columns: leave out those that nobody needs")
        if cells:
            yield SheetRow(number, cells, faults)
        else:
            blank += 1
            if blank > _MOST_BLANK:
                raise UnreadableFile(f"the sheet has more than {_MOST_BLANK:,} blank rows: delete them")


def _text(cell: Any) -> tuple[str, str]:
    """Return a cell as text, and what is wrong with it, if anything is."""
    value = cell.value
    if value is None:
        return "", ""
    if cell.data_type == "f":
        return "", _FORMULA
    if cell.data_type == "e":
        return "", _ERROR.format(value=str(value)[:20])
    if isinstance(value, str):
        return value, ""
    if isinstance(value, bool):
        return ("TRUE" if value else "FALSE"), ""
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, datetime):
        return _moment(value), ""
    if isinstance(value, date | time):
        return value.isoformat(), ""
    return str(value), ""


def _moment(value: datetime) -> str:
    return value.date().isoformat() if value.time() == time() else value.isoformat()


def _number(value: float) -> tuple[str, str]:
    """Return a number as a person would write it: 393331234567, not 393331234567.0."""
    if value == int(value):
        return (str(int(value)), "") if abs(value) < _EXACT else ("", _INEXACT)
    return repr(value), ""
