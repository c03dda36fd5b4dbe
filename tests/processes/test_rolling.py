"""Does a rolling restart lose or double anything? Two workers, restarted in turn while messages keep coming."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Self

import pytest

from headway import keys
from tests.processes.worker_kit import POOLS, House, open_house

pytestmark = pytest.mark.processes

ROUNDS = 1


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A server and a sink for one test."""
    with open_house(tmp_path) as house:
        yield house


class Load:
    """Pushes a few messages again and again, on a thread, until it is left."""

    def __init__(self, house: House, number: str) -> None:
        self.ids: list[str] = []
        self._house, self._number = house, number
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._push)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _push(self) -> None:
        while not self._over.wait(0.05):
            self.ids += self._house.push(self._number, 5)


@pytest.mark.parametrize("pool", POOLS)
def test_a_rolling_restart_loses_and_doubles_nothing(house: House, pool: str) -> None:
    """Each worker ends with status 0 while the other goes on; every message is sent, and arrives once."""
    number = house.number()
    house.control(latency_ms=200)
    workers = [house.worker(number, pool=pool, env={"HEADWAY_LEASE_TTL": "15"}) for _ in range(2)]
    try:
        for worker in workers:
            worker.ready()
        with Load(house, number) as load:
            for turn in range(2 * ROUNDS):
                old = workers[turn % 2]
                assert old.terminate(timeout=timedelta(seconds=20)) == 0, old.tail()
                workers[turn % 2] = house.worker(number, pool=pool, env={"HEADWAY_LEASE_TTL": "15"}).ready()
        house.all_are(load.ids, "sent", within=timedelta(seconds=30))
    finally:
        for worker in workers:
            worker.end()
    assert len(load.ids) > 50
    assert sorted(house.arrivals()) == sorted(load.ids)
    assert not house.redis.exists(keys.leases(number), keys.leased(number), keys.uncertain(number))
