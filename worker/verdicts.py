"""What follows from what the provider, or the lease, said of a row?

What kind of fault an outcome is, is said here; what follows from each stands in one table, `delivery.retries`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from delivery.retries import TABLE, Fault, Number, Reaction
from delivery.settle import Settlement
from delivery.states import State
from headway.errors import InvalidMessage
from headway.message import checked
from priorities.table import class_of_step
from providers.base import Row
from providers.outcomes import Outcome, Verdict
from scheduler.decisions import LeasedRow

_SENT = Reaction(State.SENT)
#: What a lease says of a row that a cap lets go, before the cap.
CAPPED = "capped: "

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
        elif row.verdict.startswith(CAPPED):
            reason = "more than " + row.verdict.removeprefix(CAPPED)
            decided.append(Settlement(row.id, State.CAPPED, left=False, code="capped", reason=reason))
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
    """Return what is recorded of an outcome."""
    fault = fault_of(outcome)
    follows = TABLE[fault] if fault else _SENT
    return Settlement(
        outcome.row_id,
        follows.state,
        left=outcome.left and follows.burns,
        # A provider that says how long to leave this row alone is believed, unless our own pause is longer.
        retry_ms=max(follows.pause // timedelta(milliseconds=1), outcome.retry_after_ms) if follows.pause else None,
        provider_id=outcome.provider_id,
        push_id=outcome.push_id,
        code=outcome.code,
        reason=outcome.reason,
    )


def fault_of(outcome: Outcome) -> Fault | None:
    """Say what went wrong with a try; None: nothing."""
    if outcome.verdict is Verdict.SENT:
        return None
    if outcome.verdict is not Verdict.RETRY:
        return Fault.REFUSED if outcome.verdict is Verdict.REFUSED else Fault.UNKNOWN
    if outcome.throttled or outcome.pause:
        return Fault.THROTTLED if outcome.throttled else Fault.STOPPED
    return Fault.NOT_NOW if outcome.left else Fault.UNREACHABLE


def stops(outcome: Outcome) -> bool:
    """Whether the number must stand still until a person resumes it."""
    fault = fault_of(outcome)
    return outcome.pause or (fault is not None and TABLE[fault].number is Number.PAUSES)


def _row(row: LeasedRow) -> Row:
    fields = checked(_read(row.body)[1])
    fields["class"] = class_of_step(row.step).value
    return Row(row.id, fields.get("to", ""), fields.get("text"), fields)
