"""Is each of many webhooks counted once, whatever comes twice, late, in the wrong order, or about nothing of ours?"""

from __future__ import annotations

from collections import Counter

from bench._soak_webhooks import FORWARDED, flood, lap

MANY = 20_000


def test_a_lap_has_what_goes_wrong_in_it() -> None:
    """Repetitions, reads before their deliveries, strangers' receipts, late ones, and messages for an app."""
    made = lap(MANY, seed=0)
    counted = sum((kinds for kinds in made.counts.values()), Counter[str]())
    assert len(made.bodies) == MANY
    assert 0.1 * MANY < MANY - counted.total() < 0.15 * MANY  # repeated
    assert len(made.inbound) == made.counts[FORWARDED]["inbound"] > 0
    assert counted["delivered"] > counted["read"] == len(made.messages)
    at: dict[tuple[str, int], int] = {}
    for place, body in enumerate(made.bodies):
        if body.get("data"):
            at.setdefault((body["data"][0]["reference_number"], body["data"][0]["status"]), place)
    gaps = [at[message, 3] - at[message, 1] for message in made.messages]
    assert sum(gap < 0 for gap in gaps) > 0.2 * len(gaps)
    assert max(map(abs, gaps)) > 0.5 * MANY


def test_many_webhooks_are_counted_once_each() -> None:
    """All are answered 200; the meters, the records, the app's list and the claims are as what was sent."""
    (seen,) = flood(MANY, 1)
    assert seen.wrong == []
