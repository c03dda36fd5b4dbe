"""What does the HTTP door say of itself? OpenAPI 3.1, made from the routes table and from the types that validate."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import msgspec
from msgspec import Struct

from gateway.problems import PICKY_PREFIX
from gateway.routes import Endpoint


class PickyProblem(Struct):
    """What could not be done, as Picky says it: 101 try later, 401 token, 402 numbers or rows, 404 application."""

    status: int
    message: str


class ProblemJson(Struct, kw_only=True, omit_defaults=True):
    """What could not be done (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[str] = []


_REF = "#/components/schemas/{name}"


def describe(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the OpenAPI document of these endpoints."""
    types = {kind for endpoint in endpoints for kind in (endpoint.takes, endpoint.gives, endpoint.uploads) if kind}
    ordered = sorted(types, key=lambda kind: kind.__name__)
    _, components = msgspec.json.schema_components([*ordered, PickyProblem, ProblemJson], ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(_plain(endpoint.path), {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Headway", "version": _version(), "summary": "Messages for WhatsApp numbers, at their TPS"},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "done"}
    if endpoint.gives is not None:
        answer["content"] = _content(endpoint.gives, "application/json")
    picky = endpoint.path.startswith(PICKY_PREFIX)
    problem = _content(PickyProblem, "application/json") if picky else _content(ProblemJson, "application/problem+json")
    told: dict[str, Any] = {
        "summary": endpoint.summary,
        "responses": {"200": answer, "default": {"description": "it could not be done", "content": problem}},
    }
    names = re.findall(r"{(\w+)", endpoint.path)
    if names:
        told["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    if endpoint.headers:
        given = [{"name": name, "in": "header", "schema": schema} for name, schema in endpoint.headers.items()]
        told["parameters"] = [*told.get("parameters", []), *given]
    if endpoint.takes is not None:
        told["requestBody"] = {"required": True, "content": _content(endpoint.takes, "application/json")}
    if endpoint.uploads is not None:
        told["requestBody"]["content"] |= _form(endpoint.uploads)
    if endpoint.auth == "bearer":
        told["security"] = [{"token": []}]
    return told


def _content(kind: type[Any], media_type: str) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": _REF.format(name=kind.__name__)}}}


def _form(kind: type[Any]) -> dict[str, Any]:
    """Return the form of an upload: a file, and JSON about it."""
    parts = {"file": {"type": "string", "format": "binary"}, "campaign": {"$ref": _REF.format(name=kind.__name__)}}
    schema = {"type": "object", "properties": parts, "required": list(parts)}
    return {"multipart/form-data": {"schema": schema, "encoding": {"campaign": {"contentType": "application/json"}}}}


def _plain(path: str) -> str:
    """Return a path without Starlette's convertors: `{id:path}` is `{id}`."""
    return re.sub(r"{(\w+):\w+}", r"{\1}", path)


def _version() -> str:
    try:
        return metadata.version("headway")
    except metadata.PackageNotFoundError:  # run from a checkout that wasn't installed
        return "0"
