"""How do messages get to the shards of a number, and back when there are others? In plain Python, without a server."""

from __future__ import annotations

from headway import keys
from scheduler.shards import Agreed, Sorted, shard_of
from tests.scripts.model import Item, Model


class Shards:
    """What is in force, as one process agrees on it; `models` are the units by name, the number's own among them."""

    def __init__(self, number: str, models: dict[str, Model]) -> None:
        self.number = number
        self.models = models
        self.in_force = 1
        self.moving = False
        self.used: set[int] = set()

    def agree(self, shards: int, *, emptied: int = 0) -> Agreed:
        """Say how many shards there are."""
        if shards == 1 and not self.used:
            return Agreed(1, moving=False)
        if shards != self.in_force:
            self.used |= {1, self.in_force, shards}
            self.in_force, self.moving = shards, True
        elif emptied == shards:
            self.moving = False
        return Agreed(self.in_force, self.moving, tuple(sorted(self.used)))

    def sort(self, shards: int, most: int, now: int) -> Sorted:
        """Move messages on to the units in force."""
        if self.moving or self.in_force != shards:
            return Sorted(0 if self.moving else self.in_force, 0, more=False)
        own = self.models[self.number]
        own.promote(now, everything=True)
        own.let_loose()
        moved = 0
        for step, lane in own.lanes.items() if own.heads else ():
            while lane and moved < most:
                item = lane.pop(0)
                self._home(item, shards).lanes[step].append(item)
                if place := own.head_on(step, item):
                    own.front_up(place)
                moved += 1
        for step, lane in own.lanes.items():
            rows = lane[: most - moved]
            del lane[: len(rows)]
            moved += len(rows)
            for item in rows:
                self._home(item, shards).lanes[step].append(item)
        return Sorted(shards, moved, more=moved >= most and any(own.lanes.values()))

    def _home(self, item: Item, shards: int) -> Model:
        shard = 0 if item.refused == "unreadable" else shard_of(item.to, shards)
        return self.models[keys.units(self.number, shards)[shard]]

    def drain(self, unit: str, shards: int, most: int, now: int) -> tuple[int, bool]:
        """Move messages back from a unit that is no longer in force."""
        if self.in_force == shards:
            return 0, False
        own, former = self.models[self.number], self.models[unit]
        more = former.promote(now, everything=True)
        moved, lined = 0, bool(former.heads or former.lines)
        for step, lane in former.lanes.items():
            while lane and moved < most:
                place = former.head_on(step, lane[-1]) if lined else None
                behind = former.last_of(place) if place else None
                if place and behind is None:
                    del former.heads[place]
                own.lanes[step].insert(0, lane.pop() if behind is None else behind)
                moved += 1
        while lined and moved < most and former.lines:
            step = int(max(former.lines)[0][0])
            if last := former.last_of(None):
                own.lanes[step].insert(0, last)
            moved += 1
        return moved, more or bool(former.lines) or any(former.lanes.values())
