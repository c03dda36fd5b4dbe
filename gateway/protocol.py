"""How long and how slow may a request be, and how does its answer leave? What uvicorn's fast parser leaves open.

Without bounds, a stranger's header without end costs memory and time that all others wait for, before any token is
looked at. The length of a body has its bound in `gateway.body`.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.problems import shaped

#: Bytes of a connection that may come in before a head is complete: the socket's largest read has many of a body, too.
HEAD_LIMIT: Final = 1024 * 1024
#: Seconds that a head may take, from the connection or from its own first byte on.
HEAD_PATIENCE_S: Final = 20.0
#: Seconds that a body may take, from the end of its head on.
BODY_PATIENCE_S: Final = 30.0
#: Seconds that a caller may leave an answer unread once more of it waits than the transport holds.
ANSWER_PATIENCE_S: Final = 30.0

#: Bytes, and seconds, that are still read and thrown away once a head was too long: who is not read any more while it
#: writes gets a reset, and never sees why.
UNHEARD_LIMIT: Final = 4 * HEAD_LIMIT
UNHEARD_S: Final = 2.0

_BODY = -1
_TOO_LONG: Final = f"the head of the request is longer than {HEAD_LIMIT} bytes"
_NO_HTTP: Final = "what came in is no HTTP/1.1 request that can be read"
_TOO_SLOW: Final = "the request came in too slowly"


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which closes a connection whose head is too long, whose request is too slow, or whose answer
    nobody reads.

    A request that comes in whole, as nearly every one does, costs no timer.
    """

    #: Bytes since the head began; _BODY while a body comes in.
    _head = 0
    _impatience: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    #: How many bytes are still thrown away; None while everything is heard.
    _unheard: int | None = None
    #: What is told once all that came in whole is answered.
    _refusal: tuple[HTTPStatus, str] | None = None
    #: uvicorn sets it when a head begins.
    url: bytes = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Wait for the first head."""
        super().connection_made(_Corked(transport, self.loop))  # type: ignore[arg-type]  # all of it that uvicorn uses
        self._impatience = self.loop.call_later(HEAD_PATIENCE_S, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits any more."""
        self._be_patient()
        self._is_read()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The caller doesn't read as fast as we write."""
        super().pause_writing()
        self._unread = self.loop.call_later(ANSWER_PATIENCE_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The caller reads on."""
        self._is_read()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Count what comes in before the head is complete, and wait for the rest of a request only so long."""
        if self._unheard is not None:
            self._unheard -= len(data)
            if self._unheard < 0:
                self.transport.abort()
            return
        if self._head >= 0:
            self._head += len(data)
            if self._head > HEAD_LIMIT:
                self._unheard = UNHEARD_LIMIT
                self._be_patient()
                self._give_up(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, _TOO_LONG)
                return
        super().data_received(data)
        if self._head and self._impatience is None:
            patience_s = BODY_PATIENCE_S if self._head == _BODY else HEAD_PATIENCE_S
            self._impatience = self.loop.call_later(patience_s, self._too_slow)

    def on_message_begin(self) -> None:
        """A head begins, perhaps in the bytes that ended the last request."""
        self._head = self._head or 1
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._head = _BODY
        self._be_patient()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next thing on this connection is a head."""
        self._head = 0
        self._be_patient()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  the signature is uvicorn's
        """Answer what is no HTTP; the parser takes nothing more of this connection."""
        self._give_up(HTTPStatus.BAD_REQUEST, _NO_HTTP)

    def on_response_complete(self) -> None:
        """The last request that came in whole is answered: what came behind it hears why it is none."""
        refusal, is_last = self._refusal, not self.pipeline
        super().on_response_complete()
        if refusal and is_last and not self.transport.is_closing():
            self._refuse(*refusal)

    def _too_slow(self) -> None:
        if self._head:  # else nobody asked anything
            self._give_up(HTTPStatus.REQUEST_TIMEOUT, _TOO_SLOW)
        else:
            self.transport.close()

    def _give_up(self, status: HTTPStatus, said: str) -> None:
        """Refuse what comes in, but behind the answers to what came in whole: a push that is taken must not hear 400.

        Requests are answered in their order, so `cycle` is the last of those whose head was read.
        """
        if self._refusal:
            return
        self._refusal = status, said
        cycle: RequestResponseCycle | None = self.cycle
        if self.pipeline and cycle is not None and cycle.more_body:
            self.pipeline.popleft()  # it has not begun, and will never be whole
        elif cycle is None or cycle.more_body or cycle.response_complete:
            self._refuse(status, said)

    def _refuse(self, status: HTTPStatus, said: str) -> None:
        """Answer before any handler has, and close; after a head that was too long, once the caller has heard it."""
        told, media_type = shaped(self.url.decode("latin-1"), status, said)
        body = json.dumps(told, separators=(",", ":"))
        head = f"HTTP/1.1 {status} {status.phrase}\r\ncontent-type: {media_type}\r\ncontent-length: {len(body)}"
        self.transport.write(f"{head}\r\nconnection: close\r\n\r\n{body}".encode("ascii"))
        if self._unheard is None:
            self.transport.close()
        else:
            self.transport.write_eof()
            self._impatience = self.loop.call_later(UNHEARD_S, self.transport.abort)

    def _is_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _be_patient(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None


class _Corked:
    """A transport that lets the head and the body of an answer leave in one system call.

    uvicorn writes them one after the other, and uvloop sends each write at once. The second cost a fifth of a webhook
    here, and woke the caller twice.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.abort = transport.abort
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        """Hold the first write for the second one, but not beyond this turn of the loop."""
        if self._held:
            self._transport.write(self._held + data)
            self._held = b""
        else:
            self._held = data
            self._loop.call_soon(self._flush)

    def write_eof(self) -> None:
        """Say that nothing more comes, once everything has left."""
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Close once everything has left."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            self._transport.write(self._held)
            self._held = b""
