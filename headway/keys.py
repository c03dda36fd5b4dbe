r"""Which Redis keys are there, what is in each, and when does it go?

Every key that Headway writes is built here, and listed in `CATALOGUE` with its type and its TTL, or the reason why it
has none. Lanes are Celery's own queues, so their names follow kombu's Redis transport: `headway.<number>` for priority
0 and
`headway.<number>\x06\x16<priority>` for the others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from headway.classes import MessageClass

#: A queue is a number's when it looks like this; every other queue of the broker is none of our business.
QUEUE = re.compile(r"headway\.([0-9]{1,20})\Z")

#: What kombu's Redis transport puts between a queue's name and its priority step.
PRIORITY_SEPARATOR = "\x06\x16"


def queue(number: str) -> str:
    """Return the Celery queue of a number."""
    return f"headway.{number}"


def number_of(queue_name: str) -> str | None:
    """Return the number whose queue this is, or None when it is somebody else's queue."""
    match = QUEUE.match(queue_name)
    return match.group(1) if match else None


def lane(number: str, class_: MessageClass) -> str:
    """List of envelopes, head at the right: the waiting messages of one number and class."""
    step = class_.priority
    return f"{queue(number)}{PRIORITY_SEPARATOR}{step}" if step else queue(number)


def lanes(number: str) -> list[str]:
    """Return the four lanes of a number, in class order."""
    return [lane(number, class_) for class_ in MessageClass]


def settings(number: str) -> str:
    """Hash: what a person set while running (`tps_milli`, `paused`), who and when."""
    return f"headway:{number}:settings"


def declared(number: str) -> str:
    """Hash: process -> the TPS of its environment, and `lowest`, the one that holds."""
    return f"headway:{number}:declared"


def meter(number: str) -> str:
    """Hash: charged in the window, backlog and its time, pace, totals by kind of event."""
    return f"headway:{number}:meter"


def window(number: str) -> str:
    """Sorted set: `<what>:<events>` by the microsecond it was charged at; the trailing window."""
    return f"headway:{number}:window"


def leases(number: str) -> str:
    """Hash: lease id -> its holder, state, charge and row ids, as JSON."""
    return f"headway:{number}:leases"


def deadlines(number: str) -> str:
    """Sorted set: lease id by the microsecond when its holder counts as lost."""
    return f"headway:{number}:deadlines"


def leased(number: str) -> str:
    """Hash: message id -> priority step and envelope, of rows that a lease holds."""
    return f"headway:{number}:leased"


def deferred(number: str) -> str:
    """Sorted set: message id by the millisecond before which it may not leave."""
    return f"headway:{number}:deferred"


def uncertain(number: str) -> str:
    """Sorted set: message id by the millisecond since when nobody knows."""
    return f"headway:{number}:uncertain"


def dead(number: str) -> str:
    """Sorted set: message id by the millisecond when it was given up."""
    return f"headway:{number}:dead"


def kept(number: str) -> str:
    """Hash: message id -> priority step and envelope, of rows deferred, uncertain or dead."""
    return f"headway:{number}:kept"


def seen(number: str, event_id: str) -> str:
    """String: this event of the provider has been counted."""
    return f"headway:seen:{number}:{event_id}"


def sent(number: str, provider_id: str) -> str:
    """String: our id of the message to which the provider gave this id."""
    return f"headway:sent:{number}:{provider_id}"


def forwarded(number: str, event_id: str) -> str:
    """String: who passes this inbound message on to the app, or that it was done, and the app's answer."""
    return f"headway:forwarded:{number}:{event_id}"


def record(message_id: str) -> str:
    """Hash: what became of a message."""
    return f"headway:message:{message_id}"


def push(push_id: str) -> str:
    """Hash: what a push over HTTP brought: number, first id, count, recipients, at_ms."""
    return f"headway:push:{push_id}"


def serial() -> str:
    """String: the last id that the HTTP door gave out; ids are given in blocks, never twice."""
    return "headway:serial"


def device_status(number: str) -> str:
    """String: what the provider said last of a number's device; for a while only, because it may be asked rarely."""
    return f"headway:status:{number}"


def balance(number: str) -> str:
    """String: what the provider said last of a number's balance; for a while only, like the device's status."""
    return f"headway:balance:{number}"


def ready() -> str:
    """String: written by the HTTP door to see whether the server takes writes."""
    return "headway:ready"


def doorbell(number: str) -> str:
    """Channel, not a key: rung when something was put on one of the number's lanes."""
    return f"headway:doorbell:{number}"


@dataclass(frozen=True, slots=True)
class KeySpec:
    """One kind of key.

    `pattern` matches the whole key; `kind` is Redis' type; with `ttl` the key always has one; else `why` says why not.
    """

    pattern: str
    kind: str
    ttl: bool
    why: str


_NUMBER = "[0-9]+"
_MESSAGES = "holds accepted messages: they go when they are settled, never by time"

#: Every kind of key that Headway leaves in Redis.
CATALOGUE: tuple[KeySpec, ...] = (
    KeySpec(rf"headway\.{_NUMBER}(\x06\x16[369])?", "list", False, "a Celery queue: " + _MESSAGES),
    KeySpec(rf"headway:{_NUMBER}:settings", "hash", False, "a person's decision holds until it is cleared"),
    KeySpec(rf"headway:{_NUMBER}:declared", "hash", True, "renewed by each process that serves the number"),
    KeySpec(rf"headway:{_NUMBER}:meter", "hash", False, "the number's debt and totals: one small key a number"),
    KeySpec(rf"headway:{_NUMBER}:window", "zset", True, "an idle number's window is empty"),
    KeySpec(rf"headway:{_NUMBER}:leases", "hash", False, _MESSAGES),
    KeySpec(rf"headway:{_NUMBER}:deadlines", "zset", False, "goes with the leases it tells of"),
    KeySpec(rf"headway:{_NUMBER}:leased", "hash", False, _MESSAGES),
    KeySpec(rf"headway:{_NUMBER}:deferred", "zset", False, _MESSAGES),
    KeySpec(rf"headway:{_NUMBER}:uncertain", "zset", False, _MESSAGES),
    KeySpec(rf"headway:{_NUMBER}:dead", "zset", False, _MESSAGES),
    KeySpec(rf"headway:{_NUMBER}:kept", "hash", False, _MESSAGES),
    KeySpec(rf"headway:seen:{_NUMBER}:(?s:.+)", "string", True, "providers stop repeating an event after days"),
    KeySpec(rf"headway:sent:{_NUMBER}:(?s:.+)", "string", True, "HEADWAY_RECORD_TTL, as the record that it leads to"),
    KeySpec(
        rf"headway:forwarded:{_NUMBER}:(?s:.+)", "string", True, "the provider stops repeating an event after hours"
    ),
    KeySpec(r"headway:message:.+", "hash", True, "HEADWAY_RECORD_TTL after the last change"),
    KeySpec(r"headway:push:[0-9]+", "hash", True, "HEADWAY_RECORD_TTL after the push"),
    KeySpec(r"headway:serial", "string", False, "one small key: ids are never given twice"),
    KeySpec(rf"headway:(status|balance):{_NUMBER}", "string", True, "the provider may be asked again after this"),
    KeySpec(r"headway:ready", "string", True, "seconds: nobody reads it"),
)
