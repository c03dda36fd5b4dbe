"""Do high, normal and bulk share what urgent leaves, as was said, and lend what they don't use?"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
import redis as redis_py

from headway import MessageClass, keys
from scheduler.decisions import Grant, Refuse
from scheduler.meter import Kind
from scheduler.rules import MOST_ROWS, Quota
from tests.scripts.stage import NUMBER, SECOND, Stage

USUAL = {"high": 70, "normal": 20, "bulk": 10}
STEPS = {0: "urgent", 3: "high", 6: "normal", 9: "bulk"}


class Road:
    """A number under load: every class that is named has always messages; what leaves is counted by class."""

    def __init__(self, redis: redis_py.Redis, *classes: str, **rules: Any) -> None:
        self.stage = Stage(redis, **{"headroom": 0, "shares": USUAL, **rules})
        self.classes = classes
        self.left: Counter[str] = Counter()
        self.rows: list[int] = []
        self._ids = itertools.count()
        #: Receipts to come: when (us), which.
        self._come: list[tuple[int, str]] = []

    def fill(self) -> None:
        """Every lane has some more than one lease takes."""
        for class_ in self.classes:
            if self.stage.redis.llen(keys.lane(NUMBER, MessageClass(class_))) < 100:
                self.stage.push(*(f"m{next(self._ids)}" for _ in range(200)), class_=class_)

    def drive(self, *, seconds: float, late_ms: float = 2, receipts: bool = False) -> Counter[str]:
        """Let as much leave as may, each worker a little late; returns how many of each class."""
        stage, before = self.stage, Counter(self.left)
        end = stage.now_us + round(seconds * SECOND)
        while stage.now_us < end:
            self.fill()
            while self._come and self._come[0][0] <= stage.now_us:
                stage.count(heapq.heappop(self._come)[1], kind=Kind.DELIVERED)
            decision = stage.lease()
            assert not isinstance(decision, Refuse)
            if isinstance(decision, Grant):
                self._leave(decision, receipts=receipts)
                continue
            until = decision.until_us or stage.now_us + 50_000
            if self._come:
                until = min(until, self._come[0][0])
            stage.now_us = max(until, stage.now_us) + round(late_ms * 1000)
        return self.left - before

    def _leave(self, decision: Grant, *, receipts: bool) -> None:
        lease_id = f"lease{self.stage._leases}"
        ids = [row.id for row in decision.rows]
        self.left.update(STEPS[row.step] for row in decision.rows)
        self.rows.append(len(ids))
        self.stage.begin(lease_id)
        self.stage.sent(lease_id, *ids)
        for id_ in ids if receipts else ():
            heapq.heappush(self._come, (self.stage.now_us + 800_000, f"delivered-{id_}"))


def parts(left: Counter[str]) -> dict[str, float]:
    """Of what was shared, how much each class had, in hundredths."""
    whole = sum(left[class_] for class_ in USUAL)
    return {class_: 100 * left[class_] / whole for class_ in USUAL}


def near(left: Counter[str], expected: Mapping[str, float], points: float = 3) -> bool:
    """Whether each class had its part, within so many points."""
    found = parts(left)
    return all(abs(found[class_] - expected.get(class_, 0)) <= points for class_ in USUAL)


@pytest.mark.parametrize(("tps", "seconds"), [(0.5, 400), (2, 100), (10, 20), (80, 5), (1000, 2)])
@pytest.mark.parametrize("max_rows", [1, 250])
def test_shares_are_kept_at_any_tps(redis: redis_py.Redis, tps: float, seconds: float, max_rows: int) -> None:
    """70, 20 and 10 of a hundred, within 3 points, in leases of one row and of many; and no TPS is lost."""
    if tps == 1000 and max_rows == 1:
        seconds = 0.5
    road = Road(redis, "high", "normal", "bulk", tps=tps, max_rows=max_rows)
    left = road.drive(seconds=seconds)
    assert near(left, USUAL), parts(left)
    assert left.total() >= 0.93 * tps * seconds - 2


def test_what_a_class_does_not_use_is_lent(redis: redis_py.Redis) -> None:
    """Without normal, high and bulk have 87.5 and 12.5; bulk alone has all."""
    road = Road(redis, "high", "bulk", tps=40)
    left = road.drive(seconds=10)
    assert near(left, {"high": 87.5, "bulk": 12.5}), parts(left)
    redis.delete(keys.lane(NUMBER, MessageClass.HIGH))
    road.classes = ("bulk",)
    assert road.drive(seconds=5)["bulk"] >= 0.9 * 40 * 5


def test_nothing_is_saved_up_while_a_class_has_nothing(redis: redis_py.Redis) -> None:
    """After a minute of bulk alone, high has its share and no more."""
    road = Road(redis, "bulk", tps=40)
    road.drive(seconds=10)
    road.classes = ("high", "bulk")
    left = road.drive(seconds=5)
    assert near(left, {"high": 87.5, "bulk": 12.5}, points=4), parts(left)


def test_urgent_is_strict(redis: redis_py.Redis) -> None:
    """While it fills the window nothing else leaves; the others share what it leaves, not what it has."""
    road = Road(redis, "urgent", "high", "bulk", tps=10)
    assert set(road.drive(seconds=5)) == {"urgent"}


def test_without_shares_a_class_leaves_only_what_is_above_it_empty(redis: redis_py.Redis) -> None:
    """HEADWAY_SHARES=none."""
    road = Road(redis, "high", "normal", "bulk", tps=40, shares={})
    assert set(road.drive(seconds=3)) == {"high"}


@pytest.mark.parametrize("calm_ppm", [100_000, 300_000])
def test_bulk_is_not_kept_out_by_what_it_leaves_free(redis: redis_py.Redis, calm_ppm: int) -> None:
    """High leaves half of calm free, bulk all of it: high alone would fill what bulk must not touch."""
    road = Road(redis, "high", "normal", "bulk", tps=80, calm_ppm=calm_ppm)
    road.stage.count("in")
    road.stage.later(ms=2000)
    left = road.drive(seconds=6)
    assert near(left, USUAL), parts(left)
    assert left.total() >= (0.9 - calm_ppm / 1e6) * 80 * 6


def test_nobody_starves_among_receipts(redis: redis_py.Redis) -> None:
    """High looks at what is, normal and bulk at what will be; shares hold all the same."""
    road = Road(redis, "high", "normal", "bulk", tps=20, calm_ppm=100_000, headroom=0.1)
    road.drive(seconds=10, receipts=True)
    left = road.drive(seconds=40, receipts=True)
    assert near(left, USUAL), parts(left)


def test_classes_share_the_requests_of_a_quota(redis: redis_py.Redis) -> None:
    """90 requests a minute at 20 TPS: bulk rides in the requests that high makes, and the other way round."""
    road = Road(redis, "high", "normal", "bulk", tps=20, quota=Quota("0123456789abcdef", 90), max_rows=MOST_ROWS)
    left = road.drive(seconds=60)
    assert near(left, USUAL), parts(left)
    assert left.total() >= 640  # what high alone gets: it never waits until a request is full
    assert len(road.rows) <= 95


def test_one_that_can_not_go_holds_the_others_up_for_a_second_only(redis: redis_py.Redis) -> None:
    """Inbound that leaves room for high alone: high goes on, and bulk's turns are lost one by one."""
    road = Road(redis, "high", "bulk", tps=20, calm_ppm=500_000)
    stage = road.stage
    for second in range(30):
        stage.count(*(f"in{second}-{index}" for index in range(12)))
        road.drive(seconds=1)
    assert road.left["high"] >= 20
    assert road.left["bulk"] <= 10
