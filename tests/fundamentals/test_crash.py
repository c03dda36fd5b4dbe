"""A crash before begin gives the rows back; after begin they are uncertain.

A worker takes messages under a lease, and begins the lease just before the first byte leaves. So when it dies,
everybody knows on which side of that moment: before it, nothing was sent for certain, and the messages go back to
where they stood. After it the provider may have them, and sending again by mistake is worse than asking.
"""

from __future__ import annotations

from delivery.settle import Ending
from headway import Client, MessageClass
from tests.scripts.stage import NUMBER, Stage


def test_a_worker_that_dies_before_the_begin_gives_its_messages_back(client: Client, number: Stage) -> None:
    """Ten seconds after its last sign of life they stand at the head of their lane, in order, uncharged."""
    first = client.push(NUMBER, to="393331234567", text="1", class_=MessageClass.URGENT)
    second = client.push(NUMBER, to="393331234568", text="2", class_=MessageClass.URGENT)
    assert number.ids("lease of the dead") == [first, second]
    third = client.push(NUMBER, to="393331234569", text="3", class_=MessageClass.URGENT)

    assert number.end("lease of the dead", when=Ending.EXPIRED).what == "held"
    number.later(ms=10_000)
    assert number.end("lease of the dead", when=Ending.EXPIRED).what == "returned"

    assert number.meter()["send"] == 0
    assert number.ids() == [first, second, third]


def test_a_worker_that_dies_after_the_begin_leaves_them_uncertain(client: Client, number: Stage) -> None:
    """They are kept, and nobody sends them again by himself."""
    message = client.push(NUMBER, to="393331234567", text="1", class_=MessageClass.URGENT)
    number.granted("L")
    number.begin("L")
    number.later(ms=10_000)
    assert number.end("L", when=Ending.EXPIRED).what == "uncertain"
    assert (client.status(message) or {})["state"] == "uncertain"
    assert number.drain() == []


def test_the_dead_can_not_begin(client: Client, number: Stage) -> None:
    """A worker that only slept finds its lease gone, and sends nothing twice."""
    client.push(NUMBER, to="393331234567", text="1", class_=MessageClass.URGENT)
    number.granted("L")
    number.later(ms=10_000)
    number.end("L", when=Ending.EXPIRED)
    number.granted("M")
    assert number.begin("L") == "lost"
    assert number.begin("M") == "begun"


def test_who_was_only_slow_is_still_heard(client: Client, number: Stage) -> None:
    """It had begun, it was thought dead, and then it tells the outcome: that is the truth."""
    message = client.push(NUMBER, to="393331234567", text="1", class_=MessageClass.URGENT)
    number.granted("L")
    number.begin("L")
    number.later(ms=10_000)
    number.end("L", when=Ending.EXPIRED)
    assert number.sent("L", message) == ["sent"]
    assert (client.status(message) or {})["state"] == "sent"
