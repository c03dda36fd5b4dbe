"""Does a push as Picky Assist has it become messages on their lanes, and a bad one nothing at all?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis as redis_py

from gateway import push as push_module
from gateway.push_rows import class_of
from gateway.push_shapes import NOT_YET, NOT_YET_IN_ROWS
from headway import MessageClass, keys, publish
from tests.harness.asgi import Answer, Door
from tests.harness.gateway import CHANNEL, NUMBER, OTHER, TO, TOKEN, open_door, push_of, pushed
from tests.harness.servers import ThrowawayServer

PUSH = "/api/v2/push"


@pytest.fixture
def door(redis: redis_py.Redis, server: ThrowawayServer) -> Iterator[Door]:
    """The door of NUMBER and OTHER."""
    with open_door(server.url) as opened:
        yield opened


def lane(redis: redis_py.Redis, class_: str, number: str = NUMBER) -> list[dict[str, Any]]:
    """Return the messages on a lane in the order in which they leave, each with its id."""
    found = []
    for envelope in reversed(redis.lrange(keys.lane(number, MessageClass(class_)), 0, -1)):
        task = json.loads(envelope)
        found.append({"id": task["headers"]["id"], **json.loads(task["body"])[1]})
    return found


def nothing_enqueued(redis: redis_py.Redis) -> bool:
    """Whether no lane and no record is there."""
    others = (keys.serial().encode(), keys.strikes("").encode())
    found: list[Any] = redis.keys("headway*")
    return not [key for key in found if not key.startswith(others)]


def refused(answer: Answer, status: int) -> str:
    """Check an answer that refuses in Picky's shape; return its message."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json) == {"status", "message"}
    assert answer.json["status"] == status
    message: str = answer.json["message"]
    assert "Traceback" not in message
    return message


# ----------------------------------------------------------------------------------------------------------- accepted


def test_a_push_is_answered_as_picky_answers(door: Door, redis: redis_py.Redis) -> None:
    """Types and order are those of Picky's page: a numeric status, ids and credit as text, rows in their order."""
    answer = door.post(PUSH, push_of("one", {"number": "393337654321", "message": "two"}, "three"))
    body = answer.json
    assert answer.status == 200
    assert list(body) == ["status", "push_id", "message", "data", "estimated_send_at", "waits_for"]
    assert (body["status"], body["message"]) == (100, "Success")
    assert isinstance(body["push_id"], str)
    assert [(row["number"], row["credit"]) for row in body["data"]] == [(TO, "0"), ("393337654321", "0"), (TO, "0")]
    assert [int(row["msg_id"]) - int(body["push_id"]) for row in body["data"]] == [1, 2, 3]
    assert [(row["id"], row["text"]) for row in lane(redis, "normal")] == list(
        zip(pushed(answer), ["one", "two", "three"], strict=True)
    )


def test_a_row_has_a_record_from_the_start(door: Door, redis: redis_py.Redis) -> None:
    """State, class, push and the app's own reference are known before the answer leaves."""
    answer = door.post(PUSH, push_of({"number": TO, "message": "hi", "reference_number": 77}))
    (message_id,) = pushed(answer)
    found: dict[Any, Any] = redis.hgetall(keys.record(message_id))
    record = {name.decode(): value.decode() for name, value in found.items()}
    assert record.pop("accepted_ms").isdigit()
    assert record == {
        "state": "waiting", "number": NUMBER, "class": "normal", "push": answer.json["push_id"], "reference": "77",
    }  # fmt: skip


@pytest.mark.parametrize("application", [NUMBER, int(NUMBER), CHANNEL, int(CHANNEL), f" {NUMBER} "], ids=repr)
def test_application_is_a_number_or_its_channel(door: Door, redis: redis_py.Redis, application: Any) -> None:
    """Text or number, the number itself or the channel id that the provider gave it."""
    pushed(door.post(PUSH, push_of("hi", application=application)))
    assert len(lane(redis, "normal")) == 1


