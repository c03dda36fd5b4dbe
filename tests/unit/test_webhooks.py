"""Is each webhook counted, matched and passed on, in this order and once, and are bad ones told what is wrong?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import redis as redis_py

from delivery import outbox_desk
from delivery.settle import Settlement, settle
from delivery.states import State
from gateway.app import build
from headway import keys
from headway.client import Client
from headway.message import Message
from runtime.scripts import run_all
from runtime.settings import Settings
from scheduler import leases, meter
from scheduler.rules import rules_of
from tests.harness.apps import AppDouble
from tests.harness.asgi import Answer, Door
from tests.harness.home import throwaway_home
from tests.harness.picky import EVENT, HOSTILE, RECORDED, ROW, inbound, row
from tests.harness.servers import ThrowawayServer

NUMBER = "15555550100"
OTHER = "15555550199"
HOOK = f"/webhooks/picky/{NUMBER}"
KEY = "s3cret"


def environment(**more: str) -> dict[str, str]:
    """Return two numbers' settings; the first one has a channel id."""
    names = {name if name.startswith("HEADWAY_") else f"HEADWAY_{name}": value for name, value in more.items()}
    return {
        "HEADWAY_NUMBERS": f"{NUMBER},{OTHER}",
        "HEADWAY_HOME": throwaway_home(),
        "HEADWAY_PUSH_PER_MINUTE": "1000000",
        "HEADWAY_API_TOKENS": "t",
        "HEADWAY_WEBHOOK_KEY": "off",
        f"HEADWAY_APPLICATION_{NUMBER}": "121",
        f"HEADWAY_APPLICATION_{OTHER}": "122",
        **names,
    }


class Town:
    """A gateway on a server, and perhaps an app behind it."""

    def __init__(self, redis: redis_py.Redis, url: str, **more: str) -> None:
        self.redis: Any = redis
        self.settings = Settings.from_env(environment(**more))
        self.door = Door(build(self.settings, url))

    def post(self, body: object, *, path: str = HOOK) -> Answer:
        """Send a webhook."""
        return self.door.post(path, body)

    def taken(self, body: object, *, path: str = HOOK) -> Any:
        """Send a webhook that must be taken; return the answer's JSON."""
        answer = self.post(body, path=path)
        assert answer.status == 200, answer.body
        return answer.json

    def spent(self, number: str = NUMBER) -> tuple[int, int, int, int]:
        """Return the meter's totals: sends, inbound, delivered, read."""
        found = meter.spent(self.redis, number)
        return found.send, found.inbound, found.delivered, found.read

    def sent(self, *, number: str = NUMBER, provider_id: str = "", push_id: str = "", reference: str = "") -> str:
        """Push a message and let a worker send it; return its id."""
        rules = rules_of(self.settings.number(number), lease_ttl_ms=10_000)
        (id_,) = Client(self.redis).push_many(number, [Message(to="393331234567", text="x")])
        more = {name: text for name, text in (("push", push_id), ("reference", reference)) if text}
        if more:
            self.redis.hset(keys.record(id_), mapping=more)
        self.redis.hdel(keys.meter(number), "pace_at")
        run_all(self.redis, [leases.lease(rules, f"L{id_}", "worker"), leases.begin(rules, f"L{id_}", "worker", "t")])
        row_ = Settlement(id_, State.SENT, provider_id=provider_id)
        (reply,) = run_all(self.redis, [settle(number, f"L{id_}", [row_], record_ttl_s=3600)])
        assert reply == [b"sent"]
        return id_

    def written_down(self) -> list[str]:
        """Return the kinds of what the spool holds, in order."""
        (file,) = self.settings.home.glob("spool/*/*.jsonl")
        return [json.loads(line)["kind"] for line in file.read_text().splitlines()]

    def state(self, id_: str) -> str:
        """Return the state that a message's record says."""
        return str(self.redis.hget(keys.record(id_), "state").decode())


