"""Does a worker come back by itself from whatever keeps its server away, and end in time when it doesn't come back?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from headway import keys
from headway.errors import BrokerUnavailable
from tests.harness.processes import ROOT
from tests.harness.waiting import wait_until
from tests.processes.outage_proxy import StallingProxy
from tests.processes.worker_kit import BACK_WITHIN, POOLS, House, open_house

pytestmark = pytest.mark.processes

#: A server that was away is asked at least every two seconds; the rest is what a busy machine takes.
SOON = timedelta(seconds=8)

#: What a worker gets to finish here, and until when it must have ended then.
GRACE = {"HEADWAY_GRACE": "2"}
ENDED = timedelta(seconds=15)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A server and a sink for one test: what it does to them is no other test's trouble."""
    with open_house(tmp_path) as house:
        yield house


def once(house: House, ids: list[str]) -> None:
    """See that each of these arrived at the sink, none twice."""
    assert sorted(house.arrivals(ids)) == sorted(ids)


def test_a_server_that_was_away_for_long_is_found_again_soon(house: House) -> None:
    """Celery's own pauses grow to half a minute: ours don't."""
    number = house.number()
    with house.worker(number) as worker:
        worker.ready()
        first = house.push(number, 3)
        house.all_are(first, "sent")
        house.server.kill()
        worker.says("broker_away")
        time.sleep(8)  # long enough for pauses that grow to have grown
        house.server.start()
        later = house.push(number, 3)
        house.all_are(later, "sent", within=SOON)
        once(house, [*first, *later])


@pytest.mark.parametrize("pool", POOLS)
def test_a_paused_server_is_waited_for(house: House, pool: str) -> None:
    """It answers nothing for longer than any time-out: what was asked meanwhile isn't done twice afterwards."""
    number = house.number()
    house.control(latency_ms=300)
    with house.worker(number, pool=pool) as worker:
        worker.ready()
        ids = house.push(number, 5)
        wait_until(lambda: house.arrivals(ids), description="the first at the sink", detail=worker.tail)
        assert house.server.pid is not None
        os.kill(house.server.pid, signal.SIGSTOP)
        try:
            time.sleep(8)
        finally:
            os.kill(house.server.pid, signal.SIGCONT)
        later = house.push(number, 3)
        house.all_are(later, "sent", within=BACK_WITHIN)
        wait_until(
            lambda: set(house.states(ids)) <= {"sent", "uncertain"},
            description="an end of all",
            timeout=BACK_WITHIN,
            detail=lambda: f"{house.states(ids)}\n{worker.tail()}",
        )
        once(house, [*ids, *later])
        assert worker.returncode is None


def test_a_connection_that_falls_silent_makes_no_worker_deaf(house: House) -> None:
    """A partition closes no connection: the answers on the old ones never come, and new ones work."""
    number = house.number()
    with (
        StallingProxy(house.server.port) as proxy,
        house.worker(number, env={"HEADWAY_REDIS_URL": proxy.url}) as worker,
    ):
        worker.ready()
        first = house.push(number, 3)
        house.all_are(first, "sent")
        proxy.stall()
        later = house.push(number, 3)
        house.all_are(later, "sent", within=timedelta(seconds=25))
        once(house, [*first, *later])
        assert worker.returncode is None


def test_a_server_that_can_not_save_is_waited_for(house: House) -> None:
    """MISCONF: every write is refused until somebody mends the disk."""
    number = house.number()
    (house.server.directory / "dump.rdb").mkdir()  # nothing can be saved under this name
    with house.worker(number) as worker:
        worker.ready()
        ids = house.push(number, 2)
        house.all_are(ids, "sent")
        house.redis.config_set("save", "3600 1")
        house.redis.bgsave()
        wait_until(
            lambda: house.redis.info("persistence")["rdb_last_bgsave_status"] == "err",
            description="a save that fails",
        )
        with pytest.raises((BrokerUnavailable, redis.ResponseError), match="MISCONF"):
            house.push(number)
        house.redis.config_set("save", "")
        later = house.push(number, 3)
        house.all_are(later, "sent", within=SOON)
        once(house, [*ids, *later])
        assert worker.returncode is None


