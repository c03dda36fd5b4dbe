"""How long and how slow may the head of a request be? uvicorn's fast parser has no bound of its own.

Without one, a stranger's header without end costs memory and time that all others wait for, before any token is looked
at. Bodies have their bounds in `gateway.body`.
"""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Bytes of a connection that may come in before a head is complete: the socket's largest read has many of a body, too.
HEAD_LIMIT: Final = 1024 * 1024
#: Seconds that a head may take, from the connection or from its own first byte on.
HEAD_PATIENCE_S: Final = 20.0


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which closes a connection whose request line and headers are too long or too slow."""

    #: Bytes since the head began; -1 while a body comes in.
    _head = 0
    _impatience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Wait for the first head."""
        super().connection_made(transport)
        self._impatience = self.loop.call_later(HEAD_PATIENCE_S, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits any more."""
        self._be_patient()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes in before the head is complete."""
        if self._head >= 0:
            self._head += len(data)
            if self._head > HEAD_LIMIT:
                self.transport.close()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A head begins; that of a connection's first request began with the connection."""
        if self._impatience is None:
            self._impatience = self.loop.call_later(HEAD_PATIENCE_S, self.transport.close)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._head = -1
        self._be_patient()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next thing on this connection is a head."""
        self._head = 0
        super().on_message_complete()

    def _be_patient(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None
