"""What can a person do with a number's messages: pause, resume, purge, cancel, drain, accept?

The one place where a verb becomes a setting or a mark; the command line and the HTTP API both come here. Each is in
force for the next lease, begin and push, on all workers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import redis

from headway.errors import ControlError
from scheduler import control, marks
from scheduler.cancel import clear
from scheduler.decree import Decree
from scheduler.marks import Mark, Selection, What


class Verb(StrEnum):
    """What may be asked."""

    #: Hold: nothing of it is leased or begun. The whole number, or a selection.
    PAUSE = "pause"
    #: Let what was paused go on.
    RESUME = "resume"
    #: Drop what waits of a number, a class or a selection.
    PURGE = "purge"
    #: The same, of a selection: a campaign, a tag, a recipient, an age.
    CANCEL = "cancel"
    #: Take no more pushes, of the number or of a class; what waits leaves.
    DRAIN = "drain"
    #: Take pushes again.
    ACCEPT = "accept"


#: What can't be undone, or stops apps, is asked for with a reason.
NEEDS_REASON = frozenset({Verb.PURGE, Verb.CANCEL, Verb.DRAIN})
#: What may end by itself.
MAY_END = frozenset({Verb.PAUSE, Verb.DRAIN})

_ENDS = {Verb.RESUME: What.HOLD, Verb.ACCEPT: What.DRAIN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Steered:
    """What was done. `dropped`: rows that are cancelled by now; what stands behind others follows as leases meet it."""

    verb: Verb
    selection: Selection
    marks: tuple[Mark, ...] = ()
    dropped: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        said = {
            "verb": self.verb.value, "selection": self.selection.as_json(), "dropped": self.dropped,
            "marks": [mark.as_json() for mark in self.marks],
        }  # fmt: skip
        return {name: value for name, value in said.items() if value is not None}


def check(verb: Verb, selection: Selection, decree: Decree) -> None:
    """Raise ControlError, which names the field, for what can't be asked like this."""
    if verb in NEEDS_REASON and not decree.reason.strip():
        raise ControlError("reason", f"say why: {verb} is for others to understand later, too")
    if verb is Verb.CANCEL and selection.everything:
        raise ControlError("selection", "say which: class, campaign, tag, to or older_than; `purge` is for all of them")
    if verb in (Verb.DRAIN, Verb.ACCEPT) and not selection.whole_class:
        raise ControlError("selection", f"{verb} goes by number and class: pushes are taken or refused whole")
    if decree.until_ms is not None and verb not in MAY_END:
        raise ControlError("until", f"{verb} is done at once; {' and '.join(sorted(MAY_END))} may end by themselves")


def steer(
    client: redis.Redis,
    number: str,
    verb: Verb,
    selection: Selection,
    decree: Decree,
    *,
    record_ttl_s: int,
    most: int | None = None,
) -> Steered:
    """Do it. Raises ControlError.

    `most`: rows to drop before it returns, about; the rest is dropped as leases meet it.
    """
    check(verb, selection, decree)
    if selection.everything and verb in (Verb.PAUSE, Verb.RESUME):
        paused = {"paused": "1" if verb is Verb.PAUSE else ""}
        control.change(
            client, number, paused, by=decree.by, where=decree.where, reason=decree.reason, until_ms=decree.until_ms,
            now_us=decree.now_us,
        )  # fmt: skip
        return Steered(verb=verb, selection=selection)
    if verb in _ENDS:
        return _end(client, number, verb, selection, decree)
    what = {Verb.PAUSE: What.HOLD, Verb.DRAIN: What.DRAIN}.get(verb, What.DROP)
    mark = marks.put(client, number, what, selection, decree, verb=verb.value, record_ttl_s=record_ttl_s)
    dropped = _dropped(client, number, most, decree) if what is What.DROP else None
    return Steered(verb=verb, selection=selection, marks=(mark,), dropped=dropped)


def _end(client: redis.Redis, number: str, verb: Verb, selection: Selection, decree: Decree) -> Steered:
    standing = [mark for mark in marks.read(client, number, now_ms=decree.now_ms) if mark.what is _ENDS[verb]]
    meant = [mark for mark in standing if mark.selection == selection]
    if not meant:
        others = "; ".join(str(mark.selection) for mark in standing)
        done = "held" if verb is Verb.RESUME else "drained"
        told = f"what is: {others}" if others else "nothing is"
        raise ControlError("selection", f"{selection}: not {done}; {told}")
    return Steered(
        verb=verb, selection=selection, marks=tuple(marks.end(client, number, meant, decree, verb=verb.value))
    )


def _dropped(client: redis.Redis, number: str, most: int | None, decree: Decree) -> int:
    dropped = 0
    for rows in clear(client, number, now_us=decree.now_us):
        dropped += rows
        if most is not None and dropped >= most:
            break
    return dropped
