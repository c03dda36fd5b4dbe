"""What does each class get, and which goes first?

| class | kombu priority | its part of headroom and calm | paced | floor |
| --- | --- | --- | --- | --- |
| urgent | 0 | none: it may take all that is left | no | yes |
| high | 3 | half | yes | yes |
| normal | 6 | all | yes | no |
| bulk | 9 | all | yes | no |

Urgent goes first, always. The others share what it leaves by HEADWAY_SHARES, and lend what they don't use. Messages of
one class to one recipient leave in the order in which they were accepted, one in flight at a time (HEADWAY_ORDER).
Paced classes leave evenly, so that an urgent message finds room after at most about one interval. Classes with a floor
share HEADWAY_FLOOR of the TPS that they may use even when inbound and receipts fill all of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from headway.classes import MessageClass


@dataclass(frozen=True, slots=True)
class ClassRule:
    """How a class shares a number: `headroom_share_ppm` is its millionths of HEADWAY_HEADROOM and HEADWAY_CALM."""

    class_: MessageClass
    headroom_share_ppm: int
    paced: bool
    floored: bool = False


#: In the order in which they go; without shares a class leaves only what those above it have no message for.
TABLE: tuple[ClassRule, ...] = (
    ClassRule(MessageClass.URGENT, headroom_share_ppm=0, paced=False, floored=True),
    ClassRule(MessageClass.HIGH, headroom_share_ppm=500_000, paced=True, floored=True),
    ClassRule(MessageClass.NORMAL, headroom_share_ppm=1_000_000, paced=True),
    ClassRule(MessageClass.BULK, headroom_share_ppm=1_000_000, paced=True),
)

_NO_SHARES: Mapping[str, int] = MappingProxyType({})
_CLASS_OF_STEP = {class_.priority: class_ for class_ in MessageClass}


def class_of_step(step: int) -> MessageClass:
    """Return the class that waits on a priority step. Raises KeyError for a step that kombu doesn't have."""
    return _CLASS_OF_STEP[step]


def as_argument(floor_ppm: int, *, order: Collection[str] = (), shares: Mapping[str, int] = _NO_SHARES) -> str:
    """Return the table as the lease script reads it, for each class: `<share, ppm>:<paced>:<floor, ppm, or ->:<order to
    one recipient 1|0>:<weight among those that share, or ->`.
    """
    return " ".join(
        f"{rule.headroom_share_ppm}:{int(rule.paced)}:{floor_ppm if rule.floored else '-'}"
        f":{int(rule.class_ in order)}:{shares.get(rule.class_, '-')}"
        for rule in TABLE
    )
