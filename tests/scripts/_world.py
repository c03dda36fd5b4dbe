"""What can happen to a number? Every move, done to the real scripts and to the model, with answers compared.

A move asks `Choices` for its details, so that Hypothesis and a seeded walk share the same moves. Time is the test's:
`true_us` is how long it really took, `now` is what the server's clock says, and may be set back.
"""

from __future__ import annotations

import json
import math
from typing import Any

from delivery.settle import Ending, Settlement
from delivery.states import State
from headway import MessageClass, keys
from scheduler import shards
from scheduler.decisions import Grant
from scheduler.quota import UNLIMITED
from scheduler.rules import Quota
from tests.scripts import _messages
from tests.scripts._choices import Choices
from tests.scripts._compare import (
    differences,
    differing_forecast,
    differing_meter,
    differing_number,
    differing_records,
)
from tests.scripts._model_shards import Shards
from tests.scripts._unit import Unit
from tests.scripts.model import Item, Model, NumberState
from tests.scripts.stage import NUMBER, SECOND, START_US

CLASSES = list(MessageClass)
SHAPES = ("template_id", "media_url")
TPS = [500, 1000, 2000, 5000, 10_000, 20_000, 100_000]
ACCOUNT = "0123456789abcdef"
RULES: dict[str, list[Any]] = {
    "tps_milli": TPS,
    "headroom_ppm": [0, 100_000, 500_000],
    "calm_ppm": [0, 0, 100_000, 500_000],
    "floor_ppm": [0, 100_000, 300_000],
    "counts": [("send", "inbound", "delivered", "read"), ("send", "inbound")],
    "order": [(), tuple(CLASSES), tuple(CLASSES), (MessageClass.NORMAL, MessageClass.BULK)],
    "shares": [{}, {"high": 70, "normal": 20, "bulk": 10}, {"high": 1, "normal": 3, "bulk": 1}],
    "in_flight": [2, 6],
    "max_rows": [1, 3, 100],
    "max_bytes": [400, 262_144],
    "guard_us": [0, 20_000],
    "receipts": [("delivered", "read"), ("delivered", "read"), ("delivered",), ()],
    "event_webhook": [True, True, False],
    "quota": [None, None, Quota(ACCOUNT, 6), Quota(ACCOUNT, 90)],
}
#: What a person sets while everything runs.
TUNES: dict[str, list[Any]] = {
    "tps_milli": TPS,
    "headroom_ppm": [0, 50_000, 400_000],
    "calm_ppm": [0, 50_000, 400_000],
    "floor_ppm": [0, 250_000],
    "in_flight": [1, 4],
    "guard_us": [0, 5000, 500_000],
    "receipts": ["delivered,read", "delivered", "none"],
    "event_webhook": ["on", "off"],
    "push_per_minute": [2, 30, UNLIMITED],
}
#: Written by hand these can't be, and count as the last good one that was set through the doors, or as none.
NOT_VALUES = ["", "-1", "ten", "99999999999", "1e3", "0x10"]
PAUSES_MS = [0, 1, 100, 600, 999, 2000]
SHARDS = [1, 2, 4]
MINUTE = 60 * SECOND
#: What a message is that is in no place any more.
OVER = (State.SENT, State.EXPIRED, State.CAPPED, State.DISCARDED)
#: Far more than it takes to let the next one through.
MOST_ROUNDS = 2000
PROCESS = "p"


