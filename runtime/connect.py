"""How does a process talk to the server, and is that server fit to keep messages?

redis-py's defaults would send a timed-out script again behind our back; here each call is sent once, and what to repeat
is decided by who knows the script.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import redis
import tenacity
from redis import asyncio as redis_asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel

from headway.errors import BrokerUnavailable, ServerError
from runtime.address import Address, parse
from runtime.telemetry import Event, get_logger

_log = get_logger("runtime")

#: Long enough for any script of ours (all are bounded), short enough to notice a dead host before a lease runs out.
_SOCKET_TIMEOUT_S: Final = 5.0
_HEALTH_CHECK_S: Final = 30
_OLDEST: Final = 7  # Redis 7 and Valkey 7.2: scripts that replicate by effect, AOF in parts
#: redis-py leaves this class without annotations.
_SENTINEL: Final[Any] = Sentinel
_ASYNC_SENTINEL: Final[Any] = AsyncSentinel
_NOT_IN_A_NAME: Final = re.compile(r"[^!-~]")


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says of itself."""

    engine: str
    #: As written by the server: `7.0.15`.
    version: str
    #: What should be set up better; empty is well.
    risks: tuple[str, ...]


def connect(url: str, *, name: str, blocking: bool = False, patience: timedelta | None = None) -> redis.Redis:
    """Return a client for a server or a Sentinel group, TLS or not; nothing is connected before its first call.

    `name` is shown by CLIENT LIST. A `blocking` client waits without end for an answer (BLPOP, pub/sub); any other
    gives up after `patience`, or 5 s. No call is ever sent twice. Raises ValueError when the URL can't be read.
    """
    client: redis.Redis = _connect(
        url, name=name, blocking=blocking, patience=patience, client=redis.Redis, group=_SENTINEL
    )
    return client


def connect_async(url: str, *, name: str, patience: timedelta | None = None) -> redis_asyncio.Redis:
    """Return the same for an event loop: bounded waits, no call is ever sent twice."""
    client: redis_asyncio.Redis = _connect(
        url, name=name, blocking=False, patience=patience, client=redis_asyncio.Redis, group=_ASYNC_SENTINEL
    )
    return client


def _connect(url: str, *, name: str, blocking: bool, patience: timedelta | None, client: Any, group: Any) -> Any:
    address = parse(url)
    patience_s = _SOCKET_TIMEOUT_S if patience is None else patience.total_seconds()
    options = _options(address, name=name, blocking=blocking, patience_s=patience_s)
    if client is redis_asyncio.Redis:
        options["retry"] = AsyncRetry(NoBackoff(), 0)
    tls: dict[str, Any] = {"ssl": True, **dict(address.ssl)} if address.has_tls else {}
    if address.is_sentinels:
        asking = {key: options[key] for key in ("protocol", "retry", "socket_connect_timeout", "socket_keepalive")}
        asking |= {**tls, "socket_timeout": patience_s}
        return group(list(address.hosts), sentinel_kwargs=asking).master_for(address.master_name, **tls, **options)
    host, port = address.hosts[0]
    return client(host=host, port=port, **tls, **options)


def check_server(client: redis.Redis) -> ServerFacts:
    """Return what the server says of itself. Risks are logged; each names what to change.

    Raises ServerError for what would lose messages or can't work at all (too old, evicting, a replica, Redis Cluster),
    and redis-py's own errors when the server doesn't answer.
    """
    info: dict[str, Any] = client.info("server", "memory", "persistence", "replication")
    engine = str(info.get("server_name", "redis"))
    version = str(info.get(f"{engine}_version", info.get("redis_version", "0")))
    if int(version.split(".", maxsplit=1)[0]) < _OLDEST:
        raise ServerError(f"the server is {engine} {version}: Headway needs Redis 7 or Valkey 7.2, or newer")
    mode = info.get("redis_mode", info.get("server_mode"))
    if mode == "cluster":
        raise ServerError("the server is part of a Redis Cluster, which Celery can't use: give a single server")
    if info.get("role") == "slave":
        raise ServerError("the server is a replica and takes no writes: give the primary, or the Sentinels")
    risks = tuple(risk for risk in (_eviction(client, info), _persistence(info)) if risk)
    for risk in risks:
        _log.warning(Event.SERVER_RISKY, problem=risk)
    return ServerFacts(engine=engine, version=version, risks=risks)


def wait_for_server(client: redis.Redis, *, shown: str, patience: timedelta) -> None:
    """Return as soon as the server answers; each wait is logged. `shown` is the address for people (`Address.shown`).

    Raises BrokerUnavailable when `patience` is over, and ServerError at once when the server refuses the password.
    """

    def away(state: tenacity.RetryCallState) -> None:
        problem = state.outcome.exception() if state.outcome else None
        _log.warning(Event.BROKER_AWAY, url=shown, attempt=state.attempt_number, problem=str(problem))

    waiting = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((redis.ConnectionError, redis.TimeoutError)),
        wait=tenacity.wait_exponential(multiplier=0.1, max=2),
        stop=tenacity.stop_after_delay(patience),
        before_sleep=away,
        reraise=True,
    )
    try:
        waiting(_ping, client)
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise BrokerUnavailable(
            f"the server at {shown} doesn't answer ({error}): start it, or correct the URL"
        ) from error
    if waiting.statistics.get("attempt_number", 1) > 1:
        _log.info(Event.BROKER_BACK, url=shown, attempts=waiting.statistics["attempt_number"])


def _ping(client: redis.Redis) -> None:
    try:
        client.ping()
    except (redis.AuthenticationError, redis.exceptions.AuthorizationError, ResponseError) as error:
        # NOAUTH, WRONGPASS, NOPERM: waiting helps nobody. redis-py counts the first as a lost connection.
        raise ServerError(f"the server refuses us ({error}): correct user and password in the URL") from error


def _options(address: Address, *, name: str, blocking: bool, patience_s: float) -> dict[str, Any]:
    return {
        "db": address.db,
        "username": address.username or None,
        "password": address.password.reveal() or None,
        "client_name": _NOT_IN_A_NAME.sub("-", name),  # the server refuses spaces and what isn't ASCII
        "decode_responses": False,  # envelopes are bytes
        # RESP3 brings nothing to our scripts, and its push messages make redis-py skip the look for a closed socket.
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None if blocking else patience_s,
        "socket_connect_timeout": patience_s,
        "socket_keepalive": True,
        "health_check_interval": _HEALTH_CHECK_S,
    }


def _eviction(client: redis.Redis, info: dict[str, Any]) -> str:
    policy = info.get("maxmemory_policy")
    if policy is None:
        try:
            policy = client.config_get("maxmemory-policy").get("maxmemory-policy")
        except ResponseError:  # a managed server that forbids CONFIG
            policy = None
    if isinstance(policy, bytes):
        policy = policy.decode()
    if policy is None:
        return "the server doesn't say its maxmemory-policy: make sure that it is noeviction"
    if policy != "noeviction":
        raise ServerError(
            f"the server's maxmemory-policy is {policy}: when memory is short it would throw messages away. "
            "Set `maxmemory-policy noeviction`"
        )
    return ""


def _persistence(info: dict[str, Any]) -> str:
    if info.get("aof_enabled") == 1:
        return ""
    return "the server's append-only file is off: a crash loses messages. Set `appendonly yes`, `appendfsync everysec`"
