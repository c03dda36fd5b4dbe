"""Is a push that is asked for again, at any moment and by whichever door, answered as the first one and sent once?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import cast

import pytest
import redis as redis_py

from gateway.idempotency import LONGEST, TTL_S, Claims
from headway import MessageClass, keys
from headway.errors import BrokerUnavailable
from tests.harness.asgi import Answer, Door
from tests.harness.gateway import CHANNEL, NUMBER, TO, TOKEN, open_door, push_of, pushed
from tests.harness.servers import ThrowawayServer

PUSH = "/api/v2/push"


@pytest.fixture
def door(redis: redis_py.Redis, server: ThrowawayServer) -> Iterator[Door]:
    """The door of NUMBER and OTHER."""
    with open_door(server.url) as opened:
        yield opened


def waiting(redis: redis_py.Redis) -> int:
    """How many messages are on the number's lanes."""
    return sum(redis.llen(keys.lane(NUMBER, class_)) for class_ in MessageClass)


def replayed(answer: Answer) -> bool:
    """Whether the answer says that it was given before."""
    return answer.headers.get("idempotent-replayed") == "true"


def claims(redis: redis_py.Redis) -> list[str]:
    """Return the claims that stand in the server."""
    return [cast("bytes", redis.get(name)).decode() for name in redis.scan_iter("headway:idempotency:*")]


def test_the_same_push_again_is_answered_the_same_and_sent_once(door: Door, redis: redis_py.Redis) -> None:
    """To the byte, with a header that says so; for a day."""
    first, again = (door.post(PUSH, push_of("a", "b"), idempotency_key="k") for _ in range(2))
    assert (first.status, again.status, again.body) == (200, 200, first.body)
    assert (replayed(first), replayed(again)) == (False, True)
    assert waiting(redis) == 2
    (name,) = redis.scan_iter("headway:idempotency:*")
    assert TTL_S - 5 <= redis.ttl(name) <= TTL_S


def test_a_replay_asks_nothing_of_what_changed_since(door: Door, server: ThrowawayServer) -> None:
    """What was accepted is answered so, even when the same push would be refused by now."""
    body = push_of("a", application=CHANNEL)
    first = door.post(PUSH, body, idempotency_key="k")
    with open_door(server.url, NUMBERS="15555550199", **{f"APPLICATION_{NUMBER}": "999"}) as other:
        assert other.post(PUSH, body).status == 404
        again = other.post(PUSH, body, idempotency_key="k")
    assert (again.status, again.body, replayed(again)) == (200, first.body, True)


def test_ten_thousand_rows_are_replayed_whole(door: Door, redis: redis_py.Redis) -> None:
    """The answer is built from what is remembered of the push anyway, so it takes no memory of its own."""
    rows = [{"number": f"3933{index:08d}", "message": "m"} for index in range(10_000)]
    first, again = (door.post(PUSH, push_of(*rows), idempotency_key="k") for _ in range(2))
    assert len(pushed(again)) == 10_000
    assert (again.body, replayed(again), waiting(redis)) == (first.body, True, 10_000)
    size = cast("int", redis.memory_usage(next(redis.scan_iter("headway:idempotency:*"))))
    assert size < 512


def test_a_group_is_replayed(door: Door) -> None:
    """A push without rows has an answer with one."""
    body = {"token": TOKEN, "application": NUMBER, "group_id": "G-1", "globalmessage": "all"}
    first, again = (door.post(PUSH, body, idempotency_key="k") for _ in range(2))
    assert (again.body, replayed(again)) == (first.body, True)


def test_another_body_with_the_same_key_is_409(door: Door, redis: redis_py.Redis) -> None:
    """In Picky's shape; nothing of it is accepted."""
    pushed(door.post(PUSH, push_of("a"), idempotency_key="k"))
    answer = door.post(PUSH, push_of("b"), idempotency_key="k")
    assert (answer.status, answer.json["status"]) == (409, 409)
    assert answer.json["message"].startswith("Idempotency-Key: ")
    assert waiting(redis) == 1


def test_each_token_has_its_own_keys(door: Door, redis: redis_py.Redis) -> None:
    """Two apps may both begin to count at 1; neither learns what the other pushed."""
    pushed(door.post(PUSH, push_of("a"), idempotency_key="1"))
    answer = door.post(PUSH, push_of("b", token="other"), idempotency_key="1")
    assert (len(pushed(answer)), replayed(answer), waiting(redis)) == (1, False, 2)


def test_a_refused_push_holds_no_key(door: Door, redis: redis_py.Redis) -> None:
    """What is wrong may be mended and asked again under its key."""
    assert door.post(PUSH, push_of({"number": "x"}), idempotency_key="k").status == 402
    assert door.post(PUSH, push_of("a", token="wrong"), idempotency_key="k").status == 401
    answer = door.post(PUSH, push_of("a"), idempotency_key="k")
    assert (len(pushed(answer)), replayed(answer), waiting(redis)) == (1, False, 1)


