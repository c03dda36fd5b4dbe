"""Do the benches judge what they measured as their words say?"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from bench import meter as meter_bench
from bench._figures import BLIND_US, MeterLog, Run, broken, judged, table, used_share
from bench._meter_cpu import TICKS_A_SECOND, cpu_s, ticks
from bench._meter_figures import (
    BULK,
    ONE_ROW,
    Cost,
    Shared,
    cost,
    cost_problems,
    cost_table,
    reached,
    shared,
    shared_problems,
    shared_table,
)
from bench._meter_notes import VARIABLE, Notes, noted
from bench.wire import arguments

SECOND_US = 1_000_000


def arrivals(*at_us: int) -> list[dict[str, object]]:
    """A sink's journal with one row at each moment."""
    return [{"at_us": at, "reference_number": f"m{index}"} for index, at in enumerate(at_us)]


def evenly(*, tps: int, seconds: int) -> list[int]:
    """Moments with the same gap between them."""
    return [index * SECOND_US // tps for index in range(tps * seconds)]


def watched(*at_us: int, every_us: int = 50_000) -> MeterLog:
    """A meter that charged one event at each moment, looked at from the first to two seconds after the last."""
    log = MeterLog()
    for now_us in range(min(at_us), max(at_us) + 2 * SECOND_US, every_us):
        log.look(now_us, [(f"l{at}:1", at) for at in at_us if at <= now_us < at + 1_020_000])
    return log


def headway(journal: list[dict[str, object]], *, tps: int, meter: MeterLog, sent: int | None = None) -> Run:
    """A run of Headway whose rows all arrived."""
    rows = len(journal)
    sent = rows if sent is None else sent
    return judged("headway", processes=1, tps=tps, rows=rows, journal=journal, meter=meter, sent=sent)


# ---------------------------------------------------------------------------------------------------- the meter's log


def test_the_last_stamp_of_a_charge_counts() -> None:
    """Begin stamps a lease's charge anew; the log has it once, at begin."""
    log = MeterLog()
    log.look(1_000, [("l1:3", 900)])
    log.look(51_000, [("l1:3", 40_000)])
    assert log.charged_us() == [40_000] * 3


def test_a_charge_that_went_too_early_was_refunded() -> None:
    """Rows that went back spent nothing, and a lease of which a part went back spent the rest."""
    log = MeterLog()
    log.look(0, [("a:2", 0), ("b:5", 0)])
    log.look(50_000, [("b:4", 0)])
    assert log.charged_us() == [0] * 4


def test_a_charge_that_left_the_window_is_kept() -> None:
    """The window forgets; the log of the run does not."""
    log = MeterLog()
    log.look(0, [("a:b:2", 0)])
    log.look(1_030_000, [("c:1", 1_025_000)])
    log.look(3_000_000, [])
    assert log.charged_us() == [0, 0, 1_025_000]
    assert log.longest_gap_us == 1_970_000


# ---------------------------------------------------------------------------------------------------------- the share


def test_even_arrivals_use_all_of_it() -> None:
    """One row in each interval is the whole TPS."""
    assert used_share(evenly(tps=10, seconds=5), tps=10) == pytest.approx(1.0)


def test_a_burst_in_the_first_second_is_left_out() -> None:
    """The burst tolerance of the start doesn't make up for a slow run."""
    slow = [5 * at for at in evenly(tps=10, seconds=5)]
    assert used_share([0] * 50 + slow, tps=10) == pytest.approx(0.2)


def test_rows_of_one_request_dont_flatter() -> None:
    """Full requests of ten rows, a second apart, are 10 a second and not more."""
    assert used_share([second * SECOND_US for second in range(5) for _ in range(10)], tps=10) == pytest.approx(1.0)


@pytest.mark.parametrize("at_us", [[], [1], [1, 2, 3], [0, 2 * SECOND_US]])
def test_too_few_arrivals_say_nothing(at_us: list[int]) -> None:
    """A share of no time is unknown, and unknown is a broken bound."""
    assert used_share(at_us, tps=10) is None
    assert any("unknown" in problem for problem in broken(headway(arrivals(*at_us), tps=10, meter=MeterLog())))


# --------------------------------------------------------------------------------------------------------- the bounds


def test_an_even_run_keeps_every_bound() -> None:
    """What should pass passes, so that a failure below is the failure that it names."""
    moments = evenly(tps=10, seconds=4)
    assert broken(headway(arrivals(*moments), tps=10, meter=watched(*moments))) == []


def test_one_event_too_many_in_the_meters_record_breaks() -> None:
    """The meter's own record has no tolerance, whatever the sink saw."""
    moments = evenly(tps=10, seconds=4)
    charged = [*moments[:-1], moments[-2] + 1, 5]
    assert "the meter's own record has 11 in a window" in broken(
        headway(arrivals(*moments), tps=10, meter=watched(*charged))
    )


def test_arrivals_that_the_meter_never_charged_break() -> None:
    """A meter that missed rows can't be said to have held."""
    moments = evenly(tps=10, seconds=4)
    run = headway(arrivals(*moments), tps=10, meter=watched(*moments[:-3]))
    assert "the meter charged 37 events for 40 arrivals" in broken(run)


def test_a_meter_that_nobody_looked_at_breaks() -> None:
    """An entry could have come and gone: then the log proves nothing."""
    moments = evenly(tps=10, seconds=4)
    (problem,) = broken(headway(arrivals(*moments), tps=10, meter=watched(*moments, every_us=BLIND_US + 50_000)))
    assert "nobody looked" in problem


def test_rows_lost_doubled_or_unsettled_break() -> None:
    """Each row arrives once and its record says so."""
    moments = evenly(tps=10, seconds=4)
    journal = arrivals(*moments)
    journal[1]["reference_number"] = "m0"
    problems = broken(headway(journal, tps=10, meter=watched(*moments), sent=39))
    assert problems == ["39 of 40 rows arrived", "1 arrived twice", "39 of 40 records say sent"]


def test_too_much_at_the_sink_and_too_little_use_break() -> None:
    """The two bounds at the sink: over TPS, and far under it."""
    burst = judged("bullmq", processes=1, tps=10, rows=40, journal=arrivals(*[0] * 20, *[3 * SECOND_US] * 20))
    assert any("over at the sink, by 100.0%" in problem for problem in broken(burst))
    slow = judged("celery", processes=1, tps=10, rows=9, journal=arrivals(*range(0, 9 * SECOND_US, SECOND_US)))
    assert broken(slow) == ["10.0% of TPS used"]


def test_rows_that_leave_in_heaps_break() -> None:
    """From 20 a second on no tenth of a second has more than a fifth of the budget; the first second may."""
    moments = [second * SECOND_US + row // 5 * 250_000 for second in range(4) for row in range(20)]
    assert "5 rows within a tenth of a second" in broken(headway(arrivals(*moments), tps=20, meter=watched(*moments)))


def test_the_table_says_who_kept_the_bounds() -> None:
    """One line a run, Markdown, so that it can be pasted; a peer has no meter."""
    moments = evenly(tps=10, seconds=4)
    runs = [
        headway(arrivals(*moments), tps=10, meter=watched(*moments)),
        judged("celery", processes=4, tps=10, rows=80, journal=arrivals(*moments)),
    ]
    head, line, ours, theirs = table(runs).splitlines()
    assert len({head.count("|"), line.count("|"), ours.count("|"), theirs.count("|")}) == 1
    assert [cell.strip() for cell in ours.strip("|").split("|")] == [
        "headway", "1", "10", "40 of 40", "10", "10", "0.00%", "0.0%", "1", "100.0%", "yes",
    ]  # fmt: skip
    assert [cell.strip() for cell in theirs.strip("|").split("|")][3:5] == ["40 of 80", ""]
    assert theirs.strip("| ").endswith("no")


def test_the_options_are_read_as_lists() -> None:
    """`--rates 10,80 --processes 1` runs two rates with one process each."""
    options = arguments(["--rates", "10,80", "--processes", "1"])
    assert (options.rates, options.processes, options.seconds) == ((10, 80), (1,), 20.0)


# ------------------------------------------------------------------------------------------------ what the meter costs


def one_cost(what: str = ONE_ROW, *, waiting: int = 10, p50_us: float = 100, p99_us: float = 200) -> Cost:
    """A cost of a call that keeps every bound, but for what is given."""
    return Cost(what=what, waiting=waiting, p50_us=p50_us, p99_us=p99_us, per_s=60_000)


def test_a_cost_is_the_median_of_its_rounds() -> None:
    """One round that something else disturbed decides nothing."""
    quiet, noisy = [1_000] * 98 + [3_000] * 2, [900_000] * 100
    found = cost(ONE_ROW, waiting=7, rounds=[quiet, noisy, quiet])
    assert (found.waiting, found.p50_us, found.p99_us) == (7, 1.0, 3.0)
    assert found.per_s == pytest.approx(100e9 / 104_000)


def test_counts_in_bulk_are_events_a_second() -> None:
    """Round trips of 600 events that take 10 ms are 60,000 events a second."""
    assert cost(BULK, waiting=1, rounds=[[10_000_000] * 5], events=600).per_s == pytest.approx(60_000)


def test_costs_within_the_bounds_keep_them() -> None:
    """What should pass passes, so that a failure below is the failure that it names."""
    assert cost_problems([one_cost(), one_cost(waiting=1_000_000, p50_us=199), one_cost(BULK)]) == []


def test_a_slow_a_growing_and_a_rare_call_break() -> None:
    """Each bound by itself: a lease's p99, its median over the backlog, events a second in bulk."""
    assert cost_problems([one_cost(p99_us=1_000)]) == ["lease, 1 row: p99 1.00 ms with 10 waiting; wanted below 1 ms"]
    (grown,) = cost_problems([one_cost(waiting=1_000, p50_us=201), one_cost()])
    assert "not flat, median 100 us grows to 201 us" in grown
    (rare,) = cost_problems([Cost(what=BULK, waiting=10, p50_us=1, p99_us=1, per_s=49_999)])
    assert "49,999 events/s" in rare


# ----------------------------------------------------------------------------------------- a limit that is shared


def run_of(*at_us: int, side: str = "headway", meter: MeterLog | None = None, cpu: float = 0.1) -> Shared:
    """A run at 10 a second of which the first ten seconds are measured."""
    return shared(
        side, rate=10, noted_us=at_us, measured_us=(0, 10 * SECOND_US), workers_s=cpu, server_s=cpu,
        waiting=200, meter=meter,
    )  # fmt: skip


def test_a_shared_limit_that_was_kept_breaks_nothing() -> None:
    """An even run, all of it charged, with less CPU than BullMQ's."""
    moments = evenly(tps=10, seconds=10)
    ours, theirs = run_of(*moments, meter=watched(*moments)), run_of(*moments, side="bullmq", cpu=0.2)
    assert (ours.done, ours.worst, ours.meter_worst, ours.cpu_s) == (100, 10, 10, 2.0)
    assert shared_problems(ours, bullmq=theirs) == []


def test_each_bound_of_a_shared_limit_breaks_by_itself() -> None:
    """One event too many in the record, events not charged, a rate not reached, as much CPU as BullMQ."""
    moments = evenly(tps=10, seconds=10)
    over = run_of(*moments, meter=watched(*moments, 5, 6))
    assert shared_problems(over, bullmq=None) == ["10/s: the meter's own record has 12 in a second"]
    missed = run_of(*moments, meter=watched(*moments[:-4]))
    assert shared_problems(missed, bullmq=None) == ["10/s: 4 messages ran and were not charged"]
    slow = moments[::2]
    (reached_half,) = shared_problems(run_of(*slow, meter=watched(*slow)), bullmq=None)
    assert "50.0% of the rate reached" in reached_half
    even = run_of(*moments, meter=watched(*moments))
    assert shared_problems(even, bullmq=even) == ["10/s: 2.00 CPU s per 1,000 messages; BullMQ has 2.00"]


def test_a_run_that_proves_nothing_breaks() -> None:
    """Nothing left waiting, or nobody looked at the meter: neither says that the limit held."""
    moments = evenly(tps=10, seconds=20)
    dry = run_of(*moments, meter=watched(*moments))
    assert shared_problems(dry, bullmq=None) == ["10/s: nothing was left waiting: the rate says nothing"]
    (unseen,) = shared_problems(
        run_of(*moments[:190], meter=watched(*moments[:190], every_us=BLIND_US + 50_000)), bullmq=None
    )
    assert "nobody looked" in unseen


def test_a_side_that_runs_nothing_is_no_peer() -> None:
    """A peer that can't run fails the bench rather than losing it."""
    with pytest.raises(ValueError, match="nothing ran"):
        run_of(11 * SECOND_US, side="bullmq")


def test_the_share_of_a_rate_is_its_slope() -> None:
    """Even messages and full bursts at the same rate have the same share, wherever the time was cut."""
    bursts = [second * SECOND_US for second in range(4) for _ in range(10)]
    assert reached(evenly(tps=10, seconds=4), rate=10) == pytest.approx(1.0)
    assert reached(bursts, rate=10) == pytest.approx(1.0)
    assert reached([5, 5], rate=10) is None


def test_both_tables_are_markdown() -> None:
    """One line a run or a cost, as many cells as the head has, so that they can be pasted."""
    moments = evenly(tps=10, seconds=10)
    limit = shared_table([run_of(*moments, meter=watched(*moments)), run_of(*moments, side="bullmq")])
    for text, lines in ((limit, 4), (cost_table([one_cost(), one_cost(BULK)]), 4)):
        rows = text.splitlines()
        assert len(rows) == lines
        assert len({row.count("|") for row in rows}) == 1
    assert [cell.strip() for cell in limit.splitlines()[2].strip("|").split("|")] == [
        "10", "headway", "100", "100.0%", "10", "10", "2.00", "1.00", "1.00",
    ]  # fmt: skip


def test_notes_of_all_processes_are_read_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process writes a file of its own; a half-written note at the end of one is no note yet."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    Notes().note(3)
    (tmp_path / "other").write_bytes(struct.pack("<qq", 7, 5) + b"half")
    found = noted(tmp_path)
    assert found[:2] == [5, 7]
    assert found[2] == found[4] > SECOND_US
    assert (tmp_path / str(os.getpid())).stat().st_size == 24


def test_cpu_is_read_behind_any_name() -> None:
    """User and system time of a process and of its former children; a name may hold brackets and blanks."""
    assert ticks("12 (a) (b c) S 1 1 1 0 -1 4194304 102 0 0 0 10 20 3 4 20 0 1 0") == 37


def test_cpu_of_a_tree_has_its_children_in_it() -> None:
    """What a child has worked counts with its parent, while it lives and after."""
    busy = "import time; [None for _ in iter(lambda: time.process_time() < 0.1, False)]"
    both = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}]); print(); input()"
    with subprocess.Popen([sys.executable, "-c", both], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        assert cpu_s([parent.pid]) >= 0.1 - 2 / TICKS_A_SECOND
        parent.communicate(b"\n")
    assert cpu_s([parent.pid]) == 0


def test_the_options_of_the_meters_bench_are_read() -> None:
    """The defaults are what is to be shown; `--only headway --rates 80` is a quick look."""
    assert meter_bench.arguments([]).rates == (10, 80, 1000)
    options = meter_bench.arguments(["--only", "headway", "--rates", "80", "--waiting", "10,1000"])
    assert (options.only, options.rates, options.waiting) == (["headway"], (80,), (10, 1000))
