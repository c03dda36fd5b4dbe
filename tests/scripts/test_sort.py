"""Do messages reach the lanes of their shards, each once and in order, however often the shards change?"""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import pytest
import redis as redis_py
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway import MessageClass, keys
from headway.envelope import seal
from headway.message import Message
from runtime.scripts import run_all
from scheduler import control, leases, shards
from scheduler.decisions import Grant
from tests.harness.leaks import leaks
from tests.scripts.stage import NUMBER, SECOND, START_US, Stage, everything

PEOPLE = [f"3933312345{i:02d}" for i in range(24)]


class Town:
    """One number, and workers that come and go with other numbers of shards."""

    def __init__(self, redis: redis_py.Redis) -> None:
        self.redis: Any = redis
        self.now_us = START_US
        self._ids = itertools.count()

    def run(self, call: Any) -> Any:
        """Run one call; an error of the server is raised."""
        (reply,) = run_all(self.redis, [call])
        if isinstance(reply, Exception):
            raise reply
        return reply

    def start(self, process: str, count: int) -> shards.Agreed:
        """Let a worker say what its environment gives; former units stay as they are."""
        self.run(control.declare(NUMBER, process, 10_000, now_us=self.now_us))
        return shards.agreed(self.run(shards.agree(NUMBER, process, count, now_us=self.now_us)))

    def change(self, count: int) -> None:
        """End every worker and start one with so many shards; move what waits."""
        self.redis.delete(keys.declared(NUMBER))
        agreed = self.start("w", count)
        assert agreed.in_force == count
        self.empty(agreed)

    def empty(self, agreed: shards.Agreed, *, most: int = 3) -> None:
        """Move what waits in former units, a few rows at a time, and say so."""
        for unit, of in agreed.former(NUMBER):
            while self.run(shards.drain(unit, of, most=most, now_us=self.now_us))[1]:
                pass
        self.run(shards.agree(NUMBER, "w", agreed.in_force, emptied=agreed.in_force, now_us=self.now_us))

    def push(self, *people: str, class_: MessageClass = MessageClass.NORMAL, **fields: Any) -> list[str]:
        """Put a message for each of these people on the number's lane; return their ids."""
        ids = [f"m{next(self._ids):05d}" for _ in people]
        for id_, to in zip(ids, people, strict=True):
            message = Message.of({"to": to, "text": "x", "class": class_.value, **fields})
            self.redis.lpush(keys.lane(NUMBER, class_), seal(NUMBER, id_, message))
        return ids

    def sort(self, count: int, *, most: int = shards.SORT_ROWS) -> shards.Sorted:
        """Sort once."""
        return shards.sorted_(self.run(shards.sort(NUMBER, count, most=most, now_us=self.now_us)))

    def sort_all(self, count: int, *, most: int = shards.SORT_ROWS) -> None:
        """Sort until nothing is left."""
        while self.sort(count, most=most).more:
            pass

    def waiting(self, unit: str, class_: MessageClass = MessageClass.NORMAL) -> list[tuple[str, str]]:
        """Return id and recipient of what is on a lane, the head first."""
        raws = [json.loads(raw) for raw in reversed(self.redis.lrange(keys.lane(unit, class_), 0, -1))]
        return [(raw["headers"]["id"], json.loads(raw["body"])[1]["to"]) for raw in raws]


@pytest.fixture
def town(redis: redis_py.Redis) -> Town:
    """An empty server."""
    return Town(redis)


@pytest.mark.parametrize("count", [2, 4, 8, 16, 32])
def test_each_message_goes_to_the_shard_of_its_recipient(town: Town, count: int) -> None:
    """By the same hash in Lua and in Python, in the order of pushing, in every class."""
    town.change(count)
    pushed = {class_: list(zip(town.push(*PEOPLE, class_=class_), PEOPLE, strict=True)) for class_ in MessageClass}
    assert town.sort(count) == shards.Sorted(count, 4 * len(PEOPLE), more=False)
    for class_, rows in pushed.items():
        assert town.waiting(NUMBER, class_) == []
        for unit in keys.units(NUMBER, count):
            mine = [row for row in rows if shards.unit_of(NUMBER, count, row[1]) == unit]
            assert town.waiting(unit, class_) == mine
    assert not leaks(town.redis)


