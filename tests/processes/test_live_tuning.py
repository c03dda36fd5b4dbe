"""Does a change made while everything runs hold in every worker within a second, on what waits already too?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from headway import keys
from runtime.settings import Settings
from scheduler import control
from tests.harness.waiting import wait_until
from tests.processes.worker_kit import START, House, Worker, open_house

pytestmark = pytest.mark.processes

#: Long enough to see a rate of some ten a second.
WATCHED_S = 3


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server and one sink for all tests here."""
    with open_house(tmp_path_factory.mktemp("house")) as house:
        yield house


def change(house: House, number: str, **texts: str | None) -> None:
    """Change values as the doors do."""
    own = Settings.from_env({}).number(number)
    fields = control.checked(texts, own=own, live=control.read(house.redis, number))
    control.change(house.redis, number, fields, by="ada", where="a test")


def arrived_between(house: House, ids: list[str], start_s: float, end_s: float) -> int:
    """Return how many rows were at the sink between two times of this machine's clock."""
    return sum(start_s * 1e6 <= row["at_us"] < end_s * 1e6 for row in house.journal(ids))


def rate_from(house: House, ids: list[str], start_s: float) -> float:
    """Return the rows a second from a time on, once they have been watched for long enough."""
    end_s = start_s + WATCHED_S
    wait_until(lambda: time.time() > end_s + 0.3, description="the watch's end", timeout=timedelta(seconds=20))
    return arrived_between(house, ids, start_s, end_s) / WATCHED_S


def test_a_changed_tps_holds_in_all_workers_within_a_second(house: House) -> None:
    """Two workers with a backlog: slower, faster, and stopped at once, each within a second."""
    number = house.number()
    ids = house.push(number, 400, class_="bulk")
    env = {"HEADWAY_TPS": "40"}
    with house.worker(number, env=env) as one, house.worker(number, env=env, pool="prefork") as two:
        one.ready()
        two.ready()
        change(house, number, tps="8")
        assert rate_from(house, ids, time.time() + 1) <= 9
        change(house, number, tps="30")
        assert 20 <= rate_from(house, ids, time.time() + 1) <= 32
        control.pause(house.redis, number, by="ada")
        assert rate_from(house, ids, time.time() + 1) == 0
        control.resume(house.redis, number, by="ada")
        change(house, number, tps="300")
        house.all_are(ids, "sent")


def test_values_that_differ_or_can_not_be_are_said_loudly(house: House) -> None:
    """Each process names its own value and the others'; a value written by hand is passed over, and that is said."""
    number = house.number()
    house.redis.hset(keys.settings(number), "headroom_ppm", "plenty")
    with house.worker(number, env={"HEADWAY_GUARD": "0.02"}) as one:
        one.ready()
        said = one.says("setting_ignored")
        assert _of(said, "number", "setting", "value", "holds") == [number, "headroom", "plenty", None]
        with house.worker(number, env={"HEADWAY_GUARD": "0.03"}) as two:
            two.ready()
            assert _of(two.says("settings_differ"), "setting", "ours", "others") == ["guard_us", "30000", ["20000"]]
            _within_a_declaration(one)
            assert _of(one.says("settings_differ"), "setting", "ours", "others") == ["guard_us", "20000", ["30000"]]
    house.redis.delete(keys.settings(number))


def _within_a_declaration(worker: Worker) -> None:
    """Wait for a line that comes with the next declaration: every ten seconds."""
    worker.wait_for_line(r'.*"event": "settings_differ".*', timeout=START)


def _of(fields: Mapping[str, Any], *names: str) -> list[Any]:
    return [fields[name] for name in names]
