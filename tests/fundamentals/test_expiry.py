"""A message may say until when it is worth anything, and so may its class: `expires_at`, `expires_in`, HEADWAY_EXPIRES.

A code for a login that comes ten minutes late helps nobody. What has expired never leaves: not from its lane, and not
from the hands of a worker that has it already. It ends as `expired`, and costs no TPS.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from headway import Client, InvalidMessage, MessageClass
from scheduler.leases import Begun
from tests.scripts.stage import NUMBER, SECOND, Stage


def test_an_expired_message_never_leaves(client: Client, number: Stage) -> None:
    """The next lease meets it at the head of its lane, and lets it go without a send."""
    late = datetime.fromtimestamp(number.now_us / SECOND + 60, UTC)
    client.push(NUMBER, to="393331234567", text="your code is 1234", expires_at=late)
    number.later(ms=60_000)
    lease = number.granted()
    assert [row.verdict for row in lease.rows] == ["expired"]
    assert lease.charged == 0


def test_expires_in_counts_from_now_or_from_send_at(client: Client, number: Stage) -> None:
    """A number of seconds, or a timedelta: the message then says `expires_at`."""
    client.push(NUMBER, to="393331234567", text="hi", send_at="2040-01-01T00:00:00Z", expires_in=timedelta(minutes=5))
    assert number.drain() == []
    number.now_us = int(datetime(2040, 1, 1, 0, 5, tzinfo=UTC).timestamp()) * SECOND
    assert [row.verdict for row in number.granted().rows] == ["expired"]


def test_a_class_expires(number: Stage) -> None:
    """HEADWAY_EXPIRES=urgent=300: five minutes after it was accepted no urgent message leaves any more."""
    number.change(expires_ms={"urgent": 300_000})
    number.push("code", class_="urgent")
    number.push("news", class_="bulk")
    number.later(ms=300_000)
    assert {row.id: row.verdict for row in number.granted().rows} == {"code": "expired", "news": "send"}


def test_nor_does_it_leave_from_a_worker_s_hands(number: Stage) -> None:
    """A worker had it in time, but was busy until it expired: begin, the last moment before the wire, says no."""
    number.change(expires_ms={"urgent": 5_000})
    number.push("code", class_="urgent")
    assert number.ids("L") == ["code"]
    number.later(ms=5_000)
    assert number.begin("L") is Begun.STALE
    assert [row.verdict for row in number.granted().rows] == ["expired"]


@pytest.mark.parametrize("expires_in", [0, -60, timedelta(seconds=-1), "soon", True, 1e12, float("nan")])
def test_what_can_t_be_is_refused(client: Client, expires_in: object) -> None:
    """Negative, nothing, no number, longer than a year."""
    with pytest.raises(InvalidMessage, match="expires_in: must be a number of seconds above 0"):
        client.push(NUMBER, to="393331234567", text="hi", class_=MessageClass.URGENT, expires_in=expires_in)


def test_one_of_both_is_enough(client: Client) -> None:
    """Two that say the same thing would contradict each other one day."""
    with pytest.raises(InvalidMessage, match="expires_in: says the same as expires_at"):
        client.push(NUMBER, to="393331234567", text="hi", expires_in=60, expires_at="2040-01-01T00:00:00Z")
