"""What becomes of uncertain messages of which nothing comes back?

Each waits for a receipt with our reference as long as its number's policy says. Then its class decides: it is sent
again from the head of its lane, or it is held, and a person decides. A receipt settles either of them at any time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from delivery.policy import Policy
from delivery.retries import MOST_ATTEMPTS
from headway import keys
from runtime import scripts
from runtime.scripts import Call

#: Rows of one unit in one call.
AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Resolved:
    """The ids of messages that are sent again, and of those that are held for a person."""

    resent: tuple[str, ...]
    held: tuple[str, ...]


def overdue(policies: Mapping[str, Policy], *, most: int = AT_ONCE, now_us: int | None = None) -> Call:
    """Build the call that asks, for each unit in order, for which uncertain messages nothing came back in time."""
    names = [name for unit in policies for name in (keys.uncertain(unit), keys.settings(unit))]
    args: list[scripts.Argument] = ["" if now_us is None else now_us, most]
    for policy in policies.values():
        args += _patience(policy)
    return Call(scripts.load("delivery", "overdue"), names, args)


def found(reply: Any) -> list[list[str]]:
    """Read what `overdue` answered: the ids for each unit."""
    return [[_text(message_id) for message_id in ids] for ids in reply]


def resolve(
    unit: str, message_ids: Sequence[str], policy: Policy, *, record_ttl_s: int, now_us: int | None = None
) -> Call:
    """Build the call that does for these messages of a unit what their classes say. Safe to run twice."""
    names = [
        *keys.lanes(unit), keys.kept(unit), keys.uncertain(unit), keys.settings(unit), keys.heads(unit),
        keys.lines(unit), *map(keys.record, message_ids),
    ]  # fmt: skip
    by_step = json.dumps({str(class_.priority): what for class_, what in policy.uncertain.items()})
    retry_ms = policy.retry_for // timedelta(milliseconds=1)
    args: list[scripts.Argument] = [
        "" if now_us is None else now_us, unit, record_ttl_s, *_patience(policy), MOST_ATTEMPTS, retry_ms, by_step,
        keys.doorbell(keys.number_of_unit(unit)), *message_ids,
    ]  # fmt: skip
    return Call(scripts.load("delivery", "resolve"), names, args)


def resolved(message_ids: Sequence[str], reply: Any) -> Resolved:
    """Read what `resolve` answered for these messages."""
    words = [_text(word) for word in reply]
    of = {what: tuple(i for i, word in zip(message_ids, words, strict=True) if word == what) for what in set(words)}
    return Resolved(of.get("resent", ()), of.get("held", ()))


def _patience(policy: Policy) -> tuple[int, str, str]:
    wait_ms = policy.wait // timedelta(milliseconds=1)
    return wait_ms, ",".join(policy.receipts) or "none", "on" if policy.told else "off"


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
