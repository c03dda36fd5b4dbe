"""How does a server of this room start, stamp what arrives, answer too little or too much, and end?"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send


def wall_us() -> int:
    """Return microseconds since 1970."""
    return time.time_ns() // 1000


def stamped(app: ASGIApp, *, now_us: Callable[[], int] = wall_us) -> ASGIApp:
    """Return `app` with each request stamped (`scope["arrived_us"]`) before anything else is done with it."""

    async def stamp(scope: Scope, receive: Receive, send: Send) -> None:
        scope["arrived_us"] = now_us()
        # uvicorn's own `send` is a method of the object that holds the connection: the only way to cut it.
        scope["connection"] = getattr(getattr(send, "__self__", None), "transport", None)
        await app(scope, receive, send)

    return stamp


async def unanswered(request: Request, *, cut: bool) -> Response:
    """Close the connection, or wait until the caller does; what is returned then reaches nobody."""
    connection = request.scope["connection"]
    if cut and connection is not None:
        connection.abort()
    while not await request.is_disconnected():  # noqa: ASYNC110  Starlette tells only who asks
        await asyncio.sleep(0.05)
    return Response(status_code=500)


def spoiled(request: Request, answer: JSONResponse, *, kind: str) -> Response:
    """Return `answer` as a provider in disorder gives it: half of it (`garbage`), or one more behind it (`twice`)."""
    if kind == "garbage":
        return Response(
            b"<b>Warning</b>: " + bytes(answer.body[: len(answer.body) // 2]), media_type="application/json"
        )
    return _Twice(request.scope["connection"], bytes(answer.body)) if kind == "twice" else answer


class _Twice(Response):
    """An answer with a second one behind it, which nobody asked for: whoever reads on takes it for the next one's."""

    def __init__(self, connection: Any, body: bytes) -> None:
        super().__init__(body, media_type="application/json")
        self._connection = connection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, send)
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(self.body)}\r\n\r\n"
        if self._connection is not None and not self._connection.is_closing():
            self._connection.write(head.encode() + bytes(self.body))


#: What ended work that should never end.
_failures: list[BaseException] = []


def watched(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start work that should never end; if it fails, the server ends, and `run` raises why."""
    task = asyncio.create_task(work)
    task.add_done_callback(_look)
    return task


def _look(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        _failures.append(error)
        os.kill(os.getpid(), signal.SIGTERM)


class _Server(uvicorn.Server):
    """Says in one line of standard output when it takes requests, and where."""

    def __init__(self, config: uvicorn.Config, *, name: str) -> None:
        super().__init__(config)
        self._name = name

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # a look through all that was imported would stop the clock for 100 ms: stamps would be late
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            print(f"{self._name} ready on http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)


def run(app: ASGIApp, *, name: str, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; `name` says that it is ready.

    Raises OSError when the address can't be bound, and what ended `watched` work.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2048)
    config = uvicorn.Config(
        app,
        log_level="critical",  # standard output is for the ready line, the terminal for the picture
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=75,  # as nginx has it: the caller's own limit should be what ends an idle connection
        timeout_graceful_shutdown=1,  # a hanging request doesn't hold up the end
    )
    # uvicorn raises the signal again once it has shut down; the end that was asked for is then no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    _Server(config, name=name).run(sockets=[listener])
    if _failures:
        raise _failures[0]
