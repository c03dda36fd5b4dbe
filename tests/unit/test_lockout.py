"""Is an address that guesses refused in time, in every process, and nobody else with it?"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import cast

import pytest
import redis as redis_py
from starlette.requests import Request

from gateway import lockout as lockout_module
from gateway.lockout import LOCKOUT_MS, STRIKE_MS, address_of
from headway import keys
from tests.harness.asgi import Answer, Door
from tests.harness.gateway import NUMBER, TOKEN, bearer, open_door, push_of, pushed
from tests.harness.servers import ThrowawayServer

PUSH = "/api/v2/push"
#: The address that `Door` calls from.
HERE = "test"


@pytest.fixture
def door(redis: redis_py.Redis, server: ThrowawayServer) -> Iterator[Door]:
    """A door with a key for its webhooks."""
    with open_door(server.url, WEBHOOK_KEY="k3y") as opened:
        yield opened


def guess(door: Door, *, times: int = 1, **headers: str) -> list[int]:
    """Push with wrong tokens, each another one; return the answers' statuses."""
    return [door.post(PUSH, push_of("x", token=f"guess{at}"), **headers).status for at in range(times)]


def hear_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each request ask the server who is locked out."""
    monkeypatch.setattr(lockout_module, "_HEAR_EVERY_US", 0)


def asked(host: str, *forwarded: str) -> Request:
    """Return a request that came from an address."""
    headers = [(b"x-forwarded-for", text.encode()) for text in forwarded]
    return Request({"type": "http", "headers": headers, "client": (host, 1)})


def test_three_wrong_tokens_are_let_pass_and_the_fourth_locks_out(door: Door) -> None:
    """More than three in three minutes: refused, with the right token too, and told for how long."""
    assert guess(door, times=4) == [401] * 4
    answer = door.post(PUSH, push_of("x"))
    assert (answer.status, answer.json["status"]) == (429, 429)
    assert LOCKOUT_MS // 1000 - 5 <= int(answer.headers["retry-after"]) <= LOCKOUT_MS // 1000
    assert door.get(f"/v1/numbers/{NUMBER}", **bearer()).status == 429


def test_three_wrong_tokens_lock_nobody_out(door: Door) -> None:
    """A slip or two in an app's configuration costs nothing."""
    assert guess(door, times=3) == [401] * 3
    pushed(door.post(PUSH, push_of("x")))


def test_header_and_body_count_together_and_a_missing_token_doesnt(door: Door) -> None:
    """Who guesses changes the place; who looks at an address without a token guesses nothing."""
    for _ in range(6):
        assert door.get("/v1/numbers").status == 401
        assert door.post(PUSH, {}).status == 401
    assert door.get("/v1/numbers", authorization="Bearer no").status == 401
    assert door.post(PUSH, push_of("x", token=""), authorization="Bearer no").status == 401
    assert guess(door, times=2) == [401] * 2
    assert door.get("/v1/numbers", **bearer()).status == 429


def test_wrong_tokens_older_than_three_minutes_are_forgotten(door: Door, redis: redis_py.Redis) -> None:
    """The window slides: three old ones and three new ones are never four in three minutes."""
    guess(door, times=3)
    name = keys.strikes(HERE)
    for member in cast("list[bytes]", redis.zrange(name, 0, -1)):
        redis.zincrby(name, -STRIKE_MS - 1, member)
    assert guess(door, times=3) == [401] * 3
    pushed(door.post(PUSH, push_of("x")))


def test_a_lockout_ends(door: Door, redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time, or when a person takes the entry away."""
    hear_at_once(monkeypatch)
    guess(door, times=4)
    assert redis.zrem(keys.lockouts(), HERE) == 1
    pushed(door.post(PUSH, push_of("x")))


def test_one_door_counts_for_all(
    door: Door, redis: redis_py.Redis, server: ThrowawayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two guesses here and two there are four."""
    hear_at_once(monkeypatch)
    with open_door(server.url) as other:
        assert guess(door, times=2) + guess(other, times=2) == [401] * 4
        assert door.post(PUSH, push_of("x")).status == 429
        assert other.post(PUSH, push_of("x")).status == 429


def test_a_webhook_with_the_right_key_is_always_taken(door: Door) -> None:
    """Customers of one provider share its addresses: none of them may shut out our inbound messages."""
    inbound = {"unique-id": "1", "number": "393331234567", "message-in": "hi"}
    hook = f"/webhooks/picky/{NUMBER}?key="
    assert [door.post(hook + "wrong", inbound).status for _ in range(5)] == [401] * 5
    assert door.post(hook + "k3y", inbound).status == 200
    assert door.post(PUSH, push_of("x")).status == 429


def test_it_can_be_switched_off(redis: redis_py.Redis, server: ThrowawayServer) -> None:
    """Where a proxy sees to it; nothing is counted then."""
    with open_door(server.url, LOCKOUT="off") as door:
        assert guess(door, times=6) == [401] * 6
        assert not redis.exists(keys.strikes(HERE), keys.lockouts())


def test_with_the_server_away_nobody_learns_whether_a_token_is_right(own_server: ThrowawayServer) -> None:
    """Wrong ones can't be counted then, so they are answered as right ones are."""
    with open_door(own_server.url) as door:
        own_server.stop()
        answers: list[Answer] = [door.post(PUSH, push_of("x", token=token)) for token in (TOKEN, "wrong", "wrong")]
        assert [answer.status for answer in answers] == [503, 503, 503]


def test_a_strike_that_is_told_twice_counts_once(redis: redis_py.Redis) -> None:
    """A script whose answer got lost may run again."""
    from gateway.lockout import LET_PASS
    from runtime import scripts

    names = [keys.strikes("a"), keys.lockouts()]

    def strike(id_: str) -> int:
        return int(scripts.load("gateway", "strike").run(redis, names, ["a", id_, LET_PASS, STRIKE_MS, LOCKOUT_MS]))

    assert [strike(id_) for id_ in ("1", "1", "2", "2", "3", "3")] == [0] * 6
    assert strike("4") == LOCKOUT_MS
    assert 0 < strike("4") <= LOCKOUT_MS
    assert not redis.exists(keys.strikes("a"))


PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("9.9.9.9", ["1.2.3.4"], "9.9.9.9"),  # who connects is no proxy of ours
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),  # the first was written by the caller
        ("10.0.0.1", ["6.6.6.6, 1.2.3.4, 10.0.0.2"], "1.2.3.4"),
        ("10.0.0.1", ["6.6.6.6", "1.2.3.4:5678"], "1.2.3.4"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["," * 100_000], "10.0.0.1"),
        ("fd00::1", ["[2001:db8:1:2:3::4]:80"], "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
    ],
)
def test_only_what_a_trusted_proxy_added_is_believed(peer: str, forwarded: list[str], found: str) -> None:
    """Read from the end; the first that no proxy of ours is, is the caller."""
    assert address_of(asked(peer, *forwarded), PROXIES) == found


def test_without_trusted_proxies_nothing_is_believed() -> None:
    """Else everybody could choose an address, or lock out somebody else's."""
    assert address_of(asked("10.0.0.1", "1.2.3.4"), []) == "10.0.0.1"
    assert address_of(asked("2001:db8::1"), []) == address_of(asked("2001:db8::2"), []) == "2001:db8::/64"
    assert address_of(Request({"type": "http", "headers": [], "client": None}), []) == "unknown"
