"""Does each address keep to what our own OpenAPI page says of it? Schemathesis, on the page as it is served.

Requests that fit the page, and requests that don't; some with known numbers, tokens and ids in them, because nothing
else gets past the first look.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.specs.openapi import checks

from tests.fuzz.target import PATIENCE_S, SECONDS, SHRINKING_S, Answered, Target, for_a_while, in_shape
from tests.harness.gateway import NUMBER, TO, TOKEN, push_of

pytestmark = [pytest.mark.processes, pytest.mark.timeout(SECONDS + SHRINKING_S)]

BATCH = settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)

CHECKS: list[CheckFunction] = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
#: Their provider can't be reached from here, and they say so.
ASK_THE_PROVIDER = {"/api/v2/device-status", "/api/v2/check-balance"}


def _with_known(case: Any, message_id: str) -> None:
    """Put what the gateway knows where a request has something made up."""
    known = {"number": NUMBER, "id": message_id, "token": TOKEN, "application": NUMBER}
    case.path_parameters = {name: known.get(name, value) for name, value in (case.path_parameters or {}).items()}
    if isinstance(case.body, dict):
        case.body |= {name: value for name, value in known.items() if name in case.body and name != "id"}
        rows = case.body.get("data")
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict):
                row["number"] = TO


def _headers(operation: Any, *, known: bool) -> Mapping[str, str]:
    return {"authorization": f"Bearer {TOKEN}"} if known or operation.path.startswith("/v1/") else {}


def _operations(target: Target) -> list[Any]:
    page = target.send("GET", "/openapi.json").json
    operations: list[Any] = [*schemathesis.openapi.from_dict(page).get_all_operations()]
    return [found.ok() for found in operations]


def test_every_address_keeps_to_its_page(target: Target) -> None:
    """No fault of ours, no answer that the page doesn't describe, and nothing is left of what was refused."""
    operations = _operations(target)
    seen: dict[str, Counter[int]] = {operation.label: Counter() for operation in operations}

    def batch() -> None:
        accepted = target.send("POST", "/api/v2/push", json.dumps(push_of("known")).encode()).json
        for operation in operations:
            for known in (True, False):
                _try(target, operation, accepted["data"][0]["msg_id"] if known else "", seen[operation.label])

    for_a_while(batch, target)
    assert {"POST /api/v2/push", "PATCH /v1/numbers/{number}", "GET /v1/messages/{id}"} <= set(seen)
    assert all(seen.values()), f"some address was never asked: {seen}"
    assert seen["GET /v1/messages/{id}"][200], "no known message was asked for"


def _try(target: Target, operation: Any, message_id: str, seen: Counter[int]) -> None:
    """Ask one address a few times, with what is known in it when a message is named."""
    modes = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]

    @BATCH
    @given(st.one_of(*modes))
    def one(case: Any) -> None:
        if message_id:
            _with_known(case, message_id)
        before = target.look()
        try:
            answer = case.call(
                base_url=target.url, headers=dict(_headers(operation, known=bool(message_id))), timeout=PATIENCE_S
            )
        except (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL, UnicodeError):
            return  # the client itself can't say this
        seen[answer.status_code] += 1
        if answer.status_code == 503 and operation.path in ASK_THE_PROVIDER:
            return
        headers = {name: values[0] for name, values in answer.headers.items()}
        in_shape(operation.path, Answered(answer.status_code, headers, answer.content))
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code >= 400:
            target.refused_whole(before)

    one()
