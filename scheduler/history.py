"""Who did what with a number, when, from where and why?

One list a number, the newest first: settings that were changed live, holds, drops and drains, single messages that were
taken back, and marks that ended by themselves. The last 1,000 entries are kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import redis

from headway import keys
from scheduler import live as table
from scheduler.marks import selection_of

#: Entries that are kept.
KEPT = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """One entry. Of a setting: values as people write them; None: nothing was set, the environment held.

    Of anything else `verb` says what was done, `selection` with which messages (`message`: with which one), `rows` with
    how many, as far as it is known. `until_ms`: when it was to end by itself.
    """

    at_ms: int
    by: str
    where: str
    name: str
    before: str | None
    after: str | None
    reason: str = ""
    verb: str = "set"
    selection: Mapping[str, str | int] = field(default_factory=dict)
    message: str = ""
    rows: int | None = None
    until_ms: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it for programs; what isn't known is left out, but for a setting's values."""
        said: dict[str, Any] = {
            "at_ms": self.at_ms, "by": self.by, "where": self.where, "verb": self.verb, "name": self.name,
            "before": self.before, "after": self.after, "reason": self.reason, "selection": dict(self.selection),
            "message": self.message, "rows": self.rows, "until_ms": self.until_ms,
        }  # fmt: skip
        always = {"before", "after"} if self.verb == "set" else set()
        return {name: value for name, value in said.items() if name in always or value not in ("", None, {})}

    @property
    def what(self) -> str:
        """Say in a few words what was done."""
        if self.verb == "set" and self.name == "campaign":
            return f"campaign {self.after}"
        if self.verb == "set":
            return f"{self.name} {self.before or 'unset'} → {self.after or 'unset'}"
        if self.message:
            return f"{self.verb} {self.message}"
        chosen = ", ".join(f"{name} {value}" for name, value in self.selection.items())
        return f"{self.verb} {chosen or 'all messages'}"


def history(client: redis.Redis, number: str, *, most: int = 100) -> list[Change]:
    """Return the last entries, the newest first."""
    found: Any = client.lrange(keys.changes(number), 0, most - 1)
    entries = [json.loads(entry) for entry in found]
    rows = _rows(client, number, entries)
    return [_change(entry, rows) for entry in entries]


def _rows(client: redis.Redis, number: str, entries: list[dict[str, Any]]) -> Mapping[str, int]:
    """Return how many rows each mark has dropped: of those that stand so far, of those that ended in all."""
    found: Any = client.hgetall(keys.marks(number))
    standing = {name.decode(): int(text) for name, text in found.items() if name.endswith(b".rows")}
    rows = {name.removesuffix(".rows"): count for name, count in standing.items()}
    ended = {_id(entry): entry["rows"] for entry in entries if _id(entry) and entry.get("rows")}
    return rows | ended


def _id(entry: Mapping[str, Any]) -> str:
    return str((entry.get("mark") or {}).get("id", ""))


def _change(entry: Mapping[str, Any], rows: Mapping[str, int]) -> Change:
    told = (int(entry["at_ms"]), str(entry["by"]), str(entry["from"]))
    reason, until_ms = str(entry.get("reason", "")), entry.get("until_ms")
    if "verb" in entry:
        mark = entry.get("mark") or {}
        return Change(
            *told, str(entry["field"]), None, None, reason, str(entry["verb"]), selection_of(mark).as_json(),
            str(entry.get("id", "")), entry.get("rows") or rows.get(_id(entry)), until_ms,
        )  # fmt: skip
    setting = table.BY_FIELD.get(entry["field"])

    def shown(stored: str) -> str | None:
        if entry["field"] == "paused":
            return "yes" if stored else None
        return (setting.show(stored) if setting and setting.holds(stored) else stored) or None

    name = setting.name if setting else entry["field"]
    return Change(*told, name, shown(entry["before"]), shown(entry["after"]), reason, until_ms=until_ms)
