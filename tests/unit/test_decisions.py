"""Is the answer of the lease script read as it was meant?"""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.decisions import Because, Grant, LeasedRow, Refuse, Wait
from scheduler.leases import Begun, begun, decision


def test_a_grant() -> None:
    """Four parts for each row; times and the charge are numbers."""
    reply = [b"grant", 5, 9, 1, 7, b"a", b"0", b"send", b"[[],{},{}]", b"b", b"9", b"refused: body: \xc3\xbc", b"null"]
    assert decision(reply) == Grant(
        5, 9, 1, (LeasedRow("a", 0, "send", "[[],{},{}]"), LeasedRow("b", 9, "refused: body: ü", "null")), 7
    )


@pytest.mark.parametrize("because", list(Because))
def test_a_wait(because: Because) -> None:
    """Every reason that a script may give has a name."""
    assert decision([b"wait", 5, 0, because.value.encode()]) == Wait(5, 0, because)


def test_a_refusal() -> None:
    """It says why."""
    assert decision([b"refuse", 5, b"paused"]) == Refuse(5, "paused")


@pytest.mark.parametrize(
    "reply", [[], [b"wait", 5, 0, b"no such reason"], [b"grant"], [b"maybe", 1, 2, 3], [b"wait", b"x", 0, b"pace"]]
)
def test_what_the_script_does_not_answer_is_an_error(reply: list[Any]) -> None:
    """Never taken for a grant."""
    with pytest.raises(ValueError, match=r"."):
        decision(reply)


@pytest.mark.parametrize("word", list(Begun))
def test_begin_answers_one_word(word: Begun) -> None:
    """And only BEGUN may send."""
    assert begun(word.value.encode()) is word


def test_begin_answers_nothing_else() -> None:
    """An unknown word is an error, never a begin."""
    with pytest.raises(ValueError, match="maybe"):
        begun(b"maybe")
