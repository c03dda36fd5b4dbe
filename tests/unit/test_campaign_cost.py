"""Does a campaign's cost in time follow from what the number can send?"""

from __future__ import annotations

import pytest
import redis as redis_py

from headway import Client, MessageClass
from runtime.scripts import run_all
from runtime.settings import Settings
from scheduler import cost, shards

NUMBER = "15555550100"


def seconds(redis: redis_py.Redis, messages: int, **texts: str) -> cost.Cost:
    """Return the cost of so many bulk messages under these HEADWAY_ variables."""
    environ = {"HEADWAY_CALM": "0", "HEADWAY_RECEIPTS": "none", "HEADWAY_PUSH_PER_MINUTE": "1000000"}
    settings = Settings.from_env(environ | {f"HEADWAY_{name}": text for name, text in texts.items()})
    return cost.of_more(redis, settings, NUMBER, MessageClass.BULK, messages)


def test_time_is_messages_by_rate(redis: redis_py.Redis) -> None:
    """A thousand at about ten a second are about a hundred seconds; nothing costs nothing."""
    found = seconds(redis, 1000, TPS="10")
    assert 9 <= found.per_second <= 10.1
    assert found.seconds == pytest.approx(1000 / found.per_second, rel=0.05)
    nothing = seconds(redis, 0)
    assert (nothing.seconds, nothing.done_us) == (0, None)


def test_shards_share_a_campaign(redis: redis_py.Redis) -> None:
    """Four containers take a quarter of the time."""
    one = seconds(redis, 1000)
    run_all(redis, [shards.agree(NUMBER, "worker", 4)])
    four = seconds(redis, 1000, SHARDS="4")
    assert four.per_second == pytest.approx(4 * one.per_second, rel=0.01)
    assert four.seconds == pytest.approx(one.seconds / 4, rel=0.05)


def test_who_stands_still_says_why(redis: redis_py.Redis) -> None:
    """Without a worker nobody knows when the last one leaves; how long they take is known all the same."""
    Client(redis).push(NUMBER, to="393331234567", text="hi")
    found = seconds(redis, 10)
    assert (found.done_us, found.waits_for) == (None, ("worker",))
    assert found.as_json()["done_at"] is None
    assert found.seconds > 0
