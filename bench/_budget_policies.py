"""How would somebody without Headway decide what may leave?

Pure Python, one class for each way. All are `simulator.timeline.Sender`s; headroom, left free whatever uses
the rest, is the dial of those that have one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from bench._budget_conditions import SECOND_US, Scene
from simulator.timeline import Answer, Heard

#: Who lets rows gather for one request asks so often; who knows when there is room asks then.
_AGAIN_US = 10_000


class RequestQuota:
    """The provider's requests in any trailing minute, spent evenly: one in each sixtieth of the quota at most."""

    def __init__(self, per_minute: int | None) -> None:
        self._gap_us = 60 * SECOND_US // per_minute + 1 if per_minute else 0
        self._next_us = 0

    def wait_until_us(self) -> int:
        """Return when the next request may leave."""
        return self._next_us

    def spend(self, now_us: int) -> None:
        """A request leaves now."""
        self._next_us = now_us + self._gap_us


class OutboundOnly:
    """A plain limiter: TPS sends a second, evenly, whatever else the number does."""

    def __init__(self, scene: Scene, _headroom: float = 0.0) -> None:
        self._tps = scene.tps
        self._quota = RequestQuota(scene.batch)
        self._made = 0
        self._since_us = 0

    def ask(self, now_us: int, _row: int) -> Answer:
        """Send what is due by now; an idle time isn't saved up."""
        if now_us < self._quota.wait_until_us():
            return Answer(0, self._quota.wait_until_us())
        if now_us - self._since_us > SECOND_US + self._made * SECOND_US // self._tps:
            self._since_us, self._made = now_us, 0
        due = (now_us - self._since_us) * self._tps // SECOND_US + 1 - self._made
        if due > 0:
            self._quota.spend(now_us)
            self._made += due
        return Answer(due, self._since_us + -(-self._made * SECOND_US // self._tps))

    def hear(self, _now_us: int, _events: Sequence[Heard]) -> None:
        """It doesn't listen."""


class WindowAndDebt:
    """Every event in a trailing window of TPS, and a leaky bucket for what couldn't be refused; nothing foreseen."""

    def __init__(self, scene: Scene, headroom: float = 0.0) -> None:
        self.tps = scene.tps
        self.cap = max(1, int(scene.tps * (1 - headroom) + 1e-9))
        self.members_of = scene.way().members_of
        self._quota = RequestQuota(scene.batch)
        self._charged: deque[tuple[int, int]] = deque()
        self._in_window = 0
        self._behind = 0.0
        self._poured_us = 0

    def ask(self, now_us: int, row: int) -> Answer:
        """Send as many as window and debt leave room for, in one request."""
        if now_us < self._quota.wait_until_us():
            return Answer(0, self._quota.wait_until_us())
        room, again_us = self.room(now_us)
        rows = self.allowed(now_us, row, room) if room > 0 else 0
        if rows:
            self._charge(now_us, rows)
            self._quota.spend(now_us)
            self.left(now_us, row, rows)
            return Answer(rows, now_us)
        return Answer(0, max(again_us, now_us + _AGAIN_US) if room > 0 else again_us)

    def hear(self, now_us: int, events: Sequence[Heard]) -> None:
        """Charge what came in."""
        self._charge(now_us, len(events))

    def allowed(self, _now_us: int, _row: int, room: int) -> int:
        """Return how many of `room` rows may leave: for those who look further, a place to do so."""
        return room

    def left(self, now_us: int, row: int, rows: int) -> None:
        """Rows left: for those who remember."""

    def room(self, now_us: int) -> tuple[int, int]:
        """Return how many rows fit, or when to ask again."""
        while self._charged and self._charged[0][0] <= now_us - SECOND_US:
            self._in_window -= self._charged.popleft()[1]
        fits = self.cap - self._in_window
        if fits < 1:
            over, free_us = 1 - fits, now_us
            for at_us, events in self._charged:
                over, free_us = over - events, at_us + SECOND_US
                if over <= 0:
                    break
            return 0, free_us
        behind = self.behind(now_us)
        if self.tps - behind < 1:
            return 0, now_us + int((behind - self.tps + 1) * SECOND_US / self.tps) + 1
        return min(fits, int(self.tps - behind)), now_us

    def behind(self, now_us: int) -> float:
        """Return how many events the container has still to work off."""
        return max(0.0, self._behind - (now_us - self._poured_us) * self.tps / SECOND_US)

    def _charge(self, now_us: int, events: int) -> None:
        self._behind, self._poured_us = self.behind(now_us) + events, now_us
        self._in_window += events
        self._charged.append((now_us, events))