class World:
    """One number on a server, and its model."""

    def __init__(self, redis: Any, **rules: Any) -> None:
        self.redis = redis
        self.rules = {"shape_fields": SHAPES, **rules}
        self.now, self.true_us = START_US, 0
        self.number = NumberState()
        self.ids = self.leases = self.events = 0
        #: How often each message was published; those that may still be somewhere; those to look at next.
        self.put: dict[str, int] = {}
        self.open: set[str] = set()
        self.touched: set[str] = set()
        self.own = Unit(self, NUMBER, self.rules)
        self.units = {NUMBER: self.own}
        self.models: dict[str, Model] = {NUMBER: self.own.model}
        self.shards = Shards(NUMBER, self.models)
        self.last = self.own
        #: When requests began, and how many may in any minute, from when on.
        self.requests: dict[str, int] = {}
        self.quotas: list[tuple[int, int]] = []
        self._allow()

    def new_lease_id(self) -> str:
        """An id that no lease had."""
        self.leases += 1
        return f"L{self.leases}"

    def event_ids(self) -> range:
        """Ids of events, old and new."""
        self.events += 5
        return range(max(0, self.events - 60), self.events)

    def in_force(self) -> list[Unit]:
        """The units that may lease; none while rows of former ones are on their way back."""
        return [] if self.shards.moving else [self.units[name] for name in keys.units(NUMBER, self.shards.in_force)]

    def waiting(self) -> int:
        """How many rows are on lanes."""
        on_lanes = sum(len(lane) for model in self.models.values() for lane in model.lanes.values())
        return on_lanes + sum(len(model.lines) for model in self.models.values())

    # --- messages

    def push(self, c: Choices) -> None:
        """Messages by the push script."""
        class_ = c.pick(CLASSES)
        items = self._push(class_, [_messages.fields(c) for _ in range(c.pick([1, 1, 2, 4, 12]))])
        if c.flag():
            sealed = [(item.id, item.raw) for item in items]
            assert self.own.stage.push_sealed(sealed, class_=class_) == self.own.model.push(class_.priority, items) == 0

    def _push(self, class_: MessageClass, rows: list[dict[str, Any]]) -> list[Item]:
        items = []
        for said in rows:
            self.ids += 1
            items.append(_messages.message(said, f"m{self.ids}", self.now))
            self._published(items[-1].id)
        sealed = [(item.id, item.raw) for item in items]
        assert self.own.stage.push_sealed(sealed, class_=class_) == self.own.model.push(class_.priority, items)
        return items

    def _published(self, id_: str) -> None:
        self.put[id_] = self.put.get(id_, 0) + 1
        self.open.add(id_)
        self.touched.add(id_)

    def publish(self, c: Choices) -> None:
        """A stock publisher, who may repeat an id that is known already."""
        self.ids += 1
        # To another shard an id that is said again is another message: each shard knows its own only.
        known = [] if self.shards.used else list(self.put)[-200:]
        said = _messages.fields(c)
        self._put(c.pick(CLASSES), _messages.message(said, c.pick([f"stock{self.ids}", *known]), self.now))

    def rubbish(self, c: Choices) -> None:
        """What nobody can read, perhaps once more."""
        self._put(c.pick(CLASSES), _messages.rubbish(f"rubbish {c.pick([self.ids, self.ids, 0])}"))

    def _put(self, class_: MessageClass, item: Item) -> None:
        self._published(item.id)
        self.own.stage.put(item.raw, class_=class_)
        self.own.model.lanes[class_.priority].append(item)

    # --- one of the units

    def _unit(self, c: Choices) -> Unit:
        units = list(self.units.values())
        units += [unit for unit in units if unit.model.leases] * 5
        self.last = c.pick(units) if len(units) > 1 else self.own
        return self.last

    def lease(self, c: Choices) -> None:
        """A unit in force is asked for a lease, after the messages were sorted, mostly."""
        if self.shards.used:
            self.sort(c)
        if units := self.in_force():
            self.last = c.pick(units)
            self.last.lease(c)

    def ask_again(self, c: Choices) -> None:
        """A lease whose answer was lost."""
        self._unit(c).ask_again(c)

    def begin(self, c: Choices) -> None:
        """A lease begins."""
        self._unit(c).begin(c)

    def renew(self, c: Choices) -> None:
        """A holder lives."""
        self._unit(c).renew(c)

    def settle(self, c: Choices) -> None:
        """A lease is settled."""
        self._unit(c).settle(c)

    def learn(self, c: Choices) -> None:
        """Receipts come."""
        self._unit(c).learn(c)

    def slow(self, c: Choices) -> None:
        """The provider refuses."""
        self._unit(c).slow(c)

    def end(self, c: Choices) -> None:
        """A lease is ended."""
        self._unit(c).end(c)

    def count(self, c: Choices) -> None:
        """Something came in that nobody can refuse."""
        self._unit(c).count(c)

    def a_way(self, c: Choices) -> None:
        """The usual way: plain messages, a lease, some time, a begin, some time, one word for all or a lost holder."""
        rows = c.pick([1, 2, 5, 9])
        self._push(c.pick(CLASSES), [{"to": f"1888{self.ids + i:07d}", "text": "x"} for i in range(rows)])
        if not (units := self.in_force()):
            return
        unit = self.last = c.pick(units)
        if not isinstance(unit.leases("one"), Grant):
            return
        lease_id = unit.lease_ids[-1]
        self.pass_by(c.pick(PAUSES_MS))
        if c.flag():
            unit.begins(lease_id, "one", "x")
        self.pass_by(c.pick(PAUSES_MS))
        state = c.pick([State.SENT, State.SENT, State.DEFERRED, State.WAITING, State.UNCERTAIN, None])
        if state is None:
            unit.ends(lease_id, Ending.ENDED)
        else:
            left = c.flag()
            ids = unit.rows_of[lease_id][c.pick([0, 0, 1]) :]
            unit.settles(lease_id, [Settlement(id_, state, left=left, retry_ms=900) for id_ in ids])

    # --- shards

    def reshard(self, c: Choices) -> None:
        """The number gets another number of shards; or rows of former ones come back, as far as they do at once."""
        if c.pick([True, False, False, False]):
            self._agree(c.pick(SHARDS))
        else:
            self._empty(most=c.pick([1, 1000]))
        self._allow()

    def _agree(self, count: int, *, emptied: int = 0) -> None:
        for name in keys.units(NUMBER, count):
            if name not in self.units:
                self.units[name] = Unit(self, name, self.rules)
                self.models[name] = self.units[name].model
        for _ in range(2):
            reply = self.own.stage.run(shards.agree(NUMBER, PROCESS, count, emptied=emptied, now_us=self.now))
            assert shards.agreed(reply) == self.shards.agree(count, emptied=emptied)

    def _empty(self, *, most: int) -> None:
        known = shards.read(self.redis, NUMBER)
        empty = True
        for unit, count in known.former(NUMBER):
            moved, more = self.own.stage.run(shards.drain(unit, count, most=most, now_us=self.now))
            assert (moved, bool(more)) == self.shards.drain(unit, count, most, self.now)
            empty = empty and not more
        if known.moving and empty:
            self._agree(known.in_force, emptied=known.in_force)

    def sort(self, c: Choices) -> None:
        """Messages go to the lanes of their shards, for who knows how many there are, and not for others."""
        count, most = c.pick([self.shards.in_force] * 6 + [1, 2, 4]), c.pick([200, 200, 3])
        self._sort(count, most)

    def _sort(self, count: int, most: int) -> None:
        if count > 1:
            found = shards.sorted_(self.own.stage.run(shards.sort(NUMBER, count, most=most, now_us=self.now)))
            assert found == self.shards.sort(count, most, self.now)

    # --- a person, time

    def pause(self, c: Choices) -> None:
        """A person pauses the number, or lets it go on."""
        if c.pick([True, False, False, False]):
            self._set("paused", 1)
        else:
            self._unset("paused")

    def tune(self, c: Choices) -> None:
        """A person sets a value or clears it; or something that can't be stands there, perhaps over a good one."""
        field = c.pick(list(TUNES))
        what = c.pick(["set", "set", "clear", "clear", "clear", "spoil"])
        if what == "clear":
            self._unset(field)
        elif what == "set":
            self._set(field, c.pick(TUNES[field]))
        else:
            good = c.pick([None, *TUNES[field]])
            self._set(field, c.pick(NOT_VALUES), good=good)
        self._allow()

    def _allow(self) -> None:
        self.quotas.append((self.true_us, self.own.model.quota_limit() or UNLIMITED))
        for unit in self.units.values():
            unit.allow()

    def _set(self, field: str, value: Any, *, good: Any = None) -> None:
        """Write a value; when there is a `good` one, `value` is what somebody wrote over it by hand."""
        self._unset(field)
        spoilt = value in NOT_VALUES
        self.own.stage.change_live(**{field: value})
        if good is not None:
            self.own.stage.change_live(**{f"{field}.set": json.dumps({"by": "ada", "value": str(good)})})
        if not spoilt or good is not None:
            self.number.live[field] = good if spoilt else value

    def _unset(self, field: str) -> None:
        self.own.stage.unset(field, f"{field}.set")
        self.number.live.pop(field, None)

    def later(self, c: Choices) -> None:
        """Time goes on."""
        self.pass_by(c.pick([0.001, 1, 37.5, 100, 333.333, 600, 999.999, 1000, 2500, 11_000, 700_000]))

    def clock(self, c: Choices) -> None:
        """The server's clock is set. Set back, no time passes; set forth, nobody can tell it from time that passed."""
        if c.pick([True, True, False]):
            self._set_clock(self.now - round(1000 * c.pick([0.001, 0.5, 20, 700, 1500, 60_000, 3_600_000, 86_400_000])))
        else:
            self.pass_by(c.pick([60_000, 3_600_000, 86_400_000]))

    def pass_by(self, ms: float) -> None:
        """So much time goes on."""
        self.true_us += round(ms * 1000)
        self._set_clock(self.now + round(ms * 1000))

    def _set_clock(self, now: int) -> None:
        self.now = now
        for unit in self.units.values():
            unit.stage.now_us = now

    def relieve(self, c: Choices) -> None:
        """Somebody looks for lost heads."""
        self._unit(c).relieve()

    def forget(self, c: Choices) -> None:
        """The server forgets the scripts."""
        self.redis.script_flush()

    # --- what must hold in the end

    def drains(self) -> None:
        """Once nobody is in the way, all that waits gets through, and no wait is longer than its reason."""
        for field in ("paused", *TUNES):
            self._unset(field)
        # Receipts of a group take an hour of a slow number, and of the test.
        self._set("tps_milli", max(TPS))
        self._set("push_per_minute", UNLIMITED)
        self._allow()
        for unit in self.units.values():
            for lease_id in list(unit.model.leases):
                unit.ends(lease_id, Ending.ENDED)
            unit.relieve()
        rounds = 0
        while self.waiting() or any(model.deferred for model in self.models.values()):
            before, rounds = self.waiting(), rounds + 1
            assert rounds < MOST_ROUNDS, "it doesn't get through"
            for unit in self.units.values():
                unit.decides()
            if self.shards.used:
                self._empty(most=1000)
                self._sort(self.shards.in_force, 1000)
            untils = [unit.drains() for unit in self.in_force()]
            rounds = 0 if self.waiting() < before else rounds
            untils += [math.floor(at) * 1000 for model in self.models.values() for at in model.deferred.values()]
            if untils := [until for until in untils if until > self.now]:
                self.pass_by((min(untils) - self.now) / 1000)
        for unit in self.units.values():
            unit.decides()
            unit.relieve()
            assert not unit.model.lines
            assert not unit.model.heads, unit.model.heads

    # --- what must hold after every step

    def check(self) -> None:
        """What is spent and out in the unit that moved last, to the digit, and never more than the allocation."""
        assert not (differs := differing_meter(self.redis, self.last.name, self.last.model)), differs
        assert not (differ := differing_forecast(self.redis, self.last.name, self.last.model)), differ
        self.last.never_more_begins()
        self.never_more_requests()

    def check_all(self) -> None:
        """Every key, to the digit; every message that may be somewhere."""
        for unit in self.units.values():
            assert not (differs := differences(self.redis, unit.name, unit.model)), (unit, differs)
            assert not (differ := differing_forecast(self.redis, unit.name, unit.model)), (unit, differ)
            unit.holds()
            unit.never_more_begins()
        assert not (differs := differing_number(self.redis, NUMBER, ACCOUNT, self.number)), differs
        assert not (differs := differing_records(self.redis, self.number, self.open | self.touched)), differs
        self.touched.clear()
        self.no_message_is_lost_or_in_two_places()

    def never_more_requests(self) -> None:
        """In any trailing minute; after a change the highest quota of the last two is allowed."""
        if self.requests:
            end = max(self.requests.values())
            self.requests = {id_: at for id_, at in self.requests.items() if at > end - MINUTE}
            before = [most for at, most in self.quotas if at <= end - 2 * MINUTE][-1:]
            after = [most for at, most in self.quotas if at > end - 2 * MINUTE]
            assert len(self.requests) <= max([*before, *after])

    def no_message_is_lost_or_in_two_places(self) -> None:
        """Each is on a lane, leased or kept, or its record says that it is over; only a publisher makes it two."""
        places: dict[str, int] = {}
        for model in self.models.values():
            for id_ in [*(item.id for lane in model.lanes.values() for item in lane), *model.leased, *model.kept]:
                places[id_] = places.get(id_, 0) + 1
        assert places.keys() <= self.open
        for id_ in list(self.open):
            assert places.get(id_, 0) <= self.put[id_], id_
            if not places.get(id_):
                assert id_ in self.number.records, id_
                assert self.number.records[id_].state in OVER, id_
                self.open.remove(id_)


#: Every move and how often it is made in a seeded walk.
MOVES: dict[str, int] = {
    "push": 6, "publish": 4, "rubbish": 1, "lease": 20, "ask_again": 3, "begin": 15, "renew": 3, "settle": 14,
    "end": 5, "slow": 1, "learn": 3, "a_way": 8, "count": 6, "pause": 2, "tune": 3, "later": 20, "clock": 1,
    "forget": 1, "reshard": 2, "relieve": 1,
}  # fmt: skip
