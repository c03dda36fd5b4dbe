"""Does the answer to a push say when it leaves, and stay Picky's answer all the same?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis as redis_py

from headway import keys
from runtime import scripts
from runtime.scripts import run_all
from scheduler import control, estimate
from tests.harness.asgi import Answer, Door
from tests.harness.gateway import NUMBER, bearer, open_door, push_of
from tests.harness.servers import ThrowawayServer

PUSH = "/api/v2/push"


@pytest.fixture
def door(redis: redis_py.Redis, server: ThrowawayServer) -> Iterator[Door]:
    """The door of a number that a worker serves."""
    run_all(redis, [control.declare(NUMBER, "worker-1", 10_000)])
    with open_door(server.url) as opened:
        yield opened


def seconds(answer: Answer, at: str | None = None) -> float:
    """Return how far away an estimate is; the push's own unless another is given."""
    text = at or answer.json["estimated_send_at"]
    assert text.endswith("Z")
    return (datetime.fromisoformat(text) - datetime.now(UTC)).total_seconds()


def rows(count: int) -> list[dict[str, str]]:
    """Return so many rows, each to somebody else."""
    return [{"number": f"39333{index:07d}", "message": "hello"} for index in range(count)]


def test_a_push_alone_leaves_at_once(door: Door) -> None:
    """There is room, and nobody is ahead."""
    answer = door.post(PUSH, push_of("one"))
    assert answer.json["waits_for"] == []
    assert abs(seconds(answer)) < 2
    assert answer.json["data"][0]["estimated_send_at"] == answer.json["estimated_send_at"]


def test_each_of_few_rows_has_its_own_estimate(door: Door) -> None:
    """Fifty at ten a second: the last one in about five, and none before the one ahead of it."""
    answer = door.post(PUSH, push_of(*rows(50), priority="bulk"))
    each = [row["estimated_send_at"] for row in answer.json["data"]]
    assert each == sorted(each)
    assert each[-1] == answer.json["estimated_send_at"]
    assert 3.5 < seconds(answer) < 7
    assert answer.json["waits_for"] == ["pace"]


def test_of_many_rows_the_last_one_is_told(door: Door) -> None:
    """A thousand: some hundred seconds, and nothing in the rows."""
    answer = door.post(PUSH, push_of(*rows(1000)))
    assert 90 < seconds(answer) < 120
    assert all(set(row) == {"msg_id", "number", "credit"} for row in answer.json["data"])


def test_pushes_of_one_moment_stand_behind_each_other(door: Door) -> None:
    """The figures are kept for a moment, and what was pushed since is added."""
    first, second = (door.post(PUSH, push_of(*rows(100), priority="bulk")) for _ in range(2))
    assert 8 < seconds(second) - seconds(first) < 12


def test_a_paused_number_and_one_without_a_worker_promise_nothing(door: Door, redis: redis_py.Redis) -> None:
    """null, and why."""
    control.pause(redis, NUMBER, by="Ada")
    answer = door.post(PUSH, push_of("one"))
    assert (answer.json["estimated_send_at"], answer.json["waits_for"]) == (None, ["paused"])
    control.resume(redis, NUMBER, by="Ada")
    redis.delete(keys.declared(NUMBER))
    answer = door.post(PUSH, push_of("two", priority="high"))
    assert (answer.json["estimated_send_at"], answer.json["waits_for"]) == (None, ["worker"])


def test_a_push_of_its_own_time_leaves_then(door: Door) -> None:
    """And says that this is what it waits for; what comes now doesn't stand behind it."""
    at = datetime.now(UTC) + timedelta(hours=2)
    answer = door.post(PUSH, push_of(*rows(90), priority="normal", send_at=at.isoformat()))
    assert answer.json["waits_for"] == ["send_at"]
    assert abs(seconds(answer) - 7200) < 2
    assert seconds(door.post(PUSH, push_of("now"))) < 5


def test_a_repetition_is_told_the_same(door: Door) -> None:
    """Byte for byte, with whatever the first one was told."""
    body = push_of(*rows(30), priority="bulk")
    first, again = (door.post(PUSH, body, **{"idempotency-key": "k"}) for _ in range(2))
    assert again.body == first.body
    assert first.json["waits_for"] == ["pace"]
    assert seconds(first) > 1


def test_a_push_is_accepted_whatever_becomes_of_its_estimate(
    door: Door, redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that can't run costs an answer its estimate, nothing else."""
    broken = scripts.Script("broken", "return redis.error_reply('broken')", "0" * 40)
    monkeypatch.setattr(estimate, "ask", lambda rules, class_: scripts.Call(broken, [keys.meter(rules.number)], []))
    answer = door.post(PUSH, push_of("one"))
    assert answer.status == 200
    assert (answer.json["estimated_send_at"], answer.json["waits_for"]) == (None, [])
    assert redis.llen(keys.lanes(NUMBER)[2]) == 1


def test_numbers_tell_when_each_lane_is_empty(door: Door) -> None:
    """Seconds by class; nothing waits, nothing to wait for."""
    door.post(PUSH, push_of(*rows(60), priority="bulk"))
    (found,) = [
        one for one in json.loads(door.get("/v1/numbers", **bearer()).body)["numbers"] if one["number"] == NUMBER
    ]
    assert (found["empty_in_s"]["urgent"], found["empty_in_s"]["normal"]) == (0, 0)
    assert 4 < found["empty_in_s"]["bulk"] < 8
