"""How does a lease end?

Settle records what became of its rows, refunds what never left, and lets the lease go with its last row. When nobody
will settle it (its holder is lost, or gives it up), `end` hands back what had not begun and calls the rest uncertain.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

import redis

from delivery.retries import MOST_ATTEMPTS, RETRY_FOR
from delivery.states import SETTLED, State, may_come_from
from headway import keys
from runtime import scripts
from runtime.scripts import Call

#: For each state that settle knows, the states of a row from which a late settle may still reach it.
_FROM = json.dumps(
    {state: dict.fromkeys(sorted(may_come_from(state) & {State.UNCERTAIN}), True) for state in sorted(SETTLED)}
)


#: Longest text that a record keeps of a provider's own words.
REASON_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of one row. `left`: its request left, so it used TPS and was an attempt; else its charge is refunded.

    `retry_ms` goes with `deferred` alone: the pause before the next try, doubled with each attempt that was made; the
    script reads attempts and the time from the server, and calls a message dead after MOST_ATTEMPTS, or when it was
    tried for too long. Empty texts are not recorded.
    """

    message_id: str
    state: State
    left: bool = True
    retry_ms: int | None = None
    provider_id: str = ""
    push_id: str = ""
    code: str = ""
    reason: str = ""

    def arguments(self) -> tuple[scripts.Argument, ...]:
        """Return the script's arguments for this row."""
        texts = (self.provider_id, self.push_id, self.code, self.reason[:REASON_CHARACTERS])
        return self.message_id, self.state.value, int(self.left), self.retry_ms or 0, *map(storable, texts)


class Ending(StrEnum):
    """When `end` may end a lease."""

    #: Only past its deadline: its holder is lost.
    EXPIRED = "expired"
    #: Only if it had not begun: its holder hands it back.
    UNBEGUN = "unbegun"
    #: In any case: whoever worked on it is gone.
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Ended:
    """What `end` did: `gone` (no such lease), `held` (not so), `returned` or `uncertain`, and of how many rows."""

    what: str
    rows: int = field(default=0)


def settle(
    number: str,
    lease_id: str,
    rows: Sequence[Settlement],
    *,
    record_ttl_s: int,
    retry_for: timedelta = RETRY_FOR,
    now_us: int | None = None,
) -> Call:
    """Build the call that settles rows of a lease: each is settled once, whoever asks again; late settles are taken.

    `retry_for`: a message that is still tried so long after its first try is dead.
    """
    names = [
        *keys.lanes(number), keys.meter(number), keys.window(number), keys.leases(number), keys.deadlines(number),
        keys.leased(number), keys.kept(number), keys.deferred(number), keys.uncertain(number), keys.dead(number),
        keys.cancelled(number), keys.heads(number), keys.lines(number),
        *(keys.record(row.message_id) for row in rows),
        *(keys.sent(number, storable(row.provider_id)) for row in rows if row.provider_id),
    ]  # fmt: skip
    time = "" if now_us is None else now_us
    args: list[scripts.Argument] = [time, lease_id, number, record_ttl_s, _FROM, MOST_ATTEMPTS]
    args += [retry_for // timedelta(milliseconds=1), keys.doorbell(keys.number_of_unit(number))]
    for row in rows:
        args += row.arguments()
    return Call(scripts.load("delivery", "settle"), names, args)


def storable(text: str) -> str:
    """Return a stranger's text as a server takes it: their JSON may hold half a surrogate pair, which is no reason to
    fail.
    """
    return text if text.isascii() else text.encode(errors="replace").decode()


def end(
    number: str,
    lease_id: str,
    message_ids: Sequence[str],
    *,
    when: Ending,
    why: str,
    record_ttl_s: int,
    now_us: int | None = None,
) -> Call:
    """Build the call that ends a lease which nobody will settle: rows not begun go back, begun ones are uncertain."""
    names = [
        *keys.lanes(number), keys.meter(number), keys.window(number), keys.leases(number), keys.deadlines(number),
        keys.leased(number), keys.kept(number), keys.uncertain(number), keys.cancelled(number),
        keys.heads(number), keys.lines(number), *(keys.record(row) for row in message_ids),
    ]  # fmt: skip
    time = "" if now_us is None else now_us
    bell = keys.doorbell(keys.number_of_unit(number))
    args = [time, lease_id, number, record_ttl_s, when.value, why[:REASON_CHARACTERS], bell, *message_ids]
    return Call(scripts.load("delivery", "end_lease"), names, args)


def ended(reply: Any) -> Ended:
    """Read what `end` answered."""
    what = reply[0].decode() if isinstance(reply[0], bytes) else str(reply[0])
    return Ended(what, int(reply[1]) if len(reply) > 1 else 0)


def rows_of(client: redis.Redis, number: str, lease_id: str) -> list[str] | None:
    """Return the ids of the rows that a lease holds, or None when it has ended."""
    found: Any = client.hget(keys.leases(number), lease_id)
    return None if found is None else [row[0] for row in json.loads(found)["rows"]]
