"""What was decided beforehand about messages of a number that don't go well? Values, read from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from delivery.retries import RETRY_FOR
from headway.classes import MessageClass
from runtime.settings import NumberSettings

RESEND, HOLD = "resend", "hold"

#: HEADWAY_UNCERTAIN's default, by class.
UNCERTAIN: Mapping[MessageClass, str] = {
    MessageClass.URGENT: RESEND,
    MessageClass.HIGH: RESEND,
    MessageClass.NORMAL: HOLD,
    MessageClass.BULK: HOLD,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """`retry_for`: from its first try on a message is tried no longer. `uncertain`: `resend` or `hold`, by class, once
    nothing came back for `wait`; `receipts`: what the container makes, and `told`: whether we hear of it.
    """

    retry_for: timedelta = RETRY_FOR
    uncertain: Mapping[MessageClass, str] = field(default_factory=lambda: UNCERTAIN)
    wait: timedelta = timedelta(seconds=60)
    receipts: tuple[str, ...] = ("delivered", "read")
    told: bool = True


def policy_of(own: NumberSettings) -> Policy:
    """Return what a number's settings say."""
    return Policy(
        retry_for=timedelta(milliseconds=own.retry_for_ms),
        uncertain={class_: own.uncertain[class_.value] for class_ in MessageClass},
        wait=timedelta(milliseconds=own.uncertain_wait_ms),
        receipts=own.receipts,
        told=own.event_webhook,
    )
