"""What is wrong with a file or a campaign, and where?

Every problem names its row and column, so that whoever has to correct the file finds the cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from headway.errors import HeadwayError

#: Problems that a refusal lists; whoever has more mistakes than this corrects some first.
MOST_LISTED: Final = 100


class UnreadableFile(HeadwayError):
    """The file is no table that can be read; the text says where and what to change."""


class CampaignError(HeadwayError):
    """The campaign can't be made, or can't become what was asked; the text says why and what to do."""


class CampaignConflict(CampaignError):
    """It contradicts what was asked before; the text says how to ask for it all the same."""


class UnknownCampaign(CampaignError):
    """There is no campaign with this id, or its time is over."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in one place. `row` counts as the file does, from 1; 0 stands for the whole table.

    `column` is the name in the file's first row, or a field of the message; empty for a whole row.
    """

    row: int
    column: str
    problem: str

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {"row": self.row, "column": self.column, "problem": self.problem}

    def told(self, file: str, *, word: str) -> str:
        """Return it for people; `word` is what the file calls a row."""
        place = [part for part in (f"{word} {self.row}" if self.row else "", self.column) if part]
        return f"{file}, {', '.join(place)}: {self.problem}" if place else f"{file}: {self.problem}"


def require_text(name: str, text: str, *, longest: int, least: int = 0) -> None:
    """Raise CampaignError for a text of a person that can't be kept and shown as it is."""
    if not least <= len(text.strip()) <= len(text) <= longest or not text.isprintable():
        raise CampaignError(f"{name}: must have {least} to {longest} printable characters")


class BadRows(CampaignError):
    """Rows can't be sent as they are; nothing was enqueued. `problems` are the first of them, `found` counts all."""

    def __init__(self, problems: Sequence[Problem], *, file: str, word: str, rows: int) -> None:
        self.problems = tuple(problems[:MOST_LISTED])
        self.found = len(problems)
        self.file = file
        self.word = word
        bad = len({problem.row for problem in problems})
        super().__init__(
            f"{file}: {bad:,} of {rows:,} rows can't be sent, so nothing was enqueued: correct them, or leave them out "
            "(--skip-bad, over HTTP skip_bad)"
        )

    @property
    def listed(self) -> list[str]:
        """The problems for people, one line each."""
        return [problem.told(self.file, word=self.word) for problem in self.problems]


class BadColumns(CampaignError):
    """The columns of the file don't fit what is to be sent; `problems` say what to change."""

    def __init__(self, problems: Sequence[str], *, file: str) -> None:
        self.problems = tuple(problems)
        super().__init__(f"{file}: {'; '.join(problems)}")