def test_each_number_has_its_own_lanes(door: Door, redis: redis_py.Redis) -> None:
    """The application decides whose TPS it is."""
    pushed(door.post(PUSH, push_of("hi", application=OTHER)))
    assert (len(lane(redis, "normal")), len(lane(redis, "normal", OTHER))) == (0, 1)


@pytest.mark.parametrize(
    ("priority", "rows", "expected"),
    [
        (None, 1, "normal"), ("", 1, "normal"), (0, 1, "normal"), ("0", 100, "normal"), ("0", 101, "bulk"),
        (0, 10_000, "bulk"), (1, 1, "high"), ("1", 10_000, "high"), (" 1 ", 1, "high"), ("urgent", 1, "urgent"),
        ("high", 1, "high"), ("normal", 500, "normal"), ("bulk", 1, "bulk"),
    ],
    ids=repr,
)  # fmt: skip
def test_priority_is_picky_s_or_a_class(priority: Any, rows: int, expected: str) -> None:
    """Picky's 0 is normal, and bulk for a campaign; 1 is high; a class may be called by its name."""
    assert class_of(priority, rows=rows) == expected


def test_priority_with_a_space_in_its_name_counts(door: Door, redis: redis_py.Redis) -> None:
    """As Picky's own samples write it."""
    pushed(door.post(PUSH, {**push_of("hi"), "priority ": "urgent"}))
    assert len(lane(redis, "urgent")) == 1


def test_rows_inherit_from_the_push_what_they_leave_out(door: Door, redis: redis_py.Redis) -> None:
    """A row's own message, media, values and language win; an empty text is the same as none."""
    rows = [
        {"number": TO},
        {"number": TO, "message": "own", "media": "https://a/own.png", "language": "it"},
        {"number": int(TO), "message": "", "media": "", "language": None, "template_message": ["Ann", 42]},
    ]
    shared = {
        "globalmessage": "all", "globalmedia": "https://a/all.pdf", "media_name": "all.pdf", "language": "en",
        "template_id": "XY1", "template_globalmessage": ["x"], "template_header": "Head",
        "location": {"lat": "45.4", "long": 9.2, "name": "Milan", "address": ""},
    }  # fmt: skip
    pushed(door.post(PUSH, push_of(*rows, **shared)))
    first, own, third = lane(redis, "normal")
    assert [row["text"] for row in (first, own, third)] == ["all", "own", "all"]
    assert [row["media_url"][-7:] for row in (first, own, third)] == ["all.pdf", "own.png", "all.pdf"]
    assert [row["language"] for row in (first, own, third)] == ["en", "it", "en"]
    assert [row["template_values"] for row in (first, own, third)] == [["x"], ["x"], ["Ann", "42"]]
    assert {row["template_header"] for row in (first, own, third)} == {"Head"}
    assert first["location"] == {"lat": "45.4", "long": 9.2, "name": "Milan"}


def test_times_and_tag_stand_for_the_push_or_for_a_row(door: Door, redis: redis_py.Redis) -> None:
    """A row's own win; `expires_in` counts from when the message may leave."""
    rows = [
        {"number": TO, "message": "a"},
        {"number": TO, "message": "b", "send_at": "2031-01-01T00:00:00+01:00", "expires_in": "90.5", "tag": "late"},
    ]
    pushed(door.post(PUSH, push_of(*rows, send_at="2030-01-01T00:00:00Z", expires_in=60, tag="offline")))
    first, own = lane(redis, "normal")
    assert (first["send_at"], first["expires_at"]) == ("2030-01-01T00:00:00+00:00", "2030-01-01T00:01:00+00:00")
    assert (own["send_at"], own["expires_at"]) == ("2031-01-01T00:00:00+01:00", "2031-01-01T00:01:30.500000+01:00")
    assert (first["tag"], own["tag"]) == ("offline", "late")


def test_a_group_needs_no_rows(door: Door, redis: redis_py.Redis) -> None:
    """One message to the group; its answer names the group where the number stands."""
    push = {"token": TOKEN, "application": NUMBER, "group_id": "G-1", "globalmessage": "all of you"}
    answer = door.post(PUSH, push | {"group_members": "40"})
    assert [row["number"] for row in answer.json["data"]] == ["G-1"]
    (message,) = lane(redis, "normal")
    assert (message["group_id"], message["text"], message["group_members"]) == ("G-1", "all of you", 40)


