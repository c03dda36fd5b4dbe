"""What does Celery call the server that HEADWAY_REDIS_URL names, and how does it come back to it?"""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import quote

from celery.app.amqp import AMQP
from kombu.connection import Connection

from runtime.address import Address, parse

#: Longest wait for an answer of the server, in seconds, as `runtime.connect` has it. kombu's own default is for ever:
#: a server that was paused while Sentinel promoted another would keep the event loop waiting until somebody killed it.
SOCKET_TIMEOUT_S = 5.0

#: Between two tries to reach a server that is away, in seconds: first, growth, most.
RETRY_FIRST_S, RETRY_STEP_S, RETRY_MOST_S = 0.25, 0.25, 2.0

#: A peer whose machine is gone is found out after 10 + 3 * 5 s; the system's default is more than two hours.
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


class PatientConnection(Connection):
    """kombu's connection, which asks a server that is away every two seconds at the latest.

    Celery has no setting for it: its consumer calls this method with kombu's own defaults, which grow to 30 s, and a
    worker would send nothing for so long after the server came back.
    """

    def ensure_connection(self, *args: Any, **options: Any) -> Any:
        """Return self as soon as the server answers; a callback among the arguments may raise to give up."""
        often = {"interval_start": RETRY_FIRST_S, "interval_step": RETRY_STEP_S, "interval_max": RETRY_MOST_S}
        return super().ensure_connection(*args, **{**often, **options})


class PatientAMQP(AMQP):  # type: ignore[misc]  # celery has no annotations
    """What Celery makes its connections with."""

    Connection = PatientConnection


def broker_of(url: str) -> tuple[str, dict[str, Any]]:
    """Return kombu's URL and transport options for ours.

    kombu wants the name of a Sentinel group as an option, and user, password and database in each part of the list; TLS
    options of a `rediss://` URL it reads from the URL itself, those of a Sentinel group it takes from `tls_of`. Raises
    ValueError when the URL can't be read.
    """
    address = parse(url)
    waits = {"socket_timeout": SOCKET_TIMEOUT_S, "socket_connect_timeout": SOCKET_TIMEOUT_S}
    options: dict[str, Any] = {**waits, "socket_keepalive": True, "socket_keepalive_options": _keepalive()}
    if not address.is_sentinels:
        return url, options
    parts = (f"sentinel://{_login(address)}{host}:{port}/{address.db}" for host, port in address.hosts)
    tls: dict[str, Any] = {"ssl": True, **dict(address.ssl)} if address.has_tls else {}
    return ";".join(parts), {**options, "master_name": address.master_name, "sentinel_kwargs": {**waits, **tls}}


def tls_of(url: str) -> dict[str, str | bool]:
    """Return Celery's `broker_use_ssl`: how the servers behind Sentinels are spoken to; empty where the URL says it."""
    address = parse(url)
    # Never empty with TLS: kombu takes an empty one for none.
    return {"ssl_cert_reqs": "required", **dict(address.ssl)} if address.is_sentinels and address.has_tls else {}


def _keepalive() -> dict[int, int]:
    """Return what of it this system knows; macOS lacks one."""
    return {getattr(socket, name): value for name, value in _KEEPALIVE.items() if hasattr(socket, name)}


def _login(address: Address) -> str:
    password = address.password.reveal()
    return f"{quote(address.username, safe='')}:{quote(password, safe='')}@" if password else ""
