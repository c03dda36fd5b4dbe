"""What can happen to a number? Every move, done to the real scripts and to the model, with answers compared.

A move asks `Choices` for its details, so that Hypothesis and a seeded walk share the same moves. Time is the test's:
`true_us` is how long it really took, the stage's clock is what the server would say, and may be set back.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from typing import Any

from delivery.settle import Ended, Ending, Settlement
from delivery.states import SETTLED, State
from headway import MessageClass
from headway.envelope import seal
from headway.message import Message
from scheduler import meter
from scheduler.decisions import Because, Decision, Grant, Wait
from scheduler.leases import Begun
from scheduler.meter import Event, Kind
from tests.scripts._choices import Choices
from tests.scripts._compare import differences, differing_meter, differing_records
from tests.scripts.model import Item, Model, NumberState
from tests.scripts.stage import NUMBER, SECOND, Stage

CLASSES = list(MessageClass)
SHAPES = ("template_id", "media_url")
TPS = [500, 1000, 2000, 5000, 10_000, 20_000, 100_000]
PEOPLE = [f"1999000000{i}" for i in range(6)]
RULES: dict[str, list[Any]] = {
    "tps_milli": TPS,
    "headroom_ppm": [0, 100_000, 500_000],
    "floor_ppm": [0, 100_000, 300_000],
    "counts": [("send", "inbound", "delivered", "read"), ("send", "inbound")],
    "in_flight": [2, 6],
    "max_rows": [1, 3, 100],
    "max_bytes": [400, 262_144],
    "guard_us": [0, 20_000],
}
#: What a person sets while everything runs. Written by hand, some can't be, and count as the last good one or none.
TUNES: dict[str, list[Any]] = {
    "tps_milli": TPS,
    "headroom_ppm": [0, 50_000, 400_000],
    "floor_ppm": [0, 250_000],
    "in_flight": [1, 4],
    "guard_us": [0, 5000, 500_000],
}
NOT_VALUES = ["", "-1", "ten", "99999999999", "1e3", "0x10"]
PAUSES_MS = [0, 1, 100, 600, 999, 2000]
#: Times are kept for so long: what never_more_begins looks at.
LOOKS_BACK_US = 10 * SECOND


class World:
    """One number on a server, and its model."""

    def __init__(self, redis: Any, **rules: Any) -> None:
        self.stage = Stage(redis, shape_fields=SHAPES, **rules)
        self.number = NumberState()
        self.model = Model(self.stage.rules, self.number)
        self.true_us = 0
        self.ids = 0
        self.events = 0
        self.lease_ids: list[str] = []
        self.rows_of: dict[str, list[str]] = {}
        self.holders: dict[str, str] = {}
        #: How often each message was published; those that may still be somewhere.
        self.put: dict[str, int] = {}
        self.open: set[str] = set()
        self.touched: set[str] = set()
        self.begun: dict[str, tuple[int, int]] = {}
        self.allowed: list[tuple[int, int]] = [(0, self.model.allocation().events)]

    @property
    def now(self) -> int:
        """What the server's clock says."""
        return self.stage.now_us

    def _allow(self) -> None:
        self.allowed.append((self.true_us, self.model.allocation().events))

    # --- messages

    def push(self, c: Choices) -> None:
        """Messages by the push script."""
        class_ = c.pick(CLASSES)
        rows = [self._fields(c) for _ in range(c.pick([1, 1, 2, 4, 12]))]
        sealed, items = self._push(class_, rows)
        if c.flag():
            assert self.stage.push_sealed(sealed, class_=class_) == self.model.push(class_.priority, items) == 0

    def _fields(self, c: Choices) -> dict[str, Any]:
        fields: dict[str, Any] = {"to": c.pick(PEOPLE), "text": c.pick(["x", "y" * 300])}
        for name, options in (
            ("template_id", ["A", "B"]),
            ("send_in_ms", [-1000, 0, 1, 700, 5000]),
            ("expires_in_ms", [-1000, 0, 300, 5000]),
            ("class", CLASSES),
            ("pickle", [True]),
        ):
            if c.pick([False, False, True]):
                fields[name] = c.pick(options)
        return fields

    def _push(self, class_: MessageClass, rows: list[dict[str, Any]]) -> tuple[list[tuple[str, bytes]], list[Item]]:
        items = []
        for fields in rows:
            self.ids += 1
            items.append(self._message(fields, f"m{self.ids}"))
            self._published(items[-1].id)
        sealed = [(item.id, item.raw) for item in items]
        assert self.stage.push_sealed(sealed, class_=class_) == self.model.push(class_.priority, items)
        return sealed, items

    def _published(self, id_: str) -> None:
        self.put[id_] = self.put.get(id_, 0) + 1
        self.open.add(id_)
        self.touched.add(id_)

    def _message(self, fields: dict[str, Any], id_: str) -> Item:
        said = {name: value for name, value in fields.items() if name in ("to", "text", "template_id")}
        times = {}
        for ours, theirs in (("send_in_ms", "send_at"), ("expires_in_ms", "expires_at")):
            if ours in fields:
                times[theirs] = self.now + fields[ours] * 1000
                said[theirs] = _text(times[theirs])
        raw = json.loads(seal(NUMBER, id_, Message.of(said)))
        if "class" in fields:
            body = json.loads(raw["body"])
            body[1]["class"] = fields["class"].value
            raw["body"] = json.dumps(body)
        refused = ""
        if "pickle" in fields:
            raw["content-type"] = "application/x-python-serialize"
            refused = "content-type: only plain JSON is read, never pickle"
        return Item(
            id_, json.dumps(raw).encode(), raw["body"], said["to"],
            f'template_id="{said["template_id"]}"\n' if "template_id" in said else "",
            step=fields["class"].priority if "class" in fields and not refused else None,
            not_before=times.get("send_at", 0), expires=times.get("expires_at", float("inf")), refused=refused,
        )  # fmt: skip

    def publish(self, c: Choices) -> None:
        """A stock publisher, who may repeat an id that is known already."""
        self.ids += 1
        item = self._message(self._fields(c), c.pick([f"stock{self.ids}", *list(self.put)[-200:]]))
        self._put(c.pick(CLASSES), item)

    def rubbish(self, c: Choices) -> None:
        """What nobody can read."""
        raw = b"rubbish %d" % c.pick([self.ids, self.ids, 0])
        id_ = f"unreadable-{sha1(raw, usedforsecurity=False).hexdigest()}"
        self._put(c.pick(CLASSES), Item(id_, raw, refused="unreadable"))

    def _put(self, class_: MessageClass, item: Item) -> None:
        self._published(item.id)
        self.stage.put(item.raw, class_=class_)
        self.model.lanes[class_.priority].append(item)

    # --- leases

    def lease(self, c: Choices) -> None:
        """A lease, and when it was granted, perhaps the same again."""
        holder = c.pick(["one", "two"])
        decision = self._lease(holder)
        if isinstance(decision, Grant) and c.flag():
            lease_id = self.lease_ids[-1]
            assert self.stage.lease(lease_id, holder=holder) == decision
            assert self.model.lease(lease_id, holder, self.now) == decision

    def _lease(self, holder: str) -> Decision:
        lease_id = f"L{len(self.lease_ids)}"
        decision = self.stage.lease(lease_id, holder=holder)
        expected = self.model.lease(lease_id, holder, self.now)
        assert decision == expected
        if isinstance(decision, Grant):
            self.lease_ids.append(lease_id)
            self.rows_of[lease_id] = [row.id for row in decision.rows]
            self.holders[lease_id] = holder
        return decision

    def ask_again(self, c: Choices) -> None:
        """A lease whose answer was lost is asked again, begun and settled in part as it may be by now."""
        if self.model.leases:
            lease = self.model.leases[c.pick(sorted(self.model.leases))]
            decision = self.stage.lease(lease.id, holder=lease.holder)
            assert decision == self.model.lease(lease.id, lease.holder, self.now)

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
        answer = self._begin(lease_id, holder, token)
        if c.flag():
            second = self.stage.begin(lease_id, holder=holder, token=token)
            assert second is self.model.begin(lease_id, holder, token, self.now)
            assert second is answer or answer in (Begun.STALE, Begun.PAUSED)

    def _begin(self, lease_id: str, holder: str, token: str) -> Begun:
        was_begun = lease_id in self.model.leases and self.model.leases[lease_id].state == "sending"
        answer = self.stage.begin(lease_id, holder=holder, token=token)
        assert answer is self.model.begin(lease_id, holder, token, self.now)
        if answer is Begun.BEGUN and not was_begun:
            self.begun[lease_id] = (self.true_us, self.model.leases[lease_id].charged)
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
        self._settle(lease_id, rows)
        if c.flag():
            second = self.stage.settle(lease_id, *rows)
            assert second == self.model.settle(lease_id, rows, self.now)
            # What became uncertain just now may be settled otherwise by a later word of the same list.
            assert all(not word or row.state is not State.UNCERTAIN for word, row in zip(second, rows, strict=True))

    def _settle(self, lease_id: str, rows: list[Settlement]) -> None:
        self.touched.update(row.message_id for row in rows)
        sends = self.model.totals["send"]
        first = self.stage.settle(lease_id, *rows)
        assert first == self.model.settle(lease_id, rows, self.now)
        if lease_id in self.begun:
            at, events = self.begun[lease_id]
            self.begun[lease_id] = (at, events - (sends - self.model.totals["send"]))  # those never left

    def end(self, c: Choices) -> None:
        """Any lease that ever was, in any case or only when it may be."""
        if not (lease_id := self._some_lease(c)):
            return
        when = c.pick(list(Ending))
        self._end(lease_id, when)
        if c.flag():
            assert self._end(lease_id, when).what in ("gone", "held")

    def _end(self, lease_id: str, when: Ending) -> Ended:
        self.touched.update(self.rows_of[lease_id])
        answer = self.stage.end(lease_id, when=when, rows=self.rows_of[lease_id])
        assert answer == self.model.end(lease_id, when, self.now)
        return answer

    def a_way(self, c: Choices) -> None:
        """The usual way: plain messages, a lease, some time, a begin, some time, one word for all or a lost holder."""
        rows = c.pick([1, 2, 5, 9])
        self._push(c.pick(CLASSES), [{"to": f"1888{self.ids + i:07d}", "text": "x"} for i in range(rows)])
        if not isinstance(self._lease("one"), Grant):
            return
        lease_id = self.lease_ids[-1]
        self.pass_by(c.pick(PAUSES_MS))
        if c.flag():
            self._begin(lease_id, "one", "x")
        self.pass_by(c.pick(PAUSES_MS))
        state = c.pick([State.SENT, State.SENT, State.DEFERRED, State.WAITING, State.UNCERTAIN, None])
        if state is None:
            self._end(lease_id, Ending.ENDED)
        else:
            left = c.flag()
            ids = self.rows_of[lease_id][c.pick([0, 0, 1]) :]
            self._settle(lease_id, [Settlement(id_, state, left=left, retry_ms=900) for id_ in ids])

    # --- the meter, a person, time

    def count(self, c: Choices) -> None:
        """Events of now or then, some of them known already."""
        kind = c.pick(list(Kind))
        age_ms = c.pick([None, None, -5000, 0, 300, 1500, 60_000, 400_000])
        at_us = None if age_ms is None else self.now - age_ms * 1000
        self.events += 5
        known = range(max(0, self.events - 60), self.events)
        events = [Event(f"e{id_}", kind, at_us) for id_ in c.some(known, most=25)]
        for turn in range(1 + c.flag()):
            new = int(self.stage.run(meter.count(self.stage.rules, events, now_us=self.now)))
            assert new == self.model.count(events, self.now)
            assert turn == 0 or new == 0

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

    def _set(self, field: str, value: Any, *, good: Any = None) -> None:
        """Write a value; when there is a `good` one, `value` is what somebody wrote over it by hand."""
        self._unset(field)
        spoilt = value in NOT_VALUES
        self.stage.change_live(**{field: value})
        if good is not None:
            self.stage.change_live(**{f"{field}.set": json.dumps({"by": "ada", "value": str(good)})})
        if not spoilt or good is not None:
            self.number.live[field] = good if spoilt else value

    def _unset(self, field: str) -> None:
        self.stage.unset(field, f"{field}.set")
        self.number.live.pop(field, None)

    def later(self, c: Choices) -> None:
        """Time goes on."""
        self.pass_by(c.pick([0.001, 1, 37.5, 100, 333.333, 600, 999.999, 1000, 2500, 11_000, 700_000]))

    def pass_by(self, ms: float) -> None:
        """So much time goes on."""
        self.stage.later(ms=ms)
        self.true_us += round(ms * 1000)

    def clock(self, c: Choices) -> None:
        """The server's clock is set. Set back, no time passes; set forth, nobody can tell it from time that passed."""
        if c.pick([True, True, False]):
            self.stage.later(ms=-c.pick([0.001, 0.5, 20, 700, 1500, 60_000, 3_600_000, 86_400_000]))
        else:
            self.pass_by(c.pick([60_000, 3_600_000, 86_400_000]))

    def forget(self, c: Choices) -> None:
        """The server forgets the scripts."""
        self.stage.redis.script_flush()

    # --- what must hold in the end

    def drains(self) -> None:
        """Once nobody is in the way, all that waits gets through, and no wait is longer than its reason."""
        for field in ("paused", *TUNES):
            self._unset(field)
        for lease_id in list(self.model.leases):
            self._end(lease_id, Ending.ENDED)
        while (decision := self._lease("last")) != Wait(self.now, 0, Because.EMPTY):
            if isinstance(decision, Grant):
                self._sends(decision)
            else:
                assert isinstance(decision, Wait), decision
                self._waits(decision)
        assert not any(self.model.lanes.values())
        assert not self.model.deferred

    def _sends(self, grant: Grant) -> None:
        lease_id = self.lease_ids[-1]
        assert self._begin(lease_id, "last", "x") is Begun.BEGUN
        states = {row.id: State.SENT if row.verdict == "send" else State.DEAD for row in grant.rows}
        self._settle(lease_id, [Settlement(id_, state) for id_, state in states.items()])

    def _waits(self, wait: Wait) -> None:
        a = self.model.allocation()
        longest = {
            Because.WINDOW: a.window_us,
            Because.PACE: a.window_us + SECOND,
            Because.DEBT: self.model.debt_ue * 1000 / a.tps_milli + 1,
        }
        assert wait.until_us - self.now <= longest.get(wait.because, math.inf), wait
        self.pass_by(max(0.001, (wait.until_us - self.now) / 1000))

    # --- what must hold after every step

    def check(self) -> None:
        """What is spent and out, to the digit, and never more than the allocation."""
        assert differing_meter(self.stage.redis, self.stage.rules.number, self.model) == {}
        assert self.model.debt_ue >= 0
        self.never_more_begins()

    def check_all(self) -> None:
        """Every key, to the digit; every message that may be somewhere."""
        assert differences(self.stage.redis, self.stage.rules.number, self.model) == {}
        assert differing_records(self.stage.redis, self.number, self.open | self.touched) == {}
        self.touched.clear()
        self.no_message_is_lost_or_in_two_places()
        self.never_more_begins()

    def no_message_is_lost_or_in_two_places(self) -> None:
        """Each is on a lane, leased or kept, or its record says that it is over; only a publisher makes it two."""
        model = self.model
        waiting: dict[str, int] = {}
        for item in (item for lane in model.lanes.values() for item in lane):
            waiting[item.id] = waiting.get(item.id, 0) + 1
        assert not model.leased.keys() & model.kept.keys()
        assert sorted([*model.deferred, *model.uncertain, *model.dead]) == sorted(model.kept)
        assert sorted(model.leased) == sorted(id_ for lease in model.leases.values() for id_, _ in lease.rows)
        for id_ in list(self.open):
            places = waiting.get(id_, 0) + (id_ in model.leased) + (id_ in model.kept)
            assert places <= self.put[id_], id_
            over = id_ in self.number.records and self.number.records[id_].state in (State.SENT, State.EXPIRED)
            assert places >= 1 or over, id_
            if not places:
                self.open.remove(id_)

    def never_more_begins(self) -> None:
        """In any trailing second, by the times of begin; after a change the highest of the last seconds is allowed."""
        for old in [id_ for id_, (at, _) in self.begun.items() if at < self.true_us - LOOKS_BACK_US]:
            del self.begun[old]
        if not self.begun:
            return
        end = max(at for at, _ in self.begun.values())
        in_a_second = sum(events for at, events in self.begun.values() if at > end - SECOND)
        before = [events for at, events in self.allowed if at <= end - 5 * SECOND][-1:]
        assert in_a_second <= max([*before, *(events for at, events in self.allowed if at > end - 5 * SECOND)])


def _text(at_us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)).isoformat()


#: Every move and how often it is made in a seeded walk.
MOVES: dict[str, int] = {
    "push": 6, "publish": 4, "rubbish": 1, "lease": 20, "ask_again": 3, "begin": 15, "renew": 3, "settle": 14,
    "end": 5, "a_way": 8, "count": 6, "pause": 2, "tune": 3, "later": 20, "clock": 1, "forget": 1,
}  # fmt: skip
