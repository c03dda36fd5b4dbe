"""Is a number slowed at once by its provider's refusals, and soon back without going over?"""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from itertools import pairwise

import pytest
import redis as redis_py
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delivery.settle import Settlement
from delivery.states import State
from headway import keys
from runtime import scripts
from scheduler import throttle
from scheduler.decisions import Because, Grant, Wait
from scheduler.leases import Begun
from scheduler.rules import Quota
from scheduler.throttle import Slowed, Throttle
from tests.scripts.stage import NUMBER, SECOND, Stage

ACCOUNT = "0123456789abcdef"


def slow(stage: Stage, lease_id: str, *, refused: int = 1, pause: timedelta = timedelta()) -> Slowed:
    """Tell the scripts of a throttle answer."""
    call = throttle.slow(stage.rules, lease_id, refused=refused, pause=pause, now_us=stage.now_us)
    return throttle.slowed(stage.run(call))


def one_sent(stage: Stage, lease_id: str) -> str:
    """Lease and begin one urgent message; return its id."""
    stage.push(lease_id, class_="urgent")
    assert stage.ids(lease_id) == [lease_id]
    assert stage.begin(lease_id) is Begun.BEGUN
    return lease_id


def test_a_refusal_cuts_the_tps_once_a_window_and_the_number_rests(stage: Stage) -> None:
    """Ten sends in the window, one of them refused: nine tenths are left."""
    for index in range(10):
        one_sent(stage, f"m{index}")
    assert slow(stage, "m9") == Slowed(cut=True, tps_milli=9000, rests_us=111112)
    assert not slow(stage, "m8").cut
    stage.push("n")
    wait = stage.waits()
    assert wait.because is Because.THROTTLED
    assert wait.until_us > stage.now_us + 100_000


def test_a_refused_row_waits_again_at_the_head_of_its_lane_and_was_no_attempt(stage: Stage) -> None:
    """Its charge is given back, too: it used no TPS."""
    one_sent(stage, "m")
    stage.push("n", class_="urgent")
    slow(stage, "m")
    assert stage.settle("m", Settlement("m", State.WAITING, left=False)) == ["waiting"]
    assert stage.waiting("urgent") == ["m", "n"]
    assert stage.record("m").get("attempts", "0") == "0"
    assert stage.meter()["send"] == 0


def test_the_providers_own_pause_holds_and_is_never_longer_than_a_quarter_of_an_hour(stage: Stage) -> None:
    """Nothing is leased, and what was leased doesn't begin."""
    stage.push("early", "m", class_="urgent")
    stage.lease("held")
    start = stage.now_us
    slow(stage, "held", pause=timedelta(hours=3))
    assert stage.begin("held") is Begun.STALE
    assert stage.waiting("urgent") == ["early", "m"]
    wait = stage.waits()
    assert (wait.because, wait.until_us - start) == (Because.THROTTLED, 900 * SECOND)
    stage.now_us = wait.until_us
    assert isinstance(stage.lease(), Grant)


def test_a_refused_request_still_counts_in_its_quota(redis: redis_py.Redis) -> None:
    """Settling gives back what never left; but the provider may have counted this one."""
    stage = Stage(redis, quota=Quota(ACCOUNT, 90))
    one_sent(stage, "m")
    slow(stage, "m")
    stage.settle("m", Settlement("m", State.WAITING, left=False))
    assert set(stage.scores(keys.quota(ACCOUNT, "push"))) == {"m:refused"}


