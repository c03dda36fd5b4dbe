"""What is a webhook at the least? A bare Starlette endpoint that reads JSON and does one INCR, on the same uvicorn."""

from __future__ import annotations

import os

import redis.asyncio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

client = redis.asyncio.Redis.from_url(os.environ["BENCH_REDIS"])


async def take(request: Request) -> Response:
    body = await request.json()
    await client.incr("event" if "event_id" in body else "inbound")
    return JSONResponse({})


app = Starlette(routes=[Route("/hook", take, methods=["POST"])])

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["BENCH_PORT"]), access_log=False, log_level="warning")
