"""Are quiet hours those of the recipient's own clock?"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from runtime.windows import QuietHours
from scheduler import quiet
from scheduler.quiet import quiet_spans, zones_of

NIGHT = QuietHours(21 * 60, 8 * 60)


def ms(*when: int, zone: str = "UTC") -> int:
    """Return a local time in milliseconds since 1970."""
    return int(datetime(*when, tzinfo=ZoneInfo(zone)).timestamp() * 1000)  # type: ignore[misc,arg-type]


def quiet_at(number: str, hours: QuietHours, at_ms: int) -> int:
    """Return until when it is quiet for a number (milliseconds), as the lease reads the text; 0: it isn't."""
    spans, prefixes = quiet.as_argument(hours, at_ms * 1000)
    index_of = {prefix: int(index) for prefix, index in (entry.split(":") for entry in prefixes.split(" "))}
    index = next(index_of[number[:end]] for end in range(quiet.DIGITS, -1, -1) if number[:end] in index_of)
    of_number = spans[index - 1]
    pairs = zip(of_number[::2], of_number[1::2], strict=True)
    return next((end for begin, end in pairs if begin <= at_ms < end), 0)


@pytest.mark.parametrize(
    ("number", "zone"),
    [
        ("393331234567", "Europe/Rome"), ("14155550100", "America/Los_Angeles"), ("12125550100", "America/New_York"),
        ("16715550100", "Pacific/Guam"), ("911234567890", "Asia/Kolkata"), ("61291234567", "Australia/Sydney"),
        ("551112345678", "America/Sao_Paulo"), ("9771234567", "Asia/Kathmandu"),
    ],
)  # fmt: skip
def test_the_night_is_the_recipient_s(number: str, zone: str) -> None:
    """Just before nine in the evening it may leave, from nine on it waits until eight in the morning."""
    assert quiet_at(number, NIGHT, ms(2026, 11, 22, 20, 59, 59, zone=zone)) == 0
    eight = ms(2026, 11, 23, 8, zone=zone)
    assert quiet_at(number, NIGHT, ms(2026, 11, 22, 21, zone=zone)) == eight
    assert quiet_at(number, NIGHT, eight - 1) == eight
    assert quiet_at(number, NIGHT, eight) == 0


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 28), 10), ((2026, 10, 24), 12), ((2026, 6, 1), 11)])
def test_a_night_in_which_the_clocks_change_ends_at_eight_all_the_same(day: tuple[int, int, int], hours: int) -> None:
    """Rome's night is an hour shorter in March, and an hour longer in October."""
    begins = ms(*day, 21, zone="Europe/Rome")
    assert quiet_at("393331234567", NIGHT, begins) - begins == hours * 3_600_000


def test_of_several_zones_any_one_counts() -> None:
    """A Brazilian number without a known area may be in Noronha, where it is nine first, or in Rio Branco."""
    noronha, acre = ZoneInfo("America/Noronha"), ZoneInfo("America/Rio_Branco")
    zones = frozenset({"America/Noronha", "America/Rio_Branco"})
    nine = datetime(2026, 11, 22, 21, tzinfo=noronha)
    (begin, end), *_ = quiet_spans(zones, NIGHT, int(nine.timestamp() * 1000))
    assert begin == nine.timestamp() * 1000
    assert datetime.fromtimestamp(end / 1000, acre).hour == 8


def test_zones_around_the_world_leave_the_best_time_of_the_day() -> None:
    """Where any zone's night would be the whole day, messages leave when it is night for the fewest."""
    zones = frozenset({"Pacific/Auckland", "America/Los_Angeles", "Europe/London"})
    at = ms(2026, 11, 22)
    spans = quiet_spans(zones, NIGHT, at)
    quiet_ms = sum(min(end, at + 86_400_000) - max(begin, at) for begin, end in spans if begin < at + 86_400_000)
    assert 0 < quiet_ms < 86_400_000


def test_an_hour_in_the_day_and_one_over_midnight() -> None:
    """A span whose end comes after its start is of one day."""
    noon = QuietHours(12 * 60 + 30, 14 * 60)
    assert quiet_at("393331234567", noon, ms(2026, 11, 22, 12, 29, zone="Europe/Rome")) == 0
    assert quiet_at("393331234567", noon, ms(2026, 11, 22, 13, zone="Europe/Rome")) == ms(
        2026, 11, 22, 14, zone="Europe/Rome"
    )


def test_an_unknown_country_is_utc() -> None:
    """Nobody knows better."""
    assert zones_of("210123456") == {"UTC"}
    assert quiet_at("210123456", NIGHT, ms(2026, 11, 22, 22)) == ms(2026, 11, 23, 8)


def test_every_zone_of_the_table_is_known_to_this_machine() -> None:
    """Else a night would be UTC's in silence."""
    names = {name for zones in quiet._zones().values() for name in zones}
    assert len(names) > 250
    assert all(ZoneInfo(name).utcoffset(datetime(2026, 1, 1, tzinfo=UTC)) is not None for name in names)


def test_the_text_is_short() -> None:
    """It goes along with each lease of a number that has quiet hours."""
    spans, prefixes = quiet.as_argument(NIGHT, ms(2026, 11, 22) * 1000)
    assert len(prefixes) + 16 * sum(map(len, spans)) < 16_000