@pytest.fixture
def town(redis: redis_py.Redis, server: ThrowawayServer) -> Iterator[Town]:
    """No app behind it: what comes in is counted and matched."""
    town = Town(redis, server.url)
    with town.door:
        yield town


@pytest.fixture
def app() -> Iterator[AppDouble]:
    """An app with a webhook of its own."""
    with AppDouble() as app:
        yield app


@pytest.fixture
def forwarding(redis: redis_py.Redis, server: ThrowawayServer, app: AppDouble) -> Iterator[Town]:
    """The first number's app wants to hear of everything."""
    town = Town(redis, server.url, **{f"FORWARD_URL_{NUMBER}": app.url, "WEBHOOK_KEY": KEY})
    with town.door:
        yield town


KEYED = f"{HOOK}?key={KEY}"

# ------------------------------------------------------------------------------------------------------------ counted


def test_an_inbound_message_is_counted_once(town: Town) -> None:
    """Answered with an empty object, as there is nothing to say; repeated, nothing changes."""
    assert [town.taken(RECORDED), town.taken(RECORDED)] == [{}, {}]
    assert town.spent() == (0, 1, 0, 0)
    assert town.redis.exists(keys.seen(NUMBER, "in:751403635"))


def test_receipts_are_counted_by_message_and_kind(town: Town) -> None:
    """Delivered and read use TPS, once each; submitted, failed, refunded and unknown don't."""
    rows = [{**ROW, "status": status} for status in (1, 3, 1, 0, 2, 4, 5)]
    body = {**EVENT, "data": rows}
    town.taken(body)
    town.taken(body)
    assert town.spent() == (0, 0, 1, 1)


def test_a_flood_is_counted_whole(town: Town) -> None:
    """What arrives together shares a round trip, and each is counted; twins among them once."""
    bodies = [inbound(unique__id=index % 150) for index in range(200)]
    bodies += [row(msg_id=index, status=1 + 2 * (index % 2)) for index in range(200)]
    answers = town.door.together(*(("POST", HOOK, body) for body in bodies))
    assert {answer.status for answer in answers} == {200}
    assert town.spent() == (0, 150, 100, 100)


def test_a_webhook_of_many_receipts_is_counted_and_matched_whole(town: Town) -> None:
    """More rows than one call takes: in parts, in their order."""
    ids = [town.sent() for _ in range(3)]
    rows = [{"msg_id": index, "reference_number": "x", "status": 1} for index in range(700)]
    for at, id_ in zip((0, 350, 699), ids, strict=True):
        rows[at]["reference_number"] = id_
    town.taken({"event_id": 1, "data": rows})
    assert town.spent()[2] == 700
    assert [town.state(id_) for id_ in ids] == ["delivered"] * 3


@pytest.mark.parametrize("body", [inbound(direction=1), {"event_id": 2}, {"event_id": 3}, {"event_id": 4}])
def test_what_uses_no_tps_is_not_counted(town: Town, body: dict[str, Any]) -> None:
    """The echo of our own message, a filter report, news of groups and subscribers."""
    assert town.taken(body) == {}
    assert town.spent() == (0, 0, 0, 0)


# ------------------------------------------------------------------------------------------------------ whose it is


def test_the_bodys_channel_names_the_number(town: Town) -> None:
    """It wins over the address; without it the address counts; a number is its own name."""
    town.taken(inbound(application=122))
    town.taken(inbound(application=..., unique__id=2))
    town.taken(inbound(application=OTHER, unique__id=3))
    town.taken(row(channel_id="122"))
    assert town.spent() == (0, 1, 0, 0)
    assert town.spent(OTHER) == (0, 2, 1, 0)


def test_a_number_without_a_channel_takes_any(redis: redis_py.Redis, server: ThrowawayServer) -> None:
    """Nobody said which one it is, so its own address counts."""
    town = Town(redis, server.url, **{f"HEADWAY_APPLICATION_{NUMBER}": ""})
    with town.door:
        town.taken(inbound(application=8))
        town.taken(inbound(application=122, unique__id=2))
    assert (town.spent()[1], town.spent(OTHER)[1]) == (1, 1)


