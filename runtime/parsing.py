"""How is a setting's text read? Each reader takes what a person wrote and gives a value, or says what to write instead.

They raise ValueError, whose text completes "HEADWAY_X: …"; texts of secrets are never repeated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_network
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from headway.message import NUMBER

Network = IPv4Network | IPv6Network

#: ASCII digits only: `int()` and `Decimal()` would also take other scripts' digits, `1_000`, `1e3` and `NaN`.
_DECIMAL: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?\Z")
_WEIGHT: Final = re.compile(r"(?:[1-9][0-9]?|100)\Z")
#: Characters of a wrong value that an error repeats.
_SHOWN: Final = 60
_API_PATHS: Final = ("/api/v2/push", "/api/v2")


def decimal(*, scale: int, least: str, most: str, unit: str) -> Callable[[str], int]:
    """Return a reader of decimal numbers that gives an exact integer: the number times `scale`.

    `least` and `most` are bounds as a person would write them, both allowed; `unit` names what is counted.
    """

    def read(text: str) -> int:
        if not _DECIMAL.match(text):
            raise ValueError(f"{_short(text)!r} is no number of {unit}; write digits, as in 10: from {least} to {most}")
        value = Decimal(text)
        if not Decimal(least) <= value <= Decimal(most):
            raise ValueError(f"{_short(text)} is out of bounds; write {unit} from {least} to {most}")
        scaled = value * scale
        if scaled != int(scaled):
            raise ValueError(f"{_short(text)} is finer than can be kept; write at most {len(str(scale)) - 1} decimals")
        return int(scaled)

    return read


def choice(*allowed: str) -> Callable[[str], str]:
    """Return a reader of one word out of a few."""

    def read(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"{_short(text)!r} is unknown; write {_or(allowed)}{did_you_mean(text, allowed)}")
        return text

    return read


def words(*allowed: str, none: bool = False) -> Callable[[str], tuple[str, ...]]:
    """Return a reader of a comma list of words, each at most once; `none` allows the word `none` for the empty list.

    The answer is in the order of `allowed`, whatever the order that was written.
    """

    def read(text: str) -> tuple[str, ...]:
        found = () if none and text == "none" else items(text)
        for word in found:
            if word not in allowed:
                raise ValueError(
                    f"{_short(word)!r} is unknown; write a comma list of {_or(allowed)}{did_you_mean(word, allowed)}"
                )
        return tuple(word for word in allowed if word in found)

    return read


def table(*keys: str, values: tuple[str, ...]) -> Callable[[str], Mapping[str, str]]:
    """Return a reader of `key=value,key=value`: each key at most once, those left out are absent from the answer."""

    def read(text: str) -> Mapping[str, str]:
        pairs: dict[str, str] = {}
        for item in items(text):
            key, equals, value = (part.strip() for part in item.partition("="))
            if not equals:
                raise ValueError(f"{item!r} says nothing; write <what>={_or(values)}, as in {keys[0]}={values[0]}")
            if key not in keys:
                raise ValueError(f"{key!r} is unknown; write {_or(keys)} before the ={did_you_mean(key, keys)}")
            if value not in values:
                raise ValueError(
                    f"{key}={value} is unknown; write {_or(values)} after the ={did_you_mean(value, values)}"
                )
            if key in pairs:
                raise ValueError(f"{key} is given twice; keep one")
            pairs[key] = value
        return MappingProxyType(pairs)

    return read


def weights(*keys: str) -> Callable[[str], Mapping[str, int]]:
    """Return a reader of `key=weight,…`, each key once, weights from 1 to 100; or of `none`, for the empty table.

    A key that is left out gets 1.
    """

    def read(text: str) -> Mapping[str, int]:
        if text == "none":
            return MappingProxyType({})
        pairs = dict.fromkeys(keys, 1)
        said: set[str] = set()
        for item in items(text):
            key, _, weight = (part.strip() for part in item.partition("="))
            if key not in keys:
                raise ValueError(f"{_short(key)!r} is unknown; write {_or(keys)} before the ={did_you_mean(key, keys)}")
            if key in said:
                raise ValueError(f"{key} is given twice; keep one")
            if not _WEIGHT.match(weight):
                raise ValueError(f"{key}={_short(weight)} is no weight; write a whole number from 1 to 100 after the =")
            said.add(key)
            pairs[key] = int(weight)
        return MappingProxyType(pairs)

    return read


def numbers(text: str) -> tuple[str, ...]:
    """Read a comma list of sending numbers."""
    found = items(text)
    for number in found:
        if not NUMBER.match(number):
            raise ValueError(
                f"{number!r} is no WhatsApp number; write country code and number, digits only, as in 15555550100"
            )
    return found


def items(text: str) -> tuple[str, ...]:
    """Read a comma list: no empty and no repeated item."""
    found = tuple(item.strip() for item in text.split(","))
    if not all(found):
        raise ValueError("has an empty item; write a list like a,b")
    twice = next((item for item in found if found.count(item) > 1), None)
    if twice is not None:
        raise ValueError(f"{_short(twice)!r} is given twice; keep one")
    return found


def networks(text: str) -> tuple[Network, ...]:
    """Read a comma list of addresses and networks, as in `10.0.0.0/8,::1`."""
    found = []
    for item in items(text):
        try:
            found.append(ip_network(item, strict=False))
        except ValueError:
            raise ValueError(
                f"{_short(item)!r} is no address and no network; write them like 10.0.0.7 or 10.0.0.0/8"
            ) from None
    return tuple(found)


def web_url(text: str) -> str:
    """Read an http or https address; the answer has no slash at its end. The text may hold a key: never repeated."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("is no URL; write one like https://host:8080") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or re.search(r"\s", text):
        raise ValueError("is no web address; write http://… or https://… with a host")
    return text.rstrip("/")


def base_urls(text: str) -> tuple[str, ...]:
    """Read a comma list of base URLs, primary first. Raises ValueError when the API's own path is in one of them."""
    found = tuple(web_url(item) for item in items(text))
    for url in found:
        if "?" in url or "#" in url:
            raise ValueError("give the base URL only, without ? or #")
        if url.endswith(_API_PATHS):
            raise ValueError("give the base URL without the API's path: it ends before /api/v2")
    return found


def plain(text: str) -> str:
    """Read a text that goes into a header or a body: no blanks, no control characters."""
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("has a blank or a character outside ASCII in it; write it as the provider gave it")
    return text


def did_you_mean(word: str, known: Iterable[str], *, prefix: str = "") -> str:
    """Return ` (did you mean x?)`, or nothing when nothing is near; `prefix` is put before x."""
    near = get_close_matches(word, list(known), n=1)
    return f" (did you mean {prefix}{near[0]}?)" if near else ""


def _short(text: str) -> str:
    """Return what was written, or its beginning: an error is one sentence."""
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _or(allowed: tuple[str, ...]) -> str:
    return " or ".join(filter(None, (", ".join(allowed[:-1]), allowed[-1])))
