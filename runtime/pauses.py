"""How does a process avoid the pauses of Python's cycle collector?

A full collection looks through everything that was imported, for 50 to 100 ms: in a worker those are messages that have
begun and leave late, in the gateway it is the slowest webhook.
"""

from __future__ import annotations

import gc

#: Objects made before Python looks for cycles among the new ones. Requests and parcels leave none, so looking is for
#: nothing: with Python's own figure, 700, it cost a quarter of a webhook and its slowest answers.
CYCLES_AFTER = 20_000


def avoid() -> None:
    """Call it when a process has started: what stands now stays to its end, and is never looked through again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(CYCLES_AFTER, 20, 50)
