"""What follows for a number when its provider says "not so fast", or is away?

It is slowed, or rests, before the rows are settled: else they would be leased again at once.
"""

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
    if not any(outcome.left for outcome in refused):
        _rest(client, rules, refused, pause)
        return
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


def _rest(client: redis.Redis, rules: NumberRules, back: Sequence[Outcome], pause: timedelta) -> None:
    """Let the number wait: nobody refused it, the provider wasn't reached."""
    if not pause:
        return
    number = number_of_unit(rules.number)
    try:
        repeat.until_answered(client, [throttle.rest(number, pause)], patience=PATIENCE)
    except (BrokerUnavailable, redis.RedisError) as problem:
        log.warning(Event.NUMBER_NOT_SLOWED, number=number, problem=str(problem))
        return
    rests_ms = pause // timedelta(milliseconds=1)
    first = back[0]
    log.info(Event.NUMBER_RESTS, number=number, rests_ms=rests_ms, rows=len(back), code=first.code, reason=first.reason)
