"""What holds a single message back though its class has room: expiry, quiet hours, caps, the loop guard?

Each is a rule of the number, and the lease applies it where it meets the message (`lua/include/holds.lua`). What is
passed on here is nothing at all when none of them is set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from headway.classes import MessageClass
from headway.keys import number_of_unit
from runtime.clock import SystemClock
from runtime.windows import Cap, QuietHours
from scheduler import quiet
from scheduler.rules import NumberRules

_STEPS: Mapping[str, str] = {class_.value: str(class_.priority) for class_ in MessageClass}


def holds(rules: NumberRules, now_us: int | None) -> tuple[str, str]:
    """Return two arguments of the lease: expiry, quiet hours and caps as JSON, and the loop guard as `<most>:<ms>`;
    an empty text for nothing. `now_us`: about when; the server's clock decides in any case.
    """
    guard = f"{rules.loop_guard.most}:{rules.loop_guard.window_ms}" if rules.loop_guard else ""
    if not (rules.expires_ms or rules.quiet or rules.caps):
        return "", guard
    about_us = SystemClock().now_us() if now_us is None else now_us
    said = _said(tuple(rules.expires_ms.items()), tuple(rules.quiet.items()), rules.caps, about_us // quiet.SERVES_US)
    return f'{{"here":"{number_of_unit(rules.number)}",{said}}}', guard


@lru_cache(maxsize=64)
def _said(
    expires: tuple[tuple[str, int], ...],
    hours: tuple[tuple[str, QuietHours], ...],
    caps: tuple[Cap, ...],
    serving: int,
) -> str:
    """Return the members of a JSON object: the same for every number with these settings."""
    said: dict[str, Any] = {}
    if expires:
        said["expires"] = {_STEPS[class_]: lasts_ms for class_, lasts_ms in expires}
    if hours:
        said["quiet"] = {
            _STEPS[class_]: quiet.as_argument(of_class, serving * quiet.SERVES_US) for class_, of_class in hours
        }
    if caps:
        said["caps"] = [_cap(cap) for cap in caps]
        said["longest_ms"] = max(cap.window_ms for cap in caps)
        said["most"] = max(cap.most for cap in caps)
    return json.dumps(said, separators=(",", ":"))[1:-1]


def _cap(cap: Cap) -> dict[str, Any]:
    whom = {"tag": cap.name} if cap.kind == "tag" else {"step": _STEPS[cap.name]}
    return {
        "of": f"{cap.kind}:{cap.name}", "most": cap.most, "window_ms": cap.window_ms, "drop": cap.action == "drop",
        "text": str(cap), **whom,
    }  # fmt: skip
