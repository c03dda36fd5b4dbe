"""Does Lua read times and base64 as the standard library writes them?"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta, timezone

import pytest
import redis as redis_py
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.scripts.stage import include

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

zones = st.one_of(
    st.just(UTC), st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
)
any_time = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=zones)  # noqa: DTZ001 (zones are drawn)
#: Lua's numbers hold microseconds exactly for 285 years around 1970.
times = st.datetimes(datetime(1700, 1, 1), datetime(2255, 1, 1), timezones=zones)  # noqa: DTZ001

on_one_server = settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def parsed(redis: redis_py.Redis, text: str) -> int:
    """Read a time with the include, in microseconds."""
    return int(include(redis, "scheduler", "parse_time", "string.format('%.0f', parse_time(ARGV[1]))", text))


def micros(time: datetime) -> int:
    """Count whole microseconds since 1970."""
    return (time - EPOCH) // timedelta(microseconds=1)


@given(time=times)
@on_one_server
def test_every_time_that_datetime_writes_is_read_to_the_microsecond(redis: redis_py.Redis, time: datetime) -> None:
    """Any date, any zone of whole minutes, with or without a fraction."""
    assert parsed(redis, time.isoformat()) == micros(time)


@given(time=any_time)
@on_one_server
def test_times_of_any_year_are_read(redis: redis_py.Redis, time: datetime) -> None:
    """Far from now a few microseconds are lost, no more."""
    assert abs(parsed(redis, time.isoformat()) - micros(time)) <= 64


@given(time=times, digits=st.integers(1, 9))
@on_one_server
def test_fractions_of_any_length(redis: redis_py.Redis, time: datetime, digits: int) -> None:
    """RFC 3339 allows any number of digits; beyond the microsecond they are rounded."""
    fraction = f"{time.microsecond:06d}789"[:digits]
    whole = time.astimezone(UTC).replace(microsecond=0)
    text = whole.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + f".{fraction}Z"
    assert abs(parsed(redis, text) - micros(whole) - round(float("0." + fraction) * 1e6)) <= 1


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("2030-01-31T08:00:00z", "2030-01-31T08:00:00+00:00"),
        ("2030-01-31 08:00:00+0530", "2030-01-31T02:30:00+00:00"),
        ("2030-01-31T08:00Z", "2030-01-31T08:00:00+00:00"),
        ("2030-01-31T08:00:00", "2030-01-31T08:00:00+00:00"),
        ("2024-02-29T23:59:60-00:30", "2024-03-01T00:30:00+00:00"),
    ],
)
def test_other_ways_to_write_a_time(redis: redis_py.Redis, text: str, same_as: str) -> None:
    """A small z, a space, no colon in the zone, no seconds, a leap second; no zone is UTC, as in Celery's eta."""
    assert parsed(redis, text) == micros(datetime.fromisoformat(same_as))


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "tomorrow", "5", "2030-01-31", "2030-1-31T08:00:00Z", "08:00:00Z", "2030-01-31T08:00:00 Z",
        "20300131T080000Z", "2030-01-31T08:00:00+5", "2030-01-31T08:00:00+05:30:15", "2030-01-31T08:00:00Z and more",
        "2030-13-01T08:00:00Z", "2030-00-01T08:00:00Z", "2030-01-32T08:00:00Z", "2030-01-00T08:00:00Z",
        "2030-01-31T25:00:00Z", "2030-01-31T08:60:00Z", "2030-01-31T08:00:61Z", "-2030-01-31T08:00:00Z",
        "٢٠٣٠-01-31T08:00:00Z",
    ],
)  # fmt: skip
def test_what_is_no_time_is_an_error(redis: redis_py.Redis, text: str) -> None:
    """Never a wrong moment in silence."""
    with pytest.raises(redis_py.ResponseError):
        parsed(redis, text)


@given(data=st.binary(max_size=600))
@on_one_server
def test_base64_is_read_as_the_standard_library_writes_it(redis: redis_py.Redis, data: bytes) -> None:
    """Any bytes, with any padding."""
    text = base64.b64encode(data).decode()
    assert include(redis, "scheduler", "base64", "base64(ARGV[1])", text) == data


@pytest.mark.parametrize("text", ["QUJ", "Q", "QU!D", "QUJD\n", "QUJD QUJD", "QUJDñ"])
def test_what_is_no_base64_is_an_error(redis: redis_py.Redis, text: str) -> None:
    """Cut off, or with characters of another alphabet: never half a message."""
    with pytest.raises(redis_py.ResponseError):
        include(redis, "scheduler", "base64", "base64(ARGV[1])", text)
