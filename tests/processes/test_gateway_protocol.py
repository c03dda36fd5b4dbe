"""Are requests with a head without end, or without progress, cut off, and all others served?"""

from __future__ import annotations

import asyncio
import json
import re
import socket

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import protocol
from gateway.protocol import HEAD_LIMIT, BoundedProtocol


async def _size(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


class _Served:
    """One server on a free port, for the time of a scenario."""

    def __init__(self, app: ASGIApp | None = None) -> None:
        self._app = app or Starlette(routes=[Route("/", _size, methods=["POST"])])

    async def __aenter__(self) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(self._app, http=BoundedProtocol, log_config=None, ws="none", lifespan="off")
        self._server = uvicorn.Server(config)
        self._task = asyncio.create_task(self._server._serve([listener]))
        while not self._server.started:  # noqa: ASYNC110  uvicorn tells only who asks
            await asyncio.sleep(0.01)
        port: int = listener.getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await self._task


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the patience for a head be short."""
    monkeypatch.setattr(protocol, "HEAD_PATIENCE_S", 0.2)


def test_a_header_without_end_is_cut_off() -> None:
    """Who sends a header without end is cut off soon after the limit, and never heard to the end."""

    async def scenario() -> int:
        async with _Served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nX-a: ")
            sent = 0
            try:
                while sent < 64 * HEAD_LIMIT:
                    writer.write(b"a" * 65536)
                    await asyncio.wait_for(writer.drain(), 5)
                    sent += 65536
                assert await reader.read(1) == b""
            except ConnectionError:
                pass
            finally:
                writer.close()
            return sent

    assert asyncio.run(scenario()) < 32 * HEAD_LIMIT


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize(
    ("path", "media_type"), [("/api/v2/push", "application/json"), ("/v1/numbers", "application/problem+json")]
)
def test_a_head_that_is_too_long_hears_so(before: int, path: str, media_type: str) -> None:
    """Also when all of it was sent before anything was read, and behind the answers to what came in whole."""

    async def scenario() -> bytes:
        async with _Served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\ncontent-length: 3\r\n\r\nabc" * before)
            writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nX-a: ".encode() + b"a" * (3 * HEAD_LIMIT) + b"\r\n\r\n")
            await asyncio.wait_for(writer.drain(), 5)
            answers = await asyncio.wait_for(reader.read(), 5)
            writer.close()
            return answers

    answers = asyncio.run(scenario())
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200"] * before + [b"431"]
    head, _, body = answers[answers.index(b"HTTP/1.1 431") :].partition(b"\r\n\r\n")
    assert f"content-type: {media_type}\r\n".encode() in head
    assert json.loads(body)["status"] == 431


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "first", [b"", b"POST / HTTP/1.1\r\nHost:", b"POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\nxPOST /"]
)
def test_a_head_that_stops_is_closed(first: bytes) -> None:
    """A connection that says nothing, or half a head, the first or a later one, is closed after the patience."""

    async def scenario() -> bytes:
        async with _Served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(first)
            answer = await asyncio.wait_for(reader.read(), 5)
            writer.close()
            return answer

    answer = asyncio.run(scenario())
    if first:
        assert answer.startswith(b"HTTP/1.1 200" if b"xPOST" in first else b"HTTP/1.1 408")
    else:
        assert answer == b""


def test_a_body_that_stops_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a body is answered 408 after its patience, and the connection is closed."""
    monkeypatch.setattr(protocol, "BODY_PATIENCE_S", 0.2)

    async def scenario() -> bytes:
        async with _Served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\ncontent-length: 9\r\n\r\nhalf")
            answer = await asyncio.wait_for(reader.read(), 5)
            writer.close()
            return answer

    assert asyncio.run(scenario()).startswith(b"HTTP/1.1 408")


async def _parts(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer in three parts, of which the second waits to be let go."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"one", "more_body": True})
    await receive()  # the body of the request: the caller sends it once it has seen the first part
    await send({"type": "http.response.body", "body": b"two", "more_body": True})
    await send({"type": "http.response.body", "body": b"three"})


def test_a_part_of_an_answer_never_waits_for_the_next() -> None:
    """What was written arrives before the app says more, and in its order."""

    async def scenario() -> bytes:
        async with _Served(_parts) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nconnection: close\r\ncontent-length: 1\r\n\r\n")
            first = await asyncio.wait_for(reader.readuntil(b"one\r\n"), 5)
            writer.write(b"x")
            rest = await asyncio.wait_for(reader.read(), 5)
            writer.close()
            return first + rest

    assert asyncio.run(scenario()).endswith(b"3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n")


@pytest.mark.usefixtures("impatient")
def test_a_slow_body_is_no_slow_head() -> None:
    """A body may take longer than a head, and be longer than a head's limit; the connection goes on after it."""

    async def scenario() -> list[bytes]:
        async with _Served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            size, seen = 3 * HEAD_LIMIT, []
            for _ in range(2):
                writer.write(f"POST / HTTP/1.1\r\nHost: x\r\ncontent-length: {size}\r\n\r\n".encode())
                await asyncio.sleep(0.4)
                writer.write(b"b" * size)
                await writer.drain()
                seen.append(await asyncio.wait_for(reader.readuntil(str(size).encode()), 5))
            writer.close()
            return seen

    assert all(answer.startswith(b"HTTP/1.1 200") for answer in asyncio.run(scenario()))


async def _long_answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with more than any buffer on the way holds."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(256):
        await send({"type": "http.response.body", "body": b"a" * 65536, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def test_an_answer_that_nobody_reads_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a stranger's connections would hold our memory for ever; who reads slowly but reads is served."""
    monkeypatch.setattr(protocol, "ANSWER_PATIENCE_S", 0.3)

    async def scenario(*, reads: bool) -> int:
        async with _Served(_long_answer) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**16)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nconnection: close\r\n\r\n")
            await writer.drain()
            if not reads:
                await asyncio.sleep(0.8)
            size = 0
            try:
                while piece := await asyncio.wait_for(reader.read(2**16), 5):
                    size += len(piece)
            except ConnectionError:
                pass
            writer.close()
            return size

    whole = 256 * 65536
    assert asyncio.run(scenario(reads=True)) > whole
    assert asyncio.run(scenario(reads=False)) < whole


async def _soon(request: Request) -> Response:
    """Answer the body's length once the rest of what was said has come in."""
    size = len(await request.body())
    await asyncio.sleep(0.1)
    return PlainTextResponse(str(size))


@pytest.mark.parametrize(
    ("path", "media_type"), [("/api/v2/push", "application/json"), ("/v1/numbers", "application/problem+json")]
)
def test_what_is_no_http_is_refused_in_the_shape_of_its_address(path: str, media_type: str) -> None:
    """A request that breaks the rules hears so as every other refusal is told, and its connection is closed."""

    async def scenario() -> bytes:
        async with _Served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nX: \x01\r\n\r\n".encode())
            answer = await asyncio.wait_for(reader.read(), 5)
            writer.close()
            return answer

    head, _, body = asyncio.run(scenario()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert f"content-type: {media_type}\r\n".encode() in head
    assert f"content-length: {len(body)}\r\n".encode() in head
    assert json.loads(body)["status"] == 400


@pytest.mark.parametrize("before", [1, 2])
@pytest.mark.parametrize("behind", [b"garbage\r\n\r\n", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n"])
def test_what_came_in_whole_is_answered_before_what_did_not(before: int, behind: bytes) -> None:
    """The refusal of what follows is never taken for the answer of a request that was served."""

    async def scenario() -> bytes:
        async with _Served(Starlette(routes=[Route("/", _soon, methods=["POST"])])) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\ncontent-length: 3\r\n\r\nabc" * before + behind)
            answers = await asyncio.wait_for(reader.read(), 5)
            writer.close()
            return answers

    answers = asyncio.run(scenario())
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200"] * before + [b"400"]
