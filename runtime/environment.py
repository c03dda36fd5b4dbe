"""What does the environment say of a variable, and where did that come from?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from headway.errors import SettingError
from headway.message import NUMBER
from runtime.parsing import did_you_mean
from runtime.variables import BY_NAME, NOT_YET, PREFIX, Variable

T = TypeVar("T")

#: What Kubernetes and old Docker links put into every container when a service is called `headway` or `headway-…`.
_SERVICE_LINK: Final = re.compile(
    r"_SERVICE_HOST\Z|_SERVICE_PORT(_[A-Z0-9_]+)?\Z|_PORT_[0-9]+_(TCP|UDP|SCTP)(_[A-Z]+)?\Z"
)
_LINK_VALUE: Final = re.compile(r"(tcp|udp|sctp)://")


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One line of what `headway explain` shows."""

    #: `HEADWAY_X`.
    variable: str
    #: The number it holds for; empty for the whole process.
    number: str
    #: As written; secrets masked; empty when unset.
    value: str
    #: `default`, `HEADWAY_X` or `HEADWAY_X_<number>`.
    source: str


class Environment:
    """The HEADWAY_ variables of one environment: copied at once, so that later changes to it change nothing here."""

    __slots__ = ("_texts",)

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Take what is set; an empty text counts as unset. Raises SettingError for a name that isn't known."""
        texts = {name: text.strip() for name, text in environ.items() if name.startswith(PREFIX)}
        self._texts = {name: text for name, text in texts.items() if text and not _is_service_link(name, text)}
        for name in sorted(self._texts):
            _require_known(name)

    @property
    def named_numbers(self) -> tuple[str, ...]:
        """The numbers that have a variable of their own, sorted."""
        return tuple(sorted({number for name in self._texts if (number := split(name)[1])}))

    def get(self, variable: Variable[T], number: str = "") -> T:
        """Return the value for a number, or for the process. Raises SettingError, naming the variable at fault."""
        name = self.source(variable, number)
        text = self._texts.get(name, variable.default)
        if not text:
            return variable.absent
        try:
            return variable.read(text)
        except ValueError as error:
            raise SettingError(name if name in self._texts else variable.full_name, str(error)) from None

    def source(self, variable: Variable[Any], number: str = "") -> str:
        """Return `HEADWAY_X_<number>` or `HEADWAY_X`, whichever counts, or `default`."""
        own = f"{variable.full_name}_{number}"
        if number and variable.per_number and own in self._texts:
            return own
        return variable.full_name if variable.full_name in self._texts else "default"

    def row(self, variable: Variable[Any], number: str = "") -> SettingRow:
        """Return what may be shown of a variable."""
        source = self.source(variable, number)
        text = self._texts.get(source, variable.default)
        return SettingRow(variable=variable.full_name, number=number, value=variable.shown(text), source=source)

    def without_effect(self) -> tuple[str, ...]:
        """Return the set variables, overrides included, that this version doesn't act on, in alphabetical order."""
        found = []
        for name, text in sorted(self._texts.items()):
            variable = BY_NAME[split(name)[0]]
            if variable.full_name in NOT_YET and text != variable.default:
                found.append(name)
        return tuple(found)

    def overrides(self, numbers: Iterable[str]) -> tuple[str, ...]:
        """Return the set variables of these numbers, in alphabetical order."""
        wanted = set(numbers)
        return tuple(name for name in sorted(self._texts) if split(name)[1] in wanted)


def split(name: str) -> tuple[str, str]:
    """Take `HEADWAY_X_<number>` apart: (`HEADWAY_X`, number), or (name, nothing) when no number ends it."""
    head, _, tail = name.rpartition("_")
    return (head, tail) if tail.isascii() and tail.isdigit() else (name, "")


def _require_known(name: str) -> None:
    base, number = split(name)
    variable = BY_NAME.get(base)
    if variable is None:
        # without the prefix, which alone would make any two names look alike
        near = did_you_mean(base.removeprefix(PREFIX), [known.removeprefix(PREFIX) for known in BY_NAME], prefix=PREFIX)
        raise SettingError(name, f"there is no such setting{near}; correct it or unset it")
    if number and not variable.per_number:
        raise SettingError(name, f"holds for the whole process; set {base} instead")
    if number and not NUMBER.match(number):
        raise SettingError(
            name, f"{number} is no WhatsApp number; write country code and number, as in {base}_15555550100"
        )


def _is_service_link(name: str, text: str) -> bool:
    return bool(_SERVICE_LINK.search(name)) or (name.endswith("_PORT") and bool(_LINK_VALUE.match(text)))
