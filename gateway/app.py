"""What is the HTTP door made of? The one place that puts its parts together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gateway.campaigns import endpoints as campaign_endpoints
from gateway.control import endpoints as control_endpoints
from gateway.dead import endpoints as dead_endpoints
from gateway.health import HealthEndpoints
from gateway.idempotency import HEADERS
from gateway.lockout import Lockout
from gateway.messages import MessageEndpoint, MessageRecord
from gateway.numbers import NumberChange, NumberDetail, NumberEndpoints, NumberList
from gateway.openapi import describe
from gateway.outbox_api import endpoints as outbox_endpoints
from gateway.parts import Parts
from gateway.problems import HttpProblem, handle, handle_fault, json_response
from gateway.push import PushEndpoint
from gateway.push_shapes import PushAnswer, PushRequest
from gateway.reports import Report, ReportEndpoint, ReportRequest
from gateway.routes import Endpoint, routes
from gateway.status import StatusEndpoints, StatusRequest
from gateway.suppression import endpoints as suppression_endpoints
from gateway.webhooks import endpoints as webhook_endpoints
from headway.errors import BrokerUnavailable
from runtime.clock import SystemClock
from runtime.settings import Settings


def build(settings: Settings, url: str) -> Starlette:
    """Return the ASGI app of one process; `url` is the server's. Its parts live from its start-up to its shutdown.

    Raises ValueError when the settings hold no API tokens.
    """
    if not settings.api_tokens:
        raise ValueError("there are no API tokens")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        parts = Parts(settings, url)
        lockout = Lockout(parts.commit, on=settings.lockout, proxies=settings.trusted_proxies, clock=SystemClock())
        app.router.routes[:] = routes(endpoints(parts), lockout)
        try:
            yield
        finally:
            await parts.close()

    handlers: dict[Any, Any] = dict.fromkeys((HttpProblem, BrokerUnavailable, HTTPException, ClientDisconnect), handle)
    return Starlette(lifespan=lifespan, exception_handlers={**handlers, Exception: handle_fault})


def endpoints(parts: Parts) -> list[Endpoint]:
    """Return everything that is served, the busiest first: routes are tried in order."""
    push, report, status = PushEndpoint(parts), ReportEndpoint(parts), StatusEndpoints(parts)
    message, number, health = MessageEndpoint(parts), NumberEndpoints(parts), HealthEndpoints(parts)
    served = [
        Endpoint("POST", "/api/v2/push", push.push, takes=PushRequest, gives=PushAnswer, auth="body", headers=HEADERS),
        *webhook_endpoints(parts),
        Endpoint("POST", "/api/v2/delivery-report", report.report, takes=ReportRequest, gives=Report, auth="body"),
        Endpoint("POST", "/api/v2/device-status", status.device, takes=StatusRequest, auth="body"),
        Endpoint("POST", "/api/v2/check-balance", status.balance, takes=StatusRequest, auth="body"),
        Endpoint("GET", "/v1/messages/{id}", message.get, gives=MessageRecord, auth="bearer"),
        Endpoint("DELETE", "/v1/messages/{id}", message.cancel, gives=MessageRecord, auth="bearer"),
        Endpoint("GET", "/v1/numbers", number.list, gives=NumberList, auth="bearer"),
        Endpoint("GET", "/v1/numbers/{number}", number.get, gives=NumberDetail, auth="bearer"),
        Endpoint("PATCH", "/v1/numbers/{number}", number.patch, takes=NumberChange, gives=NumberDetail, auth="bearer"),
        *control_endpoints(parts),
        *dead_endpoints(parts),
        *outbox_endpoints(parts),
        *campaign_endpoints(parts),
        *suppression_endpoints(parts),
        Endpoint("GET", "/healthz", health.alive),
        Endpoint("GET", "/readyz", health.ready),
    ]
    return [*served, Endpoint("GET", "/openapi.json", _openapi(served))]


def _openapi(served: list[Endpoint]) -> Any:
    document = describe(served)

    async def openapi(_: Request) -> Response:
        """Describe this API."""
        return json_response(document)

    return openapi
