"""How is one embedded server started, asked and stopped?

One directory belongs to one server at a time: the server inherits an exclusive lock on it, so whoever can take that
lock knows that no server runs there, however the last one ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from time import sleep
from typing import Final

import redis

from headway.errors import ServerError
from runtime.clock import Deadline
from runtime.connect import connect
from runtime.embedded_engine import Engine
from runtime.embedded_files import quoted, rotate, write_private
from runtime.flock import FileLock, is_held
from runtime.secret import Secret
from runtime.telemetry import Event, get_logger

_log = get_logger("runtime")

_POLL_S: Final = 0.02
_SAY_EVERY: Final = 100  # polls: 2 s
_ASK_LIMIT: Final = 100  # polls: 2 s; who doesn't answer by then is hung, or behind another container's loopback
_END_S: Final = 5.0
_TAIL_BYTES: Final = 2000
_PORT_TRIES: Final = 5
#: The well-known port stays free for the server that a developer may run by hand.
_NEVER: Final = 6379
#: What the server needs of our environment. Tokens don't belong into a process that outlives us.
_ENVIRONMENT: Final = ("LD_LIBRARY_PATH", "PATH", "TZ")

_CONFIG: Final = """\
bind 127.0.0.1
port {port}
requirepass {password}
protected-mode yes
daemonize no
supervised no
logfile ""
pidfile {pidfile}
dir {data}
# What was accepted must survive a crash, and a full memory must refuse, never forget.
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""


class Answer(Enum):
    """What a port says when it is asked for our server."""

    READY = "answers"
    LOADING = "still loads its data"
    STRANGER = "refuses the password"
    AWAY = "does not answer"


class ServerDirectory:
    """`<home>/server/<engine>-<version>/`: the data, the log and the lock of one server."""

    def __init__(self, path: Path, *, password: Secret) -> None:
        self.path = path
        self._password = password

    @property
    def has_data(self) -> bool:
        """Whether some server has kept data here."""
        return (self.path / "data" / "appendonlydir").is_dir()

    @property
    def is_running(self) -> bool:
        """Whether a server, ready or not, owns this directory right now."""
        return is_held(self.path / "data.lock")

    @property
    def port(self) -> int | None:
        """The port of the last server here; None when there was none."""
        try:
            return int((self.path / "port").read_text())
        except (OSError, ValueError):
            return None

    def url(self, port: int) -> str:
        """Return the address for clients, password included."""
        return f"redis://:{self._password.reveal()}@127.0.0.1:{port}/0"

    def ask(self) -> Answer:
        """Ask the port for our server; never raises for what a server can answer."""
        if self.port is None:
            return Answer.AWAY
        with _client(self.url(self.port)) as client:
            try:
                client.ping()
            except redis.BusyLoadingError:
                return Answer.LOADING
            except (redis.AuthenticationError, redis.ResponseError):
                return Answer.STRANGER
            except (redis.ConnectionError, redis.TimeoutError, OSError):
                return Answer.AWAY
            return Answer.READY

    def start(self, engine: Engine, *, deadline: Deadline) -> subprocess.Popen[bytes] | None:
        """Start a server and return when it answers; None when one runs here already.

        The former port is taken again when it is free, so that clients of a server that died find the next one.
        Raises ServerError with the end of the server's log when it ends at once.
        """
        (self.path / "data").mkdir(mode=0o700, parents=True, exist_ok=True)
        rotate(self.path / "server.log")
        port = self.port if self.port and _is_free(self.port) else _free_port()
        for _ in range(_PORT_TRIES):
            process = self._launch(engine, port)
            if process is None or self._came_up(process, deadline):
                return process
            if "already in use" not in self.log_tail():
                break
            port = _free_port()
        raise ServerError(f"{engine.binary} ended at once; the end of {self.path / 'server.log'}:\n{self.log_tail()}")

    def stop(self, *, deadline: Deadline) -> bool:
        """Ask the server to write its data and end; return whether it did in time."""
        pid = None
        for asked, _ in enumerate(waiting("the embedded server to stop", directory=self.path, deadline=deadline)):
            if not self.is_running:
                return True
            if pid is None and (pid := self._ask_pid()) is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            if pid is None and asked > _ASK_LIMIT:
                break
        return False

    def log_tail(self) -> str:
        """Return the end of the server's log, for errors."""
        try:
            return (self.path / "server.log").read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
        except OSError:
            return ""

    def _launch(self, engine: Engine, port: int) -> subprocess.Popen[bytes] | None:
        config = self._write_config(port)
        with FileLock(self.path / "data.lock") as lock, (self.path / "server.log").open("ab") as log:
            if not lock.try_exclusive():
                return None
            write_private(self.path / "port", str(port))
            return subprocess.Popen(
                [engine.binary, config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.path / "data",
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                umask=0o077,  # the AOF holds phone numbers
                start_new_session=True,  # Ctrl-C or a closed terminal is meant for a door, never for the server
                pass_fds=(lock.fileno(),),
            )

    def _came_up(self, process: subprocess.Popen[bytes], deadline: Deadline) -> bool:
        try:
            for _ in waiting("the embedded server to load its data", directory=self.path, deadline=deadline):
                if process.poll() is not None:
                    return False
                if self.ask() is Answer.READY:
                    return True
        except BaseException:
            _end_unused(process)
            raise
        _end_unused(process)
        raise ServerError(f"the embedded server in {self.path} did not load its data in time: see its server.log")

    def _write_config(self, port: int) -> Path:
        path = self.path / "server.conf"
        text = _CONFIG.format(
            port=port,
            password=self._password.reveal(),  # in a file, because arguments are seen by every user of the machine
            pidfile=quoted(self.path / "server.pid"),
            data=quoted(self.path / "data"),
        )
        write_private(path, text)
        return path

    def _ask_pid(self) -> int | None:
        # Not from the pid file: after a crash that number may belong to somebody else by now.
        if self.port is None:
            return None
        with _client(self.url(self.port)) as client:
            try:
                return int(client.info("server")["process_id"])
            except (redis.RedisError, OSError, KeyError, ValueError):
                return None


def waiting(what: str, *, directory: Path, deadline: Deadline) -> Iterator[None]:
    """Yield every 20 ms until the deadline (once at least), and say every 2 s what is waited for."""
    yield
    polls = 0
    while not deadline.passed:
        sleep(_POLL_S)
        polls += 1
        if polls % _SAY_EVERY == 0:
            _log.warning(Event.SERVER_AWAITED, waiting_for=what, directory=str(directory))
        yield


def _end_unused(process: subprocess.Popen[bytes]) -> None:
    # After a Ctrl-C too: nobody uses it yet, and a server that doesn't answer can't be asked for its pid later.
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()  # what it was loading stays as it is on disk
        process.wait()


def _client(url: str) -> contextlib.closing[redis.Redis]:
    return contextlib.closing(connect(url, name="headway-embedded"))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: TIME_WAIT is no obstacle
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port != _NEVER:
            return port
