"""What becomes of messages when a worker is told to end: at leisure (SIGTERM), or at once (SIGQUIT)?"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import timedelta

import pytest

from headway import keys
from tests.harness.waiting import wait_until
from tests.processes.worker_kit import POOLS, House, open_house

pytestmark = pytest.mark.processes

#: What an orchestrator gives a process to end; no test's worker holds anything for longer than a second or two.
GRACE = timedelta(seconds=10)

#: So long that nothing here can wait for a lease to be lost.
LONG = {"HEADWAY_LEASE_TTL": "15"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server and one sink for all tests here."""
    with open_house(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture(autouse=True)
def quick_sink(house: House) -> Iterator[None]:
    """Whatever a test asks of the sink, the next one finds it as it was."""
    yield
    house.control(latency_ms=0, mode="ok")


def is_free(house: House, number: str) -> bool:
    """Tell whether nobody holds a lease of the number."""
    return not house.redis.exists(keys.leases(number), keys.leased(number), keys.deadlines(number))


def on_lane(house: House, number: str, ids: list[str]) -> list[str]:
    """Return which of these messages wait on the number's lanes, in the order in which they would leave."""
    raws = [str(raw) for lane in keys.lanes(number) for raw in reversed(house.redis.lrange(lane, 0, -1))]
    return [message_id for raw in raws for message_id in ids if message_id in raw]


@pytest.mark.parametrize("pool", POOLS)
def test_a_warm_shutdown_finishes_what_it_began(house: House, pool: str) -> None:
    """SIGTERM: the request under way is answered and settled; what waits stays on its lane; the status is 0."""
    number = house.number()
    house.control(latency_ms=1000)
    with house.worker(number, pool=pool, env={**LONG, "HEADWAY_ORDER": "none"}) as worker:
        worker.ready()
        # No lease has a recipient twice, and there are two slots: two are under way, two wait.
        ids = house.push(number, 4, to="393331234567")
        house.have_arrived(ids[:2])
        assert worker.terminate(timeout=GRACE) == 0, worker.tail()
    assert house.states(ids) == ["sent", "sent", "waiting", "waiting"]
    assert sorted(house.arrivals(ids)) == sorted(ids[:2])
    assert on_lane(house, number, ids) == ids[2:]
    assert is_free(house, number)


def test_an_idle_worker_ends_at_once(house: House) -> None:
    """Its status is 0, and it leaves nothing behind."""
    number = house.number()
    with house.worker(number) as worker:
        worker.ready()
        assert worker.terminate(timeout=GRACE) == 0, worker.tail()
        assert "Traceback" not in worker.output
    assert is_free(house, number)


def test_a_lease_whose_answer_was_in_the_socket_goes_back(house: House) -> None:
    """SIGTERM came between question and answer: its rows are back on their lane when the worker has ended."""
    number = house.number()
    ids = house.push(number, 3)
    with house.worker(number, fault="in_socket", env=LONG) as worker:
        worker.stands_at("in_socket")
        behind = house.push(number, 1, to="393339999999")  # else it would stand in line behind the first
        worker.signal(signal.SIGTERM)
        worker.go_on()
        assert worker.wait(timeout=GRACE) == 0, worker.tail()
    assert on_lane(house, number, [*ids, *behind]) == [*ids, *behind]
    assert house.states(ids) == ["waiting"] * 3
    assert is_free(house, number)


@pytest.mark.parametrize("pool", POOLS)
def test_a_warm_shutdown_before_begin_loses_nothing(house: House, pool: str) -> None:
    """A parcel that is in the pool when SIGTERM comes is delivered, or goes back: sent once or waiting."""
    number = house.number()
    ids = house.push(number, 3)
    with house.worker(number, pool=pool, fault="after_lease", env=LONG) as worker:
        worker.stands_at("after_lease")
        worker.signal(signal.SIGTERM)
        worker.says("worker_stopping")
        worker.go_on()
        assert worker.wait(timeout=GRACE) == 0, worker.tail()
    states = house.states(ids)
    assert set(states) in ({"sent"}, {"waiting"})
    assert sorted(house.arrivals(ids)) == (sorted(ids) if states[0] == "sent" else [])
    assert on_lane(house, number, ids) == (ids if states[0] == "waiting" else [])
    assert is_free(house, number)


@pytest.mark.parametrize("pool", POOLS)
def test_a_cold_shutdown_hands_back_what_had_not_begun(house: House, pool: str) -> None:
    """SIGQUIT before begin: the rows are back at the head of their lane when the worker has ended, and not sent."""
    number = house.number()
    ids = house.push(number, 3)
    # One lease at a time, or what is pushed behind may be leased too, and come back first.
    with house.worker(number, pool=pool, fault="after_lease", env={**LONG, "HEADWAY_IN_FLIGHT": "1"}) as worker:
        worker.stands_at("after_lease")
        behind = house.push(number, 1, to="393339999999")  # else it would stand in line behind the first
        worker.signal(signal.SIGQUIT)
        wait_until(
            lambda: is_free(house, number), description="that nothing is held", timeout=GRACE, detail=worker.tail
        )
        worker.go_on()
        worker.wait(timeout=GRACE)
    assert house.states(ids) == ["waiting"] * 3
    assert on_lane(house, number, [*ids, *behind]) == [*ids, *behind]
    assert house.arrivals(ids) == []


@pytest.mark.parametrize("pool", POOLS)
def test_a_cold_shutdown_makes_begun_rows_uncertain(house: House, pool: str) -> None:
    """SIGQUIT during the request: nobody waits for the answer, and nobody may send the rows again."""
    number = house.number()
    house.control(mode="hang")
    with house.worker(number, pool=pool, env={**LONG, "HEADWAY_SEND_TIMEOUT": "5"}) as worker:
        worker.ready()
        ids = house.push(number, 3)
        house.have_arrived(ids)
        worker.signal(signal.SIGQUIT)
        house.all_are(ids, "uncertain", within=GRACE)
        worker.wait(timeout=GRACE)
    assert house.states(ids) == ["uncertain"] * 3
    assert sorted(house.arrivals(ids)) == sorted(ids)
    assert is_free(house, number)
