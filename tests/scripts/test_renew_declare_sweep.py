"""Do the small scripts keep their word: renew, declare, sweep?"""

from __future__ import annotations

from headway import keys
from scheduler import control, leases
from tests.scripts.stage import NUMBER, SECOND, Stage, everything


def test_renewing_moves_the_deadline(stage: Stage) -> None:
    """It counts from now, not from the old deadline; running it again changes nothing."""
    stage.push("a", class_="urgent")
    stage.granted("L")
    stage.later(ms=4000)
    assert stage.renew("L") == []
    assert stage.scores(keys.deadlines(NUMBER)) == {"L": stage.now_us + 10 * SECOND}
    before = everything(stage.redis)
    assert stage.renew("L") == []
    assert everything(stage.redis) == before


def test_a_lease_that_has_ended_is_not_brought_back(stage: Stage) -> None:
    """Its id is in the answer, and nothing is written."""
    stage.push("a", "b", class_="urgent")
    stage.change(max_rows=1)
    stage.granted("L")
    stage.granted("M")
    stage.end("M")
    assert stage.renew("L", "M", "never was") == ["M", "never was"]
    assert stage.scores(keys.deadlines(NUMBER)).keys() == {"L"}


def declare(stage: Stage, process: str, tps_milli: int) -> int:
    """Let a process say what its environment gives the number."""
    return int(stage.run(control.declare(NUMBER, process, tps_milli, now_us=stage.now_us)))


def test_the_lowest_tps_of_any_process_holds(stage: Stage) -> None:
    """Two processes with different environments: the number goes by the lower one, whoever leases."""
    assert declare(stage, "one", 10_000) == 10_000
    assert declare(stage, "two", 3_000) == 3_000
    assert declare(stage, "one", 10_000) == 3_000
    stage.push(*(f"m{i}" for i in range(10)), class_="urgent")
    assert len(stage.drain()) == 3


def test_what_a_process_said_holds_for_30_seconds_after_its_end(stage: Stage) -> None:
    """Then the others' lowest holds again."""
    declare(stage, "slow", 3_000)
    stage.later(ms=29_999)
    assert declare(stage, "fast", 10_000) == 3_000
    stage.later(ms=1)
    assert declare(stage, "fast", 10_000) == 10_000
    assert 0 < stage.redis.pttl(keys.declared(NUMBER)) <= 30_000


def test_declaring_twice_changes_nothing(stage: Stage) -> None:
    """The same answer and the same keys."""
    declare(stage, "one", 5_000)
    before = everything(stage.redis)
    assert declare(stage, "one", 5_000) == 5_000
    assert everything(stage.redis) == before


def test_what_a_person_set_wins_over_every_environment(stage: Stage) -> None:
    """Higher or lower, until it is cleared."""
    declare(stage, "slow", 3_000)
    stage.push(*(f"m{i}" for i in range(30)), class_="urgent")
    control.set_tps(stage.redis, NUMBER, 8_000, by="test")
    assert len(stage.drain()) == 8
    control.set_tps(stage.redis, NUMBER, None, by="test")
    stage.later(ms=3000)
    assert len(stage.drain()) == 3


def test_sweep_sees_what_waits_what_is_due_and_who_is_lost(stage: Stage) -> None:
    """1: something may leave; 2: a holder is lost; and nothing for a number at rest."""
    assert stage.sweep() == 0
    stage.push("a", class_="urgent")
    assert stage.sweep() == 1
    stage.granted("L")
    assert stage.sweep() == 0
    stage.push("d", class_="bulk", send_at="2030-03-17T17:46:45Z")
    stage.drain()
    assert stage.sweep() == 0
    stage.later(ms=5000)
    assert stage.sweep() == 1
    stage.later(ms=5000)
    assert stage.sweep() == 3


def test_one_sweep_asks_for_many_numbers(stage: Stage) -> None:
    """The answers stand in the order of the numbers."""
    stage.push("a", class_="bulk")
    numbers = ["15555550101", NUMBER, "15555550102"]
    assert stage.run(leases.sweep(numbers, now_us=stage.now_us)) == [0, 1, 0]