def test_a_sort_is_bounded_and_says_that_more_waits(town: Town) -> None:
    """Urgent first; again and again until nothing is left; then it changes nothing."""
    town.change(2)
    bulk = town.push(*PEOPLE, class_=MessageClass.BULK)
    urgent = town.push(*PEOPLE[:5], class_=MessageClass.URGENT)
    assert town.sort(2, most=10) == shards.Sorted(2, 10, more=True)
    assert town.waiting(NUMBER, MessageClass.URGENT) == []
    assert [id_ for id_, _ in town.waiting(NUMBER, MessageClass.BULK)] == bulk[5:]
    town.sort_all(2, most=10)
    found = [id_ for unit in keys.units(NUMBER, 2) for class_ in MessageClass for id_, _ in town.waiting(unit, class_)]
    assert sorted(found) == sorted([*bulk, *urgent])
    before = everything(town.redis)
    assert town.sort(2) == shards.Sorted(2, 0, more=False)
    assert everything(town.redis) == before


def test_strangers_and_groups_have_a_shard_too(town: Town) -> None:
    """A stock publisher's base64 body, a number with a plus, a group by its id; the unreadable goes to the first."""
    town.change(4)
    body = base64.b64encode(json.dumps([[], {"to": "+39 333 1234500", "text": "x"}, {}]).encode()).decode()
    properties = {"body_encoding": "base64"}
    town.redis.lpush(keys.queue(NUMBER), json.dumps({"headers": {"id": "b"}, "properties": properties, "body": body}))
    town.redis.lpush(keys.queue(NUMBER), b"rubbish \xff")
    group = json.dumps([[], {"group_id": "1203634@g.us", "text": "x"}, {}])
    town.redis.lpush(keys.queue(NUMBER), json.dumps({"headers": {}, "properties": {}, "body": group}))
    assert town.sort(4).moved == 3
    for expected, sign in ((shards.shard_of("393331234500", 4), b"base64"), (0, b"rubbish")):
        lane = keys.queue(keys.units(NUMBER, 4)[expected])
        assert any(sign in raw for raw in town.redis.lrange(lane, 0, -1)), sign
    lane = keys.queue(keys.units(NUMBER, 4)[shards.shard_of("1203634@g.us", 4)])
    assert any(b"1203634@g.us" in raw for raw in town.redis.lrange(lane, 0, -1))


def test_nobody_sorts_by_another_number_of_shards(town: Town) -> None:
    """A worker that hasn't heard of a change is told, and moves nothing."""
    town.change(4)
    town.push(*PEOPLE)
    before = everything(town.redis)
    assert town.sort(2) == shards.Sorted(4, 0, more=False)
    assert everything(town.redis) == before


def test_nothing_is_sorted_while_former_units_are_not_empty(town: Town) -> None:
    """What comes back is older than what waits: it goes first, each recipient's messages in their order."""
    town.change(4)
    old = town.push(*PEOPLE, *PEOPLE)
    town.sort_all(4)
    new = town.push(*PEOPLE)
    town.redis.delete(keys.declared(NUMBER))
    agreed = town.start("w", 2)
    assert agreed.moving
    assert town.sort(2) == shards.Sorted(0, 0, more=False)
    town.empty(agreed)
    town.sort_all(2)
    for person in PEOPLE:
        unit = shards.unit_of(NUMBER, 2, person)
        mine = [id_ for id_, to in town.waiting(unit) if to == person]
        assert mine == [id_ for id_, to in zip(old + new, PEOPLE * 3, strict=True) if to == person]


def test_deferred_messages_follow_when_their_time_comes(town: Town) -> None:
    """Neither those of a former shard nor those of the number from before it had shards are stranded."""
    stage = Stage(town.redis)
    first = town.push(PEOPLE[0], send_at="2030-03-17T17:46:45Z")
    stage.waits()
    town.change(4)
    assert stage.scores(keys.deferred(NUMBER)).keys() == set(first)
    second = town.push(PEOPLE[1], send_at="2030-03-17T17:46:45Z")
    town.sort_all(4)
    home = shards.unit_of(NUMBER, 4, PEOPLE[1])
    stage.change(number=home)
    stage.waits()
    assert stage.scores(keys.deferred(home)).keys() == set(second)
    town.change(2)
    town.sort_all(2)
    assert not any(town.waiting(unit) for unit in keys.units(NUMBER, 2))
    town.now_us += 10 * SECOND
    town.empty(town.start("w", 2))
    town.sort_all(2)
    found = [id_ for unit in keys.units(NUMBER, 2) for id_, _ in town.waiting(unit)]
    assert sorted(found) == sorted([*first, *second])


