"""How does a test call an ASGI app without a network? One event loop, the app's lifespan, and one request at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from starlette.types import ASGIApp, Message, Scope

from tests.harness.waiting import PATIENCE


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class Door:
    """A running app: `with Door(app) as door: door.post("/path", {"a": 1})`.

    Requests are made one after another; `together` makes several at a time. Faults of the app are answers here too, as
    its callers see them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._runner = asyncio.Runner()
        self._told: asyncio.Queue[Message] = asyncio.Queue()
        self._said: asyncio.Queue[Message] = asyncio.Queue()
        self._lifespan: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._runner.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._runner.run(self._stop())
        finally:
            self._runner.close()

    def get(self, path: str, **headers: str) -> Answer:
        """GET a path; underscores in names of headers stand for hyphens."""
        return self.call("GET", path, **headers)

    def post(self, path: str, body: object, **headers: str) -> Answer:
        """POST JSON, or bytes as they are."""
        return self.call("POST", path, body, **headers)

    def call(self, method: str, path: str, body: object = b"", **headers: str) -> Answer:
        """Make a request and wait for its answer."""
        return self._runner.run(self._call(method, path, _bytes(body), headers))

    def together(self, *requests: tuple[str, str, object], **headers: str) -> list[Answer]:
        """Make requests (method, path, body) at one time; return their answers in the same order."""

        async def all_of_them() -> list[Answer]:
            calls = (self._call(method, path, _bytes(body), headers) for method, path, body in requests)
            return list(await asyncio.gather(*calls))

        return self._runner.run(all_of_them())

    def wait(self, condition: Callable[[], object], *, description: str) -> None:
        """Let the app's own tasks go on until a condition holds."""

        async def until() -> None:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                while not condition():  # noqa: ASYNC110  what is waited for is a test's own question
                    await asyncio.sleep(0.01)

        try:
            self._runner.run(until())
        except TimeoutError:
            raise AssertionError(f"there was no {description} in time") from None

    async def _call(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        head, _, query = path.partition("?")
        given = {"host": "test", "content-length": str(len(body))}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        scope: Scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "root_path": "",
            "method": method, "path": head, "raw_path": head.encode(), "query_string": query.encode(),
            "server": ("test", 80), "client": ("test", 1),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }  # fmt: skip
        pieces = [body[start : start + 65536] for start in range(0, len(body), 65536)] or [b""]
        sent: list[Message] = []

        async def receive() -> Message:
            if not pieces:
                await asyncio.Event().wait()  # the caller stays
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

        async def send(message: Message) -> None:
            sent.append(message)

        try:
            await self._app(scope, receive, send)
        except Exception:
            if not sent:
                raise
        start = sent[0]
        names = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], names, b"".join(message.get("body", b"") for message in sent[1:]))

    async def _start(self) -> None:
        scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}

        async def live() -> None:
            await self._app(scope, self._told.get, self._said.put)

        self._lifespan = asyncio.create_task(live())
        await self._turn("startup")

    async def _stop(self) -> None:
        await self._turn("shutdown")
        if self._lifespan is not None:
            await self._lifespan

    async def _turn(self, phase: str) -> None:
        await self._told.put({"type": f"lifespan.{phase}"})
        said = await self._said.get()
        if said["type"] != f"lifespan.{phase}.complete":
            raise AssertionError(f"the app's {phase}: {said}")


def _bytes(body: object) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()
