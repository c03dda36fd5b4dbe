"""Which limits does a number have: the value of each, where it comes from, and what is used of it now?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import redis

from headway.errors import ServerError
from runtime import variables as v
from runtime.scripts import run_all
from runtime.settings import NumberSettings, Settings
from scheduler import control, explain, figures, shards
from scheduler import live as table
from scheduler.control import Ignored, Live
from scheduler.explain import Standing
from scheduler.history import Change, history
from scheduler.rules import NumberRules

US = 1_000_000

#: Numbers that a worker declares besides its TPS.
_SAID = ("headroom_ppm", "calm_ppm", "floor_ppm", "in_flight", "guard_us", "push_per_minute")

Scalar = int | float | str | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit. `used` is in the limit's own unit, of the unit (shard) that is nearest to it; None: nothing to say.

    `source`: `live` (then `by`, `where`, `at_ms` say who set it), `workers` (what running processes were started with;
    of TPS the lowest), `workers differ`, `default`, `HEADWAY_X`, `HEADWAY_X_<number>`, `provider`, or the names of the
    limits it follows from.
    """

    limit: str
    value: Scalar
    unit: str = ""
    used: int | float | None = None
    source: str = ""
    by: str = ""
    where: str = ""
    at_ms: int = 0
    #: Until when it holds as it does, where it is for a while; 0: for good.
    until_ms: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints: keys in their order, without what is not known."""
        told = asdict(self)
        if self.used is None:
            del told["used"]
        always = {"limit", "value", "used", "source"}
        return {name: value for name, value in told.items() if name in always or value not in {"", 0}}


@dataclass(frozen=True, slots=True)
class Explanation:
    """A number at one moment: its limits, and for each of its units what binds each class."""

    number: str
    now_us: int
    limits: tuple[Limit, ...]
    #: The number itself, or each of its shards.
    units: tuple[tuple[str, Standing], ...]
    changes: tuple[Change, ...]
    ignored: tuple[Ignored, ...]

    def as_json(self) -> dict[str, Any]:
        """Return what `headway explain <number> --json` prints, keys in their documented order."""
        return {
            "number": self.number,
            "now_ms": self.now_us // 1000,
            "limits": [limit.as_json() for limit in self.limits],
            "classes": [room for unit, standing in self.units for room in _rooms(unit, standing)],
            "ignored": [asdict(one) for one in self.ignored],
            "changes": [change.as_json() for change in self.changes],
        }


def read(
    client: redis.Redis, settings: Settings, number: str, rules: NumberRules, *, now_us: int | None = None
) -> Explanation:
    """Explain a number under the rules that its workers lease by. Raises ServerError when a script can't run."""
    live = control.read(client, number)
    rules = _as_workers(rules, live)
    units = shards.read(client, number).units(number)
    replies = run_all(client, [explain.ask(shards.rules_of_unit(rules, unit), now_us=now_us) for unit in units])
    found = []
    for unit, reply in zip(units, replies, strict=True):
        if isinstance(reply, Exception):
            raise ServerError(f"the server can't explain {unit} ({reply}): try again")
        found.append((unit, explain.standing(reply)))
    standings = [standing for _, standing in found]
    return Explanation(
        number=number,
        now_us=standings[0].now_us,
        limits=tuple(_limits(live, settings, number, standings)),
        units=tuple(found),
        changes=tuple(history(client, number)),
        ignored=live.ignored,
    )


def _as_workers(rules: NumberRules, live: Live) -> NumberRules:
    """Return the rules by which running workers lease: this process's environment may be another."""
    said = {name: values[0] for name in ("account", *_SAID) if (values := live.said(name))}
    quota = rules.quota
    if quota is not None:
        account = said.get("account", quota.account)
        quota = replace(quota, account=account, per_minute=int(said.get("push_per_minute", quota.per_minute)))
    numbers: dict[str, Any] = {name: int(said[name]) for name in _SAID if name in said and name != "push_per_minute"}
    return replace(rules, quota=quota, **numbers)


