"""What becomes of messages when their worker, or a child of its pool, is killed: at each point of their way?

Rows that had not begun go back to the head of their lane and are sent once, by somebody else. Begun ones are uncertain,
and nobody sends them again. Settled ones stay as they are.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.harness.waiting import wait_until
from tests.processes.worker_kit import BACK_WITHIN, POOLS, House, Worker, open_house, send_nothing_again

pytestmark = pytest.mark.processes

#: Points of the way before begin. The first two are in the worker's own loop, whatever the pool.
UNBEGUN = [
    ("before_lease", "threads"),
    ("in_socket", "threads"),
    ("after_lease", "threads"),
    ("after_lease", "prefork"),
]

#: Points after begin, with how often a killed worker's messages were at the provider by then.
BEGUN = {"after_begin": 0, "during": 1, "before_settle": 1}


@dataclass(frozen=True, slots=True)
class Killed:
    """A worker that was killed at a point: its number, its messages, one that was pushed behind them, and when."""

    number: str
    ids: list[str]
    behind: list[str]
    at_ms: int


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server and one sink for all tests here."""
    with open_house(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture(scope="module")
def hanging(house: House) -> Iterator[House]:
    """A provider that takes every request and never answers."""
    with house.another_sink("--hang") as sink:
        yield sink


@pytest.fixture(scope="module")
def other(house: House) -> Iterator[Worker]:
    """The worker that lives on; it is given the numbers of those that were killed."""
    with house.worker(house.number()) as worker:
        yield worker.ready()


def take_over(house: House, other: Worker, number: str) -> None:
    """Let the other worker serve a number too, by remote control."""
    with house.stock_app() as app:
        replies = app.control.add_consumer(f"headway.{number}", destination=[other.name], reply=True, timeout=5)
    assert "ok" in replies[0][other.name]


def stand(house: House, worker: Worker, point: str, ids: list[str]) -> None:
    """Wait until the worker stands at the point; `house` has the provider that it sends to."""
    if point == "during":
        wait_until(lambda: house.arrivals(ids) == ids, description="the request at the sink", detail=worker.tail)
    else:
        worker.stands_at(point)


def kill(house: House, other: Worker, hanging: House, case: tuple[str, str]) -> Killed:
    """Kill a worker with three messages at a point of their way; the other worker takes its number over."""
    point, pool = case
    number = house.number()
    ids = house.push(number, 3)
    at = hanging if point == "during" else house
    with house.worker(number, pool=pool, fault=point, env={"HEADWAY_PROVIDER_URL": at.sink}) as victim:
        stand(at, victim, point, ids)
        behind = house.push(number, 1)
        victim.kill_all()
        at_ms = time.time_ns() // 1_000_000
    take_over(house, other, number)
    return Killed(number, ids, behind, at_ms)


@pytest.fixture(scope="module")
def killed(house: House, other: Worker, hanging: House) -> Callable[[str, str], Killed]:
    """Who was killed where: all of them before the first test looks, so that their leases run out side by side."""
    cases = [*UNBEGUN, *itertools.product([*BEGUN, "after_settle"], POOLS)]
    done = {case: kill(house, other, hanging, case) for case in cases}
    return lambda point, pool: done[point, pool]


def in_time(house: House, killed: Killed, ids: list[str], state: str) -> None:
    """See that messages came to this state within 15 s of their worker's death."""
    house.all_are(ids, state, within=BACK_WITHIN)
    changed_ms = [int(house.record(message_id)["changed_ms"]) for message_id in ids]
    assert max(changed_ms) - killed.at_ms <= BACK_WITHIN.total_seconds() * 1000


@pytest.mark.parametrize(("point", "pool"), UNBEGUN)
def test_a_killed_worker_s_rows_that_had_not_begun_are_sent_by_another(
    house: House, killed: Callable[[str, str], Killed], point: str, pool: str
) -> None:
    """They come back to the head of their lane within 15 s, and are sent exactly once."""
    it = killed(point, pool)
    in_time(house, it, it.ids, "sent")
    house.all_are(it.behind, "sent")
    arrived = house.arrivals([*it.ids, *it.behind])
    # The one behind them comes first only where it could leave before they were back.
    assert [message_id for message_id in arrived if message_id in it.ids] == it.ids
    assert len(arrived) == 4
    send_nothing_again(house, it.number, it.ids)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("point", BEGUN)
def test_a_killed_worker_s_begun_rows_are_uncertain(
    house: House, hanging: House, killed: Callable[[str, str], Killed], point: str, pool: str
) -> None:
    """The provider may have them: their records say so, and nobody sends them again."""
    it = killed(point, pool)
    in_time(house, it, it.ids, "uncertain")
    assert {house.record(message_id)["reason"] for message_id in it.ids} == {"its worker was lost"}
    send_nothing_again(house, it.number, it.ids)
    assert len(house.arrivals(it.ids) + hanging.arrivals(it.ids)) == BEGUN[point] * 3


@pytest.mark.parametrize("pool", POOLS)
def test_a_killed_worker_s_settled_rows_stay_sent(
    house: House, killed: Callable[[str, str], Killed], pool: str
) -> None:
    """Celery's acknowledgement was still to come: it is bookkeeping, and brings nothing back."""
    it = killed("after_settle", pool)
    send_nothing_again(house, it.number, it.ids)
    assert house.states(it.ids) == ["sent"] * 3
    assert house.arrivals(it.ids) == it.ids


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
    """Its worker lives on and hands them back to the head of their lane; they leave in their order, and once."""
    number = house.number()
    ids = house.push(number, 3)
    with house.worker(number, pool="prefork", concurrency=1, fault="after_lease") as worker:
        child = worker.stands_at("after_lease")
        behind = house.push(number, 1)
        os.kill(child, signal.SIGKILL)
        house.all_are([*ids, *behind], "sent", within=BACK_WITHIN)
        # Their room is free a moment before they are back: one lease of what stood behind them may be quicker.
        assert house.arrivals(ids) == ids
        assert sorted(house.arrivals([*ids, *behind])) == sorted([*ids, *behind])


@pytest.mark.parametrize("point", BEGUN)
def test_a_killed_child_s_begun_rows_are_uncertain(house: House, hanging: House, point: str) -> None:
    """Its worker, which lives on, says so; nobody sends them again, and the lane goes on."""
    number = house.number()
    ids = house.push(number, 3)
    at = hanging if point == "during" else house
    with house.worker(
        number, pool="prefork", concurrency=1, fault=point, env={"HEADWAY_PROVIDER_URL": at.sink}
    ) as worker:
        stand(at, worker, point, ids)
        hanging.control(mode="ok")
        (child,) = worker.children()
        os.kill(child, signal.SIGKILL)
        house.all_are(ids, "uncertain", within=BACK_WITHIN)
        later = house.push(number, 2)
        house.all_are(later, "sent")
        assert len(at.arrivals(ids)) == BEGUN[point] * 3
    hanging.control(mode="hang")


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