def test_a_shared_channel_is_told_apart_by_the_address(redis: redis_py.Redis, server: ThrowawayServer) -> None:
    """Two projects call their channel 8: each webhook has its own number's address."""
    town = Town(redis, server.url, **{f"HEADWAY_APPLICATION_{NUMBER}": "8", f"HEADWAY_APPLICATION_{OTHER}": "8"})
    with town.door:
        town.taken(inbound(application=8), path=f"/webhooks/picky/{OTHER}")
    assert (town.spent()[1], town.spent(OTHER)[1]) == (0, 1)


# ------------------------------------------------------------------------------------------------------------ matched


def test_a_receipt_is_matched_by_our_id_and_by_the_providers(town: Town) -> None:
    """The reference that it echoes is our id; without one the provider's id leads to it."""
    by_reference, by_id = town.sent(), town.sent(provider_id="9844217")
    town.taken(row(msg_id=5, reference_number=by_reference, status=1))
    town.taken(row(reference_number=..., status=3))
    assert (town.state(by_reference), town.state(by_id)) == ("delivered", "read")


def test_a_receipt_at_the_wrong_address_finds_its_message(town: Town) -> None:
    """An event webhook doesn't say its channel, and one address may serve a whole project: our id tells."""
    id_ = town.sent(number=OTHER)
    town.taken(row(reference_number=id_, status=3))
    assert town.state(id_) == "read"


@pytest.mark.parametrize(
    ("status", "state"), [(0, "sent"), (1, "delivered"), (2, "failed"), (3, "read"), (4, "sent"), (5, "failed")]
)
def test_each_status_has_its_state(town: Town, status: int, state: str) -> None:
    """Refunded is failed; unknown and submitted are no news of what was sent."""
    id_ = town.sent()
    town.taken(row(reference_number=id_, status=status))
    assert town.state(id_) == state


def test_an_uncertain_message_is_proven_by_its_receipt(town: Town) -> None:
    """Nothing is left that could be sent again."""
    id_ = town.sent()
    town.redis.hset(keys.record(id_), "state", "uncertain")
    town.redis.hset(keys.kept(NUMBER), id_, "6envelope")
    town.redis.zadd(keys.uncertain(NUMBER), {id_: 1})
    town.taken(row(reference_number=id_, status=4))
    assert town.state(id_) == "sent"
    assert not town.redis.exists(keys.kept(NUMBER), keys.uncertain(NUMBER))


def test_receipts_of_strangers_are_counted_and_no_error(town: Town) -> None:
    """Somebody else sends through the same number: that uses its TPS too."""
    assert town.taken(row()) == {}
    assert town.spent() == (0, 0, 1, 0)


# --------------------------------------------------------------------------------------------------------- passed on


def test_receipts_reach_the_app_with_our_ids(forwarding: Town, app: AppDouble) -> None:
    """Numbers stay numbers and text stays text; the reference is the app's own; a stranger's row is left as it is."""
    id_ = forwarding.sent(push_id="1700000000005", reference="order 5")
    forwarding.redis.rename(keys.record(id_), keys.record("1700000000006"))
    rows = [
        {**ROW, "reference_number": "1700000000006"},
        {**ROW, "msg_id": "5", "push_id": "6", "reference_number": "1700000000006"},
        {**ROW, "msg_id": 99, "reference_number": "theirs"},
    ]
    assert forwarding.taken({**EVENT, "data": rows}, path=KEYED) == {}
    (body,) = app.bodies
    assert {name: value for name, value in body.items() if name != "data"} == {"project_id": 27, "event_id": 1}
    first, second, third = body["data"]
    assert first == {
        **ROW,
        "msg_id": 1700000000006,
        "push_id": 1700000000005,
        "reference_number": "order 5",
    }
    assert (second["msg_id"], second["push_id"]) == ("1700000000006", "1700000000005")
    assert third == rows[2]


