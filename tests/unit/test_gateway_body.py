"""Does a stranger's body become an object, or an error that says what is wrong?"""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.requests import ClientDisconnect, Request

from gateway import body as body_module
from gateway.auth import Tokens, one_of
from gateway.body import parse_object, read, shown
from gateway.problems import BadRequest, TooLarge, Unavailable
from runtime.secret import Secret


def said(body: bytes) -> str:
    """Return why a body is refused."""
    with pytest.raises(BadRequest) as caught:
        parse_object(body)
    return caught.value.message


def test_keys_are_stripped_on_every_level() -> None:
    """Picky's own samples write `"priority "`, and clients copied them."""
    assert parse_object(b'{"priority ": 1, " data": [{"number ": "1"}]}') == {"priority": 1, "data": [{"number": "1"}]}


def test_a_byte_order_mark_is_no_fault() -> None:
    """Some editors and PHP clients put one before the JSON."""
    assert parse_object(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"{", "line 1, column 2"),
        (b"[]", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'{"a": 1, "a": 2}', "a: is there twice"),
        (b'{"a": 1, "a ": 2}', "a: is there twice"),
        (b'{"x": {"b": 1, "b": 2}}', "b: is there twice"),
        (b'{"a": "\xff"}', "not UTF-8: byte 8"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b'{"a": -Infinity}', "-Infinity is no JSON number"),
        (b'{"a": [-1e999]}', "-1e999 is too large a number"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too long"),
        (b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}", "32 levels"),
        (b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "nested too deeply"),
        (b'{"a": ' * 40 + b"1" + b"}" * 40, "32 levels"),
        (b"a=1&b=2", "not JSON"),
        (b'{"\x00": 1, "\x00": 2}', "not JSON"),
    ],
)
def test_a_bad_body_is_refused_with_a_reason(body: bytes, words: str) -> None:
    """Whatever a stranger sends, the answer says what is wrong with it, and where where that can be said."""
    assert words in said(body)


def test_nesting_up_to_the_bound_is_taken() -> None:
    """The object itself is the first of 32 levels."""
    deep: object = 1
    for _ in range(31):
        deep = [deep]
    assert parse_object(json.dumps({"a": deep}).encode()) == {"a": deep}
    with pytest.raises(BadRequest):
        parse_object(json.dumps({"a": [deep]}).encode())


def test_a_strangers_text_is_repeated_short_and_printable() -> None:
    """An answer carries no control characters, no half characters and no novels of whoever sent the request."""
    assert shown("a\r\nb\ud800\x1b[31m" + "x" * 100) == "a??b??[31m" + "x" * 54


def test_a_token_is_known_or_not() -> None:
    """Every configured token opens the door; nothing else does, whatever its type."""
    tokens = Tokens([Secret("one"), Secret("two")])
    assert tokens.knows("one")
    assert tokens.knows("two")
    for stranger in ("", "on", "one ", "ONE", "\ud800", None, 1, ["one"], {"one": 1}, True):
        assert not tokens.knows(stranger)


def test_no_token_lets_nobody_in() -> None:
    """A door without tokens is a mistake, and an unset key matches nothing, the empty text neither."""
    with pytest.raises(ValueError, match="no tokens"):
        Tokens([])
    assert not one_of((), "")
    assert one_of((Secret("j"), Secret("k")), "k")
    assert not one_of((Secret("k"),), "")
    assert not one_of((Secret(),), "")


def _request(pieces: list[bytes], *, announced: bool = True) -> Request:
    """Return a request whose body comes in pieces; the last of them none: it breaks off."""
    waiting = [*pieces]

    async def receive() -> dict[str, object]:
        if not waiting:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": waiting.pop(0), "more_body": True}

    length = str(sum(map(len, pieces))).encode()
    headers = [(b"content-length", length)] if announced else []
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_too_long_is_not_read_to_its_end(announced: bool) -> None:
    """Whether its length was announced or not."""
    with pytest.raises(TooLarge):
        asyncio.run(read(_request([b"x" * 60, b"x" * 60], announced=announced), limit=100))


def test_all_bodies_together_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no longer comes in makes room again, however it ended."""
    monkeypatch.setattr(body_module, "MOST_COMING", 100)
    with pytest.raises(Unavailable, match="too many long bodies"):
        asyncio.run(read(_request([b"x" * 60, b"x" * 60]), limit=1000))
    for _ in range(3):
        with pytest.raises(ClientDisconnect):
            asyncio.run(read(_request([b"x" * 40, b"x" * 40]), limit=1000))
