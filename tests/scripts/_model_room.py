"""How many may leave now, and what holds the others back? The model's side of room, measure and turns."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from headway import keys
from priorities.table import ClassRule
from scheduler.decisions import Because
from scheduler.rules import NumberRules
from tests.scripts._model_forecast import Foresight
from tests.scripts._model_meter import CALM_S
from tests.scripts._model_parts import (
    BEGIN_US,
    CALM_MEMORY_US,
    EVENT_UE,
    GATHER_US,
    HANDOVER_US,
    LATE_US,
    SECOND_US,
    SLACK_US,
    SPARE_US,
    Allocation,
    Lease,
    Measured,
    NumberState,
    Throttle,
    constant,
    whole,
)
from tests.scripts._model_quota import FOREMOST, QUOTA_US, Slots, note, requests, slots

LEAST_MILLI, OF_ACCEPTED, OF_TRIED = 100, 0.9, 0.4
BRAKE, BRAKE_BATCH, BRAKE_US = (constant("room.lua", name) for name in ("BRAKE", "BRAKE_BATCH", "BRAKE_US"))
LEAST = constant("room.lua", "LEAST")


@dataclass(frozen=True, slots=True)
class Room:
    """What `room` answers: how many fit, or until when to wait and why. `interval`: from one paced row to the next."""

    fits: int
    until: float
    because: Because
    interval: float
    by_floor: bool = False


class Rooms(Foresight):
    """What a unit's meter leaves for each class."""

    def __init__(self, rules: NumberRules, number: NumberState) -> None:
        super().__init__(rules, number)
        self.slot_at: int | None = None
        self.batch_at: int | None = None
        self.recently = False

    def measure(self, now: int, a: Allocation) -> Measured:
        """Return the meter as it stands."""
        spent = self.spent(now, a)
        recently = self.uncontrolled_at is not None and now - self.uncontrolled_at < CALM_MEMORY_US
        flow = self.uncontrolled.at(now)
        reserve = flow.reserved(self.setting("headroom_ppm"), a.events)
        self.recently = recently
        calm = self.setting("calm_ppm") if recently else 0
        slowest = (a.window_us + BEGIN_US) / max(1, math.floor(a.events - a.events * calm / 1e6))
        times = (self.slot_at or 0, self.batch_at or 0, a.window_us, flow.mean)
        quota = slots(self.number.account, self._name(), self.quota_limit(), now, times)
        gather = quota.gather_us if quota else 0
        pace_at: float = max(now - SLACK_US - gather, now if self.pace_at is None else self.pace_at)
        if pace_at > now + SLACK_US + slowest + 1:
            pace_at = now
        behind = self.behind(now, a)
        m = Measured(now, spent, self.sends(), behind, reserve, calm, pace_at, self.floor_at, quota=quota)
        self.foresee(a, m)
        return m

    def _name(self) -> str:
        return keys.meter(self.rules.number)

    def quota_limit(self) -> int | None:
        """Return how many requests a minute there are; None where there is no quota."""
        if self.rules.quota is None:
            return None
        return int(self.number.live.get("push_per_minute", self.rules.quota.per_minute))

    def floor(self, rule: ClassRule, a: Allocation) -> int | None:
        """Return the time from one send that the floor lets go to the next, if the class has a floor."""
        ppm = self.setting("floor_ppm") if rule.floored else 0
        return math.ceil(1e15 / (a.tps_milli * ppm)) if ppm else None

    def room(self, rule: ClassRule, now: int, a: Allocation, m: Measured) -> Room:
        """Return what there is for a class."""
        room = self._bounded(rule, now, a, m)
        floor = self.floor(rule, a)
        if room.fits < 1 and floor and m.sends < a.events and room.because is not Because.PACE:
            if m.floor_at <= now:
                return self._admitted(rule, Room(1, 0, Because.EMPTY, room.interval, by_floor=True), a, m)
            return Room(0, min(room.until, m.floor_at), room.because, room.interval)
        if room.fits < 1:
            return room
        if rule.headroom_share_ppm == FOREMOST:
            fits, until = self.ahead(m, a, room.fits)
            if fits < 1:
                return Room(0, until, Because.FORECAST, room.interval)
            room = replace(room, fits=fits)
        return self._admitted(rule, room, a, m)

    def _bounded(self, rule: ClassRule, now: int, a: Allocation, m: Measured) -> Room:
        share = rule.headroom_share_ppm
        least = math.floor(a.events * LEAST * share / 1e6) if m.foreseen and m.foreseen.binds else 0
        cap = max(1, min(a.events - least, math.floor(a.events - a.events * m.calm * share / 1e12)))
        interval = (a.window_us + BEGIN_US) / cap
        left, sends = cap - m.spent, a.events - math.ceil(m.reserve * share / 1e6) - m.sends
        fits = min(left, sends, math.floor(a.events - m.behind / EVENT_UE))
        gathered = max(0, math.floor(GATHER_US / interval) - 1)
        pace = math.ceil(m.pace_at - SLACK_US + gathered * interval)
        if min(left, sends) < 1:
            ends = self._leaves_at(now, a, 1 - left) if left < 1 else now
            if sends < 1:
                ends = max(ends, self._leaves_at(now, a, 1 - sends, sends=True))
            return Room(0, max(ends, pace) if rule.paced else ends, Because.WINDOW, interval)
        if fits < 1:
            until = now + math.ceil((m.behind - (a.events - 1) * EVENT_UE) * 1000 / a.tps_milli)
            return Room(0, until, Because.DEBT, interval)
        if rule.paced and self.recently and self.queued(m, a) > (BRAKE_BATCH if m.quota else BRAKE):
            return Room(0, now + int(BRAKE_US), Because.DEBT, interval)
        if rule.paced:
            by_pace = math.floor((now + SLACK_US - m.pace_at) / interval) + 1
            if by_pace < 1:
                return Room(0, pace, Because.PACE, interval)
            fits = min(fits, by_pace)
        return Room(fits, 0, Because.EMPTY, interval)

    def _leaves_at(self, now: int, a: Allocation, events: int, *, sends: bool = False) -> int:
        ends = now
        inside = ((at, what.encode()) for what, at in self.window.items() if at > now - a.window_us)
        for at, what in sorted(inside)[:50]:
            ends = at + a.window_us
            if not (sends and what.startswith(b"headway:seen:")):
                events -= int(what.rsplit(b":", 1)[1])
            if events <= 0:
                break
        return ends

    def _admitted(self, rule: ClassRule, room: Room, a: Allocation, m: Measured) -> Room:
        q, share = m.quota, rule.headroom_share_ppm
        if q is None or q.share is not None:
            return room
        until = q.closed(share)
        if until is None and share == FOREMOST and (missing := q.missing(room.interval, a.window_us, room.fits)):
            until = math.ceil(min(q.latest(), max(q.now + 10_000, self._leaves_at(q.now, a, missing))))
        return room if until is None else Room(0, int(until), Because.QUOTA, room.interval, room.by_floor)

    def wait_turn(self, holder: str, until: int, now: int) -> int:
        """Return when this holder should ask again, of all who wait for the same permit."""
        (of, at), (deputy, deputy_at) = self.turn, self.deputy
        if of in ("", holder) or now > at + LATE_US or at > until:
            self.turn = (holder, until)
            return until
        if deputy in ("", holder, of) or now > deputy_at + LATE_US:
            self.deputy = (holder, until + HANDOVER_US)
            return until + HANDOVER_US
        return until + SPARE_US

    def request(self, q: Slots, lease: Lease, now: int) -> None:
        """A lease makes a request."""
        logs = [self.number.account.push]
        if q.goes_alone():
            logs.append(self.number.account.alone)
        else:
            self.slot_at, self.batch_at = whole(min(now, q.due)), now
        for log in logs:
            note(log, lease.id, now)
        lease.limit, lease.logs = q.limit, logs
        q.wants(self._name())

    def slow(self, lease_id: str, refused: int, pause_us: int, now: int) -> tuple[bool, int, int]:
        """Slow the number after a throttle answer: whether it was cut, the TPS (thousandths), until when it rests."""
        a = self.allocation(now)
        self.spent(now, a)
        tps, before = a.tps_milli, self.number.throttle
        since = now - (before.at if before else 0)
        cut = since < 0 or since >= a.window_us
        throttle = self.number.throttle = before or Throttle(0, 0, 0, 0)
        if cut:
            accepted = max(0, self.sends() - refused) * 1e9 / max(1e6, 1e9 / tps)
            calm = since < 0 or since > CALM_S * SECOND_US
            less = OF_ACCEPTED * tps
            if not calm:
                less = min(less, max(OF_ACCEPTED * accepted, OF_TRIED * tps))
            tps = min(tps, max(LEAST_MILLI, math.floor(less)))
            throttle.tps_milli, throttle.at = tps, now
            throttle.was = a.tps_milli if calm else throttle.was
        throttle.until = max(a.rests_until, now + math.ceil(1e9 / tps), now + pause_us)
        if lease_id in self.number.account.push:
            note(self.number.account.push, f"{lease_id}:refused", now)
        return cut, tps, throttle.until - now

    def begin_request(self, lease: Lease, now: int) -> bool:
        """The request of a lease is made now; False: there is no room for it any more."""
        if not lease.limit:
            return True
        log = lease.logs[0]
        if log.get(lease.id, 0) <= now - QUOTA_US and requests(log, now) >= lease.limit:
            return False
        for log in lease.logs:
            note(log, lease.id, now)
        return True
