"""Does a worker live through everything that its server may do, without losing a message or sending one twice?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headway.errors import BrokerUnavailable
from tests.harness.waiting import wait_until
from tests.processes.worker_kit import BACK_WITHIN, POOLS, House, Worker, open_house
from tests.processes.worker_proxy import CuttingProxy

pytestmark = pytest.mark.processes


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


def goes_on(house: House, worker: Worker, number: str, ids: list[str]) -> None:
    """See that all were sent, none twice, that what is pushed now leaves too, and that it is the same process still."""
    later = house.push(number, 3)
    house.all_are([*ids, *later], "sent", within=BACK_WITHIN)
    arrived = house.arrivals([*ids, *later])
    assert sorted(arrived) == sorted([*ids, *later]), worker.tail()
    assert worker.returncode is None


@pytest.mark.parametrize(("pool", "end"), [("threads", "kill"), ("threads", "stop"), ("prefork", "kill")])
def test_a_broker_restart_in_mid_flight_sends_nothing_twice(house: House, pool: str, end: str) -> None:
    """The provider answers while the server is away: the settle waits for it, and Celery's restore brings nothing."""
    number = house.number()
    house.control(latency_ms=800)
    with house.worker(number, pool=pool) as worker:
        worker.ready()
        ids = house.push(number, 3)
        house.have_arrived(ids)
        getattr(house.server, end)()
        worker.says("broker_away")
        house.server.start()
        goes_on(house, worker, number, ids)


@pytest.mark.parametrize("pool", POOLS)
def test_cut_connections_in_mid_flight_send_nothing_twice(house: House, pool: str) -> None:
    """All connections are cut at once, three times, each time with a request under way."""
    number = house.number()
    house.control(latency_ms=300)
    with house.worker(number, pool=pool) as worker:
        worker.ready()
        ids = []
        for _ in range(3):
            new = house.push(number, 2)
            ids += new
            house.have_arrived(new)
            for kind in ("normal", "pubsub"):
                house.redis.client_kill_filter(_type=kind, skipme=True)
        goes_on(house, worker, number, ids)


def test_a_lease_whose_answer_was_lost_is_asked_again(house: House) -> None:
    """The connection breaks between the script and its answer: the rows leave at once, not when the lease is lost."""
    number = house.number()
    ids = house.push(number, 3)
    with (
        CuttingProxy(house.server.port, marker=b"grant") as proxy,
        house.worker(number, env={"HEADWAY_REDIS_URL": proxy.url, "HEADWAY_LEASE_TTL": "15"}) as worker,
    ):
        wait_until(lambda: proxy.cuts, description="a lease whose answer is thrown away", detail=worker.tail)
        house.all_are(ids, "sent", within=BACK_WITHIN * 0.6)
        assert house.arrivals(ids) == ids
        goes_on(house, worker, number, ids)


def test_a_begin_whose_answer_was_lost_is_asked_again(house: House) -> None:
    """The same begin gets the same answer: it may send, once."""
    number = house.number()
    ids = house.push(number, 3)
    with (
        CuttingProxy(house.server.port, marker=b"begun") as proxy,
        house.worker(number, env={"HEADWAY_REDIS_URL": proxy.url}) as worker,
    ):
        wait_until(lambda: proxy.cuts, description="a begin whose answer is thrown away", detail=worker.tail)
        goes_on(house, worker, number, ids)


def test_a_settle_whose_answer_was_lost_is_asked_again(house: House) -> None:
    """A second settle of the same rows changes nothing."""
    number = house.number()
    ids = house.push(number, 3)
    with (
        CuttingProxy(house.server.port, marker=b"sent\r\n") as proxy,
        house.worker(number, env={"HEADWAY_REDIS_URL": proxy.url}) as worker,
    ):
        wait_until(lambda: proxy.cuts, description="a settle whose answer is thrown away", detail=worker.tail)
        goes_on(house, worker, number, ids)
        assert {house.record(message_id)["attempts"] for message_id in ids} == {"1"}


@pytest.mark.parametrize("pool", POOLS)
def test_forgotten_scripts_are_told_again(house: House, pool: str) -> None:
    """SCRIPT FLUSH before the lease, and once more between lease and settle."""
    number = house.number()
    house.control(latency_ms=300)
    with house.worker(number, pool=pool) as worker:
        worker.ready()
        house.redis.script_flush()
        ids = house.push(number, 3)
        house.have_arrived(ids)
        house.redis.script_flush()
        goes_on(house, worker, number, ids)


@pytest.mark.parametrize("pool", POOLS)
def test_a_server_that_takes_no_writes_is_waited_for(house: House, pool: str) -> None:
    """READONLY, as after a failover: settle and lease wait, and all goes on when it is primary again."""
    number = house.number()
    house.control(latency_ms=500)
    with house.worker(number, pool=pool) as worker:
        worker.ready()
        ids = house.push(number, 3)
        house.have_arrived(ids)
        house.redis.replicaof("127.0.0.1", "1")
        try:
            with pytest.raises(BrokerUnavailable):
                house.push(number)
            worker.says("broker_away")
        finally:
            house.redis.replicaof("NO", "ONE")
        goes_on(house, worker, number, ids)


def test_a_server_that_loads_its_data_is_waited_for(tmp_path: Path) -> None:
    """LOADING after a restart: everything is refused for a while, and then goes on."""
    # A server of its own: how long it loads shall not depend on what other tests wrote.
    with open_house(tmp_path) as house, house.worker(number := house.number()) as worker:
        worker.ready()
        ids = house.push(number, 3)
        house.all_are(ids, "sent")
        for _ in range(4000):  # something to load: 1 ms each
            house.redis.incr("filler")
        house.redis.delete("filler")
        said = worker.line_count()
        house.server.options |= {"key-load-delay": "1000", "loading-process-events-interval-bytes": "1024"}
        house.server.restart()  # it answers when it has loaded
        worker.wait_for_line("loading the dataset", after=said)
        goes_on(house, worker, number, ids)


@pytest.mark.parametrize("pool", POOLS)
def test_a_full_server_drains(house: House, pool: str) -> None:
    """Nothing more is accepted (OOM), but what waits leaves and is recorded: only that makes room again."""
    number = house.number()
    house.control(latency_ms=300)
    with house.worker(number, pool=pool) as worker:
        worker.ready()
        # Messages to one recipient leave one after the other, so one is under way and the others wait.
        ids = house.push(number, 5, to="393331234567")
        wait_until(lambda: house.arrivals(ids), description="the first at the sink", detail=worker.tail)
        house.redis.config_set("maxmemory", 1)
        try:
            with pytest.raises(BrokerUnavailable, match="refuses to write"):
                house.push(number)
            house.all_are(ids, "sent")
        finally:
            house.redis.config_set("maxmemory", 0)
        goes_on(house, worker, number, ids)
