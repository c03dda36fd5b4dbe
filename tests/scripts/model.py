"""What should the scripts do? The same rules in plain Python, without a server.

Numbers are doubles and whole digits where the scripts' are, so that a test can compare exactly. The only things taken
from the scripts themselves are their tunable constants.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from delivery.retries import MOST_ATTEMPTS
from delivery.settle import Ended, Ending, Settlement
from delivery.states import State, may_come_from
from headway import keys
from priorities.table import TABLE, ClassRule, class_of_step
from scheduler.decisions import Because, Decision, Grant, LeasedRow, Refuse, Wait
from scheduler.leases import Begun
from scheduler.rules import NumberRules
from tests.scripts._model_due import Deferral
from tests.scripts._model_order import Order
from tests.scripts._model_parts import (
    AGAIN,
    EVENT_UE,
    LOOK,
    MOVES,
    RETRY_FOR_MS,
    SKIPS,
    Allocation,
    Item,
    Lease,
    Measured,
    NumberState,
    Record,
    Taking,
    whole,
)
from tests.scripts._model_room import Room, Rooms
from tests.scripts._model_shares import Part, Shares, allot, stride

__all__ = ["Item", "Model", "NumberState"]


class Model(Rooms, Deferral, Order):
    """One unit: its lanes (head first), leases, parked messages and meter."""

    def __init__(self, rules: NumberRules, number: NumberState) -> None:
        super().__init__(rules, number)
        Deferral.__init__(self)
        Order.__init__(self)
        self.shares = Shares()
        self.lanes: dict[int, list[Item]] = {rule.class_.priority: [] for rule in TABLE}
        self.leases: dict[str, Lease] = {}
        self.leased: dict[str, tuple[int, Item]] = {}
        self.kept: dict[str, tuple[int, Item]] = {}
        self.uncertain: dict[str, float] = {}
        self.dead: dict[str, float] = {}

    # --- lease

    def lease(self, lease_id: str, holder: str, now: int) -> Decision:
        """Take what may leave now."""
        if lease_id in self.leases:
            return self._again(self.leases[lease_id], now)
        a = self.allocation(now)
        if shut := self._gate(now, a):
            return shut
        more = self.promote(now)
        m = self.measure(now, a)
        self.owe(m, a)
        t = Taking(look=m.quota is not None, moved=int(more), fronts=bool(self.front), heads=bool(self.heads))
        wait = self._serve(t, now, a, m)
        for step, gone in t.passes:
            t.moved += self.passed(step, gone)
        self.heads.update(t.mine)
        self.go_on(t)
        if t.rows:
            return self._grant(lease_id, holder, t, m, wait)
        if m.quota and m.quota.wanted:
            m.quota.wants(keys.meter(self.rules.number))
        return Wait(now, self._next_ask(t, wait, holder, now), Because.AGAIN if t.moved else wait[1])

    def _gate(self, now: int, a: Allocation) -> Wait | Refuse | None:
        if self.number.paused:
            return Refuse(now, "paused")
        if a.rests_until:
            return Wait(now, a.rests_until, Because.THROTTLED)
        if len(self.leases) >= self.most_in_flight():
            return Wait(now, now + 50_000, Because.IN_FLIGHT)
        return None

    def _serve(self, t: Taking, now: int, a: Allocation, m: Measured) -> tuple[float, Because]:
        parts = []
        for rule in TABLE:
            if not self.lanes[rule.class_.priority]:
                continue
            if rule.class_ in self.rules.shares:
                parts.append(rule)
            elif (wait := self._strictly(rule, t, now, a, m)) is not None:
                return wait
        if len(parts) > 1:
            return self._shared(parts, t, now, a, m)
        wait = self._strictly(parts[0], t, now, a, m) if parts else None
        return (0, Because.EMPTY) if wait is None else wait

    def _strictly(
        self, rule: ClassRule, t: Taking, now: int, a: Allocation, m: Measured
    ) -> tuple[float, Because] | None:
        room = self.room(rule, now, a, m)
        taken, is_open = self._class(rule, room, t, a, m)
        if is_open:
            return None
        if taken:
            room = self.room(rule, now, a, m)
        if t.groups_until:
            return t.groups_until, Because.FORECAST
        return (room.until, room.because) if room.fits < 1 else (now, Because.AGAIN)

    def _shared(self, rules: list[ClassRule], t: Taking, now: int, a: Allocation, m: Measured) -> tuple[float, Because]:
        s = self.shares.read(now, a.window_us)
        opens, parts = self._sized_up(rules, s, t, a, m)
        if opens:
            opens.rows, opens.at = 1, opens.at + opens.stride
        most = self.rules.max_rows - len(t.rows)
        first, total = allot(parts, most, int(opens is not None))
        while first and total == 0:
            ends, lost = s.held_up(parts, first, now)
            if ends is not None:
                s.write(parts, now)
                self.shares = s
                return ends, first.room.because
            if not lost:
                break
            first, total = allot(parts, most, 0)
        slowest = max(part.room.interval for part in parts)
        before = t.taken
        parts.sort(key=lambda part: (part is not opens, part.pass_, part.step))
        for part in parts:
            if not part.rows or t.shut:
                continue
            room = self.room(part.rule, now, a, m)
            by_floor = part.room.by_floor or room.by_floor
            room = replace(room, fits=min(room.fits, part.rows), interval=slowest, by_floor=by_floor)
            taken, _ = self._class(part.rule, room, t, a, m)
            part.pass_ += taken * part.stride
            s.held_at[part.step] = 0 if taken else s.held_at[part.step]
        if t.taken > before:
            s.write(parts, now)
            self.shares = s
        return self._soonest(parts, t, now, a, m)

    def _sized_up(
        self, rules: list[ClassRule], s: Shares, t: Taking, a: Allocation, m: Measured
    ) -> tuple[Part | None, list[Part]]:
        now, q, opens = m.now, m.quota, None
        share = q.share if q else None
        parts = []
        for rule in rules:
            step = rule.class_.priority
            room = self.room(rule, now, a, m)
            pass_, one = s.pass_[step], stride(self.rules.shares[rule.class_])
            parts.append(Part(rule, pass_, one, room, len(self.lanes[step]), at=pass_))
            if q and q.share is None and room.fits >= 1:
                opens, q.share = parts[-1], rule.headroom_share_ppm
        if q:
            q.share = share
            fit = [part for part in parts if part.room.fits >= 1]
            if fit:
                first = min(fit, key=lambda part: part.pass_)
                shape = t.shape if t.shape is not None else self._shape(first.step)
                for part in parts:
                    part.waiting = part.waiting if self._shape(part.step) == shape else 0
        return (opens if opens and opens.waiting else None), parts

    def _shape(self, step: int) -> str:
        item = self.lanes[step][0]
        return "" if item.refused else item.shape

    def _soonest(self, parts: list[Part], t: Taking, now: int, a: Allocation, m: Measured) -> tuple[float, Because]:
        if t.groups_until:
            return t.groups_until, Because.FORECAST
        rooms = []
        for part in parts:
            rooms.append(self.room(part.rule, now, a, m))
            if rooms[-1].fits >= 1:
                return now, Because.AGAIN
        first = min(rooms, key=lambda room: room.until)
        return first.until, first.because

    def _class(self, rule: ClassRule, room: Room, t: Taking, a: Allocation, m: Measured) -> tuple[int, bool]:
        before, now = t.taken, m.now
        groups_until = self.groups_wait(m, a) if rule.paced else 0
        is_open = self._take(rule.class_.priority, t, room.fits, groups_until, now)
        taken = t.taken - before
        if m.quota:
            m.quota.rides(rule.headroom_share_ppm, taken)
        m.spent, m.sends, m.behind = m.spent + taken, m.sends + taken, m.behind + taken * EVENT_UE
        floor = self.floor(rule, a)
        if floor and taken:
            m.floor_at = now + floor
            m.by_floor += taken if room.by_floor else 0
        if rule.paced:
            m.pace_at += taken * room.interval
        return taken, is_open

    def _again(self, lease: Lease, now: int) -> Grant:
        rows = []
        for id_, charged in lease.rows:
            step, item = self.leased[id_]
            verdict = "send" if charged else f"refused: {item.refused}" if item.refused else "expired"
            rows.append(LeasedRow(id_, step, verdict, "null" if item.refused else item.body))
        return Grant(now, lease.deadline, lease.charged, tuple(rows), now)

    def _take(self, step: int, t: Taking, room: int, groups_until: int, now: int) -> bool:
        lane, aside = self.lanes[step], list[Item]()
        look = LOOK if t.look and room >= 1 else 0
        want = min(self.rules.max_rows - len(t.rows), room + SKIPS) + look
        looked_at = lane[: max(0, want)]
        gone, is_open, moved = 0, want >= 1, t.moved
        ordered = class_of_step(step) in self.rules.order
        t.shut = t.shut or not is_open
        for item in looked_at:
            if not self._aside(item, step, t, now) and not self._behind(item, step, t, room, now):
                sends = item.verdict(now) == "send"
                t.groups_until = groups_until if sends and room >= 1 and item.members else 0
                differs = sends and (item.to in t.people or t.shape not in (None, item.shape))
                apart = differs and room >= 1 and not t.groups_until and len(aside) < look
                is_open = apart or (
                    not (differs or (sends and (room < 1 or t.groups_until)))
                    and (not t.rows or t.size + len(item.shown()) <= self.rules.max_bytes)
                    and len(t.rows) < self.rules.max_rows
                )
                if not is_open:
                    t.shut = not (sends and room < 1)
                    break
                if apart:
                    aside.append(item)
                    t.people.add(item.to)
                    t.aside.add(item.to)
                else:
                    room -= sends
                    self._join(item, step, t, now)
                    self.joins_ahead(t, item, step, sends=sends, ordered=ordered)
            gone += 1
        lane[:gone] = aside
        if want >= 1 and gone == want and t.moved - moved == gone and t.moved < MOVES:
            t.moved += t.fronts and self.passed(step, gone)
            return self._take(step, t, room, groups_until, now)
        if t.fronts and gone:
            t.passes.append((step, gone - len(aside)))
        t.shut = t.shut or bool(aside)
        return is_open and not aside and len(looked_at) < want

    def _behind(self, item: Item, step: int, t: Taking, room: int, now: int) -> bool:
        """Let a row stand behind another one to its recipient."""
        if class_of_step(step) not in self.rules.order or item.verdict(now) != "send" or room < 1:
            return False
        if item.to in t.aside or not self.stands_behind(t, item, step):
            return False
        t.moved += 1
        return True

    def _aside(self, item: Item, step: int, t: Taking, now: int) -> bool:
        """Move a row that belongs elsewhere."""
        if any(row.id == item.id for row in t.rows) or item.id in self.leased or item.id in self.kept:
            pass
        elif item.id in self.number.cancelled:
            del self.number.cancelled[item.id]
            self.dropped(t, item, step if item.step is None else item.step)
        elif item.step not in (None, step):
            self.lanes[item.step or 0].append(item)
        elif item.verdict(now) == "send" and item.not_before > now:
            self.kept[item.id] = (step, item)
            self.defer(item.id, item.not_before)
        else:
            return False
        t.moved += 1
        return True

    def _join(self, item: Item, step: int, t: Taking, now: int) -> None:
        verdict = item.verdict(now)
        if verdict == "send":
            t.taken, t.shape = t.taken + 1, item.shape
            t.people.add(item.to)
            t.groups, t.members = t.groups + (item.members > 0), t.members + item.members
        t.size += len(item.shown())
        t.rows.append(LeasedRow(item.id, step, verdict, item.shown()))
        t.held.append((step, item))

    def _next_ask(self, t: Taking, wait: tuple[float, Because], holder: str, now: int) -> int:
        if t.moved:
            return now
        due = math.floor(min(self.deferred.values(), default=0)) * 1000
        until = int(due if now < due < wait[0] or wait[0] == 0 else wait[0])
        return self.wait_turn(holder, until, now) if until > now else until

    def _grant(self, lease_id: str, holder: str, t: Taking, m: Measured, wait: tuple[float, Because]) -> Grant:
        now = m.now
        deadline = now + self.rules.lease_ttl_us
        rows = [(row.id, int(row.verdict == "send")) for row in t.rows]
        lease = self.leases[lease_id] = Lease(lease_id, holder, now, t.taken, rows, deadline, places=t.places)
        sent = {row.id for row in t.rows if row.verdict == "send"}
        lease.expires = min((item.expires for _, item in t.held if item.id in sent), default=math.inf)
        self.leased.update({item.id: (step, item) for step, item in t.held})
        if t.taken:
            if m.quota:
                self.request(m.quota, lease, now)
            self.charge(lease_id, t.taken, now, m.behind - t.taken * EVENT_UE)
            self.pace_at, self.floor_at = whole(m.pace_at), m.floor_at
            self.by_floor += m.by_floor
            self.totals["send"] += t.taken
            if m.foreseen:
                self.forecast = m.foreseen.forecast
                self.forecast.send(t.taken - t.groups, t.groups, t.members)
        return Grant(now, deadline, t.taken, tuple(t.rows), self._next_ask(t, wait, holder, now))

    # --- begin, renew, settle, end

    def begin(self, lease_id: str, holder: str, token: str, now: int) -> Begun:
        """Pass the fence."""
        lease = self.leases.get(lease_id)
        if lease is None or lease.holder != holder:
            return Begun.LOST
        if lease.state == "sending":
            return Begun.BEGUN if lease.token == token else Begun.TAKEN
        a = self.allocation(now)
        total, what = self.spent(now, a), f"{lease.id}:{lease.charged}"
        problem = Begun.PAUSED if self.number.paused else None
        recalled = any(id_ in self.number.cancelled for id_, _ in lease.rows)
        recalled = recalled or lease.expires <= now
        if problem is None and (a.rests_until or recalled or not self.begin_request(lease, now)):
            problem = Begun.STALE
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
        begun = lease.at if lease and lease.state == "sending" else now
        settled: dict[str, bool] = {}
        back: list[tuple[int, Item]] = []
        reply, ended = [], []
        for row in rows:
            late = False
            held = self.leased.pop(row.message_id, None) if row.message_id in mine else None
            if held:
                settled[row.message_id] = not row.left
            elif row.message_id not in settled:
                held = self._late(row)
                late = held is not None
            waited = not held and row.message_id not in settled and self._sent_after_all(row, now)
            reply.append(self._place(row, held, late, back, now, begun=begun) if held else "sent" if waited else "")
            if held and reply[-1] not in ("waiting", "deferred", "uncertain"):
                if late:
                    self.free_kept(held)
                ended.append(row.message_id)
        for step, item in reversed(back):
            self.lanes[step].insert(0, item)
        self.free_all(lease, [id_ for id_ in ended if id_ in settled])
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

    def _sent_after_all(self, row: Settlement, now: int) -> bool:
        record = self.number.records.get(row.message_id)
        if not (record and record.first_ms and record.state in ("waiting", "deferred")):
            return False
        if row.state is not State.SENT or not row.left:
            return False
        record.state = "sent"
        if self.deferred.pop(row.message_id, None) is not None:
            self.free_kept(self.kept.pop(row.message_id))
        else:
            self.number.mark(row.message_id, whole(now / 1000))
            record.receipt = "sent"
        return True

    def _place(
        self, row: Settlement, held: tuple[int, Item], late: bool, back: list[tuple[int, Item]], now: int, *, begun: int
    ) -> str:
        record = self.number.records.setdefault(row.message_id, Record(""))
        if row.left and not late:
            record.attempts += 1
        attempts = record.attempts if row.left else 0
        state, at = row.state, now / 1000
        if record.receipt:
            state = State(record.receipt)
            self.number.note_used(row.message_id)
        first_ms = record.first_ms or begun // 1000
        if state in AGAIN:
            record.first_ms = first_ms
        too_long = state in (State.WAITING, State.DEFERRED) and at - first_ms >= RETRY_FOR_MS
        if too_long or (state is State.DEFERRED and attempts >= MOST_ATTEMPTS):
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
            held = self.leased.pop(id_)
            record = self.number.records.setdefault(id_, Record(""))
            record.attempts, record.first_ms = record.attempts + 1, record.first_ms or lease.at // 1000
            if record.receipt:
                record.state = record.receipt
                self.number.note_used(id_)
                self.free_all(lease, [id_])
            else:
                self.kept[id_], self.uncertain[id_], record.state = held, whole(now / 1000), "uncertain"
        self.refund(lease, sum(charged for _, charged in back))
        self._hand_back([id_ for id_, _ in back])
        del self.leases[lease_id]
        return Ended("uncertain", len(unknown)) if unknown else Ended("returned", len(back))

    def _hand_back(self, ids: list[str]) -> None:
        for id_ in reversed(ids):
            step, item = self.leased.pop(id_)
            self.lanes[step].insert(0, item)

    def discard(self, ids: list[str]) -> None:
        """A person gives them up."""
        for id_ in ids:
            self.uncertain.pop(id_, None)
            self.dead.pop(id_, None)
            self.free_kept(self.kept.pop(id_))
            self.number.records[id_].state = "discarded"

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