def test_the_fewest_shards_of_any_living_process_hold(town: Town) -> None:
    """One that says nothing has one; what it said is forgotten 30 s after its end."""
    assert town.start("four", 4).in_force == 4
    assert town.start("two", 2).in_force == 2
    assert town.start("four", 4).in_force == 2
    town.now_us += 31 * SECOND
    assert town.start("four", 4).in_force == 4
    town.run(control.declare(NUMBER, "plain", 10_000, now_us=town.now_us))
    again = town.start("four", 4)
    assert (again.in_force, again.used) == (1, (1, 2, 4))
    assert {name for name in town.redis.hkeys(keys.shards(NUMBER)) if name.startswith(b"p:")} == {b"p:four"}


def test_one_shard_leaves_no_trace(town: Town) -> None:
    """As long as nobody ever said more."""
    before = town.redis.dbsize()
    assert shards.agreed(town.run(shards.agree(NUMBER, "w", 1))) == shards.Agreed(1, moving=False, used=(1,))
    assert town.redis.dbsize() == before


def test_a_process_that_ends_well_has_no_say_any_more(town: Town) -> None:
    """The others needn't wait for 30 s."""
    town.start("one", 2)
    town.start("two", 8)
    shards.leave(town.redis, [NUMBER], "one")
    assert town.start("two", 8).in_force == 8


def test_a_unit_in_force_is_never_drained(town: Town) -> None:
    """A keeper that hasn't heard of a change back moves nothing."""
    town.change(4)
    town.push(*PEOPLE)
    town.sort_all(4)
    before = everything(town.redis)
    for unit in keys.units(NUMBER, 4):
        assert town.run(shards.drain(unit, 4)) == [0, 0]
    assert everything(town.redis) == before


def test_a_hot_shard_holds_only_its_own(town: Town) -> None:
    """All of its TPS is spent; the other shards spend theirs, with a meter of their own."""
    town.change(4)
    hot = shards.unit_of(NUMBER, 4, PEOPLE[0])
    cold = [person for person in PEOPLE if shards.unit_of(NUMBER, 4, person) != hot]
    crowd = [to for to in (f"4477009{i:05d}" for i in range(400)) if shards.unit_of(NUMBER, 4, to) == hot]
    town.push(*crowd, class_=MessageClass.URGENT)
    others = town.push(*cold, class_=MessageClass.URGENT)
    town.sort_all(4)
    stage = Stage(town.redis)
    left: dict[str, list[str]] = {}
    for unit in keys.units(NUMBER, 4):
        stage.change(number=unit)
        left[unit] = stage.drain()
    assert len(left[hot]) == 10
    assert all(len(ids) <= 10 for ids in left.values())
    elsewhere = sorted(id_ for unit, ids in left.items() if unit != hot for id_ in ids)
    assert elsewhere == sorted(others) or all(len(ids) == 10 for unit, ids in left.items() if unit != hot)


def test_a_pause_holds_for_all_shards(town: Town) -> None:
    """And a live TPS is that of each."""
    town.change(2)
    town.push(*PEOPLE, class_=MessageClass.URGENT)
    town.sort_all(2)
    stage = Stage(town.redis)
    control.pause(town.redis, NUMBER, by="test")
    for unit in keys.units(NUMBER, 2):
        call = leases.lease(shards.rules_of_unit(stage.rules, unit), f"L{unit}", "w", now_us=town.now_us)
        assert town.run(call)[0] == b"refuse"
    control.resume(town.redis, NUMBER, by="test")
    control.set_tps(town.redis, NUMBER, 3000, by="test")
    for unit in keys.units(NUMBER, 2):
        call = leases.lease(shards.rules_of_unit(stage.rules, unit), f"M{unit}", "w", now_us=town.now_us)
        decision = leases.decision(town.run(call))
        assert isinstance(decision, Grant)
        assert decision.charged == 3


