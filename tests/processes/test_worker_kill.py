"""What becomes of messages when their worker, or a child of its pool, is killed: at each point of their way?

Rows that had not begun go back to the head of their lane and are sent once, by somebody else. Begun ones are uncertain,
and nobody sends them again. Settled ones stay as they are.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.harness.waiting import wait_until
from tests.processes.worker_kit import BACK_WITHIN, POOLS, House, Worker, open_house, send_nothing_again

pytestmark = pytest.mark.processes

#: Points of the way, with what a killed worker's messages are afterwards and how often each was at the sink by then.
UNBEGUN = [
    # In the worker's own loop, whatever the pool.
    ("before_lease", "threads"),
    ("in_socket", "threads"),
    ("after_lease", "threads"),
    ("after_lease", "prefork"),
]
BEGUN = {"after_begin": 0, "during": 1, "before_settle": 1}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server and one sink for all tests here."""
    with open_house(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture(scope="module")
def other(house: House) -> Iterator[Worker]:
    """The worker that lives on; a test gives it its number."""
    with house.worker(house.number()) as worker:
        yield worker.ready()


def take_over(house: House, other: Worker, number: str) -> None:
    """Let the other worker serve a number too, by remote control."""
    with house.stock_app() as app:
        replies = app.control.add_consumer(f"headway.{number}", destination=[other.name], reply=True, timeout=5)
    assert "ok" in replies[0][other.name]


def stand(house: House, worker: Worker, point: str, ids: list[str]) -> int:
    """Wait until the worker stands at the point; return the id of the process that does."""
    if point != "during":
        return worker.stands_at(point)
    wait_until(lambda: house.arrivals(ids) == ids, description="the request at the sink", detail=worker.tail)
    return worker.pid


@pytest.mark.parametrize(("point", "pool"), UNBEGUN)
def test_a_killed_worker_s_rows_that_had_not_begun_are_sent_by_another(
    house: House, other: Worker, pool: str, point: str
) -> None:
    """They come back to the head of their lane within 15 s, and are sent exactly once."""
    number = house.number()
    ids = house.push(number, 3)
    with house.worker(number, pool=pool, fault=point) as victim:
        victim.stands_at(point)
        behind = house.push(number, 1)
        victim.kill_all()
    take_over(house, other, number)
    house.all_are([*ids, *behind], "sent", within=BACK_WITHIN)
    # The row that was pushed behind them comes first only if it could leave before they were back.
    arrived = house.arrivals([*ids, *behind])
    assert [message_id for message_id in arrived if message_id in ids] == ids
    assert len(arrived) == 4
    send_nothing_again(house, number, ids)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("point", BEGUN)
def test_a_killed_worker_s_begun_rows_are_uncertain(house: House, other: Worker, pool: str, point: str) -> None:
    """The provider may have them: their records say so, and nobody sends them again."""
    number = house.number()
    ids = house.push(number, 3)
    house.control(mode="hang" if point == "during" else "ok")
    with house.worker(number, pool=pool, fault=point) as victim:
        stand(house, victim, point, ids)
        victim.kill_all()
    house.control(mode="ok")
    take_over(house, other, number)
    house.all_are(ids, "uncertain", within=BACK_WITHIN)
    assert {house.record(message_id)["reason"] for message_id in ids} == {"its worker was lost"}
    send_nothing_again(house, number, ids)
    assert len(house.arrivals(ids)) == BEGUN[point] * 3


@pytest.mark.parametrize("pool", POOLS)
def test_a_killed_worker_s_settled_rows_stay_sent(house: House, other: Worker, pool: str) -> None:
    """Celery's acknowledgement was still to come: it is bookkeeping, and brings nothing back."""
    number = house.number()
    ids = house.push(number, 3)
    with house.worker(number, pool=pool, fault="after_settle") as victim:
        victim.stands_at("after_settle")
        victim.kill_all()
    take_over(house, other, number)
    send_nothing_again(house, number, ids)
    assert house.states(ids) == ["sent"] * 3


def test_an_idle_pool_child_is_replaced(house: House) -> None:
    """Killed before any lease: the next one does the work."""
    number = house.number()
    with house.worker(number, pool="prefork", concurrency=1) as worker:
        (child,) = worker.ready().children()
        os.kill(child, signal.SIGKILL)
        wait_until(lambda: worker.children() not in ([], [child]), description="a new child", detail=worker.tail)
        ids = house.push(number, 3)
        house.all_are(ids, "sent")
        assert house.arrivals(ids) == ids


def test_a_killed_child_s_rows_that_had_not_begun_are_sent_by_the_next(house: House) -> None:
    """Its worker lives on and hands them back; they leave first, and once."""
    number = house.number()
    ids = house.push(number, 3)
    with house.worker(number, pool="prefork", concurrency=1, fault="after_lease") as worker:
        child = worker.stands_at("after_lease")
        behind = house.push(number, 1)
        os.kill(child, signal.SIGKILL)
        house.all_are([*ids, *behind], "sent", within=BACK_WITHIN)
        assert house.arrivals([*ids, *behind]) == [*ids, *behind]


@pytest.mark.parametrize("point", BEGUN)
def test_a_killed_child_s_begun_rows_are_uncertain(house: House, point: str) -> None:
    """Its worker, which lives on, says so; nobody sends them again, and the lane goes on."""
    number = house.number()
    ids = house.push(number, 3)
    house.control(mode="hang" if point == "during" else "ok")
    with house.worker(number, pool="prefork", concurrency=1, fault=point) as worker:
        stand(house, worker, point, ids)
        (child,) = worker.children()
        os.kill(child, signal.SIGKILL)
        house.control(mode="ok")
        house.all_are(ids, "uncertain", within=BACK_WITHIN)
        send_nothing_again(house, number, ids)
        assert len(house.arrivals(ids)) == BEGUN[point] * 3


def test_a_killed_child_s_settled_rows_stay_sent(house: House) -> None:
    """The child died between its settle and its answer to the worker."""
    number = house.number()
    ids = house.push(number, 3)
    with house.worker(number, pool="prefork", concurrency=1, fault="after_settle") as worker:
        os.kill(worker.stands_at("after_settle"), signal.SIGKILL)
        send_nothing_again(house, number, ids)
        assert house.states(ids) == ["sent"] * 3


def test_a_worker_that_slept_through_its_lease_settles_late(house: House, other: Worker) -> None:
    """Nobody renewed its lease, so its rows became uncertain; when it wakes, its settle is still taken."""
    number = house.number()
    ids = house.push(number, 3)
    with house.worker(number, fault="before_settle") as sleeper:
        sleeper.stands_at("before_settle")
        sleeper.signal(signal.SIGSTOP)
        take_over(house, other, number)
        house.all_are(ids, "uncertain", within=BACK_WITHIN)
        sleeper.go_on()
        sleeper.signal(signal.SIGCONT)
        house.all_are(ids, "sent")
        send_nothing_again(house, number, ids)


def test_a_worker_that_slept_before_its_begin_sends_nothing(house: House, other: Worker) -> None:
    """Its rows are somebody else's by now, and begin tells it so."""
    number = house.number()
    ids = house.push(number, 3)
    with house.worker(number, fault="after_lease") as sleeper:
        sleeper.stands_at("after_lease")
        sleeper.signal(signal.SIGSTOP)
        take_over(house, other, number)
        house.all_are(ids, "sent", within=BACK_WITHIN)
        sleeper.go_on()
        sleeper.signal(signal.SIGCONT)
        assert sleeper.says("lease_lost")["why"] == "lost"
        send_nothing_again(house, number, ids)
