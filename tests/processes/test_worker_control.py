"""Do Celery's own tools work on a worker: remote control, inspection and events, from our app and from a plain one?"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from headway import keys
from scheduler import control
from tests.harness.processes import RunningProcess
from tests.harness.waiting import wait_until
from tests.processes.worker_kit import (
    BACK_WITHIN,
    POOLS,
    START,
    House,
    Worker,
    open_house,
    send_nothing_again,
    text_of,
)

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


def active(house: House, worker: Worker) -> list[dict[str, Any]]:
    """Ask the worker, from a plain app, what its pool works on."""
    with house.stock_app() as app:
        answer = app.control.inspect(destination=[worker.name], timeout=5, limit=1).active()
    assert answer, worker.tail()
    tasks: list[dict[str, Any]] = answer[worker.name]
    return tasks


def test_a_cancelled_queue_is_served_no_longer_and_an_added_one_is(house: House) -> None:
    """cancel_consumer stops the number, not the worker; add_consumer brings it back, with what waited meanwhile."""
    number, other = house.number(), house.number()
    with house.worker(number, other) as worker, house.stock_app() as app:
        worker.ready()
        house.all_are(house.push(number, 2), "sent")
        told = app.control.cancel_consumer(keys.queue(number), destination=[worker.name], reply=True, timeout=5)
        assert "ok" in told[0][worker.name]
        ids = house.push(number, 3)
        # The other number shows that the worker has looked at its lanes since.
        house.all_are(house.push(other, 2), "sent")
        assert house.states(ids) == ["waiting"] * 3
        app.control.add_consumer(keys.queue(number), destination=[worker.name], reply=True, timeout=5)
        house.all_are(ids, "sent")
        assert house.arrivals(ids) == ids


def test_all_queues_cancelled_and_one_added_again(house: House) -> None:
    """A worker that serves nothing still answers, and serves again when it is told to."""
    number = house.number()
    with house.worker(number) as worker, house.stock_app() as app:
        worker.ready()
        app.control.cancel_consumer(keys.queue(number), destination=[worker.name], reply=True, timeout=5)
        ids = house.push(number, 2)
        assert app.control.ping(destination=[worker.name], timeout=5) == [{worker.name: {"ok": "pong"}}]
        assert house.states(ids) == ["waiting"] * 2
        app.control.add_consumer(keys.queue(number), destination=[worker.name], reply=True, timeout=5)
        house.all_are(ids, "sent")


@pytest.mark.parametrize("pool", POOLS)
def test_a_terminated_parcel_ends_its_lease(house: House, pool: str) -> None:
    """revoke(terminate=True) during the request: its rows are uncertain, and the number goes on."""
    number = house.number()
    house.control(mode="hang")
    # A hanging thread can't be killed: it holds its slot until its provider's deadline, a killed child does not.
    with house.worker(number, pool=pool, env={"HEADWAY_SEND_TIMEOUT": "8"}) as worker, house.stock_app() as app:
        worker.ready()
        ids = house.push(number, 3)
        house.have_arrived(ids)
        (parcel,) = active(house, worker)
        app.control.revoke(parcel["id"], terminate=True, destination=[worker.name])
        house.all_are(ids, "uncertain", within=timedelta(seconds=7))
        house.control(mode="ok")
        send_nothing_again(house, number, ids)
        assert worker.returncode is None


@pytest.mark.parametrize("pool", POOLS)
def test_a_revoked_parcel_s_rows_go_back(house: House, pool: str) -> None:
    """Parcels that are revoked before they run give their rows back: each leaves in a later one, once.

    In which order isn't promised: rows may stand in several leases, and the next may pass those on their way back.
    """
    number = house.number()
    with house.worker(number, pool=pool) as worker, house.stock_app() as app:
        worker.ready()
        # The ids of the next parcels are known before they are made: the process's name and a serial number. A worker
        # that is slow to start has asked some dozens of times already, and each question takes a number.
        declared = wait_until(
            lambda: set(map(text_of, house.redis.hkeys(keys.declared(number)))) - {"lowest"},
            description="the process's name",
        )
        (holder,) = declared
        parcels = [f"headway-parcel-{holder}-{serial}" for serial in range(1, 100)]
        app.control.revoke(parcels, destination=[worker.name], reply=True, timeout=5)
        ids = house.push(number, 3)
        house.all_are(ids, "sent", within=BACK_WITHIN)
        assert sorted(house.arrivals(ids)) == sorted(ids)
        assert "Discarding revoked task" in worker.output


def test_inspection_shows_numbers_and_counts_alone(house: House) -> None:
    """`inspect active` from a plain app: how many rows of which number; no recipient, no text."""
    number = house.number()
    house.control(mode="hang")
    with house.worker(number, env={"HEADWAY_SEND_TIMEOUT": "4"}) as worker:
        worker.ready()
        ids = house.push(number, 3, text="secret words")
        house.have_arrived(ids)
        (parcel,) = active(house, worker)
        assert parcel["name"] == "worker.deliver"
        assert parcel["kwargs"] == {"rows": {number: 3}}
        assert "39333" not in json.dumps(parcel)
        assert "secret words" not in json.dumps(parcel)


ASK = """
import json, sys
{app}
ask = app.control.inspect(destination=[sys.argv[1]], timeout=5, limit=1)
print(json.dumps([ask.ping(), ask.stats(), ask.active_queues(), ask.registered()]))
"""
APPS = {
    "ours": "from worker.app import app",
    "stock": "import os; from celery import Celery; app = Celery(broker=os.environ['HEADWAY_REDIS_URL'])",
}


@pytest.mark.parametrize("app", APPS)
def test_inspect_is_answered(house: House, app: str) -> None:
    """The same from another process with our app, and from one with a plain app on the stock transport."""
    number = house.number()
    env = {"HEADWAY_REDIS_URL": house.server.url, "HEADWAY_HOME": str(house.folder / "home")}
    # As it starts by default: with gossip and mingle.
    with house.worker(number, args=()) as worker:
        worker.ready()
        with RunningProcess([sys.executable, "-c", ASK.format(app=APPS[app]), worker.name], env=env) as asker:
            assert asker.wait(timeout=START) == 0, asker.tail()
            ping, stats, queues, registered = (
                answer[worker.name] for answer in json.loads(asker.output.splitlines()[-1])
            )
        assert ping == {"ok": "pong"}
        assert stats["broker"]["transport"] == "redis"
        assert [queue["name"] for queue in queues] == [keys.queue(number)]
        assert {"worker.deliver", "worker.send"} <= set(registered)
        house.all_are(house.push(number, 2), "sent")


def test_events_tell_of_the_worker_and_its_parcels(house: House) -> None:
    """What Flower reads: heartbeats, and with -E each parcel received, started and succeeded; no recipient, no text."""
    number = house.number()
    seen: dict[str, dict[str, Any]] = {}
    with house.stock_app() as app, app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": lambda event: seen.setdefault(event["type"], event)})
        listener = threading.Thread(target=receiver.capture, kwargs={"limit": None, "timeout": None}, daemon=True)
        listener.start()
        try:
            with house.worker(number, args=("-E", "--heartbeat-interval", "1")) as worker:
                worker.ready()
                house.all_are(house.push(number, 2, text="secret words"), "sent")
                wanted = {"worker-heartbeat", "task-received", "task-started", "task-succeeded"}
                wait_until(lambda: wanted <= set(seen), description="all kinds of events", detail=lambda: str(seen))
        finally:
            receiver.should_stop = True
            listener.join(timeout=5)
    assert seen["task-received"]["name"] == "worker.deliver"
    for private in ("39333", "secret words"):
        assert private not in json.dumps(seen)


def test_a_paused_number_rests_until_it_is_resumed(house: House) -> None:
    """What waits stays where it is, the other number goes on; on resuming all leaves in its order, at once."""
    number, other = house.number(), house.number()
    with house.worker(number, other) as worker:
        worker.ready()
        control.pause(house.redis, number, by="a test")
        ids = house.push(number, 3)
        house.all_are(house.push(other, 3), "sent")
        assert house.states(ids) == ["waiting"] * 3
        control.resume(house.redis, number, by="a test")
        house.all_are(ids, "sent", within=timedelta(seconds=3))
        assert house.arrivals(ids) == ids


def test_a_number_paused_before_begin_sends_nothing(house: House) -> None:
    """Its lease was granted; begin hands the rows back to the head of their lane."""
    number = house.number()
    ids = house.push(number, 3)
    with house.worker(number, fault="after_lease") as worker:
        worker.stands_at("after_lease")
        control.pause(house.redis, number, by="a test")
        worker.go_on()
        assert worker.says("lease_lost")["why"] == "paused"
        assert house.states(ids) == ["waiting"] * 3
        assert house.arrivals(ids) == []
        control.resume(house.redis, number, by="a test")
        house.all_are(ids, "sent")
        assert house.arrivals(ids) == ids
