"""How does a test cut a network in two? A proxy before the server whose connections fall silent, and stay open."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self


class StallingProxy:
    """Passes everything on; after `stall` nothing more on the connections that are open then, only on new ones."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._age = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._open):
            _close(each)

    def stall(self) -> None:
        """Let everything that is open fall silent."""
        self._age += 1

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                self._open += [caller, server]
                for source, target in ((caller, server), (server, caller)):
                    threading.Thread(target=self._pass, args=(source, target, self._age), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, age: int) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if age == self._age:
                    target.sendall(data)
        if age == self._age:
            _close(source)
            _close(target)


def _close(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
