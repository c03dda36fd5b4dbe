"""Whom does chaos kill next, and how long until then? The same seed chooses the same kills."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

#: `child`: a child of a pool; `main`: a worker's main process alone, its pool lives on; `group`: a worker and its pool
#: at one blow; `gateway`; `stop` and `crash`: the server ends by SIGTERM, by SIGKILL, and comes back with its data.
What = Literal["child", "main", "group", "gateway", "stop", "crash"]

#: How the kills of workers are shared out.
WORKERS: Sequence[tuple[What, float]] = (("child", 0.55), ("main", 0.10), ("group", 0.35))

#: Of so many kills of workers one more is a gateway's, and one more is the server's end.
TO_A_GATEWAY, TO_A_SERVER = 20, 50


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill. `pick`: from 0 to 1, which of those that are there; `after_s`: how long after the one before."""

    what: What
    pick: float
    after_s: float


def plan(kills: int, *, every_s: float, seed: int) -> list[Kill]:
    """Return so many kills of workers, in random order with those of gateways and server between them."""
    chance = random.Random(seed)
    whats: list[What] = chance.choices([what for what, _ in WORKERS], [share for _, share in WORKERS], k=kills)
    whats += ["gateway"] * (kills // TO_A_GATEWAY)
    whats += [("stop", "crash")[turn % 2] for turn in range(kills // TO_A_SERVER)]
    chance.shuffle(whats)
    return [Kill(what, chance.random(), chance.uniform(0.2, 1.8) * every_s) for what in whats]