def test_fields_that_say_nothing_are_no_fault(door: Door, redis: redis_py.Redis) -> None:
    """Stock clients send what they don't use as empty text, null or 0; there is nothing to ignore in that."""
    nothing: dict[str, Any] = dict.fromkeys(NOT_YET, "") | {"sleep": 0, "contact": [], "voice": "0", "action": None}
    row = {"number": TO, "message": "hi", **dict.fromkeys(NOT_YET_IN_ROWS, "")}
    pushed(door.post(PUSH, push_of(row, **nothing)))
    assert [message["text"] for message in lane(redis, "normal")] == ["hi"]


def test_any_content_type_will_do(door: Door, redis: redis_py.Redis) -> None:
    """PHP clients post JSON as a form."""
    pushed(door.post(PUSH, push_of("hi"), content_type="application/x-www-form-urlencoded"))
    assert len(lane(redis, "normal")) == 1


def test_ten_thousand_rows_are_one_push(door: Door, redis: redis_py.Redis) -> None:
    """The most that Picky takes; all of them are on the lane in their order when the answer comes."""
    rows = [{"number": f"3933{index:08d}", "message": f"m{index}"} for index in range(10_000)]
    ids = pushed(door.post(PUSH, push_of(*rows)))
    waiting = lane(redis, "bulk")
    assert [row["text"] for row in waiting] == [f"m{index}" for index in range(10_000)]
    assert [row["id"] for row in waiting] == ids


def test_pushes_at_one_time_share_no_ids(door: Door, redis: redis_py.Redis) -> None:
    """Each gets its own ids, and each row its own record."""
    answers = door.together(*[("POST", PUSH, push_of("a", "b"))] * 40)
    ids = [message_id for answer in answers for message_id in pushed(answer)]
    assert len({*ids, *(answer.json["push_id"] for answer in answers)}) == 120
    assert redis.llen(keys.lane(NUMBER, MessageClass.NORMAL)) == 80


# ------------------------------------------------------------------------------------------------------------ refused


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + " ", 5, None, [TOKEN]], ids=repr)
def test_a_wrong_token_learns_nothing(door: Door, redis: redis_py.Redis, token: Any) -> None:
    """401 whatever else is wrong with the push."""
    assert refused(door.post(PUSH, {"token": token, "application": "nobody", "data": 5}), 401).startswith("token:")
    assert refused(door.post(PUSH, {}), 401).startswith("token:")
    assert nothing_enqueued(redis)


@pytest.mark.parametrize("application", ["15555550199", "8", "", 0], ids=repr)
def test_an_unknown_application_is_404(door: Door, redis: redis_py.Redis, application: Any) -> None:
    """The message says what an application can be."""
    assert "HEADWAY_NUMBERS" in refused(door.post(PUSH, push_of("hi", application=application)), 404)
    assert nothing_enqueued(redis)


def test_a_channel_of_two_numbers_is_no_address(redis: redis_py.Redis, server: ThrowawayServer) -> None:
    """Guessing would send from the wrong number."""
    with open_door(server.url, **{f"APPLICATION_{OTHER}": CHANNEL}) as door:
        message = refused(door.post(PUSH, push_of("hi", application=CHANNEL)), 404)
        assert "several numbers" in message
        pushed(door.post(PUSH, push_of("hi", application=OTHER)))


