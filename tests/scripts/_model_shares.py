"""How do classes share what urgent leaves? In plain Python, without a server."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

from priorities.table import ClassRule
from tests.scripts._model_parts import constant
from tests.scripts._model_room import Room

STRIDE = int(constant("shares.lua", "STRIDE"))
HOLD_US = int(constant("shares.lua", "HOLD_US"))
AGAIN_US = int(constant("shares.lua", "AGAIN_US"))
FORGET_WINDOWS = int(constant("shares.lua", "FORGET_WINDOWS"))


@dataclass(slots=True)
class Part:
    """One class of those that share, in one lease."""

    rule: ClassRule
    pass_: int
    stride: int
    room: Room
    waiting: int
    at: int = 0
    rows: int = 0
    lost: bool = False

    @property
    def step(self) -> int:
        """Its priority."""
        return self.rule.class_.priority


class Shares:
    """Where each class stands, from the one that is least far on."""

    def __init__(self) -> None:
        self.pass_ = {3: 0, 6: 0, 9: 0}
        self.held_at = {3: 0, 6: 0, 9: 0}
        self.shared_at = 0

    def read(self, now: int, window_us: int) -> Shares:
        """Return it without what is old, for one lease."""
        found = copy.deepcopy(self)
        if not 0 <= now - self.shared_at <= FORGET_WINDOWS * window_us:
            found.pass_ = {3: 0, 6: 0, 9: 0}
            found.held_at = {3: 0, 6: 0, 9: 0}
        return found

    def write(self, parts: list[Part], now: int) -> None:
        """Write down where they stand."""
        for part in parts:
            self.pass_[part.step] = part.pass_
        least = min(part.pass_ for part in parts if not part.lost)
        self.pass_ = {step: max(0, pass_ - least) for step, pass_ in self.pass_.items()}
        self.shared_at = now

    def held_up(self, parts: list[Part], first: Part, now: int) -> tuple[float | None, bool]:
        """Until when the others wait for the one whose turn it is; and whether it has lost its turn."""
        others = [part for part in parts if part.room.fits >= 1 and part.waiting]
        for part in others:
            if part.room.by_floor:
                part.rows, part.at = 1, part.at + part.stride
                return None, False
        if not others:
            return None, False
        if not now - AGAIN_US < self.held_at[first.step] <= now:
            self.held_at[first.step] = now
        lost_at = self.held_at[first.step] + HOLD_US
        first.lost = lost_at <= now
        return (None, True) if first.lost else (min(first.room.until, lost_at), False)


def stride(weight: int) -> int:
    """How far one row moves a class on."""
    return math.floor(STRIDE / weight)


def allot(parts: list[Part], most: int, total: int) -> tuple[Part | None, int]:
    """Give out rows turn by turn; the one whose turn it is when no more fit."""
    while total < most:
        waiting = [part for part in parts if part.rows < part.waiting and not part.lost]
        if not waiting:
            return None, total
        first = min(waiting, key=lambda part: part.at)
        if first.room.fits - total < 1:
            return first, total
        first.rows, first.at, total = first.rows + 1, first.at + first.stride, total + 1
    return None, total
