"""What every bench stands on: a throwaway server, a worker process, and the picture of a result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.harness.servers import ThrowawayServer, find_binary

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def server(**options: str) -> Iterator[ThrowawayServer]:
    """A server of the bench's own, with its append-only file on, as in production."""
    binary = find_binary("any")
    if binary is None:
        sys.exit("bench: no Redis or Valkey server found: run `make setup`")
    with tempfile.TemporaryDirectory() as directory:
        durable = {"appendonly": "yes", "appendfsync": "everysec", **options}
        running = ThrowawayServer(binary, directory=Path(directory), options=durable)
        running.start()
        try:
            yield running
        finally:
            running.stop()


@contextmanager
def worker(app: str, *arguments: str, environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A real `celery worker`, quiet; ended with SIGTERM."""
    command = [sys.executable, "-m", "celery", "-A", app, "worker", "--without-mingle", "--without-gossip", *arguments]
    quiet = {**os.environ, **environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    log = tempfile.TemporaryFile()
    process = subprocess.Popen(command, cwd=ROOT, env=quiet, stdout=log, stderr=log)
    try:
        yield process
    finally:
        failed = process.poll() is not None
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if failed:
            log.seek(0)
            sys.exit("bench: the worker ended by itself:\n" + log.read().decode()[-4000:])


def drained(client: redis.Redis, left: Callable[[redis.Redis], int], total: int, *, patience_s: float) -> float:
    """Return messages a second: from when 2 % are done, so that the start doesn't count, to the last one."""
    began, first, deadline = 0.0, 0, time.monotonic() + patience_s
    while time.monotonic() < deadline:
        now, remaining = time.monotonic(), left(client)
        if not began and remaining <= total * 0.98:
            began, first = now, remaining
        if remaining == 0:
            return first / max(0.001, now - began)
        time.sleep(0.01)
    sys.exit(f"bench: {left(client)} of {total} messages are still there after {patience_s:.0f} s")
