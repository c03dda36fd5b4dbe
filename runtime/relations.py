"""Which settings of a number contradict each other, though each by itself is allowed?"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from runtime import variables as v

if TYPE_CHECKING:
    from runtime.settings import NumberSettings

WHOLE_PPM: Final = 1_000_000


def contradictions(own: NumberSettings) -> Iterator[tuple[tuple[v.Variable[Any], ...], str]]:
    """Yield the variables that contradict each other, the likelier slip first, and what to write instead."""
    for variable, ppm in ((v.HEADROOM, own.headroom_ppm), (v.CALM, own.calm_ppm)):
        if ppm + own.floor_ppm >= WHOLE_PPM:
            name = variable.name.lower()
            yield (
                (variable, v.FLOOR),
                f"{name} {_share(ppm)} and floor {_share(own.floor_ppm)}: their sum must be less than 1",
            )
    if "send" not in own.counts:
        yield (v.COUNTS,), f"{','.join(own.counts)!r} leaves out send, which always uses the allocation; add it"
    if not own.event_webhook and not own.receipts:
        yield (
            (v.EVENT_WEBHOOK, v.RECEIPTS),
            "off charges receipts that nobody tells us of, and receipts are none: write on, or name the receipts",
        )


def _share(ppm: int) -> str:
    return f"{Decimal(ppm) / WHOLE_PPM}"