def test_a_restart_loses_nothing_that_was_accepted(house: House) -> None:
    """SIGKILL of the server right after the last push was answered: all of it is in the append-only file."""
    number = house.number()
    ids = [message_id for _ in range(20) for message_id in house.push(number, 50)]
    house.server.kill()
    house.server.start()
    assert house.states(ids) == ["waiting"] * len(ids)
    with house.worker(number, concurrency=4, env={"HEADWAY_TPS": "1000"}) as worker:
        worker.ready()
        house.all_are(ids, "sent")
    once(house, ids)


@pytest.mark.parametrize("pool", POOLS)
def test_a_worker_ends_in_time_without_its_server(house: House, pool: str) -> None:
    """SIGTERM while the server is away: the outcome can't be told, so it says so and ends; nothing is doubled."""
    number = house.number()
    house.control(latency_ms=1500)
    with house.worker(number, pool=pool, env=GRACE) as worker:
        worker.ready()
        ids = house.push(number, 3)
        house.have_arrived(ids)
        house.server.kill()
        started = time.monotonic()
        worker.signal(signal.SIGTERM)
        worker.wait(timeout=ENDED)
        assert time.monotonic() - started < ENDED.total_seconds()
        assert "outcomes_lost" in worker.output, worker.tail()
    house.server.start()
    house.control(latency_ms=0)
    with house.worker(number) as worker:
        worker.ready()
        later = house.push(number, 2)
        house.all_are(later, "sent")
        house.all_are(ids, "uncertain", within=BACK_WITHIN)
    once(house, [*ids, *later])


@pytest.mark.parametrize("pool", POOLS)
def test_the_grace_time_is_a_bound(house: House, pool: str) -> None:
    """SIGTERM during a request that hangs: after the grace time its rows are uncertain, and the worker has ended."""
    number = house.number()
    house.control(mode="hang")
    with house.worker(number, pool=pool, env={**GRACE, "HEADWAY_LEASE_TTL": "15"}) as worker:
        worker.ready()
        ids = house.push(number, 3)
        house.have_arrived(ids)
        worker.signal(signal.SIGTERM)
        worker.wait(timeout=ENDED)
        assert "grace_over" in worker.output
    assert house.states(ids) == ["uncertain"] * 3
    assert not house.redis.exists(keys.leases(number), keys.leased(number), keys.deadlines(number))
    once(house, ids)


def test_a_health_check_sees_progress_and_not_only_a_process(house: House) -> None:
    """Well while it works and while it waits for its server; not well before, nor once it is stopped in its tracks."""
    number = house.number()
    assert check(house) == (1, "no worker runs here\n")
    with house.worker(number) as worker:
        worker.ready()
        pid = worker.pid
        wait_until(lambda: check(house) == (0, f"worker {pid}: working\n"), description="a worker that is well")
        house.server.kill()
        wait_until(lambda: check(house) == (0, f"worker {pid}: away\n"), description="a worker that waits")
        house.server.start()
        wait_until(lambda: check(house) == (0, f"worker {pid}: working\n"), description="a worker that is back")
        worker.signal(signal.SIGSTOP)
        wait_until(
            lambda: check(house)[0] == 1, description="a worker that is stuck", timeout=timedelta(seconds=30)
        )  # fmt: skip
        assert "says nothing since" in check(house)[1]
        worker.signal(signal.SIGCONT)
        worker.terminate()
    assert check(house)[0] == 1


def check(house: House) -> tuple[int, str]:
    """Run the health check; return its status and what it says."""
    env = {**os.environ, "HEADWAY_HOME": str(house.folder / "home")}
    done = subprocess.run(
        [sys.executable, "-c", "from console.main import main; main()", "worker", "--check"],
        env=env, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout
