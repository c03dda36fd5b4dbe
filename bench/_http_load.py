"""How fast does an HTTP server answer? A load of ready-made POSTs, as a process of its own.

`python bench/_http_load.py URL BODIES CONNECTIONS` sends each line of the file BODIES once, over so many connections
that stay open, each with one request at a time, and prints a line of JSON: requests a second, milliseconds of the
median, of the 99th percentile and of the slowest, and how many answers had which status.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import uvloop


class Caller(asyncio.Protocol):
    """One connection: asks, reads the answer whole, asks again until there is nothing more to ask."""

    def __init__(self, requests: Iterator[bytes], statuses: Counter[str], took_s: list[float]) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._requests, self._statuses, self._took_s = requests, statuses, took_s
        self._read = b""
        self._asked_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def ask(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            return
        self._asked_s = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._read += data
        end = self._read.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._read[:end].lower()
        start = head.index(b"content-length:") + 15
        if len(self._read) < end + 4 + int(head[start:].split(b"\r\n", 1)[0]):
            return
        self._took_s.append(time.perf_counter() - self._asked_s)
        self._statuses[head[9:12].decode()] += 1
        self._read = b""
        self.ask()

    def connection_lost(self, _: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def load(url: str, bodies: list[bytes], connections: int) -> dict[str, object]:
    parts = urlsplit(url)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    head = f"POST {path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\ncontent-length: "
    requests = iter([b"%s%d\r\n\r\n%s" % (head.encode(), len(body), body) for body in bodies])
    statuses: Counter[str] = Counter()
    took_s: list[float] = []
    loop = asyncio.get_running_loop()
    callers = []
    for _ in range(connections):
        _, caller = await loop.create_connection(
            lambda: Caller(requests, statuses, took_s), parts.hostname or "", parts.port or 80
        )
        callers.append(caller)
    began_s = time.perf_counter()
    for caller in callers:
        caller.ask()
    await asyncio.gather(*(caller.done for caller in callers))
    elapsed_s = time.perf_counter() - began_s
    took_s.sort()
    return {
        "rate": len(took_s) / elapsed_s,
        "p50_ms": took_s[len(took_s) // 2] * 1000,
        "p99_ms": took_s[min(len(took_s) - 1, len(took_s) * 99 // 100)] * 1000,
        "max_ms": took_s[-1] * 1000,
        "statuses": dict(statuses),
    }


def main() -> None:
    url, bodies, connections = sys.argv[1:]
    lines = Path(bodies).read_bytes().splitlines()
    print(json.dumps(uvloop.run(load(url, lines, int(connections)))))


if __name__ == "__main__":
    main()
