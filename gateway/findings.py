"""What is wrong with a push? All of it at once, up to a bound, each finding with its field and row."""

from __future__ import annotations

from gateway.problems import MOST_NAMED, BadRequest, BadRows


class Findings:
    """Collects what is wrong; fields of the push itself count before its rows."""

    def __init__(self) -> None:
        self._fields: dict[str, None] = {}
        self._rows: dict[str, None] = {}

    @property
    def full(self) -> bool:
        """Whether enough is known: who looks further only makes the answer longer."""
        return len(self._fields) + len(self._rows) >= MOST_NAMED

    def add(self, place: str, problem: str) -> None:
        """Note a field (`priority`, `data[3].number`) and what is wrong with it; the same one twice counts once."""
        found = self._rows if place.startswith("data") else self._fields
        found[f"{place}: {problem}"] = None

    def raise_if_any(self) -> None:
        """Raise BadRequest when a field of the push is wrong, else BadRows when a row is; nothing when nothing is."""
        found = (*self._fields, *self._rows)[:MOST_NAMED]
        if not found:
            return
        more = " (there may be more)" if self.full else ""
        message = f"nothing was accepted; {'; '.join(found)}{more}"
        raise (BadRequest if self._fields else BadRows)(message, problems=found)
