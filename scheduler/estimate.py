"""When will a message leave, and when is a lane empty?

The figures are one script's (`lua/estimate.lua`), how fast messages leave is `scheduler/outflow.py`'s; here stands who
is ahead. Let `d_i` be the rows that wait in class `i`, those in line behind others of their recipient included, and
`w_i` its weight among the classes that share what urgent leaves. When the `k`-th row of class `c` leaves,

    T = k + sum of d_i of the classes that always go before c + sum of min(d_i, k w_i / w_c) of those that share with c

rows have left: fair queueing in virtual time, where a class that runs empty lends its share to the others. Deferred
rows that are due until then are ahead, too; and what goes on coming in such a class, at its mean rate.

Sending begins when the provider's pause ends, when debt is worked off and when the class finds room. The answer is a
mean and no promise: urgent messages may come, and people may write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import exp
from typing import Any, Final

import redis

from headway import keys
from headway.classes import MessageClass
from priorities.table import TABLE
from runtime import scripts
from runtime.scripts import Call
from scheduler import leases
from scheduler.decisions import Because
from scheduler.outflow import Outflow, Stream, kept_by
from scheduler.rules import NumberRules
from scheduler.shards import rules_of_unit

#: What a message may wait for besides the words of `decisions.Because`: a person, its own time, a process that sends.
PAUSED: Final = "paused"
SEND_AT: Final = "send_at"
WORKER: Final = "worker"

#: HORIZONS_S of the script.
_HORIZONS_S = (1.0, 10.0, 60.0, 600.0, 3600.0, 36000.0)
#: Each time the wait is corrected by what comes in meanwhile.
_ROUNDS = 5
_US = 1_000_000
_CLASSES = tuple(MessageClass)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One class of a unit: rows that wait and that come a second, its weight (0: strict), how rows leave."""

    waiting: float
    weight: float
    held: bool
    comes: float
    outflow: Outflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One unit at one moment. `lanes` in class order; `due`: deferred rows by the script's horizons. Moments are the
    server's, in microseconds; 0: none.
    """

    now_us: int
    lanes: tuple[Lane, ...]
    due: tuple[int, ...]
    paused: bool
    rests_until_us: int
    workers: int
    #: Until the container has worked off its debt, in seconds.
    debt_s: float
    #: Of the class that was asked about: rows that may leave at once, else until when to wait and why.
    may_leave: int
    until_us: int
    because: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """When a message will leave, by the server's clock (None: nobody knows), and what it waits for (empty: nothing)."""

    at_us: int | None
    waits_for: tuple[str, ...]

    def told(self) -> str | None:
        """Return the moment as answers have it: RFC 3339, UTC, with milliseconds."""
        if self.at_us is None:
            return None
        at = datetime.fromtimestamp(self.at_us // 1000 / 1000, UTC)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ask(rules: NumberRules, class_: MessageClass | None = None, *, now_us: int | None = None) -> Call:
    """Build the call that reads the figures of a number, or of one of its units; nothing is written."""
    lease = leases.lease(rules, "", "", now_us=now_us)
    asked = 0 if class_ is None else _CLASSES.index(class_) + 1
    names = [*lease.keys, *keys.lanes(keys.number_of_unit(rules.number))]
    return Call(scripts.load("scheduler", "estimate"), names, [*lease.args, asked])


def figures(reply: Any, unit: str) -> Figures:
    """Read what the script answered for a unit."""
    now_us, flat, waiting, coming, rules, due, streams, outflow, (may_leave, until_us, because) = reply
    facts = {_text(flat[i]): int(_text(flat[i + 1])) for i in range(0, len(flat), 2)}
    shards = int(unit.rpartition("of")[2]) if "/" in unit else 1
    comes = _decayed(outflow, now_us)
    common = _common(facts, [int(_text(part)) for part in streams], outflow)
    lanes = []
    for place, rule in enumerate(TABLE):
        share, weight, held = rules[3 * place : 3 * place + 3]
        rows = waiting[place] + (coming[place] / shards if shards > 1 else 0)
        own = replace(
            common, calm=common.calm * share / 1e6, kept=kept_by(facts["reserve"], share / 1e6), paced=rule.paced
        )
        lanes.append(Lane(waiting=rows, weight=weight, held=held == 1, comes=comes[place], outflow=own))
    behind = facts["behind_ue"] / _US - (facts["events"] - 1)
    return Figures(
        now_us=int(now_us),
        lanes=tuple(lanes),
        due=tuple(due),
        paused=facts["paused"] == 1,
        rests_until_us=facts["rests_until_us"],
        workers=facts["workers"],
        debt_s=max(0.0, behind * 1000 / facts["tps_milli"]),
        may_leave=int(_text(may_leave)),
        until_us=int(_text(until_us)),
        because=_text(because),
    )


def of_row(f: Figures, class_: MessageClass, *, behind: float = 0, send_at_us: int = 0) -> Estimate:
    """Estimate the last row of a class, or the one that has so many `behind` it.

    Less than nothing behind it: so many rows are pushed after the figures were read. `send_at_us`: not before.
    """
    lane = f.lanes[_CLASSES.index(class_)]
    stopped = _stopped(f, lane)
    later = (SEND_AT,) if send_at_us > f.now_us else ()
    if stopped:
        return Estimate(None, (*later, stopped))
    if later:  # it goes to the head of its lane then
        return Estimate(send_at_us, later)
    seconds, ahead = _wait(f, class_, max(1.0, lane.waiting - behind))
    if ahead <= f.may_leave:
        return Estimate(f.now_us, ())
    waits = f.because if f.may_leave < 1 and f.because else Because.PACE if lane.outflow.paced else Because.WINDOW
    return Estimate(f.now_us + round(seconds * _US), (str(waits),))


def empty_in_s(f: Figures) -> dict[str, float | None]:
    """Return in how many seconds each lane will be empty; None: nobody knows, because nothing leaves."""
    found: dict[str, float | None] = {}
    for class_, lane in zip(_CLASSES, f.lanes, strict=True):
        if lane.waiting <= 0:
            found[class_.value] = 0.0
        elif _stopped(f, lane):
            found[class_.value] = None
        else:
            found[class_.value] = round(_wait(f, class_, lane.waiting)[0], 1)
    return found


def until_empty(client: redis.Redis, rules: NumberRules, units: Sequence[str]) -> dict[str, float | None]:
    """Return in how many seconds each class of a number will have nothing waiting, in one round trip.

    Of several units the last counts; None: nobody knows, because nothing leaves.
    """
    found: dict[str, float | None] = {class_.value: 0.0 for class_ in _CLASSES}
    calls = [ask(rules_of_unit(rules, unit)) for unit in units]
    for unit, reply in zip(units, scripts.run_all(client, calls), strict=True):
        own = {} if isinstance(reply, redis.ResponseError) else empty_in_s(figures(reply, unit))
        for name, before in found.items():
            seconds = own.get(name)
            found[name] = None if before is None or seconds is None else max(before, seconds)
    return found


def of_last(client: redis.Redis, rules: NumberRules, units: Sequence[str], classes: Sequence[MessageClass]) -> Estimate:
    """Estimate the last row of these classes that waits anywhere in these units, in one round trip."""
    asked = [(unit, class_) for unit in units for class_ in classes]
    replies = scripts.run_all(client, [ask(rules_of_unit(rules, unit), class_) for unit, class_ in asked])
    found = [
        of_row(figures(reply, unit), class_)
        for (unit, class_), reply in zip(asked, replies, strict=True)
        if not isinstance(reply, redis.ResponseError)
    ]
    return max(found, key=lambda one: (one.at_us is None, one.at_us or 0), default=Estimate(None, ()))


def _stopped(f: Figures, lane: Lane) -> str:
    """Say why nothing of a class leaves until somebody does something; empty: it does."""
    if f.paused:
        return PAUSED
    if lane.held:
        return str(Because.HELD)
    return "" if f.workers else WORKER


def _wait(f: Figures, class_: MessageClass, place: float) -> tuple[float, float]:
    """Return the seconds until the row at this place of its class leaves (1: the head), and how many leave by then."""
    mine = _CLASSES.index(class_)
    lane = f.lanes[mine]
    strict = [one for one in f.lanes[:mine] if not one.held and not (one.weight and lane.weight)]
    others = round(sum(one.comes for one in strict), 3)
    begins_s = max(0, f.rests_until_us - f.now_us, f.until_us - f.now_us if f.may_leave < 1 else 0) / _US
    begins_s = max(begins_s, f.debt_s)
    seconds, total, before = 0.0, 0.0, -1.0
    for _ in range(_ROUNDS):  # what comes in meanwhile makes it longer
        if total == before:
            break
        before = total
        total = place + sum(one.waiting for one in strict) + _due_within(f, seconds)
        total += sum(_shared(one, lane, place, seconds) for one in f.lanes if one is not lane)
        seconds = begins_s + lane.outflow.seconds(total - max(1, f.may_leave), others=others)
    return seconds, total


def _shared(other: Lane, lane: Lane, place: float, seconds: float) -> float:
    """Return how many rows of another class leave, of those with which it shares, before this place of a lane."""
    if other.held or not (other.weight and lane.weight):
        return 0.0
    return min(other.waiting + other.comes * seconds, place * other.weight / lane.weight)


def _due_within(f: Figures, seconds: float) -> float:
    """Return how many deferred rows are due within so many seconds."""
    before_s, before = 0.0, 0
    for horizon_s, rows in zip(_HORIZONS_S, f.due, strict=False):
        if seconds < horizon_s:
            return before + (rows - before) * (seconds - before_s) / (horizon_s - before_s)
        before_s, before = horizon_s, rows
    return before


def _common(facts: Mapping[str, int], streams: Sequence[int], outflow: Sequence[int]) -> Outflow:
    """Return how sends leave, but for what a class leaves free."""
    found = []
    for start in range(0, len(streams), 5):
        per_send, delay_us, *stages = streams[start : start + 5]
        x, y, z = (stage / 1000 for stage in stages)
        found.append(Stream(per_send / 1e6, delay_us / _US, (x, y, z)))
    weight_ppm, tps_milli, all_ue = (int(part) for part in outflow[2:5])
    evidence = weight_ppm / 1e6 if tps_milli == facts["tps_milli"] else 0.0
    return Outflow(
        events=facts["events"],
        window_s=facts["window_us"] / _US,
        calm=facts["calm_ppm"] / 1e6,
        inbound=facts["inbound_ue"] / _US,
        streams=tuple(found),
        slot_s=facts["slot_us"] / _US,
        measured=all_ue / weight_ppm if weight_ppm else 0.0,
        evidence=evidence,
    )


def _decayed(outflow: Sequence[int], now_us: int) -> list[float]:
    """Return how many rows of each class come a second, which was measured at the last lease that sent."""
    stays = exp(-max(0, now_us - int(outflow[0])) / (20 * _US))
    return [int(part) / 1e6 * stays for part in outflow[9:13]]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
