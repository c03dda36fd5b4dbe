r"""Which Redis keys are there, and what is in each?

Every key that Headway writes is built here, and listed in `headway/key_catalogue.py` with its type and its TTL, or the
reason why it has none. Lanes are Celery's own queues, so their names follow kombu's Redis transport: `headway.<number>`
for priority 0 and `headway.<number>\x06\x16<priority>` for the others.

What has its own meter is a *unit*: the number itself, or one of its shards, `<number>/<shard>of<shards>`. Lanes, meter,
leases and what they hold are a unit's; what a person or a provider says of a number is the number's, whichever of its
units is asked about. The name says of how many, so that another number of shards never meets the rows of the last one.
"""

from __future__ import annotations

import re

from headway.classes import MessageClass

#: A queue is a number's when it looks like this; every other queue of the broker is none of our business.
QUEUE = re.compile(r"headway\.([0-9]{1,20})\Z")

#: What kombu's Redis transport puts between a queue's name and its priority step.
PRIORITY_SEPARATOR = "\x06\x16"


def units(number: str, shards: int) -> tuple[str, ...]:
    """Return the units of a number with so many shards: the number itself when there is one."""
    return (number,) if shards == 1 else tuple(f"{number}/{shard}of{shards}" for shard in range(shards))


def number_of_unit(unit: str) -> str:
    """Return the number that a unit belongs to."""
    return unit.partition("/")[0]


def queue(unit: str) -> str:
    """Return the Celery queue of a number; that of a shard is no queue to Celery, but its lanes are named alike."""
    return f"headway.{unit}"


def number_of(queue_name: str) -> str | None:
    """Return the number whose queue this is, or None when it is somebody else's queue."""
    match = QUEUE.match(queue_name)
    return match.group(1) if match else None


def lane(unit: str, class_: MessageClass) -> str:
    """List of envelopes, head at the right: the waiting messages of one unit and class."""
    step = class_.priority
    return f"{queue(unit)}{PRIORITY_SEPARATOR}{step}" if step else queue(unit)


def lanes(unit: str) -> list[str]:
    """Return the four lanes of a unit, in class order."""
    return [lane(unit, class_) for class_ in MessageClass]


def settings(unit: str) -> str:
    """Hash: what a person set while running (`tps_milli`, `paused`, …); `<field>.set`: who, when and from where."""
    return f"headway:{number_of_unit(unit)}:settings"


def changes(unit: str) -> str:
    """List: the last changes that persons made while running, as JSON, the newest first."""
    return f"headway:{number_of_unit(unit)}:changes"


def declared(unit: str) -> str:
    """Hash: process -> the TPS of its environment, and `lowest`, the one that holds."""
    return f"headway:{number_of_unit(unit)}:declared"


def shards(unit: str) -> str:
    """Hash: `now`: shards in force; each number of shards ever used; `moving` while rows go from the former to these;
    `p:<process>`: the shards of its environment.
    """
    return f"headway:{number_of_unit(unit)}:shards"


def meter(unit: str) -> str:
    """Hash: charged in the window, backlog and its time, pace, totals by kind of event."""
    return f"headway:{unit}:meter"


def window(unit: str) -> str:
    """Sorted set: `<what>:<events>` by the microsecond it was charged at; the trailing window."""
    return f"headway:{unit}:window"


def leases(unit: str) -> str:
    """Hash: lease id -> its holder, state, charge and row ids, as JSON."""
    return f"headway:{unit}:leases"


def deadlines(unit: str) -> str:
    """Sorted set: lease id by the microsecond when its holder counts as lost."""
    return f"headway:{unit}:deadlines"


def leased(unit: str) -> str:
    """Hash: message id -> envelope, of rows that a lease holds; their steps stand with the lease."""
    return f"headway:{unit}:leased"


def deferred(unit: str) -> str:
    """Sorted set: message id by the millisecond before which it may not leave."""
    return f"headway:{unit}:deferred"


