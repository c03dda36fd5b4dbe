"""How long does a message wait for its next try after the server's clock was set back?

Its time is one of the server's clock: without this it would wait for the clock to catch up, too. A record says when the
pause began and when it ends, so that the pause itself is known whatever the clock does.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import redis

from headway import keys
from runtime import scripts
from runtime.scripts import Call, run_all

#: The longest pause before a retry (`delivery/lua/include/place.lua`).
LONGEST_PAUSE = timedelta(hours=1)
#: Messages of one call: a fraction of a millisecond of the server's time.
AT_ONCE = 200

_MS = timedelta(milliseconds=1)


def ease(unit: str, message_ids: list[str], *, now_us: int | None = None) -> Call:
    """Build the call that brings the next tries of deferred messages nearer; it answers how many. Safe to run twice."""
    names = [keys.deferred(unit), *map(keys.record, message_ids)]
    return Call(scripts.load("scheduler", "ease"), names, ["" if now_us is None else now_us, *message_ids])


def ease_all(client: redis.Redis, unit: str, *, back: timedelta, now_us: int) -> int:
    """Bring the next tries of a unit nearer; return how many. `back`: how far the clock was set back.

    Looks at what is due within that and the longest pause, from the far end on: what leaves meanwhile leaves at the
    near one. Raises redis-py's errors.
    """
    now_ms, skip, eased = now_us // 1000, 0, 0
    last_ms = now_ms + (back + LONGEST_PAUSE) // _MS
    while True:
        found: Any = client.zrange(
            keys.deferred(unit), last_ms, f"({now_ms}", desc=True, byscore=True, offset=skip, num=AT_ONCE
        )
        if not found:
            return eased
        (done,) = run_all(client, [ease(unit, [one.decode() for one in found], now_us=now_us)])
        if isinstance(done, Exception):
            raise done
        eased += done
        skip += len(found) - done  # those that came nearer no longer stand before the next ones
