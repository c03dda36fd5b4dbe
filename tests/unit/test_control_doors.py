"""Can a number's messages be steered over HTTP, with a preview, a reason and an audit log?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis as redis_py

from headway import Client, keys
from scheduler import control
from tests.harness.asgi import Answer, Door
from tests.harness.gateway import NUMBER, TO, TOKEN, bearer, open_door, push_of, pushed
from tests.harness.servers import ThrowawayServer
from tests.scripts.stage import everything

PATH = f"/v1/numbers/{NUMBER}"
WHY = {"reason": "a test"}


@pytest.fixture
def door(redis: redis_py.Redis, server: ThrowawayServer) -> Iterator[Door]:
    """The door of NUMBER."""
    with open_door(server.url) as opened:
        yield opened


def asked(door: Door, **body: Any) -> Answer:
    """Ask for something."""
    return door.post(f"{PATH}/control", body, **bearer())


def refused(answer: Answer, status: int) -> str:
    """Check a refusal; return what it says."""
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json"), answer.body
    return str(answer.json["detail"])


def test_a_message_is_taken_back_and_says_so(door: Door, redis: redis_py.Redis) -> None:
    """Twice is as good as once; its record says who and why, and so does the audit log."""
    message_id = Client(redis).push(NUMBER, to=TO, text="hi")
    for _ in range(2):
        answer = door.call("DELETE", f"/v1/messages/{message_id}?reason=oops&by=ada", **bearer())
        assert (answer.status, answer.json["state"], answer.json["reason"]) == (200, "cancelled", "oops")
    (entry,) = door.get(f"{PATH}/audit", **bearer()).json["entries"]
    assert (entry["verb"], entry["message"], entry["by"], entry["reason"]) == ("cancel", message_id, "ada", "oops")
    assert entry["where"].startswith("token ")
    assert TOKEN not in str(entry)


@pytest.mark.parametrize(("state", "words"), [("sent", "sent already"), ("dead", "given up"), ("read", "read already")])
def test_what_has_left_can_not_be_taken_back(door: Door, redis: redis_py.Redis, state: str, words: str) -> None:
    """409, and why."""
    message_id = Client(redis).push(NUMBER, to=TO, text="hi")
    redis.hset(keys.record(message_id), "state", state)
    assert words in refused(door.call("DELETE", f"/v1/messages/{message_id}", **bearer()), 409)


@pytest.mark.parametrize("message_id", ["1", "x" * 200, "a%0ab"])
def test_what_never_was_can_not_be_taken_back(door: Door, message_id: str) -> None:
    """404, and what that can mean."""
    assert "no record" in refused(door.call("DELETE", f"/v1/messages/{message_id}", **bearer()), 404)


def test_a_preview_counts_shows_and_changes_nothing(door: Door, redis: redis_py.Redis) -> None:
    """How many, and some of them, recipients masked."""
    client = Client(redis)
    client.push_many(
        NUMBER, [{"to": f"39333000{i:04}", "text": "x", "class": "bulk", "campaign": "c1"} for i in range(7)]
    )
    client.push(NUMBER, to=TO, text="x", class_="bulk", campaign="c2")
    before = everything(redis)
    for body in ({"preview": True}, {}):
        path = f"{PATH}/control" + ("" if body else "?preview=true")
        told = door.post(path, {"verb": "purge", "campaign": "c1", **body}, **bearer()).json
        assert (told["count"], told["exact"], told["preview"], len(told["samples"])) == (7, True, True, 5)
        assert told["samples"][0]["to"] == "3933••••••00"
        assert (told["samples"][0]["class"], told["samples"][0]["campaign"]) == ("bulk", "c1")
    assert everything(redis) == before


def test_a_purge_drops_and_tells_how_many(door: Door, redis: redis_py.Redis) -> None:
    """At once, as far as it can be reached; who, from where and why stand in the audit log."""
    ids = Client(redis).push_many(NUMBER, [{"to": f"39333000{i:04}", "text": "x", "class": "bulk"} for i in range(300)])
    told = asked(door, verb="purge", **{"class": "bulk"}, **WHY).json
    assert (told["dropped"], told["marks"][0]["what"]) == (300, "drop")
    assert door.get(f"/v1/messages/{ids[0]}", **bearer()).json["state"] == "cancelled"
    (entry,) = door.get(f"{PATH}/audit", **bearer()).json["entries"]
    assert (entry["verb"], entry["selection"], entry["rows"], entry["reason"]) == (
        "purge", {"class": "bulk"}, 300, "a test",
    )  # fmt: skip


def test_a_hold_stands_until_it_is_lifted(door: Door) -> None:
    """The list of marks shows it; a resume that meets nothing says what is held."""
    told = asked(door, verb="pause", campaign="c1", until="2h", by="ada").json
    assert told["marks"][0]["until_ms"] - told["marks"][0]["at_ms"] in range(7_190_000, 7_200_001)
    (mark,) = door.get(f"{PATH}/marks", **bearer()).json["marks"]
    assert (mark["what"], mark["selection"], mark["by"]) == ("hold", {"campaign": "c1"}, "ada")
    assert "what is: campaign c1" in refused(asked(door, verb="resume", campaign="c2"), 400)
    assert asked(door, verb="resume", campaign="c1").status == 200
    assert door.get(f"{PATH}/marks", **bearer()).json["marks"] == []


def test_a_drained_number_refuses_pushes(door: Door) -> None:
    """In Picky's shape, with who and why; nothing is left of what was refused; accept takes pushes again."""
    assert asked(door, verb="drain", by="ada", **WHY).status == 200
    answer = door.post("/api/v2/push", push_of("a"))
    assert (answer.status, answer.json["status"]) == (409, 409)
    assert "takes no more messages: a test (ada); nothing was accepted" in answer.json["message"]
    assert asked(door, verb="accept").status == 200
    pushed(door.post("/api/v2/push", push_of("a")))


