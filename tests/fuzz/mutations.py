"""How does a good body go bad? Its values, its keys, its nesting, its text and its bytes are changed, a few at a time.

A body is a tree of `Pairs`, lists and plain values. Unlike a dictionary, pairs may name a key twice, and `Raw` stands
for text that no JSON writer would write.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

#: As deep as Python's own reader goes, and deeper.
_DEEP = (31, 32, 33, 500, 5_000, 100_000)
_TEXTS = (
    "", " ", "\x00", "a\x00b", "\n", "\r\n", "\u200b", "\ufeff", "٣٩٣", "²", "é" * 700, "\U0001f4a5", "x" * 129,
    "x" * 4_097, "x" * 70_000, "-1", "0", "00", "1e3", "null", "+39 333", "15555550101", "121", "%00", "../..",
    "'; --", "{{7*7}}", "${x}", "\x06\x16", "headway:serial", "http://127.0.0.1:1/x.jpg", "file:///etc/passwd",
)  # fmt: skip
#: In bytes: longer ones say nothing new, and can't be shown.
_LONGEST = 256 * 1024
#: Text of a JSON value that a writer of JSON doesn't make.
_RAW = (
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1E400", "01", "+1", ".5", "1.", "-", "0x10", "True",
    "undefined", "'x'", "9" * 400, "9" * 5_000, "1" + "0" * 400 + ".0", "0." + "1" * 5_000, r'"\ud800"', r'"\u0000"',
    r'"\udc00\ud800"', r'"\x00"', '"\x01"', '"\t"', '"open', "[", "{", "]", "}", "", "//x", "/* x */ 1", "1,", ",",
    '{"a":1,"a":2}', "[1,]",
)  # fmt: skip
_NUMBERS = (0, 1, -1, 2, 100, 101, 2**31, 2**53, 2**53 + 1, 2**63, 2**64, 10**30, -(2**63), 0.5, -0.0, 1e-320, 1e308)
_NAMES = (
    "token", "application", "data", "number", "priority", "priority ", "group_id", "group_members", "location",
    "send_at", "expires_in", "event_id", "direction", "unique-id", "status", "msg_id", "key", "", " ", "__proto__",
    "\ud800", "é", "x" * 9000,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Raw:
    """Text that stands in the body as it is."""

    text: str


class Pairs(list[Any]):
    """A JSON object as a list of [name, value]."""


def tree(value: Any) -> Any:
    """Return a JSON value as a tree that can be changed."""
    if isinstance(value, dict):
        return Pairs([name, tree(inner)] for name, inner in value.items())
    return [tree(inner) for inner in value] if isinstance(value, list) else value


def render(value: Any) -> str:
    """Return a tree's text."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{json.dumps(name)}: {render(inner)}" for name, inner in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(render, value)) + "]"
    return json.dumps(value)


def _nested(depth: int) -> st.SearchStrategy[Any]:
    texts = ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth, "[" * depth, '{"a":[' * depth)
    return st.sampled_from(texts).map(Raw)


#: A value that stands where another one should.
junk = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(_NUMBERS),
    st.sampled_from(_TEXTS),
    st.sampled_from(_RAW).map(Raw),
    st.sampled_from(_DEEP).flatmap(_nested),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=40),
    st.recursive(st.none() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=6),
    st.dictionaries(st.text(max_size=5) | st.sampled_from(_NAMES), st.text(max_size=5), max_size=3).map(tree),
)


@st.composite
def bodies(draw: st.DrawFn, seeds: Sequence[Any]) -> bytes:
    """Draw the bytes of a body: one of the good ones, with up to four changes of its tree and one of its bytes."""
    body = tree(copy.deepcopy(draw(st.sampled_from(seeds))))
    for _ in range(draw(st.integers(0, 4))):
        body = _changed(draw, body)
    return draw(_damaged(render(body)))[:_LONGEST]


def _changed(draw: st.DrawFn, body: Any) -> Any:
    """Return the tree with one change, at any place."""
    holders: list[list[Any]] = []
    _collect(body, holders)
    if not holders or draw(st.integers(0, 19)) == 0:
        return draw(junk)
    holder = draw(st.sampled_from(range(len(holders))).map(holders.__getitem__))
    if not holder:
        holder.append(["added", draw(junk)] if isinstance(holder, Pairs) else draw(junk))
        return body
    at = draw(st.integers(0, len(holder) - 1))
    draw(st.sampled_from(_IN_PAIRS if isinstance(holder, Pairs) else _IN_LISTS))(draw, holder, at)
    return body


def _collect(value: Any, holders: list[list[Any]]) -> None:
    if isinstance(value, list):
        holders.append(value)
        for inner in value:
            _collect(inner[1] if isinstance(value, Pairs) else inner, holders)


def _other_value(draw: st.DrawFn, pairs: list[Any], at: int) -> None:
    pairs[at][1] = draw(junk)


def _other_name(draw: st.DrawFn, pairs: list[Any], at: int) -> None:
    name = pairs[at][0]
    pairs[at][0] = draw(
        st.sampled_from([*_NAMES, f" {name}", f"{name}\t", name.upper(), f"{name}x"]) | st.text(max_size=9)
    )


def _again(draw: st.DrawFn, pairs: list[Any], at: int) -> None:
    name, value = pairs[at]
    pairs.insert(
        draw(st.integers(0, len(pairs))), [draw(st.sampled_from([name, f"{name} "])), draw(st.just(value) | junk)]
    )


def _one_more(draw: st.DrawFn, pairs: list[Any], at: int) -> None:
    pairs.append([draw(st.sampled_from(_NAMES)), draw(junk)])


def _gone(draw: st.DrawFn, holder: list[Any], at: int) -> None:
    del holder[at]


def _other_item(draw: st.DrawFn, items: list[Any], at: int) -> None:
    items[at] = draw(junk)


def _many(draw: st.DrawFn, items: list[Any], at: int) -> None:
    items.extend([items[at]] * draw(st.sampled_from((1, 2, 99, 100, 700))))


_Change = Callable[[st.DrawFn, list[Any], int], None]
_IN_PAIRS: tuple[_Change, ...] = (_other_value, _other_value, _other_name, _again, _one_more, _gone)
_IN_LISTS: tuple[_Change, ...] = (_other_item, _many, _gone)


@st.composite
def _damaged(draw: st.DrawFn, text: str) -> bytes:
    """Draw the bytes of a text: mostly plain UTF-8, else of another encoding, cut, or with other bytes in it."""
    plain = text.encode("utf-8", "surrogatepass")
    how = draw(st.integers(0, 29))
    if how < len(_ENCODINGS):
        return text.encode(_ENCODINGS[how], "replace")
    at = draw(st.integers(0, len(plain))) if how in (10, 11, 12) else 0
    if how == 10:
        return plain[:at]
    if how in (11, 12):
        return plain[:at] + draw(st.binary(min_size=1, max_size=4)) + plain[at + (how == 11) :]
    return draw(st.binary(max_size=64)) if how == 13 else plain


_ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "utf-7", "cp037")
