"""When is it quiet where a recipient lives?

A recipient's time zones follow from the number: the country calling code and, where a country has several zones, the
area code, to the fourth digit (the table is Google's, from the package `phonenumbers`). Of a number that may be in
several zones the quiet hours are those of all of them together; where these would leave no time of the day, it is
quiet while more of them are than at the best moment. An unknown country code counts as UTC, a group as where its
sending number is.

The lease gets the next two days of it as a short text, so that the server's clock decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, time, timedelta
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from runtime.windows import QuietHours

#: Digits of a number that are looked at: country code and area code.
DIGITS: Final = 4
#: How far ahead the text reaches, and for how long one serves, in milliseconds.
AHEAD_MS: Final = 48 * 3_600_000
SERVES_US: Final = 600_000_000

_DAY_MS: Final = 24 * 3_600_000
_UTC: Final = frozenset({"UTC"})

#: From and until, in milliseconds since 1970, one after the other.
Spans = tuple[tuple[int, int], ...]


def as_argument(hours: QuietHours, now_us: int) -> tuple[list[list[int]], str]:
    """Return what the lease needs of quiet hours: spans of time (milliseconds: from, until, from, …), and
    `<first digits>:<index of its spans, from 1>` for each prefix; the empty prefix is any other number.

    It is made anew every few minutes, by whatever clock: the spans are of days, and the server's clock reads them.
    """
    return _argument(hours, now_us // SERVES_US)


@lru_cache(maxsize=64)
def _argument(hours: QuietHours, serving: int) -> tuple[list[list[int]], str]:
    at_ms = serving * SERVES_US // 1000
    of_prefix = {prefix: quiet_spans(zones, hours, at_ms) for prefix, zones in _zones().items()}
    found: list[Spans] = []
    entries = []
    for prefix, spans in of_prefix.items():
        above = next((prefix[:end] for end in range(len(prefix) - 1, -1, -1) if prefix[:end] in of_prefix), None)
        if above is not None and of_prefix[above] == spans:
            continue
        if spans not in found:
            found.append(spans)
        entries.append(f"{prefix}:{found.index(spans) + 1}")
    return [[at for span in spans for at in span] for spans in found], " ".join(entries)


@lru_cache(maxsize=4096)
def quiet_spans(zones: frozenset[str], hours: QuietHours, at_ms: int) -> Spans:
    """Return the times from `at_ms` on, for two days, that are quiet for who may be in any of these zones."""
    each = [_own_spans(zone, hours, at_ms) for zone in sorted(zones)]
    edges = sorted({edge for spans in each for span in spans for edge in span})
    quiet = [sum(begin <= edge < end for spans in each for begin, end in spans) for edge in edges]
    day = [count for edge, count in zip(edges, quiet, strict=True) if at_ms <= edge < at_ms + _DAY_MS]
    most = min(day, default=0)
    together: list[tuple[int, int]] = []
    for begin, end, count in zip(edges, edges[1:], quiet, strict=False):
        if count <= most or end <= at_ms:
            continue
        if together and together[-1][1] == begin:
            begin = together.pop()[0]  # noqa: PLW2901 (the span that it goes on)
        together.append((begin, end))
    return tuple(together)


def zones_of(digits: str) -> frozenset[str]:
    """Return the time zones in which a number may be, by its first digits; UTC for a country code that there isn't."""
    known = _zones()
    return next(known[digits[:end]] for end in range(min(DIGITS, len(digits)), -1, -1) if digits[:end] in known)


@lru_cache(maxsize=4096)
def _own_spans(zone: str, hours: QuietHours, at_ms: int) -> Spans:
    """Return the quiet hours of one zone around these days; a summer time that begins or ends is in them."""
    local = _zone(zone)
    today = datetime.fromtimestamp(at_ms / 1000, local).date()
    spans = []
    for days in range(-2, AHEAD_MS // _DAY_MS + 2):
        first = today + timedelta(days=days)
        last = first if hours.end > hours.start else first + timedelta(days=1)
        begin = datetime.combine(first, _clock(hours.start), local)
        end = datetime.combine(last, _clock(hours.end), local)
        spans.append((int(begin.timestamp()) * 1000, int(end.timestamp()) * 1000))
    return tuple(spans)


def _clock(minutes: int) -> time:
    return time(minutes // 60, minutes % 60)


@cache
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:  # the machine's table of zones is older than that of numbers
        return ZoneInfo("UTC")


@cache
def _zones() -> Mapping[str, frozenset[str]]:
    """Return the zones of each prefix of at most DIGITS digits, shorter ones first; the empty one is UTC."""
    from phonenumbers.tzdata import TIMEZONE_DATA  # noqa: PLC0415 (a large table, and few need it)

    known: Mapping[str, Iterable[str]] = TIMEZONE_DATA
    found: dict[str, set[str]] = {}
    for prefix, zones in known.items():
        found.setdefault(prefix[:DIGITS], set()).update(zones)
    for prefix in [prefix for prefix in found if prefix not in known]:
        # Only parts of this area are told: the rest of it is what the country is, unless that is half the world.
        above = next(prefix[:end] for end in range(DIGITS - 1, 0, -1) if prefix[:end] in known)
        found[prefix].update(known[above] if len(above) > 1 else ())
    return {"": _UTC, **{prefix: frozenset(found[prefix]) for prefix in sorted(found, key=len)}}
