"""Which fields does one row of a table give, as the recipe has it?

Found out once for the whole table: which column, text or default each field and each `{{name}}` comes from. Then row by
row only cells are looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from campaigns import phones
from campaigns.phones import NoNumber
from campaigns.problems import BadColumns, Problem
from campaigns.recipe import AS_JSON, FIELDS, Recipe
from campaigns.tables import Record, Table, shown
from campaigns.templates import BadTemplate, template
from headway.message import CONTENT, EXPIRES_IN
from runtime.parsing import did_you_mean

#: What a decoder writes for bytes that it could not read.
_LOST: Final = "\ufffd"
#: Columns that an error names.
_NAMED: Final = 12
_EXAMPLES: Final[Mapping[str, str]] = {
    "template_values": '["Ada", "12:30"]',
    "location": '{"lat": 41.9, "long": 12.5}',
}

#: Takes a record, and what to call with a problem: column, and what is wrong; gives the value of a field.
_Say = Callable[[str, str], None]
_Source = Callable[[Record, _Say], Any]


class RowReader:
    """Reads the rows of one table by one recipe."""

    def __init__(self, table: Table, recipe: Recipe) -> None:
        """Look at the columns. Raises BadColumns, which names all that don't fit."""
        self._table = table
        self._recipe = recipe
        self._used: set[int] = set()
        self._from: dict[str, str] = {}
        self._problems: list[str] = []
        self._missing: set[str] = set()
        self._to = self._place(recipe.columns.get("to", recipe.to), "the recipients")
        self._sources = {name: source for name in (*FIELDS, "class") if (source := self._source(name))}
        for name, column in recipe.columns.items():
            self._place(column, name)
        if self._sources.keys().isdisjoint(CONTENT):
            self._problems.append(f"nothing says what to send: give a text, or a column text; there is {self._names()}")
        if self._table.places.get(EXPIRES_IN) not in {None, *self._used}:
            # Left out in silence it would let stale messages leave. A span has no fixed end in what is made again.
            self._problems.append("a campaign takes no expires_in: write a time with its zone into a column expires_at")
        if self._problems:
            raise BadColumns(self._problems, file=table.file)

    def fields(self, record: Record) -> tuple[dict[str, Any], list[Problem]]:
        """Return a row's fields, as `Message` takes them, and what is wrong with it."""
        problems: list[Problem] = []

        def say(column: str, problem: str) -> None:
            problems.append(Problem(record.row, column, problem))

        self._look(record, say)
        found: dict[str, Any] = {"class_": self._recipe.class_}
        if not problems:
            found["to"] = self._recipient(record, say)
            for name, source in self._sources.items():
                value = source(record, say)
                if value is not None:
                    found["class_" if name == "class" else name] = value
        return found, problems

    def column(self, field: str) -> str:
        """Return the column that a field comes from, or the field itself; `field` as an error names it."""
        name = field.partition("[")[0].partition(".")[0]
        return self._from.get(name, field)

    def ignored(self) -> tuple[str, ...]:
        """Return the columns that nothing asked for."""
        return tuple(name for at, name in enumerate(self._table.columns) if name and at not in self._used)

    def _place(self, column: str, what: str) -> int:
        at = self._table.places.get(column.strip().casefold())
        if at is None and column in self._missing:
            return -1
        if at is None:
            self._missing.add(column)
            near = did_you_mean(column.casefold(), self._table.places)
            self._problems.append(f"there is no column {shown(column)!r} for {what}{near}; there is {self._names()}")
            return -1
        self._used.add(at)
        return at

    def _names(self) -> str:
        names = [shown(name) for name in self._table.columns if name]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return ", ".join(names[:_NAMED]) + more

    def _source(self, name: str) -> _Source | None:
        """Return where a field comes from: the recipe, a column, or nowhere."""
        if name in self._recipe.fields:
            return self._said(name, self._recipe.fields[name])
        column = self._recipe.columns.get(name, name)
        if name not in self._recipe.columns and self._table.places.get(name, self._to) == self._to:
            return None
        at = self._place(column, name)
        if at < 0:
            return None
        self._from[name] = self._table.columns[at]
        return self._of_column(name, at)

    def _said(self, name: str, value: Any) -> _Source:
        """Return the source of what the recipe says for all rows."""
        texts = value if isinstance(value, list) else [value]
        places = [text for text in texts if isinstance(text, str) and template(text).names]
        for text in places:
            for place in template(text).names:
                self._known(name, place)
        if not places:
            return lambda _record, _say: value
        if isinstance(value, list):
            return lambda record, say: [self._filled(text, record, say) for text in value]
        return lambda record, say: self._filled(value, record, say)

    def _known(self, field: str, place: str) -> None:
        """Note the column of a place; one that has neither column nor default can be filled in no row."""
        if place in self._recipe.columns:
            self._place(self._recipe.columns[place], f"{{{{{place}}}}}")
        elif place in self._table.places:
            self._used.add(self._table.places[place])
        elif place not in self._recipe.defaults:
            near = did_you_mean(place, self._table.places)
            self._problems.append(
                f"{field}: {{{{{shown(place)}}}}} is no column{near} and has no default; there is {self._names()}"
            )

    def _of_column(self, name: str, at: int) -> _Source:
        """Return the source of what each row says for itself."""
        column = self._table.columns[at]

        def source(record: Record, say: _Say) -> Any:
            cell = record.cell(at)
            if not cell.strip():
                return None
            if name in AS_JSON:
                return _json(name, cell, column, say)
            if name == "text":
                return self._own_text(cell, column, record, say)
            return cell.strip()

        return source

    def _own_text(self, cell: str, column: str, record: Record, say: _Say) -> str | None:
        """Return a row's own text with its values in it."""
        try:
            names = template(cell).names
        except BadTemplate as error:
            say(column, str(error))
            return None
        for name in names:
            if not {name} & (self._recipe.columns.keys() | self._table.places.keys() | self._recipe.defaults.keys()):
                say(column, f"{{{{{shown(name)}}}}} is no column and has no default")
                return None
        return self._filled(cell, record, say)

    def _filled(self, text: str, record: Record, say: _Say) -> str:
        return template(text).filled(lambda name: self._value(name, record, say))

    def _value(self, name: str, record: Record, say: _Say) -> str:
        """Return what stands in a place for one row: its cell, else the default."""
        column = self._recipe.columns.get(name, name)
        at = self._table.places.get(column.casefold())
        cell = record.cell(at).strip() if at is not None else ""
        if at is not None and at not in self._used:
            self._used.add(at)
            self._look_at(at, record, say)
        if cell:
            return cell
        if name not in self._recipe.defaults:
            say(self._table.columns[at] if at is not None else name, f"is empty, and {{{{{name}}}}} has no default")
        return self._recipe.defaults.get(name, "")

    def _recipient(self, record: Record, say: _Say) -> str:
        try:
            return phones.normalised(record.cell(self._to), country=self._recipe.country)
        except NoNumber as error:
            say(self._table.columns[self._to], str(error))
            return ""

    def _look(self, record: Record, say: _Say) -> None:
        """Say what is wrong with a row's cells before anything is made of them."""
        columns = self._table.columns
        if any(cell.strip() for cell in record.cells[len(columns) :]):
            said = f'has {len(record.cells)} cells for {len(columns)} columns; put "…" around a text with commas'
            say("", said)
            return
        for at in sorted(self._used):
            self._look_at(at, record, say)

    def _look_at(self, at: int, record: Record, say: _Say) -> None:
        column = self._table.columns[at]
        if at in record.faults:
            say(column, record.faults[at])
        elif _LOST in record.cell(at):
            say(column, f"has {_LOST}: letters were lost when the file was saved; save it again as UTF-8")


def _json(name: str, cell: str, column: str, say: _Say) -> Any:
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        say(column, f"must be JSON, like {_EXAMPLES[name]}")
        return None
