"""What does a person see of the outbox, and do about it: list, look, have it tried again, throw it away?"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import redis

from delivery.outbox import Entry, end, entry_of, id_of
from headway import keys
from runtime.scripts import Call, run_all

#: Entries of one page, and the most that may be asked for.
PAGE, MOST_PAGE = 50, 500

Place = Literal["waiting", "parked"]


@dataclass(frozen=True, slots=True)
class Counts:
    """How much an outbox holds: entries that wait and in how many lines, entries that are parked, bytes of both.

    `oldest_ms`: when the first of those that wait came, in milliseconds since 1970; None: nothing waits.
    """

    waiting: int
    contacts: int
    parked: int
    bytes: int
    oldest_ms: int | None = None

    def as_json(self) -> dict[str, int | None]:
        """Return the same for programs."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry as a person sees it. `due_ms`: when its line is tried next; `parked_ms`: when it was given up."""

    entry: Entry
    due_ms: int | None = None
    parked_ms: int | None = None

    @property
    def place(self) -> Place:
        """Whether it waits for its turn, or for a person."""
        return "waiting" if self.parked_ms is None else "parked"

    def as_json(self) -> dict[str, Any]:
        """Return what is known of it, but for the body. Times are in milliseconds since 1970."""
        entry = self.entry
        return {
            "id": entry.id,
            "state": self.place,
            "what": entry.what,
            "contact": entry.contact,
            "at_ms": entry.serial_us // 1000,
            "attempts": entry.attempts,
            "due_ms": self.due_ms,
            "parked_ms": self.parked_ms,
            "problem": entry.problem,
        }


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries in their order; `after` asks for the next page, and is empty on the last one."""

    entries: tuple[Listed, ...]
    after: str


def counts(client: redis.Redis, number: str) -> Counts:
    """Say how much a number's outbox holds."""
    with client.pipeline(transaction=False) as pipe:
        pipe.zcard(keys.outbox_lines(number))
        pipe.zcard(keys.outbox_due(number))
        pipe.zcard(keys.outbox_parked(number))
        pipe.get(keys.outbox_bytes(number))
        pipe.zrange(keys.outbox_since(number), 0, 0, withscores=True)
        waiting, contacts, parked, size, first = pipe.execute()
    oldest_ms = int(first[0][1]) // 1000 if first else None
    return Counts(waiting, contacts, parked, int(size or 0), oldest_ms)


def page(client: redis.Redis, number: str, place: Place, *, after: str = "", limit: int = PAGE) -> Page:
    """Return entries that wait, contact by contact, or parked ones, the first one that was given up first.

    Raises ValueError for an `after` that no page gave.
    """
    found = _waiting if place == "waiting" else _parked
    members = found(client, number, _unsealed(after), limit)
    listed = [one for one in (look_up(client, number, id_of(member)) for member in members) if one is not None]
    more = base64.urlsafe_b64encode(members[-1]).decode() if len(members) == limit else ""
    return Page(tuple(listed), more)


def look_up(client: redis.Redis, number: str, entry_id: str) -> Listed | None:
    """Return an entry with its body, or None."""
    raw: Any = client.hget(keys.outbox(number), entry_id)
    if raw is None:
        return None
    entry = entry_of(entry_id, raw)
    with client.pipeline(transaction=False) as pipe:
        pipe.zscore(keys.outbox_due(number), entry.contact)
        pipe.zscore(keys.outbox_parked(number), entry_id)
        due_ms, parked_ms = pipe.execute()
    if parked_ms is not None:
        return Listed(entry, parked_ms=int(parked_ms))
    return Listed(entry, due_ms=None if due_ms is None else int(due_ms))


def retry(client: redis.Redis, number: str, entry_id: str) -> bool:
    """Have an entry tried at once, parked or not, and for days again; False when there is none."""
    found = look_up(client, number, entry_id)
    if found is None:
        return False
    time: Any = client.time()
    entry = replace(found.entry, since_ms=time[0] * 1000 + time[1] // 1000)
    return _by_person(client, end(number, entry, "again", token=""))


def retry_all(client: redis.Redis, number: str) -> int:
    """Have everything tried at once that waits or is parked; return how many entries that were."""
    parked = sum(retry(client, number, entry_id) for entry_id in list(_all_parked(client, number)))
    lines: Any = client.zrange(keys.outbox_due(number), 0, -1)
    for start in range(0, len(lines), 1000):
        client.zadd(keys.outbox_due(number), dict.fromkeys(lines[start : start + 1000], 0), xx=True)
    waiting: int = client.zcard(keys.outbox_lines(number))
    return max(parked, waiting)


def discard(client: redis.Redis, number: str, entry_id: str) -> bool:
    """Throw an entry away: the app never gets it; False when there is none."""
    found = look_up(client, number, entry_id)
    return found is not None and _by_person(client, end(number, found.entry, "gone", token=""))


def _by_person(client: redis.Redis, call: Call) -> bool:
    (reply,) = run_all(client, [call])
    if isinstance(reply, Exception):
        raise reply
    return bool(reply)


def _waiting(client: redis.Redis, number: str, after: bytes, limit: int) -> list[bytes]:
    lowest = b"(" + after if after else b"-"
    found: Any = client.zrangebylex(keys.outbox_lines(number), lowest, b"+", start=0, num=limit)
    return list(found)


def _parked(client: redis.Redis, number: str, after: bytes, limit: int) -> list[bytes]:
    rank: Any = client.zrank(keys.outbox_parked(number), after) if after else None
    start = 0 if rank is None else rank + 1
    found: Any = client.zrange(keys.outbox_parked(number), start, start + limit - 1)
    return list(found)


def _all_parked(client: redis.Redis, number: str) -> Iterator[str]:
    found: Any = client.zrange(keys.outbox_parked(number), 0, -1)
    return (entry_id.decode() for entry_id in found)


def _unsealed(after: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(after.encode("ascii"))
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("after: take it from the page before, as it is") from error
