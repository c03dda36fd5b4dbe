"""Do a CSV and a workbook become the same table, and does a bad one say where and what to change?"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import openpyxl
import pytest

from campaigns import tables
from campaigns.problems import UnreadableFile
from campaigns.tables import Limits, Table

FEW = Limits(recipients=10, upload=5, bytes=200_000)
PLAIN = "to,name\n393331234567,Ada\n393331234568,Bob\n"


def read(content: bytes, *, limits: Limits = FEW, sheet: str = "") -> Table:
    """Read a file that is called as people call them."""
    return tables.read(content, file="guests.csv", limits=limits, sheet=sheet)


def workbook(*rows: list[Any], fill: Callable[[Any], None] = lambda _book: None) -> bytes:
    """Return the bytes of a workbook with these rows; `fill` may do more to it."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    fill(book)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def cells(table: Table) -> list[tuple[int, list[str]]]:
    """Return rows and their cells."""
    return [(record.row, list(record.cells)) for record in table.records]


def problem(content: bytes, **more: Any) -> str:
    """Return why a file is refused."""
    with pytest.raises(UnreadableFile) as caught:
        read(content, **more)
    assert str(caught.value).startswith("guests.csv: ")
    return str(caught.value).removeprefix("guests.csv: ")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_csv_is_read_in_the_encodings_of_spreadsheets(encoding: str) -> None:
    """UTF-8 with or without its mark, UTF-16 with it; commas, semicolons or tabs."""
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    table = read(mark + "to;name\n393331234567;Zoë 林\n".encode(encoding))
    assert (table.columns, cells(table), table.word) == (("to", "name"), [(2, ["393331234567", "Zoë 林"])], "line")


def test_a_row_is_counted_by_the_line_on_which_it_begins() -> None:
    """Blank lines and texts of several lines don't shift what a person has to look for."""
    assert [row for row, _ in cells(read(b'to,text\n1,"a\nb"\n\n2,c\n'))] == [2, 5]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"to,name\n", "no rows below"),
        (b"to,name\n1,Jos\xe9\n", "line 2 is not UTF-8"),
        ("to,name\n1,José\n".encode() + "2,Zoë\n".encode("latin-1"), "line 3 is not UTF-8"),
        ("to,name\n1,Ada\n".encode("utf-16-le"), "line 1 has a zero byte"),
        (b"\xff\xfe" + "to,name\n1,a\n".encode("utf-16-le") + b"\x00\xd8", "line 3 is not UTF-16"),
        (b'to,name\n1,Ada\n2,"Bob\n3,Cy\n', "line 3: "),
        (b"to,Name,x,NAME\n1,a,b,c\n", "line 1 names 'NAME' twice, in columns 2 and 4"),
        (b"to,,name\n1,a,b\n", "column 2 has no name, but line 2 has something there"),
        (b"to,name\n" + b"1,a\n" * 6, "more than 5 rows (HEADWAY_CAMPAIGN_UPLOAD)"),
        (b"to\n" + b"1" * 200_000, "larger than 0.190735 MB (HEADWAY_CAMPAIGN_BYTES)"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old .xls or has a password"),
        (b"PK\x03\x04 and no more", "workbook is damaged"),
        (b"a" * 101 + b",b\n1,2\n", "column 1 has a name of 101 characters"),
    ],
)
def test_a_file_that_is_no_table_says_what_to_change(content: bytes, said: str) -> None:
    """The file, the line or the column, and what to do."""
    assert said in problem(content)


def test_a_workbook_is_the_same_table() -> None:
    """Numbers as people write them, dates as ISO, blank rows and columns left out; rows counted as in the sheet."""
    from datetime import date, datetime

    table = read(
        workbook(
            ["to", "name", "amount", "day", "yes", None],
            [393331234567, " Ada ", 12.5, date(2030, 1, 31), True, None],
            [None, None],
            ["393331234568", None, 12.0, datetime(2030, 1, 31, 8, 30)],  # noqa: DTZ001  a sheet knows no zones
        )
    )
    assert table.word == "row"
    assert table.columns == ("to", "name", "amount", "day", "yes")
    assert cells(table) == [
        (2, ["393331234567", " Ada ", "12.5", "2030-01-31", "TRUE"]),
        (4, ["393331234568", "", "12", "2030-01-31T08:30:00"]),
    ]


def test_a_cell_without_a_value_of_its_own_is_a_fault() -> None:
    """A formula, an error, a number that the spreadsheet has rounded: never sent as if somebody had written them."""
    (record,) = read(workbook(["to", "a", "b", "c"], ["=1+2", "#N/A", 1e300, 4])).records
    assert {at: text.partition(":")[0] for at, text in record.faults.items()} == {
        0: "holds a formula",
        1: "holds the error #N/A",
        2: "is a number that the spreadsheet has rounded",
    }


