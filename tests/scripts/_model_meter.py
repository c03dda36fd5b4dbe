"""What does the model's meter say? Window, debt, what nobody can refuse, and what a person set, in plain Python."""

from __future__ import annotations

import math
from typing import Any

from headway import keys
from scheduler.meter import DEBT_CAP_EVENTS, DEBT_CAP_S, Event
from scheduler.rules import NumberRules
from tests.scripts._model_parts import EVENT_UE, Allocation, Lease, NumberState, Throttle, Uncontrolled, constant, whole

SEEN = "headway:seen:"
CALM_S, SLOW, FAST, NEARLY = (constant("throttled.lua", name) for name in ("CALM_S", "SLOW", "FAST", "NEARLY"))
RESTS_US = int(constant("throttled.lua", "RESTS_US"))


def throttled(throttle: Throttle | None, now: int, tps: int) -> tuple[int, int]:
    """Return the TPS (thousandths) that refusals leave, and until when the provider wants nothing (0: it does)."""
    if throttle is None:
        return tps, 0
    rests = now < throttle.until <= now + RESTS_US
    if throttle.at > now:
        return tps, throttle.until if rests else 0
    seconds = (now - throttle.at) / 1_000_000
    slowly = throttle.tps_milli + tps * SLOW * seconds
    soon = throttle.tps_milli + tps * (SLOW * CALM_S + FAST * max(0, seconds - CALM_S))
    soon = min(soon, NEARLY * throttle.was)
    return max(1, min(tps, math.floor(max(slowly, soon)))), throttle.until if rests else 0


class Meter:
    """The meter of one unit."""

    def __init__(self, rules: NumberRules, number: NumberState) -> None:
        self.rules = rules
        self.number = number
        self.window: dict[str, int] = {}
        self.debt_ue, self.debt_at = 0, 0
        self.pace_at: int | None = None
        self.turn: tuple[str, int] = ("", 0)
        self.deputy: tuple[str, int] = ("", 0)
        self.uncontrolled_at: int | None = None
        self.uncontrolled = Uncontrolled(0)
        self.floor_at = 0
        self.by_floor = 0
        self.totals = {"send": 0, "inbound": 0, "delivered": 0, "read": 0}

    def setting(self, name: str) -> Any:
        """Return what a person set, else what the environment says."""
        return self.number.live.get(name, getattr(self.rules, name))

    def most_in_flight(self) -> int:
        """Return how many leases may be out: of what a person set a shard has its part."""
        shards = int(self.rules.number.partition("of")[2] or 1)
        live = self.number.live.get("in_flight")
        return max(1, live // shards) if live else self.rules.in_flight

    def allocation(self, now: int) -> Allocation:
        """Return what holds now."""
        tps, rests_until = throttled(self.number.throttle, now, self.setting("tps_milli"))
        window = max(1_000_000, math.ceil(1_000_000_000 / tps)) + self.setting("guard_us")
        return Allocation(tps, max(1, tps // 1000), window, rests_until)

    def spent(self, now: int, a: Allocation) -> int:
        """Forget what has left the window; return the rest. A clock that was set back is dealt with first."""
        self._set_back(now)
        self.window = {what: at for what, at in self.window.items() if at > now - a.window_us}
        return self.total()

    def _set_back(self, now: int) -> None:
        ahead = self.debt_at - now
        if ahead <= 0:
            return
        self.window = {what: min(at, now) for what, at in self.window.items()}
        self.debt_at = now
        self.floor_at -= ahead if self.floor_at > now else 0
        if self.uncontrolled_at is not None:
            self.uncontrolled_at = min(self.uncontrolled_at, now)
            self.uncontrolled.second = min(self.uncontrolled.second, now // 1_000_000)

    def total(self) -> int:
        """Return what stands in the window, forgotten or not."""
        return sum(int(what.rsplit(":", 1)[1]) for what in self.window)

    def sends(self) -> int:
        """Return the sends of these."""
        return sum(int(what.rsplit(":", 1)[1]) for what in self.window if not what.startswith(SEEN))

    def behind(self, now: int, a: Allocation) -> int:
        """Return the debt now, in millionths of an event."""
        return max(0, math.floor(self.debt_ue - (now - self.debt_at) * a.tps_milli / 1000))

    def charge(self, what: str, events: int, now: int, behind: float) -> None:
        """Put events on the meter."""
        self.window[f"{what}:{events}"] = now
        self.debt_ue, self.debt_at = whole(behind + events * EVENT_UE), now

    def refund(self, lease: Lease, unspent: int) -> None:
        """Give back what never left, as far as it is no history."""
        unspent = min(unspent, lease.charged)
        if unspent <= 0:
            return
        if self.window.pop(f"{lease.id}:{lease.charged}", None) is not None:
            if lease.charged > unspent:
                self.window[f"{lease.id}:{lease.charged - unspent}"] = lease.at
            self.debt_ue = max(0, self.debt_ue - unspent * EVENT_UE)
        self.totals["send"] -= unspent
        lease.charged -= unspent
        for log in [] if lease.charged else lease.logs:
            log.pop(lease.id, None)

    def count(self, events: list[Event], now: int) -> int:
        """Count what nobody can refuse."""
        a = self.allocation(now)
        self.spent(now, a)
        new: list[Event] = []
        for event in events:
            if event.id not in self.number.seen:
                self.number.seen.add(event.id)
                self.totals[event.kind.value] += 1
                new.append(event)
        came = [event for event in new if event.kind.value in self.rules.counts]
        if came:
            self._pour(came, now, a)
        return len(new)

    def _pour(self, came: list[Event], now: int, a: Allocation) -> None:
        behind, most = self.behind(now, a), max(DEBT_CAP_EVENTS, a.tps_milli * DEBT_CAP_S / 1000) * EVENT_UE
        debt, at = float(self.debt_ue), self.debt_at
        fresh: list[Event] = []
        for event in came:
            age = 0 if event.at_us is None else max(0, now - event.at_us)
            fresh += [event] if age < a.window_us else []
            if age * a.tps_milli / 1000 < most:
                pours = max(at, now - age)
                debt = max(0.0, debt - (pours - at) * a.tps_milli / 1000) + EVENT_UE
                at = pours
        if fresh:
            self.window[f"{keys.seen(self.rules.number, fresh[0].id)}:{len(fresh)}"] = now
        most = max(behind, most)
        if debt - (now - at) * a.tps_milli / 1000 > most:
            debt, at = most, now
        self.debt_ue, self.debt_at, self.uncontrolled_at = whole(debt), at, now
        self.uncontrolled = self.uncontrolled.at(now)
        self.uncontrolled.count += len(came)
