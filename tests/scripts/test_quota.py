"""Is a provider's request quota kept in any sliding minute, shared, and well used?"""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis as redis_py
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delivery.settle import Ending, Settlement
from delivery.states import State
from headway import keys
from providers.quotas import Request, quota_of
from scheduler import quota
from scheduler.decisions import Because, Grant, Wait
from scheduler.leases import Begun
from scheduler.rules import MOST_ROWS, Quota
from tests.scripts.stage import NUMBER, SECOND, Stage

ACCOUNT = "0123456789abcdef"
MINUTE = 60 * SECOND


def with_quota(redis: redis_py.Redis, per_minute: int = 90, *, number: str = NUMBER, **more: Any) -> Stage:
    """Return a number whose provider counts requests."""
    more = {"guard_us": 20_000, "max_rows": MOST_ROWS, **more}
    return Stage(redis, number=number, quota=Quota(ACCOUNT, per_minute), **more)


def made(stage: Stage, name: str = "push") -> dict[str, float]:
    """Return the requests of the account's log."""
    return stage.scores(keys.quota(ACCOUNT, name))


# --- one lease is one request


def test_a_lease_is_charged_as_one_request_whatever_its_rows(redis: redis_py.Redis) -> None:
    """Ten rows leave together; asked again with the same id, nothing is charged twice."""
    stage = with_quota(redis)
    stage.push(*(f"m{i}" for i in range(30)), class_="urgent")
    assert len(stage.ids("lease")) == 10
    assert len(stage.ids("lease")) == 10
    assert made(stage) == {"lease": stage.now_us}


def test_the_request_counts_from_begin(redis: redis_py.Redis) -> None:
    """What waited in the pool for two seconds is made two seconds later."""
    stage = with_quota(redis)
    stage.push("m", class_="urgent")
    stage.granted("lease")
    stage.later(ms=900)
    assert stage.begin("lease") is Begun.BEGUN
    assert made(stage) == {"lease": stage.now_us} == made(stage, "push-alone")


def test_a_lease_that_waited_out_its_minute_needs_a_request_of_its_own(redis: redis_py.Redis) -> None:
    """Without one it is stale: its rows are back, and the log is as it was."""
    stage = with_quota(redis, 5)
    stage.push("m", class_="urgent")
    stage.granted("lease")
    stage.later(ms=61_500)
    for index in range(5):
        call = quota.take(ACCOUNT, "push", 5, f"other{index}", now_us=stage.now_us)
        assert quota.taken(stage.run(call)).granted
    assert stage.begin("lease") is Begun.STALE
    assert stage.waiting("urgent") == ["m"]
    assert len(made(stage)) == 5


@pytest.mark.parametrize("how", ["ended", "unsent", "paused"])
def test_what_never_left_gives_its_request_back(redis: redis_py.Redis, how: str) -> None:
    """A lost lease that had not begun, rows that could not be sent, a number that was paused meanwhile."""
    stage = with_quota(redis)
    stage.push("m", class_="urgent")
    stage.granted("lease")
    if how == "ended":
        stage.end("lease", when=Ending.UNBEGUN)
    elif how == "unsent":
        stage.begin("lease")
        stage.settle("lease", Settlement("m", State.DEFERRED, left=False, retry_ms=1000))
    else:
        stage.change_live(paused=1)
        assert stage.begin("lease") is Begun.PAUSED
    assert made(stage) == {} == made(stage, "push-alone")


def test_one_row_that_left_keeps_the_request(redis: redis_py.Redis) -> None:
    """However many others did not."""
    stage = with_quota(redis)
    stage.push("m", "n", class_="urgent")
    stage.granted("lease")
    stage.begin("lease")
    stage.settle("lease", Settlement("m", State.DEFERRED, left=False, retry_ms=1000), Settlement("n", State.SENT))
    assert list(made(stage)) == ["lease"]


def test_a_full_minute_waits_until_its_oldest_request_is_a_minute_old(redis: redis_py.Redis) -> None:
    """And a second, for the way to the provider may take unequally long."""
    stage = with_quota(redis, 3, tps=1000)
    start = stage.now_us
    for index in range(3):
        stage.push(f"m{index}", class_="urgent")
        stage.granted()
        stage.later(ms=1)
    stage.push("m", class_="urgent")
    wait = stage.waits()
    assert (wait.because, wait.until_us) == (Because.QUOTA, start + MINUTE + SECOND)
    stage.now_us = wait.until_us
    assert stage.ids() == ["m"]


