"""Everything that uses the number is counted.

WhatsApp charges a number's TPS for what it sends, for what it gets, and for both receipts of what it sent. Only sends
can wait. So they yield: the meter counts all four, and a send leaves when there is room beside the rest.
"""

from __future__ import annotations

from headway import Client, MessageClass
from scheduler.decisions import Because
from scheduler.meter import Kind
from tests.scripts.stage import NUMBER, Stage


def enqueue(client: Client, *, messages: int) -> None:
    """Enqueue urgent messages: they may use all of the TPS that is left."""
    for i in range(messages):
        client.push(NUMBER, to=f"39333{i:07d}", text="hi", class_=MessageClass.URGENT)


def test_what_comes_in_takes_the_place_of_sends(client: Client, number: Stage) -> None:
    """Four inbound messages and three receipts leave room for three sends of ten."""
    number.count("in-1", "in-2", "in-3", "in-4", kind=Kind.INBOUND)
    number.count("got-1", "got-2", kind=Kind.DELIVERED)
    number.count("saw-1", kind=Kind.READ)
    enqueue(client, messages=10)
    assert len(number.drain()) == 3


def test_what_comes_in_is_counted_even_beyond_the_tps(client: Client, number: Stage) -> None:
    """Nobody can refuse it: 50 at once are a debt of five seconds, and sends wait until it is worked off."""
    number.count(*(f"in-{i}" for i in range(50)))
    enqueue(client, messages=1)
    number.later(ms=1000)
    wait = number.waits()
    assert wait.because is Because.DEBT
    number.now_us = wait.until_us
    assert 3000 < (number.now_us - 1_900_000_000_000_000) / 1000 < 5000
    assert len(number.drain()) == 1


def test_an_event_that_the_provider_repeats_is_counted_once(number: Stage) -> None:
    """Webhooks come twice; the provider's own id says that it is the same."""
    assert number.count("wamid.A") == 1
    assert number.count("wamid.A") == 0
    assert number.meter()["inbound"] == 1


def test_no_send_leaves_while_the_trailing_second_is_full(client: Client, number: Stage) -> None:
    """Any second, not only those that start on the clock: with each send in it, at most ten events of any kind."""
    enqueue(client, messages=60)
    sends, events = [], []
    for step in range(300):
        if step % 40 == 0:
            number.count(f"in-{step}")
            events.append(number.now_us)
        left = [number.now_us] * len(number.drain())
        sends += left
        events += left
        number.later(ms=13)
    assert len(sends) > 30
    assert all(sum(end - 1_000_000 < at <= end for at in events) <= 10 for end in sends)