LONG = "x" * 4097


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": None}, "data: there is no row"),
        ({"data": []}, "data: there is no row"),
        ({"data": "x"}, "data: must be a list of rows"),
        ({"data": {"number": TO}}, "data: must be a list of rows"),
        ({"data": [5]}, "data[0]: must be an object"),
        ({"data": [None]}, "data[0]: must be an object"),
        ({"data": [{"message": "x"}]}, "data[0].number: is missing"),
        ({"data": [{"number": None, "message": "x"}]}, "data[0].number: must be"),
        ({"data": [{"number": True, "message": "x"}]}, "data[0].number: must be"),
        ({"data": [{"number": f"+{TO}", "message": "x"}]}, "data[0].number: must be 7 to 15 digits"),
        ({"data": [{"number": f"0{TO}", "message": "x"}]}, "data[0].number: must be 7 to 15 digits"),
        ({"data": [{"number": "393 331 234 567", "message": "x"}]}, "data[0].number: must be 7 to 15 digits"),
        ({"data": [{"number": "٣٩٣٣٣١٢٣٤٥٦٧", "message": "x"}]}, "data[0].number: must be 7 to 15 digits"),
        ({"data": [{"number": -393331234567, "message": "x"}]}, "data[0].number: must be 7 to 15 digits"),
        ({"data": [{"number": 10**40, "message": "x"}]}, "data[0].number: must be"),
        ({"data": [{"number": 3933.5, "message": "x"}]}, "data[0].number: must be"),
        ({"data": [{"number": TO}]}, "data[0].message: says nothing"),
        ({"data": [{"number": TO, "message": ""}]}, "data[0].message: says nothing"),
        ({"data": [{"number": TO, "message": 5}]}, "data[0].message: must be text"),
        ({"data": [{"number": TO, "message": LONG}]}, "data[0].message: must have 1 to 4096"),
        ({"data": [{"number": TO, "message": "\ud800"}]}, "data[0].message: has half of a surrogate"),
        ({"data": [{"number": TO, "media": "ftp://a/b"}]}, "data[0].media: must be an http"),
        ({"data": [{"number": TO, "template_message": "x"}]}, "data[0].template_message: must be a list"),
        ({"data": [{"number": TO, "message": "x", "reference_number": LONG}]}, "data[0].reference_number: must have"),
        ({"data": [{"number": TO, "mesage": "x"}]}, "data[0].mesage: is not a field of a push; did you mean message?"),
        ({"data": [{"number": TO, "message": "x", "media_code": "aGk="}]}, "data[0].media_code: is not supported yet"),
        ({"data": [{"messenger_id": "5"}]}, "data[0].messenger_id: is not supported yet"),
    ],
    ids=lambda part: ascii(part)[:90] if isinstance(part, dict) else "",
)  # fmt: skip
def test_bad_rows_are_402(door: Door, redis: redis_py.Redis, change: dict[str, Any], words: str) -> None:
    """The answer names row and field in Picky's words; nothing of the push is enqueued."""
    assert words in refused(door.post(PUSH, push_of("fine") | change), 402)
    assert nothing_enqueued(redis)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"application": None}, "application: must be"),
        ({"application": ["1"]}, "application: must be"),
        ({"priority": "2"}, "priority: must be 0, 1 or one of urgent"),
        ({"priority": "URGENT"}, "priority: must be"),
        ({"priority": True}, "priority: must be"),
        ({"priority": 0.5}, "priority: must be"),
        ({"globalmessage": ["x"]}, "globalmessage: must be text"),
        ({"globalmessage": LONG, "data": [{"number": TO}] * 3}, "globalmessage: must have 1 to 4096"),
        ({"globalmedia": "file:///etc/passwd"}, "globalmedia: must be an http"),
        ({"media_name": "x" * 21}, "media_name: must have 1 to 20"),
        ({"template_header": "x" * 61}, "template_header: must have 1 to 60"),
        ({"template_globalmessage": ["x", "y" * 1025]}, "template_globalmessage[1]: must have 1 to 1024"),
        ({"template_globalmessage": ["x", None]}, "template_globalmessage[1]: must be"),
        ({"location": []}, "location: must be an object"),
        ({"location": {"lat": 1}}, "location: must be an object with lat, long"),
        ({"location": {"lat": 91, "long": 1}}, "location.lat: must be a number from -90 to 90"),
        ({"location": {"lat": 1, "long": 1, "x": [[[[1]]]]}}, "location"),
        ({"globalmesage": "x"}, "globalmesage: is not a field of a push; did you mean globalmessage?"),
        ({"location": {"\ud800": 1}}, "location: "),
        ({"\ud800": 1}, "?: is not a field of a push"),
        ({"send_at": "2030-01-01T00:00:00"}, "send_at: must say its time zone"),
        ({"send_at": "2030-01-01T08:00:00 Europe/Nowhere"}, "send_at: must be a time like"),
        ({"expires_in": -60}, "expires_in: must be a number of seconds above 0"),
        ({"expires_in": 0}, "expires_in: must be a number of seconds above 0"),
        ({"expires_in": "1 hour"}, "expires_in: must be a number of seconds above 0"),
        ({"tag": "a b"}, "tag: must have 1 to 64 letters"),
        ({"group_members": 12}, "group_members: goes with group_id"),
        ({"globalmedia_code": "aGk="}, "globalmedia_code: is not supported yet"),
        ({"contact": [{}]}, "contact: is not supported yet"),
        ({"sticker": 1}, "sticker: is not supported yet"),
        ({"voice": "1"}, "voice: is not supported yet"),
        ({"interactive_globalbuttons": ["a"]}, "interactive_globalbuttons: is not supported yet"),
        ({"createcontact": 1}, "createcontact: is not supported yet"),
        ({"action": 1}, "action: is not supported yet"),
        ({"sleep": 5}, "sleep: is not supported yet"),
        ({"quoted": "1"}, "quoted: is not supported yet"),
        ({"group_id": "G"}, "data: a push to a group has no rows"),
        ({"group_id": "G", "data": []}, "globalmessage: says nothing"),
        ({"group_id": "G", "data": [], "group_members": 1025, "globalmessage": "x"}, "group_members: must be a"),
        ({"group_id": "G", "data": [], "group_members": "many", "globalmessage": "x"}, "group_members: must be a"),
        ({"group_id": "G" * 129, "data": [], "globalmessage": "x"}, "group_id: must have 1 to 128"),
    ],
    ids=lambda part: ascii(part)[:90] if isinstance(part, dict) else "",
)  # fmt: skip
def test_bad_fields_are_400(door: Door, redis: redis_py.Redis, change: dict[str, Any], words: str) -> None:
    """What isn't a row's: the field is named, what can't be acted on is refused by name, and nothing is enqueued."""
    assert words in refused(door.post(PUSH, push_of("fine") | change), 400)
    assert nothing_enqueued(redis)