def test_a_message_of_no_http_push_has_no_push_id(forwarding: Town, app: AppDouble) -> None:
    """The Python client's ids aren't digits, so they stay text; the provider's push isn't the app's business."""
    id_ = forwarding.sent()
    forwarding.taken(row(reference_number=id_), path=KEYED)
    (received,) = app.bodies[0]["data"]
    assert (received["msg_id"], received["reference_number"], "push_id" in received) == (id_, "", False)


def test_an_inbound_message_reaches_the_app_once_as_it_came(forwarding: Town, app: AppDouble) -> None:
    """Without our own key, which the provider gives back; a repetition gets the same answer and goes no further."""
    app.answer = {"number": "61400000000", "type": "1", "message-out": "Hi", "delay": "0"}
    body = {**RECORDED, "key": KEY, "my-variable": "7"}
    assert [forwarding.taken(body, path=KEYED), forwarding.taken(body, path=KEYED)] == [app.answer, app.answer]
    assert app.bodies == [{**RECORDED, "my-variable": "7"}]


def test_the_message_that_it_answers_is_named_as_ours(forwarding: Town, app: AppDouble) -> None:
    """The provider's id leads to ours; a stranger's stays."""
    id_ = forwarding.sent(provider_id="9844217")
    forwarding.taken(inbound(context__msg__id="9844217"), path=KEYED)
    forwarding.taken(inbound(context__msg__id="77", unique__id=2), path=KEYED)
    assert [body["context-msg-id"] for body in app.bodies] == [id_, "77"]


def test_an_instant_reply_is_relayed_and_charged_once(forwarding: Town, app: AppDouble) -> None:
    """It goes around every queue, so it stands on the meter as a send."""
    app.answer = {"message-out": "Hi"}
    for _ in range(2):
        forwarding.taken(RECORDED, path=KEYED)
    assert forwarding.spent() == (1, 1, 0, 0)
    assert forwarding.redis.exists(keys.seen(NUMBER, "reply:751403635"))


@pytest.mark.parametrize("answer", [{}, {"message-out": ""}, {"status": "ok"}, b"", b"OK", b"[]", b'"x"', b"\xff"])
def test_an_answer_that_says_nothing_costs_nothing(forwarding: Town, app: AppDouble, answer: object) -> None:
    """An object is relayed as it is; what is no object becomes an empty one, because the provider wants JSON."""
    app.answer = answer
    assert forwarding.taken(RECORDED, path=KEYED) == (answer if isinstance(answer, dict) else {})
    assert forwarding.spent() == (0, 1, 0, 0)


def test_twins_at_one_moment_reach_the_app_once(forwarding: Town, app: AppDouble) -> None:
    """The provider delivered one message twice within a second: both get the app's answer."""
    app.answer = {"message-out": "Hi"}
    answers = forwarding.door.together(*(("POST", KEYED, RECORDED) for _ in range(5)))
    assert [answer.json for answer in answers] == [app.answer] * 5
    assert len(app.bodies) == 1
    assert forwarding.spent() == (1, 1, 0, 0)


def test_a_twin_at_another_gateway_is_told_to_come_again(forwarding: Town, app: AppDouble) -> None:
    """Another process passes the message on right now: whether the app takes it isn't known yet."""
    forwarding.redis.set(keys.forwarded(NUMBER, "in:751403635"), "claim:of another", ex=20)
    assert forwarding.post(RECORDED, path=KEYED).status == 503
    assert app.bodies == []


