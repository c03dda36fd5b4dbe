"""What came in for the app and hasn't been taken yet: what is kept, in which order, and what may a person do about it?

Each contact has a line of its own: its first entry is tried until the app takes it, the others wait behind it, and no
other contact's line waits for them. What the app doesn't take for days is parked: it leaves its line and stays for a
person. Nothing goes by time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from headway import keys
from runtime import scripts
from runtime.scripts import Call

#: Bytes that the outbox of one number may hold; what is more isn't accepted, and whoever brings it is told so.
MOST_BYTES = 256 * 1024 * 1024
_MS = timedelta(milliseconds=1)
#: A contact is part of a key's member; what ends it there can't be in it.
_LONGEST = 200
_CONTROLS = dict.fromkeys(range(32), " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One body for the app.

    Attributes:
        id: the provider's id of an inbound message; else made up by who stored it.
        contact: whose line it is in.
        serial_us: when it came, in microseconds since 1970: its place in the line.
        what: `inbound`, `receipts` or `notice`.
        attempts: how often the app was tried.
        since_ms: from when on the days are counted after which it is parked.
        problem: what the app, or its silence, said last.
        body: JSON, as the app gets it.
    """

    id: str
    contact: str
    serial_us: int
    what: str
    body: bytes
    attempts: int = 0
    since_ms: int = 0
    problem: str = ""

    @property
    def member(self) -> str:
        """Its place among the lines."""
        return f"{self.contact}\n{self.serial_us:020d}\n{self.id}"

    @property
    def head(self) -> bytes:
        """What is kept about it, beside its body."""
        about = {"contact": self.contact, "serial_us": self.serial_us, "what": self.what, "attempts": self.attempts}
        about |= {"since_ms": self.since_ms, "problem": self.problem}
        return json.dumps(about, separators=(",", ":")).encode("ascii")


@dataclass(frozen=True, slots=True)
class Turn:
    """The first entry of a line, and the turn to give it to the app."""

    entry: Entry
    token: str
    now_ms: int


def line_of(contact: str) -> str:
    """Return a contact, or an id, as it may stand in a member of the lines."""
    return contact[:_LONGEST].translate(_CONTROLS)


# ------------------------------------------------------------------------------------------------- while it comes in


def store(
    number: str, entry: Entry, *, token: str, first_try: timedelta, guard: str, guard_ttl: timedelta,
    now_us: int | None = None,
) -> Call:  # fmt: skip
    """Build the call that keeps an entry; it answers 1: kept, 0: was done before, -1: the outbox is full.

    `guard`: the name under which it is kept once. `token`: that of a request which may have the contact's turn.
    """
    names = [
        keys.forwarded(number, guard), keys.outbox(number), keys.outbox_lines(number), keys.outbox_due(number),
        keys.outbox_bytes(number), keys.turns(number, entry.contact), keys.outbox_since(number),
    ]  # fmt: skip
    args: list[scripts.Argument] = [
        _now(now_us), token, entry.id, entry.contact, entry.member, entry.head + b"\n" + entry.body, first_try // _MS,
        int(guard_ttl.total_seconds()), MOST_BYTES, entry.serial_us,
    ]  # fmt: skip
    return Call(scripts.load("delivery", "outbox_store"), names, args)


def behind(number: str, contacts: Sequence[str]) -> Call:
    """Build the call that asks which contacts have a line; it answers their places, from 1."""
    return Call(scripts.load("delivery", "outbox_behind"), [keys.outbox_due(number)], list(contacts))


# ----------------------------------------------------------------------------------------------------- while it is kept


def due(numbers: Sequence[str], *, most: int, now_us: int | None = None) -> Call:
    """Build the call that asks whose line may be tried now; it answers a list of contacts for each number."""
    script = scripts.load("delivery", "outbox_due")
    return Call(script, [keys.outbox_due(number) for number in numbers], [_now(now_us), most])


def take(
    number: str, contact: str, *, token: str, ttl: timedelta, look_again: timedelta, now_us: int | None = None
) -> Call:
    """Build the call that takes the turn of a line. `ttl`: longer than the app may take."""
    names = [
        keys.outbox(number), keys.outbox_lines(number), keys.outbox_due(number), keys.turns(number, contact),
    ]  # fmt: skip
    args: list[scripts.Argument] = [_now(now_us), token, contact, ttl // _MS, look_again // _MS]
    return Call(scripts.load("delivery", "outbox_take"), names, args)


def taken(reply: Any, *, token: str) -> Turn | None:
    """Read what `take` answered; None: somebody else has the turn, or nothing is left."""
    if not reply:
        return None
    member, raw, now_ms = reply
    return Turn(entry_of(id_of(member), raw), token, int(now_ms))


def gone(number: str, turn: Turn) -> Call:
    """Build the call that says that the app took it."""
    return end(number, turn.entry, "gone", token=turn.token)


def again(number: str, turn: Turn, *, problem: str, wait: timedelta, now_us: int | None = None) -> Call:
    """Build the call that has it tried again after a wait, before all others of its contact."""
    return end(number, _tried(turn, problem), "again", token=turn.token, wait=wait, now_us=now_us)


def park(number: str, turn: Turn, *, problem: str) -> Call:
    """Build the call that gives it up; the next one of its contact has its turn."""
    return end(number, _tried(turn, problem), "parked", token=turn.token)


def end(
    number: str, entry: Entry, what: str, *, token: str, wait: timedelta = timedelta(0), now_us: int | None = None
) -> Call:
    """Build the call that says what became of an entry: `gone`, `again` (after a wait) or `parked`.

    `token`: that of the turn; empty when a person says so, who needs none.
    """
    names = [
        keys.outbox(number), keys.outbox_lines(number), keys.outbox_due(number), keys.turns(number, entry.contact),
        keys.outbox_bytes(number), keys.outbox_parked(number), keys.outbox_since(number),
    ]  # fmt: skip
    args: list[scripts.Argument] = [
        _now(now_us), token, what, entry.contact, entry.member, entry.id, entry.head, wait // _MS,
        entry.serial_us,
    ]  # fmt: skip
    return Call(scripts.load("delivery", "outbox_end"), names, args)


def entry_of(entry_id: str, raw: bytes) -> Entry:
    """Read an entry as it is kept."""
    head, _, body = raw.partition(b"\n")
    return Entry(id=entry_id, body=body, **json.loads(head))


def id_of(member: bytes) -> str:
    """Return the entry id of a member of the lines; a parked one is its id itself."""
    return member.rpartition(b"\n")[2].decode()


def _tried(turn: Turn, problem: str) -> Entry:
    return replace(turn.entry, attempts=turn.entry.attempts + 1, problem=problem[:200])


def _now(now_us: int | None) -> str | int:
    return "" if now_us is None else now_us