def test_it_is_never_slower_than_one_event_in_ten_seconds(stage: Stage) -> None:
    """However often the provider refuses."""
    for _ in range(40):
        stage.later(ms=max(1000, slow(stage, "nobody").rests_us / 1000))
    found = throttle.read(stage.redis, NUMBER)
    assert found is not None
    assert 100 <= found.tps_milli <= 200


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    base=st.integers(1, 20_000), was=st.integers(1, 20_000), allowed=st.integers(1, 20_000), ms=st.integers(0, 900_000)
)
def test_recovery_is_the_same_in_both_languages_grows_and_stays_within_the_allowed(
    redis: redis_py.Redis, base: int, was: int, allowed: int, ms: int
) -> None:
    """The script's TPS is what the Python says of it."""
    redis.delete(keys.throttle(NUMBER))
    stage = Stage(redis)
    state = Throttle(base, stage.now_us, was, 0)
    redis.hset(keys.throttle(NUMBER), mapping={"tps_milli": base, "at": stage.now_us, "was": was, "until": 0})
    redis.pexpire(keys.throttle(NUMBER), 60_000)
    source = (scripts.load("scheduler", "slow").source).partition("local LEAST_MILLI")[0]
    at = stage.now_us + ms * 1000
    seen = redis.eval(f"{source}\nreturn throttled(KEYS[1], {at}, {allowed})", 1, keys.throttle(NUMBER))
    assert seen == state.tps_now(allowed, at) <= allowed
    assert state.tps_now(allowed, at + SECOND) >= seen


class Provider:
    """Takes so many rows in any second, and refuses a request that is over it, whole."""

    def __init__(self, tps: int) -> None:
        self.tps = tps
        self.taken: deque[tuple[int, int]] = deque()

    def takes(self, now_us: int, rows: int) -> bool:
        """Whether a request of some rows is taken."""
        while self.taken and self.taken[0][0] <= now_us - SECOND:
            self.taken.popleft()
        if sum(count for _, count in self.taken) + rows > self.tps:
            return False
        self.taken.append((now_us, rows))
        return True


@pytest.mark.parametrize("quota", [None, Quota(ACCOUNT, 90)], ids=["singles", "batches"])
@pytest.mark.parametrize(("before", "after"), [(10, 5), (20, 10)])
def test_a_limit_that_halves_silently_is_found_within_three_seconds_and_nine_tenths_of_it_are_used(
    redis: redis_py.Redis, quota: Quota | None, before: int, after: int
) -> None:
    """Five minutes of simulated time after the provider took half of what it had taken."""
    stage = Stage(redis, tps=before, guard_us=20_000, quota=quota, max_rows=1000)
    provider = Provider(before)
    started, refused_at, taken = stage.now_us, [], 0
    halves = started + 10 * SECOND
    end = halves + 300 * SECOND
    while stage.now_us < end:
        if stage.now_us >= halves:
            provider.tps = after
        if redis.llen(keys.lanes(NUMBER)[3]) < 50:
            stage.push(*(f"{stage.now_us}-{index}" for index in range(100)), class_="bulk")
        decision = stage.lease(f"at{stage.now_us}")
        if isinstance(decision, Wait):
            stage.now_us = max(decision.until_us, stage.now_us + 1000)
            continue
        assert isinstance(decision, Grant)
        name, ids = f"at{stage.now_us}", [row.id for row in decision.rows]
        stage.later(ms=2)
        if stage.begin(name) is not Begun.BEGUN:
            continue
        if provider.takes(stage.now_us, len(ids)):
            stage.sent(name, *ids)
            taken += len(ids) if stage.now_us >= halves else 0
        else:
            refused_at.append(stage.now_us - halves)
            slow(stage, name, refused=len(ids))
            stage.settle(name, *(Settlement(id_, State.WAITING, left=False) for id_ in ids))
    assert min(refused_at) >= 0
    late = [at for at in refused_at if at > 3 * SECOND]
    # What is left is the search for a limit that may have come back: a refusal now and then, never two in a second.
    assert len(late) <= 300 / 10
    assert all(later - earlier > 2 * SECOND for earlier, later in pairwise(late))
    assert taken >= 0.9 * after * 300


def test_a_number_whose_provider_is_away_rests_and_keeps_its_tps(stage: Stage) -> None:
    """Nobody refused it: once the rest is over it goes on as before. A shorter rest said later ends nothing."""
    stage.push(*(f"m{i}" for i in range(20)), class_="urgent")
    for pause in (timedelta(seconds=2), timedelta(seconds=1), timedelta(seconds=2)):
        stage.run(throttle.rest(NUMBER, pause, now_us=stage.now_us))
    wait = stage.waits()
    assert (wait.because, wait.until_us - stage.now_us) == (Because.THROTTLED, 2 * SECOND)
    stage.later(ms=2000)
    assert len(stage.ids()) == 10
    assert throttle.read(stage.redis, NUMBER) is None
