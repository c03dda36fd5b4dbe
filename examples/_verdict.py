"""Did the run keep what Headway promises, and what would a plain limiter have done in the same minute?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.table import Table

from examples._moment import SECOND_US, Moment, quantile
from simulator.judge import NumberVerdict

#: The container must never be further behind, in seconds of its work.
MOST_BEHIND_S: Final = 1.5
#: With delays of this process above this, what was measured is the machine.
MOST_DELAY_S: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the run measured.

    Attributes:
        verdict: the simulator's, as JSON, up to the end of the minute.
        by_floor: sends that the floor let go, whatever window and debt said.
        webhooks_failed: webhooks that the gateway didn't take.
        missing: accepted messages that neither arrived nor wait: lost.
        doubled: accepted messages that arrived twice.
        waits_us: how long each urgent message waited that arrived, from the answer to its push, shortest first.
        urgent: how many urgent messages were pushed.
        delays_s: by how much this process's own timer was late, each time.
        answers_s: how long the simulator took to say how it is, each time.
    """

    verdict: Mapping[str, Any]
    by_floor: int
    webhooks_failed: int
    missing: int
    doubled: int
    waits_us: Sequence[int]
    urgent: int
    delays_s: Sequence[float]
    answers_s: Sequence[float]

    @property
    def unsound(self) -> str:
        """Why the figures say more of the machine than of Headway; empty: they don't."""
        delay, answer = quantile(sorted(self.delays_s), 0.99), quantile(sorted(self.answers_s), 0.99)
        if max(delay, answer) <= MOST_DELAY_S:
            return ""
        return (
            f"The machine was too busy for a sound measurement: this process was up to {delay * 1000:.0f} ms late, the "
            f"simulator took up to {answer * 1000:.0f} ms to answer (99 of 100); figures of time count for nothing."
        )

    def broken(self) -> list[str]:
        """Return the promises that were broken; those of time only when the measurement was sound."""
        verdict = self.verdict
        found = []
        if not verdict["arrived"].get("send"):
            found.append("no message arrived at the number")
        if self.missing:
            found.append(f"{self.missing} accepted messages were lost")
        if self.doubled or verdict["duplicates"]:
            found.append(f"{max(self.doubled, verdict['duplicates'])} messages arrived twice")
        if self.webhooks_failed:
            found.append(f"{self.webhooks_failed} webhooks were not taken")
        if self.unsound:
            return found
        if verdict["inbound_lost"]:
            found.append(f"{verdict['inbound_lost']} inbound messages were lost")
        if verdict["behind_max_s"] > MOST_BEHIND_S:
            found.append(f"the container was {verdict['behind_max_s']:.2f} s behind, more than {MOST_BEHIND_S:g} s")
        return found


def account(moment: Moment, accepted: Collection[str], *, kept: int) -> tuple[int, int]:
    """Return how many accepted messages are lost, and how many arrived twice.

    `kept` is how many the gateway still knows as waiting, parked or given up, when nothing leaves any more.
    """
    doubled = sum(moment.arrived[id] > 1 for id in accepted)
    not_there = sum(id not in moment.arrived for id in accepted)
    return max(0, not_there - kept), doubled


def table(measured: Measured, plain: NumberVerdict, *, seconds: int) -> Table:
    """Return both verdicts side by side."""
    ours, other = measured.verdict, asdict(plain)
    grid = Table(box=None, padding=(0, 3, 0, 0), header_style="bold")
    grid.add_column(f"the verdict on {seconds} s")
    grid.add_column("Headway", justify="right")
    grid.add_column("plain limiter*", justify="right", style="dim")
    for name, told in _ROWS.items():
        grid.add_row(name, told(ours), told(other))
    waits = [quantile(measured.waits_us, share) / SECOND_US for share in (0.5, 0.99)]
    grid.add_row("urgent wait, p50 and p99", f"{waits[0]:.2f} and {waits[1]:.2f} s", "no classes")
    grid.add_row("urgent messages there", f"{len(measured.waits_us)} of {measured.urgent}", "")
    grid.add_row("sends that the floor let go", str(measured.by_floor), "")
    grid.add_row("accepted messages lost", str(measured.missing), "")
    return grid


def told(measured: Measured, plain: NumberVerdict) -> dict[str, Any]:
    """Return both verdicts as JSON for programs."""
    return {
        "headway": dict(measured.verdict),
        "plain_limiter": asdict(plain),
        "urgent_wait_s": [quantile(measured.waits_us, share) / SECOND_US for share in (0.5, 0.99)],
        "urgent_there": len(measured.waits_us),
        "urgent": measured.urgent,
        "by_floor": measured.by_floor,
        "missing": measured.missing,
        "doubled": measured.doubled,
        "unsound": measured.unsound,
        "broken": measured.broken(),
    }


def _possible(verdict: Mapping[str, Any]) -> str:
    share = verdict["possible"]["share"]
    return "not known" if share is None else f"{share:.0%}"


_ROWS: Final = {
    "inbound messages lost": lambda v: f"{v['inbound_lost']} of {v['arrived'].get('inbound', 0)}",
    "container behind, at most": lambda v: f"{v['behind_max_s']:.2f} s",
    "container behind, p99": lambda v: f"{v['behind_p99_s']:.2f} s",
    "trailing seconds over TPS": lambda v: f"{v['over_share']:.0%}",
    "messages sent twice": lambda v: str(v["duplicates"]),
    "sends let go into a full second": lambda v: str(v["into_full"]),
    "sends, of the possible ones": _possible,
}
