"""Who has guessed too often? An address that gave more than 3 wrong tokens in 3 minutes is refused for 15.

Told to all gateway processes through the server. Who is locked out is not looked at any more where a token is asked:
neither its body nor its token. Webhooks with the right key are always taken, because several customers of a provider
share its addresses, and a stranger among them must not be able to shut out our inbound messages.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import redis
from starlette.requests import Request

from gateway.body import shown
from gateway.commit import Commit
from gateway.problems import LockedOut
from headway import keys
from headway.errors import BrokerUnavailable
from runtime import scripts
from runtime.clock import Clock
from runtime.parsing import Network
from runtime.scripts import Call
from runtime.telemetry import Event, get_logger

#: Wrong tokens that are let pass, as the providers' own consoles have it.
LET_PASS = 3
STRIKE_MS = 3 * 60_000
LOCKOUT_MS = 15 * 60_000
#: How soon a process hears of a lockout that another one found.
_HEAR_EVERY_US = 1_000_000
#: Addresses that one process remembers; who has more strangers at a time needs a firewall.
_MOST_KNOWN = 10_000
#: An IPv6 customer has this much of an address to choose from.
_IPV6_PREFIX = 64
#: Hops of X-Forwarded-For that are looked at.
_MOST_HOPS = 32

_log = get_logger("gateway")


class Lockout:
    """Counts wrong tokens, and refuses who gave too many; used from one event loop."""

    def __init__(self, commit: Commit, *, on: bool, proxies: Sequence[Network], clock: Clock) -> None:
        """`proxies`: whose X-Forwarded-For is believed. Off: nobody is counted, nobody refused."""
        self._commit = commit
        self._on = on
        self._proxies = tuple(proxies)
        self._clock = clock
        #: Address -> until when, in microseconds of our own clock.
        self._until_us: dict[str, int] = {}
        self._hear_at_us = 0
        self._hearing: asyncio.Task[None] | None = None

    async def admit(self, request: Request) -> None:
        """Return when the caller's address may try. Raises LockedOut. Asks the server once a second at the most."""
        if not self._on:
            return
        if self._clock.monotonic_us() >= self._hear_at_us:
            self._hearing = self._hearing or asyncio.get_running_loop().create_task(self._hear())
            await asyncio.shield(self._hearing)
        left_us = self._left_us(address_of(request, self._proxies)) if self._until_us else 0
        if left_us > 0:
            left_s = -(-left_us // 1_000_000)
            raise LockedOut(
                f"too many wrong tokens came from this address: it is refused for another {left_s} s",
                retry_after_s=left_s,
            )

    async def strike(self, request: Request) -> None:
        """Count a wrong token or key against the caller's address.

        Raises BrokerUnavailable when the server can't take it down: then nobody learns whether the token was right,
        because right ones get no further either.
        """
        if not self._on:
            return
        address = address_of(request, self._proxies)
        if self._left_us(address) > 0:
            return
        _log.warning(Event.CALLER_REFUSED, address=address, path=shown(request.url.path))
        names = [keys.strikes(address), keys.lockouts()]
        args: list[scripts.Argument] = [address, uuid.uuid4().hex, LET_PASS, STRIKE_MS, LOCKOUT_MS]
        try:
            left_ms = int(await self._commit.run(Call(scripts.load("gateway", "strike"), names, args)))
        except redis.ResponseError as error:
            raise BrokerUnavailable(f"the server refuses ({error}): try again later") from error
        if left_ms:
            self._remember(address, left_ms)
            forwarded = "x-forwarded-for" in request.headers and not self._proxies
            _log.error(Event.ADDRESS_LOCKED_OUT, address=address, lasts_ms=left_ms, forwarded=forwarded)

    def _left_us(self, address: str) -> int:
        return self._until_us.get(address, 0) - self._clock.monotonic_us()

    def _remember(self, address: str, left_ms: int) -> None:
        self._until_us[address] = self._clock.monotonic_us() + left_ms * 1000

    async def _hear(self) -> None:
        """Ask who is locked out; what we know holds while the server is away."""
        before = set(self._until_us)
        try:
            found = await self._commit.run(
                Call(scripts.load("gateway", "locked_out"), [keys.lockouts()], [_MOST_KNOWN])
            )
        except (redis.ResponseError, BrokerUnavailable):
            pass
        else:
            for address in before:  # not those of strikes while we asked
                del self._until_us[address]
            for address, left_ms in zip(found[::2], found[1::2], strict=True):
                self._remember(address.decode(), int(left_ms))
        finally:
            self._hear_at_us = self._clock.monotonic_us() + _HEAR_EVERY_US
            self._hearing = None


def address_of(request: Request, proxies: Sequence[Network]) -> str:
    """Return who calls: what connects, or what a trusted proxy says connected to it. IPv6 by its first 64 bits.

    `X-Forwarded-For` is read from its end: each proxy adds whom it heard, and only what a trusted one added is
    believed. What stands before that anybody can write.
    """
    peer = request.client.host if request.client else ""
    found = _parsed(peer)
    if found is None or not proxies:
        return _grouped(found) if found else shown(peer) or "unknown"
    hops = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    for hop in reversed(hops[-_MOST_HOPS:]):
        if not any(found in network for network in proxies):
            break
        said = _parsed(hop.strip())
        if said is None:
            break
        found = said
    return _grouped(found)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address in `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]:80` or `::ffff:1.2.3.4`; None: it is none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def _grouped(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _IPV6_PREFIX), strict=False))
    return str(address)
