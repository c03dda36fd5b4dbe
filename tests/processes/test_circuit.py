"""What becomes of messages while their provider is away, and when it is back?"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.harness.processes import RunningProcess
from tests.harness.servers import free_port
from tests.harness.waiting import wait_until
from tests.processes.worker_kit import SINK_READY, House, open_house

pytestmark = pytest.mark.processes

LONG = timedelta(seconds=40)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A server and a sink for one test."""
    with open_house(tmp_path) as house:
        yield house


@contextmanager
def sink_at(port: int, *options: str) -> Iterator[RunningProcess]:
    """A sink on this port."""
    command = (sys.executable, "-m", "simulator.sink", "--port", str(port), *options)
    with RunningProcess(command) as sink:
        sink.wait_for_line(SINK_READY)
        yield sink


def most_in_a_second(house: House, ids: list[str]) -> int:
    """How many of these arrived in the busiest second."""
    times = sorted(int(row["at_us"]) for row in house.journal(ids))
    return max(sum(start <= at < start + 1_000_000 for at in times) for start in times)


def test_while_a_provider_takes_no_connection_nothing_is_burnt(house: House) -> None:
    """All wait where they were, in order and without an attempt; then they leave, no faster than they may."""
    number, port = house.number(), free_port()
    away = House(house.folder / "away", house.server, f"http://127.0.0.1:{port}")
    away.folder.mkdir()
    with away.worker(number, env={"HEADWAY_TPS": "10"}) as worker:
        worker.ready()
        ids = house.push(number, 30)
        worker.says("provider_away")
        worker.says("number_rests")
        said = worker.line_count()
        wait_until(
            lambda: worker.output.count("number_rests") >= 3, description="three probes", timeout=LONG,
            detail=worker.tail,
        )  # fmt: skip
        assert set(house.states(ids)) == {"waiting"}
        assert {house.record(message_id).get("attempts", "0") for message_id in ids} == {"0"}
        with sink_at(port):
            worker.wait_for_line("provider_back", after=said, timeout=LONG)
            away.all_are(ids, "sent", within=LONG)
            assert sorted(away.arrivals(ids)) == sorted(ids)
            assert most_in_a_second(away, ids) <= 11
    away.redis.close()


def test_errors_of_a_server_are_risked_a_few_times_only(house: House) -> None:
    """Each 502 leaves rows uncertain: after three no more are risked but one row a probe."""
    number = house.number()
    house.control(mode="http:502")
    with house.worker(number, concurrency=1, env={"HEADWAY_TPS": "10", "HEADWAY_IN_FLIGHT": "1"}) as worker:
        worker.ready()
        ids = house.push(number, 60)
        worker.says("provider_away")
        wait_until(
            lambda: worker.output.count("number_rests") >= 3, description="probes", timeout=LONG, detail=worker.tail
        )
        burnt = house.states(ids).count("uncertain")
        rows = house.journal(ids)
        requests = [at for at, _ in _runs([row["at_us"] for row in rows])]
        assert burnt == len(rows)
        assert burnt <= 3 * 10 + len(requests)
        assert house.states(ids).count("waiting") >= 60 - burnt - 1
        house.control(mode="ok")
        worker.wait_for_line("provider_back", timeout=LONG)
        wait_until(
            lambda: set(house.states(ids)) == {"sent", "uncertain"}, description="that the rest is sent", timeout=LONG,
            detail=lambda: str(house.states(ids)),
        )  # fmt: skip
        arrived = house.arrivals(ids)
        assert len(arrived) == len(set(arrived))


def test_a_standby_takes_over_and_gives_back(house: House) -> None:
    """Together they get no more than one would, and each message goes to one of them."""
    number, port = house.number(), free_port()
    primary = House(house.folder / "primary", house.server, f"http://127.0.0.1:{port}")
    primary.folder.mkdir()
    both = {"HEADWAY_TPS": "10", "HEADWAY_PROVIDER_URL": f"{primary.sink},{house.sink}"}
    with house.worker(number, env=both) as worker:
        worker.ready()
        with sink_at(port):
            first = house.push(number, 3)
            house.all_are(first, "sent")
            assert sorted(primary.arrivals(first)) == sorted(first)
        second = house.push(number, 30)
        house.all_are(second, "sent", within=LONG)
        assert sorted(house.arrivals(second)) == sorted(second)
        assert most_in_a_second(house, second) <= 11
        with sink_at(port):
            back: list[str] = []

            def given_back() -> bool:
                back.extend(house.push(number, 1))
                house.all_are(back, "sent")
                return bool(primary.arrivals(back))

            wait_until(given_back, description="a message at the primary again", timeout=LONG, detail=worker.tail)
            assert sorted([*primary.arrivals(back), *house.arrivals(back)]) == sorted(back)
    primary.redis.close()


def _runs(times: list[int]) -> list[tuple[int, int]]:
    """Pairs of neighbours that differ: where one request ends and the next begins."""
    return [(one, next_) for one, next_ in pairwise(sorted(times)) if one != next_] + [(0, 0)]