@pytest.mark.parametrize("key", ["", " ", "two words", "k" * (LONGEST + 1), "käse"], ids=repr)
def test_a_key_that_cannot_be_is_refused(door: Door, redis: redis_py.Redis, key: str) -> None:
    """Rather than taken for another one, or for none."""
    answer = door.post(PUSH, push_of("a"), idempotency_key=key)
    assert answer.status == 400
    assert answer.json["message"].startswith("Idempotency-Key: must be one key of 1 to 255")
    assert waiting(redis) == 0


def test_any_key_within_bounds_will_do(door: Door) -> None:
    """The longest, and one full of what patterns and separators are made of."""
    for key in ("k" * LONGEST, '"0f-1:*{}\\/?=;,'):
        pushed(door.post(PUSH, push_of("a"), idempotency_key=key))
        assert replayed(door.post(PUSH, push_of("a"), idempotency_key=key))


def test_at_the_same_moment_one_push_comes_of_it(door: Door, redis: redis_py.Redis) -> None:
    """Both are answered, with the same ids; nobody waits for the other."""
    request = ("POST", PUSH, push_of("a", "b"))
    answers = door.together(*[request] * 20, idempotency_key="k")
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert sum(not replayed(answer) for answer in answers) == 1
    assert waiting(redis) == 2


def test_after_a_crash_before_the_publish_the_same_ids_are_published(
    door: Door, redis: redis_py.Redis, server: ThrowawayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim is there, the rows are not: whoever asks again publishes them, by another door too."""

    async def crash(*_: object, **__: object) -> None:
        raise BrokerUnavailable("a crash")

    with monkeypatch.context() as patch:
        patch.setattr("gateway.push.PushEndpoint._accept", crash)
        assert door.post(PUSH, push_of("a", "b"), idempotency_key="k").status == 503
    assert waiting(redis) == 0
    (claim,) = claims(redis)
    with open_door(server.url) as other:
        answer = other.post(PUSH, push_of("a", "b"), idempotency_key="k")
    assert (answer.json["push_id"], replayed(answer)) == (claim.split(" ")[2], True)
    assert (waiting(redis), claims(redis)[0].split(" ")[0]) == (2, "done")


def test_after_a_crash_before_the_answer_nothing_is_published_again(
    door: Door, redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are there, perhaps sent by now; their records know them."""

    async def crash(*_: object, **__: object) -> None:
        raise BrokerUnavailable("a crash")

    with monkeypatch.context() as patch:
        patch.setattr(Claims, "conclude", crash)
        assert door.post(PUSH, push_of("a", "b"), idempotency_key="k").status == 503
    assert waiting(redis) == 2
    redis.delete(keys.lane(NUMBER, MessageClass.NORMAL))  # both have left
    answer = door.post(PUSH, push_of("a", "b"), idempotency_key="k")
    assert (len(pushed(answer)), replayed(answer), waiting(redis)) == (2, True, 0)


def test_a_push_that_was_cut_is_completed(door: Door, redis: redis_py.Redis) -> None:
    """Rows that were accepted stay once, the others join them under the ids that they were given."""
    rows = [{"number": f"3933{index:08d}", "message": "m"} for index in range(1_200)]
    first = door.post(PUSH, push_of(*rows), idempotency_key="k")
    ids = pushed(first)
    for id_ in ids[500:1000]:  # as if the server had refused the second piece
        redis.delete(keys.record(id_))
    lane = keys.lane(NUMBER, MessageClass.BULK)
    kept = [e for e in redis.lrange(lane, 0, -1) if json.loads(e)["headers"]["id"] not in set(ids[500:1000])]
    redis.delete(lane)
    redis.rpush(lane, *kept)
    (name,) = redis.scan_iter("headway:idempotency:*")
    redis.set(name, claims(redis)[0].replace("done", "claimed"), ex=TTL_S)
    again = door.post(PUSH, push_of(*rows), idempotency_key="k")
    assert (again.body, replayed(again)) == (first.body, True)
    assert sorted(json.loads(e)["headers"]["id"] for e in redis.lrange(lane, 0, -1)) == sorted(ids)


def test_a_full_server_takes_nothing_and_the_key_may_be_used_again(
    door: Door, redis: redis_py.Redis, server: ThrowawayServer
) -> None:
    """503, and once there is room the same request is accepted."""
    pushed(door.post(PUSH, push_of("warm")))
    redis.config_set("maxmemory", "1")
    try:
        answer = door.post(PUSH, push_of("a"), idempotency_key="k")
    finally:
        redis.config_set("maxmemory", "0")
    assert (answer.status, answer.json["status"]) == (503, 101)
    pushed(door.post(PUSH, push_of("a"), idempotency_key="k"))
    assert waiting(redis) == 2


def test_a_token_in_the_header_will_do(door: Door, redis: redis_py.Redis) -> None:
    """Then the body needs none, and a retry may give it in either place."""
    body = {name: value for name, value in push_of("a").items() if name != "token"}
    answer = door.post(PUSH, body, authorization=f"Bearer {TOKEN}", idempotency_key="k")
    assert len(pushed(answer)) == 1
    assert replayed(door.post(PUSH, body, authorization=f"bearer {TOKEN}", idempotency_key="k"))
    assert door.post(PUSH, {**body, "token": TOKEN}, idempotency_key="k").status == 409
    assert TO == answer.json["data"][0]["number"]