@pytest.mark.parametrize("missing", ["application", "token"])
def test_what_is_missing_is_named(door: Door, missing: str) -> None:
    """A required field that isn't there."""
    body = push_of("hi")
    del body[missing]
    assert refused(door.post(PUSH, body), 401 if missing == "token" else 400).startswith(
        "token:" if missing == "token" else "nothing was accepted; application: is missing"
    )


def test_a_partly_bad_push_is_refused_whole_and_names_every_bad_row(door: Door, redis: redis_py.Redis) -> None:
    """Wrong types and wrong values of all rows in one answer; the good rows are not enqueued."""
    rows: list[Any] = ["fine"] * 50
    rows[3], rows[7], rows[30] = {"number": "0", "message": "x"}, {"number": TO}, {"number": f"+{TO}", "message": "x"}
    message = refused(door.post(PUSH, push_of(*rows)), 402)
    assert [f"data[{index}]" in message for index in (3, 7, 30)] == [True] * 3
    assert message.count("data[") == 3
    assert nothing_enqueued(redis)


def test_an_answer_names_twenty_bad_rows_and_no_more(door: Door, redis: redis_py.Redis) -> None:
    """Ten thousand bad rows don't become an answer of a megabyte."""
    message = refused(door.post(PUSH, push_of(*[{"number": "0", "message": "x"}] * 10_000)), 402)
    assert message.count("data[") == 20
    assert "there may be more" in message
    assert nothing_enqueued(redis)


def test_10001_rows_are_too_many(door: Door, redis: redis_py.Redis) -> None:
    """Picky's own bound."""
    message = refused(door.post(PUSH, push_of(*[{"number": TO, "message": "x"}] * 10_001)), 402)
    assert "10001 rows" in message
    assert nothing_enqueued(redis)


