"""What follows from what a lease, or the provider, said of a row?"""

from __future__ import annotations

from dataclasses import replace

from delivery.retries import TABLE, Fault
from delivery.states import State
from providers.outcomes import Outcome, Verdict
from scheduler.decisions import LeasedRow
from worker.verdicts import plan, settlement

BODY = '[[],{"to":"393331234567","text":"hi"},{}]'


def test_what_a_cap_lets_go_is_recorded_with_the_cap() -> None:
    """It never left, and nobody tries it again."""
    found = plan((LeasedRow("a", 6, "capped: tag:offline=1/3600", BODY), LeasedRow("b", 6, "send", BODY)))
    (capped,) = found.decided
    assert (capped.message_id, capped.state, capped.left) == ("a", State.CAPPED, False)
    assert (capped.code, capped.reason) == ("capped", "more than tag:offline=1/3600")
    assert [row.id for row in found.send] == ["b"]


def test_what_has_expired_is_recorded_as_that() -> None:
    """Without a send."""
    (expired,) = plan((LeasedRow("a", 0, "expired", BODY),)).decided
    assert (expired.state, expired.left) == (State.EXPIRED, False)


def test_a_provider_that_says_how_long_is_believed() -> None:
    """The row is deferred for so long, but never for less than our own pause."""
    outcome = Outcome("a", Verdict.RETRY, left=True)
    own = settlement(outcome)
    pause = TABLE[Fault.NOT_NOW].pause
    assert own.state is State.DEFERRED
    assert pause
    assert own.retry_ms == pause.total_seconds() * 1000
    assert settlement(replace(outcome, retry_after_ms=600_000)).retry_ms == 600_000
    assert settlement(replace(outcome, retry_after_ms=1)).retry_ms == own.retry_ms
