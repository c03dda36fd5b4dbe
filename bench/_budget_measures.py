"""What did a sender make of a scene: how calm was the container, and how much left?

The figures are `simulator.judge`'s, over all that arrived in the span.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench._budget_conditions import Scene
from simulator.judge import judge
from simulator.timeline import Sender, run


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What is printed of one run.

    Attributes:
        inbound_lost: inbound messages that found the container's queue full.
        behind_max_s, behind_p99_s: work that an arrival found before it, in seconds.
        over_share: share of arrivals, 0 to 1, whose trailing second holds more than TPS events.
        into_full: sends let go into a second known to be full (known: 100 ms before).
        sends: rows that arrived. They leave in a fixed order, so more rows is always more work done.
        weight: what is compared: sends; where some go to groups, the transactions of sends and receipts, since a few
            groups that left just before the end or just after it would decide.
        used: share of TPS that was used, 0 to 1: arrivals that got a turn, over TPS times the time awake.
        requests_most: most requests in any trailing minute.
    """

    inbound_lost: int
    behind_max_s: float
    behind_p99_s: float
    over_share: float
    into_full: int
    sends: int
    weight: int
    used: float
    requests_most: int


def live(scene: Scene, sender: Sender) -> Figures:
    """Let a sender live through a scene, and judge it."""
    container = scene.container()
    requests = run(container, sender, scene.way(), until_us=scene.until_us)
    seen = judge(container.record.events, tps=scene.tps)
    sends = seen.arrived.get("send", 0)
    return Figures(
        inbound_lost=seen.inbound_lost,
        behind_max_s=seen.behind_max_s,
        behind_p99_s=seen.behind_p99_s,
        over_share=seen.over_share,
        into_full=seen.into_full,
        sends=sends,
        weight=sum(seen.arrived.values()) - seen.arrived.get("inbound", 0) if scene.members else sends,
        used=(sum(seen.arrived.values()) - seen.inbound_lost) / (scene.tps * scene.seconds),
        requests_most=_most_in_a_minute(requests),
    )


def _most_in_a_minute(requests: list[int]) -> int:
    most = first = 0
    for index, at_us in enumerate(requests):
        while requests[first] <= at_us - 60_000_000:
            first += 1
        most = max(most, index - first + 1)
    return most


#: Makes the sender for a scene and what its dial says, a share of TPS: Headway's is calm, of the others headroom.
MakeSender = Callable[[Scene, float], Sender]
