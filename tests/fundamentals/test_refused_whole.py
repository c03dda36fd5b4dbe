"""A message that is not valid is refused whole.

An app hears at once, by the name of the field, what can't be sent; and of many messages in one push none is accepted
when one is wrong. What strangers put on a lane without asking us is checked when its turn comes, and told under its
own id.
"""

from __future__ import annotations

import json

import pytest

from headway import Client, InvalidMessage
from tests.scripts.stage import NUMBER, Stage


def test_the_field_is_named(client: Client, number: Stage) -> None:
    """Nothing was enqueued."""
    with pytest.raises(InvalidMessage) as refused:
        client.push(NUMBER, to="+39 333 1234567", text="hi")
    assert refused.value.field == "to"
    assert number.drain() == []


def test_one_wrong_row_refuses_the_push(client: Client, number: Stage) -> None:
    """999 good ones wait for the app to correct the last; nobody gets half a campaign."""
    rows = [{"to": f"39333{i:07d}", "text": "hi"} for i in range(999)] + [{"to": "393331234567", "text": ""}]
    with pytest.raises(InvalidMessage, match="text"):
        client.push_many(NUMBER, rows)
    assert number.drain() == []


def test_a_push_may_be_repeated_with_its_ids(client: Client, number: Stage) -> None:
    """An app that doesn't know whether its push came through does it again: each message is accepted once."""
    rows = [{"to": f"39333{i:07d}", "text": "hi", "class": "urgent"} for i in range(5)]
    ids = [f"order-{i}" for i in range(5)]
    client.push_many(NUMBER, rows, ids=ids)
    client.push_many(NUMBER, rows, ids=ids)
    assert number.drain() == ids


def test_rubbish_on_a_lane_stops_nobody(client: Client, number: Stage) -> None:
    """Another program wrote it there: it is set aside with the reason, uncharged, and the next message leaves."""
    number.put(json.dumps({"headers": {"id": "from-elsewhere", "task": "worker.send"}}), class_="urgent")
    good = client.push(NUMBER, to="393331234567", text="hi")
    grant = number.granted()
    assert [(row.id, row.verdict.split(":")[0]) for row in grant.rows] == [
        ("from-elsewhere", "refused"),
        (good, "send"),
    ]
    assert grant.charged == 1
