"""Did the request leave, and what came back?

The line between *certainly not sent* and *maybe sent* is drawn here, once for all providers: the body tells us when
aiohttp begins to write it. Headers alone can't be taken for a request, because Content-Length promises a body.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_result,
    stop_after_attempt,
    stop_any,
    stop_before_delay,
    wait_fixed,
)
from yarl import URL

#: Longest answer read, in bytes. 10,000 rows of Picky's answer are about 0.7 MB.
ANSWER_LIMIT = 1_000_000
#: Tries to set up a connection to one address. A second one rides out a lost packet; more only delays the standby.
CONNECT_TRIES = 2
CONNECT_WAIT_S = 0.05
#: Longest wait for one connection, TLS included, in seconds.
CONNECT_LIMIT_S = 5.0
#: Idle connections are given up after this, in seconds. Apache closes after 5 s by default; a request written into a
#: connection that the server is just closing would be uncertain for nothing.
KEEPALIVE_S = 4.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read whole: its status, a hint only, and its body."""

    http_status: int
    body: bytes
    #: The header's text: seconds or a date (RFC 9110, 10.2.3); empty when there was none.
    retry_after: str = ""
    #: When the answer was made, by its own clock.
    date: str = ""


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """No usable answer. `left` is False only if not one byte of the body was handed to the network."""

    code: str
    reason: str
    left: bool


class Body(aiohttp.BytesPayload):
    """A JSON body that remembers whether it began to leave."""

    def __init__(self, value: bytes) -> None:
        super().__init__(value, content_type="application/json")
        self.left = False

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Note that the body begins to leave, then write it; aiohttp calls this once there is a connection."""
        self.left = True
        await super().write_with_length(writer, content_length)


class _Connector(aiohttp.TCPConnector):
    """Never uses an idle connection into which something came: it would be taken for the next request's answer."""

    async def _get(self, key: Any, traces: Any) -> Any:
        # aiohttp asks this when a connection is given back, and no more (3.14).
        for idle, _ in self._conns.get(key, ()):
            if idle.should_close:
                idle.close()
        return await super()._get(key, traces)

    def has_idle(self, key: Any) -> bool:
        """Whether a connection is there that the next request would take."""
        oldest_s = asyncio.get_running_loop().time() - KEEPALIVE_S
        return any(used_s > oldest_s and not idle.should_close for idle, used_s in self._conns.get(key, ()))


def open_session() -> aiohttp.ClientSession:
    """Return a session fit for sending: no cookies, short idle connections, no cap on requests at a time.

    How many requests fly at a time is the worker's rule per number; a second cap here would let one number wait for
    another. Call within a running loop; the caller closes it.
    """
    connector = _Connector(limit=0, keepalive_timeout=KEEPALIVE_S, ttl_dns_cache=60)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


async def warm(session: aiohttp.ClientSession, url: str, *, connect_s: float) -> None:
    """Set up a connection that the next request to the URL's host takes, unless one is idle already.

    An idle one is left alone: taken and given back it would look younger than it is to us, but not to the server. What
    goes wrong here goes wrong again in the request, which tells of it. Raises nothing but asyncio.CancelledError.
    """
    connector = session.connector
    if not isinstance(connector, _Connector):
        return
    request = aiohttp.ClientRequest("POST", URL(url), loop=asyncio.get_running_loop(), session=session)
    if connector.has_idle(request.connection_key):
        return
    timeout = aiohttp.ClientTimeout(total=None, connect=connect_s)
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        (await connector.connect(request, [], timeout)).release()


async def post(
    session: aiohttp.ClientSession, url: str, payload: bytes, *, deadline_s: float, connect_s: float
) -> Answer | NoAnswer:
    """POST a JSON body; only connection set-up is tried again, never a request of which a byte may have left.

    `deadline_s` is the moment by the loop's clock at which all of this ends; `connect_s` is the longest wait for one
    connection, in seconds. Redirects aren't followed: that would send the body a second time.
    Raises nothing but asyncio.CancelledError.
    """
    left_s = max(0.0, deadline_s - asyncio.get_running_loop().time())
    retrying = AsyncRetrying(
        retry=retry_if_result(lambda result: isinstance(result, NoAnswer) and not result.left),
        stop=stop_any(stop_after_attempt(CONNECT_TRIES), stop_before_delay(left_s)),
        wait=wait_fixed(CONNECT_WAIT_S),
        retry_error_callback=_last_result,
    )
    result: Answer | NoAnswer = await retrying(_post_once, session, url, payload, deadline_s, connect_s)
    return result


def _last_result(state: RetryCallState) -> Answer | NoAnswer:
    if state.outcome is None:
        return NoAnswer("unreachable", "no connection was tried", left=False)
    result: Answer | NoAnswer = state.outcome.result()
    return result


async def _post_once(
    session: aiohttp.ClientSession, url: str, payload: bytes, deadline_s: float, connect_s: float
) -> Answer | NoAnswer:
    body = Body(payload)
    timeout = aiohttp.ClientTimeout(total=None, connect=connect_s)
    try:
        async with (
            asyncio.timeout_at(deadline_s),
            session.post(url, data=body, timeout=timeout, allow_redirects=False) as response,
        ):
            return await _read(response)
    except TimeoutError:
        if not body.left:
            return NoAnswer("unreachable", "no connection in time", left=False)
        return NoAnswer("timeout", "no answer in time after the request left", left=True)
    except Exception as error:  # noqa: BLE001  whatever it is, only its side of the fence counts
        kind = type(error).__name__
        if not body.left:
            return NoAnswer("unreachable", f"no connection: {kind}: {error}", left=False)
        return NoAnswer("cut", f"the connection broke after the request left: {kind}: {error}", left=True)


async def _read(response: aiohttp.ClientResponse) -> Answer | NoAnswer:
    """Read the whole answer, but no more than ANSWER_LIMIT bytes of it, counted after decompression."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_LIMIT:
            response.close()
            return NoAnswer("too_large", f"the answer is larger than {ANSWER_LIMIT} bytes", left=True)
    headers = response.headers
    return Answer(response.status, bytes(body), headers.get("Retry-After", ""), headers.get("Date", ""))
