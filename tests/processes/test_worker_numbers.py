"""Do workers and numbers share without harm: two workers on one number, a dead provider beside a healthy one?"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import timedelta

import pytest

from simulator.verdict import judge_journal
from tests.harness.waiting import wait_until
from tests.processes.worker_kit import BACK_WITHIN, POOLS, House, open_house

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server and one sink for all tests here."""
    with open_house(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture
def hanging(house: House) -> Iterator[House]:
    """A provider that takes every request and never answers."""
    with house.another_sink("--hang") as sink:
        yield sink


def test_two_workers_on_one_number_double_nothing_and_keep_its_tps(house: House) -> None:
    """Each message arrives once, both workers send, and no second holds more than TPS allows."""
    number = house.number()
    tps = {"HEADWAY_TPS": "20"}
    with house.worker(number, env=tps) as one, house.worker(number, env=tps, pool="prefork") as two:
        one.ready()
        two.ready()
        ids = house.push(number, 80)
        house.all_are(ids, "sent", within=timedelta(seconds=30))
        assert one.terminate() == two.terminate() == 0
    rows = house.journal(ids)
    assert sorted(row["reference_number"] for row in rows) == sorted(ids)
    verdict = judge_journal(rows, tps=20)
    assert verdict.duplicates == 0
    # What begin allows to leave arrives a little later, each time by another little; two that know nothing of each
    # other would make 40 of it.
    assert verdict.worst <= 24
    assert verdict.used_share is not None
    assert verdict.used_share > 0.6


def test_one_of_two_workers_is_killed_and_nothing_is_doubled(house: House) -> None:
    """The other goes on at once, and takes what the dead one had not begun."""
    number = house.number()
    tps = {"HEADWAY_TPS": "50"}
    with house.worker(number, env=tps) as one, house.worker(number, env=tps) as two:
        one.ready()
        two.ready()
        ids = house.push(number, 150)
        wait_until(lambda: len(house.arrivals(ids)) > 30, description="some to arrive", detail=one.tail)
        one.kill()
        wait_until(
            lambda: set(house.states(ids)) <= {"sent", "uncertain"},
            description="that every message has an end",
            timeout=BACK_WITHIN,
            detail=lambda: str(house.states(ids)),
        )
    arrived = house.arrivals(ids)
    assert len(arrived) == len(set(arrived))
    # At most what two slots had under way when they were killed.
    assert house.states(ids).count("uncertain") <= 20


@pytest.mark.parametrize("pool", POOLS)
def test_a_hanging_provider_leaves_a_healthy_number_its_rate(house: House, hanging: House, pool: str) -> None:
    """The hanging number fills its share of the slots and no more: the healthy one keeps its TPS."""
    sick, healthy = house.number(), house.number()
    env = {f"HEADWAY_PROVIDER_URL_{sick}": hanging.sink, "HEADWAY_SEND_TIMEOUT": "30", "HEADWAY_TPS": "20"}
    with house.worker(sick, healthy, pool=pool, concurrency=4, env=env) as worker:
        worker.ready()
        lost = house.push(sick, 60)
        wait_until(hanging.journal, description="a request that hangs", detail=worker.tail)
        ids = house.push(healthy, 60)
        house.all_are(ids, "sent", within=timedelta(seconds=10))
        verdict = judge_journal(house.journal(ids), tps=20)
        assert verdict.used_share is not None
        assert verdict.used_share > 0.6
        assert set(house.states(lost)) <= {"sending", "leased", "waiting"}
        worker.signal(signal.SIGQUIT)
        worker.wait()


def test_a_hanging_provider_ends_by_its_deadline(house: House, hanging: House) -> None:
    """Its rows are uncertain, its slot is free again, and the number goes on."""
    number = house.number()
    env = {f"HEADWAY_PROVIDER_URL_{number}": hanging.sink, "HEADWAY_SEND_TIMEOUT": "1", "HEADWAY_ORDER": "none"}
    with house.worker(number, concurrency=1, env=env) as worker:
        worker.ready()
        ids = house.push(number, 2, to="393331234567")
        house.all_are(ids, "uncertain")
        assert house.record(ids[0])["code"] == "timeout"
        assert sorted(hanging.arrivals(ids)) == sorted(ids)
