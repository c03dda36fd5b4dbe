"""Does the client accept all of a push or none, once, and say when it can't?"""

from __future__ import annotations

import inspect
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis as redis_py

from headway import BrokerUnavailable, Client, InvalidMessage, Message, MessageClass, keys
from headway.testing import Accepted, RecordingClient
from tests.harness.servers import ThrowawayServer, free_port

NUMBER = "15555550100"
GOOD: dict[str, Any] = {"to": "393331234567", "text": "hello"}


@pytest.fixture(params=["real", "recording"])
def client(request: pytest.FixtureRequest, redis: redis_py.Redis) -> Client | RecordingClient:
    """Give a client with a server, and its double without one: what holds for one holds for the other."""
    return Client(redis) if request.param == "real" else RecordingClient()


def accepted(client: Client | RecordingClient, redis: Any) -> int:
    """Count what a client has accepted."""
    if isinstance(client, RecordingClient):
        return len(client.accepted)
    return sum(redis.llen(lane) for lane in keys.lanes(NUMBER))


AnyClient = Client | RecordingClient


def test_a_push_answers_with_the_id_and_the_record_says_waiting(client: AnyClient, redis: redis_py.Redis) -> None:
    """From fields or from a Message alike."""
    first = client.push(NUMBER, to="393331234567", text="hi", class_="high", reference="order 17")
    second = client.push(NUMBER, Message(**GOOD), id="mine")
    assert second == "mine"
    record = client.status(first)
    assert record is not None
    record.pop("accepted_ms", None)
    assert record == {"state": "waiting", "number": NUMBER, "class": "high", "reference": "order 17"}
    assert client.status("never pushed".replace(" ", "-")) is None
    assert accepted(client, redis) == 2


def test_all_are_checked_before_the_first_is_enqueued(client: AnyClient, redis: redis_py.Redis) -> None:
    """The last of many is wrong: none is accepted."""
    rows: list[Any] = [GOOD] * 1500 + [{"to": "x", "text": "y"}]
    with pytest.raises(InvalidMessage, match="to:"):
        client.push_many(NUMBER, rows)
    assert accepted(client, redis) == 0


def test_repeating_a_push_with_its_ids_is_safe(client: AnyClient, redis: redis_py.Redis) -> None:
    """What was accepted stays, once; what wasn't is accepted now."""
    ids = [f"m{i}" for i in range(1200)]
    client.push_many(NUMBER, [GOOD] * 700, ids=ids[:700])
    assert client.push_many(NUMBER, [GOOD] * 1200, ids=ids) == ids
    assert client.push_many(NUMBER, (GOOD for _ in ids), ids=tuple(ids)) == ids
    assert accepted(client, redis) == 1200


def test_rows_keep_their_order_within_a_class(redis: redis_py.Redis) -> None:
    """Across the chunks of a long push too; the head of a lane is at its right."""
    rows = [{**GOOD, "class": ("bulk", "urgent")[i % 2]} for i in range(2400)]
    Client(redis).push_many(NUMBER, rows, ids=[f"m{i}" for i in range(2400)])
    for lane, first in zip((keys.lanes(NUMBER)[3], keys.lanes(NUMBER)[0]), (0, 1), strict=True):
        raws: Any = redis.lrange(lane, 0, -1)
        assert [json.loads(raw)["headers"]["id"] for raw in reversed(raws)] == [f"m{i}" for i in range(first, 2400, 2)]


@pytest.mark.parametrize(
    "number",
    ["", "+15555550100", "0155555501", "12345", 15555550100, None, "15555550100\n", b"15555550100"],
    ids=repr,
)
def test_the_sending_number_is_checked(client: AnyClient, number: Any) -> None:
    """Digits with country code, as text."""
    with pytest.raises(InvalidMessage, match="number:"):
        client.push_many(number, [GOOD])


@pytest.mark.parametrize(
    "ids",
    [
        [], ["a"], ["a", "a"], ["a", "b", "c"], ["a", ""], ["a", "x" * 129], ["a", "b c"], ["a", "ü"], ["a", None],
        ["a", 5], ["a", b"b"], ["a", ["b"]], "ab", ["a", "b\n"], ["a", "b*"],
    ],
)  # fmt: skip
def test_ids_are_one_for_each_message(client: AnyClient, redis: redis_py.Redis, ids: Any) -> None:
    """Each of its own, of letters, digits and a few marks; a text is no list of its letters."""
    with pytest.raises(InvalidMessage, match="ids:"):
        client.push_many(NUMBER, [GOOD, GOOD], ids=ids)
    assert accepted(client, redis) == 0


@pytest.mark.parametrize(
    "rows", [[None], ["text"], [5], [{}], [{"to": "393331234567"}], [{**GOOD, "tekst": "x"}], GOOD], ids=repr
)
def test_what_is_no_message_is_refused(client: AnyClient, redis: redis_py.Redis, rows: Any) -> None:
    """Also one message where a list is wanted."""
    with pytest.raises(InvalidMessage):
        client.push_many(NUMBER, rows)
    assert accepted(client, redis) == 0