def due(unit: str) -> str:
    """Hash: priority step -> how many messages whose time has come are still at the front of their lane; beside it the
    lists `<due>:<step>` of the ids that come after these.
    """
    return f"headway:{unit}:due"


def due_line(unit: str, step: int | str) -> str:
    """List: message ids of one priority step whose time has come, the first at the right; envelopes are in `kept`."""
    return f"{due(unit)}:{step}"


def resting(unit: str) -> str:
    """Sorted set: digest of a contact and a text, by the millisecond until when one more send would be too much; `rest
    <digest>`: until when the contact rests from it. Beside it the hashes `<resting>:0|1`: the last sends of each.
    """
    return f"headway:{number_of_unit(unit)}:resting"


def last_texts(unit: str, turn: int | str) -> str:
    """Hash: digest of a contact and a text -> its last sends; `turn` is 0 or 1, by the loop guard's window."""
    return f"{resting(unit)}:{turn}"


def first_texts(unit: str, turn: int | str) -> str:
    """String of cells of 32 bits, a contact's modulo cells: its first text in the guard's window; `turn`: 0 or 1."""
    return f"{resting(unit)}:first:{turn}"


def capped(unit: str, turn: int | str) -> str:
    r"""Hash: `<what is capped>\n<contact>` -> its last sends; `turn` is 0 or 1, by the longest window of a cap."""
    return f"headway:{number_of_unit(unit)}:capped:{turn}"


def uncertain(unit: str) -> str:
    """Sorted set: message id by the millisecond since when nobody knows; below 0: the same, of rows that are held for a
    person.
    """
    return f"headway:{unit}:uncertain"


def dead(unit: str) -> str:
    """Sorted set: message id by the millisecond when it was given up."""
    return f"headway:{unit}:dead"


def kept(unit: str) -> str:
    """Hash: message id -> priority step and envelope, of rows deferred, uncertain, dead, or behind their recipient's
    head.
    """
    return f"headway:{unit}:kept"


def heads(unit: str) -> str:
    """Hash: `<step>:<recipient>` -> the id of the message that is ahead for them; those behind it wait in `lines`."""
    return f"headway:{unit}:heads"


def lines(unit: str) -> str:
    r"""Sorted set, all scores 0: `<step>:<recipient>\n<serial, 20 digits>\n<id>`: who waits behind a recipient's head,
    in the order in which they may leave; their envelopes are in `kept`.
    """
    return f"headway:{unit}:lines"


def cancelled(unit: str) -> str:
    """Sorted set: message id, by millisecond, of rows that the next lease which meets them drops: they were sent."""
    return f"headway:{number_of_unit(unit)}:cancelled"


def marks(unit: str) -> str:
    """Hash: mark id -> JSON: what a person said of some of a number's messages (hold, drop, or take no more); and
    `<mark id>.rows`: how many it has dropped.
    """
    return f"headway:{number_of_unit(unit)}:marks"


def held(unit: str) -> str:
    """Hash: mark id -> how many rows of this unit it holds aside."""
    return f"headway:{unit}:held"


def held_rows(unit: str, mark_id: str, step: int | str) -> str:
    """List: message ids that a mark holds aside, of one priority step, in the order in which a lease met them."""
    return f"{held(unit)}:{mark_id}:{step}"


def seen(unit: str, event_id: str) -> str:
    """String: this event of the provider has been counted."""
    return f"headway:seen:{number_of_unit(unit)}:{event_id}"


def sent(unit: str, provider_id: str) -> str:
    """String: our id of the message to which the provider gave this id."""
    return f"headway:sent:{number_of_unit(unit)}:{provider_id}"


def forwarded(unit: str, event_id: str) -> str:
    """String: who passes this inbound message on to the app, or that it was done, and the app's answer."""
    return f"headway:forwarded:{number_of_unit(unit)}:{event_id}"


def turns(number: str, contact: str) -> str:
    """Sorted set: requests that have an inbound message of one contact for the app, in the order they came (us)."""
    return f"headway:turns:{number}:{contact}"


def outbox(number: str) -> str:
    """Hash: entry id -> what is kept for the app until it takes it: a line of JSON about it, then its body."""
    return f"headway:{number}:outbox"