class Walk:
    """Pushes, sorts and changes in any order, and what must have come of them."""

    def __init__(self, redis: redis_py.Redis) -> None:
        redis.flushdb()
        self.town = Town(redis)
        self.count = 1
        self.pushed: dict[tuple[str, MessageClass], list[str]] = {}

    def push(self, people: list[str], class_: MessageClass) -> None:
        """Messages, any recipient more than once."""
        for id_, to in zip(self.town.push(*people, class_=class_), people, strict=True):
            self.pushed.setdefault((to, class_), []).append(id_)

    def sort(self, most: int, twice: bool) -> None:
        """A bounded sort, and perhaps at once another."""
        for _ in range(1 + twice) if self.count > 1 else ():
            self.town.sort(self.count, most=most)

    def change(self, count: int, finish: bool) -> None:
        """Another number of shards; what waits elsewhere is moved now, or some other time."""
        self.count = count
        self.town.redis.delete(keys.declared(NUMBER))
        agreed = self.town.start("w", count)
        assert agreed.in_force == count
        if finish:
            self.town.empty(agreed)

    def move(self, which: int, most: int) -> None:
        """A part of what is in some former unit."""
        former = shards.read(self.town.redis, NUMBER).former(NUMBER)
        if former:
            unit, of = former[which % len(former)]
            self.town.run(shards.drain(unit, of, most=most, now_us=self.town.now_us))

    def end(self) -> None:
        """Move and sort all there is: each message is on its recipient's shard, once, in the order of pushing."""
        self.town.empty(shards.read(self.town.redis, NUMBER), most=2)
        if self.count > 1:
            self.town.sort_all(self.count, most=3)
        found: dict[tuple[str, MessageClass], list[str]] = {}
        for class_ in MessageClass:
            for unit in shards.read(self.town.redis, NUMBER).all_units(NUMBER):
                for id_, to in self.town.waiting(unit, class_):
                    assert unit == shards.unit_of(NUMBER, self.count, to)
                    found.setdefault((to, class_), []).append(id_)
        assert found == self.pushed


people = st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=12)
steps = st.one_of(
    st.tuples(st.just("push"), people, st.sampled_from(MessageClass)),
    st.tuples(st.just("sort"), st.integers(1, 8), st.booleans()),
    st.tuples(st.just("change"), st.sampled_from([1, 2, 4, 8]), st.booleans()),
    st.tuples(st.just("move"), st.integers(0, 3), st.integers(1, 4)),
)


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(plan=st.lists(steps, min_size=1, max_size=25))
def test_no_message_is_lost_doubled_or_passed(redis: redis_py.Redis, plan: list[tuple[Any, ...]]) -> None:
    """In any order of pushes, bounded sorts (also run twice) and changes whose moves are cut short at any point."""
    walk = Walk(redis)
    for what, *given_ in plan:
        getattr(walk, what)(*given_)
    walk.end()


# --- order to one recipient


def _in_order(redis: redis_py.Redis, number: str = NUMBER) -> Stage:
    return Stage(redis, number=number, tps=50, headroom=0, order=("normal",))


def _behind(stage: Stage, ids: list[str], *, back: bool) -> None:
    """Messages to one recipient; the first is leased, and perhaps handed back; the others stand behind it."""
    stage.push(*ids, to=PEOPLE[0])
    for _ in range(5):
        stage.later(ms=100)
        stage.drain()
    assert stage.redis.zcard(keys.lines(stage.rules.number)) == len(ids) - 1
    if back:
        (lease_id,) = stage.redis.hkeys(keys.leases(stage.rules.number))
        stage.end(lease_id.decode())


@pytest.mark.parametrize("back", [False, True])
def test_who_stands_behind_goes_to_the_shard_before_what_came_later(redis: redis_py.Redis, back: bool) -> None:
    """With a head on its lane, behind it; with one in flight, without it."""
    stage = _in_order(redis)
    ids = [f"m{index:03d}" for index in range(230)]
    _behind(stage, ids, back=back)
    stage.push("later", to=PEOPLE[0])
    stage.run(shards.agree(NUMBER, "p", 2))
    stage.run(shards.agree(NUMBER, "p", 2, emptied=2))
    for _ in range(10):
        stage.run(shards.sort(NUMBER, 2, now_us=stage.now_us))
    home = _in_order(redis, shards.unit_of(NUMBER, 2, PEOPLE[0]))
    assert home.waiting("normal") == [*(ids if back else ids[1:]), "later"]
    assert not redis.exists(keys.lines(NUMBER), keys.heads(NUMBER))


@pytest.mark.parametrize("back", [False, True])
def test_who_stands_behind_in_a_former_shard_comes_back_in_order(redis: redis_py.Redis, back: bool) -> None:
    """In pieces, and before what came to the number meanwhile."""
    own, home = _in_order(redis), _in_order(redis, shards.unit_of(NUMBER, 2, PEOPLE[0]))
    own.run(shards.agree(NUMBER, "p", 2))
    ids = [f"m{index:03d}" for index in range(40)]
    _behind(home, ids, back=back)
    home.push("later", to=PEOPLE[0])
    own.run(shards.agree(NUMBER, "p", 4))
    own.push("last", to=PEOPLE[0])
    moved, more = 0, True
    while more:
        rows, more = own.run(shards.drain(home.rules.number, 2, most=7, now_us=own.now_us))
        moved += rows
        assert moved < 100
    assert own.waiting("normal") == [*(ids if back else ids[1:]), "later", "last"]
    assert not redis.exists(keys.lines(home.rules.number))
