"""A message may say when it leaves: `send_at`.

It waits beside the lanes, for a minute or for months, and takes no slot, no TPS and nobody's turn. When its time comes
it goes to the head of its lane, in the order of times; of one and the same moment, in the order of acceptance.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from headway import Client, InvalidMessage
from scheduler.decisions import Wait
from tests.scripts.stage import NUMBER, SECOND, Stage


def at(number: Stage, seconds: float) -> datetime:
    """Return the time that it will be on the test's clock in so many seconds."""
    return datetime.fromtimestamp(number.now_us / SECOND + seconds, UTC)


def test_it_waits_until_its_time_and_not_a_moment_longer(client: Client, number: Stage) -> None:
    """A worker asks, hears when to ask again, and then the message is there."""
    later = client.push(NUMBER, to="393331234567", text="see you at eight", send_at=at(number, 90))
    assert number.drain() == []
    waits = number.waits()
    assert waits.until_us == number.now_us + 90 * SECOND
    number.now_us = waits.until_us - 1
    assert number.drain() == []
    number.now_us += 1
    assert number.ids() == [later]


def test_what_waits_for_its_time_holds_nobody_up(client: Client, number: Stage) -> None:
    """A hundred reminders of next month stand before it, and it leaves all the same."""
    next_month = at(number, 30 * 86_400)
    client.push_many(NUMBER, [{"to": f"39333{i:07d}", "text": "rent", "send_at": next_month} for i in range(100)])
    now = client.push(NUMBER, to="393331234567", text="now")
    assert number.drain() == [now]


def test_of_one_moment_the_first_accepted_leaves_first(client: Client, number: Stage) -> None:
    """A campaign for nine o'clock leaves in its own order, at the number's pace."""
    nine = at(number, 600)
    ids = client.push_many(NUMBER, [{"to": f"39333{i:07d}", "text": "sale", "send_at": nine} for i in range(60)])
    assert number.drain() == []
    number.now_us = int(nine.timestamp() * SECOND)
    left: list[str] = []
    while len(left) < 60:
        decision = number.lease(f"lease {number.now_us} {len(left)}")
        if isinstance(decision, Wait):
            number.now_us = max(number.now_us, decision.until_us)
            continue
        left += [row.id for row in decision.rows]  # type: ignore[union-attr]
    assert left == ids


def test_a_time_without_a_zone_is_refused(client: Client) -> None:
    """Eight o'clock where? The error names the field and says how to write it."""
    with pytest.raises(InvalidMessage, match="send_at: must say its time zone") as refused:
        client.push(NUMBER, to="393331234567", text="hi", send_at="2030-01-31T08:00:00")
    assert refused.value.field == "send_at"


@pytest.mark.parametrize("text", ["2030-02-30T08:00:00Z", "2030-01-31T08:00:00 Europe/Rome", "tomorrow", "1893456000"])
def test_what_is_no_time_is_refused(client: Client, text: str) -> None:
    """No such day, a zone's name in the place of its offset, words, seconds."""
    with pytest.raises(InvalidMessage, match="send_at: must be a time like 2030-01-31T08:00:00Z"):
        client.push(NUMBER, to="393331234567", text="hi", send_at=text)


def test_a_time_that_is_over_means_now(client: Client, number: Stage) -> None:
    """It is no error to be late."""
    message = client.push(NUMBER, to="393331234567", text="hi", send_at=at(number, 0) - timedelta(days=1))
    assert number.ids() == [message]
