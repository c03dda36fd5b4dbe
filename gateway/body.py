"""How does a request's body become a JSON object, whatever a stranger sends?

Read leniently where providers and their clients are loose: key names are stripped (Picky's own samples write
`"priority "`), and the content type is not asked (Picky's webhooks came as forms with JSON in them). Strict where a
loose reading would hide a mistake: a key that is there twice, bytes that aren't UTF-8, nesting without end.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request

from gateway.problems import BadRequest, TooLarge, Unavailable

#: Longest body of a push, in bytes. 10,000 rows of 160 characters are 2.5 MB.
PUSH_LIMIT = 16 * 1024 * 1024
#: Longest body of a webhook or a call of the control API, in bytes.
SMALL_LIMIT = 1024 * 1024
#: Longest body of a question that is a few fields long, in bytes: a stranger's is read before its token is known.
QUESTION_LIMIT = 32 * 1024
#: Bytes of long bodies that may be coming in at one time, all callers together.
MOST_COMING = 256 * 1024 * 1024
#: Levels of objects and lists. Picky's deepest documented body has 4.
DEEPEST = 32
#: Less than all keys of a body can make up for.
_NOT_PLAIN = -1_000_000_000
#: Characters of a stranger's text that we repeat.
_SHOWN = 64


async def read(request: Request, *, limit: int) -> bytes:
    """Return the body. Raises TooLarge before more than `limit` bytes are held.

    One that comes in too slowly is cut off by `gateway.protocol`. Raises Unavailable when others fill the memory that
    there is for bodies.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced[:20]) > limit:
        raise TooLarge(f"the body has {announced[:20]} bytes, at most {limit} are taken")
    chunk, more = await _piece(request)
    if not more and len(chunk) <= limit:
        return chunk
    size = 0
    chunks: list[bytes] = []
    try:
        while True:
            size += len(chunk)
            _coming.add(len(chunk))
            if size > limit:
                raise TooLarge(f"the body has more than {limit} bytes")
            chunks.append(chunk)
            if not more:
                return b"".join(chunks)
            chunk, more = await _piece(request)
    finally:
        _coming.add(-size)


async def _piece(request: Request) -> tuple[bytes, bool]:
    """Return the next piece of a body, and whether more comes: `request.stream()` costs twice as much."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


class _Coming:
    """The bytes of bodies of several pieces that are coming in."""

    def __init__(self) -> None:
        self._bytes = 0

    def add(self, count: int) -> None:
        """Count more of them, or less. Raises Unavailable when there is no room for more."""
        self._bytes += count
        if count > 0 and self._bytes > MOST_COMING:
            raise Unavailable("too many long bodies come in at one time: try again in a second")


_coming = _Coming()


def parse_object(body: bytes, *, deepest: int | None = DEEPEST) -> dict[str, Any]:
    """Return the JSON object in a body, with the names of all keys stripped.

    `deepest`: how many levels of objects and lists there may be; None when the caller's shapes see to that.
    Raises BadRequest, which says what is wrong and where.
    """
    if deepest is not None and (plain := _plain_object(body, deepest)) is not None:
        return plain
    try:
        text = body.decode("utf-8-sig")
        found = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number, parse_float=_float)
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8: byte {error.start + 1} is wrong") from None
    except json.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON: {error.msg}, line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None
    except ValueError:  # Python's own bound on the digits of an integer
        raise BadRequest("the body has a number that is too long") from None
    if not isinstance(found, dict):
        raise BadRequest("the body must be a JSON object")
    if deepest is not None and _deeper(found, deepest):
        raise BadRequest(f"the body is nested more than {deepest} levels deep")
    return found


def shown(text: str) -> str:
    """Return a stranger's text as it may stand in our answer: short, and printable."""
    return "".join(char if char.isprintable() else "?" for char in text[:_SHOWN])


def _plain_object(body: bytes, deepest: int) -> dict[str, Any] | None:
    """Return the object of a body in which there is certainly nothing to refuse or to mend: nearly every webhook.

    None stands for "look closer". Each key of the text has a colon, so when there are no more colons than keys were
    read, no key was there twice; that spares reading pair by pair, which takes three times as long.
    """
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if type(found) is not dict or _plain_keys(found, deepest) != body.count(b":"):
        return None
    return found


def _plain_keys(value: dict[str, Any] | list[Any], levels: int) -> int:
    """Count the keys in it; a number below nothing when it is too deep, or has a name that wants stripping."""
    if levels <= 0:
        return _NOT_PLAIN
    keys, inside = 0, value
    if isinstance(value, dict):
        keys, inside = len(value), list(value.values())
        for name in value:
            if name != name.strip():
                return _NOT_PLAIN
    for inner in inside:
        if type(inner) is dict or type(inner) is list:
            keys += _plain_keys(inner, levels - 1)
    return keys


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = {name.strip(): value for name, value in pairs}
    if len(found) != len(pairs):
        names = [name.strip() for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadRequest(f"{shown(twice)}: is there twice in one object")
    return found


def _float(text: str) -> float:
    """Return a number that can be written down again: Python reads 1e999 as infinite, which no JSON can say."""
    value = float(text)
    if math.isinf(value):
        raise BadRequest(f"{shown(text)} is too large a number")
    return value


def _no_number(text: str) -> None:
    raise BadRequest(f"{text} is no JSON number")


def _deeper(value: object, levels: int) -> bool:
    """Whether objects and lists are nested more than so many levels deep."""
    level: list[object] = [value]
    for _ in range(levels):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return any(isinstance(value, dict | list) for value in level)


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
