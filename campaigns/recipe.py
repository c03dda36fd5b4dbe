"""What shall be sent to everybody in the table, and which column says what?

A recipe is checked as far as it can be without a table. It is kept with its campaign, so that one which broke off goes
on with the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from campaigns import phones
from campaigns.problems import CampaignError
from campaigns.tables import shown
from campaigns.templates import BadTemplate, template
from headway.classes import MessageClass
from headway.errors import InvalidMessage
from headway.message import CHECKS
from runtime.parsing import did_you_mean

#: Fields of a message that a recipe, or a column, may give. The rest are the campaign's own, or of groups.
FIELDS: Final = tuple(name for name in CHECKS if name not in {"to", "group_id", "group_members", "campaign", "class"})
#: Those whose cell or value isn't plain text.
AS_JSON: Final = frozenset({"location", "template_values"})
#: Entries of `columns` and of `defaults`, and characters of each.
_MOST_PAIRS: Final = 100
_LONGEST: Final = 1024

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a table becomes messages.

    `to`: the column of recipients. `fields`: what holds for all rows, `{{name}}` in texts; a field that isn't here is
    taken from the column of its name. `columns`: field or name of a place -> column; `defaults`: name of a place ->
    text for rows where it is empty. `country`: of numbers without + (two letters). `skip_bad`: rows that can't be sent
    are left out; else one refuses the whole. Raises CampaignError and InvalidMessage, both from the constructor.
    """

    to: str = "to"
    class_: MessageClass = MessageClass.BULK
    fields: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    country: str = ""
    sheet: str = ""
    skip_bad: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_", CHECKS["class"]("class", self.class_))
        for name in ("to", "country", "sheet"):
            _text(name, getattr(self, name))
        if not isinstance(self.skip_bad, bool):
            raise CampaignError("skip_bad: must be true or false")
        object.__setattr__(self, "country", self.country.upper())
        if self.country and self.country not in phones.countries():
            raise CampaignError(f"country: {shown(self.country)!r} is none; write two letters, as in IT")
        for name in ("columns", "defaults"):
            object.__setattr__(self, name, _pairs(name, getattr(self, name)))
        object.__setattr__(self, "fields", _checked_fields(self.fields))

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Recipe:
        """Read what `as_json` gave, or a stranger wrote. Raises CampaignError and InvalidMessage."""
        given = {("class_" if name == "class" else name): value for name, value in told.items() if value is not None}
        for name in given:
            if name not in cls.__slots__:
                raise CampaignError(f"{shown(name)}: is unknown{did_you_mean(name, RECIPE)}")
        return cls(**given)

    def as_json(self) -> dict[str, Any]:
        """Return it for programs, and to be kept."""
        return {
            "to": self.to,
            "class": self.class_.value,
            "fields": dict(self.fields),
            "columns": dict(self.columns),
            "defaults": dict(self.defaults),
            "country": self.country,
            "sheet": self.sheet,
            "skip_bad": self.skip_bad,
        }


#: The names that a recipe has for programs.
RECIPE: Final = ("to", "class", "fields", "columns", "defaults", "country", "sheet", "skip_bad")


def _text(name: str, value: object) -> None:
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise CampaignError(f"{name}: must be text of at most {_LONGEST} characters")


def _pairs(name: str, pairs: object) -> dict[str, str]:
    """Return the pairs, names in small letters."""
    if not isinstance(pairs, Mapping) or len(pairs) > _MOST_PAIRS:
        raise CampaignError(f"{name}: must be an object of at most {_MOST_PAIRS} texts")
    found: dict[str, str] = {}
    for key, value in pairs.items():
        _text(name, key)
        _text(f"{name}.{shown(key)}", value)
        if not key.strip():
            raise CampaignError(f"{name}: has a name that is empty")
        if key.strip().casefold() in found:
            raise CampaignError(f"{name}: names {shown(key)!r} twice")
        found[key.strip().casefold()] = value.strip() if name == "columns" else value
    return found


def _checked_fields(fields: object) -> dict[str, Any]:
    """Return the fields for all rows. What has no place for a value is checked now, the rest row by row."""
    if not isinstance(fields, Mapping):
        raise CampaignError(f"fields: must be an object with any of {', '.join(FIELDS)}")
    found = {}
    for name, value in fields.items():
        if name not in FIELDS:
            raise CampaignError(f"fields: {shown(str(name))!r} is none{did_you_mean(str(name), FIELDS)}")
        if value is not None:
            found[name] = _checked(name, value)
    return found


def _checked(name: str, value: Any) -> Any:
    if not _with_places(name, value):
        checked = CHECKS[name](name, value)
        return list(checked) if isinstance(checked, tuple) else checked
    if isinstance(value, str):
        return value
    # Their number and kind are checked now, what stands in them row by row.
    CHECKS[name](name, [item and "x" if isinstance(item, str) else item for item in value])
    return list(value)


def _with_places(name: str, value: Any) -> bool:
    """Whether a text, or one of a list, has places for values. Raises InvalidMessage for braces that are none."""
    texts = value if isinstance(value, list | tuple) else [value]
    try:
        found = [template(text).names for text in texts if isinstance(text, str)]
    except BadTemplate as error:
        raise InvalidMessage(name, str(error)) from None
    return any(found)
