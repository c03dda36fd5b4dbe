"""How does one text become many: which `{{name}}` stand in it, and what comes in their places?

Values are put in once: what a value says is never looked at as a template again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_OPEN: Final = "{{"
_PLACE: Final = re.compile(r"\{\{([^{}]*)\}\}")
#: Characters of a place's name.
_LONGEST: Final = 100


class BadTemplate(ValueError):
    """The text has braces that are no place for a value; the message says which."""


@dataclass(frozen=True, slots=True)
class Template:
    """A text with places. `parts`: the text before, between and after them; `names`: theirs, in small letters."""

    parts: tuple[str, ...]
    names: tuple[str, ...]

    def filled(self, value: Callable[[str], str]) -> str:
        """Return the text with values in its places."""
        pieces = [self.parts[0]]
        for name, part in zip(self.names, self.parts[1:], strict=True):
            pieces += value(name), part
        return "".join(pieces)


@lru_cache(maxsize=256)
def template(text: str) -> Template:
    """Read a text. Raises BadTemplate."""
    pieces = _PLACE.split(text)
    parts, names = pieces[::2], [name.strip().casefold() for name in pieces[1::2]]
    if any(_OPEN in part or "}}" in part for part in parts):
        raise BadTemplate("has {{ or }} without the other: write places like {{name}}")
    for name in names:
        if not name or len(name) > _LONGEST:
            raise BadTemplate("has {{}} without the name of a column in it: write places like {{name}}")
    return Template(tuple(parts), tuple(names))
