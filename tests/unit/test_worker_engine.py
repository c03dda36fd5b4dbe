"""When does a worker process ask for a lease, and when does it let be?"""

from __future__ import annotations

import pytest
import redis as redis_py

from runtime.clock import FakeClock
from scheduler.rules import NumberRules
from worker.engine import Engine
from worker.registry import HeldLease, Registry

NUMBER = "15555550100"
RULES = NumberRules(
    number=NUMBER, tps_milli=10_000, guard_us=10_000, headroom_ppm=0, in_flight=2, lease_ttl_us=10_000_000, max_rows=1
)


class Loop:
    """Counts how often Celery's loop is woken."""

    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        """One more."""
        self.woken += 1

    def wake_at(self, at_us: int, now_us: int) -> None:
        """A timer wakes nobody."""


@pytest.fixture
def engine() -> Engine:
    """An engine that serves one number, which has been asked and is to be asked again in a minute."""
    made = Engine(redis_py.Redis(), lambda _: RULES, slots=8, clock=FakeClock())
    made.agenda.serve(NUMBER)
    made.attach(Loop())
    made.agenda.due(made.clock.monotonic_us(), most=1)
    made.agenda.later(NUMBER, made.clock.monotonic_us() + 500_000)
    return made


def woken(engine: Engine) -> bool:
    """Whether the number is asked at once."""
    return engine.agenda.next_us() == 0


def held(lease_id: str) -> HeldLease:
    """A lease of the number."""
    return HeldLease(NUMBER, lease_id, ("a",))


def test_a_settle_that_freed_nothing_asks_nothing(engine: Engine) -> None:
    """The number's time is known already: whoever asked now would ask in vain."""
    engine.registry.hold("tag", [held("one")])
    engine.settled("tag", NUMBER, "one", back=False)
    assert not woken(engine)
    assert engine.registry.count(NUMBER) == 0


def test_a_settle_that_gave_rows_back_asks_at_once(engine: Engine) -> None:
    """What was refunded, or is tried later, changes when something may leave."""
    engine.registry.hold("tag", [held("one")])
    engine.settled("tag", NUMBER, "one", back=True)
    assert woken(engine)


def test_who_was_full_asks_when_a_lease_has_ended(engine: Engine) -> None:
    """Two leases at a time are all it may hold; the end of one makes room."""
    engine.registry.hold("tag", [held("one"), held("two")])
    engine.ring([NUMBER])
    assert engine.questions() == []
    assert engine.agenda.next_us() is None
    engine.settled("tag", NUMBER, "one", back=False)
    assert woken(engine)


def test_the_sweep_reminds_only_who_would_not_ask_soon(engine: Engine) -> None:
    """Half a second is soon; asleep, or in an hour, is not."""
    engine.remind([NUMBER])
    assert not woken(engine)
    engine.agenda.later(NUMBER, engine.clock.monotonic_us() + 3_600_000_000)
    engine.remind([NUMBER])
    assert woken(engine)


def test_news_wakes_the_keeper(engine: Engine) -> None:
    """A stop and a lease that Celery gave up are known at once, without a wait."""
    engine.registry.hold("tag", [held("one")])
    engine.release("tag")
    engine.stopping = True
    assert engine.take_released(timeout_s=60) == [held("one")]
    engine.giving_up = True
    assert engine.take_released(timeout_s=60) == []


def test_the_registry_keeps_count_of_what_it_holds() -> None:
    """Of leases by unit, and of Celery's messages by number, whichever way a lease goes."""
    registry = Registry()
    registry.hold("first", [HeldLease(f"{NUMBER}/0of2", "a", ()), HeldLease(f"{NUMBER}/1of2", "b", ())])
    registry.hold("second", [HeldLease(f"{NUMBER}/1of2", "c", ())])
    assert (registry.count(f"{NUMBER}/1of2"), registry.parcels(NUMBER)) == (2, 2)
    registry.settled("first", "b")
    registry.settled("first", "b")
    assert (registry.count(f"{NUMBER}/1of2"), registry.parcels(NUMBER)) == (1, 2)
    assert registry.release("first") == [HeldLease(f"{NUMBER}/0of2", "a", ())]
    assert (registry.count(f"{NUMBER}/0of2"), registry.parcels(NUMBER)) == (0, 1)
    registry.release_all()
    assert (registry.count(f"{NUMBER}/1of2"), registry.parcels(NUMBER)) == (0, 0)
