"""Do the benches judge what they measured as their words say?"""

from __future__ import annotations

import pytest

from bench._figures import BLIND_US, MeterLog, Run, broken, judged, table, used_share
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
        "headway", "1", "10", "40 of 40", "10", "10", "0.00%", "0.0%", "100.0%", "yes",
    ]  # fmt: skip
    assert [cell.strip() for cell in theirs.strip("|").split("|")][3:5] == ["40 of 80", ""]
    assert theirs.strip("| ").endswith("no")


def test_the_options_are_read_as_lists() -> None:
    """`--rates 10,80 --processes 1` runs two rates with one process each."""
    options = arguments(["--rates", "10,80", "--processes", "1"])
    assert (options.rates, options.processes, options.seconds) == ((10, 80), (1,), 20.0)
