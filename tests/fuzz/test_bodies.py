"""Do pushes and webhooks stay sound, whatever stands in their bodies? Good ones, changed at any place (Hypothesis)."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway import keys
from tests.fuzz.mutations import bodies
from tests.fuzz.target import KEY, SECONDS, SHRINKING_S, Look, Target, for_a_while, in_shape, strict_json
from tests.harness.gateway import CHANNEL, NUMBER, OTHER, TO, TOKEN, push_of
from tests.harness.picky import RECORDED, ROW, inbound, row

pytestmark = [pytest.mark.processes, pytest.mark.timeout(SECONDS + SHRINKING_S)]

#: Batches are short, so that a slow machine ends them in time; what was found is kept by Hypothesis itself.
BATCH = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)

PUSHES: list[Mapping[str, Any]] = [
    push_of("hello"),
    push_of("one", {"number": "4915112345678", "message": "two", "reference_number": "r-2", "language": "de"}),
    push_of({"number": int(TO)}, globalmessage="all", priority=1, application=int(CHANNEL)),
    push_of({"number": TO, "media": "http://example.org/a.jpg"}, media_name="a.jpg", priority="urgent"),
    push_of({"number": TO, "template_message": ["a", 1]}, template_id=12, language="en", template_header="h"),
    push_of(*({"number": f"39333{index:07}"} for index in range(120)), globalmessage="many", priority="0"),
    push_of(application=OTHER, group_id="12345@g.us", globalmessage="to all", group_members="12") | {"data": None},
    push_of({"number": TO}, location={"longitude": 1.5, "latitude": "2", "name": "x", "address": "y"}),
]
WEBHOOKS: list[Mapping[str, Any]] = [
    RECORDED,
    inbound(group__id="g-1", key=KEY, number="Family @Someone"),
    inbound(context__msg__id="9844217", type="text"),
    inbound(direction=1),
    row(),
    row(status="3", reference_number=..., channel_id=CHANNEL),
    row(status=2, error_code=470, error_message="gone", msg_id="1"),
    {
        "event_id": "1",
        "application": CHANNEL,
        "data": [ROW, {**ROW, "msg_id": 2}, {**ROW, "status": 3, "push_id": "8"}],
    },
    {"event_id": 1, "data": ROW},
    {"event_id": 4, "project_id": 27, "data": {"group": "x"}},
]
QUESTIONS: list[Mapping[str, Any]] = [
    {"token": TOKEN, "push_id": "1"},
    {"token": TOKEN, "push_id": 4711, "extra": [1]},
    {"token": TOKEN, "application": CHANNEL},
]

content_types = st.sampled_from(
    [
        "application/json",
        "application/x-www-form-urlencoded",
        "text/plain; charset=utf-16",
        "multipart/form-data",
        "",
        "é",
    ]
)
encodings = st.sampled_from([{}, {}, {}, {"content-encoding": "gzip"}, {"content-encoding": "br, x"}])
authorizations = st.sampled_from(
    ["", "", "", f"Bearer {TOKEN}", "Bearer", "Bearer é", "bearer \t", "Basic dDp0", "x" * 5000]
)
idempotency_keys = st.sampled_from(["", "", "", "a", "b", "é", "x" * 255, "x" * 256, "with blank"])


@st.composite
def headers(draw: st.DrawFn) -> dict[str, str]:
    """Draw headers that a body may come with."""
    found = {"content-type": draw(content_types), **draw(encodings), "authorization": draw(authorizations)}
    found["idempotency-key"] = draw(idempotency_keys)
    return {name: value for name, value in found.items() if value}


def test_a_push_is_taken_whole_or_not_at_all(target: Target) -> None:
    """Taken: as many messages more on the lanes as the answer has rows, each readable. Refused: nothing anywhere."""
    seen: Counter[int] = Counter()

    @BATCH
    @given(bodies(PUSHES), headers())
    def batch(body: bytes, head: dict[str, str]) -> None:
        before = target.look()
        answer = target.send("POST", "/api/v2/push", body, head)
        seen[answer.status] += 1
        in_shape("/api/v2/push", answer)
        if answer.status != 200:
            target.refused_whole(before)
            return
        told = answer.json
        assert (told["status"], told["message"]) == (100, "Success")
        assert all(set(row) - {"estimated_send_at"} == {"msg_id", "number", "credit"} for row in told["data"])
        again = answer.headers.get("idempotent-replayed") == "true"
        _stands_on_its_lane(target, before, 0 if again else len(told["data"]))

    for_a_while(batch, target)
    assert seen[200], f"nothing was taken, so nothing was tried in depth: {seen}"
    assert seen[400], f"nothing was refused: {seen}"


def _stands_on_its_lane(target: Target, before: Look, rows: int) -> None:
    after = target.look()
    assert after.waiting - before.waiting == rows
    assert len(after.keys - before.keys) >= rows, "a message has no record"
    for lane, length in after.lanes.items():
        for envelope in (
            target.redis.lrange(lane, 0, length - before.lanes[lane] - 1) if length > before.lanes[lane] else ()
        ):
            strict_json(envelope)


@pytest.mark.parametrize("number", [NUMBER, OTHER])
def test_a_webhook_is_taken_or_leaves_nothing(target: Target, number: str) -> None:
    """Taken: what the app hears of it is JSON as its standard has it. Refused: not counted, and not told to the app."""
    seen: Counter[int] = Counter()
    path = f"/webhooks/picky/{number}?key={KEY}"

    @BATCH
    @given(bodies(WEBHOOKS), headers())
    def batch(body: bytes, head: dict[str, str]) -> None:
        before = target.look()
        answer = target.send("POST", path, body, head)
        seen[answer.status] += 1
        in_shape(path, answer)
        if answer.status != 200:
            target.refused_whole(before)
            return
        assert answer.json == {}
        for told in target.app.bodies[before.told :]:
            json.dumps(told, allow_nan=False)

    for_a_while(batch, target, seconds=SECONDS / 2)
    assert seen[200], f"nothing was taken, so nothing was tried in depth: {seen}"
    assert seen[400], f"nothing was refused: {seen}"


@pytest.mark.parametrize("name", ["delivery-report", "device-status", "check-balance"])
def test_a_question_leaves_nothing(target: Target, name: str) -> None:
    """Whatever a question says, it is answered in its shape, and enqueues nothing."""

    @BATCH
    @given(bodies(QUESTIONS), headers())
    def batch(body: bytes, head: dict[str, str]) -> None:
        before = target.look()
        answer = target.send("POST", f"/api/v2/{name}", body, head)
        # The provider behind the last two can't be reached from here.
        if answer.status != 503:
            in_shape(f"/api/v2/{name}", answer)
        assert target.look().waiting == before.waiting

    for_a_while(batch, target, seconds=SECONDS / 8)


def test_an_app_may_answer_anything(target: Target) -> None:
    """Whatever the app answers to an inbound message, the provider gets a JSON object, and a repetition the same."""
    serial = itertools.count()
    path = f"/webhooks/picky/{NUMBER}?key={KEY}"
    seen: Counter[bool] = Counter()

    @BATCH
    @given(bodies([{"message-out": "hi", "delay": 0}, {}, {"message_out": {"a": [1, {"b": None}]}}]))
    def batch(said: bytes) -> None:
        target.app.answer = said
        body = json.dumps(inbound(unique__id=f"answer-{next(serial)}")).encode()
        first, second = (target.send("POST", path, body) for _ in range(2))
        in_shape(path, first)
        assert (first.status, second.status) == (200, 200)
        assert isinstance(first.json, dict)
        assert first.json == second.json
        seen[bool(first.json)] += 1

    for_a_while(batch, target, seconds=SECONDS / 4)
    target.app.answer = {}
    assert set(seen) == {True, False}


def test_the_lanes_are_what_is_looked_at(target: Target) -> None:
    """A message that is enqueued shows in the look, so a look that shows none proves something."""
    before = target.look()
    assert target.send("POST", "/api/v2/push", json.dumps(push_of("x")).encode()).status == 200
    after = target.look()
    assert after.waiting == before.waiting + 1
    assert any(name.startswith(keys.record("").encode()) for name in after.keys - before.keys)
    with pytest.raises(AssertionError, match="a refusal left"):
        target.refused_whole(before)
