"""Which states does a message have, and which may follow which?

The table is the whole truth: settle hands it to its script, the tests walk it, and ARCHITECTURE.md draws it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """What became of a message."""

    #: On its lane.
    WAITING = "waiting"
    #: May leave now: taken from its lane and charged.
    LEASED = "leased"
    #: Begun: the provider may have it.
    SENDING = "sending"
    #: Parked until a time.
    DEFERRED = "deferred"
    #: We don't know whether the provider took it.
    UNCERTAIN = "uncertain"
    #: The provider accepted it.
    SENT = "sent"
    #: It reached the recipient's phone.
    DELIVERED = "delivered"
    #: The recipient saw it.
    READ = "read"
    #: The provider took it and gave it up later.
    FAILED = "failed"
    #: Its time passed before it could leave.
    EXPIRED = "expired"
    #: Too much for its contact in a while: let go by a cap (HEADWAY_CAPS), never sent.
    CAPPED = "capped"
    #: Given up; kept for a person, who can retry it.
    DEAD = "dead"
    #: A person let it go.
    DISCARDED = "discarded"
    #: A person or an app took it back before it left.
    CANCELLED = "cancelled"


S = State

#: What a receipt proves of a row that waits to be tried again: it was sent after all.
_PROVEN = frozenset({S.SENT, S.DELIVERED, S.READ})

#: State -> the states that may follow it.
TRANSITIONS: Mapping[State, frozenset[State]] = {
    S.WAITING: frozenset({S.LEASED, S.DEFERRED, S.CANCELLED}) | _PROVEN,
    S.LEASED: frozenset({S.SENDING, S.WAITING, S.DEFERRED, S.EXPIRED, S.CAPPED, S.DEAD, S.CANCELLED}),
    S.SENDING: frozenset({S.SENT, S.DEFERRED, S.UNCERTAIN, S.DEAD, S.WAITING}),
    S.DEFERRED: frozenset({S.WAITING, S.CANCELLED}) | _PROVEN,
    S.UNCERTAIN: frozenset({S.WAITING, S.DEFERRED, S.FAILED, S.DEAD, S.DISCARDED, S.CANCELLED}) | _PROVEN,
    S.SENT: frozenset({S.DELIVERED, S.READ, S.FAILED}),
    S.DELIVERED: frozenset({S.READ, S.FAILED}),
    S.READ: frozenset(),
    S.FAILED: frozenset(),
    S.EXPIRED: frozenset(),
    S.CAPPED: frozenset(),
    S.DEAD: frozenset({S.WAITING, S.DISCARDED}) | _PROVEN,
    S.DISCARDED: frozenset(),
    # Taken back, but a try before that had reached the provider after all.
    S.CANCELLED: _PROVEN,
}

#: What a settle may make of a row that its lease still holds, or of one that is uncertain by now.
SETTLED = frozenset({S.SENT, S.DEFERRED, S.UNCERTAIN, S.DEAD, S.WAITING, S.EXPIRED, S.CAPPED})


def may_come_from(state: State) -> frozenset[State]:
    """Return the states from which this one may follow."""
    return frozenset(before for before, after in TRANSITIONS.items() if state in after)


def mermaid() -> str:
    """Draw the table as Mermaid text."""
    lines = ["stateDiagram-v2", "    [*] --> waiting"]
    for before, after in TRANSITIONS.items():
        lines += [f"    {before} --> {state}" for state in State if state in after]
        if not after:
            lines.append(f"    {before} --> [*]")
    return "\n".join(lines)