def test_a_message_and_fields_together_are_refused(client: AnyClient) -> None:
    """Which one was meant, nobody knows."""
    with pytest.raises(InvalidMessage, match="text: give a Message or its fields"):
        client.push(NUMBER, Message(**GOOD), text="other")


def test_nothing_to_push_is_no_error(client: AnyClient) -> None:
    """An empty list has no ids."""
    assert client.push_many(NUMBER, []) == []


@pytest.mark.parametrize("id_", ["", "a b", "x" * 129, None, 5, b"a", ["a"]])
def test_the_id_of_a_status_is_checked(client: AnyClient, id_: Any) -> None:
    """It becomes part of a key."""
    with pytest.raises(InvalidMessage, match="id:"):
        client.status(id_)


def test_a_server_that_is_away_is_said_so() -> None:
    """At once, without a repeat behind the caller's back, for push and status alike."""
    client = Client(f"redis://127.0.0.1:{free_port()}/0")
    for call in (lambda: client.push(NUMBER, **GOOD), lambda: client.status("a")):
        with pytest.raises(BrokerUnavailable, match="doesn't answer"):
            call()


def test_the_double_can_be_away_too() -> None:
    """An app tests what it does then; what can't be sent is said first."""
    client = RecordingClient()
    client.away = True
    with pytest.raises(BrokerUnavailable):
        client.push(NUMBER, **GOOD)
    with pytest.raises(BrokerUnavailable):
        client.status("a")
    with pytest.raises(InvalidMessage):
        client.push(NUMBER, to="x", text="y")
    assert client.accepted == []


def test_a_server_that_refuses_to_write_is_said_so(own_server: ThrowawayServer) -> None:
    """A full server takes nothing, and the client works again when there is room."""
    admin = own_server.client()
    client = Client(own_server.url)
    admin.config_set("maxmemory", 1)
    with pytest.raises(BrokerUnavailable, match="refuses to write"):
        client.push(NUMBER, id="a", **GOOD)
    assert client.status("a") is None
    admin.config_set("maxmemory", 0)
    assert client.push(NUMBER, id="a", **GOOD) == "a"
    admin.close()


def test_a_server_that_came_back_is_used_again(own_server: ThrowawayServer) -> None:
    """Killed and started anew, its scripts forgotten: the next push works."""
    client = Client(own_server.url)
    client.push(NUMBER, **GOOD)
    own_server.kill()
    with pytest.raises(BrokerUnavailable):
        client.push(NUMBER, **GOOD)
    own_server.start()
    client.push(NUMBER, **GOOD)


def test_a_client_that_decodes_answers_is_fine(server: ThrowawayServer, redis: redis_py.Redis) -> None:
    """An app may give the connection that it has already."""
    own = redis_py.Redis.from_url(server.url, decode_responses=True)
    client = Client(own)
    id_ = client.push(NUMBER, **GOOD)
    assert (client.status(id_) or {})["state"] == "waiting"
    own.close()


def test_a_record_outlives_the_wait_of_its_message(redis: redis_py.Redis) -> None:
    """One to be sent in 90 days is still found then."""
    at = datetime.now(UTC) + timedelta(days=90)
    id_ = Client(redis, record_ttl=timedelta(days=30)).push(NUMBER, send_at=at, **GOOD)
    ttl: Any = redis.ttl(keys.record(id_))
    assert timedelta(days=119) < timedelta(seconds=ttl) <= timedelta(days=120)


def test_a_waiting_message_takes_little_memory(redis: redis_py.Redis) -> None:
    """At most 0.9 KB for a message of 120 characters, its record included."""
    client = Client(redis)
    client.push(NUMBER, **GOOD)
    before = redis.info("memory")["used_memory"]
    count = 20_000
    rows = [Message(to=f"39333{i:07d}", text="x" * 120, class_=MessageClass.BULK) for i in range(count)]
    client.push_many(NUMBER, rows)
    del rows
    each = (redis.info("memory")["used_memory"] - before) / count
    assert each <= 900, f"{each:.0f} bytes for each waiting message"


def test_the_double_has_the_clients_surface() -> None:
    """The same public methods with the same parameters; what it has more is its own record."""

    def surface(kind: type) -> dict[str, inspect.Signature]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {name: inspect.signature(function) for name, function in found if not name.startswith("_")}

    assert surface(RecordingClient) == surface(Client)


def test_the_double_keeps_what_it_accepted_in_order() -> None:
    """With number, id and the checked message."""
    client = RecordingClient()
    client.push_many(NUMBER, [GOOD, {**GOOD, "text": "2"}], ids=["a", "b"])
    assert client.accepted[0] == Accepted(NUMBER, "a", Message.of(GOOD))
    assert [entry.message.text for entry in client.accepted] == ["hello", "2"]
