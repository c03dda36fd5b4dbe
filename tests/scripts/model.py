"""What should the scripts do? The same rules in plain Python, without a server.

Numbers are doubles and whole digits where the scripts' are, so that a test can compare exactly. The only things taken
from the scripts themselves are their tunable constants.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from delivery.settle import MOST_ATTEMPTS, Ended, Ending, Settlement
from delivery.states import State, may_come_from
from priorities.table import TABLE
from scheduler.decisions import Because, Decision, Grant, LeasedRow, Refuse, Wait
from scheduler.leases import Begun
from scheduler.rules import NumberRules
from tests.scripts._model_meter import Meter
from tests.scripts._model_parts import (
    EVENT_UE,
    GATHER_US,
    HEADROOM_MEMORY_US,
    SKIPS,
    SLACK_US,
    Allocation,
    Item,
    Lease,
    Measured,
    NumberState,
    Record,
    Taking,
    whole,
)

__all__ = ["Item", "Model", "NumberState"]


class Model(Meter):
    """One unit: its lanes (head first), leases, parked messages and meter."""

    def __init__(self, rules: NumberRules, number: NumberState) -> None:
        super().__init__(rules, number)
        self.lanes: dict[int, list[Item]] = {rule.class_.priority: [] for rule in TABLE}
        self.leases: dict[str, Lease] = {}
        self.leased: dict[str, tuple[int, Item]] = {}
        self.kept: dict[str, tuple[int, Item]] = {}
        self.deferred: dict[str, int] = {}
        self.uncertain: dict[str, int] = {}
        self.dead: dict[str, int] = {}

    # --- lease

    def lease(self, lease_id: str, holder: str, now: int) -> Decision:
        """Take what may leave now."""
        if lease_id in self.leases:
            return self._again(self.leases[lease_id], now)
        if self.number.paused:
            return Refuse(now, "paused")
        if len(self.leases) >= self.setting("in_flight"):
            return Wait(now, now + 50_000, Because.IN_FLIGHT)
        self._promote(now)
        a = self.allocation()
        m = self._measure(now, a)
        t = Taking()
        wait: tuple[int, Because] = (0, Because.EMPTY)
        for rule in TABLE:
            step = rule.class_.priority
            if not self.lanes[step]:
                continue
            room = self._room(now, a, m, rule.headroom_share_ppm, rule.paced)
            floor = self._floor(a) if rule.floored else None
            fits, until, because, interval, by_floor = self._or_floor(room, floor, now, a, m)
            before = t.taken
            is_open = self._take(step, t, fits, now)
            taken = t.taken - before
            m.spent, m.sends, m.behind = m.spent + taken, m.sends + taken, m.behind + taken * EVENT_UE
            if floor and taken:
                m.floor_at = now + floor
                m.by_floor += taken if by_floor else 0
            if rule.paced:
                m.pace_at += taken * interval
            if not is_open:
                wait = (until, because) if fits < 1 else (now, Because.AGAIN)
                break
        if not t.rows:
            return self._nothing(t, wait, now)
        return self._grant(lease_id, holder, t, m, now)

    def _again(self, lease: Lease, now: int) -> Grant:
        rows = []
        for id_, charged in lease.rows:
            step, item = self.leased[id_]
            verdict = "send" if charged else f"refused: {item.refused}" if item.refused else "expired"
            rows.append(LeasedRow(id_, step, verdict, "null" if item.refused else item.body))
        return Grant(now, lease.deadline, lease.charged, tuple(rows))

    def _promote(self, now: int) -> None:
        due = sorted((at, id_) for id_, at in self.deferred.items() if at <= now // 1000)[:50]
        for _, id_ in reversed(due):
            del self.deferred[id_]
            step, item = self.kept.pop(id_)
            self.lanes[step].insert(0, item)

    def _measure(self, now: int, a: Allocation) -> Measured:
        spent = self.spent(now, a)
        recently = self.uncontrolled_at is not None and now - self.uncontrolled_at < HEADROOM_MEMORY_US
        headroom = self.uncontrolled.at(now).needs(self.setting("headroom_ppm"), a.events) if recently else 0
        slowest = a.window_us / max(1, math.floor(a.events - a.events * headroom / 1e6))
        pace_at: float = max(now - SLACK_US, now if self.pace_at is None else self.pace_at)
        if pace_at > now + SLACK_US + slowest + 1:
            pace_at = now
        return Measured(spent, self.sends(), self.behind(now, a), headroom, pace_at, self.floor_at)

    def _or_floor(
        self, room: tuple[int, int, Because, float], floor: int | None, now: int, a: Allocation, m: Measured
    ) -> tuple[int, int, Because, float, bool]:
        fits, until, because, interval = room
        if fits >= 1 or not floor or m.sends >= a.events or because is Because.PACE:
            return *room, False
        if m.floor_at <= now:
            return 1, 0, Because.EMPTY, interval, True
        return 0, min(until, m.floor_at), because, interval, False

    def _floor(self, a: Allocation) -> int | None:
        ppm = self.setting("floor_ppm")
        return math.ceil(1e15 / (a.tps_milli * ppm)) if ppm else None

    def _room(self, now: int, a: Allocation, m: Measured, share: int, paced: bool) -> tuple[int, int, Because, float]:
        cap = max(1, math.floor(a.events - a.events * m.headroom * share / 1e12))
        interval = a.window_us / cap
        fits = min(cap - m.spent, math.floor(a.events - m.behind / EVENT_UE))
        if cap - m.spent < 1:
            over, ends = m.spent + 1 - cap, now
            for at, what in sorted((at, what.encode()) for what, at in self.window.items())[:50]:
                over, ends = over - int(what.rsplit(b":", 1)[1]), at + a.window_us
                if over <= 0:
                    break
            return 0, ends, Because.WINDOW, interval
        if fits < 1:
            until = now + math.ceil((m.behind - (a.events - 1) * EVENT_UE) * 1000 / a.tps_milli)
            return 0, until, Because.DEBT, interval
        if paced:
            by_pace = math.floor((now + SLACK_US - m.pace_at) / interval) + 1
            if by_pace < 1:
                gathered = max(0, math.floor(GATHER_US / interval) - 1)
                return 0, math.ceil(m.pace_at - SLACK_US + gathered * interval), Because.PACE, interval
            fits = min(fits, by_pace)
        return fits, 0, Because.EMPTY, interval

    def _take(self, step: int, t: Taking, room: int, now: int) -> bool:
        lane = self.lanes[step]
        want = min(self.rules.max_rows - len(t.rows), room + SKIPS)
        looked_at = lane[:want]
        gone, is_open = 0, True
        for item in looked_at:
            verdict = item.verdict(now)
            if any(row.id == item.id for row in t.rows) or item.id in self.leased or item.id in self.kept:
                t.moved += 1
            elif item.step not in (None, step):
                self.lanes[item.step or 0].append(item)
                t.moved += 1
            elif verdict == "send" and item.not_before > now:
                self.kept[item.id] = (step, item)
                self.deferred[item.id] = math.ceil(item.not_before / 1000)
                t.moved += 1
            else:
                sends = verdict == "send"
                body = "null" if item.refused else item.body
                joins = room >= 1 and item.to not in t.people and t.shape in (None, item.shape)
                is_open = (joins or not sends) and (not t.rows or t.size + len(body) <= self.rules.max_bytes)
                if not is_open:
                    break
                if sends:
                    t.taken, room, t.shape = t.taken + 1, room - 1, item.shape
                    t.people.add(item.to)
                t.size += len(body)
                t.rows.append(LeasedRow(item.id, step, verdict, body))
                t.held.append((step, item))
            gone += 1
        del lane[:gone]
        return is_open and len(looked_at) < want

    def _nothing(self, t: Taking, wait: tuple[int, Because], now: int) -> Wait:
        if t.moved:
            return Wait(now, now, Because.AGAIN)
        due = min(self.deferred.values(), default=0) * 1000
        until = due if now < due < wait[0] or wait[0] == 0 else wait[0]
        return Wait(now, until, wait[1])

    def _grant(self, lease_id: str, holder: str, t: Taking, m: Measured, now: int) -> Grant:
        deadline = now + self.rules.lease_ttl_us
        rows = [(row.id, int(row.verdict == "send")) for row in t.rows]
        self.leases[lease_id] = Lease(lease_id, holder, now, t.taken, rows, deadline)
        self.leased.update({item.id: (step, item) for step, item in t.held})
        if t.taken:
            self.charge(lease_id, t.taken, now, m.behind - t.taken * EVENT_UE)
            self.pace_at, self.floor_at = whole(m.pace_at), m.floor_at
            self.by_floor += m.by_floor
            self.totals["send"] += t.taken
        return Grant(now, deadline, t.taken, tuple(t.rows))

    # --- begin, renew, settle, end

    def begin(self, lease_id: str, holder: str, token: str, now: int) -> Begun:
        """Pass the fence."""
        lease = self.leases.get(lease_id)
        if lease is None or lease.holder != holder:
            return Begun.LOST
        if lease.state == "sending":
            return Begun.BEGUN if lease.token == token else Begun.TAKEN
        a = self.allocation()
        total, what = self.spent(now, a), f"{lease.id}:{lease.charged}"
        problem = Begun.PAUSED if self.number.paused else None
        if problem is None and lease.charged:
            if what in self.window:
                self.window[what] = now
            elif total + lease.charged <= a.events:
                self.charge(lease.id, lease.charged, now, self.behind(now, a))
            else:
                problem = Begun.STALE
        if problem is not None:
            self.refund(lease, lease.charged)
            self._hand_back([id_ for id_, _ in lease.rows])
            del self.leases[lease_id]
            return problem
        lease.state, lease.token, lease.at = "sending", token, now
        lease.deadline = now + self.rules.lease_ttl_us
        return Begun.BEGUN

    def renew(self, lease_ids: list[str], now: int) -> list[str]:
        """Move deadlines; return what has ended."""
        for lease in (self.leases[id_] for id_ in lease_ids if id_ in self.leases):
            lease.deadline = now + self.rules.lease_ttl_us
        return [id_ for id_ in lease_ids if id_ not in self.leases]

    def settle(self, lease_id: str, rows: list[Settlement], now: int) -> list[str]:
        """Write down what became of rows."""
        lease = self.leases.get(lease_id)
        mine = {id_ for id_, _ in lease.rows} if lease else set()
        settled: dict[str, bool] = {}
        back: list[tuple[int, Item]] = []
        reply = []
        for row in rows:
            late = False
            held = self.leased.pop(row.message_id, None) if row.message_id in mine else None
            if held:
                settled[row.message_id] = not row.left
            elif row.message_id not in settled:
                held = self._late(row)
                late = held is not None
            reply.append(self._place(row, held, late, back, now) if held else "")
        for step, item in reversed(back):
            self.lanes[step].insert(0, item)
        if lease:
            charged = dict(lease.rows)
            self.refund(lease, sum(charged[id_] for id_, unspent in settled.items() if unspent))
            lease.rows = [(id_, charge) for id_, charge in lease.rows if id_ not in settled]
            if not lease.rows:
                del self.leases[lease_id]
        return reply

    def _late(self, row: Settlement) -> tuple[int, Item] | None:
        record = self.number.records.get(row.message_id)
        from_uncertain = State.UNCERTAIN in may_come_from(row.state)
        if record and record.state == "uncertain" and from_uncertain and row.message_id in self.uncertain:
            del self.uncertain[row.message_id]
            return self.kept.pop(row.message_id)
        return None

    def _place(
        self, row: Settlement, held: tuple[int, Item], late: bool, back: list[tuple[int, Item]], now: int
    ) -> str:
        record = self.number.records.setdefault(row.message_id, Record(""))
        if row.left and not late:
            record.attempts += 1
        attempts = record.attempts if row.left else 0
        state, at = row.state, now / 1000
        if state is State.DEFERRED and attempts >= MOST_ATTEMPTS:
            state = State.DEAD
        elif state is State.DEFERRED:
            at += min(3_600_000, (row.retry_ms or 0) * 2 ** max(0, attempts - 1))
        places = {State.DEFERRED: self.deferred, State.UNCERTAIN: self.uncertain, State.DEAD: self.dead}
        if state in places:
            places[state][row.message_id] = whole(at)
            self.kept[row.message_id] = held
        elif state is State.WAITING:
            back.append(held)
        record.state = state.value
        return state.value

    def end(self, lease_id: str, when: Ending, now: int) -> Ended:
        """End a lease that nobody will settle."""
        lease = self.leases.get(lease_id)
        if lease is None:
            return Ended("gone")
        begun = lease.state == "sending"
        if (when is Ending.EXPIRED and lease.deadline > now) or (when is Ending.UNBEGUN and begun):
            return Ended("held")
        unknown = [id_ for id_, charged in lease.rows if begun and charged]
        back = [(id_, charged) for id_, charged in lease.rows if id_ not in unknown]
        for id_ in unknown:
            self.kept[id_] = self.leased.pop(id_)
            self.uncertain[id_] = whole(now / 1000)
            record = self.number.records.setdefault(id_, Record(""))
            record.state, record.attempts = "uncertain", record.attempts + 1
        self.refund(lease, sum(charged for _, charged in back))
        self._hand_back([id_ for id_, _ in back])
        del self.leases[lease_id]
        return Ended("uncertain", len(unknown)) if unknown else Ended("returned", len(back))

    def _hand_back(self, ids: list[str]) -> None:
        for id_ in reversed(ids):
            step, item = self.leased.pop(id_)
            self.lanes[step].insert(0, item)

    # --- what others do

    def push(self, step: int, items: list[Item]) -> int:
        """Accept messages by the push script: each id once."""
        new = 0
        for item in items:
            if item.id not in self.number.records:
                self.number.records[item.id] = Record("waiting")
                self.lanes[step].append(item)
                new += 1
        return new

    def change(self, **rules: Any) -> None:
        """Change rules."""
        self.rules = replace(self.rules, **rules)
