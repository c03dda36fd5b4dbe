"""Headway says when a message will leave.

Whoever pushes wants to know: now, in a minute, tomorrow? The answer follows from what waits ahead, from the shares of
the classes, from the receipts that sends will bring and from how fast messages really leave. It is a mean and no
promise; where nothing leaves at all there is no time, but the reason.
"""

from __future__ import annotations

from headway import Client, MessageClass
from scheduler import control, estimate
from scheduler.decisions import Grant
from scheduler.estimate import Estimate
from tests.scripts.stage import NUMBER, Stage


def last_of(number: Stage, class_: MessageClass) -> Estimate:
    """Ask for the last message of a class, as the gateway does for each push."""
    call = estimate.ask(number.rules, class_, now_us=number.now_us)
    return estimate.of_row(estimate.figures(number.run(call), NUMBER), class_)


def seconds(number: Stage, found: Estimate) -> float:
    """Return how far away an estimate is."""
    assert found.at_us is not None, found.waits_for
    return (found.at_us - number.now_us) / 1_000_000


def campaign(client: Client, rows: int, class_: MessageClass = MessageClass.BULK) -> None:
    """Push so many messages, each to somebody else."""
    client.push_many(NUMBER, [{"to": f"39333{row:07d}", "text": "News", "class": class_.value} for row in range(rows)])


def serve(number: Stage) -> None:
    """Let a worker say that it is there."""
    number.run(control.declare(NUMBER, "worker-1", number.rules.tps_milli))


def test_alone_it_leaves_now(client: Client, number: Stage) -> None:
    """Nobody is ahead, and there is room."""
    serve(number)
    client.push(NUMBER, to="393331234567", text="Hello")
    assert last_of(number, MessageClass.NORMAL) == Estimate(number.now_us, ())


def test_behind_a_campaign_it_takes_as_long_as_the_campaign(client: Client, number: Stage) -> None:
    """Six hundred messages at ten a second are a minute; an urgent one doesn't wait for them."""
    serve(number)
    campaign(client, 600)
    last = last_of(number, MessageClass.BULK)
    assert 58 < seconds(number, last) < 64
    assert last.waits_for == ("pace",)
    client.push(NUMBER, to="393331234567", text="Your code is 1234", class_=MessageClass.URGENT)
    assert last_of(number, MessageClass.URGENT).waits_for == ()


def test_receipts_take_their_part(client: Client, number: Stage) -> None:
    """When nobody tells of receipts they are expected: a send takes one for delivered, and often one for read."""
    number.change(event_webhook=False)
    serve(number)
    campaign(client, 600)
    assert seconds(number, last_of(number, MessageClass.BULK)) > 120


def test_it_comes_true(client: Client, number: Stage) -> None:
    """Thirty messages, and the clock is turned until the last of them has left."""
    serve(number)
    campaign(client, 30)
    said_us = last_of(number, MessageClass.BULK).at_us
    left = 0
    while left < 30:
        number.later(ms=20)
        answer = number.lease()
        left += len(answer.rows) if isinstance(answer, Grant) else 0
    assert said_us is not None
    assert abs(said_us - number.now_us) < 500_000


def test_where_nothing_leaves_there_is_a_reason_and_no_time(client: Client, number: Stage) -> None:
    """A person paused the number, or no worker sends for it."""
    campaign(client, 1)
    assert last_of(number, MessageClass.BULK) == Estimate(None, ("worker",))
    serve(number)
    control.pause(number.redis, NUMBER, by="the tutorial")
    assert last_of(number, MessageClass.BULK) == Estimate(None, ("paused",))