@pytest.mark.parametrize("body", [RECORDED, EVENT, inbound(direction=1), {"event_id": 3}])
def test_what_an_app_that_is_down_doesnt_take_is_kept(forwarding: Town, app: AppDouble, body: dict[str, Any]) -> None:
    """200, because it is safe: it stands in the outbox as the app would have got it, and was counted once."""
    app.status = 500
    app.answer = {"message-out": "Hi"}
    assert forwarding.taken(body, path=KEYED) == {}
    (listed,) = outbox_desk.page(forwarding.redis, NUMBER, "waiting").entries
    assert json.loads(listed.entry.body) == app.bodies[0]
    assert (listed.entry.attempts, listed.entry.problem) == (1, "the app answered HTTP 500")
    assert sum(forwarding.spent()) == (1 if body in (RECORDED, EVENT) else 0)


def test_a_number_without_an_app_forwards_nothing(forwarding: Town, app: AppDouble) -> None:
    """Each number has its own address to forward to, or none."""
    forwarding.taken(inbound(application=122), path=KEYED)
    assert app.bodies == []


# ---------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(("body", "field"), HOSTILE)
def test_a_webhook_that_cant_be_read_names_its_field(town: Town, body: dict[str, Any], field: str) -> None:
    """A problem in the shape of RFC 9457; nothing is counted."""
    answer = town.post(body)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json["status"] == 400
    assert answer.json["detail"].startswith(f"{field}: ")
    assert town.redis.dbsize() == 0


@pytest.mark.parametrize(
    ("raw", "status", "says"),
    [
        (b"", 400, "not JSON"),
        (b"[]", 400, "object"),
        (b"\xff\xfe", 400, "UTF-8"),
        (b'{"number":', 400, "not JSON"),
        (b'{"number":1,"number":2}', 400, "number"),
        (b'{"a":' * 50 + b"1" + b"}" * 50, 400, "nested"),
        (b'{"a":' * 99_999 + b"1" + b"}" * 99_999, 400, "nested"),
        (b'{"unique-id":' + b"9" * 5000 + b"}", 400, "number"),
        (b'{"type":NaN}', 400, "NaN"),
        (b"x" * (1024 * 1024 + 1), 413, "bytes"),
    ],
)
def test_a_body_that_is_no_webhook_says_so(town: Town, raw: bytes, status: int, says: str) -> None:
    """Whatever bytes a stranger sends: a problem, no fault of ours, and nothing counted."""
    answer = town.post(raw)
    assert (answer.status, says in answer.json["detail"]) == (status, True), answer.body
    assert town.redis.dbsize() == 0


def test_a_form_with_json_in_it_is_read(town: Town) -> None:
    """The header may say what it likes."""
    answer = town.door.post(HOOK, RECORDED, content_type="application/x-www-form-urlencoded")
    assert answer.status == 200
    assert town.spent()[1] == 1


@pytest.mark.parametrize("query", ["", "?key=", "?key=wrong", f"?key={KEY}x", f"?Key={KEY}", f"?key=x&key={KEY[:-1]}"])
def test_a_wrong_key_gets_nothing(forwarding: Town, app: AppDouble, query: str) -> None:
    """Missing, empty, wrong, nearly right: 401, and nothing is counted or passed on."""
    answer = forwarding.post(RECORDED, path=HOOK + query)
    assert (answer.status, answer.json["detail"].startswith("key: ")) == (401, True)
    assert not [key for key in forwarding.redis.scan_iter() if not key.startswith(b"headway:strikes:")]
    assert app.bodies == []


@pytest.mark.parametrize("key", ["new-key", "old-key"])
def test_while_a_key_is_replaced_both_are_taken(
    redis: redis_py.Redis, server: ThrowawayServer, app: AppDouble, key: str
) -> None:
    """Old and new, each alone, and the app sees neither; what only looks like the list is wrong."""
    town = Town(redis, server.url, **{f"FORWARD_URL_{NUMBER}": app.url, "WEBHOOK_KEY": "new-key, old-key"})
    with town.door:
        town.taken({**RECORDED, "key": key}, path=f"{HOOK}?key={key}")
        for wrong in ("new-key,old-key", "new-key, old-key", "old-key2", "new-keyold-key", ""):
            assert town.post(inbound(unique__id=2), path=f"{HOOK}?key={quote(wrong)}").status == 401
    assert town.spent() == (0, 1, 0, 0)
    assert "key" not in app.bodies[0]


