"""What does a lease look like on its way into the pool?

One fetch may lease for many numbers; all of it travels as one ordinary Celery message, a parcel, for the task
`worker.deliver`. The rows travel in a header: `celery inspect` shows arguments, and those say only how many rows for
which number, no texts and no recipients.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scheduler.decisions import LeasedRow

#: The task's name, and the header that its rows travel in.
TASK = "worker.deliver"
HEADER = "headway_leases"

#: How a parcel's delivery tag begins; every other tag is a message of somebody else.
TAG = "headway-parcel-"


@dataclass(frozen=True, slots=True)
class Leased:
    """A lease as the pool gets it. `number`: the unit that it is of, a shard where the number has several."""

    number: str
    lease_id: str
    holder: str
    rows: tuple[LeasedRow, ...]


class Load:
    """The leases of a parcel: to a thread of this process the very objects, to a forked child plain tuples.

    They never go through JSON: kombu hands the header on as it is, and only a fork has it pickled.
    """

    __slots__ = ("leases",)

    def __init__(self, leases: Sequence[Leased]) -> None:
        self.leases = leases

    def __reduce__(self) -> tuple[Any, ...]:
        plain = [
            (o.number, o.lease_id, o.holder, [(r.id, r.step, r.verdict, r.body) for r in o.rows]) for o in self.leases
        ]
        return _load, (plain,)


def pack(tag: str, queue: str, leases: Sequence[Leased]) -> dict[str, Any]:
    """Return the message as kombu's virtual transports hand it on."""
    rows = {lease.number: len(lease.rows) for lease in leases}
    return {
        "body": json.dumps([[], {"rows": rows}, {}]),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py", "task": TASK, "id": tag, "root_id": tag, "parent_id": None, "group": None, "retries": 0,
            "eta": None, "expires": None, "timelimit": [None, None], "ignore_result": True,
            "argsrepr": "()", "kwargsrepr": repr({"rows": rows}), HEADER: Load(leases),
        },
        "properties": {
            "correlation_id": tag, "delivery_tag": tag, "delivery_mode": 2, "priority": 0, "body_encoding": "utf-8",
            "delivery_info": {"exchange": "", "routing_key": queue},
        },
    }  # fmt: skip


def unpack(load: Load) -> Sequence[Leased]:
    """Read the leases of a parcel from its header."""
    return load.leases


def _load(plain: Sequence[tuple[str, str, str, Sequence[tuple[Any, ...]]]]) -> Load:
    return Load(
        [
            Leased(number, lease_id, holder, tuple(LeasedRow(*row) for row in rows))
            for number, lease_id, holder, rows in plain
        ]
    )