def test_a_whole_number_pauses_and_goes_on(door: Door, redis: redis_py.Redis) -> None:
    """As by PATCH, which takes a reason and an end, too."""
    assert asked(door, verb="pause", **WHY).status == 200
    assert control.read(redis, NUMBER).paused
    assert asked(door, verb="resume").status == 200
    assert not control.read(redis, NUMBER).paused
    answer = door.call("PATCH", PATH, {"paused": True, "until": "1h", **WHY}, **bearer())
    assert answer.json["paused"] is True
    assert (answer.json["changes"][0]["reason"], "until_ms" in answer.json["changes"][0]) == ("a test", True)
    assert control.read(redis, NUMBER).paused_until_ms is not None


def test_a_number_says_what_would_go(door: Door, redis: redis_py.Redis) -> None:
    """After an outage: how much waits, how old it is, and what of it has expired already."""
    client = Client(redis)
    client.push(NUMBER, to=TO, text="old", expires_at="2020-01-01T00:00:00Z", class_="bulk")
    client.push(NUMBER, to=TO, text="new", class_="bulk")
    assert door.get(PATH, **bearer()).json["would_go"] == [
        {"class": "bulk", "waiting": 2, "oldest_s": 0, "looked": 2, "expired": 1}
    ]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "verb`; say one of pause, resume"),
        ({"verb": "explode"}, "; say one of pause, resume, purge, cancel, drain, accept"),
        ({"verb": "stop"}, "verb: "),
        ({"verb": "purge"}, "reason: say why"),
        ({"verb": "cancel", **WHY}, "selection: say which"),
        ({"verb": "drain", "tag": "t", **WHY}, "selection: drain goes by number and class"),
        ({"verb": "pause", "class": "loud"}, "class: "),
        ({"verb": "pause", "campaign": "a b"}, "campaign: must have"),
        ({"verb": "pause", "campaign": 7}, "campaign: "),
        ({"verb": "pause", "older_than": "2 hours"}, "older_than: must be a duration"),
        ({"verb": "pause", "older_than": "0s"}, "older_than: must be a duration"),
        ({"verb": "pause", "older_than": "999999999d"}, "older_than: must be more than nothing"),
        ({"verb": "pause", "until": "tomorrow"}, "until: must be a time with its zone"),
        ({"verb": "pause", "until": "2040-01-01T00:00:00"}, "until: must be a time with its zone"),
        ({"verb": "pause", "until": "2020-01-01T00:00:00Z"}, "until: must be in the future"),
        ({"verb": "purge", "until": "1h", **WHY}, "until: purge is done at once"),
        ({"verb": "pause", "by": " "}, "by: must have"),
        ({"verb": "pause", "reason": "x" * 501}, "reason: must have at most 500"),
        ({"verb": "pause", "recipient": "x"}, "recipient"),
        ({"verb": "pause", "to": "\n"}, "to: must be"),
    ],
)
def test_what_can_not_be_asked_is_refused_and_changes_nothing(
    door: Door, redis: redis_py.Redis, body: dict[str, Any], words: str
) -> None:
    """400, and the field."""
    before = everything(redis)
    assert words in refused(asked(door, **body), 400)
    assert everything(redis) == before


@pytest.mark.parametrize("limit", ["0", "1001", "x", "-1"])
def test_the_audit_log_is_bounded(door: Door, limit: str) -> None:
    """A page has 1 to 1,000 entries."""
    assert "limit:" in refused(door.get(f"{PATH}/audit?limit={limit}", **bearer()), 400)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", f"{PATH}/control"), ("GET", f"{PATH}/marks"), ("GET", f"{PATH}/audit"), ("DELETE", "/v1/messages/1")],
)
def test_nobody_without_a_token_steers(door: Door, method: str, path: str) -> None:
    """401, whatever is asked."""
    refused(door.call(method, path, {"verb": "pause"}), 401)
