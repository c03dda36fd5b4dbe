"""Who gets no campaign, whatever file they stand in?

One list for the whole Headway. It holds for campaigns alone: what a person asked for (a code, an answer) still leaves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import redis

from campaigns.problems import require_text
from headway import keys

#: Recipients of one command to the server.
_CHUNK: Final = 1_000
#: Recipients of a page.
MOST: Final = 1_000


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A recipient, and who put it on the list, from where, when (server's time) and why."""

    to: str
    by: str
    where: str
    at_ms: int
    reason: str

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return asdict(self)


def add(client: redis.Redis, recipients: Sequence[str], *, by: str, where: str, reason: str) -> int:
    """Put recipients (digits) on the list; return how many weren't on it. Who was on it stays as
    they were put there. Raises CampaignError for a `by` or `reason` that can't be kept.
    """
    require_text("by", by, longest=100, least=1)
    require_text("reason", reason, longest=500)
    seconds, micros = client.time()
    at_ms = seconds * 1000 + micros // 1000
    told = json.dumps({"by": by, "where": where, "at_ms": at_ms, "reason": reason}, ensure_ascii=False)
    return _each(client, recipients, lambda pipe, to: pipe.hsetnx(keys.suppression(), to, told))


def remove(client: redis.Redis, recipients: Sequence[str]) -> int:
    """Take recipients off the list; return how many were on it."""
    return _each(client, recipients, lambda pipe, to: pipe.hdel(keys.suppression(), to))


def among(client: redis.Redis, recipients: Sequence[str]) -> frozenset[str]:
    """Return those of some recipients that are on the list."""
    found: set[str] = set()
    for chunk in _chunks(recipients):
        told = client.hmget(keys.suppression(), list(chunk))
        found |= {to for to, entry in zip(chunk, told, strict=True) if entry is not None}
    return frozenset(found)


def find(client: redis.Redis, recipient: str) -> Suppressed | None:
    """Return what the list says of a recipient, or None."""
    entry = client.hget(keys.suppression(), recipient)
    return None if entry is None else _read(recipient, entry)


def page(client: Any, *, cursor: int = 0) -> tuple[list[Suppressed], int]:
    """Return some of the list, in no order, and where the next ones begin; 0: there are no more."""
    after, found = client.hscan(keys.suppression(), cursor=cursor, count=MOST)
    return [_read(_str(to), entry) for to, entry in found.items()], int(after)


def count(client: redis.Redis) -> int:
    """Return how many are on the list."""
    return int(client.hlen(keys.suppression()))


def _each(client: redis.Redis, recipients: Sequence[str], what: Any) -> int:
    changed = 0
    for chunk in _chunks(list(dict.fromkeys(recipients))):
        with client.pipeline(transaction=False) as pipe:
            for to in chunk:
                what(pipe, to)
            changed += sum(map(int, pipe.execute()))
    return changed


def _chunks(recipients: Sequence[str]) -> Iterable[Sequence[str]]:
    return (recipients[start : start + _CHUNK] for start in range(0, len(recipients), _CHUNK))


def _read(to: str, entry: bytes | str) -> Suppressed:
    told: Mapping[str, Any] = json.loads(entry)
    return Suppressed(to, told["by"], told["where"], told["at_ms"], told["reason"])


def _str(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
