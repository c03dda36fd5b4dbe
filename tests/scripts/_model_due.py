"""When does a deferred message come back, and before whom? In plain Python, without a server."""

from __future__ import annotations

import math

from tests.scripts._model_parts import Item, constant

AT_ONCE, FRONT = int(constant("promote.lua", "AT_ONCE")), int(constant("promote.lua", "FRONT"))
SPREAD_MS = int(constant("defer.lua", "SPREAD_MS"))
LEAST_MS = 2.0**-12


class Deferral:
    """What is deferred, what is due, and how much of that is at the front of its lane."""

    lanes: dict[int, list[Item]]
    kept: dict[str, tuple[int, Item]]

    def __init__(self) -> None:
        self.deferred: dict[str, float] = {}
        self.due: dict[int, list[str]] = {}
        self.front: dict[int, int] = {}

    def defer(self, id_: str, at_us: float) -> None:
        """Let a message wait, behind those that wait for the same millisecond."""
        found: float = math.ceil(at_us / 1000)
        for ms in range(int(found), int(found) + SPREAD_MS + 1):
            last = max((at for at in self.deferred.values() if ms <= at < ms + 1), default=None)
            if last is None:
                found = ms
                break
            found = last + LEAST_MS
            if found < ms + 1:
                break
        self.deferred[id_] = found

    def promote(self, now: int, *, everything: bool = False) -> bool:
        """Put messages whose time has come at the head of their lanes; whether to come again at once."""
        ids = sorted((at, id_) for id_, at in self.deferred.items() if at < now // 1000 + 1)[:AT_ONCE]
        for _, id_ in ids:
            del self.deferred[id_]
            step, _ = self.kept[id_]
            self.due.setdefault(step, []).append(id_)
            self.front.setdefault(step, 0)
        more = len(ids) == AT_ONCE
        for step in [step for step, front in self.front.items() if everything or front <= 0]:
            line = self.due.get(step, [])
            coming = line[: AT_ONCE if everything else FRONT]
            del line[: len(coming)]
            self.lanes[step][:0] = [self.kept.pop(id_)[1] for id_ in coming]
            more = more or (bool(line) and (everything or not coming))
            if line or (coming and not everything):
                self.front[step] = 0 if everything else len(coming)
            else:
                del self.front[step]
        return more

    def passed(self, step: int, rows: int) -> bool:
        """Note that rows left the head of a lane; whether to come again at once."""
        front = self.front.get(step, 0)
        if rows <= 0 or front <= 0:
            return False
        if front > rows:
            self.front[step] = front - rows
            return False
        if self.due.get(step):
            self.front[step] = 0
            return True
        del self.front[step]
        return False