def test_a_person_may_set_the_quota_while_it_runs(redis: redis_py.Redis) -> None:
    """A million and more is none: then nothing is kept."""
    stage = with_quota(redis, 1_000_000)
    stage.push("a", class_="urgent")
    stage.granted()
    assert made(stage) == {}
    stage.change_live(push_per_minute=1)
    stage.push("b", "c", class_="urgent")
    stage.granted()
    stage.push("d", class_="urgent")
    assert stage.waits().because is Because.QUOTA


# --- batches, turns and what is spare


def test_bulk_waits_for_a_full_batch_and_urgent_leaves_at_once(redis: redis_py.Redis) -> None:
    """After a batch that filled the window nothing leaves; what is spare then belongs to who can't wait."""
    stage = with_quota(redis, calm_ppm=500_000)
    stage.push(*(f"m{i}" for i in range(30)), class_="bulk")
    assert stage.ids() == ["m0"]  # a number of which nothing is known begins with one
    stage.later(ms=1500)
    stage.count("in1", "in2")  # so that calm is kept
    stage.later(ms=100)  # and until they are worked off, but for the last
    assert len(stage.ids()) == 3
    stage.later(ms=300)
    stage.push("u", class_="urgent")
    assert stage.ids() == ["u"]
    assert len(made(stage, "push-alone")) == 1


def test_bulk_rides_along_with_an_urgent_message_that_leaves_anyway(redis: redis_py.Redis) -> None:
    """One request, and the batch's turn is taken."""
    stage = with_quota(redis)
    stage.push(*(f"m{i}" for i in range(30)), class_="bulk")
    stage.push("u", class_="urgent")
    assert stage.ids()[:2] == ["u", "m0"]
    assert made(stage, "push-alone") == {}


@dataclass
class World:
    """Numbers with one token, bulk without end, urgent messages now and then, a worker that wakes a little late."""

    redis: Any
    stages: list[Stage]
    seed: int
    now_us: int = 0
    begun_us: list[int] = field(default_factory=list)
    sent: dict[int, int] = field(default_factory=dict)
    waits_us: list[int] = field(default_factory=list)
    born: dict[str, int] = field(default_factory=dict)

    def live(self, *, minutes: float, urgent_per_s: float) -> None:
        """Let time pass."""
        rnd = random.Random(self.seed)
        start = self.now_us = self.stages[0].now_us
        end = start + round(minutes * MINUTE)
        events: list[tuple[int, int, str, int]] = [(start + i, i, "ask", i) for i in range(len(self.stages))]
        for at in range(len(self.stages)):
            when = start
            while urgent_per_s and (when := when + round(rnd.expovariate(urgent_per_s) * SECOND)) < end:
                events.append((when, len(events), "urgent", at))
        heapq.heapify(events)
        serial = len(events)
        while events:
            when, _, what, at = heapq.heappop(events)
            if when >= end:
                break
            stage = self.stages[at]
            stage.now_us = max(when, self.now_us)
            self.now_us = stage.now_us
            serial += 1
            if what == "urgent":
                self.born[f"u{serial}"] = when
                stage.push(f"u{serial}", class_="urgent")
            elif self.redis.llen(keys.lanes(stage.rules.number)[3]) < 100:
                stage.push(*(f"b{serial}-{index}" for index in range(200)), class_="bulk")
            again = self.ask(at, f"l{serial}", rnd)
            if what == "ask":
                heapq.heappush(events, (again, serial, "ask", at))

    def ask(self, at: int, name: str, rnd: random.Random) -> int:
        """Ask for a lease and send it; return when to ask again."""
        stage = self.stages[at]
        decision = stage.lease(name)
        again = stage.now_us + 300
        if isinstance(decision, Wait):
            return max(decision.until_us or again + SECOND, again) + rnd.randrange(3000)
        assert isinstance(decision, Grant)
        stage.later(ms=rnd.uniform(0.5, 5))
        self.now_us = stage.now_us
        ids = [row.id for row in decision.rows]
        if stage.begin(name) is Begun.BEGUN:
            self.begun_us.append(stage.now_us)
            self.sent[at] = self.sent.get(at, 0) + len(ids)
            self.waits_us += [stage.now_us - self.born.pop(id_) for id_ in ids if id_ in self.born]
            stage.sent(name, *ids)
        return again

    def most_a_minute(self) -> int:
        """Return the most requests of any sliding minute."""
        trailing: deque[int] = deque()
        most = 0
        for at in self.begun_us:
            trailing.append(at)
            while trailing[0] <= at - MINUTE:
                trailing.popleft()
            most = max(most, len(trailing))
        return most

    def urgent_p99_s(self) -> float:
        """Return the 99th percentile of what urgent messages waited."""
        return sorted(self.waits_us)[int(len(self.waits_us) * 0.99)] / SECOND


