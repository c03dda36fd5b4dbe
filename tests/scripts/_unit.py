"""What can happen to one unit of a number? Leases and counts, done to the real scripts and to the model alike."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from delivery.dead import Verb, decide
from delivery.settle import Ended, Ending, Settlement
from delivery.states import SETTLED, State
from scheduler import ahead, meter, order, throttle
from scheduler.decisions import Because, Decision, Grant, Wait
from scheduler.leases import Begun
from scheduler.meter import Event, Kind
from scheduler.shards import rules_of_unit
from tests.scripts._choices import Choices
from tests.scripts.model import Model
from tests.scripts.stage import RECORD_TTL_S, SECOND, Stage

if TYPE_CHECKING:
    from tests.scripts._world import World

#: What never_more_begins looks at.
LOOKS_BACK_US = 10 * SECOND
#: A change of TPS holds for what leaves later; what left before it still stands in the window.
CHANGE_US = 5 * SECOND


class Unit:
    """A number, or one of its shards: `stage` is the server's side, `model` the expected one."""

    def __init__(self, world: World, name: str, rules: dict[str, Any]) -> None:
        self.world = world
        self.name = name
        self.stage = Stage(world.redis, **rules)
        self.stage.rules = rules_of_unit(self.stage.rules, name)
        self.stage.now_us = world.now
        self.model = Model(self.stage.rules, world.number)
        self.lease_ids: list[str] = []
        self.rows_of: dict[str, list[str]] = {}
        self.holders: dict[str, str] = {}
        self.begun: dict[str, tuple[int, int]] = {}
        self.allowed: list[tuple[int, int]] = []
        self.allow()

    def __repr__(self) -> str:
        return self.name

    @property
    def now(self) -> int:
        """What the server's clock says."""
        return self.world.now

    def allow(self) -> None:
        """Note what may leave from now on; a provider's throttle answers only lower it, for a while."""
        self.allowed.append((self.world.true_us, max(1, self.model.setting("tps_milli") // 1000)))

    # --- moves

    def lease(self, c: Choices) -> None:
        """A lease, and when it was granted, perhaps the same again."""
        holder = c.pick(["one", "two"])
        decision = self.leases(holder)
        if isinstance(decision, Grant) and c.flag():
            self._again(self.lease_ids[-1], decision)

    def leases(self, holder: str) -> Decision:
        """A lease with a new id."""
        lease_id = self.world.new_lease_id()
        decision = self.stage.lease(lease_id, holder=holder)
        expected = self.model.lease(lease_id, holder, self.now)
        assert decision == expected, (decision, expected)
        if isinstance(decision, Grant):
            self.lease_ids.append(lease_id)
            self.rows_of[lease_id] = [row.id for row in decision.rows]
            self.holders[lease_id] = holder
        return decision

    def _again(self, lease_id: str, before: Grant | None = None) -> None:
        holder = self.holders[lease_id]
        again = self.stage.lease(lease_id, holder=holder)
        assert again == self.model.lease(lease_id, holder, self.now)
        assert isinstance(again, Grant)
        assert before is None or replace(again, next_us=before.next_us) == before

    def ask_again(self, c: Choices) -> None:
        """A lease whose answer was lost is asked again, begun and settled in part as it may be by now."""
        if self.model.leases:
            self._again(c.pick(sorted(self.model.leases)))

    def _some_lease(self, c: Choices) -> str:
        """Any lease that ever was, mostly one that lives; '' when there was none."""
        living = list(self.model.leases)
        return c.pick([*living * 10, *self.lease_ids[-6:]]) if self.lease_ids else ""

    def begin(self, c: Choices) -> None:
        """Any lease that ever was, by its holder; now and then by a stranger."""
        if not (lease_id := self._some_lease(c)):
            return
        holder = c.pick([self.holders[lease_id]] * 9 + ["stranger"])
        token = c.pick(["x", "y"])
        answer = self.begins(lease_id, holder, token)
        if c.flag():
            second = self.stage.begin(lease_id, holder=holder, token=token)
            assert second is self.model.begin(lease_id, holder, token, self.now)
            assert second is answer or answer in (Begun.STALE, Begun.PAUSED)

    def begins(self, lease_id: str, holder: str, token: str) -> Begun:
        """A lease begins, or doesn't."""
        was_begun = lease_id in self.model.leases and self.model.leases[lease_id].state == "sending"
        answer = self.stage.begin(lease_id, holder=holder, token=token)
        assert answer is self.model.begin(lease_id, holder, token, self.now)
        if answer is Begun.BEGUN and not was_begun:
            charged = self.model.leases[lease_id].charged
            self.begun[lease_id] = (self.world.true_us, charged)
            if charged:
                self.world.requests[lease_id] = self.world.true_us
        return answer

    def renew(self, c: Choices) -> None:
        """Some leases, ended ones too."""
        if self.lease_ids:
            some = list(dict.fromkeys(c.some(self.lease_ids[-20:])))
            assert self.stage.renew(*some) == self.model.renew(some, self.now)

    def settle(self, c: Choices) -> None:
        """Some rows of any lease that ever was; late, twice, or of a lease that has begun only in part."""
        if not (lease_id := self._some_lease(c)):
            return
        states = sorted(SETTLED)
        rows = [
            Settlement(id_, c.pick(states), left=c.flag(), retry_ms=c.pick([0, 900]))
            for id_ in c.some(self.rows_of[lease_id], most=8)
        ]
        self.settles(lease_id, rows)
        if c.flag():
            second = self.stage.settle(lease_id, *rows)
            assert second == self.model.settle(lease_id, rows, self.now)
            # What became uncertain just now may be settled otherwise by a later word of the same list.
            assert all(not word or row.state is not State.UNCERTAIN for word, row in zip(second, rows, strict=True))

    def settles(self, lease_id: str, rows: list[Settlement]) -> None:
        """Rows of a lease are settled."""
        self.world.touched.update(row.message_id for row in rows)
        sends = self.model.totals["send"]
        first = self.stage.settle(lease_id, *rows)
        assert first == self.model.settle(lease_id, rows, self.now)
        if lease_id in self.begun:
            at, events = self.begun[lease_id]
            self.begun[lease_id] = (at, events - (sends - self.model.totals["send"]))  # those never left
            if not self.begun[lease_id][1]:
                self.world.requests.pop(lease_id, None)

    def end(self, c: Choices) -> None:
        """Any lease that ever was, in any case or only when it may be."""
        if not (lease_id := self._some_lease(c)):
            return
        when = c.pick(list(Ending))
        self.ends(lease_id, when)
        if c.flag():
            assert self.ends(lease_id, when).what in ("gone", "held")

    def ends(self, lease_id: str, when: Ending) -> Ended:
        """A lease ends without being settled."""
        self.world.touched.update(self.rows_of[lease_id])
        answer = self.stage.end(lease_id, when=when, rows=self.rows_of[lease_id])
        assert answer == self.model.end(lease_id, when, self.now)
        return answer

    def count(self, c: Choices) -> None:
        """Events of now or then, some of them known already."""
        kind = c.pick(list(Kind))
        age_ms = c.pick([None, None, -5000, 0, 300, 1500, 60_000, 400_000])
        at_us = None if age_ms is None else self.now - age_ms * 1000
        events = [Event(f"e{id_}", kind, at_us) for id_ in c.some(self.world.event_ids(), most=25)]
        for turn in range(1 + c.flag()):
            new = int(self.stage.run(meter.count(self.stage.rules, events, now_us=self.now)))
            assert new == self.model.count(events, self.now)
            assert turn == 0 or new == 0

    def learn(self, c: Choices) -> None:
        """Receipts of our own messages come, and the forecast learns."""
        learned = [
            ahead.Learned(c.pick(["delivered", "read"]), c.pick([None, 0, 300_000, 4_000_000]), c.pick([False, True]))
            for _ in range(c.pick([1, 1, 5, 40]))
        ]
        taken = int(self.stage.run(ahead.learn(self.stage.rules, learned, now_us=self.now)))
        assert taken == self.model.learn([(one.kind, one.delay_us, one.group) for one in learned], self.now)

    def slow(self, c: Choices) -> None:
        """The provider says "not so fast" to a lease that has begun, perhaps until when; it may be told twice."""
        begun = [lease.id for lease in self.model.leases.values() if lease.state == "sending"]
        if not begun:
            return
        lease_id, refused = c.pick(begun), c.pick([1, 3])
        pause = timedelta(seconds=c.pick([0, 0, 5, 4000]))
        for _ in range(1 + c.flag()):
            call = throttle.slow(self.stage.rules, lease_id, refused=refused, pause=pause, now_us=self.now)
            found = throttle.slowed(self.stage.run(call))
            pause_us = min(pause, throttle.LONGEST_PAUSE) // timedelta(microseconds=1)
            assert found == throttle.Slowed(*self.model.slow(lease_id, refused, pause_us, self.now))

    def relieve(self) -> int:
        """Somebody looks whether a head is in no place any more."""
        freed, at = 0, order.START
        while True:
            found = order.relieved(self.stage.run(order.relieve(self.name, at)))
            freed, at = freed + found.freed, found.at
            if at == order.START:
                break
        assert freed == self.model.relieve()
        return freed

    # --- in the end

    def decides(self) -> None:
        """A person discards what is uncertain or dead."""
        ids = sorted([*self.model.uncertain, *self.model.dead])
        self.world.touched.update(ids)
        if ids:
            self.stage.run(decide(self.name, ids, Verb.DISCARD, by="ada", record_ttl_s=RECORD_TTL_S, now_us=self.now))
            self.model.discard(ids)

    def drains(self) -> int:
        """All that may leave now leaves; until when to wait for the rest, 0 when there is none."""
        while isinstance(decision := self.leases("last"), Grant):
            lease_id = self.lease_ids[-1]
            assert self.begins(lease_id, "last", "x") is Begun.BEGUN
            states = {row.id: State.SENT if row.verdict == "send" else State.DEAD for row in decision.rows}
            self.settles(lease_id, [Settlement(id_, state) for id_, state in states.items()])
        assert isinstance(decision, Wait), decision
        a = self.model.allocation(self.now)
        longest = {
            Because.WINDOW: a.window_us + SECOND,
            Because.PACE: a.window_us + SECOND,
            Because.FORECAST: 2 * SECOND,
            Because.QUOTA: 600 * SECOND,
            Because.THROTTLED: 1000 * SECOND,
            Because.DEBT: max(self.model.debt_ue, self.model.forecast.behind * SECOND) * 1000 / a.tps_milli + SECOND,
        }
        assert decision.until_us - self.now <= longest.get(decision.because, math.inf), (
            decision,
            longest,
            self.model.turn,
            self.model.deputy,
        )
        return decision.until_us

    # --- what must hold

    def holds(self) -> None:
        """What a lease holds and what is parked are two things, and each says why it is there."""
        model = self.model
        assert not model.leased.keys() & model.kept.keys()
        due = [id_ for line in model.due.values() for id_ in line]
        behind = [id_ for _, _, id_ in model.lines]
        assert sorted([*model.deferred, *due, *behind, *model.uncertain, *model.dead]) == sorted(model.kept)
        assert {place for place, _, _ in model.lines} <= model.heads.keys()
        assert sorted(model.leased) == sorted(id_ for lease in model.leases.values() for id_, _ in lease.rows)

    def never_more_begins(self) -> None:
        """In any trailing second, by the times of begin; after a change the highest of the last seconds is allowed."""
        assert self.model.debt_ue >= 0
        for old in [id_ for id_, (at, _) in self.begun.items() if at < self.world.true_us - LOOKS_BACK_US]:
            del self.begun[old]
        if not self.begun:
            return
        end = max(at for at, _ in self.begun.values())
        in_a_second = sum(events for at, events in self.begun.values() if at > end - SECOND)
        before = [events for at, events in self.allowed if at <= end - CHANGE_US][-1:]
        assert in_a_second <= max([*before, *(events for at, events in self.allowed if at > end - CHANGE_US)])
