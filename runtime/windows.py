"""How does a person write spans of time for a class: when it expires, when it is quiet, how often it may leave?

Readers in the manner of `runtime.parsing`: they raise ValueError, whose text completes "HEADWAY_X: …".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from headway.classes import MessageClass
from headway.message import LABEL
from runtime import parsing

CLASSES: Final = tuple(str(class_) for class_ in MessageClass)
#: An urgent message has no quiet hours: somebody waits for it.
QUIET_CLASSES: Final = tuple(name for name in CLASSES if name != MessageClass.URGENT)
MOST_CAPS: Final = 8

_HOURS: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])\Z")
_CAP: Final = re.compile(r"(?P<kind>[a-z]+):(?P<name>[^=]*)=(?P<most>[^/]*)/(?P<window>[^:]*):(?P<action>[a-z]*)\Z")

_seconds = parsing.decimal(scale=1000, least="1", most="2592000", unit="seconds")
_most = parsing.decimal(scale=1, least="1", most="1000", unit="messages")
_window = parsing.decimal(scale=1000, least="1", most="2592000", unit="seconds")
_guard_window = parsing.decimal(scale=1000, least="1", most="3600", unit="seconds")
_guard_most = parsing.decimal(scale=1, least="1", most="100", unit="messages")


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From when to when of each day, in minutes since midnight; past midnight when the end isn't after the start."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class LoopGuard:
    """At most so many sends of one text to a contact in a window; then that contact rests as long."""

    most: int
    window_ms: int


@dataclass(frozen=True, slots=True)
class Cap:
    """At most so many messages of a class or with a tag to one contact in a trailing window."""

    #: `tag` or `class`.
    kind: str
    name: str
    most: int
    window_ms: int
    #: `drop`: what is too much ends as `capped`; `defer`: it waits until there is room again.
    action: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}={self.most}/{self.window_ms // 1000}"


def expiries(text: str) -> Mapping[str, int]:
    """Read `urgent=300,bulk=86400`: seconds by class; the answer is in milliseconds."""
    return MappingProxyType({class_: _seconds(value) for class_, value in _pairs(text, CLASSES, "urgent=300")})


def quiet_hours(text: str) -> Mapping[str, QuietHours]:
    """Read `bulk=21:00-08:00`: quiet hours by class, by the recipient's own clock."""
    return MappingProxyType(
        {class_: _hours(value) for class_, value in _pairs(text, QUIET_CLASSES, "bulk=21:00-08:00")}
    )


def caps(text: str) -> tuple[Cap, ...]:
    """Read `tag:offline=1/3600:drop,class:bulk=2/86400:defer`."""
    found = tuple(_cap(item) for item in parsing.items(text))
    if len(found) > MOST_CAPS:
        raise ValueError(f"has {len(found)} caps; write {MOST_CAPS} at most")
    return found


def loop_guard(text: str) -> LoopGuard | None:
    """Read `5/60`: so many sends of one text to a contact in so many seconds; or `off`."""
    if text == "off":
        return None
    most, slash, window = text.partition("/")
    if not slash:
        raise ValueError(f"{text[:60]!r} is no guard; write <messages>/<seconds>, as in 5/60, or off")
    return LoopGuard(_guard_most(most), _guard_window(window))


def _pairs(text: str, classes: tuple[str, ...], example: str) -> Iterator[tuple[str, str]]:
    seen = set()
    for item in parsing.items(text):
        class_, equals, value = (part.strip() for part in item.partition("="))
        if not equals:
            raise ValueError(f"{item[:60]!r} says nothing; write <class>=<value>, as in {example}")
        if class_ in CLASSES and class_ not in classes:
            raise ValueError(f"{class_} has no such thing; write {', '.join(classes)}, as in {example}")
        if class_ not in classes:
            near = parsing.did_you_mean(class_, classes)
            raise ValueError(f"{class_[:60]!r} is no class; write {', '.join(classes)} before the ={near}")
        if class_ in seen:
            raise ValueError(f"{class_} is given twice; keep one")
        seen.add(class_)
        yield class_, value


def _hours(text: str) -> QuietHours:
    found = _HOURS.match(text)
    if not found:
        raise ValueError(
            f"{text[:60]!r} are no hours; write HH:MM-HH:MM by the recipient's own clock, as in 21:00-08:00"
        )
    hour, minute, end_hour, end_minute = map(int, found.groups())
    start, end = hour * 60 + minute, end_hour * 60 + end_minute
    if start == end:
        raise ValueError(f"{text} is no time or the whole day; to let nothing leave, pause the number")
    return QuietHours(start, end)


def _cap(text: str) -> Cap:
    found = _CAP.match(text)
    if not found:
        raise ValueError(
            f"{text[:60]!r} is no cap; write tag:<tag>=<messages>/<seconds>:drop or :defer, or class:<class>=…, "
            "as in tag:offline=1/3600:drop"
        )
    kind, name, action = found["kind"], found["name"], found["action"]
    if kind not in ("tag", "class"):
        raise ValueError(f"{kind[:60]!r} can't be capped; write tag:<tag>= or class:<class>=")
    if kind == "class" and name not in CLASSES:
        raise ValueError(f"{name[:60]!r} is no class; write {', '.join(CLASSES)}{parsing.did_you_mean(name, CLASSES)}")
    if not LABEL.match(name):
        raise ValueError(f"{name[:60]!r} is no tag; write 1 to 64 letters, digits or any of _ . : -")
    if action not in ("drop", "defer"):
        raise ValueError(f"{action[:60]!r} is unknown; write :drop or :defer at the end")
    return Cap(kind, name, _most(found["most"]), _window(found["window"]), action)
