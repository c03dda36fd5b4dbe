"""What follows for a number when its provider says "not so fast"? It is slowed before the rows are settled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import redis

from headway.errors import BrokerUnavailable
from headway.keys import number_of_unit
from providers.outcomes import Outcome
from runtime import repeat
from runtime.telemetry import Event, get_logger
from scheduler import throttle
from scheduler.rules import NumberRules
from worker.parcel import Leased

#: How long to try to slow a number while the server is away; until it is back nothing is leased anyway.
PATIENCE = timedelta(seconds=5)

log = get_logger("worker")


def brake(client: redis.Redis, rules: NumberRules, lease: Leased, outcomes: Sequence[Outcome]) -> None:
    """Slow the number if the provider throttled this lease's request, for as long as it asked for."""
    refused = [outcome for outcome in outcomes if outcome.throttled]
    if not refused:
        return
    pause = timedelta(milliseconds=max(outcome.retry_after_ms for outcome in refused))
    call = throttle.slow(rules, lease.lease_id, refused=len(refused), pause=pause)
    try:
        (reply,) = repeat.until_answered(client, [call], patience=PATIENCE)
    except (BrokerUnavailable, redis.RedisError) as problem:
        log.warning(Event.NUMBER_NOT_SLOWED, number=number_of_unit(lease.number), problem=str(problem))
        return
    done = throttle.slowed(reply)
    say = log.warning if done.cut or pause else log.debug
    say(
        Event.NUMBER_SLOWED,
        number=number_of_unit(lease.number),
        tps_milli=done.tps_milli,
        rests_ms=done.rests_us // 1000,
        rows=len(refused),
        code=refused[0].code,
        reason=refused[0].reason,
    )
