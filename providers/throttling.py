"""What does a provider ask for when it says "not so fast"?"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from email.utils import parsedate_to_datetime

from providers.outcomes import Outcome, Verdict
from providers.wire import Answer

#: Longer pauses aren't taken over from an answer: it may be a slip, and nothing would leave for that long.
LONGEST = timedelta(minutes=15)


def retry_after(answer: Answer) -> timedelta:
    """Return the pause that an answer's Retry-After asks for (RFC 9110, 10.2.3), at most LONGEST.

    It is a number of seconds, or a date, which counts from the answer's own. Nothing for what is neither, or over.
    """
    text = answer.retry_after.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return min(timedelta(seconds=int(text)), LONGEST)
    try:
        pause = parsedate_to_datetime(text) - parsedate_to_datetime(answer.date)
    except (ValueError, TypeError):  # no dates, or one with a zone and one without
        return timedelta()
    return min(max(pause, timedelta()), LONGEST)


def throttled(outcomes: Iterable[Outcome], pause: timedelta) -> list[Outcome]:
    """Mark the rows that were not accepted as throttled, with the pause that the provider asked for."""
    pause_ms = pause // timedelta(milliseconds=1)
    return [
        outcome if outcome.verdict is Verdict.SENT else replace(outcome, throttled=True, retry_after_ms=pause_ms)
        for outcome in outcomes
    ]
