"""What becomes of messages when the server is killed, alone or with their worker: at each point of their way?

It comes back with its append-only file, as a supervisor starts it again; it forgot every script and every connection.
Each write reaches the disk before it is answered (`appendfsync always`): with `everysec` a kill may cost what was
written in that second, and that loss would be the server's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import pytest

from tests.harness.waiting import wait_until
from tests.processes.worker_kit import BACK_WITHIN, POOLS, House, Worker, open_house, send_nothing_again

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

#: On a busy machine a worker takes a while to find its server again.
SOON = timedelta(seconds=40)

#: The way of a message; `during` is while the provider thinks. The first two are in the worker's own loop.
POINTS = [
    ("before_lease", "threads"),
    ("in_socket", "threads"),
    *((point, pool) for point in ("after_lease", "after_begin", "during", "before_settle") for pool in POOLS),
    ("after_settle", "threads"),
]

#: Longer than a lease lives (3 s here): whoever holds one then has lost it.
LONG_S = 4.0


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server, whose every answer is on disk, and one sink for all tests here."""
    with open_house(tmp_path_factory.mktemp("house")) as house:
        house.server.options["appendfsync"] = "always"
        house.server.restart()
        yield house


@dataclass(frozen=True, slots=True)
class Case:
    """Three messages of a number of their own, whose worker stands at a point; `at` has the sink it sends to."""

    number: str
    ids: list[str]
    worker: Worker
    at: House


Cases = dict[tuple[str, str], Case]


@pytest.fixture(scope="module")
def slow(house: House) -> Iterator[House]:
    """A provider that thinks long enough to be overtaken by whatever happens."""
    with house.another_sink("--latency-ms", "4000") as sink:
        yield sink


def stand_everywhere(stack: ExitStack, house: House, slow: House) -> Cases:
    """Bring a worker to each point; the requests that are to be open are made last."""
    cases: Cases = {}
    for point, pool in POINTS:
        number, at = house.number(), slow if point == "during" else house
        ids = [] if point == "during" else house.push(number, 3)
        worker = house.worker(number, pool=pool, fault=point, env={"HEADWAY_PROVIDER_URL": at.sink})
        cases[point, pool] = Case(number, ids, stack.enter_context(worker), at)
    during = [case for (point, _), case in cases.items() if point == "during"]
    for (point, _), case in cases.items():
        if point == "during":
            case.worker.ready()
        else:
            case.worker.stands_at(point)
    for case in during:
        case.ids.extend(house.push(case.number, 3))
    for case in during:
        there = partial(_has_all, case)
        wait_until(there, description="an open request", detail=case.worker.tail)
    return cases


def _has_all(case: Case) -> bool:
    return case.at.arrivals(case.ids) == case.ids


@pytest.fixture(scope="module", params=[0.0, LONG_S], ids=["briefly", "longer than a lease"])
def survivors(house: House, slow: House, request: pytest.FixtureRequest) -> Iterator[Cases]:
    """Workers whose server was killed, and came back after a while."""
    with ExitStack() as stack:
        cases = stand_everywhere(stack, house, slow)
        house.server.kill()
        time.sleep(request.param)
        house.server.start()
        for case in cases.values():
            case.worker.go_on()
        yield cases


@pytest.fixture(scope="module")
def dead(house: House, slow: House) -> Iterator[Cases]:
    """Workers that died with their server; another one has their numbers now."""
    with ExitStack() as stack:
        cases = stand_everywhere(stack, house, slow)
        house.server.kill()
        for case in cases.values():
            case.worker.kill_all()
        house.server.start()
        stack.enter_context(house.worker(*(case.number for case in cases.values())).ready())
        yield cases


@pytest.mark.parametrize(("point", "pool"), POINTS)
def test_a_killed_server_comes_back_and_every_row_is_sent_once(
    house: House, survivors: Cases, point: str, pool: str
) -> None:
    """Whatever the worker was about to ask or to tell, it asks and tells again, and nothing is done twice."""
    case = survivors[point, pool]
    house.all_are(case.ids, "sent", within=SOON)
    later = house.push(case.number, 2)
    house.all_are(later, "sent", within=SOON)
    assert sorted(case.at.arrivals([*case.ids, *later])) == sorted([*case.ids, *later])


@pytest.mark.parametrize(("point", "pool"), POINTS)
def test_the_whole_machine_is_killed(house: House, dead: Cases, point: str, pool: str) -> None:
    """Server and worker die at one moment: what had not begun is sent once, what had is uncertain, none twice."""
    case = dead[point, pool]
    begun = point in {"after_begin", "during", "before_settle"}
    house.all_are(case.ids, "uncertain" if begun else "sent", within=BACK_WITHIN + SOON)
    send_nothing_again(house, case.number, case.ids)
    everywhere = house.arrivals(case.ids) + (case.at.arrivals(case.ids) if case.at is not house else [])
    assert len(everywhere) == (0 if point == "after_begin" else 3)
