"""What will we say of a message when somebody asks?

The record says most of it. While a message waits its record says `waiting`; that it is deferred, leased or being sent
stands in the structures of its number, so that those steps cost no write per row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis

from delivery.states import State
from headway import keys


@dataclass(frozen=True, slots=True)
class Record:
    """What became of a message. Times are the server's, in milliseconds since 1970; empty texts were never said.

    `push` and `reference` are what the app knows it by: our id of its push, and the app's own. `provider_id` and
    `push_id` are the provider's ids.
    """

    message_id: str
    state: State
    number: str
    class_: str
    attempts: int = 0
    accepted_ms: int | None = None
    changed_ms: int | None = None
    until_ms: int | None = None
    provider_id: str = ""
    push_id: str = ""
    push: str = ""
    reference: str = ""
    code: str = ""
    reason: str = ""
    #: What didn't go well, and what was decided about it: the last entries, oldest first. Each has `at_ms` and `state`,
    #: and what is known of `attempts`, `code`, `reason`, `gave_up` and `held` (why) and `by` (who).
    history: tuple[Mapping[str, Any], ...] = ()


def look_up(client: redis.Redis, message_id: str) -> Record | None:
    """Return what is known of a message, or None: then it never was one, its record's time is over, or a plain Celery
    app published it and it has not been settled yet.
    """
    fields = {_text(name): _text(value) for name, value in client.hgetall(keys.record(message_id)).items()}
    if "state" not in fields:
        return None
    number, state = keys.number_of_unit(fields.get("number", "")), State(fields["state"])
    until = _int(fields.get("until_ms"))
    if state in {State.WAITING, State.DEFERRED}:
        state, until = _where(client, number, message_id, until)
    return Record(
        message_id,
        state,
        number,
        fields.get("class", ""),
        attempts=int(fields.get("attempts", 0)),
        accepted_ms=_int(fields.get("accepted_ms")),
        changed_ms=_int(fields.get("changed_ms")),
        until_ms=until if state is State.DEFERRED else None,
        provider_id=fields.get("provider_id", ""),
        push_id=fields.get("push_id", ""),
        push=fields.get("push", ""),
        reference=fields.get("reference", ""),
        code=fields.get("code", ""),
        reason=fields.get("reason", ""),
        history=history_of(fields.get("history", "")),
    )


def history_of(lines: str) -> tuple[Mapping[str, Any], ...]:
    """Read the history of a record: JSON lines."""
    return tuple(json.loads(line) for line in lines.splitlines())


def units_of(client: redis.Redis, number: str) -> list[str]:
    """Return every unit of a number that may hold something, former shards too."""
    counts = {1, *(int(field) for field in client.hkeys(keys.shards(number)) if field.isdigit())}
    return [unit for count in sorted(counts) for unit in keys.units(number, count)]


def _where(client: redis.Redis, number: str, message_id: str, until: int | None) -> tuple[State, int | None]:
    """Tell a waiting message from one that is deferred, leased or being sent, in whichever of the number's shards."""
    units = units_of(client, number)
    with client.pipeline(transaction=True) as pipe:
        for unit in units:
            pipe.zscore(keys.deferred(unit), message_id)
            pipe.hexists(keys.leased(unit), message_id)
            pipe.hvals(keys.leases(unit))
        found = pipe.execute()
    for deferred, leased, leases in zip(found[::3], found[1::3], found[2::3], strict=True):
        if deferred is not None:
            return State.DEFERRED, int(deferred)
        if leased:
            return (State.SENDING if _begun(leases, message_id) else State.LEASED), None
    return State.WAITING, until


def _begun(leases: list[Any], message_id: str) -> bool:
    held = (json.loads(lease) for lease in leases)
    return any(lease["state"] == "sending" and any(row[0] == message_id for row in lease["rows"]) for lease in held)


def _int(text: str | None) -> int | None:
    return int(text) if text else None


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
