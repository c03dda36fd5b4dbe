"""What does the HTTP door say when it can't do what was asked, and in which shape?

    HttpProblem (HeadwayError)
    ├── BadRequest      400  a field can't be taken as it is
    ├── Unauthorised    401  the token is missing or wrong
    ├── BadRows         402  numbers or rows of a push (Picky's status for a bad number list)
    ├── NotFound        404  no such application, message, number or path
    ├── Conflict        409  this Idempotency-Key came with another body
    ├── TooLarge        413  a body longer than its limit
    ├── LockedOut       429  too many wrong tokens from this address
    └── Unavailable     503  the server is away, or the queue before it is full

Paths below `/api/v2/` get Picky's shape, `{"status": …, "message": …}`, whose status a client reads in the body; all
others get problem+json (RFC 9457). Neither ever carries a stack trace.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import ClassVar

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from headway.errors import BrokerUnavailable, HeadwayError
from runtime.telemetry import Event, get_logger

#: Where a stock Picky client talks to us.
PICKY_PREFIX = "/api/v2/"

#: "Service unavailable" in Picky's numbers: clients try again later.
PICKY_UNAVAILABLE = 101

#: Problems named in one answer; a push of 10,000 bad rows needs no more to see what is wrong.
MOST_NAMED = 20

_UNAVAILABLE = 503

_log = get_logger("gateway")


class HttpProblem(HeadwayError):
    """The root: what was asked can't be done; `status` is the HTTP status.

    `problems` are single findings, each naming its field; the message stands for all of them.
    """

    status: ClassVar[int] = 500

    def __init__(self, message: str, *, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.problems = tuple(problems)


class BadRequest(HttpProblem):
    """A field can't be taken as it is; nothing of the request was accepted."""

    status = 400


class Unauthorised(HttpProblem):
    """The token or key is missing or wrong. `wrong`: one was given, which counts against the caller's address."""

    status = 401

    def __init__(self, message: str, *, wrong: bool = False) -> None:
        super().__init__(message)
        self.wrong = wrong


class BadRows(HttpProblem):
    """Numbers or rows of a push can't be sent as they are; nothing of it was accepted."""

    status = 402


class NotFound(HttpProblem):
    """There is no such thing here."""

    status = 404


class Conflict(HttpProblem):
    """It contradicts what was asked before; nothing of it was accepted."""

    status = 409


class LockedOut(HttpProblem):
    """The caller's address gave too many wrong tokens: nothing is looked at until the time is over."""

    status = 429

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooLarge(HttpProblem):
    """The body is longer than its limit; it wasn't read."""

    status = 413


class Unavailable(HttpProblem):
    """Not now; later it may work."""

    status = _UNAVAILABLE


async def handle(request: Request, error: Exception) -> Response:
    """Answer an error that a caller can do something about. Starlette's exception handler."""
    return response(request, error)


async def handle_fault(request: Request, error: Exception) -> Response:
    """Answer a fault of ours: what it is stands in the log, never in the answer. Starlette's exception handler."""
    _log.error(Event.REQUEST_FAILED, path=request.url.path, problem=f"{type(error).__name__}: {error}")
    return response(request, HttpProblem("a fault of ours; its cause stands in the gateway's log"))


def response(request: Request, error: Exception) -> Response:
    """Return the answer for an error, in the shape of the request's path."""
    status, message, problems, headers = _told(error)
    if status == _UNAVAILABLE:
        headers["retry-after"] = "1"
    body, media_type = shaped(request.url.path, status, message, problems)
    return json_response(body, status=status, headers=headers, media_type=media_type)


def shaped(path: str, status: int, message: str, problems: Sequence[str] = ()) -> tuple[dict[str, object], str]:
    """Return what is told of a refusal at a path, and its media type."""
    if path.startswith(PICKY_PREFIX):
        told = PICKY_UNAVAILABLE if status == _UNAVAILABLE else status
        return {"status": told, "message": message}, "application/json"
    body: dict[str, object] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    body["detail"] = message
    if problems:
        body["errors"] = list(problems)
    return body, "application/problem+json"


def json_response(
    value: object, *, status: int = 200, headers: dict[str, str] | None = None, media_type: str = "application/json"
) -> Response:
    """Return JSON in ASCII: what strangers sent may hold half a surrogate pair, which UTF-8 can't carry."""
    text = json.dumps(value, separators=(",", ":"))
    return Response(text, status_code=status, headers=headers, media_type=media_type)


def _told(error: Exception) -> tuple[int, str, tuple[str, ...], dict[str, str]]:
    """Return HTTP status, message, findings and headers."""
    if isinstance(error, HttpProblem):
        return error.status, error.message, error.problems, _headers(error)
    if isinstance(error, BrokerUnavailable):
        return _UNAVAILABLE, str(error), (), {}
    if isinstance(error, HTTPException):
        said = "there is nothing at this address" if error.status_code == NotFound.status else error.detail
        return error.status_code, said, (), dict(error.headers or {})
    if isinstance(error, ClientDisconnect):
        return BadRequest.status, "the connection ended before the body did", (), {}
    return HttpProblem.status, "a fault of ours", (), {}


def _headers(error: HttpProblem) -> dict[str, str]:
    if isinstance(error, Unauthorised):
        return {"www-authenticate": "Bearer"}
    return {"retry-after": str(error.retry_after_s)} if isinstance(error, LockedOut) else {}
