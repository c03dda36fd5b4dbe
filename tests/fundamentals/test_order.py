"""Messages to one person arrive in the order in which they were written.

Of a class's messages to one recipient one is on its way at a time. The next one leaves when it has; who writes to
others notices nothing of it.
"""

from __future__ import annotations

import pytest
import redis as redis_py

from delivery.settle import Settlement
from delivery.states import State
from headway import Client, MessageClass
from scheduler.decisions import Grant
from tests.scripts.stage import NUMBER, Stage

ANNA, BERT = "393331234567", "393337654321"


@pytest.fixture
def number(redis: redis_py.Redis) -> Stage:
    """HEADWAY_ORDER as it is by default: all four classes."""
    return Stage(redis, tps=10, order=tuple(MessageClass))


def leave(number: Stage) -> dict[str, str]:
    """Let what may leave now begin; return which lease has which message."""
    begun: dict[str, str] = {}
    for turn in range(10):
        lease_id = f"{number.now_us}-{turn}"
        decision = number.lease(lease_id)
        if isinstance(decision, Grant):
            number.begin(lease_id)
            begun |= dict.fromkeys((row.id for row in decision.rows), lease_id)
    number.later(ms=1000)
    return begun


def urgent(client: Client, to: str, text: str) -> str:
    """Enqueue an urgent message."""
    return client.push(NUMBER, to=to, text=text, class_=MessageClass.URGENT)


def test_the_second_message_leaves_when_the_first_has(client: Client, number: Stage) -> None:
    """Bert's leaves at once: he has nothing to do with Anna's."""
    first, second = urgent(client, ANNA, "Your order is packed"), urgent(client, ANNA, "Your order has left")
    other = urgent(client, BERT, "Hello")
    begun = leave(number)
    assert set(begun) == {first, other}
    assert leave(number) == {}
    number.sent(begun[first], first)
    assert set(leave(number)) == {second}


def test_one_that_must_be_tried_again_holds_up_its_recipient_only(client: Client, number: Stage) -> None:
    """Anna's phone number is refused for a while. Her next message waits behind it, and the campaign goes on."""
    first, second = urgent(client, ANNA, "one"), urgent(client, ANNA, "two")
    begun = leave(number)
    number.settle(begun[first], Settlement(first, State.DEFERRED, retry_ms=30_000))
    other = urgent(client, BERT, "Hello")
    assert set(leave(number)) == {other}
    number.later(ms=30_000)
    again = leave(number)
    assert set(again) == {first}
    number.sent(again[first], first)
    assert set(leave(number)) == {second}


def test_a_code_never_waits_behind_a_campaign(client: Client, number: Stage) -> None:
    """Order is kept within a class: Anna's code leaves though a bulk message to her is on its way."""
    sale = client.push(NUMBER, to=ANNA, text="Sale!", class_=MessageClass.BULK)
    assert set(leave(number)) == {sale}
    code = urgent(client, ANNA, "Your code is 1234")
    assert set(leave(number)) == {code}


def test_one_that_is_given_up_lets_the_next_go(client: Client, number: Stage) -> None:
    """Dead, expired, discarded or held for a person: nobody waits for what will not come."""
    first, second = urgent(client, ANNA, "one"), urgent(client, ANNA, "two")
    begun = leave(number)
    number.settle(begun[first], Settlement(first, State.DEAD, code="404"))
    assert set(leave(number)) == {second}
