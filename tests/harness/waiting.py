"""How does a test wait for another process without a blind sleep?

By asking again until it holds, with a bound, and by saying what it waited for when it never came.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")

#: Long enough for a loaded machine; a test that passes never waits this long.
PATIENCE = timedelta(seconds=20)

#: Between two looks.
PAUSE = timedelta(milliseconds=20)


def wait_until(
    predicate: Callable[[], T],
    *,
    description: str,
    timeout: timedelta = PATIENCE,
    every: timedelta = PAUSE,
    detail: Callable[[], str] = str,
) -> T:
    """Ask `predicate` until its answer is true, and return that answer.

    Args:
        predicate: asked at least once, and once more when the time is up.
        description: what is awaited, as in "the worker says that it is ready".
        timeout: at most this long.
        every: the pause between two questions.
        detail: asked when it failed: what helps to see why (the process's output, for one).

    Raises:
        AssertionError: it never held; the message says what, for how long, the last answer and the detail.

    """
    deadline = time.monotonic() + timeout.total_seconds()
    while True:
        late = time.monotonic() >= deadline
        answer = predicate()
        if answer:
            return answer
        if late:
            waited = f"waited {timeout.total_seconds():g} s for this: {description}; the last answer was {answer!r}"
            raise AssertionError("\n".join(filter(None, [waited, detail()])))
        time.sleep(every.total_seconds())
