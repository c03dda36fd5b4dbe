"""What can a person see and decide of messages that were given up, or of which nobody knows?

A dead message is kept until a person retries or discards it. An uncertain one waits for a receipt, and is held when its
class says so; a person may have it sent again, discard it, or say that it was sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import redis

from delivery.records import history_of, units_of
from delivery.states import State
from headway import keys
from headway.message import CHECKS
from runtime import scripts
from runtime.scripts import Call, run_all

#: Rows of one page, and of one call, at the most.
MOST = 200


class Verb(StrEnum):
    """What a person may decide."""

    RETRY = "retry"
    DISCARD = "discard"
    #: Of uncertain messages only: it is known to have left.
    SENT = "sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A dead or an uncertain message. `since_ms`: when it became so; `held`: its wait is over, and a person decides.

    Empty texts and None were never said: the record of a message may have gone before it. With `fields`, what it says,
    and `history`, if somebody looks at it alone.
    """

    message_id: str
    unit: str
    state: State
    since_ms: int
    held: bool
    class_: str
    attempts: int = 0
    code: str = ""
    reason: str = ""
    push: str = ""
    reference: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[Mapping[str, Any], ...] = ()

    @property
    def number(self) -> str:
        """The number that it is of."""
        return keys.number_of_unit(self.unit)

    def as_json(self) -> dict[str, Any]:
        """Return it for programs: without what is not known."""
        said = {
            "id": self.message_id,
            "number": self.number,
            "state": self.state.value,
            "held": self.held if self.state is State.UNCERTAIN else None,
            "class": self.class_,
            "since_ms": self.since_ms,
            "attempts": self.attempts,
            "code": self.code,
            "reason": self.reason,
            "push": self.push,
            "reference": self.reference,
            "fields": dict(self.fields),
            "history": list(self.history),
        }
        return {name: value for name, value in said.items() if value not in ("", None, {}, [])}


@dataclass(frozen=True, slots=True)
class Page:
    """Some of them, and what to ask for the next ones with; empty after the last."""

    rows: tuple[Kept, ...]
    next: str


_CLASSES = {b"0": "urgent", b"3": "high", b"6": "normal", b"9": "bulk"}
_FIELDS = ("attempts", "code", "reason", "push", "reference")


def index(unit: str, state: State) -> str:
    """Return the key of a unit's dead or uncertain ids. Raises ValueError for any other state."""
    if state is State.DEAD:
        return keys.dead(unit)
    if state is State.UNCERTAIN:
        return keys.uncertain(unit)
    raise ValueError(f"{state} messages are not kept for a person")


def page(client: redis.Redis, numbers: Sequence[str], state: State, *, most: int = 50, after: str = "") -> Page:
    """Return the dead or the uncertain messages of these numbers, a page at a time; held ones before waiting ones.

    `after` is a page's `next`. Raises ValueError for one that isn't.
    """
    units = [unit for number in numbers for unit in units_of(client, number)]
    unit, score, message_id = _cursor(after, units)
    rows: list[Kept] = []
    for place in range(units.index(unit) if unit else 0, len(units)):
        name = index(units[place], state)
        start = _start(client, name, score, message_id) if units[place] == unit else 0
        found: Any = client.zrange(name, start, start + most - len(rows), withscores=True)
        room = most - len(rows)
        rows += _read(client, units[place], state, found[:room])
        if len(found) > room:
            last = rows[-1]
            return Page(tuple(rows), f"{last.unit}~{_score(last)}~{last.message_id}")
    return Page(tuple(rows), "")


def find(client: redis.Redis, numbers: Sequence[str], message_id: str) -> Kept | None:
    """Return a dead or uncertain message with its history and what it says, or None when it is neither."""
    for unit, state in ((unit, state) for unit in _units(client, numbers, message_id) for state in _STATES):
        score = client.zscore(index(unit, state), message_id)
        if score is not None:
            (kept,) = _read(client, unit, state, [(message_id.encode(), score)], whole=True)
            return kept
    return None


def decide(
    unit: str, message_ids: Sequence[str], verb: Verb, *, by: str, record_ttl_s: int, now_us: int | None = None
) -> Call:
    """Build the call that does what a person decided about messages of a unit. Safe to run twice.

    Retried ones go to the tail of their lane; attempts and time count anew, and the history is kept.
    """
    number = keys.number_of_unit(unit)
    names = [
        *keys.lanes(unit), keys.kept(unit), keys.dead(unit), keys.uncertain(unit), keys.heads(unit), keys.lines(unit),
        *map(keys.record, message_ids),
    ]  # fmt: skip
    args: list[scripts.Argument] = [
        "" if now_us is None else now_us, unit, record_ttl_s, verb.value, by, keys.doorbell(number), number,
        *message_ids,
    ]  # fmt: skip
    return Call(scripts.load("delivery", "decide"), names, args)


