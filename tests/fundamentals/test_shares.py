"""Urgent goes first; high, normal and bulk share what it leaves.

HEADWAY_SHARES says how: 70, 20 and 10 parts of a hundred. A class that has nothing lends its part to the others, and a
campaign never stands still because somebody is always chatting.
"""

from __future__ import annotations

from collections import Counter

import pytest
import redis as redis_py

from headway import Client, MessageClass
from tests.scripts.stage import NUMBER, Stage

CLASS_OF_STEP = {class_.priority: class_.value for class_ in MessageClass}


@pytest.fixture
def number(redis: redis_py.Redis) -> Stage:
    """HEADWAY_SHARES as it is by default."""
    return Stage(redis, tps=10, shares={"high": 70, "normal": 20, "bulk": 10})


def waiting(client: Client, class_: MessageClass, count: int) -> None:
    """Enqueue messages of a class, each to somebody else."""
    rows = [{"to": f"39333{i:07d}", "text": "hi", "class": class_.value} for i in range(count)]
    client.push_many(NUMBER, rows)


def left(number: Stage, *, seconds: int) -> Counter[str]:
    """How many of each class leave in so many seconds."""
    found: Counter[str] = Counter()
    for _ in range(seconds * 50):
        found.update(CLASS_OF_STEP[row.step] for row in getattr(number.lease(), "rows", ()))
        number.later(ms=20)
    return found


def test_three_classes_share_by_their_weights(client: Client, number: Stage) -> None:
    """Of a hundred messages 70 are high, 20 normal and 10 bulk."""
    for class_ in (MessageClass.HIGH, MessageClass.NORMAL, MessageClass.BULK):
        waiting(client, class_, 150)
    found = left(number, seconds=10)
    assert 95 <= found.total() <= 105
    assert found == pytest.approx({"high": 70, "normal": 20, "bulk": 10}, abs=3)


def test_what_a_class_does_not_need_the_others_use(client: Client, number: Stage) -> None:
    """With nobody chatting the campaign has the number to itself."""
    waiting(client, MessageClass.BULK, 150)
    assert 95 <= left(number, seconds=10)["bulk"] <= 105


def test_urgent_shares_with_nobody(client: Client, number: Stage) -> None:
    """While urgent messages fill the number, all others wait."""
    waiting(client, MessageClass.URGENT, 150)
    waiting(client, MessageClass.BULK, 150)
    assert set(left(number, seconds=10)) == {"urgent"}
