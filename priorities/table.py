"""What does each class get, and which goes first?

| class | kombu priority | its part of headroom and calm | paced | floor |
| --- | --- | --- | --- | --- |
| urgent | 0 | none: it may take all that is left | no | yes |
| high | 3 | half | yes | yes |
| normal | 6 | all | yes | no |
| bulk | 9 | all | yes | no |

Paced classes leave evenly, so that an urgent message finds room after at most about one interval. Classes with a floor
share HEADWAY_FLOOR of the TPS that they may use even when inbound and receipts fill all of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from headway.classes import MessageClass


@dataclass(frozen=True, slots=True)
class ClassRule:
    """How a class shares a number: `headroom_share_ppm` is its millionths of HEADWAY_HEADROOM and HEADWAY_CALM."""

    class_: MessageClass
    headroom_share_ppm: int
    paced: bool
    floored: bool = False


#: In the order in which they go: a class leaves only what those above it have no message for.
TABLE: tuple[ClassRule, ...] = (
    ClassRule(MessageClass.URGENT, headroom_share_ppm=0, paced=False, floored=True),
    ClassRule(MessageClass.HIGH, headroom_share_ppm=500_000, paced=True, floored=True),
    ClassRule(MessageClass.NORMAL, headroom_share_ppm=1_000_000, paced=True),
    ClassRule(MessageClass.BULK, headroom_share_ppm=1_000_000, paced=True),
)

_CLASS_OF_STEP = {class_.priority: class_ for class_ in MessageClass}


def class_of_step(step: int) -> MessageClass:
    """Return the class that waits on a priority step. Raises KeyError for a step that kombu doesn't have."""
    return _CLASS_OF_STEP[step]


def as_argument(floor_ppm: int) -> str:
    """Return the table as the lease script reads it: `<share, ppm>:<paced>:<floor, ppm, or ->` for each class."""
    return " ".join(
        f"{rule.headroom_share_ppm}:{int(rule.paced)}:{floor_ppm if rule.floored else '-'}" for rule in TABLE
    )
