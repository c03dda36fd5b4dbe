"""What did a person set while running: a number's TPS, its headroom, …, or that it rests?

A live value wins over the environment, and says who set it, when and from where. Without a live TPS, the lowest holds
that any running process knows from its environment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import redis

from headway import keys
from headway.errors import SettingError
from runtime import scripts
from runtime.relations import contradictions
from runtime.scripts import Call
from runtime.settings import NumberSettings
from scheduler import live as table
from scheduler.live import LiveSetting
from scheduler.rules import NumberRules

#: As HEADWAY_TPS: from 0.001 to 10,000,000 a second.
MOST_TPS_MILLI = 10_000_000_000


@dataclass(frozen=True, slots=True)
class Who:
    """Who set something, from where, when (server's time) and why; empty and 0 when it was written by hand."""

    by: str = ""
    where: str = ""
    at_ms: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LiveValue:
    """A value that holds now: `stored` as it stands in the hash."""

    setting: LiveSetting
    stored: str
    who: Who = Who()

    @property
    def shown(self) -> str:
        """As people write it."""
        return self.setting.show(self.stored)


@dataclass(frozen=True, slots=True)
class Ignored:
    """A value in the hash that can't be, written by hand: the last good one holds, or the environment's (None)."""

    name: str
    text: str
    holds: str | None


@dataclass(frozen=True, slots=True)
class Live:
    """The live settings of a number; None where the environment holds. `at_ms`: the server's time of the change."""

    tps_milli: int | None
    paused: bool
    by: str
    at_ms: int
    lowest_declared_milli: int | None
    #: By name, as people write it.
    values: Mapping[str, LiveValue] = field(default_factory=dict)
    ignored: tuple[Ignored, ...] = ()
    #: Who paused it, if it is, and when that ends by itself (milliseconds since 1970), if it does.
    paused_by: Who | None = None
    paused_until_ms: int | None = None
    #: Process -> what its environment says, by field; see `declare`.
    declared: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def said(self, name: str) -> tuple[str, ...]:
        """Return the different values of a field that running workers were started with, sorted."""
        return tuple(sorted({told[name] for told in self.declared.values() if name in told}))

    def over(self, own: NumberSettings) -> NumberSettings:
        """Return what holds for a number: these over its environment's."""
        read = {value.setting.field: value.setting.variable.read(value.shown) for value in self.values.values()}
        if "event_webhook" in read:
            read["event_webhook"] = read["event_webhook"] == "on"
        return replace(own, **read)


def read(client: redis.Redis, number: str) -> Live:
    """Return what holds now."""
    return read_all(client, [number])[0]


def read_all(client: redis.Redis, numbers: Sequence[str]) -> list[Live]:
    """Return what holds now for several numbers, in one round trip."""
    with client.pipeline(transaction=False) as pipe:
        pipe.time()
        for number in numbers:
            pipe.hgetall(keys.settings(number))
            pipe.hgetall(keys.declared(number))
        (seconds, _), *answers = pipe.execute()
    found = [{_text(name): _text(text) for name, text in one.items()} for one in answers]
    now_ms = int(seconds) * 1000
    return [_live(stored, declared, now_ms) for stored, declared in zip(found[::2], found[1::2], strict=True)]


def _live(stored: Mapping[str, str], declared: Mapping[str, str], now_ms: int) -> Live:
    values: dict[str, LiveValue] = {}
    ignored: list[Ignored] = []
    for setting in table.SETTINGS:
        if setting.field not in stored:
            continue
        value, bad = _value(setting, stored[setting.field], _set(stored.get(setting.field + ".set", "")))
        if value is not None:
            values[setting.name] = value
        if bad is not None:
            ignored.append(bad)
    if stored.get("paused", "1") != "1":
        ignored.append(Ignored("paused", stored["paused"], None))
    tps = values.get(table.TPS.name)
    until_ms = _whole(stored.get("paused_until", "")) or None
    paused = stored.get("paused") == "1" and (until_ms is None or until_ms > now_ms)
    return Live(
        tps_milli=int(tps.stored) if tps else None,
        paused=paused,
        by=stored.get("by", ""),
        at_ms=_whole(stored.get("at_ms", "")),
        lowest_declared_milli=_whole(declared.get("lowest", "")) or None,
        values=values,
        ignored=tuple(ignored),
        declared={process: _declared(text) for process, text in declared.items() if process != "lowest"},
        paused_by=_who(_set(stored.get("paused.set", ""))) if paused else None,
        paused_until_ms=until_ms if paused else None,
    )


def checked(changes: Mapping[str, str | None], *, own: NumberSettings, live: Live) -> dict[str, str]:
    """Return what to write for changes by name (None clears): field of the hash -> text, empty where cleared.

    Raises SettingError for a setting that can't be changed live, a value that can't be, and values that contradict
    each other or what holds besides.
    """
    fields = {}
    values = dict(live.values)
    for name, text in changes.items():
        setting = table.setting(name)
        values.pop(name, None)
        stored = "" if text is None else setting.read(text)
        fields[setting.field] = stored
        if stored:
            values[name] = LiveValue(setting, stored)
    for variables, problem in contradictions(replace(live, values=values).over(own)):
        named = [name for name in changes if table.BY_NAME[name].variable in variables]
        if named:
            raise SettingError(named[0], problem)
    return fields


def change(
    client: redis.Redis,
    number: str,
    fields: Mapping[str, str],
    *,
    by: str,
    where: str = "",
    reason: str = "",
    until_ms: int | None = None,
    now_us: int | None = None,
) -> int:
    """Write what `checked` answered, in one step with its history; return how many settings were changed.

    Holds from the next lease on, in every process; a second run changes nothing. `until_ms`: when a pause ends by
    itself, by the server's clock (milliseconds since 1970).
    """
    names = [keys.settings(number), keys.changes(number)]
    pairs = [part for pair in fields.items() for part in pair]
    until = "" if until_ms is None else until_ms
    args = ["" if now_us is None else now_us, by, where, keys.doorbell(number), reason, until, *pairs]
    return int(scripts.load("scheduler", "change").run(client, names, args))


def set_tps(client: redis.Redis, number: str, tps_milli: int | None, *, by: str, where: str = "") -> None:
    """Set a number's TPS in thousandths, or clear it (None). Holds from the next lease on, in every process."""
    if tps_milli is not None and not 1 <= tps_milli <= MOST_TPS_MILLI:
        raise SettingError("tps", "must be from 0.001 to 10,000,000 a second")
    change(client, number, {"tps_milli": "" if tps_milli is None else str(tps_milli)}, by=by, where=where)


def pause(
    client: redis.Redis, number: str, *, by: str, where: str = "", reason: str = "", until_ms: int | None = None
) -> None:
    """Stop leasing and beginning at once; what has begun finishes. With `until_ms` it goes on by itself then."""
    change(client, number, {"paused": "1"}, by=by, where=where, reason=reason, until_ms=until_ms)


def resume(client: redis.Redis, number: str, *, by: str, where: str = "", reason: str = "") -> None:
    """Let a paused number go on."""
    change(client, number, {"paused": ""}, by=by, where=where, reason=reason)


def unset(client: redis.Redis, number: str, *, by: str, where: str = "") -> int:
    """Clear every live value, a pause too: the environment's hold again. Return how many were set."""
    return change(client, number, {**dict.fromkeys(table.BY_FIELD, ""), "paused": ""}, by=by, where=where)


def declare(number: str, process: str, tps_milli: int, *, told: str = "{}", now_us: int | None = None) -> Call:
    """Build the call by which a process says what TPS its environment gives; it answers the lowest that any says.

    `told`: what else its environment says, for people to compare; see `told_of`.
    """
    time = "" if now_us is None else now_us
    return Call(scripts.load("scheduler", "declare"), [keys.declared(number)], [time, process, tps_milli, told])


def declare_all(rules: Sequence[NumberRules], process: str, *, now_us: int | None = None) -> Call:
    """Build the call by which a process declares many numbers; it answers two for each: the lowest TPS that any says,
    and 1 when somebody says something else, another process or a person, else 0.
    """
    names = [name for one in rules for name in (keys.declared(one.number), keys.settings(one.number))]
    args: list[scripts.Argument] = ["" if now_us is None else now_us, process]
    for one in rules:
        args += one.tps_milli, told_of(one)
    return Call(scripts.load("scheduler", "declare_all"), names, args)


def told_of(rules: NumberRules) -> str:
    """Return what a process declares of its rules besides TPS and shards: texts by field, as in the settings hash."""
    told = {
        "headroom_ppm": str(rules.headroom_ppm),
        "calm_ppm": str(rules.calm_ppm),
        "floor_ppm": str(rules.floor_ppm),
        "in_flight": str(rules.in_flight),
        "guard_us": str(rules.guard_us),
        "counts": ",".join(rules.counts),
        "receipts": table.listed(rules.receipts),
        "event_webhook": "on" if rules.event_webhook else "off",
    }
    if rules.quota is not None:
        told |= {"push_per_minute": str(rules.quota.per_minute), "account": rules.quota.account}
    return json.dumps(told)


def _value(setting: LiveSetting, stored: str, told: Mapping[str, Any]) -> tuple[LiveValue | None, Ignored | None]:
    """Return the value that counts, as `live.lua` decides it, and the one that was passed over for it."""
    good = stored if setting.holds(stored) else str(told.get("value", ""))
    counts = setting.holds(good)
    value = LiveValue(setting, good, _who(told))
    bad = None if counts and good == stored else Ignored(setting.name, stored, value.shown if counts else None)
    return value if counts else None, bad


def _who(told: Mapping[str, Any]) -> Who:
    texts = {name: str(told.get(name, "")) for name in ("by", "from", "at_ms", "reason")}
    return Who(texts["by"], texts["from"], _whole(texts["at_ms"]), texts["reason"])


def _declared(text: str) -> Mapping[str, str]:
    """Read a process's entry: TPS, when it ends, and JSON."""
    told = _set(text.split(" ", 2)[-1])
    return {name: str(value) for name, value in told.items()}


def _set(text: str) -> Mapping[str, Any]:
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def _text(value: bytes | str | None) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""
