"""How does everything run from one command? `headway up`: server, gateway and worker, watched until it is ended."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from console.door import read_settings
from console.processes import (
    GATEWAY_PORT,
    THREADS,
    gateway_command,
    rooms_environment,
    worker_command,
    worker_environment,
)
from console.watch import Deaths, GivenUp, Part, Say, Watch
from console.welcome import api_token, no_key_given, webhook_key, welcome
from headway.errors import HeadwayError
from runtime.clock import SystemClock
from runtime.settings import Settings

if TYPE_CHECKING:
    from runtime.embedded import EmbeddedServer

#: The gateway answers what it has: ten seconds are its own bound.
_GATEWAY_PATIENCE: Final = timedelta(seconds=15)
#: What a worker needs beyond the longest provider request to settle what it began.
_SETTLE_PATIENCE: Final = timedelta(seconds=10)
_PING_EVERY_S: Final = 1.0
_COLOURS: Final = {"gateway": "cyan", "worker": "green", "server": "magenta", "headway": "yellow"}
#: The status of a process that Ctrl-C ended at once.
_INTERRUPTED: Final = 130


class Stop:
    """How often the end was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def hear(self) -> None:
        """Count SIGTERM, SIGINT and SIGHUP (a closed window) from now on."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._count)

    def at_once(self) -> bool:
        """Whether it was asked for twice: nobody waits any more."""
        return self.asked > 1

    def _count(self, *_: Any) -> None:
        # No more than this in a signal's handler: the thread that it interrupts may hold any lock.
        self.asked += 1


class ServerWatch:
    """Starts the embedded server again when it dies, on a thread of its own: loading its data may take long."""

    def __init__(self, server: EmbeddedServer, *, warn: Say) -> None:
        #: Why it can't be kept alive; empty: it can.
        self.problem = ""
        self._server = server
        self._warn = warn
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="server-watch", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Watch no longer."""
        self._ended.set()
        self._thread.join(timeout=5)

    def _watch(self) -> None:
        import redis

        from runtime.connect import connect

        url, deaths, clock = self._server.url, Deaths(), SystemClock()
        client = connect(url, name="headway-up")
        while not self._ended.wait(_PING_EVERY_S) and not self.problem:
            try:
                client.ping()
            except (redis.RedisError, OSError) as error:
                if deaths.pause_us(clock.monotonic_us()) is None:
                    self.problem = f"the embedded server went away again and again ({error})"
                    break
                self._again(url)
        client.close()

    def _again(self, url: str) -> None:
        if self._ended.is_set():
            return
        self._warn("server", "does not answer: looked after, and started again if it is gone")
        try:
            self._server.ensure()
        except HeadwayError as error:
            self.problem = str(error)
            return
        if self._server.url != url:
            self.problem = "the embedded server came back on another port, where nobody looks for it: start again"
        self._warn("server", "answers again")


@click.command(short_help="Start everything: server, gateway and worker.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that the gateway listens on.")
@click.option("--port", default=GATEWAY_PORT, type=click.IntRange(0, 65535), show_default=True, help="0: a free one.")
@click.option(
    "--concurrency",
    "-c",
    type=click.IntRange(1, 1000),
    default=THREADS,
    show_default=True,
    help="Provider requests at a time.",
)
def up(*, host: str, port: int, concurrency: int) -> None:
    """Start everything in one place: the embedded server, the gateway, and one worker for HEADWAY_NUMBERS.

    It watches them, starts again what dies, and ends them in order on SIGTERM or Ctrl-C: the gateway first (no new
    pushes), then the worker (what has begun is settled), then the server. A second Ctrl-C ends them at once. Five
    deaths of one process within a minute end everything with status 1. With HEADWAY_REDIS_URL that server is used.

    Apps present the token in HEADWAY_HOME/api-token, and providers the key in HEADWAY_HOME/webhook-key, both made on
    first use, unless HEADWAY_API_TOKENS and HEADWAY_WEBHOOK_KEY are set.

    \b
    Example: try it out against a number in software
      HEADWAY_PROVIDER_URL=http://127.0.0.1:8090 headway up
      headway simulator --port 8090 --webhook http://127.0.0.1:8080/webhooks/picky/15555550100 \\
        --key "$(cat .headway/webhook-key)"
    """
    settings = read_settings()
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    speaker = Speaker()
    with _server(settings) as server:
        stop = Stop()
        stop.hear()
        watch = Watch(_parts(settings, host=host, port=port, slots=concurrency), say=speaker.say, warn=speaker.warn)
        served = ServerWatch(server, warn=speaker.warn) if server else None
        why = ""
        try:
            _run(watch, stop, served, ready=lambda: speaker.plain(welcome(settings, _url(watch))))
        except GivenUp as problem:
            speaker.warn("headway", str(problem))
            why = str(problem).splitlines()[0].removesuffix("; it said:")
        finally:
            speaker.warn("headway", "stopping: gateway, then worker, then server (Ctrl-C again: at once)")
            watch.end(at_once=stop.at_once)
            if served:
                served.end()
    speaker.warn("headway", f"stopped, because {why}" if why else "stopped")
    sys.exit(1 if why else _INTERRUPTED if stop.at_once() else 0)