def _limits(live: Live, settings: Settings, number: str, standings: Sequence[Standing]) -> Iterator[Limit]:
    own = settings.number(number)
    tps_milli, tps_from = figures.allowed(live, settings, number)
    of = _Sources(live, settings, number)
    most = _Most(standings)
    first = standings[0].facts
    throttled = first["tps_milli"] < first["allowed_milli"]
    yield of.limit("pause", live.paused, source="live" if live.paused else "")
    yield of.limit("tps", figures.rate(tps_milli), "events a second", source=tps_from)
    yield Limit(
        limit="throttle",
        value=figures.rate(first["tps_milli"]) if throttled else None,
        unit="events a second",
        source="provider" if throttled or first["rests_until"] else "",
        until_ms=first["rests_until"] // 1000,
    )
    window = f"events in {first['window_us'] / US:g} s"
    yield Limit(limit="window", value=first["events"], unit=window, used=most("spent"), source="tps, guard")
    yield of.setting("headroom", own.headroom_ppm, "of the TPS", used=round(most("reserve") / first["events"], 6))
    yield of.setting("calm", own.calm_ppm, "of the TPS", used=most("calm_ppm") / US)
    yield of.setting("floor", own.floor_ppm, "of the TPS")
    behind = most("behind") / US
    yield Limit(limit="debt", value=first["events"], unit="events behind", used=round(behind, 3), source="tps")
    if all("foreseen_ms" in standing.facts for standing in standings):
        foreseen, calm = most("foreseen_ms") / 1000, first["calm_ms"] / 1000
        yield Limit(limit="forecast", value=calm, unit="s behind, foreseen", used=foreseen, source="receipts to come")
    pace = standings[0].rooms[-1].interval_us / 1000
    yield Limit(limit="pace", value=round(pace, 1), unit="ms from row to row", source="tps, calm")
    if "quota" in first:
        yield of.setting("push_per_minute", own.push_per_minute, "requests a minute", used=most("requests"))
    yield of.setting(
        "in_flight", own.in_flight, "requests at a time", used=sum(one.facts["leases"] for one in standings)
    )
    yield of.setting("guard", own.guard_us, "s")
    yield from _facts(of, own)


def _facts(of: _Sources, own: NumberSettings) -> Iterator[Limit]:
    """Say what is charged and expected: no bounds themselves, but bounds follow from them."""
    counts, counts_from = of.environment(v.COUNTS, "counts", ",".join(own.counts))
    yield Limit(limit="counts", value=counts, source=counts_from)
    yield of.setting("receipts", table.listed(own.receipts))
    yield of.setting("event_webhook", "on" if own.event_webhook else "off")
    yield Limit(limit="shards", value=own.shards, source=of.of(v.SHARDS))


class _Most:
    """The highest of a figure over all units."""

    def __init__(self, standings: Sequence[Standing]) -> None:
        self._standings = standings

    def __call__(self, fact: str) -> int:
        return max(standing.facts[fact] for standing in self._standings)


class _Sources:
    """Says of each value whether it is live, and who set it then, or where it comes from."""

    def __init__(self, live: Live, settings: Settings, number: str) -> None:
        self._live, self._settings, self._number = live, settings, number

    def of(self, variable: v.Variable[Any]) -> str:
        return self._settings.source(variable, self._number)

    def setting(self, name: str, stored: int | str, unit: str = "", *, used: float | None = None) -> Limit:
        """Return a limit that a person may change: what holds now."""
        found = table.BY_NAME[name]
        live = self._live.values.get(name)
        if live:
            return self.limit(name, _scalar(live.shown), unit, used=used, source="live")
        text, source = self.environment(found.variable, found.field, found.show(str(stored)), show=found.show)
        return self.limit(name, _scalar(text), unit, used=used, source=source)

    def environment(
        self, variable: v.Variable[Any], name: str, ours: str, *, show: Callable[[str], str] = str
    ) -> tuple[str, str]:
        """Return a value and where it comes from: running workers hold what they were started with."""
        said = [show(text) for text in self._live.said(name)]
        if said and said != [ours]:
            return " or ".join(said), "workers" if len(said) == 1 else "workers differ"
        return ours, self.of(variable)

    def limit(self, name: str, value: Scalar, unit: str = "", *, used: float | None = None, source: str) -> Limit:
        """Return a limit with who set it, if somebody did."""
        live = self._live.values.get(name)
        who = (live.who if live else self._live.paused_by if name == "pause" else None) or control.Who()
        return Limit(
            limit=name, value=value, unit=unit, used=used, source=source, by=who.by, where=who.where, at_ms=who.at_ms
        )


def _scalar(text: str) -> Scalar:
    """Return a number where the text is one."""
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        return text


def _rooms(unit: str, standing: Standing) -> Iterator[dict[str, Any]]:
    for room in standing.rooms:
        yield {
            "unit": unit,
            "class": room.class_.value,
            "waiting": room.waiting,
            "may_leave": room.may_leave,
            "because": room.because or None,
            "until_ms": -(-room.until_us // 1000) or None,
        }
