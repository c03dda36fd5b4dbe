"""Is the server as the model says, to the digit? One round trip a unit."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable
from typing import Any

from headway import MessageClass, keys
from scheduler.forecast import Forecast, unpack
from tests.scripts._model_parts import NumberState
from tests.scripts.model import Model


def differences(redis: Any, unit: str, model: Model) -> dict[str, tuple[Any, Any]]:
    """Compare every key of a unit: what is otherwise, as (server, model)."""
    found, expected = _found(redis, unit), _expected(model)
    return {name: (found[name], expected[name]) for name in expected if found[name] != expected[name]}


def differing_meter(redis: Any, unit: str, model: Model) -> dict[str, tuple[Any, Any]]:
    """Compare what is spent and what is out, which is quick: as `differences`."""
    pipe = redis.pipeline(transaction=False)
    pipe.hgetall(keys.meter(unit))
    pipe.zrange(keys.window(unit), 0, -1, withscores=True)
    pipe.zrange(keys.deadlines(unit), 0, -1, withscores=True)
    meter, window, deadlines = pipe.execute()
    found = {"meter": _meter(meter, window), "window": _scores(window), "deadlines": _scores(deadlines)}
    expected = {"meter": _model_meter(model), "window": model.window, "deadlines": _deadlines(model)}
    return {name: (found[name], expected[name]) for name in expected if found[name] != expected[name]}


def differing_number(redis: Any, number: str, account: str, model: NumberState) -> dict[str, tuple[Any, Any]]:
    """Compare what all units of a number share: as `differences`."""
    pipe = redis.pipeline(transaction=False)
    for name in ("push", "push-alone", "push-wanting"):
        pipe.zrange(keys.quota(account, name), 0, -1, withscores=True)
    pipe.zrange(keys.cancelled(number), 0, -1, withscores=True)
    pipe.hgetall(keys.throttle(number))
    *logs, throttle = pipe.execute()
    expected = (model.account.push, model.account.alone, model.account.wanting, model.cancelled)
    differs: dict[str, tuple[Any, Any]] = {
        f"log {i}": (_scores(log), expected[i]) for i, log in enumerate(logs) if _scores(log) != expected[i]
    }
    found = {name.decode(): int(value) for name, value in throttle.items()}
    t = model.throttle
    meant = {"tps_milli": t.tps_milli, "at": t.at, "was": t.was, "until": t.until} if t else {}
    return differs if found == meant else {**differs, "throttle": (found, meant)}


def differing_records(redis: Any, number: NumberState, ids: Iterable[str]) -> dict[str, tuple[Any, Any]]:
    """Compare state and attempts of messages: as `differences`."""
    ids = list(ids)
    pipe = redis.pipeline(transaction=False)
    for id_ in ids:
        pipe.hmget(keys.record(id_), "state", "attempts")
    differs = {}
    for id_, (state, attempts) in zip(ids, pipe.execute(), strict=True):
        record = number.records.get(id_)
        found = (state.decode() if state else None, int(attempts or 0))
        expected = (record.state, record.attempts) if record else (None, 0)
        if found != expected:
            differs[id_] = (found, expected)
    return differs


def differing_forecast(redis: Any, unit: str, model: Model) -> tuple[Any, Any] | None:
    """Compare the forecast, to a billionth: the order of additions is the interpreter's. The model goes on from the
    server's, so that no difference grows.
    """
    raw = redis.get(keys.forecast(unit))
    found, expected = (unpack(raw) if raw else Forecast()), model.forecast
    if not all(map(_close, _FLAT.unpack(found.pack()), _FLAT.unpack(expected.pack()))):
        return found, expected
    model.forecast = found
    return None


STEPS = tuple(class_.priority for class_ in MessageClass)
_FLAT = struct.Struct("<25d")


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


def _found(redis: Any, unit: str) -> dict[str, Any]:
    pipe = redis.pipeline(transaction=False)
    for lane in keys.lanes(unit):
        pipe.lrange(lane, 0, -1)
    for key in (keys.leased(unit), keys.kept(unit), keys.leases(unit), keys.meter(unit)):
        pipe.hgetall(key)
    for key_of in (keys.deferred, keys.uncertain, keys.dead, keys.deadlines, keys.window):
        pipe.zrange(key_of(unit), 0, -1, withscores=True)
    pipe.hgetall(keys.due(unit))
    for step in STEPS:
        pipe.lrange(keys.due_line(unit, step), 0, -1)
    pipe.hgetall(keys.heads(unit))
    pipe.zrange(keys.lines(unit), 0, -1)
    replies = pipe.execute()
    leased, kept, leases, meter = replies[4:8]
    deferred, uncertain, dead, deadlines, window, due, *lines, heads, behind = replies[8:]
    return {
        **{f"lane {place}": raws[::-1] for place, raws in enumerate(replies[:4])},
        "leased": {id_.decode(): held for id_, held in leased.items()},
        "kept": {id_.decode(): held for id_, held in kept.items()},
        "leases": {id_.decode(): _lease(json.loads(text)) for id_, text in leases.items()},
        "meter": _meter(meter, window),
        "heads": {place.decode(): id_.decode() for place, id_ in heads.items()},
        "lines": [member.decode() for member in behind],
        "deferred": _scores(deferred),
        "due": {int(step): int(front) for step, front in due.items()},
        **{f"due {step}": [id_.decode() for id_ in line[::-1]] for step, line in zip(STEPS, lines, strict=True)},
        "uncertain": _scores(uncertain),
        "dead": _scores(dead),
        "deadlines": _scores(deadlines),
        "window": _scores(window),
    }


def _rows(lease: Any, model: Model) -> list[list[Any]]:
    ahead = {id_: [place[2:]] for id_, place in lease.places.items()}
    return [[id_, charge, str(model.leased[id_][0]), *ahead.get(id_, [])] for id_, charge in lease.rows]


def _expected(model: Model) -> dict[str, Any]:
    return {
        **{f"lane {place}": [item.raw for item in lane] for place, lane in enumerate(model.lanes.values())},
        "leased": {id_: item.raw for id_, (_, item) in model.leased.items()},
        "kept": {id_: b"%d%s" % (step, item.raw) for id_, (step, item) in model.kept.items()},
        "leases": {
            lease.id: (lease.holder, lease.state, lease.charged, _rows(lease, model)) for lease in model.leases.values()
        },
        "meter": _model_meter(model),
        "heads": model.heads,
        "lines": ["\n".join((place, f"{serial:020d}", id_)) for place, serial, id_ in sorted(model.lines)],
        "deferred": model.deferred,
        "due": model.front,
        **{f"due {step}": model.due.get(step, []) for step in STEPS},
        "uncertain": model.uncertain,
        "dead": model.dead,
        "deadlines": _deadlines(model),
        "window": model.window,
    }


def _lease(found: dict[str, Any]) -> tuple[Any, ...]:
    return found["holder"], found["state"], found["charged"], found["rows"]


def _deadlines(model: Model) -> dict[str, int]:
    return {lease.id: lease.deadline for lease in model.leases.values()}


def _scores(pairs: list[tuple[bytes, float]]) -> dict[str, float]:
    return {member.decode(): score for member, score in pairs}


#: The meter's fields, and what they are before anything was written.
FIELDS = {
    "backlog": 0, "backlog_at": 0, "pace_at": None, "uncontrolled_us": None, "floor_at": 0, "floor": 0,
    "in_second": 0, "in_count": 0, "in_mean": 0, "in_square": 0, "slot_at": None, "batch_at": None, "foreseen": 0,
    "send": 0, "inbound": 0, "delivered": 0, "read": 0, "line": 0,
    "pass_3": 0, "pass_6": 0, "pass_9": 0, "held_3": 0, "held_6": 0, "held_9": 0, "shared_at": 0,
}  # fmt: skip


def _meter(fields: dict[bytes, bytes], window: list[Any]) -> dict[str, Any]:
    who = (b"turn", b"deputy")
    aside = (*who, b"outflow")  # what estimates are made from: nothing is decided by it
    read: dict[str, Any] = {name.decode(): int(value) for name, value in fields.items() if name not in aside}
    for name in who:
        read[name.decode()] = (fields.get(name, b"").decode(), read.pop(f"{name.decode()}_at", 0))
    found = {name: read.pop(name, without) for name, without in FIELDS.items()}
    totals = {name: read.pop(name, 0) for name in ("window", "window_in")}
    # The running totals say nothing of a window that is empty. What is in no list would be a difference.
    return {**found, **(totals if window else dict.fromkeys(totals, 0)), **read}


def _model_meter(model: Model) -> dict[str, Any]:
    flow = model.uncontrolled
    return {
        "backlog": model.debt_ue, "backlog_at": model.debt_at, "pace_at": model.pace_at,
        "uncontrolled_us": model.uncontrolled_at, "floor_at": model.floor_at, "floor": model.by_floor,
        "in_second": flow.second, "in_count": flow.count, "in_mean": flow.mean, "in_square": flow.square,
        "slot_at": model.slot_at, "batch_at": model.batch_at, "foreseen": model.foreseen_events,
        "line": model.serial, **{f"pass_{step}": pass_ for step, pass_ in model.shares.pass_.items()},
        "shared_at": model.shares.shared_at, **{f"held_{step}": at for step, at in model.shares.held_at.items()},
        **model.totals, "turn": model.turn, "deputy": model.deputy,
        "window": model.total(), "window_in": model.total() - model.sends(),
    }  # fmt: skip
