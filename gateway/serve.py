"""How does the HTTP door run as a process?

`python -m gateway.serve --port 0` prints `gateway ready on http://127.0.0.1:PORT` when it takes requests. SIGTERM lets
it finish what it has and ends it.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
from datetime import timedelta

import click
import redis
import uvicorn

from gateway.app import build
from gateway.auth import announce
from gateway.protocol import BoundedProtocol
from headway.errors import HeadwayError, SettingError
from runtime import pauses, telemetry
from runtime.address import parse
from runtime.connect import check_server, connect, wait_for_server
from runtime.embedded import EmbeddedServer
from runtime.secret import hide_passwords
from runtime.settings import Settings
from runtime.telemetry import Event, get_logger

#: How long a gateway waits at its start for a server that is not there yet.
START_PATIENCE = timedelta(seconds=60)
#: As nginx has it: an app's own limit should be what ends an idle connection, in seconds.
_KEEP_ALIVE_S = 75
#: How long requests may take to finish after SIGTERM, in seconds; longer than any script may take.
_GRACE_S = 10
#: Connections that may wait to be taken: as many as a burst of webhooks brings.
_BACKLOG = 2048
#: What the command's other refusals end with.
_EXIT_REFUSED = 2
#: How soon a thread lets another one run, in seconds. By default a large push that is read on its thread would hold up
#: the event loop for 5 ms each time that it wants to go on.
_SWITCH_S = 0.0005

_log = get_logger("gateway")


class _Server(uvicorn.Server):
    """Says in one line of standard output when it takes requests, and where."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        pauses.avoid()
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            _log.info(Event.GATEWAY_READY, url=url)
            click.echo(f"gateway ready on {url}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _log.info(Event.GATEWAY_STOPPING)
        await super().shutdown(sockets)


def serve(settings: Settings, *, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises SettingError without API tokens, ServerError and BrokerUnavailable when the server can't be used, OSError
    when the address can't be bound, HeadwayError when somebody has its port.
    """
    if not settings.api_tokens:
        raise SettingError(
            "HEADWAY_API_TOKENS",
            "is not set, so nobody could push: set the tokens that apps present, comma separated "
            "(`headway up` generates one)",
        )
    for variable in settings.not_yet:
        _log.warning(Event.SETTING_WITHOUT_EFFECT, variable=variable)
    announce(settings)
    with _listen(host, port) as listener:
        embedded = None if settings.redis_url else EmbeddedServer.join(settings.home)
        try:
            url = settings.redis_url or (embedded.url if embedded else "")
            _check(url)
            _run(settings, url, listener)
        finally:
            if embedded is not None:
                embedded.leave()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise HeadwayError(
            f"port {port} of {host} is taken by another process: end that one, or say another port with --port"
        ) from error


def _check(url: str) -> None:
    client = connect(url, name="headway-gateway-start")
    try:
        wait_for_server(client, shown=parse(url).shown, patience=START_PATIENCE)
        check_server(client)
    finally:
        client.close()


def _run(settings: Settings, url: str, listener: socket.socket) -> None:
    sys.setswitchinterval(_SWITCH_S)
    config = uvicorn.Config(
        build(settings, url),
        http=BoundedProtocol,
        log_config=None,  # its lines go through our own handler
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws="none",
        lifespan="on",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )
    # uvicorn raises the signal again once it has shut down; the end that was asked for is then no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    _Server(config).run(sockets=[listener])


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8080,
    type=click.IntRange(0, 65535),
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
def main(*, host: str, port: int) -> None:
    """Take pushes and webhooks over HTTP."""
    try:
        settings = Settings.from_env(os.environ)
        telemetry.configure(settings.log)
        serve(settings, host=host, port=port)
    except (HeadwayError, redis.RedisError, OSError) as error:
        click.echo(f"headway gateway: {hide_passwords(str(error))}", err=True)
        raise SystemExit(_EXIT_REFUSED) from error


if __name__ == "__main__":
    main()
