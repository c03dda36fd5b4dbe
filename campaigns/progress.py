"""How far is a campaign: how many of its messages wait, have left, arrived, were read, failed?

Read from the messages' records, a thousand a round trip, so that counting costs nothing while messages leave. Whoever
looks again and again reads only those that may still change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import redis

from campaigns import store
from campaigns.store import Campaign, State
from headway import keys

_CHUNK: Final = 1_000

#: States of a message that still wait for something of ours.
UNFINISHED: Final = frozenset({"waiting", "leased", "sending", "deferred", "uncertain"})
#: States that nothing follows.
_LAST: Final = frozenset({"read", "failed", "expired", "discarded", "cancelled"})
#: States that say that the provider took the message.
LEFT: Final = frozenset({"sent", "delivered", "read", "failed"})


class Progress:
    """Looks at the messages of one campaign."""

    def __init__(self, campaign_id: str) -> None:
        self._id = campaign_id
        self._ended: Counter[str] = Counter()
        self._open: list[int] = []
        self._seen = 0

    def look(self, client: redis.Redis, campaign: Campaign) -> Mapping[str, int]:
        """Return how many messages are in each state, unfinished ones first. A row that was left out is in none."""
        self._open += range(self._seen + 1, campaign.loaded + 1)
        self._seen = max(self._seen, campaign.loaded)
        counts: Counter[str] = Counter()
        still: list[int] = []
        for start in range(0, len(self._open), _CHUNK):
            places = self._open[start : start + _CHUNK]
            for place, state in zip(places, _states(client, self._id, places), strict=True):
                if state in _LAST:
                    self._ended[state] += 1
                elif state:
                    counts[state] += 1
                    still.append(place)
        self._open = still
        found = counts + self._ended
        return {state: found[state] for state in sorted(found, key=lambda state: (state not in UNFINISHED, state))}


def _states(client: redis.Redis, campaign_id: str, places: list[int]) -> list[str]:
    with client.pipeline(transaction=False) as pipe:
        for place in places:
            pipe.hget(keys.record(store.message_id(campaign_id, place)), "state")
        return [state.decode() if isinstance(state, bytes) else state or "" for state in pipe.execute()]


def settled(client: redis.Redis, campaign: Campaign) -> Campaign:
    """Return a campaign that is listed, done when none of its messages waits any more.

    Looked at from its end, which leaves last: of one that runs a thousand records are read, and of one that is done all
    of them once, as it is noted then.
    """
    if not campaign.whole or campaign.state is not State.RUNNING:
        return campaign
    for last in range(campaign.loaded, 0, -_CHUNK):
        places = list(range(max(1, last - _CHUNK + 1), last + 1))
        if not UNFINISHED.isdisjoint(_states(client, campaign.id, places)):
            return campaign
    return noted(client, campaign, {})


def noted(client: redis.Redis, campaign: Campaign, counts: Mapping[str, int]) -> Campaign:
    """Return the campaign, done when none of its messages waits any more; running again when one does after all."""
    finished = UNFINISHED.isdisjoint(counts)
    before, after = (State.RUNNING, State.DONE) if finished else (State.DONE, State.RUNNING)
    if not campaign.whole or campaign.state is not before:
        return campaign

    def change(now: Campaign, _pipe: Any) -> Campaign:
        return replace(now, state=after) if now.state is before else now

    return store.update(client, campaign.id, change)
