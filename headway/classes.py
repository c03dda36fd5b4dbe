"""Which classes of message are there, and what does each say on the wire?

A class says what goes first. Celery knows it as kombu's message priority, where 0 goes first.
"""

from __future__ import annotations

from enum import StrEnum


class MessageClass(StrEnum):
    """What goes first, from first to last."""

    #: One-time codes, alerts: may use all of a number's TPS that is left.
    URGENT = "urgent"
    #: A person waits for it.
    HIGH = "high"
    #: The default.
    NORMAL = "normal"
    #: Campaigns: paced evenly, and last.
    BULK = "bulk"

    @property
    def priority(self) -> int:
        """Kombu's message priority: the step of its Redis transport that this class waits on."""
        return PRIORITY[self]


#: Kombu's default priority steps of the Redis transport, which stock publishers use too.
PRIORITY = {MessageClass.URGENT: 0, MessageClass.HIGH: 3, MessageClass.NORMAL: 6, MessageClass.BULK: 9}
