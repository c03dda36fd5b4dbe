"""Is the table of states whole, and does settle keep to it?"""

from __future__ import annotations

import pytest

from delivery import states
from delivery.states import SETTLED, TRANSITIONS, State, may_come_from

FINAL = {State.READ, State.FAILED, State.EXPIRED, State.CAPPED, State.DISCARDED}


def test_every_state_is_in_the_table() -> None:
    """Each says what may follow it, if only nothing."""
    assert set(TRANSITIONS) == set(State)


def reachable(start: State) -> set[State]:
    """Walk the table."""
    seen: set[State] = set()
    todo = [start]
    while todo:
        state = todo.pop()
        if state not in seen:
            seen.add(state)
            todo += TRANSITIONS[state]
    return seen


def test_every_state_can_be_reached_from_waiting() -> None:
    """None is left over."""
    assert reachable(State.WAITING) == set(State)


@pytest.mark.parametrize("state", sorted(set(State)))
def test_every_message_comes_to_an_end(state: State) -> None:
    """From every state there is a way to a final one; final ones have no way out."""
    assert reachable(state) & FINAL
    assert (not TRANSITIONS[state]) == (state in FINAL)


def test_nothing_leaves_without_a_lease() -> None:
    """Only `sending` may become `uncertain`, and only `leased` may become `sending`; `sent` is what was sent, or what a
    receipt proves of a row that may have been tried before.
    """
    assert may_come_from(State.SENDING) == {State.LEASED}
    assert may_come_from(State.UNCERTAIN) == {State.SENDING}
    assert may_come_from(State.SENT) == {
        State.SENDING,
        State.UNCERTAIN,
        State.WAITING,
        State.DEFERRED,
        State.DEAD,
        State.CANCELLED,
    }


@pytest.mark.parametrize("state", sorted(SETTLED))
def test_what_a_settle_may_say_can_follow_what_a_lease_holds(state: State) -> None:
    """Each settled state may come from leased or sending."""
    assert may_come_from(state) & {State.LEASED, State.SENDING}


def test_the_drawing_shows_every_way() -> None:
    """One line for each transition, a start, and an end for each final state."""
    lines = states.mermaid().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> waiting"]
    ways = {(before, after) for before, follow in TRANSITIONS.items() for after in follow}
    assert {tuple(line.strip().split(" --> ")) for line in lines[2:]} == ways | {(state, "[*]") for state in FINAL}
