"""Is a provider's "not so fast" understood, and the pause that it asks for?"""

from __future__ import annotations

from datetime import timedelta

import pytest

from delivery.states import State
from providers.base import Row
from providers.outcomes import Verdict
from providers.picky_answer import read_answer
from providers.throttling import LONGEST, retry_after
from providers.wire import Answer
from worker.verdicts import settlement

ROWS = [Row("m0", "12025550101", "Hi", {}), Row("m1", "12025550102", "Hi", {})]
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("text", "date", "seconds"),
    [
        ("120", "", 120), (" 3 ", "", 3), ("0", "", 0), ("99999", "", 900), ("", "", 0), ("soon", DATE, 0),
        ("-5", DATE, 0),
        ("Sun, 06 Nov 1994 08:50:07 GMT", DATE, 30), ("Sun, 06 Nov 1994 08:00:00 GMT", DATE, 0),
        ("Mon, 07 Nov 1994 08:49:37 GMT", DATE, 900), ("Sun, 06 Nov 1994 08:50:07 GMT", "", 0),
        ("1.5", DATE, 0), ("²", DATE, 0),
    ],
)  # fmt: skip
def test_a_pause_is_seconds_or_a_date_and_never_longer_than_a_quarter_of_an_hour(
    text: str, date: str, seconds: int
) -> None:
    """A date counts from the answer's own, because clocks differ."""
    assert retry_after(Answer(429, b"", text, date)) == timedelta(seconds=seconds) <= LONGEST


@pytest.mark.parametrize(
    ("http_status", "body", "header", "verdict"),
    [
        (429, b"", "", Verdict.RETRY),
        (200, b'{"status": 429}', "", Verdict.RETRY),
        (200, b'{"status": 101, "message": "busy"}', "", Verdict.RETRY),
        (503, b"", "7", Verdict.RETRY),
        # A front server's 503 says nothing of what was done behind it.
        (503, b"", "", Verdict.UNCERTAIN),
    ],
)
def test_a_throttle_answer_is_known(http_status: int, body: bytes, header: str, verdict: Verdict) -> None:
    """What was certainly not taken goes back to its lane, as if it had never been tried."""
    for outcome in read_answer(ROWS, Answer(http_status, body, header)):
        assert (outcome.verdict, outcome.throttled) == (verdict, True)
        assert outcome.retry_after_ms == (7000 if header else 0)
        told = settlement(outcome)
        back = verdict is Verdict.RETRY
        assert (told.state, told.left) == ((State.WAITING, False) if back else (State.UNCERTAIN, True))


@pytest.mark.parametrize(("http_status", "body"), [(200, b'{"status": 401}'), (500, b""), (200, b'{"status": 404}')])
def test_other_refusals_slow_nothing(http_status: int, body: bytes) -> None:
    """A wrong token, a fault, a phone that is off."""
    assert not any(outcome.throttled for outcome in read_answer(ROWS, Answer(http_status, body)))


def test_an_id_says_that_a_row_was_taken_whatever_the_status() -> None:
    """It is never sent again for a status."""
    body = b'{"status": 429, "data": [{"number": "12025550101", "msg_id": "5"}]}'
    first, second = read_answer(ROWS, Answer(200, body))
    assert (first.verdict, second.verdict) == (Verdict.UNCERTAIN, Verdict.RETRY)
