"""How does a secret stay out of logs, errors and `repr`?"""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"
#: User and password in `scheme://user:password@host`, and in each part of a Sentinel list: the user too, for a token is
#: often written in its place. Greedy, because a password written without percent-encoding may hold an `@` itself.
_PASSWORD_IN_URL = re.compile(r"://[^/\s]*@")
#: Values of a query string: a forwarding URL often carries its key there.
_QUERY_VALUE = re.compile(r"([?&][^=&\s]+=)[^&\s]+")


class Secret:
    """A text that shows itself only to who asks with `reveal()`."""

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself. Never log what this returns."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return f"Secret({MASK if self._value else ''})"

    def __str__(self) -> str:
        return MASK if self._value else ""


#: No secret was given.
NONE: Final = Secret()


def hide_passwords(text: str) -> str:
    """Return the text with the password of every URL in it masked."""
    return _PASSWORD_IN_URL.sub(f"://{MASK}@", text) if "://" in text else text


def hide_url(url: str) -> str:
    """Return a URL that may be shown: password and query values masked."""
    return _QUERY_VALUE.sub(rf"\g<1>{MASK}", hide_passwords(url))


def hide_all(text: str) -> str:
    """Return a mask for any text."""
    return MASK if text else ""
