"""Which addresses answer? One table: what is served and what the OpenAPI page says come from the same rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.lockout import Lockout
from gateway.problems import Unauthorised

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address with one method. Its summary is the first line of the handler's docstring.

    `takes` and `gives` are the types of body and answer; None for none, or for what isn't ours to describe.
    """

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    handler: Handler
    takes: type[Any] | None = None
    gives: type[Any] | None = None
    #: Where the token stands: `Authorization: Bearer`, the body's `token`, or no token is asked.
    auth: Literal["bearer", "body", ""] = ""
    #: Headers that it acts on, each with its schema.
    headers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    #: What it takes besides `takes`: a form whose part `file` is a file, and whose part `campaign` is such JSON.
    uploads: type[Any] | None = None

    @property
    def summary(self) -> str:
        """What it is for, in a line."""
        return (self.handler.__doc__ or "").strip().partition("\n")[0]


def routes(endpoints: Sequence[Endpoint], lockout: Lockout) -> list[Route]:
    """Return Starlette's routes, in the same order; two methods of one path become one route."""
    by_path: dict[str, dict[str, Handler]] = {}
    asked = {endpoint.path for endpoint in endpoints if endpoint.auth}
    for endpoint in endpoints:
        by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint.handler
    return [
        Route(path, _Answers(_by_method(handlers), lockout, asks=path in asked), methods=list(handlers))
        for path, handlers in by_path.items()
    ]


class _Answers:
    """A handler as an ASGI app.

    Starlette would wrap a plain function in a second look for exceptions, which the app's own finds all the same: a
    tenth of a webhook. Where a token is asked (`asks`), only addresses that aren't locked out get to the handler.
    """

    def __init__(self, handler: Handler, lockout: Lockout, *, asks: bool) -> None:
        self._handler = handler
        self._lockout = lockout
        self._asks = asks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        if self._asks:
            await self._lockout.admit(request)
        try:
            response = await self._handler(request)
        except Unauthorised as refusal:
            if refusal.wrong:
                await self._lockout.strike(request)
            raise
        await response(scope, receive, send)


def _by_method(handlers: dict[str, Handler]) -> Handler:
    if len(handlers) == 1:
        return next(iter(handlers.values()))

    async def chosen(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await handlers[method](request)

    return chosen
