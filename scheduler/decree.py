"""Who decides something about a number, from where, why, and for how long?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from headway.errors import ControlError

#: Characters of who, from where, and why.
BY_LONGEST = 100
REASON_LONGEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Decree:
    """Stands with what it decides, and in the audit log. `until_ms`: when it ends by itself (the server's time).

    Raises ControlError, which names the field.
    """

    by: str
    where: str = ""
    reason: str = ""
    until_ms: int | None = None
    #: A test's time, in microseconds; else the server's clock.
    now_us: int | None = None

    def __post_init__(self) -> None:
        if not self.by.strip() or len(self.by) > BY_LONGEST or not self.by.isprintable():
            raise ControlError("by", f"must have 1 to {BY_LONGEST} printable characters")
        if len(self.reason) > REASON_LONGEST or not self.reason.isprintable():
            raise ControlError("reason", f"must have at most {REASON_LONGEST} printable characters")

    @property
    def now_ms(self) -> int | None:
        """The test's time in milliseconds, if there is one."""
        return None if self.now_us is None else self.now_us // 1000

    @property
    def now(self) -> str | int:
        """The time as scripts take it."""
        return "" if self.now_us is None else self.now_us


def ends_at(text: str, now_ms: int) -> int:
    """Read `until`: a time with its zone (RFC 3339), or a duration such as 90s, 30m, 2h or 1d; milliseconds since 1970.

    Raises ControlError for anything else, and for what isn't in the future.
    """
    at_ms = now_ms + int(duration(text, "until").total_seconds() * 1000) if text[-1:] in UNITS else _moment(text)
    if at_ms <= now_ms:
        raise ControlError("until", "must be in the future")
    return at_ms


#: The last letter of a duration -> seconds.
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(text: str, field: str) -> timedelta:
    """Read a duration such as 90s, 30m, 2h or 1d. Raises ControlError."""
    digits, unit = text[:-1], text[-1:]
    if not (re.fullmatch(r"[0-9]{1,9}", digits) and unit in UNITS and int(digits)):
        raise ControlError(field, "must be a duration like 90s, 30m, 2h or 1d")
    return timedelta(seconds=int(digits) * UNITS[unit])


def _moment(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.utcoffset() is None:
        raise ControlError("until", "must be a time with its zone, like 2030-01-31T08:00:00Z, or a duration like 2h")
    return int(at.timestamp() * 1000)