def outbox_lines(number: str) -> str:
    r"""Sorted set, all scores 0: `<contact>\n<serial, 20 digits>\n<entry id>`: who is behind whom, for each contact."""
    return f"headway:{number}:outbox:lines"


def outbox_due(number: str) -> str:
    """Sorted set: contact by the millisecond from which the first one of its line may be tried."""
    return f"headway:{number}:outbox:due"


def outbox_since(number: str) -> str:
    """Sorted set: entry id by the microsecond it came; only those that wait in a line."""
    return f"headway:{number}:outbox:since"


def outbox_parked(number: str) -> str:
    """Sorted set: entry id by the millisecond it was given up."""
    return f"headway:{number}:outbox:parked"


def outbox_bytes(number: str) -> str:
    """String: how many bytes the outbox holds."""
    return f"headway:{number}:outbox:bytes"


def record(message_id: str) -> str:
    """Hash: what became of a message."""
    return f"headway:message:{message_id}"


def push(push_id: str) -> str:
    """Hash: what a push over HTTP brought: number, first id, count, recipients, at_ms."""
    return f"headway:push:{push_id}"


def campaign(campaign_id: str) -> str:
    """Hash: what a campaign sends, who made it, how far it was loaded, and its state."""
    return f"headway:campaign:{campaign_id}"


def campaign_of(digest: str) -> str:
    """String: the id of the campaign that a name, a number and a file's content belong to."""
    return f"headway:campaign:of:{digest}"


def campaigns() -> str:
    """Sorted set: campaign id by the millisecond it was made."""
    return "headway:campaigns"


def suppression() -> str:
    """Hash: recipient that no campaign sends to -> who said so, when and why, as JSON."""
    return "headway:suppression"


def serial() -> str:
    """String: the last id that the HTTP door gave out; ids are given in blocks, never twice."""
    return "headway:serial"


def device_status(number: str) -> str:
    """String: what the provider said last of a number's device; for a while only, because it may be asked rarely."""
    return f"headway:status:{number}"


def balance(number: str) -> str:
    """String: what the provider said last of a number's balance; for a while only, like the device's status."""
    return f"headway:balance:{number}"


def last(key: str) -> str:
    """String: the answer of `device_status` or `balance`, kept for when the provider may not be asked."""
    return f"{key}:last"


def idempotency(caller: str, digest: str) -> str:
    """String: which push answers requests of a caller with the `Idempotency-Key` of this digest."""
    return f"headway:idempotency:{caller}:{digest}"


def strikes(address: str) -> str:
    """Sorted set: the last wrong tokens of an address, by the millisecond they were given."""
    return f"headway:strikes:{address}"


def lockouts() -> str:
    """Sorted set: the addresses that are locked out, by the millisecond until when."""
    return "headway:lockouts"


def ready() -> str:
    """String: written by the HTTP door to see whether the server takes writes."""
    return "headway:ready"


def throttle(unit: str) -> str:
    """Hash: what the provider's throttle answers did to the TPS: `tps_milli` and `was` at `at`, and `until`."""
    return f"headway:{number_of_unit(unit)}:throttle"


def echo(unit: str) -> str:
    """Sorted set: the provider's ids of requests that nothing came back of yet, by time and rows; and `echo`."""
    return f"headway:{unit}:echo"


def quota(account: str, name: str) -> str:
    """Sorted set: ids of an account's requests of one kind by the microsecond they were made, for a minute."""
    return f"headway:quota:{account}:{name}"


def members(number: str, group_id: str) -> str:
    """String: how many members a group has; empty while somebody asks, or when nobody could tell."""
    return f"headway:members:{number}:{group_id}"


def forecast(unit: str) -> str:
    """String: what is still to come from what was sent, and what receipts have taught of their share and delay."""
    return f"headway:{unit}:forecast"


def doorbell(number: str) -> str:
    """Channel, not a key: rung when something was put on one of the number's lanes."""
    return f"headway:doorbell:{number}"
