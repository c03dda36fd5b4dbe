"""How many sends were possible, for somebody who knows the future exactly?

The oracle reads ahead when every inbound message comes and what every row's receipts will be (the same draws that the
container makes later). It lays all of it out in bins of a quarter of a turn, and places row after row, in their order,
each at the first moment at which neither the row nor any of its receipts, then or later, lets an arrival find more than
half a second of work before it, on top of what nobody can help: what the inbound messages alone pile up and, when a row
to a group is placed, what that group's receipts do. Requests keep the provider's quota where the scene has one.

It is attainable: its schedule is then sent to the same container as everybody's, and judged by the same record. It is
no proof of the most: somebody who now and then waits, to make better room later, could be ahead by a little. By how
little tells its use of TPS, which nobody can bring over 1 (`Figures.used`). A sender that leaves more than half a
second of work can make more sends than the oracle.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench._budget_conditions import SECOND_US, Scene
from simulator.life import Life
from simulator.timeline import Answer, Heard

#: Bins in one turn; work is counted in bins, so an event is that much work, and a bin works off 1.
_TURN = 4

#: Most rows in one request, as Headway has it.
_MOST_ROWS = 100

_KINDS = ("delivered", "read")


class Oracle:
    """Sends by a schedule that was made with the future known."""

    def __init__(self, scene: Scene, _headroom: float = 0.0) -> None:
        """Look ahead. Takes about as long as living through the scene."""
        self._schedule = schedule(scene)
        self._next = 0

    def ask(self, now_us: int, _row: int) -> Answer:
        """Send what the schedule says."""
        if self._next == len(self._schedule):
            return Answer(0, now_us + 3600 * SECOND_US)
        at_us, rows = self._schedule[self._next]
        if now_us < at_us:
            return Answer(0, at_us)
        self._next += 1
        return Answer(rows, now_us)

    def hear(self, _now_us: int, _events: Sequence[Heard]) -> None:
        """It knew."""


def schedule(scene: Scene) -> list[tuple[int, int]]:
    """Return when requests leave, and with how many rows."""
    way, life, room = scene.way(), scene.life(), _Room(scene)
    gap_us = 60 * SECOND_US // scene.batch + 1 if scene.batch else 0
    made: list[tuple[int, int]] = []
    row = bin_ = 0
    while (at_us := way.awake_us(bin_ * room.bin_us)) < scene.until_us - way.wire_us:
        bin_ = max(bin_, -(-at_us // room.bin_us))
        rows, more = 0, True
        while more and rows < (_MOST_ROWS if scene.batch else 1):
            members = way.members_of(row + rows)
            more = not (rows and members) and _placed(scene, life, room, at_us + way.wire_us, members)
            rows += more
            more = more and not members
        if rows:
            made.append((at_us, rows))
            row += rows
            bin_ = max(bin_, -(-(at_us + gap_us) // room.bin_us))
        else:
            bin_ += 2 * _TURN if way.members_of(row) else 1
    return made


def _placed(scene: Scene, life: Life, room: _Room, lands_us: int, members: int) -> bool:
    """Place the next row where it lands, with its receipts, if there is room."""
    if room.full(lands_us):
        return False
    count = max(1, members)
    kinds = _KINDS if members else scene.kinds
    fates = life.foreseen(lands_us, count)
    after = [us for fate in fates for us, kind in zip(fate, _KINDS, strict=True) if us is not None and kind in kinds]
    if not room.take([lands_us, *(lands_us + us for us in after)], group=members > 0):
        return False
    for _ in range(count):
        life.receipts_us(lands_us)
    return True


class _Room:
    """The container's backlog, bin by bin, as it will be."""

    def __init__(self, scene: Scene) -> None:
        self.bin_us = SECOND_US // (scene.tps * _TURN)
        self._bins = scene.until_us // self.bin_us + 1
        self._inbound = [0] * (self._bins + 1)
        for at_us in scene.inbound_us():
            self._inbound[at_us // self.bin_us] += 1
        # At the end of each bin; the last entry is that before the first bin.
        self._forced = [0] * (self._bins + 1)
        for bin_ in range(self._bins):
            self._forced[bin_] = max(0, self._forced[bin_ - 1] + _TURN * self._inbound[bin_] - 1)
        self._arriving, self._behind = self._inbound.copy(), self._forced.copy()
        self._half_second = scene.tps * _TURN // 2

    def full(self, at_us: int) -> bool:
        """Say whether an arrival would find too much already: quick, for the many moments at which it would."""
        bin_ = min(at_us // self.bin_us, self._bins)
        return self._behind[bin_ - 1] > self._half_second + self._forced[bin_ - 1] + _TURN * self._inbound[bin_]

    def take(self, moments_us: Sequence[int], *, group: bool) -> bool:
        """Place one row and its receipts, if no arrival finds more work before it than it may."""
        bins = sorted(us // self.bin_us for us in moments_us)
        bins = [bin_ for bin_ in bins if bin_ < self._bins]
        changes = self._after(bins, group=group)
        if changes is None:
            return False
        for bin_ in bins:
            self._arriving[bin_] += 1
        for bin_, behind in changes:
            self._behind[bin_] = behind
        return True

    def _after(self, bins: Sequence[int], *, group: bool) -> list[tuple[int, int]] | None:
        """Return how far behind each bin would be that changes; None when an arrival would find too much."""
        changes: list[tuple[int, int]] = []
        index = 0
        while index < len(bins):
            bin_ = bins[index]
            # `forced`: what nobody could help, inbound messages and the group's own receipts.
            work, forced = self._behind[bin_ - 1], self._forced[bin_ - 1]
            while bin_ < self._bins:
                more = 0
                while index < len(bins) and bins[index] == bin_:
                    more, index = more + 1, index + 1
                came = self._arriving[bin_] + more
                work += _TURN * came
                forced += _TURN * (self._inbound[bin_] + (more if group else 0))
                if came and work - _TURN > self._half_second + forced:
                    return None
                work, forced = max(0, work - 1), max(0, forced - 1)
                if work == self._behind[bin_]:
                    break
                changes.append((bin_, work))
                bin_ += 1
        return changes
