"""Which of a provider's base URLs is tried first: the primary or a standby?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from runtime.clock import Clock, Deadline, SystemClock

#: How long an address that took no connection stands last. Long enough that not every send waits for a dead primary,
#: short enough that the primary is back in use soon after it answers.
REST = timedelta(seconds=30)


class Addresses:
    """A primary and its standbys, in the order to try them.

    Held per provider object: each process learns by itself that an address is down; no state is shared, none is stale.
    """

    def __init__(self, urls: Sequence[str], *, rest: timedelta = REST, clock: Clock | None = None) -> None:
        """Take base URLs, primary first. Raises ValueError when there is none."""
        self._urls = [url.rstrip("/") for url in urls if url.strip()]
        if not self._urls:
            raise ValueError("a provider needs at least one URL")
        self._rest = rest
        self._clock = clock or SystemClock()
        self._rests: dict[str, Deadline] = {}

    def __len__(self) -> int:
        return len(self._urls)

    def in_order(self) -> list[str]:
        """Return every address: those at rest last, otherwise as they were given."""
        return sorted(self._urls, key=lambda url: url in self._rests and not self._rests[url].passed)

    def unreachable(self, url: str) -> None:
        """Let this address stand last for a while."""
        self._rests[url] = Deadline(self._rest, clock=self._clock)

    def reached(self, url: str) -> None:
        """Put this address back to its own place."""
        self._rests.pop(url, None)
