"""Does the bench of the budget compare senders fairly, and say so when a bound is missed?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench import _budget_checks as checks
from bench._budget_conditions import GAMMA, Scene, judging, sweep, tuning
from bench._budget_curves import Curves, Point
from bench._budget_measures import Figures, live
from bench._budget_oracle import Oracle, schedule
from bench._budget_policies import OutboundOnly, WindowAndDebt
from bench._budget_sweep import Cell

SCENE = Scene(inbound="steady", seconds=60, seed=7)


def figures(**changed: Any) -> Figures:
    """Figures of a calm run."""
    calm = Figures(
        inbound_lost=0, behind_max_s=0.4, behind_p99_s=0.3, over_share=0.1, into_full=0, sends=100, weight=100,
        used=0.9, requests_most=80,
    )  # fmt: skip
    return replace(calm, **changed)


def cell(headway: Figures, oracle: Figures) -> Cell:
    """A cell of the sweep."""
    return Cell(SCENE, {"Headway": headway, "oracle": oracle})


def point(sends: float, over: float, **changed: Any) -> Point:
    """A point of a curve."""
    calm = Point(
        free=0.1, sends=sends, over=over, behind_p99_s=0.3, behind_max_s=0.5, inbound_lost=0, into_full=0,
        requests_most=80,
    )  # fmt: skip
    return replace(calm, **changed)


def curves(*headway: Point, situation: str = "steady", scene: Scene = SCENE) -> Curves:
    """Curves whose plain side goes from half of the sends at 10 % over TPS to all of them at 50 %."""
    return Curves(situation, scene, headway, (point(1.0, 0.5), point(0.5, 0.1)), 0)


def of_curve(found: Curves) -> checks.Check:
    """What the first check says of a curve."""
    return checks.of_curves([found], tolerance=0.01)[0]


# ------------------------------------------------------------------------------------------------------------- senders


def test_an_outbound_limiter_sends_tps_and_drowns_the_number() -> None:
    """It keeps its own rate, and the container falls behind by what else comes."""
    seen = live(SCENE, OutboundOnly(SCENE))
    assert seen.sends == 10 * 60
    assert seen.behind_max_s > 30


def test_window_and_debt_keeps_the_number_near_its_tps() -> None:
    """It sends less with more headroom, and never into a second that it knows to be full."""
    free, careful = (live(SCENE, WindowAndDebt(SCENE, headroom)) for headroom in (0.0, 0.3))
    assert free.sends > careful.sends > 0
    assert free.over_share > careful.over_share
    assert free.into_full == careful.into_full == 0
    assert free.used == pytest.approx(1, abs=0.06)


def test_a_request_quota_is_kept_by_all_plain_senders() -> None:
    """Rows share requests; no minute has more than the provider takes."""
    scene = replace(SCENE, batch=30, seconds=120)
    for sender in (OutboundOnly(scene), WindowAndDebt(scene), Oracle(scene)):
        assert live(scene, sender).requests_most <= 30


# -------------------------------------------------------------------------------------------------------------- oracle


def test_the_oracle_keeps_half_a_second_and_nobody_who_does_sends_more() -> None:
    """Without inbound messages nothing forces it over the bound, and it uses nearly every transaction."""
    scene = replace(SCENE, inbound="none", seconds=120)
    best = live(scene, Oracle(scene))
    assert best.behind_max_s <= 0.5 + 1 / scene.tps
    assert best.used > 0.97
    calm = live(scene, WindowAndDebt(scene, 0.3))
    assert calm.behind_max_s < 1
    assert calm.sends < best.sends


def test_the_oracle_loses_no_inbound_message_and_sends_between_bursts() -> None:
    """It knows of the bursts and leaves them their room."""
    scene = replace(SCENE, inbound="bursts", seconds=180)
    best = live(scene, Oracle(scene))
    assert best.inbound_lost == 0
    assert best.used > 0.9


def test_the_oracle_sends_to_a_group_when_it_must() -> None:
    """A group brings more than half a second of work; only its own is let through."""
    scene = replace(SCENE, inbound="none", members=64, seconds=120)
    best = live(scene, Oracle(scene))
    assert best.sends > 25
    assert 0.5 < best.behind_max_s < 2 * 64 / scene.tps


def test_the_oracle_waits_while_nothing_is_there_to_send() -> None:
    """No request of its schedule lies in a pause."""
    scene = replace(SCENE, asleep_s=((20, 40),))
    assert not [at for at, _ in schedule(scene) if 20_000_000 <= at < 40_000_000]


# -------------------------------------------------------------------------------------------------------- sets, checks


def test_tuning_and_judging_share_neither_seeds_nor_behaviours() -> None:
    """What is judged was never seen by what was tuned."""
    tuned = tuning()
    for judged in (judging("gamma"), judging("two-humped")):
        assert not set(tuned.seeds) & set(judged.seeds)
        assert not {tuned.behaviour, tuned.other} & {judged.behaviour, judged.other}
        names = [scene.name for scene in judged.scenes(1)]
        assert names == [scene.name for scene in tuned.scenes(1)]
        assert len(set(names)) == len(names)


def test_the_sweep_has_every_combination() -> None:
    """4 TPS x 3 receipts x 4 courses x 2 kinds of groups."""
    scenes = list(sweep(GAMMA, seed=1, events=1000))
    assert len({(s.tps, s.receipts, s.inbound, s.members) for s in scenes}) == len(scenes) == 96


def test_a_sweep_that_reached_everything_holds() -> None:
    """All three bounds are kept."""
    assert all(check.held for check in checks.of_sweep([cell(figures(weight=96), figures())]))


@pytest.mark.parametrize(
    ("seen", "bound"),
    [({"inbound_lost": 1}, 0), ({"into_full": 1}, 1), ({"weight": 94}, 2)],
)
def test_a_sweep_says_which_bound_was_missed(seen: dict[str, float], bound: int) -> None:
    """Each bound is missed by itself, and is told as such."""
    found = checks.of_sweep([cell(figures(**seen), figures())])
    assert [check.held for check in found] == [index != bound for index in range(3)]
    assert found[bound].told().startswith("MISSED")


def test_messages_that_the_oracle_loses_too_could_not_be_saved() -> None:
    """Where inbound and receipts alone don't fit, a loss is nobody's."""
    assert checks.of_sweep([cell(figures(inbound_lost=5), figures(inbound_lost=3))])[0].held


def test_a_curve_is_compared_at_the_same_sends() -> None:
    """Between the plain side's points straight; left of them at the calmest."""
    found = curves(point(0.75, 0.25), point(0.4, 0.12))
    assert found.gaps() == [pytest.approx(0.05), pytest.approx(-0.02)]
    assert not of_curve(found).held


def test_more_sends_than_the_plain_side_reaches_are_no_fault() -> None:
    """There is nothing to compare them with; the check says how many there were."""
    found = of_curve(curves(point(1.2, 0.9), point(0.75, 0.25)))
    assert found.held
    assert "1 points have more sends" in found.seen


def test_where_looking_ahead_must_pay_an_equal_curve_is_not_enough() -> None:
    """The same curve holds in the steady state, and is a miss with groups."""
    assert of_curve(curves(point(0.75, 0.3))).held
    assert not of_curve(curves(point(0.75, 0.3), situation="groups")).held


def test_a_quota_that_was_broken_is_a_miss() -> None:
    """One request more than the provider takes."""
    found = checks.of_curves([curves(point(0.75, 0.2, requests_most=91), scene=replace(SCENE, batch=90))], tolerance=0)
    assert [check.bound for check in found if not check.held] == ["steady: at most 90 requests in any minute"]
