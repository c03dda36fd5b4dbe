"""Does the script read what an estimate needs, and do leases measure how fast messages leave?"""

from __future__ import annotations

import pytest
import redis as redis_py

from headway import MessageClass, keys
from scheduler import control, estimate, leases
from scheduler.decisions import Grant
from scheduler.estimate import Figures
from scheduler.shards import rules_of_unit
from tests.scripts.stage import NUMBER, Stage, everything

SHARES = {"high": 70, "normal": 20, "bulk": 10}


@pytest.fixture
def busy(redis: redis_py.Redis) -> Stage:
    """A number of 10 TPS with shares, which a worker serves."""
    stage = Stage(redis, tps=10, shares=SHARES, receipts=())
    stage.run(control.declare(NUMBER, "worker-1", 10_000))
    return stage


def figures(stage: Stage, class_: str = "bulk") -> Figures:
    """Ask as a push does."""
    call = estimate.ask(stage.rules, MessageClass(class_), now_us=stage.now_us)
    return estimate.figures(stage.run(call), stage.rules.number)


def drain(stage: Stage, *, for_ms: int, step_ms: int = 20) -> dict[str, int]:
    """Lease, begin and settle what may leave for a while; return when each message left."""
    left: dict[str, int] = {}
    for turn in range(for_ms // step_ms):
        lease_id = f"drain-{stage.now_us}-{turn}"
        found = stage.lease(lease_id)
        if isinstance(found, Grant):
            stage.begin(lease_id)
            stage.sent(lease_id, *(row.id for row in found.rows))
            left |= {row.id: stage.now_us for row in found.rows}
        stage.later(ms=step_ms)
    return left


def test_asking_changes_nothing(busy: Stage) -> None:
    """As often as one likes."""
    busy.push("a", "b", class_="bulk")
    busy.push("c", class_="urgent")
    busy.granted()
    before = everything(busy.redis)
    found = figures(busy)
    assert everything(busy.redis) == before
    assert [lane.weight for lane in found.lanes] == [0, 70, 20, 10]
    assert (found.workers, found.paused, found.now_us) == (1, False, busy.now_us)


def test_rows_are_counted_where_they_wait(busy: Stage) -> None:
    """On the lane, in line behind another of their recipient, and deferred; held classes say so."""
    busy.change(order=("bulk",))
    busy.push("a", "b", "c", class_="bulk", to="19995551234")
    busy.granted("L")
    busy.later(ms=2000)
    busy.lease()
    assert figures(busy).lanes[3].waiting == 2
    busy.push("d", class_="normal", send_at="2030-03-17T17:47:00+00:00")
    busy.later(ms=2000)
    busy.lease()
    assert figures(busy).due == (0, 0, 1, 1, 1, 1)
    control.pause(busy.redis, NUMBER, by="Ada")
    assert figures(busy).paused


def test_estimates_come_true(busy: Stage) -> None:
    """Of each of 60 normal and 60 bulk rows, within a second."""
    busy.push(*(f"n{i}" for i in range(60)), class_="normal")
    busy.push(*(f"b{i}" for i in range(60)), class_="bulk")
    said = {}
    for class_, head in (("normal", "n"), ("bulk", "b")):
        f = figures(busy, class_)
        for index in range(60):
            at_us = estimate.of_row(f, MessageClass(class_), behind=59 - index).at_us
            assert at_us is not None
            said[f"{head}{index}"] = at_us
    left = drain(busy, for_ms=13_000)
    assert len(left) == 120
    off_s = [abs(said[id_] - at_us) / 1_000_000 for id_, at_us in left.items()]
    assert max(off_s) < 1


def test_leases_measure_what_leaves_while_rows_wait(busy: Stage) -> None:
    """Evidence grows with the time that rows waited; an idle number adds none, and another TPS throws it away."""
    busy.push(*(f"r{i}" for i in range(200)), class_="bulk")
    drain(busy, for_ms=15_000)
    first = figures(busy).lanes[3].outflow
    assert first.measured == pytest.approx(9.9, abs=0.3)
    assert 0.4 < first.evidence < 0.6
    drain(busy, for_ms=10_000)
    busy.later(ms=60_000)
    busy.push("alone", class_="bulk")
    drain(busy, for_ms=1000)
    assert figures(busy).lanes[3].outflow.evidence < 0.75
    busy.change(tps_milli=20_000)
    busy.run(control.declare(NUMBER, "worker-1", 20_000))
    assert figures(busy).lanes[3].outflow.evidence == 0


def test_what_comes_bit_by_bit_is_a_rate_and_a_campaign_is_none(busy: Stage) -> None:
    """Two normal rows a second; a thousand bulk rows at once."""
    busy.push(*(f"b{i}" for i in range(1000)), class_="bulk")
    for second in range(30):
        busy.push(f"n{2 * second}", f"n{2 * second + 1}", class_="normal")
        drain(busy, for_ms=1000, step_ms=50)
    found = figures(busy)
    assert found.lanes[2].comes == pytest.approx(2, rel=0.35)
    assert found.lanes[3].comes < 0.1


def test_a_shard_has_its_part_of_what_still_comes_in(busy: Stage) -> None:
    """Rows on the number's own lanes are not yet sorted."""
    busy.push("a", "b", "c", "d", class_="bulk")
    unit = keys.units(NUMBER, 4)[1]
    rules = rules_of_unit(busy.rules, unit)
    found = estimate.figures(busy.run(estimate.ask(rules, MessageClass.BULK, now_us=busy.now_us)), unit)
    assert found.lanes[3].waiting == 1


def test_what_binds_is_what_the_lease_would_say(busy: Stage) -> None:
    """A throttled number waits for the provider, and the estimate begins then."""
    busy.push(*(f"u{i}" for i in range(15)), class_="urgent")
    busy.granted()
    found = estimate.of_row(figures(busy, "urgent"), MessageClass.URGENT)
    wait = leases.decision(busy.run(leases.lease(busy.rules, "again", "worker", now_us=busy.now_us)))
    assert not isinstance(wait, Grant)
    assert found.waits_for == (str(wait.because),) == ("window",)
    assert found.at_us is not None
    assert 0.9 < (found.at_us - busy.now_us) / 1_000_000 < 1.7
