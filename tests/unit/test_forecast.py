"""Does the forecast expect what comes, and learn when it changes?"""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.forecast import EVIDENCE_S, KINDS, NEAR, PRIOR_DELAY_US, PRIOR_SHARE, Expects, Forecast, unpack

SECOND = 1_000_000
START = 1_900_000_000 * SECOND
TPS_MILLI = 10_000
BOTH = Expects()


def told() -> Forecast:
    """Return the forecast of a number whose receipts were told of before."""
    return Forecast(at_us=START, told=True, told_groups=True)


def spans(most_us: int) -> st.SearchStrategy[int]:
    """Return spans of time, in microseconds."""
    return st.integers(0, most_us)


@given(st.lists(st.tuples(spans(20 * SECOND), st.integers(0, 20)), min_size=1, max_size=20))
def test_what_was_expected_and_what_is_expected_is_what_was_sent(steps: list[tuple[int, int]]) -> None:
    """No receipt is expected twice or never, however time is cut (shares aside, which learning moves)."""
    forecast, now, came, sent = Forecast(at_us=START), START, 0.0, 0
    silent = Expects(webhook=False)
    for dt, sends in steps:
        now += dt
        came += sum(forecast.advance(silent, now, TPS_MILLI, 0))
        forecast.send(sends)
        sent += sends
    still = forecast.expected(silent, 1e15)
    assert came + still == pytest.approx(sent * sum(PRIOR_SHARE), abs=1e-6)


@given(spans(60 * SECOND), st.integers(1, 50), st.integers(0, 1000))
def test_it_does_not_matter_how_time_is_cut(dt: int, sends: int, members: int) -> None:
    """One step or two: the same stages, the same shares."""
    whole, halves = told(), told()
    for forecast in (whole, halves):
        forecast.send(sends, 1, members)
    whole.advance(BOTH, START + dt, TPS_MILLI, 0)
    halves.advance(BOTH, START + dt // 2, TPS_MILLI, 0)
    halves.advance(BOTH, START + dt, TPS_MILLI, 0)
    for one, other in zip(whole.streams, halves.streams, strict=True):
        assert one.one == pytest.approx(other.one, abs=1e-6)
        assert one.many == pytest.approx(other.many, abs=1e-6)
        assert one.group_share == pytest.approx(other.group_share, rel=1e-9)


@given(st.lists(spans(100 * SECOND), min_size=2, max_size=8, unique=True).map(sorted), st.integers(1, 100))
def test_longer_horizons_expect_more(horizons: list[int], sends: int) -> None:
    """What comes within a time never shrinks as the time grows, and is never negative."""
    forecast = told()
    forecast.send(sends, 1, 256)
    comes = [forecast.expected(BOTH, us) for us in horizons]
    assert comes[0] >= 0
    assert all(early <= late + 1e-9 for early, late in pairwise(comes))


@given(st.lists(st.floats(0, 10), min_size=4, max_size=4), st.floats(0, 0.9), st.floats(0, 0.9))
def test_more_calm_never_lets_more_leave(staying: list[float], one: float, other: float) -> None:
    """Calm is a dial, and with nothing on its way the window alone decides."""
    forecast = told()
    forecast.send(10)
    few, many = sorted((one, other), reverse=True)
    stays = dict(zip(NEAR, staying, strict=True))
    fits = [forecast.fits(BOTH, stays, window_us=SECOND, events=10, calm=h) for h in (few, many)]
    assert fits[0] <= fits[1]
    assert told().fits(BOTH, stays, window_us=SECOND, events=10, calm=few) == max(0, math.floor(10 - max(staying)))


def test_a_number_that_was_never_told_of_a_receipt_expects_none_from_single_sends() -> None:
    """Nobody knows if its provider sends receipts; those of groups can't be switched off."""
    forecast = Forecast(at_us=START)
    forecast.send(100)
    assert forecast.expected(BOTH, 60 * SECOND) == 0
    forecast.send(0, 1, 256)
    assert forecast.expected(BOTH, 600 * SECOND) == pytest.approx(256 * sum(PRIOR_SHARE), rel=1e-6)


def test_receipts_that_do_not_use_the_allocation_are_not_expected() -> None:
    """Kinds that are switched off for single sends still come from groups."""
    forecast = told()
    forecast.send(100, 1, 256)
    only_delivered = Expects(single=(True, False))
    assert forecast.expected(only_delivered, 600 * SECOND) == pytest.approx(
        100 * 0.98 + 256 * sum(PRIOR_SHARE), rel=1e-6
    )
    assert forecast.expected(Expects((False, False), (False, False)), 600 * SECOND) == 0


def test_untold_receipts_are_owed() -> None:
    """Without an event webhook they are charged when they are expected, and what they leave undone is the debt."""
    forecast = Forecast(at_us=START)
    silent = Expects(webhook=False)
    forecast.send(100)
    behind = forecast.at_lease(silent, START + SECOND, window_us=SECOND, tps_milli=TPS_MILLI, inbound=0, spent=100)
    assert forecast.owed == pytest.approx(100 * (1 - 8.5 * math.exp(-3)) * 0.98, rel=0.05)
    assert behind == pytest.approx(100 + forecast.owed - 10, abs=1e-6)


def test_a_silent_container_that_idles_is_not_behind() -> None:
    """What webhooks say outweighs what was expected: with less than TPS in the window, the container has caught up."""
    forecast = told()
    forecast.behind = 300.0
    assert forecast.at_lease(BOTH, START, window_us=SECOND, tps_milli=TPS_MILLI, inbound=0, spent=2) == 0
    assert forecast.behind == 5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("share", "delay_s"), [(0.9, 1.0), (0.3, 3.0), (0.05, 0.4)])
