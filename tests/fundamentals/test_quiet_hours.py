"""Some messages can wait until morning: HEADWAY_QUIET=bulk=21:00-08:00.

Quiet hours are a class's, by the clock where the recipient lives: the country calling code says where, and the area
code where a country has several time zones. A message that meets them waits until they end; no attempt is burnt,
nothing is lost, and whoever is awake doesn't wait with it. Urgent messages have no quiet hours.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from headway import Client, MessageClass
from headway.errors import SettingError
from runtime.settings import Settings
from tests.scripts.stage import NUMBER, SECOND, Stage

ROME, NEW_YORK = "393331234567", "12125550100"


@pytest.fixture
def evening(number: Stage) -> Stage:
    """It is ten in the evening in Rome, four in the afternoon in New York."""
    own = Settings.from_env({"HEADWAY_QUIET": "bulk=21:00-08:00"}).number(NUMBER)
    number.change(quiet=own.quiet)
    number.now_us = int(datetime(2026, 11, 22, 22, tzinfo=ZoneInfo("Europe/Rome")).timestamp()) * SECOND
    return number


def test_who_sleeps_is_left_in_peace_and_who_is_awake_is_not(client: Client, evening: Stage) -> None:
    """One campaign, two countries: one half leaves now, the other at eight."""
    rome = client.push(NUMBER, to=ROME, text="sale", class_=MessageClass.BULK)
    york = client.push(NUMBER, to=NEW_YORK, text="sale", class_=MessageClass.BULK)
    assert evening.drain() == [york]
    evening.now_us = evening.waits().until_us
    assert datetime.fromtimestamp(evening.now_us / SECOND, ZoneInfo("Europe/Rome")).strftime("%a %H:%M") == "Mon 08:00"
    assert evening.ids() == [rome]


def test_an_urgent_message_is_never_quiet(client: Client, evening: Stage) -> None:
    """Somebody sits before a login and waits for the code."""
    code = client.push(NUMBER, to=ROME, text="your code is 1234", class_=MessageClass.URGENT)
    assert evening.ids() == [code]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("urgent=21:00-08:00", "urgent has no such thing"),
        ("bluk=21:00-08:00", "did you mean bulk"),
        ("bulk=9pm-8am", "write HH:MM-HH:MM"),
        ("bulk=21:00-08:00 Europe/Nowhere", "write HH:MM-HH:MM"),
        ("bulk=00:00-00:00", "to let nothing leave, pause the number"),
    ],
)
def test_what_can_t_be_is_refused_at_the_start(text: str, says: str) -> None:
    """Every process says what to write instead, before it does anything."""
    with pytest.raises(SettingError, match=says):
        Settings.from_env({"HEADWAY_QUIET": text})
