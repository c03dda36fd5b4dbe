"""Do the real scripts live through a scene of the bench of the budget?"""

from __future__ import annotations

from dataclasses import replace

from bench._budget_conditions import Scene
from bench._budget_headway import running
from bench._budget_measures import live

SCENE = Scene(inbound="steady", seconds=30, seed=7)


def test_headway_sends_through_a_scene_and_never_into_a_full_second() -> None:
    """Twice the same scene is twice the same run, since all time is the scene's; with groups in it too."""
    with running() as headway:
        seen = live(SCENE, headway(SCENE, 0.1))
        again = live(SCENE, headway(SCENE, 0.1))
        groups = replace(SCENE, members=16)
        with_groups = live(groups, headway(groups, 0.1))
    assert seen == again
    assert seen.sends > 60
    assert (seen.into_full, seen.inbound_lost) == (0, 0)
    assert (with_groups.into_full, with_groups.inbound_lost) == (0, 0)
    assert 25 <= with_groups.sends < seen.sends, "the first row to a group is the 25th"


def test_with_nothing_left_free_the_container_stays_near() -> None:
    """The brake sees our sends in its queue: nearly all of TPS is used, and never a second and a half behind."""
    scene = replace(SCENE, inbound="none", seconds=60)
    with running() as headway:
        seen = live(scene, headway(scene, 0.0))
    assert seen.used > 0.95
    assert seen.behind_max_s < 1.5
    assert seen.into_full == 0


def test_batches_use_the_tps_though_receipts_come() -> None:
    """At most 90 requests a minute, each send with its receipts: nine tenths and more are used."""
    scene = replace(SCENE, batch=90, seconds=90)
    with running() as headway:
        seen = live(scene, headway(scene, 0.0))
    assert seen.used > 0.93
    assert seen.requests_most <= 90
    assert seen.into_full == 0
