"""What is expected to come in, as a lease looks at it? The reference is scheduler/forecast.py; this is its use."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scheduler.forecast import (
    CALM_GROUP_S,
    CALM_S,
    DEVIATIONS,
    KINDS,
    NEAR,
    NEAR_BATCH,
    Expects,
    Forecast,
    unpack,
)
from scheduler.rules import NumberRules
from tests.scripts._model_meter import Meter
from tests.scripts._model_parts import EVENT_UE, Allocation, Measured, NumberState

#: With more events in the window than this they are taken to leave it evenly.
COUNTED = 200
FORESEEN = "headway:seen:foreseen"


@dataclass(slots=True)
class Foreseen:
    """The forecast as one lease finds and changes it; it is kept when something left or was owed."""

    forecast: Forecast
    expects: Expects
    since: int
    binds: bool
    #: The debt is the whole work, with receipts that nobody tells us of.
    whole: bool

    def excess_s(self, m: Measured, a: Allocation) -> float:
        """Return the seconds of work that will stand before the container."""
        return self.forecast.excess_s(self.expects, tps_milli=a.tps_milli, behind=m.behind / EVENT_UE)

    def hold(self, m: Measured, a: Allocation, calm_s: float) -> int:
        """Return until when to wait because of them."""
        return m.now + math.floor(min(1_000_000, max(50_000, (self.excess_s(m, a) - calm_s) * 500_000)))


class Foresight(Meter):
    """The forecast of one unit."""

    def __init__(self, rules: NumberRules, number: NumberState) -> None:
        super().__init__(rules, number)
        self.forecast = Forecast()
        self.foreseen_events = 0

    def expects(self) -> Expects | None:
        """Return which receipts come."""
        group = tuple(kind in self.rules.counts for kind in KINDS)
        receipts = self.number.live.get("receipts", ",".join(self.rules.receipts))
        webhook = self.number.live.get("event_webhook", "on" if self.rules.event_webhook else "off") != "off"
        if not any(group):
            return None
        delivered, read = (kind in receipts and counts for kind, counts in zip(KINDS, group, strict=True))
        return Expects((delivered, read), (group[0], group[1]), webhook)

    def foresee(self, a: Allocation, m: Measured) -> None:
        """Look at the forecast; what nobody tells us raises the debt."""
        if (e := self.expects()) is None:
            return
        f = unpack(self.forecast.pack())
        inbound, window = self.totals["inbound"], a.window_us
        untold = f.at_lease(e, m.now, window_us=window, tps_milli=a.tps_milli, inbound=inbound, spent=m.spent)
        m.behind = max(m.behind, math.floor(untold * EVENT_UE))
        groups = sum(sum(stream.many) for stream in f.streams)
        m.foreseen = Foreseen(f, e, self.forecast.at_us, f.speaks(e) or groups > 0, untold > 0)

    def owe(self, m: Measured, a: Allocation) -> None:
        """Charge receipts that nobody tells us of."""
        if m.foreseen is None:
            return
        f, now = m.foreseen.forecast, m.now
        if f.owed < 1:
            if m.foreseen.since > now or (f.owed > 0 and now - m.foreseen.since > a.window_us / 2):
                self.forecast = f
            return
        events = math.floor(f.owed)
        f.owed -= events
        self.charge(f"{FORESEEN}:{now}", events, now, m.behind - events * EVENT_UE)
        m.spent += events
        self.uncontrolled_at, self.uncontrolled = now, self.uncontrolled.at(now)
        self.uncontrolled.count += events
        self.foreseen_events += events
        self.forecast = f

    def ahead(self, m: Measured, a: Allocation, fits: int) -> tuple[int, int]:
        """Return how many of those that fit may leave when what comes is looked at, or until when to wait."""
        seen: Foreseen | None = m.foreseen
        if seen is None or not seen.binds:
            return fits, 0
        if seen.excess_s(m, a) > CALM_S:
            return 0, seen.hold(m, a, CALM_S)
        untold = 0.0 if m.quota else self.queued(m, a) * (m.spent - m.sends)
        for part in NEAR_BATCH if m.quota else NEAR:
            comes = seen.forecast.expected(seen.expects, part * a.window_us)
            free = a.events - self._staying(m, a, part) - untold - comes - DEVIATIONS * m.calm / 1e6 * math.sqrt(comes)
            fits = min(fits, max(int(m.spent < 1), math.floor(free)))
        return (fits, 0) if fits >= 1 else (0, m.now + 50_000)

    def queued(self, m: Measured, a: Allocation) -> float:
        """Return how long what arrives now waits at the container, in windows, at most one."""
        whole = m.foreseen is not None and m.foreseen.whole
        waiting, among = m.behind / EVENT_UE, a.events if whole else m.sends
        if waiting <= 1:
            return 0.0
        return min(1.0, waiting / among) if among else 1.0

    def _staying(self, m: Measured, a: Allocation, part: float) -> float:
        if a.events > COUNTED or part == 1:
            return m.spent * (1 - part)
        edge = m.now - a.window_us
        until = int(f"{edge + part * a.window_us:.0f}")
        left = sum(int(what.rsplit(":", 1)[1]) for what, at in self.window.items() if edge < at <= until)
        return max(0, m.spent - left)

    def groups_wait(self, m: Measured, a: Allocation) -> int:
        """Return until when a send to a group must wait; 0: it needn't."""
        seen: Foreseen | None = m.foreseen
        return seen.hold(m, a, CALM_GROUP_S) if seen and seen.excess_s(m, a) > CALM_GROUP_S else 0

    def learn(self, receipts: list[tuple[str, int | None, bool]], now: int) -> int:
        """Learn of receipts: kind, delay (us), and whether of a group."""
        e = self.expects()
        if e is None or not e.webhook:
            return 0
        tps = self.allocation(now).tps_milli
        self.forecast.advance(e, now, tps, self.totals["inbound"])
        for kind, delay, group in receipts:
            self.forecast.hear(kind, delay, group=group, tps_milli=tps)
        return len(receipts)
