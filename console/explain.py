"""Where does each setting come from, and of one number: which limits has it, and which binds now?"""

from __future__ import annotations

from typing import Any

import click

from console import output
from console.door import NumberType, opened, read_settings, require_known
from headway.errors import BrokerUnavailable
from runtime.environment import SettingRow
from runtime.settings import Settings
from runtime.variables import NOT_YET
from scheduler import control, figures, limits
from scheduler.control import Live
from scheduler.live import SETTINGS
from scheduler.rules import NumberRules, rules_of

_LIVE = {setting.variable.full_name: setting.name for setting in SETTINGS}


@click.command(short_help="Show every setting; of a number: every limit, and what binds now.")
@click.argument("number", required=False, type=NumberType())
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs: see above.")
def explain(*, number: str | None, as_json: bool) -> None:
    """Show every setting, its value, and where that came from; secrets are masked.

    With a number: whether each class may leave now, or what it waits for and until when; each limit, its value, what is
    used of it now and where it came from; who changed what.

    A live value (`headway number set`, `headway tps`, `headway pause`) wins over the environment. --json prints
    {"settings": [{"variable", "number", "value", "source"}], "notes": [text]}, and of a number {"number", "now_ms",
    "limits": [{"limit", "value", "unit", "used", "source", "by", "where", "at_ms", "until_ms"}], "classes": [{"unit",
    "class", "waiting", "may_leave", "because", "until_ms"}], "ignored": [{"name", "text", "holds"}], "changes":
    [{"at_ms", "by", "where", "name", "before", "after"}]}.

    \b
    Example:
      headway explain
      headway explain 15555550100
    """
    settings = read_settings()
    if number is None:
        _all(settings, as_json=as_json)
    else:
        _one(settings, number, as_json=as_json)


def rules(settings: Settings, number: str) -> NumberRules:
    """Return the rules that a worker with this environment leases a number by."""
    return rules_of(settings.number(number), lease_ttl_ms=settings.lease_ttl_ms)


def _one(settings: Settings, number: str, *, as_json: bool) -> None:
    from console import paint_limits

    with opened(settings) as door:
        require_known(door, number)
        found = limits.read(door.client, settings, number, rules(settings, number))
    if as_json:
        output.print_json(found.as_json())
    else:
        paint_limits.explanation(output.terminal(), found)


def _all(settings: Settings, *, as_json: bool) -> None:
    from console import paint

    notes = [f"{name} has no effect yet: {_reason(name)}" for name in settings.not_yet]
    notes += [f"{name}: HEADWAY_NUMBERS doesn't name this number" for name in settings.unserved]
    rows = [
        {"variable": row.variable, "number": row.number, "value": row.value, "source": _source(row)}
        for row in settings.describe()
    ]
    try:
        _overlay(rows, settings, notes)
    except BrokerUnavailable as error:
        notes.append(f"live values are not known: {error}")
    if as_json:
        output.print_json({"settings": rows, "notes": notes})
    else:
        paint.settings(output.terminal(), rows, notes)


def _source(row: SettingRow) -> str:
    """Return where a value came from; of one that this version doesn't act on, that."""
    return f"{row.source}, no effect yet" if row.variable in NOT_YET else row.source


def _reason(name: str) -> str:
    return next(why for variable, why in NOT_YET.items() if name == variable or name.startswith(f"{variable}_"))


def _overlay(rows: list[dict[str, Any]], settings: Settings, notes: list[str]) -> None:
    """Put live values over those of the environment."""
    with opened(settings) as door:
        live = {number: control.read(door.client, number) for number in settings.numbers}
    for row in rows:
        if row["number"] and row["variable"] in _LIVE:
            _lay(row, live[row["number"]], settings)
    for number, own in live.items():
        if own.paused_by is not None:
            notes.append(f"{number} is paused: {own.paused_by.by}, {output.moment(own.paused_by.at_ms)}")
        notes += [f"{number}: {output.passed_over(bad)}" for bad in own.ignored]


def _lay(row: dict[str, Any], live: Live, settings: Settings) -> None:
    value = live.values.get(_LIVE[row["variable"]])
    if value is not None:
        row["value"] = value.shown
        row["source"] = f"live: {value.who.by}, {output.moment(value.who.at_ms)}"
    elif row["variable"] == "HEADWAY_TPS":
        tps_milli, tps_from = figures.allowed(live, settings, row["number"])
        if tps_from == "workers":
            row["value"] = str(figures.rate(tps_milli))
            row["source"] = "workers: the lowest TPS that a running one was started with"
