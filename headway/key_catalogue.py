"""Which kinds of key may Headway leave in Redis, and when does each go?

Every key is built in `headway/keys.py`; a test fails on one that is left and doesn't stand here.
"""

from __future__ import annotations

from dataclasses import dataclass


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
_UNIT = "[0-9]+(/[0-9]+of[0-9]+)?"
_MESSAGES = "holds accepted messages: they go when they are settled, never by time"
_OUTBOX = "holds what came in for the app: it goes when the app takes it or a person discards it"

#: Every kind of key that Headway leaves in Redis.
CATALOGUE: tuple[KeySpec, ...] = (
    KeySpec(rf"headway\.{_UNIT}(\x06\x16[369])?", "list", False, "a Celery queue: " + _MESSAGES),
    KeySpec(rf"headway:{_NUMBER}:settings", "hash", False, "a person's decision holds until it is cleared"),
    KeySpec(rf"headway:{_NUMBER}:changes", "list", False, "who changed what: the last 1,000 entries"),
    KeySpec(rf"headway:{_NUMBER}:declared", "hash", True, "renewed by each process that serves the number"),
    KeySpec(rf"headway:{_NUMBER}:shards", "hash", False, "says which units may hold messages"),
    KeySpec(rf"headway:{_UNIT}:meter", "hash", False, "the number's debt and totals: one small key a number"),
    KeySpec(rf"headway:{_UNIT}:window", "zset", True, "an idle number's window is empty"),
    KeySpec(rf"headway:{_UNIT}:leases", "hash", False, _MESSAGES),
    KeySpec(rf"headway:{_UNIT}:deadlines", "zset", False, "goes with the leases it tells of"),
    KeySpec(rf"headway:{_UNIT}:leased", "hash", False, _MESSAGES),
    KeySpec(rf"headway:{_UNIT}:deferred", "zset", False, _MESSAGES),
    KeySpec(rf"headway:{_UNIT}:due", "hash", False, "goes with the messages that it counts"),
    KeySpec(rf"headway:{_UNIT}:due:[0369]", "list", False, _MESSAGES),
    KeySpec(rf"headway:{_NUMBER}:resting", "zset", True, "the loop guard's window, and a minute"),
    KeySpec(rf"headway:{_NUMBER}:resting:[01]", "hash", True, "twice the loop guard's window, and a minute"),
    KeySpec(rf"headway:{_NUMBER}:resting:first:[01]", "string", True, "twice the loop guard's window, and a minute"),
    KeySpec(rf"headway:{_NUMBER}:capped:[01]", "hash", True, "twice the longest window of a cap, and a minute"),
    KeySpec(rf"headway:{_UNIT}:uncertain", "zset", False, _MESSAGES),
    KeySpec(rf"headway:{_UNIT}:dead", "zset", False, _MESSAGES),
    KeySpec(rf"headway:{_UNIT}:kept", "hash", False, _MESSAGES),
    KeySpec(rf"headway:{_UNIT}:heads", "hash", False, "goes with the messages that are on their way"),
    KeySpec(rf"headway:{_UNIT}:lines", "zset", False, _MESSAGES),
    KeySpec(rf"headway:{_NUMBER}:cancelled", "zset", True, "HEADWAY_RECORD_TTL: a row that was tried waits no longer"),
    KeySpec(
        rf"headway:{_NUMBER}:marks", "hash", False, "a person's decision: until its time, or nothing is left for it"
    ),
    KeySpec(rf"headway:{_UNIT}:held", "hash", False, "goes with the rows that are held"),
    KeySpec(rf"headway:{_UNIT}:held:[0-9a-z]+:[0369]", "list", False, _MESSAGES),
    KeySpec(rf"headway:seen:{_NUMBER}:(?s:.+)", "string", True, "providers stop repeating an event after days"),
    KeySpec(rf"headway:sent:{_NUMBER}:(?s:.+)", "string", True, "HEADWAY_RECORD_TTL, as the record that it leads to"),
    KeySpec(
        rf"headway:forwarded:{_NUMBER}:(?s:.+)", "string", True, "the provider stops repeating an event after hours"
    ),
    KeySpec(rf"headway:turns:{_NUMBER}:(?s:.+)", "zset", True, "seconds: as long as the app may take"),
    KeySpec(rf"headway:{_NUMBER}:outbox", "hash", False, _OUTBOX),
    KeySpec(rf"headway:{_NUMBER}:outbox:(lines|due|since|parked)", "zset", False, _OUTBOX),
    KeySpec(rf"headway:{_NUMBER}:outbox:bytes", "string", False, "goes with the outbox that it measures"),
    KeySpec(r"headway:message:.+", "hash", True, "HEADWAY_RECORD_TTL after the last change"),
    KeySpec(r"headway:push:[0-9]+", "hash", True, "HEADWAY_RECORD_TTL after the push"),
    KeySpec(r"headway:campaign:[0-9a-f]+", "hash", True, "as its messages' records"),
    KeySpec(r"headway:campaign:of:[0-9a-f]{32}", "string", True, "as the campaign that it leads to"),
    KeySpec(r"headway:campaigns", "zset", True, "the campaigns that are known; as the last of them"),
    KeySpec(r"headway:suppression", "hash", False, "a person's decision holds until it is taken back"),
    KeySpec(r"headway:serial", "string", False, "one small key: ids are never given twice"),
    KeySpec(
        rf"headway:(status|balance):{_NUMBER}(:last)?", "string", True, "the provider may be asked again after this"
    ),
    KeySpec(rf"headway:members:{_NUMBER}:(?s:.+)", "string", True, "people join and leave a group"),
    KeySpec(rf"headway:{_NUMBER}:throttle", "hash", True, "the TPS has recovered by then"),
    KeySpec(rf"headway:{_UNIT}:echo", "zset", True, "what is silent for so long has been told"),
    KeySpec(r"headway:quota:[0-9a-f]{16}:[a-z-]+", "zset", True, "a minute's requests"),
    KeySpec(rf"headway:{_UNIT}:forecast", "string", True, "what was learned of receipts a month ago is no guide"),
    KeySpec(r"headway:idempotency:[0-9a-f]{16}:[0-9a-f]{32}", "string", True, "an Idempotency-Key holds for a day"),
    KeySpec(r"headway:strikes:.+", "zset", True, "wrong tokens are forgotten after three minutes"),
    KeySpec(r"headway:lockouts", "zset", True, "an address is locked out for a quarter of an hour"),
    KeySpec(r"headway:ready", "string", True, "seconds: nobody reads it"),
)
