"""Is what never left given back, whatever the meter has forgotten meanwhile?"""

from __future__ import annotations

from tests.scripts.stage import Stage


def test_two_leases_are_given_back_after_the_debt_of_the_first_was_drained(stage: Stage) -> None:
    """The second refund finds no debt left to take from, and takes none."""
    stage.push("a", "b")
    assert stage.ids("first") == ["a"]
    stage.later(ms=500)
    assert stage.ids("second") == ["b"]
    assert stage.end("second").what == "returned"
    assert stage.end("first").what == "returned"
    assert stage.waiting("normal") == ["a", "b"]
    assert (stage.meter()["backlog"], stage.meter()["send"], stage.meter()["window"]) == (0, 0, 0)
