"""What may a person do with all messages of one campaign: pause, resume, cancel?"""

from __future__ import annotations

from typing import Final

import redis

from scheduler import marks
from scheduler.decree import Decree
from scheduler.marks import Selection, What
from scheduler.steer import Verb, check, steer

#: Rows that are dropped before a cancel answers; leases drop the rest as they meet it.
MOST_DROPPED: Final = 10_000
VERBS: Final = (Verb.PAUSE, Verb.RESUME, Verb.CANCEL)


def require(verb: Verb, campaign_id: str, decree: Decree) -> None:
    """Raise ControlError, which names the field, for what can't be asked like this."""
    check(verb, Selection(campaign=campaign_id), decree)


def steer_all(
    client: redis.Redis, number: str, campaign_id: str, verb: Verb, decree: Decree, *, record_ttl_s: int
) -> None:
    """Hold, let go or drop all messages of a campaign, also those that workers have taken already.

    To be called when nothing of it is pushed any more, or may go on being pushed: a drop is about what was accepted
    before it. Raises ControlError.
    """
    selection = Selection(campaign=campaign_id)
    if verb is not Verb.RESUME:
        steer(client, number, verb, selection, decree, record_ttl_s=record_ttl_s, most=MOST_DROPPED)
    if verb is Verb.PAUSE:
        return
    # What is held aside comes back: to go on, or to be met by the drop.
    held = [mark for mark in marks.read(client, number) if (mark.what, mark.selection) == (What.HOLD, selection)]
    if held:
        marks.end(client, number, held, decree, verb=verb.value)