@pytest.mark.parametrize(("tps", "urgent_per_s"), [(10, 0.5), (10, 1), (20, 0.5), (20, 2)])
def test_the_tps_is_used_the_quota_kept_and_urgent_soon_away(
    redis: redis_py.Redis, tps: int, urgent_per_s: float
) -> None:
    """Sends alone, ten minutes: 95 % of TPS, never over the quota, and urgent leaves within 1.2 s."""
    world = World(redis, [with_quota(redis, tps=tps)], seed=tps)
    world.live(minutes=10, urgent_per_s=urgent_per_s)
    assert world.most_a_minute() <= 90
    assert world.sent[0] >= 0.95 * tps * 600
    assert world.urgent_p99_s() <= 1.2


def test_an_hour_of_small_numbers_never_has_more_in_any_minute_and_starves_none(redis: redis_py.Redis) -> None:
    """Four numbers with one token, more to send than there are requests."""
    numbers = [with_quota(redis, number=f"1555555020{index}", tps=2 + 4 * index) for index in range(4)]
    world = World(redis, numbers, seed=7)
    world.live(minutes=60, urgent_per_s=0.1)
    assert world.most_a_minute() <= 90
    assert len(world.begun_us) >= 70 * 60
    assert world.urgent_p99_s() <= 2
    # Turns are equal: who has twice the TPS sends twice as much in each of its own.
    for index, stage in enumerate(numbers):
        assert world.sent[index] >= 15 * 60 * min(2, stage.rules.tps_milli / 1000)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    per_minute=st.integers(1, 120),
    tps=st.sampled_from([1, 5, 10, 80]),
    numbers=st.integers(1, 3),
    seed=st.integers(0, 2**32),
    urgent=st.sampled_from([0, 0.2, 3]),
)
def test_no_minute_has_more_than_the_quota_whatever_it_is(  # noqa: PLR0917  what Hypothesis gives
    redis: redis_py.Redis, per_minute: int, tps: int, numbers: int, seed: int, urgent: float
) -> None:
    """Any quota, any mix, a minute and a half."""
    redis.flushdb()
    world = World(
        redis, [with_quota(redis, per_minute, number=f"1555555030{i}", tps=tps) for i in range(numbers)], seed
    )
    world.live(minutes=1.5, urgent_per_s=urgent)
    assert world.most_a_minute() <= per_minute
    assert world.begun_us


# --- other limits of the same form


def test_a_named_quota_is_taken_once_for_each_request_and_says_when_there_is_room(redis: redis_py.Redis) -> None:
    """Three status questions a minute; the fourth waits for the first to be a minute old."""
    status = quota_of("picky", Request.STATUS)
    assert status is not None
    start = 1_900_000_000_000_000
    stage = Stage(redis)

    def ask(request: str, now_us: int) -> quota.Taken:
        return quota.taken(stage.run(quota.take(ACCOUNT, status.name, status.per_minute, request, now_us=now_us)))

    assert [ask(name, start + index).granted for index, name in enumerate("abca")] == [True] * 4
    refused = ask("d", start + SECOND)
    assert (refused.granted, refused.until_us) == (False, start + MINUTE + SECOND)
    assert ask("d", refused.until_us).granted


def test_the_pages_limits_are_data() -> None:
    """Picky's "Rate Limits": pushes, status questions, and those of connectors; of group details it says nothing."""
    found = {kind.value: limit.per_minute for kind in Request if (limit := quota_of("picky", kind))}
    pages = {"push": 90, "status": 3, "connector-inbound": 10, "connector-action": 3}
    assert found == {**pages, "group-details": 3}
    assert quota_of("nobody", Request.PUSH) is None


def test_an_account_tells_nothing_of_its_token() -> None:
    """Numbers with one token share it; another provider's or token's is another."""
    assert quota.account_of("picky", "t") == quota.account_of("picky", "t") != quota.account_of("cloud", "t")
    assert "secret" not in quota.account_of("picky", "secret")
