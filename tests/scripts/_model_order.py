"""Who is ahead of whom, for one recipient in one lane? In plain Python, without a server."""

from __future__ import annotations

import re

from tests.scripts._model_parts import Item, Lease, Taking, constant

FRONT_UP = int(constant("unline.lua", "FRONT_UP"))


def place_of(step: int, to: str) -> str:
    """Return the field of `heads` for a recipient in a lane."""
    digits = re.sub(r"[\s()+./-]", "", to)
    return f"{step}:{digits if digits.isdigit() else to}"


class Order:
    """Heads by place, and those that stand behind them: place, serial, id."""

    lanes: dict[int, list[Item]]
    kept: dict[str, tuple[int, Item]]
    leased: dict[str, tuple[int, Item]]
    uncertain: dict[str, float]
    dead: dict[str, float]

    def __init__(self) -> None:
        self.heads: dict[str, str] = {}
        self.lines: list[tuple[str, int, str]] = []
        self.serial = 0

    # --- as a lease sees it

    def ahead_of(self, t: Taking, item: Item, step: int) -> str | None:
        """The id that is ahead for the recipient of a row, seen by a lease."""
        place = place_of(step, item.to)
        return t.mine.get(place) or (self.heads.get(place) if t.heads else None)

    def stands_behind(self, t: Taking, item: Item, step: int) -> bool:
        """Is another one ahead? Then it goes behind it."""
        head = self.ahead_of(t, item, step)
        if head in (None, item.id):
            return False
        self.serial += 1
        self.kept[item.id] = (step, item)
        self.lines.append((place_of(step, item.to), self.serial, item.id))
        return True

    def joins_ahead(self, t: Taking, item: Item, step: int, *, sends: bool, ordered: bool) -> None:
        """A row joins the lease; it may be ahead from now on."""
        if item.refused or not (ordered or t.heads):
            return
        if self.ahead_of(t, item, step) == item.id or (sends and ordered):
            t.mine[place_of(step, item.to)] = item.id
            t.places[item.id] = place_of(step, item.to)

    def dropped(self, t: Taking, item: Item, step: int) -> None:
        """A row was dropped on the way."""
        if t.heads and not item.refused and self.ahead_of(t, item, step) == item.id and item.id not in self.kept:
            t.gone.append((place_of(step, item.to), item.id))

    def go_on(self, t: Taking) -> None:
        """Heads that are gone are followed."""
        for place, id_ in t.gone:
            if t.mine.get(place) != id_:
                self.free(place, id_)

    # --- when a row's way ends

    def free(self, place: str, id_: str) -> None:
        """Let the next one be ahead, from the head of its lane."""
        if self.heads.get(place) != id_:
            return
        behind = sorted(row for row in self.lines if row[0] == place)
        if not behind:
            del self.heads[place]
            return
        self.lines.remove(behind[0])
        step, item = self.kept.pop(behind[0][2])
        self.heads[place] = item.id
        self.lanes[step].insert(0, item)

    def free_all(self, lease: Lease | None, ids: list[str]) -> None:
        """Rows of a lease are out of the way."""
        places = [(lease.places[id_], id_) for id_ in ids if lease and id_ in lease.places]
        if self.lines:
            for place, id_ in places:
                self.free(place, id_)
        else:
            for place, _ in places:
                self.heads.pop(place, None)

    def free_kept(self, held: tuple[int, Item] | None) -> None:
        """A row that was kept is out of the way."""
        if held and held[1].refused != "unreadable":
            self.free(place_of(held[0], held[1].to), held[1].id)

    def relieve(self) -> int:
        """Free recipients whose head is in no place; return how many."""
        gone = [(place, id_) for place, id_ in sorted(self.heads.items()) if not self._alive(place, id_)]
        for place, id_ in gone:
            self.free(place, id_)
        return len(gone)

    def _alive(self, place: str, id_: str) -> bool:
        if id_ in self.leased:
            return True
        if id_ in self.kept:
            return id_ not in self.dead
        return any(item.id == id_ for item in self.lanes[int(place[0])])

    # --- when rows move to other units

    def head_on(self, step: int, item: Item) -> str | None:
        """The place of a row on its lane, if it is the head there."""
        if item.refused == "unreadable":
            return None
        place = place_of(step, item.to)
        return place if self.heads.get(place) == item.id else None

    def last_of(self, place: str | None) -> Item | None:
        """Take out the last one of a line, or of all."""
        behind = sorted(row for row in self.lines if place in (None, row[0]))
        if not behind:
            return None
        self.lines.remove(behind[-1])
        return self.kept.pop(behind[-1][2])[1]

    def front_up(self, place: str) -> None:
        """The first of a line go to the head of their lane."""
        behind = sorted(row for row in self.lines if row[0] == place)[:FRONT_UP]
        items = [self.kept.pop(id_)[1] for _, _, id_ in behind]
        self.lines = [row for row in self.lines if row not in behind]
        self.lanes[int(place[0])][:0] = items
        if len(behind) == FRONT_UP:
            self.heads[place] = behind[-1][2]
        else:
            self.heads.pop(place, None)

    def let_loose(self) -> None:
        """Lines whose head is in flight or gone wait for it no longer."""
        for place in sorted({row[0] for row in self.lines}):
            head = self.heads.get(place)
            if head is None or head in self.kept or head in self.leased:
                self.front_up(place)
