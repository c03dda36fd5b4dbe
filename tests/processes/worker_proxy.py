"""How does a test lose the answer of one call? A proxy before the server, which cuts a connection instead of answering.

It stands on loopback and passes everything on, until the first answer that holds the `marker`: that one is thrown away,
with its connection. Afterwards it passes on everything again.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self


class CuttingProxy:
    """`cuts` says how many answers were thrown away."""

    def __init__(self, port: int, *, marker: bytes, cuts: int = 1) -> None:
        self._port = port
        self._marker = marker
        self._left = cuts
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._open):
            _close(each)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                self._open += [caller, server]
                threading.Thread(target=self._pass, args=(caller, server, False), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, caller, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if answers and self._left and self._marker in data:
                    self._left -= 1
                    self.cuts += 1
                    break
                target.sendall(data)
        _close(source)
        _close(target)


def _close(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
