"""What stands for an app behind a webhook of its own: it writes down what comes in, and answers as it is told."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class AppDouble:
    """An HTTP server on loopback. `answer` and `status` may change at any time."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.status = 200
        self.answer: object = {}
        #: Bodies for which this holds are answered with 500, whatever `status` says.
        self.refuses: Callable[[Any], object] = lambda _: False
        self.go = threading.Event()
        self.go.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}/hook"

    def hold(self) -> None:
        """Take requests, but answer none until `go` is set again."""
        self.go.clear()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        app = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:  # the name is the base class's
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                app.bodies.append(body)
                app.go.wait(20)
                said = app.answer if isinstance(app.answer, bytes) else json.dumps(app.answer).encode()
                self.send_response(500 if app.refuses(body) else app.status)
                self.send_header("content-length", str(len(said)))
                with contextlib.suppress(ConnectionError):  # who asked had no more patience
                    self.end_headers()
                    self.wfile.write(said)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        return Handler
