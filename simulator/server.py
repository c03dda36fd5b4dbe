"""How does a WhatsApp number look from the wire: the provider's endpoints, and those for whoever tests and judges?"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from simulator import bodies
from simulator.faults import Faults
from simulator.judge import judge
from simulator.number import Number
from simulator.push import (
    SUCCESS,
    TOO_MANY,
    UNAUTHORISED,
    UNREADABLE,
    Push,
    admits,
    answer,
    read,
    read_object,
    text_of,
)
from simulator.quota import STATUSES_PER_MINUTE, Quota
from simulator.serving import run, spoiled, stamped, unanswered

_BASES = ("/api/v2", "/app/api/v2")  # the V4 and the V3 host
#: Events in one piece of the journal: other calls are answered in between.
_PIECE = 1000


class Server:
    """The HTTP face of a number."""

    def __init__(self, number: Number, *, faults: Faults | None = None) -> None:
        self.number = number
        self.faults = faults or Faults()
        self.requests = 0
        self.refused_rows = 0
        self._quota = Quota(number.manners.pushes_per_minute)
        self._status_quota = Quota(STATUSES_PER_MINUTE)

    def app(self) -> ASGIApp:
        """Return the ASGI app."""
        calls = {
            "push": self._push,
            "delivery-report": self._delivery_report,
            "device-status": self._device_status,
            "check-balance": self._check_balance,
            "group-details": self._group_details,
        }
        starlette = Starlette(
            routes=[
                *(Route(f"{base}/{name}", call, methods=["POST"]) for base in _BASES for name, call in calls.items()),
                Route("/control", self._control, methods=["POST"]),
                Route("/journal", self._journal, methods=["GET"]),
                Route("/verdict", self._verdict, methods=["GET", "POST"]),
                Route("/healthz", self._health, methods=["GET"]),
            ],
            lifespan=self._lifespan,
        )
        return stamped(starlette, now_us=self.number.now_us)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with self.number.running():
            yield

    # -------------------------------------------------------------------------------------------- the provider's calls

    async def _push(self, request: Request) -> Response:
        at_us: int = request.scope["arrived_us"]
        push = read(await request.body(), token=self.number.manners.token)
        self.requests += 1
        mode, latency_ms = self.faults.mode, self.faults.latency_ms
        dropped = not self._quota.take(at_us)
        push_id, msg_ids = "", list[str]()
        if mode.takes and push.status == SUCCESS and not dropped:
            push_id, msg_ids = self.number.take(push, at_us=at_us, request=self.requests)
        else:
            self.refused_rows += len(push.rows)
        if latency_ms:
            await asyncio.sleep(latency_ms / 1000)
        if dropped:
            return self._too_many()
        if mode.kind == "http":
            return Response(status_code=mode.status)
        if mode.kind in {"cut", "hang"}:
            return await unanswered(request, cut=mode.kind == "cut")
        if mode.kind == "fail":
            push = Push(mode.status)
        return spoiled(request, JSONResponse(answer(push, push_id=push_id, msg_ids=msg_ids)), kind=mode.kind)

    def _too_many(self) -> Response:
        status_code = 429 if self.number.manners.over_quota == "429" else 200
        return JSONResponse(bodies.refusal(TOO_MANY), status_code=status_code)

    async def _asked(self, request: Request) -> tuple[dict[str, Any], Response | None]:
        """Read a smaller call; the second part is the refusal, if it must be refused."""
        call = read_object(await request.body())
        if call is None:
            return {}, JSONResponse(bodies.refusal(UNREADABLE))
        admitted = admits(call, self.number.manners.token)
        return call, None if admitted else JSONResponse(bodies.refusal(UNAUTHORISED))

    async def _delivery_report(self, request: Request) -> Response:
        call, refusal = await self._asked(request)
        push_id, number = text_of(call, "push_id"), self.number
        sends = number.sends_of(push_id)
        if refusal or sends is None:
            return refusal or JSONResponse(bodies.refusal(UNREADABLE))
        return JSONResponse(
            bodies.delivery_report(sends, push_id=push_id, application=number.application, now_us=number.now_us())
        )

    async def _device_status(self, request: Request) -> Response:
        call, refusal = await self._asked(request)
        if refusal:
            return refusal
        if not self._status_quota.take(request.scope["arrived_us"]):
            return self._too_many()
        self.number.catch_up()
        connected = text_of(call, "application") or self.number.application
        waiting, now_us = self.number.container.waiting, self.number.now_us()
        return JSONResponse(bodies.device_status(connected_number=connected, waiting=waiting, now_us=now_us))

    async def _check_balance(self, request: Request) -> Response:
        _, refusal = await self._asked(request)
        return refusal or JSONResponse(bodies.balance())

    async def _group_details(self, request: Request) -> Response:
        call, refusal = await self._asked(request)
        group_id = text_of(call, "group_id")
        if refusal or not group_id:
            return refusal or JSONResponse(bodies.refusal(UNREADABLE))
        members = self.number.container.conditions.group_members
        return JSONResponse(bodies.group_details(group_id, members=members))

    # ---------------------------------------------------------------------------------------- for whoever tests, judges

    async def _control(self, request: Request) -> Response:
        try:
            wish = await request.json()
            webhooks = _webhooks_wish(wish)
            self.faults.change(wish)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, status_code=422)
        if webhooks:
            self.number.webhooks.pause(paused=webhooks == "pause")
        return JSONResponse(self._behaviour())

    async def _journal(self, _: Request) -> Response:
        """Return the kept events as one JSON list."""
        self.number.catch_up()
        events = list(self.number.record.events)

        async def pieces() -> AsyncIterator[str]:
            for start in range(0, len(events), _PIECE):
                yield ("," if start else "[") + ",".join(json.dumps(e.told()) for e in events[start : start + _PIECE])
                await asyncio.sleep(0)
            yield "]" if events else "[]"

        return StreamingResponse(pieces(), media_type="application/json")

    async def _verdict(self, request: Request) -> Response:
        """Judge from since_us to until_us (query or body); a POST may bring {"classes": {reference: class}}."""
        try:
            wish = {**request.query_params, **(await request.json() if request.method == "POST" else {})}
            since_us, until_us = (int(wish[name]) if name in wish else None for name in ("since_us", "until_us"))
            class_of = {str(key): str(value) for key, value in dict(wish.get("classes", {})).items()}
        except (TypeError, ValueError) as error:
            return JSONResponse({"error": f"use since_us, until_us and classes: {error}"}, status_code=422)
        state = self._state()
        events, tps = list(self.number.record.events), self.number.container.conditions.tps
        # In a thread: webhooks and pushes go on meanwhile.
        verdict = await asyncio.to_thread(
            judge, events, tps=tps, class_of=class_of, since_us=since_us, until_us=until_us
        )
        return JSONResponse({"tps": tps, **verdict.told(), "since_start": state})

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok", **self._state(), **self._behaviour()})

    def _state(self) -> dict[str, Any]:
        return {
            **self.number.counts(),
            "requests": self.requests,
            "dropped_requests": self._quota.dropped,
            "refused_rows": self.refused_rows,
        }

    def _behaviour(self) -> dict[str, Any]:
        return {**self.faults.told(), "webhooks": "pause" if self.number.webhooks.paused else "run"}


def _webhooks_wish(wish: Any) -> str:
    """Return what a control call wants of the webhooks; empty: nothing. Raises ValueError."""
    webhooks = wish.get("webhooks", "") if isinstance(wish, dict) else ""
    if webhooks not in ("", "pause", "run"):  # no set: it may be anything, a list too
        raise ValueError('webhooks must be "pause" or "run"')
    return str(webhooks)


def serve(number: Number, *, faults: Faults, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError when the address can't be bound."""
    run(Server(number, faults=faults).app(), name="simulator", host=host, port=port)
