"""Which records stand in a CSV file, and on which line does each begin?

Texts in UTF-8, or in UTF-16 with its byte order mark, as spreadsheets save them. Everything else is refused by line: a
text in a guessed encoding reaches people as nonsense.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator

from campaigns.problems import UnreadableFile

_DELIMITERS = ",;\t"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
#: UTF-16 without its mark, and files of another kind, are full of these.
_ZERO = "\0"


def decode(content: bytes) -> str:
    """Return the text of a file. Raises UnreadableFile, which names the line."""
    if content.startswith(_UTF_16):
        return _utf_16(content)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableFile(f"line {line} is not UTF-8: save the file as CSV UTF-8") from None
    if _ZERO in text:
        line = text.count("\n", 0, text.index(_ZERO)) + 1
        raise UnreadableFile(f"line {line} has a zero byte, so this is no CSV in UTF-8: save the file as CSV UTF-8")
    return text


def _utf_16(content: bytes) -> str:
    try:
        return content.decode("utf-16")
    except UnicodeDecodeError as error:
        line = content[: error.start].decode("utf-16", errors="ignore").count("\n") + 1
        raise UnreadableFile(f"line {line} is not UTF-16, as the file's beginning says: save it as CSV UTF-8") from None


def records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the records that aren't blank, each with the line on which it begins. Raises UnreadableFile."""
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)  # spreadsheets of some countries write semicolons
    # Strict: a quote that was forgotten would otherwise swallow the rows after it.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise UnreadableFile(f'line {begins}: {error}; put "…" around texts, and write " inside as ""') from None
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield begins, cells
        begins = reader.line_num + 1
