"""How do the scripts learn of receipts, and of which ones to expect?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headway import keys
from runtime import scripts
from runtime.scripts import Call
from scheduler.forecast import KINDS
from scheduler.rules import NumberRules


@dataclass(frozen=True, slots=True)
class Learned:
    """A receipt of a message of ours. `kind`: delivered or read; `delay_us`: since its send began, None: unknown."""

    kind: str
    delay_us: int | None = None
    group: bool = False


def foresight(rules: NumberRules) -> tuple[str, str, str]:
    """Return which receipts single sends bring, which kinds use the allocation, and whether they are told."""
    charged = [kind for kind in KINDS if kind in rules.counts]
    return ",".join(rules.receipts), ",".join(charged), "on" if rules.event_webhook else "off"


def learn(rules: NumberRules, receipts: Sequence[Learned], *, now_us: int | None = None) -> Call:
    """Build the call that teaches the forecast of a unit; it answers how many it took.

    Run twice it learns twice, which moves a share by less than its own spread.
    """
    n = rules.number
    names = [keys.settings(n), keys.declared(n), keys.meter(n), keys.throttle(n), keys.forecast(n)]
    args: list[scripts.Argument] = [
        "" if now_us is None else now_us, rules.tps_milli, rules.guard_us, *foresight(rules),
    ]  # fmt: skip
    for receipt in receipts:
        delay = "" if receipt.delay_us is None else receipt.delay_us
        args += [KINDS.index(receipt.kind) + 1, delay, int(receipt.group)]
    return Call(scripts.load("scheduler", "learn"), names, args)
