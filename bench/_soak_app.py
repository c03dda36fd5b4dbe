"""What did an app hear? A webhook of an app's own, quick enough for a flood: a thread with an event loop."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from typing import Any, Self

#: Of so many bodies one is refused, the first time it comes.
_REFUSED_ONE_IN = 50
_TAKEN = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
_REFUSED = b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"


class App:
    """An HTTP server on loopback. `taken`: how often each inbound message was taken, by its id."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.requests = 0
        self.refused = 0
        self.url = ""
        self.open: set[asyncio.WriteTransport] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def forget(self) -> None:
        """Begin a new list."""
        self.taken = Counter()

    def answer(self, body: bytes) -> bytes:
        """Take a body, or refuse it: every fiftieth request, so a repetition of it is another one's turn."""
        self.requests += 1
        if self.requests % _REFUSED_ONE_IN == 0:
            self.refused += 1
            return _REFUSED
        told: dict[str, Any] = json.loads(body)
        if "unique-id" in told:
            self.taken[told["unique-id"]] += 1
        return _TAKEN

    async def _listen(self) -> None:
        self._server = await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook"

    async def _close(self) -> None:
        self._server.close()
        for transport in list(self.open):
            transport.abort()
        await asyncio.sleep(0)  # the loop lets go of their sockets in its next turn


class _Connection(asyncio.Protocol):
    """One connection that stays open, with one request at a time."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101  it is one of TCP
        self._transport = transport
        self._app.open.add(transport)

    def connection_lost(self, _: Exception | None) -> None:
        self._app.open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._read += data
        end = self._read.find(b"\r\n\r\n") + 4
        if end < 4:
            return
        head = self._read[:end].lower()
        start = head.index(b"content-length:") + 15
        whole = end + int(head[start:].split(b"\r\n", 1)[0])
        if len(self._read) >= whole:
            body, self._read = self._read[end:whole], self._read[whole:]
            self._transport.write(self._app.answer(body))
