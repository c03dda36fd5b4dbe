"""Who may make a request now, of those that the provider takes in a minute? The model's side of the request quota."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tests.scripts._model_parts import Account, constant

QUOTA_US = int(constant("requests.lua", "QUOTA_US"))
SPARE = constant("slots.lua", "SPARE")
LAST = constant("slots.lua", "LAST")
LATER = constant("slots.lua", "LATER")
SAVED = constant("slots.lua", "SAVED")
WANTING_US = int(constant("slots.lua", "WANTING_US"))
PATIENCE_US = int(constant("slots.lua", "PATIENCE_US"))
UNLIMITED = 1_000_000
FOREMOST = 1_000_000


def requests(log: dict[str, int], now: int) -> int:
    """How many there are in the trailing minute."""
    return sum(at > now - QUOTA_US for at in log.values())


def frees_at(log: dict[str, int], now: int, used: int, limit: int) -> int:
    """When one more may be made."""
    return min(now, sorted(at for at in log.values() if at > now - QUOTA_US)[used - limit]) + QUOTA_US


def note(log: dict[str, int], id_: str, now: int) -> None:
    """A request is made now."""
    for old in [id_ for id_, at in log.items() if at <= now - QUOTA_US]:
        del log[old]
    log[id_] = now


@dataclass(slots=True)
class Slots:
    """The quota as one lease finds and spends it."""

    account: Account
    now: int
    limit: int
    used: int
    slot_us: float
    gather_us: float
    due: float
    batch_at: int
    came: int
    wanted: bool = False
    share: int | None = None
    _alone: int | None = None

    def alone(self, share: int) -> bool:
        """Is there a spare request for a class that leaves free so much (ppm)?"""
        if self._alone is None:
            self._alone = requests(self.account.alone, self.now)
        return self._alone < math.floor(self.limit * SPARE) * (1 - share / 1_000_000)

    def closed(self, share: int) -> float | None:
        """Until when a class that leaves free so much waits for the quota, whatever would fit; None: it needn't."""
        self.wanted = True
        most = self.limit - math.floor(self.limit * LAST * share / 1_000_000)
        if self.used >= most:
            return frees_at(self.account.push, self.now, self.used, most)
        patient = self.now < self.due <= self.now + PATIENCE_US
        if share < FOREMOST:
            return math.ceil(self.due) if patient and not self.alone(share) else None
        return math.ceil(self.due) if self.due > self.now else None

    def rides(self, share: int, rows: int) -> None:
        """So many rows of a class are in the request."""
        if rows:
            self.share = max(self.share or 0, share)

    def missing(self, interval: float, window_us: int, fits: int) -> int:
        """How many rows a full batch would have more, if there is time to wait for them; else 0."""
        full = (1e6 / interval - self.came / 1e6) * self.slot_us / 1e6
        missing = min(math.floor(full), math.floor(window_us / interval)) - fits
        return missing if missing > 0 and self.latest() > self.now else 0

    def latest(self) -> float:
        """When a batch goes, full or not."""
        return self.batch_at + self.gather_us * (1 + LATER)

    def goes_alone(self) -> bool:
        """Whether this request is none of the turns'."""
        share = self.share or 0
        return (self.due > self.now and share < FOREMOST) or self.alone(share)

    def wants(self, unit: str) -> None:
        """Tell others of the account."""
        self.account.set_back(self.now)
        wanting = self.account.wanting
        for old in [name for name, until in wanting.items() if until <= self.now]:
            del wanting[old]
        wanting[unit] = int(f"{max(self.due, self.now) + WANTING_US:.0f}")


def slots(account: Account, unit: str, limit: int | None, now: int, times: tuple[int, int, int, int]) -> Slots | None:
    """Return the quota as it stands. `times`: the unit's last turn, last batch, window (us), and what comes in."""
    if not limit or limit >= UNLIMITED:
        return None
    slot_at, batch_at, window_us, came = times
    others = sum(until > now for until in account.wanting.values())
    units = others + (0 if account.wanting.get(unit, 0) > now else 1)
    slot = units * QUOTA_US / (limit - math.floor(limit * (SPARE + LAST)))
    due = max(min(now, slot_at) + slot, now - SAVED * slot)
    used = requests(account.push, now)
    return Slots(account, now, limit, used, slot, max(slot, window_us), due, min(now, batch_at), came)