def test_without_a_key_nobody_gets_in_until_a_person_says_so(redis: redis_py.Redis, server: ThrowawayServer) -> None:
    """What was left out is no invitation; the answer says what to set."""
    town = Town(redis, server.url, WEBHOOK_KEY="")
    with town.door:
        answer = town.post(RECORDED, path=f"{HOOK}?key=")
    assert answer.status == 401
    assert "no HEADWAY_WEBHOOK_KEY" in answer.json["detail"]
    assert town.redis.dbsize() == 0


def test_one_numbers_key_opens_no_other_number(redis: redis_py.Redis, server: ThrowawayServer) -> None:
    """The body's channel can't lead around the key of the number that it means."""
    town = Town(redis, server.url, **{f"WEBHOOK_KEY_{NUMBER}": "a", f"WEBHOOK_KEY_{OTHER}": "b"})
    with town.door:
        assert town.post(inbound(application=122), path=f"{HOOK}?key=a").status == 401
        assert town.post(row(channel_id=122), path=f"{HOOK}?key=a").status == 401
        town.taken(inbound(application=122), path=f"/webhooks/picky/{OTHER}?key=b")
    assert (town.spent()[1], town.spent(OTHER)[1:]) == (0, (1, 0, 0))


def test_unknown_numbers_and_channels_are_named(town: Town) -> None:
    """404: of the address, of an inbound message, of one receipt among others, of which none is counted then."""
    assert "15555550111" in town.post(RECORDED, path="/webhooks/picky/15555550111").json["detail"]
    mixed = {**EVENT, "data": [ROW, {**ROW, "channel_id": 9}]}
    for body in (inbound(application=9), mixed):
        answer = town.post(body)
        assert (answer.status, "application: 9" in answer.json["detail"]) == (404, True)
    assert town.door.get(HOOK).status == 405
    assert town.redis.dbsize() == 0


# ---------------------------------------------------------------------------------------------------------- server away


def test_with_the_server_away_inbound_reaches_the_app(own_server: ThrowawayServer, app: AppDouble) -> None:
    """Fail open: the app's answer is relayed; what the app doesn't take, and receipts, are written down."""
    town = Town(own_server.client(), own_server.url, **{f"FORWARD_URL_{NUMBER}": app.url})
    app.answer = {"message-out": "Hi"}
    with town.door:
        own_server.kill()
        assert town.taken(RECORDED) == {"message-out": "Hi"}
        assert town.taken(inbound(unique__id=2)) == {"message-out": "Hi"}
        assert town.taken(EVENT) == {}
        app.status = 500
        assert town.taken(inbound(unique__id=3)) == {}
        assert town.written_down() == ["taken", "taken", "receipts", "inbound"]
    assert [body["unique-id"] for body in app.bodies] == ["751403635", 2, 3]


def test_with_the_server_away_and_no_app_everything_is_written_down(own_server: ThrowawayServer) -> None:
    """So that it can be counted at its own time; without our own key."""
    town = Town(own_server.client(), own_server.url)
    with town.door:
        own_server.kill()
        assert [town.taken(RECORDED), town.taken(EVENT)] == [{}, {}]
        assert town.written_down() == ["inbound", "receipts"]


def test_what_is_safe_nowhere_is_to_be_repeated(own_server: ThrowawayServer, app: AppDouble) -> None:
    """503 when the server is away, the app takes nothing and the disk is no disk."""
    town = Town(own_server.client(), own_server.url, HOME="/dev/null/home", **{f"FORWARD_URL_{NUMBER}": app.url})
    app.status = 500
    with town.door:
        own_server.kill()
        for body in (RECORDED, EVENT, inbound(direction=1)):
            refused = town.post(body)
            assert (refused.status, refused.headers["content-type"]) == (503, "application/problem+json")
