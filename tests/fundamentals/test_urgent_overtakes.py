"""An urgent message overtakes a campaign.

Four classes say what goes first: urgent, high, normal, bulk. Each number has a lane for each, and a class leaves only
what those above it have no message for. Bulk leaves evenly, so that there is always room for what is urgent.
"""

from __future__ import annotations

from headway import Client, MessageClass
from tests.scripts.stage import NUMBER, Stage


def campaign(client: Client, *, recipients: int) -> None:
    """Enqueue a bulk message for each of many people."""
    rows = [{"to": f"39333{i:07d}", "text": "Sale!", "class": "bulk"} for i in range(recipients)]
    client.push_many(NUMBER, rows)


def test_an_urgent_message_enqueued_last_is_the_next_to_leave(client: Client, number: Stage) -> None:
    """A thousand wait before it; it goes at once."""
    campaign(client, recipients=1000)
    number.drain()
    code = client.push(NUMBER, to="393331234567", text="Your code is 1234", class_=MessageClass.URGENT)
    assert number.ids() == [code]


def test_a_campaign_leaves_evenly(client: Client, number: Stage) -> None:
    """At 10 a second never more than two at one moment, so an urgent message never waits for a second to pass."""
    campaign(client, recipients=100)
    at_one_moment = []
    for _ in range(100):
        at_one_moment.append(len(number.drain()))
        number.later(ms=20)
    assert max(at_one_moment) <= 2
    assert 19 <= sum(at_one_moment) <= 21


def test_within_a_class_who_came_first_leaves_first(client: Client, number: Stage) -> None:
    """A lane is a queue."""
    ids = [client.push(NUMBER, to=f"39333123456{i}", text="hi", class_=MessageClass.URGENT) for i in range(5)]
    assert number.drain() == ids