def test_a_body_over_the_limit_is_not_read(door: Door, redis: redis_py.Redis) -> None:
    """50 MB: refused by its announced length, and by its real one when it announces less."""
    huge = b'{"token": "' + b"x" * 50_000_000 + b'"}'
    assert "50000013 bytes" in refused(door.post(PUSH, huge), 413)
    assert "more than 16777216" in refused(door.post(PUSH, huge, content_length="10"), 413)
    assert nothing_enqueued(redis)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"token": "\xff"}', b'{"token": "a", "token": "b"}', b'{"a":' * 100_000, b"\x00" * 99]
)
def test_what_is_no_object_is_400(door: Door, redis: redis_py.Redis, body: bytes) -> None:
    """Unreadable bodies get Picky's shape too."""
    assert refused(door.post(PUSH, body), 400)
    assert nothing_enqueued(redis)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", PUSH, 405), ("POST", "/api/v2/pish", 404)])
def test_a_wrong_address_is_told_in_picky_s_shape(door: Door, method: str, path: str, status: int) -> None:
    """Whoever speaks Picky's API reads `status` in the body."""
    assert refused(door.call(method, path, b"{}"), status)


def test_a_fault_of_ours_shows_nothing(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 in Picky's shape, without a trace of what went wrong."""
    monkeypatch.setattr(push_module, "messages", lambda shape: 1 / 0)
    assert "division" not in refused(door.post(PUSH, push_of("hi")), 500)


# -------------------------------------------------------------------------------------------------------- the server


def test_a_server_that_is_away_is_101(own_server: ThrowawayServer) -> None:
    """503, and Picky's `service unavailable` in the body: clients try again later."""
    with open_door(own_server.url) as door:
        pushed(door.post(PUSH, push_of("hi")))
        own_server.kill()
        for _ in range(2):
            answer = door.post(PUSH, push_of("hi"))
            assert (answer.status, answer.json["status"], answer.headers["retry-after"]) == (503, 101, "1")


def test_a_full_server_takes_nothing(own_server: ThrowawayServer) -> None:
    """Out of memory: small and large pushes are refused with 503, and nothing is on the lane."""
    client = own_server.client()
    rows = [{"number": TO, "message": "x"}] * 1200
    with open_door(own_server.url) as door:
        pushed(door.post(PUSH, push_of("hi")))
        client.config_set("maxmemory", "1")
        for body in (push_of("hi"), push_of(*rows)):
            answer = door.post(PUSH, body)
            assert (answer.status, answer.json["status"]) == (503, 101)
            assert "maxmemory" in answer.json["message"]
        client.config_set("maxmemory", "0")
        assert client.llen(keys.lane(NUMBER, MessageClass.NORMAL)) == 1
        assert client.llen(keys.lane(NUMBER, MessageClass.BULK)) == 0
        assert len(pushed(door.post(PUSH, push_of(*rows)))) == 1200
    client.close()


def test_a_push_that_was_cut_says_which_rows_are_accepted(
    door: Door, redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server refuses one piece of three: the app learns what is on the lane and what isn't."""
    original = publish.calls

    def second_is_bad(*args: Any, **named: Any) -> Iterator[Any]:
        for index, (names, words) in enumerate(original(*args, **named)):
            redis.set(names[2], "not a record", ex=60) if index == 1 else None
            yield names, words

    monkeypatch.setattr(publish, "calls", second_is_bad)
    answer = door.post(PUSH, push_of(*[{"number": TO, "message": "x"}] * 1200))
    assert (answer.status, answer.json["status"]) == (503, 101)
    message = answer.json["message"]
    assert "only 700 of 1200 rows" in message
    assert "data[0] to data[499], data[1000] to data[1199]" in message
    assert redis.llen(keys.lane(NUMBER, MessageClass.BULK)) == 700
    for key in redis.scan_iter(match="headway:message:*", _type="string"):
        redis.delete(key)
