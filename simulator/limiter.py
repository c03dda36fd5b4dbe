"""What would the same minute have been under a plain limiter, which counts only what it sends?

In simulated time: a minute takes milliseconds.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from simulator.conditions import Conditions
from simulator.container import Container
from simulator.judge import NumberVerdict, judge
from simulator.record import Record

_MICROSECOND: Final = timedelta(microseconds=1)


def outbound_only(conditions: Conditions, *, duration: timedelta, sends: int | None = None) -> Record:
    """Send evenly, TPS a second, and look at nothing else; return what the number saw, from moment 0 to `duration`.

    `sends` is how many there are to send; None: more than fit. People write as they do under the same conditions with
    any other sender. Webhooks are answered at once. Raises ValueError when the duration isn't positive.
    """
    end_us = duration // _MICROSECOND
    if end_us <= 0:
        raise ValueError("the duration must be longer than nothing")
    container = Container(conditions, record=Record(most=10**9))
    turn = 0
    while (at_us := round(turn * 1_000_000 / conditions.tps)) < end_us and (sends is None or turn < sends):
        container.send(at_us, number="15555550100", reference=str(turn))
        turn += 1
    for event in container.worked_off(to_us=end_us):
        event.told_us = event.turn_us
    return container.record


def judge_outbound_only(conditions: Conditions, *, duration: timedelta, sends: int | None = None) -> NumberVerdict:
    """Return the verdict on `outbound_only`. Raises ValueError when the duration isn't positive."""
    return judge(outbound_only(conditions, duration=duration, sends=sends).events, tps=conditions.tps)
