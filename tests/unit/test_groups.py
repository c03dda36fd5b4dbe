"""Is a group's size asked for once, beside its pushes, within a quota, and believed for a day?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis as redis_py

from headway import MessageClass, keys
from providers.picky_groups import NotToldError, members
from providers.wire import Answer, NoAnswer
from scheduler import quota
from tests.harness.apps import AppDouble
from tests.harness.asgi import Door
from tests.harness.gateway import CHANNEL, NUMBER, TOKEN, open_door, pushed
from tests.harness.leaks import leaks
from tests.harness.servers import ThrowawayServer

GROUP = "120363041234567890"
PEOPLE = [{"number": f"39333000000{index}", "created_time": "2024-01-01"} for index in range(7)]
DETAILS = {"status": 100, "message": "OK", "group_members": PEOPLE, "group_admins": PEOPLE[:1]}


@pytest.fixture
def provider() -> Iterator[AppDouble]:
    """A provider that knows the group."""
    with AppDouble() as provider:
        provider.answer = DETAILS
        yield provider


@pytest.fixture
def door(server: ThrowawayServer, redis: redis_py.Redis, provider: AppDouble) -> Iterator[Door]:
    """A gateway that may ask it."""
    assert redis.dbsize() == 0
    with open_door(server.url, PROVIDER_URL=provider.url, PROVIDER_TOKEN="pr0vider") as door:
        yield door


def push(door: Door, group: str = GROUP, **fields: Any) -> None:
    """Push a message to a group."""
    body = {"token": TOKEN, "application": NUMBER, "group_id": group, "globalmessage": "Hi", **fields}
    assert len(pushed(door.post("/api/v2/push", body))) == 1


def on_the_lane(redis: Any) -> list[int | None]:
    """Return the members that each waiting message says, the first first."""
    found = redis.lrange(keys.lane(NUMBER, MessageClass.NORMAL), 0, -1)
    return [json.loads(json.loads(raw)["body"])[1].get("group_members") for raw in reversed(found)]


def test_a_groups_size_is_asked_for_once_and_told_with_the_next_messages(
    door: Door, redis: redis_py.Redis, provider: AppDouble
) -> None:
    """The first message doesn't wait for the answer; who says a size is believed, and nobody is asked."""
    push(door, group_members=3)
    assert provider.bodies == []
    push(door)
    door.wait(lambda: redis.get(keys.members(NUMBER, GROUP)) == b"7", description="a size that is known")
    push(door)
    push(door, group_members=4)
    assert on_the_lane(redis) == [3, None, 7, 4]
    assert provider.bodies == [{"token": "pr0vider", "application": CHANNEL, "group_id": GROUP}]
    assert 86_000 < redis.ttl(keys.members(NUMBER, GROUP)) <= 86_400
    assert not leaks(redis)


def test_messages_that_arrive_together_ask_once(door: Door, redis: redis_py.Redis, provider: AppDouble) -> None:
    """While the question is under way nobody else asks it."""
    provider.hold()
    body = {"token": TOKEN, "application": NUMBER, "group_id": GROUP, "globalmessage": "Hi"}
    answers = door.together(*(("POST", "/api/v2/push", body) for _ in range(5)))
    assert [answer.status for answer in answers] == [200] * 5
    push(door)
    provider.go.set()
    door.wait(lambda: redis.get(keys.members(NUMBER, GROUP)) == b"7", description="a size that is known")
    assert len(provider.bodies) == 1
    assert on_the_lane(redis) == [None] * 6


def test_what_the_provider_doesnt_say_is_asked_again_later(
    door: Door, redis: redis_py.Redis, provider: AppDouble
) -> None:
    """For a quarter of an hour nobody asks; the message goes by the usual size."""
    provider.answer = {"status": 404, "message": "no such group"}
    push(door)
    door.wait(lambda: redis.ttl(keys.members(NUMBER, GROUP)) > 60, description="an answer")
    push(door)
    assert len(provider.bodies) == 1
    assert on_the_lane(redis) == [None, None]
    assert 840 < redis.ttl(keys.members(NUMBER, GROUP)) <= 900


def test_questions_keep_to_their_quota(door: Door, redis: redis_py.Redis, provider: AppDouble) -> None:
    """Three a minute, whatever is pushed; what may not be asked now is asked in a minute."""
    for index in range(6):
        push(door, group=f"{GROUP}{index}")
    door.wait(lambda: len(provider.bodies) == 3, description="three questions")
    account = quota.account_of("picky", "pr0vider")
    door.wait(lambda: redis.zcard(keys.quota(account, "group-details")) == 3, description="a quota that is used up")
    assert len(provider.bodies) == 3
    assert 0 < redis.pttl(keys.members(NUMBER, f"{GROUP}5")) <= 60_000


def test_without_a_token_nobody_is_asked(server: ThrowawayServer, redis: redis_py.Redis, provider: AppDouble) -> None:
    """The provider would refuse it."""
    with open_door(server.url, PROVIDER_URL=provider.url) as door:
        push(door)
        push(door)
    assert (provider.bodies, on_the_lane(redis)) == ([], [None, None])


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (NoAnswer("timeout", "nothing came", left=True), "timeout: nothing came"),
        (Answer(200, b"<html>"), "can't be read"),
        (Answer(200, b"[]"), "can't be read"),
        (Answer(200, b'{"status": 401}'), "status 401"),
        (Answer(500, json.dumps(DETAILS).encode()), "HTTP 500"),
        (Answer(200, b'{"status": 100, "group_members": 5}'), "names no members"),
        (Answer(200, b'{"status": "100", "group_members": []}'), "names no members"),
    ],
)
def test_an_answer_that_tells_nothing_says_why(answer: Answer | NoAnswer, problem: str) -> None:
    """So that the log names it."""
    with pytest.raises(NotToldError, match=problem):
        members(answer)


def test_admins_count_where_members_leave_them_out() -> None:
    """Whichever list is longer: foreseeing too few receipts is worse than too many."""
    body = {**DETAILS, "group_members": PEOPLE[:1], "group_admins": PEOPLE[:4]}
    assert members(Answer(200, json.dumps(body).encode())) == 4
