"""What follows from what the provider, or the lease, said of a row?

Policy per outcome in one table: the record it settles to. How often and how long something is tried again stands in
`delivery.settle`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from delivery.settle import Settlement
from delivery.states import State
from headway.errors import InvalidMessage
from headway.message import checked
from priorities.table import class_of_step
from providers.base import Row
from providers.outcomes import Outcome, Verdict
from scheduler.decisions import LeasedRow

#: First pause before another try; it doubles with each attempt.
RETRY_MS = 5_000

STATE_OF = {
    Verdict.SENT: State.SENT,
    Verdict.RETRY: State.DEFERRED,
    Verdict.REFUSED: State.DEAD,
    Verdict.UNCERTAIN: State.UNCERTAIN,
}


#: One decoder for all: `json.loads` looks at its options anew for each text.
_read: Callable[[str], Any] = json.JSONDecoder().decode


@dataclass(frozen=True, slots=True)
class Plan:
    """Rows of a lease that may be sent, and the settlements of those that may not."""

    send: tuple[Row, ...]
    decided: tuple[Settlement, ...]


def plan(rows: tuple[LeasedRow, ...]) -> Plan:
    """Check what strangers put on the lanes; what can't be sent is dead, with the field and the problem."""
    send: list[Row] = []
    decided: list[Settlement] = []
    for row in rows:
        if row.verdict == "expired":
            decided.append(Settlement(row.id, State.EXPIRED, left=False))
        elif row.verdict != "send":
            reason = row.verdict.removeprefix("refused: ")
            decided.append(Settlement(row.id, State.DEAD, left=False, code="refused", reason=reason))
        else:
            try:
                send.append(_row(row))
            except InvalidMessage as problem:
                decided.append(Settlement(row.id, State.DEAD, left=False, code="invalid", reason=str(problem)))
    return Plan(tuple(send), tuple(decided))


def settlement(outcome: Outcome) -> Settlement:
    """Return what is recorded of an outcome.

    A throttled row goes back to the head of its lane: it was no attempt, nothing is wrong with it.
    """
    back = outcome.throttled and outcome.verdict is Verdict.RETRY
    return Settlement(
        outcome.row_id,
        State.WAITING if back else STATE_OF[outcome.verdict],
        left=outcome.left and not back,
        retry_ms=RETRY_MS if outcome.verdict is Verdict.RETRY and not back else None,
        provider_id=outcome.provider_id,
        push_id=outcome.push_id,
        code=outcome.code,
        reason=outcome.reason,
    )


def _row(row: LeasedRow) -> Row:
    fields = checked(_read(row.body)[1])
    fields["class"] = class_of_step(row.step).value
    return Row(row.id, fields.get("to", ""), fields.get("text"), fields)
