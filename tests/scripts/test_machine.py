"""Do the scripts do what the model says, in any order, each also run twice?

`EXPLORE=2000 make test ARGS=tests/scripts/test_machine.py` looks for new ways instead of walking the known ones.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import redis as redis_py
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from delivery.settle import Ended, Ending, Settlement
from delivery.states import SETTLED, State
from headway import MessageClass, keys
from headway.envelope import seal
from headway.message import Message
from scheduler.decisions import Decision, Grant
from scheduler.leases import Begun
from scheduler.meter import Event, Kind
from tests.harness.leaks import leaks
from tests.scripts.model import Item, Model
from tests.scripts.stage import NUMBER, SECOND, Stage

EXPLORE = int(os.environ.get("EXPLORE", "0"))

CLASSES = list(MessageClass)
SHAPES = ("template_id", "media_url")
TPS = [500, 1000, 2000, 5000, 10_000, 20_000, 100_000]
PEOPLE = [f"1999000000{i}" for i in range(6)]

messages = st.fixed_dictionaries(
    {"to": st.sampled_from(PEOPLE), "text": st.sampled_from(["x", "y" * 300])},
    optional={
        "template_id": st.sampled_from(["A", "B"]),
        "send_in_ms": st.sampled_from([-1000, 0, 1, 700, 5000]),
        "expires_in_ms": st.sampled_from([-1000, 0, 300, 5000]),
        "class": st.sampled_from(CLASSES),
        "pickle": st.just(True),
    },
)


class Scripts(RuleBasedStateMachine):
    """One number with its model; `stage` is the server's side."""

    redis: Any

    def __init__(self) -> None:
        super().__init__()
        self.redis.flushdb()
        self.stage = Stage(self.redis, shape_fields=SHAPES)
        self.model = Model(self.stage.rules)
        self.ids = 0
        self.lease_ids: list[str] = []
        self.rows_of: dict[str, list[str]] = {}
        self.holders: dict[str, str] = {}
        self.put: dict[str, int] = {}
        self.begun: dict[str, tuple[int, int]] = {}
        self.allowed: list[tuple[int, int]] = []

    @property
    def now(self) -> int:
        """What time it is."""
        return self.stage.now_us

    @initialize(
        rules=st.fixed_dictionaries(
            {
                "tps_milli": st.sampled_from(TPS),
                "headroom_ppm": st.sampled_from([0, 100_000, 500_000]),
                "floor_ppm": st.sampled_from([0, 100_000, 300_000]),
                "counts": st.sampled_from([("send", "inbound", "delivered", "read"), ("send", "inbound")]),
                "in_flight": st.sampled_from([2, 6]),
                "max_rows": st.sampled_from([1, 3, 100]),
                "max_bytes": st.sampled_from([400, 262_144]),
                "guard_us": st.sampled_from([0, 20_000]),
            }
        )
    )
    def number(self, rules: dict[str, int]) -> None:
        """A number with these rules."""
        self.stage.change(**rules)
        self.model.change(**rules)
        self._allow()

    def _allow(self) -> None:
        self.allowed.append((self.now, self.model.allocation().events))

    # --- messages

    def _message(self, fields: dict[str, Any], id_: str) -> tuple[bytes, Item]:
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
        shape = f'template_id="{said["template_id"]}"\n' if "template_id" in said else ""
        item = Item(
            id_, raw["body"], said["to"], shape,
            step=fields["class"].priority if "class" in fields and not refused else None,
            not_before=times.get("send_at", 0), expires=times.get("expires_at", float("inf")), refused=refused,
        )  # fmt: skip
        return json.dumps(raw).encode(), item

    @rule(class_=st.sampled_from(CLASSES), rows=st.lists(messages, min_size=1, max_size=12), again=st.booleans())
    def push(self, class_: MessageClass, rows: list[dict[str, Any]], again: bool) -> None:
        """Messages by the push script."""
        sealed, items = self._push(class_, rows)
        if again:
            assert self.stage.push_sealed(sealed, class_=class_) == self.model.push(class_.priority, items) == 0

    def _push(self, class_: MessageClass, rows: list[dict[str, Any]]) -> tuple[list[tuple[str, bytes]], list[Item]]:
        sealed, items = [], []
        for fields in rows:
            self.ids += 1
            raw, item = self._message(fields, f"m{self.ids}")
            sealed.append((item.id, raw))
            items.append(item)
            self.put[item.id] = 1
        assert self.stage.push_sealed(sealed, class_=class_) == self.model.push(class_.priority, items)
        return sealed, items

    @rule(class_=st.sampled_from(CLASSES), fields=messages, data=st.data())
    def publish(self, class_: MessageClass, fields: dict[str, Any], data: st.DataObject) -> None:
        """A stock publisher, who may repeat an id that is known already."""
        id_ = data.draw(st.sampled_from([f"stock{self.ids}", *self.put]), label="id")
        self.ids += 1
        raw, item = self._message(fields, id_)
        self.put[id_] = self.put.get(id_, 0) + 1
        self.stage.put(raw, class_=class_)
        self.model.lanes[class_.priority].append(item)

    @rule(class_=st.sampled_from(CLASSES))
    def rubbish(self, class_: MessageClass) -> None:
        """What nobody can read."""
        from hashlib import sha1

        raw = b"rubbish %d" % self.ids
        id_ = f"unreadable-{sha1(raw, usedforsecurity=False).hexdigest()}"
        self.put[id_] = self.put.get(id_, 0) + 1
        self.stage.put(raw, class_=class_)
        self.model.lanes[class_.priority].append(Item(id_, "", refused="unreadable"))

    # --- leases

    @rule(again=st.booleans(), holder=st.sampled_from(["one", "two"]))
    def lease(self, again: bool, holder: str) -> None:
        """A lease, and when it was granted, perhaps the same again."""
        decision = self._lease(holder)
        if again and isinstance(decision, Grant):
            lease_id = self.lease_ids[-1]
            assert self.stage.lease(lease_id, holder=holder) == decision
            assert self.model.lease(lease_id, holder, self.now) == decision

    def _lease(self, holder: str) -> Decision:
        lease_id = f"L{len(self.lease_ids)}"
        decision = self.stage.lease(lease_id, holder=holder)
        assert decision == self.model.lease(lease_id, holder, self.now)
        if isinstance(decision, Grant):
            self.lease_ids.append(lease_id)
            self.rows_of[lease_id] = [row.id for row in decision.rows]
            self.holders[lease_id] = holder
        return decision

    @precondition(lambda self: self.model.leases)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        """A lease whose answer was lost is asked again, begun and settled in part as it may be by now."""
        lease = self.model.leases[data.draw(st.sampled_from(sorted(self.model.leases)), label="lease")]
        decision = self.stage.lease(lease.id, holder=lease.holder)
        assert decision == self.model.lease(lease.id, lease.holder, self.now)

    def _some_lease(self, data: st.DataObject) -> str:
        """Any lease that ever was, mostly one that lives."""
        living = [id_ for id_ in self.lease_ids if id_ in self.model.leases]
        return str(data.draw(st.sampled_from([*living * 5, *self.lease_ids[-10:]]), label="lease"))

    @precondition(lambda self: self.lease_ids)
    @rule(data=st.data(), again=st.booleans(), token=st.sampled_from(["x", "y"]))
    def begin(self, data: st.DataObject, again: bool, token: str) -> None:
        """Any lease that ever was, by its holder; now and then by a stranger."""
        lease_id = self._some_lease(data)
        holder = data.draw(st.sampled_from([self.holders[lease_id]] * 9 + ["stranger"]), label="holder")
        answer = self._begin(lease_id, holder, token)
        if again:
            second = self.stage.begin(lease_id, holder=holder, token=token)
            assert second is self.model.begin(lease_id, holder, token, self.now)
            assert second is answer or answer in (Begun.STALE, Begun.PAUSED)

    def _begin(self, lease_id: str, holder: str, token: str) -> Begun:
        was_begun = lease_id in self.model.leases and self.model.leases[lease_id].state == "sending"
        answer = self.stage.begin(lease_id, holder=holder, token=token)
        assert answer is self.model.begin(lease_id, holder, token, self.now)
        if answer is Begun.BEGUN and not was_begun:
            self.begun[lease_id] = (self.now, self.model.leases[lease_id].charged)
        return answer

    @precondition(lambda self: self.lease_ids)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        """Some leases, ended ones too."""
        some = data.draw(st.lists(st.sampled_from(self.lease_ids), unique=True, min_size=1), label="leases")
        assert self.stage.renew(*some) == self.model.renew(some, self.now)

    @precondition(lambda self: self.lease_ids)
    @rule(data=st.data(), again=st.booleans())
    def settle(self, data: st.DataObject, again: bool) -> None:
        """Some rows of any lease that ever was; late, twice, or of a lease that has begun only in part."""
        lease_id = self._some_lease(data)
        ids = data.draw(st.lists(st.sampled_from(self.rows_of[lease_id]), min_size=1, max_size=8), label="rows")
        states = st.sampled_from(sorted(SETTLED))
        rows = [
            Settlement(
                id_, data.draw(states), left=data.draw(st.booleans()), retry_ms=data.draw(st.sampled_from([0, 900]))
            )
            for id_ in ids
        ]
        self._settle(lease_id, rows)
        if again:
            second = self.stage.settle(lease_id, *rows)
            assert second == self.model.settle(lease_id, rows, self.now)
            # What became uncertain just now may be settled otherwise by a later word of the same list.
            assert all(not word or row.state is not State.UNCERTAIN for word, row in zip(second, rows, strict=True))

    def _settle(self, lease_id: str, rows: list[Settlement]) -> None:
        sends = self.model.totals["send"]
        first = self.stage.settle(lease_id, *rows)
        assert first == self.model.settle(lease_id, rows, self.now)
        if lease_id in self.begun:
            at, events = self.begun[lease_id]
            self.begun[lease_id] = (at, events - (sends - self.model.totals["send"]))  # those never left

    @precondition(lambda self: self.lease_ids)
    @rule(data=st.data(), again=st.booleans(), when=st.sampled_from(list(Ending)))
    def end(self, data: st.DataObject, again: bool, when: Ending) -> None:
        """Any lease that ever was, in any case or only when it may be."""
        lease_id = self._some_lease(data)
        self._end(lease_id, when)
        if again:
            assert self._end(lease_id, when).what in ("gone", "held")

    def _end(self, lease_id: str, when: Ending) -> Ended:
        answer = self.stage.end(lease_id, when=when, rows=self.rows_of[lease_id])
        assert answer == self.model.end(lease_id, when, self.now)
        return answer

    @rule(data=st.data(), rows=st.integers(1, 9), class_=st.sampled_from(CLASSES), begins=st.booleans())
    def a_way(self, data: st.DataObject, rows: int, class_: MessageClass, begins: bool) -> None:
        """The usual way: plain messages, a lease, some time, a begin, some time, one word for all or a lost holder."""
        self._push(class_, [{"to": f"1888000{self.ids + i:04d}", "text": "x"} for i in range(rows)])
        before = len(self.lease_ids)
        self._lease("one")
        if len(self.lease_ids) == before:
            return
        lease_id = self.lease_ids[-1]
        pauses = st.sampled_from([0, 1, 100, 600, 999, 2000])
        self.later(data.draw(pauses))
        if begins:
            self._begin(lease_id, "one", "x")
        self.later(data.draw(pauses))
        states = st.sampled_from([State.SENT, State.SENT, State.DEFERRED, State.WAITING, State.UNCERTAIN, None])
        state = data.draw(states)
        if state is None:
            self._end(lease_id, Ending.ENDED)
        else:
            left = data.draw(st.booleans())
            ids = self.rows_of[lease_id][data.draw(st.sampled_from([0, 0, 1])) :]
            self._settle(lease_id, [Settlement(id_, state, left=left, retry_ms=900) for id_ in ids])

    # --- the meter, a person, time

    @rule(
        ids=st.lists(st.integers(0, 60), min_size=1, max_size=25),
        kind=st.sampled_from(list(Kind)),
        again=st.booleans(),
        age_ms=st.sampled_from([None, -5000, 0, 300, 1500, 60_000, 400_000]),
    )
    def count(self, ids: list[int], kind: Kind, again: bool, age_ms: int | None) -> None:
        """Events of now or then, some of them known already."""
        from scheduler import meter

        at_us = None if age_ms is None else self.now - age_ms * 1000
        events = [Event(f"e{id_}", kind, at_us) for id_ in ids]
        for turn in range(1 + again):
            new = int(self.stage.run(meter.count(self.stage.rules, events, now_us=self.now)))
            assert new == self.model.count(events, self.now)
            assert turn == 0 or new == 0

    @rule(mood=st.sampled_from(["rest", "go", "go", "go"]))
    def pause(self, mood: str) -> None:
        """A person pauses the number, or lets it go on."""
        self.model.paused = paused = mood == "rest"
        if paused:
            self.stage.change_live(paused=1)
        else:
            self.stage.unset("paused")

    @rule(tps=st.sampled_from([0, 0, 0, *TPS]))
    def set_tps(self, tps: int) -> None:
        """A person sets the TPS, or clears it."""
        self.model.live_tps_milli = tps
        if tps:
            self.stage.change_live(tps_milli=tps)
        else:
            self.stage.unset("tps_milli")
        self._allow()

    @rule(ms=st.sampled_from([0.001, 1, 37.5, 100, 333.333, 600, 999.999, 1000, 2500, 11_000, 700_000]))
    def later(self, ms: float) -> None:
        """Time goes on."""
        self.stage.later(ms=ms)

    @rule()
    def forget(self) -> None:
        """The server forgets the scripts."""
        self.redis.script_flush()

    # --- what must hold after every step

    @invariant()
    def the_server_is_as_the_model(self) -> None:
        """Every key, to the digit."""
        model, stage = self.model, self.stage
        for class_ in CLASSES:
            raws = self.redis.lrange(keys.lane(NUMBER, class_), 0, -1)
            assert [_id(raw) for raw in reversed(raws)] == [item.id for item in model.lanes[class_.priority]], class_
        assert stage.names(keys.leased(NUMBER)) == model.leased.keys()
        assert stage.names(keys.kept(NUMBER)) == model.kept.keys()
        for key, expected in (
            (keys.deferred(NUMBER), model.deferred),
            (keys.uncertain(NUMBER), model.uncertain),
            (keys.dead(NUMBER), model.dead),
            (keys.window(NUMBER), model.window),
            (keys.deadlines(NUMBER), {lease.id: lease.deadline for lease in model.leases.values()}),
        ):
            assert stage.scores(key) == expected, key
        leases = {id_.decode(): json.loads(text) for id_, text in self.redis.hgetall(keys.leases(NUMBER)).items()}
        assert {id_: (lease["state"], lease["charged"], lease["rows"]) for id_, lease in leases.items()} == {
            lease.id: (lease.state, lease.charged, [list(row) for row in lease.rows]) for lease in model.leases.values()
        }
        self._same_meter()

    def _same_meter(self) -> None:
        found, model = self.stage.meter(), self.model
        assert (found.get("backlog", 0), found.get("backlog_at", 0)) == (model.debt_ue, model.debt_at)
        assert found.get("pace_at") == model.pace_at
        assert found.get("uncontrolled_us") == model.uncontrolled_at
        assert found.get("floor_at", 0) == model.floor_at
        assert found.get("floor", 0) == model.by_floor
        flow = model.uncontrolled
        expected = (flow.second, flow.count, flow.mean, flow.square)
        assert tuple(found.get(f"in_{name}", 0) for name in ("second", "count", "mean", "square")) == expected
        assert {kind: found.get(kind, 0) for kind in model.totals} == model.totals
        if model.window:
            assert found["window"] == model.total()
            assert found.get("window_in", 0) == model.total() - model.sends()

    @invariant()
    def records_are_as_the_model(self) -> None:
        """State and attempts of every message."""
        pipe = self.redis.pipeline(transaction=False)
        for id_ in self.put:
            pipe.hmget(keys.record(id_), "state", "attempts")
        for id_, (state, attempts) in zip(self.put, pipe.execute(), strict=True):
            record = self.model.records.get(id_)
            assert (state.decode() if state else None) == (record.state if record else None), id_
            assert int(attempts or 0) == (record.attempts if record else 0), id_

    @invariant()
    def no_message_is_lost_or_in_two_places(self) -> None:
        """Each is on a lane, leased or kept, or its record says that it is over; only a publisher makes it two."""
        model = self.model
        waiting = [item.id for lane in model.lanes.values() for item in lane]
        assert not model.leased.keys() & model.kept.keys()
        parked = [*model.deferred, *model.uncertain, *model.dead]
        assert sorted(parked) == sorted(model.kept)
        assert sorted(model.leased) == sorted(id_ for lease in model.leases.values() for id_, _ in lease.rows)
        for id_, times in self.put.items():
            places = waiting.count(id_) + (id_ in model.leased) + (id_ in model.kept)
            assert places <= times, id_
            over = id_ in model.records and model.records[id_].state in (State.SENT, State.EXPIRED)
            assert places >= 1 or over, id_

    @invariant()
    def never_more_than_the_allocation_begins(self) -> None:
        """In any trailing second, by the times of begin; after a change the highest of the last seconds is allowed."""
        assert self.model.debt_ue >= 0
        if not self.begun:
            return
        end = max(at for at, _ in self.begun.values())
        in_a_second = sum(events for at, events in self.begun.values() if at > end - SECOND)
        before = [events for at, events in self.allowed if at <= end - 5 * SECOND][-1:]
        assert in_a_second <= max([*before, *(events for at, events in self.allowed if at > end - 5 * SECOND)])

    def teardown(self) -> None:
        """No key is left that isn't declared."""
        assert leaks(self.redis) == []


def _id(raw: bytes) -> str:
    if raw.startswith(b"rubbish"):
        from hashlib import sha1

        return f"unreadable-{sha1(raw, usedforsecurity=False).hexdigest()}"
    return str(json.loads(raw)["headers"]["id"])


def _text(at_us: int) -> str:
    from datetime import UTC, datetime, timedelta

    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)).isoformat()


@pytest.mark.timeout(3600 if EXPLORE else 120)
def test_any_order_of_scripts_does_what_the_model_says(redis: redis_py.Redis) -> None:
    """Walks of up to 50 steps; after each, every key is as the model says."""

    class OnThisServer(Scripts):
        pass

    OnThisServer.redis = redis
    run_state_machine_as_test(
        OnThisServer,
        settings=settings(
            max_examples=EXPLORE or 120,
            stateful_step_count=50,
            derandomize=not EXPLORE,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
