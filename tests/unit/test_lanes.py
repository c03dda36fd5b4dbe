"""Does each class stand where Celery looks for its priority, and get what the table says?"""

from __future__ import annotations

import pytest

from headway import MessageClass
from priorities import lanes, table

NUMBER = "15555550100"


def test_the_table_names_every_class_in_order() -> None:
    """What goes first stands first, and a class that goes later never has more of the headroom."""
    assert [rule.class_ for rule in table.TABLE] == list(MessageClass)
    shares = [rule.headroom_share_ppm for rule in table.TABLE]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == 1_000_000


def test_priorities_rise_with_the_classes() -> None:
    """Kombu's 0 goes first."""
    assert [class_.priority for class_ in MessageClass] == [0, 3, 6, 9]


@pytest.mark.parametrize("class_", list(MessageClass))
def test_a_step_leads_back_to_its_class(class_: MessageClass) -> None:
    """And no other step is one."""
    assert table.class_of_step(class_.priority) is class_
    with pytest.raises(KeyError):
        table.class_of_step(class_.priority + 1)


def test_the_table_as_the_lease_reads_it() -> None:
    """Share of headroom, pace, floor, order to one recipient and weight, in order."""
    assert table.as_argument(100_000) == "0:0:100000:0:- 500000:1:100000:0:- 1000000:1:-:0:- 1000000:1:-:0:-"
    assert table.as_argument(0, order=("urgent", "bulk"), shares={"high": 70, "normal": 20, "bulk": 10}) == (
        "0:0:0:1:- 500000:1:0:0:70 1000000:1:-:0:20 1000000:1:-:1:10"
    )


def test_a_number_is_one_queue_on_the_default_exchange() -> None:
    """So that any publisher reaches it by its name, without a binding."""
    (queue,) = lanes.queues([NUMBER])
    assert (queue.name, queue.routing_key, queue.exchange.name) == (f"headway.{NUMBER}",) * 2 + ("",)


def test_a_route_is_what_send_task_takes() -> None:
    """Queue and priority."""
    assert lanes.route(NUMBER, MessageClass.HIGH) == {"queue": f"headway.{NUMBER}", "priority": 3}