def _run(watch: Watch, stop: Stop, served: ServerWatch | None, *, ready: Callable[[], None]) -> None:
    """Keep everything alive until the end is asked for. Raises GivenUp."""
    said = False
    watch.start()
    while not stop.asked:
        watch.look()
        if watch.ready and not said:
            said = True
            ready()
        if served and served.problem:
            raise GivenUp(served.problem)


class Speaker:
    """Writes whole lines, whoever speaks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def say(self, name: str, line: str) -> None:
        """Write what a child said, on standard output."""
        self._write(name, line, err=False)

    def warn(self, name: str, text: str) -> None:
        """Write what happened to a child, loudly, on standard error."""
        for line in text.splitlines():
            self._write(name, click.style(line, bold=True), err=True)

    def plain(self, text: str) -> None:
        """Write a text of our own."""
        with self._lock, contextlib.suppress(OSError):
            click.echo(text)

    def _write(self, name: str, line: str, *, err: bool) -> None:
        # Who reads us may be gone (`headway up | head`); the children must be heard out all the same, or they stand.
        with self._lock, contextlib.suppress(OSError):
            click.echo(f"{click.style(f'{name:<7} |', fg=_COLOURS.get(name))} {line}", err=err)


@contextlib.contextmanager
def _server(settings: Settings) -> Iterator[EmbeddedServer | None]:
    """Give the embedded server, or None when another one is named; it is left at the end."""
    from runtime.embedded import EmbeddedServer

    # While it starts, an asked-for end breaks off right here; `join` cleans up behind itself.
    signal.signal(signal.SIGTERM, _end)
    server = None if settings.redis_url else EmbeddedServer.join(settings.home)
    try:
        yield server
    finally:
        if server:
            server.leave()


def _end(*_: Any) -> None:
    raise SystemExit(0)


def _parts(settings: Settings, *, host: str, port: int, slots: int) -> list[Part]:
    """Return gateway and worker, in the order in which they end."""
    environ = {**rooms_environment(worker_environment(settings, os.environ)), "PYTHONUNBUFFERED": "1"}
    if settings.log == "auto" and sys.stderr.isatty():
        environ["HEADWAY_LOG"] = "pretty"  # they write into a pipe, but a person reads it
    if not settings.api_tokens:
        environ["HEADWAY_API_TOKENS"] = api_token(settings.home)
    if no_key_given(settings):
        environ["HEADWAY_WEBHOOK_KEY"] = webhook_key(settings.home)

    def gateway(found: str) -> list[str]:
        return gateway_command("--host", host, "--port", found or str(port))

    return [
        Part(
            name="gateway",
            command=gateway,
            environ=environ,
            ready=re.compile(r"^gateway ready on http://.*:([0-9]+)$"),
            patience=_GATEWAY_PATIENCE,
        ),
        Part(
            name="worker",
            command=lambda _: worker_command([], concurrency=slots, quiet=True),
            environ=environ,
            ready=re.compile("worker_ready"),
            patience=timedelta(milliseconds=settings.send_timeout_ms) + _SETTLE_PATIENCE,
        ),
    ]


def _url(watch: Watch) -> str:
    match = watch.children[0].match
    return match[0].removeprefix("gateway ready on ") if match else ""
