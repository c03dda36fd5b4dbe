"""Do expiry, quiet hours, caps and the loop guard hold with a real worker, as its environment says them?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from headway import keys
from tests.harness.waiting import wait_until
from tests.processes.worker_kit import House, open_house

pytestmark = pytest.mark.processes

TO = "393331234567"
#: A country code that there isn't: its clock is UTC.
NOWHERE = "2101234567"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server and one sink for all tests here."""
    with open_house(tmp_path_factory.mktemp("house")) as house:
        yield house


def test_what_is_too_much_ends_as_capped_and_a_loop_is_cut(house: House) -> None:
    """One offline reply an hour; five of one text a minute, and the sixth is deferred."""
    number = house.number()
    with house.worker(number, env={"HEADWAY_CAPS": "tag:offline=1/3600:drop"}):
        (first,) = house.push(number, to=TO, tag="offline", text="closed")
        house.all_are([first], "sent")
        (second,) = house.push(number, to=TO, tag="offline", text="still closed")
        house.all_are([second], "capped")
        assert house.record(second)["reason"] == "more than tag:offline=1/3600"
        for _ in range(5):
            house.all_are(house.push(number, to=TO, text="hello?"), "sent")
        (sixth,) = house.push(number, to=TO, text="hello?")
        wait_until(lambda: house.redis.zscore(keys.deferred(number), sixth) is not None, description="the sixth rests")
    assert house.arrivals([second, sixth]) == []


def test_a_class_expires_and_is_quiet(house: House) -> None:
    """Urgent that waited for a worker for longer than a second is let go; bulk waits for the end of quiet hours."""
    number = house.number()
    now = datetime.now(UTC)
    hours = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=1):%H:%M}"
    (code,) = house.push(number, to=TO, text="code", class_="urgent")
    (quiet,) = house.push(number, to=NOWHERE, text="sale", class_="bulk")
    time.sleep(1.1)
    with house.worker(number, env={"HEADWAY_EXPIRES": "urgent=1", "HEADWAY_QUIET": f"bulk={hours}"}):
        house.all_are([code], "expired")
        wait_until(
            lambda: house.redis.zscore(keys.deferred(number), quiet) is not None,
            description="it waits for the end of the quiet hours",
        )
        until = datetime.fromtimestamp(float(house.redis.zscore(keys.deferred(number), quiet) or 0) / 1000, UTC)
    assert f"{until:%H:%M}" == f"{now + timedelta(hours=1):%H:%M}"
    assert house.arrivals([code, quiet]) == []
