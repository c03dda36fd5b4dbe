"""Where do messages go without Picky Assist? To a local server that speaks its Push API v2 and keeps a journal.

`python -m simulator.sink --port 0` prints `sink ready on http://127.0.0.1:PORT` when it is ready. SIGTERM ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import click
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from simulator.faults import Faults, Mode
from simulator.journal import Journal
from simulator.push import SUCCESS, Ids, Push, answer, read
from simulator.serving import run, spoiled, stamped, unanswered, wall_us

_PATHS = ("/api/v2/push", "/app/api/v2/push")  # the V4 and the V3 host
_PICTURE_EVERY_S = 0.25


class Sink:
    """The HTTP face: takes pushes, writes them down, answers as its faults say."""

    def __init__(self, *, journal: Journal, faults: Faults, token: str = "") -> None:
        self.journal = journal
        self.faults = faults
        self._token = token
        self._ids = Ids()

    def app(self) -> ASGIApp:
        """Return the ASGI app."""
        pushes = [Route(path, self._push, methods=["POST"]) for path in _PATHS]
        starlette = Starlette(
            routes=[
                *pushes,
                Route("/control", self._control, methods=["POST"]),
                Route("/journal", self._journal, methods=["GET"]),
                Route("/healthz", self._health, methods=["GET"]),
            ],
            lifespan=self._lifespan,
        )

        return stamped(starlette)

    async def _push(self, request: Request) -> Response:
        push = read(await request.body(), token=self._token)
        mode = self.faults.mode
        taken = mode.takes and push.status == SUCCESS
        push_id, msg_ids = self._ids.push(), self._ids.messages(len(push.rows))
        self.journal.add(push, at_us=request.scope["arrived_us"], push_id=push_id, msg_ids=msg_ids, taken=taken)
        if self.faults.latency_ms:
            await asyncio.sleep(self.faults.latency_ms / 1000)
        if mode.kind == "http":
            return Response(status_code=mode.status)
        if mode.kind in {"cut", "hang"}:
            return await unanswered(request, cut=mode.kind == "cut")
        if mode.kind == "fail":
            push = Push(mode.status, push.rows, push.priority)
        return spoiled(request, JSONResponse(answer(push, push_id=push_id, msg_ids=msg_ids)), kind=mode.kind)

    async def _control(self, request: Request) -> Response:
        try:
            self.faults.change(await request.json())
        except ValueError as error:
            return JSONResponse({"error": str(error)}, status_code=422)
        return JSONResponse(self.faults.told())

    async def _journal(self, _: Request) -> Response:
        return JSONResponse(self.journal.rows)

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok", "rows": len(self.journal.rows), **self.faults.told()})

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        picture = asyncio.create_task(self._show()) if sys.stderr.isatty() else None
        yield
        if picture:
            picture.cancel()
        self.journal.close()

    async def _show(self) -> None:
        """Draw the live line, over itself, on the terminal."""
        while True:
            print(f"\r{self.journal.picture(now_us=wall_us())}", end="", file=sys.stderr, flush=True)
            await asyncio.sleep(_PICTURE_EVERY_S)


def serve(sink: Sink, *, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError when the address can't be bound."""
    run(sink.app(), name="sink", host=host, port=port)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8090, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("--token", default="", help="Token that pushes must carry; without it every token is good.")
@click.option("--journal", type=click.Path(dir_okay=False, path_type=Path), help="Append a JSON line per row here.")
@click.option("--latency-ms", default=0, show_default=True, help="Think this long before each answer.")
@click.option("--hang", "mode", flag_value="hang", help="Take each push and never answer.")
@click.option("--cut", "mode", flag_value="cut", help="Take each push and close the connection unanswered.")
@click.option("--fail", type=int, metavar="STATUS", help="Take nothing; answer with this status in the body.")
@click.option("--http", type=int, metavar="STATUS", help="Take nothing; answer with this HTTP status.")
def main(
    *,
    host: str,
    port: int,
    token: str,
    journal: Path | None,
    latency_ms: int,
    mode: str | None,
    fail: int | None,
    http: int | None,
) -> None:
    """A local sink that speaks Picky's Push API v2."""
    wishes = [mode, fail is not None and f"fail:{fail}", http is not None and f"http:{http}"]
    asked = [wish for wish in wishes if wish]
    if len(asked) > 1:
        raise click.UsageError("choose one of --hang, --cut, --fail and --http")
    try:
        faults = Faults()
        faults.change({"mode": str(Mode.of(asked[0] if asked else "ok")), "latency_ms": latency_ms})
        serve(Sink(journal=Journal(journal), faults=faults, token=token), host=host, port=port)
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
