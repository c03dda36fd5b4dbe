"""Does a pool of many numbers ask the server for all of them at once what it would ask for each?"""

from __future__ import annotations

from dataclasses import replace

from headway import keys
from scheduler import control, leases
from tests.scripts.stage import NUMBER, Stage
from worker.lookout import AT_ONCE, Lookout

OTHERS = [f"1555555{index:04d}" for index in range(AT_ONCE * 2)]


def test_declaring_many_numbers_says_of_each_what_declaring_one_does(stage: Stage) -> None:
    """The lowest of each stands in the answer, and whether somebody said something else."""
    mine = [stage.rules, replace(stage.rules, number=OTHERS[0]), replace(stage.rules, number=OTHERS[1])]
    tps = stage.rules.tps_milli
    told = control.told_of(stage.rules)
    stage.run(control.declare(NUMBER, "slower", tps - 1, told=told, now_us=stage.now_us))
    stage.run(control.declare(OTHERS[0], "another", tps, told="{}", now_us=stage.now_us))
    assert stage.run(control.declare_all(mine, "me", now_us=stage.now_us)) == [tps - 1, 0, tps, 1, tps, 0]
    stage.redis.hset(keys.settings(OTHERS[1]), "paused", "1")
    assert stage.run(control.declare_all(mine, "me", now_us=stage.now_us)) == [tps - 1, 0, tps, 1, tps, 1]
    assert 0 < stage.redis.pttl(keys.declared(OTHERS[1])) <= 30_000


def test_a_sweep_tells_of_uncertain_rows(stage: Stage) -> None:
    """Only such units are asked for rows of which nothing came back."""
    assert stage.sweep() == 0
    stage.redis.zadd(keys.uncertain(NUMBER), {"a": 1})
    assert stage.sweep() == 8


def test_a_lookout_finds_the_few_that_have_something(stage: Stage) -> None:
    """In whichever part of many they stand; two round trips at the most."""
    lookout = Lookout(OTHERS, leases.swept)
    assert lookout.busy_chunks(stage.redis) == []
    assert lookout.busy(stage.redis) == []
    for number in (OTHERS[3], OTHERS[AT_ONCE], OTHERS[-1]):
        stage.redis.lpush(keys.lanes(number)[2], "something")
    assert lookout.busy_chunks(stage.redis) == [0, 1]
    assert lookout.busy(stage.redis) == [OTHERS[3], OTHERS[AT_ONCE], OTHERS[-1]]
    assert Lookout([], leases.swept).busy(stage.redis) == []
