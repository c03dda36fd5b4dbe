"""Which messages do a table and a recipe make, and which rows can't be sent?

Pure: the same table and recipe always make the same messages under the same places, which is why a campaign that broke
off goes on where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from campaigns.problems import BadRows, CampaignError, Problem
from campaigns.reading import RowReader
from campaigns.recipe import Recipe
from campaigns.tables import Limits, Table
from headway.classes import MessageClass
from headway.errors import InvalidMessage
from headway.message import Message


@dataclass(frozen=True, slots=True)
class Planned:
    """One message: `place` counts the table's records from 1, `row` is where the file has it."""

    place: int
    row: int
    message: Message


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A row whose recipient an earlier row has already; it is left out."""

    row: int
    first_row: int
    to: str

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {"row": self.row, "first_row": self.first_row, "to": self.to}


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be sent. `records` counts the rows that the file has; `ignored` are columns that nothing asks for."""

    file: str
    word: str
    records: int
    rows: tuple[Planned, ...]
    bad: tuple[Problem, ...]
    duplicates: tuple[Duplicate, ...]
    ignored: tuple[str, ...]

    @property
    def bad_rows(self) -> int:
        """How many rows can't be sent; one may have several problems."""
        return len({problem.row for problem in self.bad})

    @property
    def by_class(self) -> dict[str, int]:
        """How many messages each class has, in class order."""
        counts = Counter(row.message.class_ for row in self.rows)
        return {class_.value: counts[class_] for class_ in MessageClass if counts[class_]}

    def require_good(self) -> None:
        """Refuse the whole when a row is bad. Raises BadRows."""
        if self.bad:
            raise BadRows(self.bad, file=self.file, word=self.word, rows=self.records)

    def preview(self, most: int) -> list[dict[str, Any]]:
        """Return the first messages as they would be sent."""
        return [
            {"row": row.row, "class": row.message.class_.value, **_told(row.message)}
            for row in self.rows[: max(0, most)]
        ]


def plan(table: Table, recipe: Recipe, *, campaign: str, limits: Limits) -> Plan:
    """Make the messages of a campaign; `campaign` is its id, which each carries.

    Of several rows to one recipient the first is sent. Raises BadColumns when the columns don't fit the recipe, and
    CampaignError for more recipients than one campaign may have.
    """
    reader = RowReader(table, recipe)
    rows: list[Planned] = []
    bad: list[Problem] = []
    duplicates: list[Duplicate] = []
    first: dict[str, int] = {}
    for place, record in enumerate(table.records, start=1):
        fields, problems = reader.fields(record)
        if not problems:
            try:
                message = Message(campaign=campaign, **fields)
            except InvalidMessage as error:
                problems = [Problem(record.row, reader.column(error.field), error.problem)]
            else:
                first_row = first.setdefault(fields["to"], record.row)
                if first_row == record.row:
                    rows.append(Planned(place, record.row, message))
                else:
                    duplicates.append(Duplicate(record.row, first_row, fields["to"]))
        bad += problems
    _require_few(rows, table, limits)
    return Plan(
        table.file, table.word, len(table.records), tuple(rows), tuple(bad), tuple(duplicates), reader.ignored()
    )


def _require_few(rows: Sequence[Planned], table: Table, limits: Limits) -> None:
    if len(rows) > limits.recipients:
        raise CampaignError(
            f"{table.file}: has {len(rows):,} recipients, at most {limits.recipients:,} are taken "
            "(HEADWAY_CAMPAIGN_RECIPIENTS): split it, or raise the limit"
        )


def _told(message: Message) -> dict[str, Any]:
    told = message.kwargs()
    del told["campaign"]
    return {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()}
