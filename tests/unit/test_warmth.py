"""Is the connection there before begin, once and no more often than needed?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from providers import wire
from providers.circuit import Circuits
from providers.picky import PickyProvider
from providers.wire import Answer, open_session, post, warm
from runtime.clock import FakeClock
from worker.warmth import WARM_US, Warmth

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Host:
    """A server on loopback that counts connections and answers every request alike."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests = 0
        self.url = ""
        self._open: set[asyncio.StreamWriter] = set()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        self._open.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
                self.requests += 1
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    def cut(self) -> None:
        """Close what is open."""
        for writer in list(self._open):
            writer.close()


def on_loopback(scenario: Callable[[Host, aiohttp.ClientSession], Awaitable[Any]]) -> Any:
    """Run a scenario with a host and a session."""

    async def run() -> Any:
        host, session = Host(), open_session()
        server = await asyncio.start_server(host.take, "127.0.0.1", 0)
        host.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            return await scenario(host, session)
        finally:
            await session.close()
            server.close()
            await asyncio.sleep(0.02)

    return asyncio.run(run())


async def ask(session: aiohttp.ClientSession, host: Host) -> None:
    """Make a request that must be answered."""
    now_s = asyncio.get_running_loop().time()
    answer = await post(session, f"{host.url}/api/v2/push", b"{}", deadline_s=now_s + 5, connect_s=2)
    assert isinstance(answer, Answer)


def test_the_request_takes_the_connection_that_was_made_for_it() -> None:
    """One connection for both, and an idle one is enough for ever so many."""

    async def scenario(host: Host, session: aiohttp.ClientSession) -> tuple[int, int]:
        for _ in range(3):
            await warm(session, host.url, connect_s=2)
            await warm(session, f"{host.url}/", connect_s=2)
            await ask(session, host)
        return host.connections, host.requests

    assert on_loopback(scenario) == (1, 3)


def test_an_idle_connection_looks_no_younger_than_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server counts from its last request: who wrote into what it is just closing would never know."""
    monkeypatch.setattr(wire, "KEEPALIVE_S", 0.2)

    async def scenario(host: Host, session: aiohttp.ClientSession) -> int:
        await ask(session, host)
        for _ in range(3):
            await asyncio.sleep(0.09)
            await warm(session, host.url, connect_s=2)
        return host.connections

    assert on_loopback(scenario) == 2


def test_a_connection_that_was_cut_is_made_anew() -> None:
    """The host closed it: the next one is ready before the request."""

    async def scenario(host: Host, session: aiohttp.ClientSession) -> int:
        await warm(session, host.url, connect_s=2)
        await asyncio.sleep(0.02)
        host.cut()
        await asyncio.sleep(0.02)
        await warm(session, host.url, connect_s=2)
        await ask(session, host)
        return host.connections

    assert on_loopback(scenario) == 2


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://127.0.0.1:1", "http://no-such-host.invalid"])
def test_what_can_t_be_reached_is_left_to_the_request(url: str) -> None:
    """It says what is wrong; nothing is raised here."""

    async def scenario(_: Host, session: aiohttp.ClientSession) -> None:
        await warm(session, url, connect_s=0.5)

    assert on_loopback(scenario) is None


def test_an_address_that_is_down_is_not_made_ready() -> None:
    """Its probes are as rare as they were; the standby is made ready instead, if there is one."""

    async def scenario(host: Host, session: aiohttp.ClientSession) -> list[int]:
        circuits, seen = Circuits(), []
        for urls in (["http://127.0.0.1:1"], ["http://127.0.0.1:1", host.url]):
            provider = PickyProvider(
                urls=urls, token="t", application="1", timeout=timedelta(seconds=2), session=session, circuits=circuits
            )
            circuit = circuits.of("http://127.0.0.1:1")
            if not circuit.open:
                entry = circuit.enter()
                assert entry is not None
                circuit.failed(entry, "refused", unreachable=True)
            await provider.warm()
            await asyncio.sleep(0.02)
            seen.append(host.connections)
        return seen

    assert on_loopback(scenario) == [0, 1]


class Provider:
    """One that notes when it was asked for a connection."""

    name, shape_fields = "double", ()

    def __init__(self) -> None:
        self.warmed = 0

    async def warm(self) -> None:
        """Note it."""
        self.warmed += 1

    async def send(self, rows: Any) -> list[Any]:
        """Send nothing."""
        return []

    async def close(self) -> None:
        """Nothing is open."""


class Calls:
    """The loop of a process's calls, which does each at once."""

    def submit(self, call: Callable[[Any], Any]) -> Future[Any]:
        """Do it, and return what came of it."""
        future: Future[Any] = Future()
        try:
            future.set_result(asyncio.run(call(None)))
        except ValueError as problem:
            future.set_exception(problem)
        return future


@pytest.fixture
def calls() -> Any:
    """Where the numbers' calls are made."""
    return Calls()


def test_only_a_number_that_was_not_used_lately_is_looked_at(calls: Any) -> None:
    """A busy one costs nothing but a look into a dictionary."""
    clock, providers = FakeClock(), {"1": Provider(), "2": Provider()}
    warmth = Warmth(calls, lambda number, _: providers[number], clock=clock)
    warmth.before(["1", "2"])
    warmth.used(["1"])
    clock.advance(timedelta(microseconds=WARM_US - 1))
    warmth.before(["1", "2"])
    clock.advance(timedelta(microseconds=1))
    warmth.before(["1"])
    assert (providers["1"].warmed, providers["2"].warmed) == (2, 2)


def test_a_provider_that_can_t_is_let_be(calls: Any) -> None:
    """One without connections, or one that can't even be made: its send tells of it."""

    def made(number: str, _: Any) -> Any:
        if number == "broken":
            raise ValueError("no such provider")
        return object()

    Warmth(calls, made, clock=FakeClock()).before(["plain", "broken"])
