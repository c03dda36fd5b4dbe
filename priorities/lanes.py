"""How does Celery see a number's lanes?

A number is one Celery queue; kombu's Redis transport makes a list of it for each priority step, and those are the
lanes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kombu.entity import Exchange, Queue

from headway import keys
from headway.classes import MessageClass


def queue_of(number: str) -> Queue:
    """Return the kombu queue of a number: the default exchange, which routes by the queue's own name."""
    name = keys.queue(number)
    return Queue(name, Exchange(""), routing_key=name)


def queues(numbers: Iterable[str]) -> list[Queue]:
    """Return the kombu queues of numbers, in their order."""
    return [queue_of(number) for number in numbers]


def route(number: str, class_: MessageClass) -> dict[str, Any]:
    """Return the options with which a plain Celery app sends `worker.send` onto a lane."""
    return {"queue": keys.queue(number), "priority": class_.priority}
