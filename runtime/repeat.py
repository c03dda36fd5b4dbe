"""How is a script call repeated while the server is away? Only for scripts that are safe to run twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import redis
import tenacity

from headway.errors import BrokerUnavailable
from runtime.scripts import Call, run_all
from runtime.telemetry import Event, get_logger

#: The server's own way to say "not now": it starts up, was demoted, is full, or can't write its files.
NOT_NOW = ("LOADING", "READONLY", "OOM", "MISCONF", "MASTERDOWN", "NOREPLICAS", "BUSY", "TRYAGAIN", "CLUSTERDOWN")

_log = get_logger("runtime")


def not_now(error: BaseException) -> bool:
    """Tell whether a later try may succeed."""
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return not isinstance(error, redis.AuthenticationError)
    return isinstance(error, redis.ResponseError) and _says_not_now(error)


def until_answered(
    client: redis.Redis, calls: Sequence[Call], *, patience: timedelta, hurry: Callable[[], bool] = lambda: False
) -> list[Any]:
    """Run calls in one round trip and again until every one is answered; each wait is logged.

    Once `hurry` says so, the try under way is the last one. Raises BrokerUnavailable when patience ends, and
    redis.ResponseError for what no later try would mend.
    """
    try:
        return _once(client, calls)
    except redis.RedisError as error:
        over = tenacity.stop_after_delay(patience)
        return _patiently(client, calls, lambda state: hurry() or over(state), error)


def _patiently(
    client: redis.Redis,
    calls: Sequence[Call],
    stop: Callable[[tenacity.RetryCallState], bool],
    first: redis.RedisError,
) -> list[Any]:
    """Go on after the first answer, or its lack. All is well nearly always, and then no wait need be planned."""
    failed = [first]

    def attempt() -> list[Any]:
        if failed:
            raise failed.pop()
        return _once(client, calls)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(not_now),
        wait=tenacity.wait_random_exponential(multiplier=0.05, max=2),
        stop=stop,
        before_sleep=_say,
        reraise=True,
    )
    try:
        replies: list[Any] = retrying(attempt)
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise BrokerUnavailable(f"the server doesn't answer ({error}), and patience is over") from error
    if retrying.statistics.get("attempt_number", 1) > 1:
        _log.info(Event.BROKER_BACK, attempts=retrying.statistics["attempt_number"])
    return replies


def _once(client: redis.Redis, calls: Sequence[Call]) -> list[Any]:
    replies = run_all(client, calls)
    for reply in replies:
        if isinstance(reply, Exception):
            if isinstance(reply, redis.ReadOnlyError):
                client.connection_pool.disconnect()  # a demoted primary: ask Sentinel, or the address, anew
            raise reply
    return replies


def _says_not_now(error: redis.ResponseError) -> bool:
    text = str(error)
    return isinstance(error, redis.ReadOnlyError | redis.OutOfMemoryError) or any(word in text for word in NOT_NOW)


def _say(state: tenacity.RetryCallState) -> None:
    problem = state.outcome.exception() if state.outcome else None
    _log.warning(Event.BROKER_AWAY, attempt=state.attempt_number, problem=str(problem))
