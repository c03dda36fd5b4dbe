"""Is begin the fence: of all who hold a lease one begins, once, and only while its charge may stand?"""

from __future__ import annotations

import json

import pytest
import redis as redis_py

from delivery.settle import Settlement
from delivery.states import State
from headway import keys
from scheduler.decisions import Because, Wait
from scheduler.leases import Begun
from tests.scripts.stage import NUMBER, SECOND, Stage, everything


def test_of_all_who_try_one_begins(stage: Stage) -> None:
    """The first token begins; the same token hears so again; any other is told that somebody else did."""
    stage.push("a", class_="urgent")
    stage.granted("L")
    assert stage.begin("L", token="one") is Begun.BEGUN
    assert stage.begin("L", token="one") is Begun.BEGUN
    assert stage.begin("L", token="two") is Begun.TAKEN


def test_only_its_holder_begins_a_lease(stage: Stage) -> None:
    """Another worker, or a lease that has ended, is told that it is lost; nothing changes."""
    stage.push("a", class_="urgent")
    stage.granted("L")
    before = everything(stage.redis)
    assert stage.begin("L", holder="stranger") is Begun.LOST
    assert stage.begin("no such lease") is Begun.LOST
    assert everything(stage.redis) == before


def test_begin_moves_the_charge_to_now(stage: Stage) -> None:
    """Ten messages leased at 0 ms and begun at 900 ms leave no room for others until 1,900 ms."""
    stage.push(*(f"m{i}" for i in range(11)), class_="urgent")
    stage.granted("L")
    stage.later(ms=900)
    assert stage.begin("L") is Begun.BEGUN
    wait = stage.waits()
    assert (wait.because, wait.until_us) == (Because.WINDOW, stage.now_us + SECOND)
    assert stage.meter()["window"] == 10


def test_begin_again_does_not_move_the_charge_again(stage: Stage) -> None:
    """A begin that is repeated because its answer was lost changes nothing but by its first run."""
    stage.push("a", class_="urgent")
    stage.granted("L")
    stage.begin("L")
    before = everything(stage.redis)
    stage.later(ms=500)
    stage.begin("L")
    assert everything(stage.redis) == before


def test_a_stale_lease_with_room_is_charged_anew(stage: Stage) -> None:
    """Its charge left the window, but there is room: it begins, charged now."""
    stage.push("a", "b", class_="urgent")
    stage.granted("L")
    stage.later(ms=3000)
    assert stage.begin("L") is Begun.BEGUN
    assert stage.scores(keys.window(NUMBER)) == {"L:2": stage.now_us}
    assert stage.meter()["window"] == 2
    assert stage.debt() == 2


def test_a_stale_lease_without_room_goes_back_to_the_head_of_its_lanes(stage: Stage) -> None:
    """Others have used the window meanwhile: its rows wait at the head again, in order, uncharged, of all classes."""
    stage.change(tps_milli=100_000)
    stage.push("u1", "u2", class_="urgent")
    stage.push("h1", "h2", class_="high")
    stage.push("b1", "b2", class_="bulk")
    assert stage.ids("L") == ["u1", "u2", "h1", "h2", "b1", "b2"]
    stage.push("u3", class_="urgent")
    stage.push("b3", class_="bulk")
    stage.later(ms=2000)
    stage.count(*(f"in{i}" for i in range(98)))
    assert stage.begin("L") is Begun.STALE
    assert stage.waiting("urgent") == ["u1", "u2", "u3"]
    assert stage.waiting("high") == ["h1", "h2"]
    assert stage.waiting("bulk") == ["b1", "b2", "b3"]
    assert stage.meter()["send"] == 0
    assert stage.meter()["window"] == 98
    assert stage.debt() == 98
    assert not stage.redis.exists(keys.leases(NUMBER), keys.leased(NUMBER), keys.deadlines(NUMBER))
    assert stage.begin("L") is Begun.LOST


def test_a_number_paused_between_lease_and_begin_sends_nothing(stage: Stage) -> None:
    """Pause reaches what is leased: its rows go back, and its charge with them."""
    stage.push("a", "b", class_="urgent")
    stage.granted("L")
    stage.change_live(paused=1)
    assert stage.begin("L") is Begun.PAUSED
    assert stage.waiting("urgent") == ["a", "b"]
    assert stage.meter()["window"] == stage.meter()["backlog"] == 0
    stage.unset("paused")
    assert len(stage.ids()) == 2


def test_what_had_begun_goes_on_when_the_number_is_paused(stage: Stage) -> None:
    """The second begin of one try still hears that it has begun."""
    stage.push("a", class_="urgent")
    stage.granted("L")
    stage.begin("L")
    stage.change_live(paused=1)
    assert stage.begin("L") is Begun.BEGUN


def test_begin_after_some_rows_were_settled(stage: Stage) -> None:
    """Rows that can't be sent are settled before the begin; what is left is charged for itself alone."""
    stage.push("a", "b", "c", class_="urgent")
    stage.granted("L")
    stage.settle("L", Settlement("b", State.DEAD, left=False))
    assert stage.meter()["window"] == 2
    stage.later(ms=500)
    assert stage.begin("L") is Begun.BEGUN
    assert stage.scores(keys.window(NUMBER)) == {"L:2": stage.now_us}
    assert stage.meter()["window"] == 2
    lease = json.loads(stage.redis.hget(keys.leases(NUMBER), "L"))
    assert [row[0] for row in lease["rows"]] == ["a", "c"]
    assert lease["charged"] == 2


def test_begin_gives_the_lease_its_time_anew(stage: Stage) -> None:
    """Its deadline counts from the begin."""
    stage.push("a", class_="urgent")
    stage.granted("L")
    stage.later(ms=900)
    stage.begin("L")
    assert stage.scores(keys.deadlines(NUMBER)) == {"L": stage.now_us + 10 * SECOND}


def test_a_moved_charge_outlives_the_windows_key(redis: redis_py.Redis) -> None:
    """At one message in 1,000 s, begun late, the window is kept for another 1,000 s."""
    stage = Stage(redis, tps=0.001)
    stage.push("a", class_="urgent")
    stage.granted("L")
    redis.pexpire(keys.window(NUMBER), 60_000)  # as if the lease had waited for its begin for most of the window
    stage.later(ms=900_000)
    assert stage.begin("L") is Begun.BEGUN
    ttl_ms = stage.redis.pttl(keys.window(NUMBER))
    assert ttl_ms > 1_000_000


@pytest.mark.parametrize("charged", [1, 5, 10])
def test_never_more_than_the_allocation_by_the_times_of_begin(stage: Stage, charged: int) -> None:
    """However leases and begins interleave, no second sees more than ten begun."""
    stage.change(max_rows=charged)
    stage.push(*(f"m{i}" for i in range(80)), class_="urgent")
    stamps: list[int] = []
    held: list[tuple[str, int]] = []
    for turn in range(120):
        decision = stage.lease(f"L{turn}")
        if not isinstance(decision, Wait):
            held.append((f"L{turn}", len(decision.rows)))  # type: ignore[union-attr]
        stage.later(ms=70)
        if held and turn % 3:
            lease_id, rows = held.pop(-1 if turn % 2 else 0)
            if stage.begin(lease_id) is Begun.BEGUN:
                stamps += [stage.now_us] * rows
    assert len(stamps) > 30
    assert all(sum(end - SECOND < stamp <= end for stamp in stamps) <= 10 for end in stamps)
