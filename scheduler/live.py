"""Which settings may a person change while everything runs, and how does each stand in the settings hash?

What a lease or a count reads, and no more; the rest is told to a process at its start. `lua/include/live.lua` reads the
same hash by the same bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from headway.errors import SettingError
from runtime import variables as v
from runtime.parsing import did_you_mean


@dataclass(frozen=True, slots=True)
class LiveSetting:
    """One setting: `name` as people write it, `field` in the hash; `variable` is its twin in the environment."""

    name: str
    field: str
    variable: v.Variable[Any]
    #: What the variable's reader gives -> the text in the hash.
    write: Callable[[Any], str]
    #: The text in the hash -> as people write it.
    show: Callable[[str], str]

    def read(self, text: str) -> str:
        """Return the text for the hash, by the same rules as the environment. Raises SettingError."""
        try:
            return self.write(self.variable.read(text.strip()))
        except ValueError as error:
            raise SettingError(self.name, str(error)) from None

    def holds(self, stored: str) -> bool:
        """Whether what stands in the hash can be: it may have been written by hand."""
        try:
            return self.write(self.variable.read(self.show(stored))) == stored
        except (ValueError, ArithmeticError):
            return False


def _scaled(name: str, field: str, variable: v.Variable[int], scale: int) -> LiveSetting:
    return LiveSetting(name, field, variable, str, lambda stored: plain(int(stored), scale))


def plain(value: int, scale: int) -> str:
    """Return a scaled integer as people write it: 12500 thousandths are 12.5."""
    text = f"{Decimal(value) / scale:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def listed(words: tuple[str, ...]) -> str:
    """Return a list of words as it is written: an empty one is `none`."""
    return ",".join(words) or "none"


def _same(text: str) -> str:
    return text


TPS: Final = _scaled("tps", "tps_milli", v.TPS, 1000)
HEADROOM: Final = _scaled("headroom", "headroom_ppm", v.HEADROOM, 1_000_000)
CALM: Final = _scaled("calm", "calm_ppm", v.CALM, 1_000_000)
FLOOR: Final = _scaled("floor", "floor_ppm", v.FLOOR, 1_000_000)

#: In the order in which they are shown.
SETTINGS: Final[tuple[LiveSetting, ...]] = (
    TPS,
    HEADROOM,
    CALM,
    FLOOR,
    _scaled("in_flight", "in_flight", v.IN_FLIGHT, 1),
    _scaled("guard", "guard_us", v.GUARD, 1_000_000),
    _scaled("push_per_minute", "push_per_minute", v.PUSH_PER_MINUTE, 1),
    LiveSetting("receipts", "receipts", v.RECEIPTS, listed, _same),
    LiveSetting("event_webhook", "event_webhook", v.EVENT_WEBHOOK, str, _same),
)
BY_NAME: Final[Mapping[str, LiveSetting]] = {setting.name: setting for setting in SETTINGS}
BY_FIELD: Final[Mapping[str, LiveSetting]] = {setting.field: setting for setting in SETTINGS}


def setting(name: str) -> LiveSetting:
    """Return a setting by its name. Raises SettingError, which says what to do about one that can't be changed live."""
    found = BY_NAME.get(name)
    if found is not None:
        return found
    told = v.BY_NAME.get(v.PREFIX + name.upper())
    if told is not None:
        per_number = f" (or {told.full_name}_<number>)" if told.per_number else ""
        raise SettingError(
            name,
            f"can't be changed while running: set {told.full_name}{per_number} for every process and start them again",
        )
    raise SettingError(name, f"there is no such setting{did_you_mean(name, BY_NAME)}; there is {', '.join(BY_NAME)}")
