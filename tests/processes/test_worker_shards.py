"""Does a real worker give each shard its TPS and no more, and lose nothing when it dies or the shards change?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta

import pytest

from headway import keys
from headway.client import Client
from headway.message import Message
from scheduler.shards import unit_of
from simulator.verdict import judge_journal
from tests.harness.waiting import wait_until
from tests.processes.worker_kit import BACK_WITHIN, POOLS, House, open_house

pytestmark = pytest.mark.processes

#: Each shard asks for requests of its own: what the provider takes in a minute is not what is tested here.
MANY = {"HEADWAY_PUSH_PER_MINUTE": "1000000"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server and one sink for all tests here."""
    with open_house(tmp_path_factory.mktemp("house")) as house:
        yield house


def people_of(number: str, shards: int, shard: int, count: int) -> list[str]:
    """Return so many recipients whom one shard has."""
    unit = keys.units(number, shards)[shard]
    everybody = (f"39333{index:07d}" for index in itertools.count())
    return list(itertools.islice((to for to in everybody if unit_of(number, shards, to) == unit), count))


def push(house: House, number: str, people: list[str]) -> list[str]:
    """Enqueue a message for each of these people, in their order."""
    return Client(house.redis).push_many(number, [Message(to=to, text="hello") for to in people])


def sorted_onto(house: House, number: str, shards: int) -> int:
    """Return how many messages wait on shards' lanes, once none waits on the number's own any more."""
    if any(house.redis.llen(lane) for lane in keys.lanes(number)):
        return 0
    return sum(house.redis.llen(lane) for unit in keys.units(number, shards) for lane in keys.lanes(unit))


@pytest.mark.parametrize("pool", POOLS)
def test_a_hot_shard_holds_only_its_own_recipients(house: House, pool: str) -> None:
    """Each shard has the whole TPS; the others are long done while the hot one works its crowd off."""
    number, tps = house.number(), 20
    env = {**MANY, "HEADWAY_TPS": str(tps), "HEADWAY_SHARDS": "4"}
    crowds = [push(house, number, people_of(number, 4, shard, 200 if shard == 0 else 40)) for shard in range(4)]
    with house.worker(number, pool=pool, concurrency=4, env=env) as worker:
        worker.ready()
        house.all_are([id_ for ids in crowds[1:] for id_ in ids], "sent", within=timedelta(seconds=15))
        assert house.states(crowds[0]).count("sent") < 200
        house.all_are(crowds[0], "sent", within=timedelta(seconds=30))
        assert worker.terminate() == 0
    for ids in crowds:
        verdict = judge_journal(house.journal(ids), tps=tps)
        assert verdict.duplicates == 0
        # What begin allows to leave arrives a little later, each time by another little.
        assert verdict.worst <= tps * 1.2
    together = judge_journal(house.journal([id_ for ids in crowds for id_ in ids]), tps=tps)
    assert together.worst > 2 * tps
    assert not any(house.redis.exists(keys.meter(name)) for name in (number, *keys.units(number, 2)))


def test_a_pause_rests_every_shard(house: House) -> None:
    """And nothing leaves while it lasts; a doorbell wakes them all."""
    number = house.number()
    with house.worker(number, env={**MANY, "HEADWAY_SHARDS": "8"}) as worker:
        worker.ready()
        house.redis.hset(keys.settings(number), "paused", "1")
        ids = house.push(number, 40)
        wait_until(lambda: sorted_onto(house, number, 8) == 40, description="the sort", detail=worker.tail)
        house.redis.hdel(keys.settings(number), "paused")
        house.redis.publish(keys.doorbell(number), number)
        house.all_are(ids, "sent", within=timedelta(seconds=10))
        assert sorted(house.arrivals(ids)) == sorted(ids)


def test_a_worker_killed_amid_its_shards_loses_nothing(house: House) -> None:
    """What is sorted waits for the next worker; what had not begun goes back to its shard."""
    number = house.number()
    env = {**MANY, "HEADWAY_SHARDS": "4", "HEADWAY_TPS": "20"}
    ids = house.push(number, 300)
    with house.worker(number, env=env) as one:
        one.ready()
        wait_until(lambda: len(house.arrivals(ids)) > 60, description="some to arrive", detail=one.tail)
        one.kill_all()
    with house.worker(number, env={**env, "HEADWAY_TPS": "500"}) as two:
        two.ready()
        # The dead one's lower TPS holds until its declaration ends.
        wait_until(
            lambda: set(house.states(ids)) <= {"sent", "uncertain"},
            description="that every message has an end",
            timeout=BACK_WITHIN + timedelta(seconds=15),
            detail=lambda: str(house.states(ids)),
        )
    arrived = house.arrivals(ids)
    assert len(arrived) == len(set(arrived))
    assert house.states(ids).count("uncertain") < 60


def test_the_fewest_shards_of_two_workers_hold(house: House) -> None:
    """Loudly; both send, each message once, and no shard spends what two would."""
    number, tps = house.number(), 20
    env = {**MANY, "HEADWAY_TPS": str(tps)}
    with (
        house.worker(number, env={**env, "HEADWAY_SHARDS": "4"}) as four,
        house.worker(number, env={**env, "HEADWAY_SHARDS": "2"}) as two,
    ):
        four.ready()
        two.ready()
        said = four.says("shards_differ")
        assert (said["number"], said["ours"], said["fewest"]) == (number, 4, 2)
        ids = house.push(number, 200)
        house.all_are(ids, "sent", within=timedelta(seconds=30))
        assert four.terminate() == two.terminate() == 0
    verdict = judge_journal(house.journal(ids), tps=2 * tps)
    assert verdict.duplicates == 0
    assert verdict.total == 200
    assert verdict.worst <= 2 * tps * 1.2


def test_no_message_is_stranded_when_the_shards_change(house: House) -> None:
    """From 4 to 2, to 1 and to 8 with messages waiting: each is sent once, each recipient's in their order."""
    number = house.number()
    people = [to for shard in range(4) for to in people_of(number, 4, shard, 5)]
    slow = {**MANY, "HEADWAY_TPS": "0.2"}
    ids: list[str] = []
    for shards in (4, 2, 1, 8):
        # One slot: what two requests carry at a time may arrive in any order.
        with house.worker(number, concurrency=1, env={**slow, "HEADWAY_SHARDS": str(shards)}) as worker:
            worker.ready()
            ids += push(house, number, people)
            if shards > 1:
                least = len(ids) - 40
                wait_until(
                    lambda n=shards, least=least: sorted_onto(house, number, n) > least,  # type: ignore[misc]
                    description=f"the sort onto {shards}",
                    detail=worker.tail,
                )
            assert worker.terminate() == 0
    with house.worker(number, concurrency=1, env={**MANY, "HEADWAY_SHARDS": "2"}) as worker:
        worker.ready()
        house.all_are(ids, "sent", within=timedelta(seconds=30))
        assert worker.terminate() == 0
    arrived = house.arrivals(ids)
    assert sorted(arrived) == sorted(ids)
    for index in range(len(people)):
        mine = ids[index :: len(people)]
        assert [id_ for id_ in arrived if id_ in set(mine)] == mine
