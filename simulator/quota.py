"""Is there a request left in this minute?"""

from __future__ import annotations

from collections import deque

#: "90 requests per minute". Whether a fixed or a sliding minute isn't said: this is the sliding one, the stricter.
PUSHES_PER_MINUTE = 90
#: "Device / Service Status Check: 3 request per minute".
STATUSES_PER_MINUTE = 3

_MINUTE_US = 60_000_000


class Quota:
    """So many requests in any trailing minute; what is over isn't processed and takes nothing of it."""

    def __init__(self, per_minute: int) -> None:
        """Take the limit; 0: none."""
        self.dropped = 0
        self._per_minute = per_minute
        self._taken_us: deque[int] = deque()

    def take(self, now_us: int) -> bool:
        """Count a request; False: it is over the limit."""
        if not self._per_minute:
            return True
        while self._taken_us and self._taken_us[0] <= now_us - _MINUTE_US:
            self._taken_us.popleft()
        if len(self._taken_us) >= self._per_minute:
            self.dropped += 1
            return False
        self._taken_us.append(now_us)
        return True