def test_it_learns_a_step_within_a_minute(kind: str, share: float, delay_s: float) -> None:
    """Share within 0.15, delay within a third, after a minute of four sends a second that behave otherwise."""
    forecast, stream = told(), KINDS.index(kind)
    chance = random.Random(7)
    coming: list[tuple[int, int]] = []
    for now in range(START, START + 90 * SECOND, SECOND // 4):
        for at in [pair for pair in coming if pair[0] <= now]:
            coming.remove(at)
            forecast.advance(BOTH, at[0], 1000 * TPS_MILLI, 0)
            forecast.hear(kind, at[1], group=False, tps_milli=TPS_MILLI)
        forecast.advance(BOTH, now, 1000 * TPS_MILLI, 0)
        forecast.send(1)
        if chance.random() < share:
            delay = round(chance.lognormvariate(math.log(delay_s), 0.5) * SECOND)
            coming.append((now + delay, delay))
            coming.sort()
    found = forecast.streams[stream]
    assert found.share == pytest.approx(share, abs=0.15)
    if share > 0.2:
        assert found.delay_us == pytest.approx(delay_s * 1.13 * SECOND, rel=1 / 3)


def test_a_burst_of_evidence_moves_it_no_faster_than_a_quarter_of_a_minute() -> None:
    """At hundreds of sends a second 60 receipts are nothing."""
    forecast = told()
    forecast.send(1000)
    assert forecast.streams[0].evidence() == pytest.approx(EVIDENCE_S * 1000 * SECOND / PRIOR_DELAY_US[0])


def test_groups_are_learned_of_by_themselves() -> None:
    """A group that is 20 and not 256 is known for it after a few sends."""
    forecast, now = told(), START
    for _ in range(10):
        forecast.send(0, 1, 256)
        for _ in range(20):
            now += SECOND
            forecast.advance(BOTH, now, TPS_MILLI, 0)
            forecast.hear("delivered", None, group=True, tps_milli=TPS_MILLI)
    assert forecast.streams[0].group_share * 256 == pytest.approx(20, rel=0.5)
    assert forecast.streams[0].share == pytest.approx(PRIOR_SHARE[0])


def test_it_is_kept_to_the_digit() -> None:
    """What a script wrote is what the model reads."""
    forecast = told()
    forecast.send(3, 1, 200)
    forecast.advance(BOTH, START + 12345, TPS_MILLI, 4)
    assert unpack(forecast.pack()) == forecast


def test_a_clock_that_was_set_back_lets_no_time_pass() -> None:
    """And it goes on from there."""
    forecast = told()
    forecast.send(10)
    before = forecast.expected(BOTH, 3600 * SECOND)
    forecast.advance(BOTH, START - 3600 * SECOND, TPS_MILLI, 0)
    assert forecast.at_us == START - 3600 * SECOND
    assert forecast.expected(BOTH, 3600 * SECOND) == pytest.approx(before)
