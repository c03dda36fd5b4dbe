"""Is this process alive, and can it do its work? `/healthz` and `/readyz`."""

from __future__ import annotations

import redis
from starlette.requests import Request
from starlette.responses import Response

from gateway.parts import Parts
from gateway.problems import json_response
from headway import keys

#: The trace of a look at the server goes by itself, in seconds.
_TRACE_S = 10


class HealthEndpoints:
    """Answers whoever watches the process; no token is asked."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def alive(self, _: Request) -> Response:
        """Say that the process answers, whatever the server does."""
        return json_response({"status": "ok"})

    async def ready(self, _: Request) -> Response:
        """Say that the server answers and takes writes: what is pushed now can be accepted."""
        await self._parts.ask(_write)
        return json_response({"status": "ready"})


def _write(client: redis.Redis) -> None:
    client.set(keys.ready(), "1", ex=_TRACE_S)