def two_sheets(book: Any) -> None:
    """Add a second sheet that holds something, and a hidden one."""
    book.create_sheet("more").append(["to", "text"])
    book["more"].append(["1", "x"])
    book.create_sheet("secret").append(["a"])
    book["secret"].sheet_state = "hidden"


def test_the_sheet_is_named_when_several_hold_something() -> None:
    """An empty or hidden one is never meant; of two that are filled a person says which."""
    content = workbook(["to"], ["1"], fill=two_sheets)
    assert "several sheets hold something: say which one, 'Sheet', 'more'" in problem(content)
    assert read(content, sheet="more").columns == ("to", "text")
    assert "there is no sheet 'secret'; there is 'Sheet', 'more'" in problem(content, sheet="secret")
    assert "has no sheets" in problem(PLAIN.encode(), sheet="more")
    assert read(workbook(["to"], ["1"], fill=lambda book: book.create_sheet("empty"))).columns == ("to",)


def packed(**files: bytes) -> bytes:
    """Return a ZIP of these files; two underscores stand for a slash, one for a dot."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return made.getvalue()


def repacked(content: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """Return a workbook with one of its files changed."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as after:
        for entry in before.namelist():
            body = before.read(entry)
            after.writestr(entry, change(body) if entry == name else body)
    return made.getvalue()


SHEET = "xl/worksheets/sheet1.xml"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (packed(readme_txt=b"hello"), "no Excel workbook"),
        (packed(xl__workbook_xml=b"<nonsense/>"), "can't be read"),
        (packed(xl__workbook_xml=b"x", bomb_xml=b"\0" * 2_000_000), "unpacks to 2 MB, at most 1 are read"),
        (packed(**{f"f{at}_x": b"" for at in range(2001)}), "2,001 parts"),
        (repacked(workbook(["to"], ["1"]), SHEET, lambda body: body[:-40]), "can't be read|damaged"),
        (
            repacked(
                workbook(["to"], ["1"]),
                SHEET,
                lambda body: b'<!DOCTYPE a [<!ENTITY x "boom">]>' + body.replace(b"<v>1<", b"<v>&x;<"),
            ),
            "declares XML entities",
        ),
        (workbook(["to"], ["1"] * 257), "row 2 goes beyond 256 columns"),
        (
            repacked(workbook(["to"], ["1"]), SHEET, lambda body: body.replace(b'r="2"', b'r="999999999"')),
            "more than 100,000 blank rows",
        ),
    ],
    ids=["zip", "no workbook", "bomb", "parts", "cut", "entities", "wide", "far row"],
)
def test_a_strangers_workbook_costs_little(content: bytes, said: str) -> None:
    """What it would unpack to is looked at first, entities are refused, and reading ends at the bounds."""
    import re

    assert re.search(said, problem(content))


def test_a_sheet_that_lies_about_its_size_is_read_whole() -> None:
    """What stands in it counts, not what it says of itself."""

    def lie(body: bytes) -> bytes:
        assert b'<dimension ref="A1:A3"' in body
        return body.replace(b'<dimension ref="A1:A3"', b'<dimension ref="A1:A1"')

    assert len(read(repacked(workbook(["to"], ["1"], ["2"]), SHEET, lie)).records) == 2


def test_a_password_is_named() -> None:
    """Whoever protected the file learns what to take away."""
    content = bytearray(packed(xl__workbook_xml=b"x"))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    assert "protected with a password" in problem(bytes(content))


def test_rows_of_json_are_the_same_table() -> None:
    """Columns are all names that any row has; what is left out is empty."""
    table = tables.of_rows([{"to": 393331234567}, {"to": "2", "name": None, "vip": True}], file="rows", limits=FEW)
    assert table.columns == ("to", "name", "vip")
    assert cells(table) == [(1, ["393331234567", "", ""]), (2, ["2", "", "TRUE"])]
    with pytest.raises(UnreadableFile, match="row 1, to: must be text or a number"):
        tables.of_rows([{"to": ["x"]}], file="rows", limits=FEW)
    with pytest.raises(UnreadableFile, match=r"there are 11, at most 10 are taken \(HEADWAY_CAMPAIGN_RECIPIENTS\)"):
        tables.of_rows([{"to": "1"}] * 11, file="rows", limits=FEW)
    with pytest.raises(UnreadableFile, match="there is none"):
        tables.of_rows([], file="rows", limits=FEW)


def test_a_digest_tells_contents_apart() -> None:
    """Another byte, or another sheet of the same workbook, is another campaign."""
    book = workbook(["to"], ["1"], fill=two_sheets)
    digests = {read(book, sheet="Sheet").digest, read(book, sheet="more").digest, read(PLAIN.encode()).digest}
    assert len(digests) == 3
    assert read(PLAIN.encode()).digest == read(PLAIN.encode()).digest
