"""Which shard of a number has a contact, and how do messages get there?

With MultiConnect a number runs in several containers, and each has the whole TPS. WhatsApp spreads a number's contacts
over them by a hash that it has not published. Ours stands in for it: SHA-1 of the contact's digits, the first eight hex
digits of it, modulo shards. It is stable and even, but an approximation: contacts that share a shard here may be on two
containers there. So all containers together are never given more than they may spend, and each of them gets its even
part on average, not to the message. A shard that is hot holds back its own contacts and no others.

Each shard is a unit with lanes, meter and leases of its own. Messages are published to the number; `sort` moves them to
their shards. When the number of shards changes, what waits in the former units comes back by `drain` and is sorted
anew.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import redis

from headway import keys
from runtime import scripts
from runtime.scripts import Call
from scheduler.rules import NumberRules

#: Rows of one sort, and of one drain: about a millisecond of the server's time.
SORT_ROWS = 100
DRAIN_ROWS = 1000

_OTHER_THAN_DIGITS = re.compile(r"[^0-9]+")


@dataclass(frozen=True, slots=True)
class Sorted:
    """What a sort did. `in_force` is 0 while former units are emptied; other than asked: nothing was done."""

    in_force: int
    moved: int
    more: bool


@dataclass(frozen=True, slots=True)
class Agreed:
    """The number of shards in force, whether rows of former units are still on their way, and all ever used."""

    in_force: int
    moving: bool
    used: tuple[int, ...] = (1,)

    def units(self, number: str) -> tuple[str, ...]:
        """Return the units in force."""
        return keys.units(number, self.in_force)

    def former(self, number: str) -> tuple[tuple[str, int], ...]:
        """Return the units that are no longer in force, each with how many it was one of; the number itself is none:
        its lanes are where messages come in.
        """
        counts = [count for count in self.used if count not in (1, self.in_force)]
        return tuple((unit, count) for count in counts for unit in keys.units(number, count))

    def all_units(self, number: str) -> tuple[str, ...]:
        """Return every unit that may hold something: the number itself, those in force, the former ones."""
        return tuple(unit for count in sorted({1, *self.used}) for unit in keys.units(number, count))


def shard_of(contact: str, shards: int) -> int:
    """Return the shard, from 0, of a contact: a recipient, a sender or a group's id, however it is written."""
    if shards == 1:
        return 0
    text = _OTHER_THAN_DIGITS.sub("", contact) or contact
    digest = hashlib.sha1(text.encode(errors="replace"), usedforsecurity=False).hexdigest()
    return int(digest[:8], 16) % shards


def unit_of(number: str, shards: int, contact: str) -> str:
    """Return the unit of a number that has a contact."""
    return number if shards == 1 else f"{number}/{shard_of(contact, shards)}of{shards}"


def rules_of_unit(rules: NumberRules, unit: str) -> NumberRules:
    """Return a number's rules as they hold for one of its units: its whole TPS, its part of the requests in flight."""
    if unit == rules.number:
        return rules
    shards = int(unit.rpartition("of")[2])
    return replace(rules, number=unit, in_flight=max(1, rules.in_flight // shards))


def sort(number: str, shards: int, *, most: int = SORT_ROWS, now_us: int | None = None) -> Call:
    """Build the call that moves messages from a number's lanes to those of their shards; safe to run twice."""
    names = [*keys.lanes(number), keys.shards(number), keys.deferred(number), keys.kept(number), keys.due(number)]
    names += [keys.heads(number), keys.lines(number), keys.leased(number)]
    names += [lane for unit in keys.units(number, shards) for lane in keys.lanes(unit)] + [keys.held(number)]
    return Call(scripts.load("scheduler", "sort"), names, [_time(now_us), shards, most])


def sorted_(reply: Any) -> Sorted:
    """Read what `sort` answered."""
    in_force, moved, more = (int(part) for part in reply)
    return Sorted(in_force, moved, bool(more))


def drain(unit: str, shards: int, *, most: int = DRAIN_ROWS, now_us: int | None = None) -> Call:
    """Build the call that moves what waits in a former unit back to its number; it answers rows moved and if more wait.

    `shards`: how many the unit was one of. A unit in force is left alone.
    """
    names = [*keys.lanes(keys.number_of_unit(unit)), keys.shards(unit), *keys.lanes(unit)]
    names += [keys.deferred(unit), keys.kept(unit), keys.due(unit), keys.heads(unit), keys.lines(unit)]
    names.append(keys.held(unit))
    return Call(scripts.load("scheduler", "drain"), names, [_time(now_us), shards, most])


def agree(number: str, process: str, shards: int, *, emptied: int = 0, now_us: int | None = None) -> Call:
    """Build the call by which a process says how many shards its environment gives; the fewest of all hold.

    A process declares its TPS first. `emptied`: the shards in force when it found all former units empty.
    """
    args: list[scripts.Argument] = [_time(now_us), process, shards, emptied]
    return Call(scripts.load("scheduler", "agree"), [keys.shards(number), keys.declared(number)], args)


def agreed(reply: Any) -> Agreed:
    """Read what `agree` answered."""
    in_force, moving, *used = (int(part) for part in reply)
    return Agreed(in_force, bool(moving), tuple(sorted(used)))


def read(client: redis.Redis, number: str) -> Agreed:
    """Return what is in force, without a say in it; one shard when nobody ever said otherwise."""
    found: Any = client.hgetall(keys.shards(number))
    fields = {_text(name): _text(value) for name, value in found.items()}
    used = tuple(sorted(int(field) for field in fields if field.isdigit()))
    return Agreed(int(fields.get("now", 1)), "moving" in fields, used or (1,))


def leave(client: redis.Redis, numbers: Sequence[str], process: str) -> None:
    """Forget what a process declared: it ends, and no one waits until it counts as lost."""
    with client.pipeline(transaction=False) as pipe:
        for number in numbers:
            pipe.hdel(keys.declared(number), process)
        pipe.execute()


def _time(now_us: int | None) -> str | int:
    return "" if now_us is None else now_us


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
