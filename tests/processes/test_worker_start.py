"""Does a worker refuse, in words, what it could not do right?"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from headway.errors import SettingError
from tests.processes.worker_kit import ALONE, START, House, Worker, open_house
from worker.lifecycle import _check_pool

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server and one sink for all tests here."""
    with open_house(tmp_path_factory.mktemp("house")) as house:
        yield house


def refused(worker: Worker) -> str:
    """Wait for its end, which must not be a success; return what it said."""
    assert worker.wait(timeout=START) not in (None, 0), worker.tail()
    return worker.output


@pytest.mark.parametrize("pool", ["gevent", "eventlet", "solo", "celery.concurrency.gevent:TaskPool"])
def test_a_pool_without_an_event_loop_is_refused(pool: str) -> None:
    """The words name the pool and those that work."""
    with pytest.raises(SettingError, match=r"--pool: .*(gevent|eventlet|solo).*-P threads \(advised\) or prefork"):
        _check_pool(SimpleNamespace(pool_cls=pool))


@pytest.mark.parametrize("pool", ["threads", "prefork", "processes"])
def test_a_pool_with_an_event_loop_is_taken(pool: str) -> None:
    """By the names that Celery's command line takes."""
    _check_pool(SimpleNamespace(pool_cls=pool))


def test_the_solo_pool_ends_at_once(house: House) -> None:
    """For real: it ends before it has touched a message."""
    number = house.number()
    ids = house.push(number)
    with house.worker(number, pool="solo", concurrency=1) as worker:
        assert "no event loop that could wake" in refused(worker)
    assert house.states(ids) == ["waiting"]
    assert house.redis.llen(f"headway.{number}\x06\x166") == 1


@pytest.mark.parametrize("order", ["{0},celery", "celery,{0}"])
def test_a_number_s_queue_beside_another_is_refused(house: House, order: str) -> None:
    """A worker either leases or pops; the words say what to do."""
    number = house.number()
    ids = house.push(number)
    queues = order.format(f"headway.{number}")
    with house.worker(number, args=[*ALONE, "-Q", queues]) as worker:
        assert "give it its own worker" in refused(worker)
    assert house.states(ids) == ["waiting"]


def test_an_unknown_setting_ends_the_worker(house: House) -> None:
    """A misspelled variable is no default: the words name it, and what may have been meant."""
    with house.worker(house.number(), env={"HEADWAY_TPSS": "5"}) as worker:
        said = refused(worker)
    assert "HEADWAY_TPSS" in said
    assert "HEADWAY_TPS" in said.replace("HEADWAY_TPSS", "")


def test_a_server_that_would_lose_messages_ends_the_worker(house: House) -> None:
    """It is checked before anything is consumed."""
    number = house.number()
    ids = house.push(number)
    house.redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with house.worker(number) as worker:
            assert "Set `maxmemory-policy noeviction`" in refused(worker)
    finally:
        house.redis.config_set("maxmemory-policy", "noeviction")
    assert house.states(ids) == ["waiting"]


def test_queues_may_be_named_on_the_command_line(house: House) -> None:
    """-Q headway.<number> serves a number that HEADWAY_NUMBERS doesn't list; the rest of it is not served."""
    listed, named = house.number(), house.number()
    with house.worker(listed, args=[*ALONE, "-Q", f"headway.{named}"]) as worker:
        assert worker.ready().says("worker_ready")["numbers"] == [named]
        house.all_are(house.push(named, 2), "sent")
