"""Do messages still leave after the server's clock was set back, and none too early?"""

from __future__ import annotations

from datetime import timedelta

import pytest

from headway import keys
from scheduler import leases, throttle
from scheduler.decisions import Because, Grant
from scheduler.rules import Quota
from tests.scripts.stage import SECOND, Stage

DAY_MS = 86_400_000


@pytest.mark.parametrize("back_ms", [20, 700, 60_000, DAY_MS])
def test_a_clock_set_back_makes_all_wait_for_one_window(stage: Stage, back_ms: float) -> None:
    """What was spent counts as spent now: nothing waits until the clock has caught up, nothing leaves twice as fast."""
    stage.push(*(f"m{i}" for i in range(25)), class_="urgent")
    assert len(stage.ids()) == 10
    stage.later(ms=-back_ms)
    wait = stage.waits()
    assert (wait.because, wait.until_us - stage.now_us) == (Because.WINDOW, SECOND)
    stage.later(ms=1000)
    assert len(stage.ids()) == 10


def test_no_debt_is_forgiven_by_a_clock_set_back(stage: Stage) -> None:
    """What came in is worked off from the new time on."""
    stage.count(*(f"e{i}" for i in range(40)))
    assert stage.debt() == 40
    stage.later(ms=-DAY_MS)
    stage.push("m")
    wait = stage.waits()
    assert wait.until_us - stage.now_us <= SECOND
    stage.later(ms=2000)
    assert stage.debt() == 20
    assert stage.waits().because is Because.DEBT
    stage.later(ms=1800)
    assert stage.waits().because is Because.DEBT  # nothing of ours left lately: all that is owed stands before the next
    stage.later(ms=100)
    assert stage.ids() == ["m"]


def test_the_floor_moves_with_the_clock(stage: Stage) -> None:
    """A flooded number answers on after its clock was set back, no sooner than it would have."""
    stage.change(floor_ppm=100_000)
    stage.count(*(f"e{i}" for i in range(300)))
    stage.push("a", "b", class_="urgent")
    assert stage.ids() == ["a"]
    stage.later(ms=-DAY_MS)
    assert stage.waits().until_us - stage.now_us == SECOND
    stage.later(ms=1000)
    assert stage.ids() == ["b"]


def test_a_cut_of_the_future_is_forgotten(stage: Stage) -> None:
    """A number doesn't stay slow, nor at rest, until the clock has caught up: its provider will say it again."""
    stage.push("a", "b", class_="urgent")
    lease_id = "first"
    stage.granted(lease_id)
    stage.run(throttle.slow(stage.rules, lease_id, refused=2, pause=timedelta(minutes=5), now_us=stage.now_us))
    stage.push("c", class_="urgent")
    assert stage.waits().because is Because.THROTTLED
    stage.later(ms=-DAY_MS)
    assert stage.ids() == ["c"]


def test_requests_of_the_future_count_as_made_now(stage: Stage) -> None:
    """After a minute the account may make requests again, wherever the clock was."""
    stage.change(quota=Quota("0123456789abcdef", 2))
    stage.push("a", class_="urgent")
    stage.later(ms=2000)
    stage.ids()
    stage.push("b", class_="urgent")
    stage.later(ms=2000)
    stage.ids()
    stage.push("c", class_="urgent")
    stage.later(ms=2000)
    assert stage.waits().because is Because.QUOTA
    stage.later(ms=-DAY_MS)
    wait = stage.waits()
    assert (wait.because, wait.until_us - stage.now_us) == (Because.QUOTA, 61 * SECOND)
    stage.later(ms=61_000)
    assert stage.ids() == ["c"]


def test_what_is_foreseen_goes_on_from_the_new_time(stage: Stage) -> None:
    """The second group is sent when the receipts of the first have been worked off, wherever the clock was."""
    stage.push("a", "b", to=None, group_id="group", group_members=200)
    assert stage.ids() == ["a"]
    stage.later(ms=-DAY_MS)
    for _ in range(60):
        stage.later(ms=1000)
        if isinstance(stage.lease(), Grant):
            return
    raise AssertionError("it never left")


def test_a_lost_lease_is_found_soon_after_the_clock_was_set_back(stage: Stage) -> None:
    """Its deadline is a day away then; a holder that lives renews, and nobody takes its lease from it."""
    stage.push("a", "b", class_="urgent")
    stage.granted("lost")
    stage.push("c", class_="urgent")
    stage.later(ms=1000)
    stage.granted("alive")
    assert stage.sweep() & 4 == 0
    stage.later(ms=-DAY_MS)
    assert stage.sweep() & 6 == 4
    ttl_us = stage.rules.lease_ttl_us
    for _ in range(2):
        stage.run(leases.clamp(stage.rules.number, ttl_us, now_us=stage.now_us))
    assert stage.sweep() & 6 == 0
    stage.later(ms=ttl_us / 2000)
    assert stage.run(leases.renew(stage.rules.number, ["alive"], ttl_us, now_us=stage.now_us)) == []
    stage.later(ms=ttl_us / 2000 + 1)
    assert stage.sweep() & 6 == 2
    found = stage.redis.zrange(keys.deadlines(stage.rules.number), "-inf", stage.now_us, byscore=True)
    assert found == [b"lost"]