def decide_some(
    client: redis.Redis,
    numbers: Sequence[str],
    state: State,
    message_ids: Sequence[str],
    verb: Verb,
    *,
    by: str,
    record_ttl_s: int,
) -> list[str]:
    """Do what a person decided about these messages; return the ids of those that are in `state` and were changed."""
    of_unit: dict[str, list[str]] = {}
    for message_id in dict.fromkeys(message_ids):
        units = _units(client, numbers, message_id)
        unit = next((u for u in units if client.zscore(index(u, state), message_id) is not None), None)
        if unit is not None:
            of_unit.setdefault(unit, []).append(message_id)
    done: list[str] = []
    for unit, ids in of_unit.items():
        for start in range(0, len(ids), MOST):
            done += _decided(client, unit, ids[start : start + MOST], verb, by=by, record_ttl_s=record_ttl_s)
    return done


def decide_all(
    client: redis.Redis, numbers: Sequence[str], state: State, verb: Verb, *, by: str, record_ttl_s: int
) -> Iterator[int]:
    """Do it to every message that is in `state` now; yield how many were changed, piece by piece.

    Those that come to this state meanwhile are left: what is retried may die again at once.
    """
    seconds, micros = client.time()
    now_ms = seconds * 1000 + micros // 1000
    for unit in (unit for number in numbers for unit in units_of(client, number)):
        while True:
            found: Any = client.zrange(index(unit, state), "-inf", now_ms, byscore=True, offset=0, num=MOST)
            ids = [_text(message_id) for message_id in found]
            changed = _decided(client, unit, ids, verb, by=by, record_ttl_s=record_ttl_s) if ids else []
            if not changed:
                break
            yield len(changed)


_STATES = (State.DEAD, State.UNCERTAIN)


def _decided(
    client: redis.Redis, unit: str, message_ids: Sequence[str], verb: Verb, *, by: str, record_ttl_s: int
) -> list[str]:
    (reply,) = run_all(client, [decide(unit, message_ids, verb, by=by, record_ttl_s=record_ttl_s)])
    if isinstance(reply, Exception):
        raise reply
    return [message_id for message_id, state in zip(message_ids, reply, strict=True) if state]


def _units(client: redis.Redis, numbers: Sequence[str], message_id: str) -> list[str]:
    """Return the units that may hold a message: that of its record first; the record may have gone."""
    unit = client.hget(keys.record(message_id), "number")
    others = [unit for number in numbers for unit in units_of(client, number)]
    return list(dict.fromkeys([*([_text(unit)] if unit else []), *others]))


def _read(
    client: redis.Redis, unit: str, state: State, found: Sequence[tuple[Any, float]], *, whole: bool = False
) -> list[Kept]:
    ids = [_text(message_id) for message_id, _ in found]
    with client.pipeline(transaction=False) as pipe:
        for message_id in ids:
            pipe.hmget(keys.record(message_id), *_FIELDS, "history")
            pipe.hget(keys.kept(unit), message_id)
        replies = pipe.execute()
    rows = zip(ids, (score for _, score in found), replies[::2], replies[1::2], strict=True)
    return [_kept(unit, state, row, whole=whole) for row in rows]


def _kept(unit: str, state: State, row: tuple[str, float, Sequence[Any], Any], *, whole: bool) -> Kept:
    message_id, score, told, held = row
    attempts, code, reason, push, reference, history = (_text(value or b"") for value in told)
    return Kept(
        message_id=message_id,
        unit=unit,
        state=state,
        since_ms=abs(int(score)),
        held=score < 0,
        class_=_CLASSES.get((held or b"")[:1], ""),
        attempts=int(attempts or 0),
        code=code,
        reason=reason,
        push=push,
        reference=reference,
        fields=_fields(held) if whole else {},
        history=history_of(history) if whole else (),
    )


def _fields(held: bytes | None) -> dict[str, Any]:
    """Return what a message says, as far as it can be read: a stranger may have put it on the lane."""
    try:
        body = json.loads(json.loads((held or b"")[1:])["body"])
        return {name: value for name, value in body[1].items() if name in CHECKS}
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return {}


def _cursor(after: str, units: Sequence[str]) -> tuple[str, int, str]:
    if not after:
        return "", 0, ""
    unit, _, rest = after.partition("~")
    score, _, message_id = rest.partition("~")
    if unit not in units or not score.removeprefix("-").isdigit():
        raise ValueError("it is no page's `next`")
    return unit, int(score), message_id


def _start(client: redis.Redis, name: str, score: int, message_id: str) -> int:
    """Return the rank behind a page's last message, which may have gone meanwhile: those of one time stand by id."""
    alike: Any = client.zrange(name, score, score, byscore=True)
    passed = sum(_text(other) <= message_id for other in alike)
    return int(client.zcount(name, "-inf", f"({score}")) + passed


def _score(kept: Kept) -> int:
    return -kept.since_ms if kept.held else kept.since_ms


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
