"""Did the run keep what Headway promises? Each promise is one line with the figures that decide it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headway import MessageClass
from simulator.verdict import judge_journal

#: What had left its lane when a better row was pushed isn't overtaken any more; nor is order below a machine's jitter.
GRACE_US = 250_000

_RANK = {class_: rank for rank, class_ in enumerate(MessageClass)}


@dataclass(frozen=True, slots=True)
class Pushed:
    """A message of the run. `at_us`: when it was pushed, microseconds since 1970."""

    class_: MessageClass
    at_us: int


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise, and whether it was kept."""

    kept: bool
    says: str


def promises(
    rows: Sequence[Mapping[str, Any]],
    pushed: Mapping[str, Pushed],
    *,
    sent: int,
    tps: float,
    late: Sequence[str],
    overtaken: int,
) -> list[Promise]:
    """Judge the sink's journal.

    `pushed` is by message id; `sent` counts the records that say sent; `late` are the ids of the urgent messages that
    were pushed while `overtaken` bulk messages waited.
    """
    judged = judge_journal(rows, tps=tps)
    arrived = {str(row["reference_number"]): int(row["at_us"]) for row in reversed(rows)}
    wrong = out_of_order(arrived, pushed)
    waits = [(arrived[id] - pushed[id].at_us) / 1e6 for id in late if id in arrived]
    longest = max(waits, default=float("inf"))
    used = f"; TPS used {judged.used_share:.0%}" if judged.used_share else ""
    # A request that the machine holds up for a moment can't be told from one that left too late: one row of tolerance.
    jitter = judged.worst == int(tps) + 1
    return [
        Promise(
            set(arrived) == set(pushed) and judged.duplicates == 0 and sent == len(pushed),
            f"{len(arrived)} of {len(pushed)} messages arrived, {judged.duplicates or 'none'} twice; "
            f"{sent} records say sent",
        ),
        Promise(
            wrong == 0,
            "urgent before high before normal before bulk" + (f", but for {wrong} messages" if wrong else ""),
        ),
        Promise(
            judged.worst <= int(tps) or jitter,
            f"at most {judged.worst} in any second, TPS is {tps:g}{' (one by jitter)' if jitter else ''}{used}",
        ),
        Promise(
            longest <= len(late) / tps + 1,
            f"{len(waits)} urgent ones overtook {overtaken} bulk ones: there in {longest:.1f} s, "
            f"not {overtaken / tps:.1f} s",
        ),
    ]


def out_of_order(arrived: Mapping[str, int], pushed: Mapping[str, Pushed]) -> int:
    """Count the messages that arrived although a better one had been waiting, and went on waiting."""
    known = [(at_us, pushed[id]) for id, at_us in arrived.items() if id in pushed]
    return sum(
        any(
            _RANK[better.class_] < _RANK[message.class_]
            and better.at_us + GRACE_US <= at_us
            and better_at_us > at_us + GRACE_US
            for better_at_us, better in known
        )
        for at_us, message in known
    )
