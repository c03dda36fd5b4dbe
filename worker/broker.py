"""What does Celery call the server that HEADWAY_REDIS_URL names?"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from runtime.address import Address, parse


def broker_of(url: str) -> tuple[str, dict[str, Any]]:
    """Return kombu's URL and transport options for ours.

    kombu wants the name of a Sentinel group as an option, and user, password and database in each part of the list; TLS
    options of a `rediss://` URL it reads from the URL itself. Raises ValueError when the URL can't be read.
    """
    address = parse(url)
    if address.scheme != "sentinel":
        return url, {}
    parts = (f"sentinel://{_login(address)}{host}:{port}/{address.db}" for host, port in address.hosts)
    return ";".join(parts), {"master_name": address.master_name}


def _login(address: Address) -> str:
    password = address.password.reveal()
    return f"{quote(address.username, safe='')}:{quote(password, safe='')}@" if password else ""
