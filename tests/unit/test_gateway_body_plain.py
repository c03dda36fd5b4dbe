"""Does the quick way to read a body give what the careful one gives, and leave every doubt to it?"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.body import parse_object
from gateway.problems import BadRequest

#: Texts in which colons, quotes and spaces are likely.
TEXTS = st.text(alphabet='ab :"\\{},\n\u00a0é🙏', max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


def outcome(body: bytes, deepest: int | None) -> object:
    """Read a body; a refusal is its message."""
    try:
        return parse_object(body, deepest=deepest)
    except BadRequest as refused:
        return refused.message


@given(st.dictionaries(TEXTS, VALUES, max_size=4), st.sampled_from([(",", ":"), (", ", " : ")]), st.booleans())
def test_the_quick_way_reads_what_the_careful_one_reads(
    value: dict[str, Any], separators: tuple[str, str], ascii_: bool
) -> None:
    """Any object, however it is written: the same value, types included, or the same refusal."""
    body = json.dumps(value, separators=separators, ensure_ascii=ascii_).encode()
    assert repr(outcome(body, 32)) == repr(outcome(body, None))


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2}',
        b'{"a" : 1, "a" : 2}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":1,"a ":2}',
        b'{"x":{"b":1,"b":1}}',
        b'{"x":[{"b":1},{"b":1,"b":":"}]}',
        b'{"a":":","a":1}',
    ],
)
def test_no_key_gets_through_twice(body: bytes) -> None:
    """Spaces, escapes, and colons in texts don't hide the second one."""
    with pytest.raises(BadRequest, match="twice"):
        parse_object(body)


@pytest.mark.parametrize(("levels", "taken"), [(32, True), (33, False)])
@pytest.mark.parametrize("text", ['"x"', '"x:y"'])
def test_both_ways_allow_the_same_depth(levels: int, text: str, *, taken: bool) -> None:
    """The bound is the same, whichever way a body takes."""
    body = (b'{"a":' * levels) + text.encode() + b"}" * levels
    assert isinstance(outcome(body, 32), dict) is taken
