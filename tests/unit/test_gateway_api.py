"""Does the control API say what is so, change what it is told, and describe itself?"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import redis as redis_py

from gateway.app import build
from gateway.reports import STATUSES
from headway import Client, keys
from runtime import scripts
from runtime.settings import Settings
from scheduler import control, meter
from scheduler.meter import Event, Kind
from scheduler.rules import NumberRules
from tests.harness.asgi import Answer, Door
from tests.harness.gateway import CHANNEL, NUMBER, OTHER, TO, TOKEN, bearer, open_door, push_of, pushed
from tests.harness.servers import ThrowawayServer

RULES = NumberRules(number=NUMBER, tps_milli=10_000, guard_us=0, headroom_ppm=0, in_flight=25, lease_ttl_us=10_000_000)


@pytest.fixture
def door(redis: redis_py.Redis, server: ThrowawayServer) -> Iterator[Door]:
    """The door of NUMBER and OTHER."""
    with open_door(server.url) as opened:
        yield opened


def problem(answer: Answer, status: int) -> str:
    """Check an answer that refuses as RFC 9457 has it; return its detail."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json
    assert (body["type"], body["status"]) == ("about:blank", status)
    assert body["title"]
    detail: str = body["detail"]
    return detail


# ----------------------------------------------------------------------------------------------------------- messages


def test_a_message_tells_its_state(door: Door, redis: redis_py.Redis) -> None:
    """What the record knows, and nothing of what isn't known."""
    row = {"number": TO, "message": "hi", "reference_number": "order-7"}
    answer = door.post("/api/v2/push", push_of(row, priority="1"))
    (message_id,) = pushed(answer)
    body = door.get(f"/v1/messages/{message_id}", **bearer()).json
    assert body.pop("accepted_ms") > 1_600_000_000_000
    assert body == {
        "id": message_id, "state": "waiting", "number": NUMBER, "class": "high", "attempts": 0,
        "push": answer.json["push_id"], "reference": "order-7",
    }  # fmt: skip


def test_a_message_of_the_python_client_is_known_too(door: Door, redis: redis_py.Redis) -> None:
    """One record, whoever pushed."""
    message_id = Client(redis).push(NUMBER, to=TO, text="hi")
    assert door.get(f"/v1/messages/{message_id}", **bearer()).json["state"] == "waiting"


@pytest.mark.parametrize("message_id", ["1", "x" * 200, "a%0ab", "..%2f..", "\u00e9"])
def test_no_record_says_what_that_can_mean(door: Door, message_id: str) -> None:
    """Never accepted, gone by time, or published by a plain Celery app and not settled yet."""
    detail = problem(door.get(f"/v1/messages/{message_id}", **bearer()), 404)
    assert "never was accepted" in detail
    assert "HEADWAY_RECORD_TTL" in detail
    assert "Celery" in detail


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/messages/1"),
        ("GET", "/v1/numbers"),
        ("GET", f"/v1/numbers/{NUMBER}"),
        ("PATCH", f"/v1/numbers/{NUMBER}"),
    ],
)
@pytest.mark.parametrize("given", [None, "", TOKEN, "Basic x", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x"])
def test_without_a_token_nothing_is_told(
    door: Door, redis: redis_py.Redis, method: str, path: str, given: str | None
) -> None:
    """401 that says how to present one; nothing is changed."""
    headers = {} if given is None else {"authorization": given}
    answer = door.call(method, path, {"paused": True}, **headers)
    assert "Bearer" in problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert not control.read(redis, NUMBER).paused


# ------------------------------------------------------------------------------------------------------------ numbers


def test_numbers_stand_as_they_do(door: Door, redis: redis_py.Redis) -> None:
    """TPS and its source, lanes, what was spent, debt and totals: the server's own figures."""
    pushed(door.post("/api/v2/push", push_of("a", "b")))
    pushed(door.post("/api/v2/push", push_of("c", priority="urgent")))
    scripts.run_all(redis, [meter.count(RULES, [Event("e1", Kind.INBOUND), Event("e2", Kind.READ)])])
    body = door.get("/v1/numbers", **bearer()).json
    assert [one["number"] for one in body["numbers"]] == [NUMBER, OTHER]
    one = body["numbers"][0]
    assert one["outbox"] == {"waiting": 0, "contacts": 0, "parked": 0, "bytes": 0, "oldest_ms": None}
    assert one["waiting"] == {"urgent": 1, "high": 0, "normal": 2, "bulk": 0}
    assert one["totals"] == {"send": 0, "inbound": 1, "delivered": 0, "read": 1}
    assert (one["tps"], one["tps_from"], one["paused"], one["spent"]) == (10, "default", False, 2)
    detail = door.get(f"/v1/numbers/{NUMBER}", **bearer()).json
    assert one == {**{name: detail[name] for name in one}, "debt_ms": one["debt_ms"]}


def test_a_tps_set_live_holds_until_it_is_cleared(door: Door, redis: redis_py.Redis) -> None:
    """In thousandths, as every lease reads it; null gives the environment's back."""
    path = f"/v1/numbers/{NUMBER}"
    told = door.call("PATCH", path, {"tps": 20, "by": "ada"}, **bearer()).json
    assert (told["tps"], told["tps_from"], told["by"]) == (20, "live", "ada")
    assert control.read(redis, NUMBER).tps_milli == 20_000
    for tps, milli in ((0.5, 500), ("12.5", 12_500), (20.0, 20_000)):
        assert door.call("PATCH", path, {"tps": tps}, **bearer()).status == 200
        assert control.read(redis, NUMBER).tps_milli == milli
    told = door.call("PATCH", path, {"tps": None}, **bearer()).json
    assert (told["tps"], told["tps_from"], told["by"]) == (10, "default", "http")


def test_all_that_a_lease_reads_can_be_changed_at_once(door: Door, redis: redis_py.Redis) -> None:
    """As numbers or as text; who, when and from where is kept; null gives the environment's back."""
    path = f"/v1/numbers/{NUMBER}"
    change = {
        "tps": 12.5, "headroom": 0.2, "floor": "0.05", "in_flight": 10, "guard": 0.01, "push_per_minute": 60,
        "receipts": "delivered", "event_webhook": False, "by": "ada",
    }  # fmt: skip
    told = door.call("PATCH", path, change, **bearer()).json
    assert {name: value.stored for name, value in control.read(redis, NUMBER).values.items()} == {
        "tps": "12500", "headroom": "200000", "floor": "50000", "in_flight": "10", "guard": "10000",
        "push_per_minute": "60", "receipts": "delivered", "event_webhook": "off",
    }  # fmt: skip
    limits = {limit["limit"]: limit for limit in told["limits"]}
    assert (limits["headroom"]["value"], limits["headroom"]["by"], limits["receipts"]["value"]) == (
        0.2,
        "ada",
        "delivered",
    )
    assert limits["headroom"]["where"] == f"token {hashlib.sha256(TOKEN.encode()).hexdigest()[:8]} from test"
    assert TOKEN not in json.dumps(told)
    told = door.call("PATCH", path, {"headroom": None, "receipts": None, "event_webhook": True}, **bearer()).json
    assert control.read(redis, NUMBER).values.keys() == change.keys() - {"headroom", "receipts", "by"}
    assert (told["changes"][0]["name"], told["changes"][0]["by"], len(told["changes"])) == ("event_webhook", "http", 11)


def test_a_number_says_what_binds_each_class(door: Door, redis: redis_py.Redis) -> None:
    """What waits, whether it may leave, for what it waits and until when; and what was written by hand and can't be."""
    pushed(door.post("/api/v2/push", push_of("a", "b", priority="urgent")))
    redis.hset(keys.settings(NUMBER), mapping={"tps_milli": "-5", "headroom_ppm": "many"})
    told = door.get(f"/v1/numbers/{NUMBER}", **bearer()).json
    assert told["classes"][0] == {
        "unit": NUMBER, "class": "urgent", "waiting": 2, "may_leave": 10, "because": None, "until_ms": None,
    }  # fmt: skip
    assert [one["name"] for one in told["ignored"]] == ["tps", "headroom"]
    assert told["tps"] == 10
    scripts.run_all(redis, [meter.count(RULES, [Event(f"e{i}", Kind.INBOUND) for i in range(40)])])
    bulk = door.get(f"/v1/numbers/{NUMBER}", **bearer()).json["classes"][3]
    assert (bulk["may_leave"], bulk["because"]) == (0, "window")
    assert bulk["until_ms"] > told["now_ms"]


def test_a_number_rests_and_goes_on(door: Door, redis: redis_py.Redis) -> None:
    """And both at once with a TPS."""
    path = f"/v1/numbers/{NUMBER}"
    assert door.call("PATCH", path, {"paused": True, "tps": 5}, **bearer()).json["paused"] is True
    assert (control.read(redis, NUMBER).paused, control.read(redis, NUMBER).tps_milli) == (True, 5000)
    assert door.call("PATCH", path, {"paused": False}, **bearer()).json["paused"] is False
    assert (control.read(redis, NUMBER).paused, control.read(redis, NUMBER).tps_milli) == (False, 5000)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "nothing to change"),
        ({"by": "ada"}, "nothing to change"),
        ({"tsp": 20}, "did you mean tps?"),
        ({"tps": 0}, "tps: 0 is out of bounds"),
        ({"tps": -1}, "tps:"),
        ({"tps": 1e30}, "tps:"),
        ({"tps": 0.0001}, "tps:"),
        ({"tps": True}, "tps:"),
        ({"tps": [1]}, "tps:"),
        ({"tps": "fast"}, "tps:"),
        ({"tps": 12, "shards": 4}, "shards: can't be changed while running: set HEADWAY_SHARDS"),
        ({"provider_token": "x"}, "provider_token: can't be changed while running"),
        ({"headroom": 1}, "headroom: 1 is out of bounds; write TPS, as a share from 0 to 0.9"),
        ({"tps": 12, "floor": 0.6}, "floor: 0.6 is out of bounds"),
        ({"headroom": 0.9}, "their sum must be less than 1"),
        ({"in_flight": 2.5}, "in_flight: 2.5 is finer than can be kept"),
        ({"in_flight": 10**400}, "in_flight: 1000"),
        ({"guard": float("1e-9")}, "guard: 0.000000001 is finer"),
        ({"receipts": "read"}, "receipts: 'read' can't be alone"),
        ({"receipts": ["delivered"]}, "receipts: must be text or null"),
        ({"event_webhook": "off", "receipts": "none"}, "off charges receipts that nobody tells us of"),
        ({"event_webhook": 1}, "event_webhook: '1' is unknown; write on or off"),
        ({"push_per_minute": 0}, "push_per_minute: 0 is out of bounds"),
        ({"paused": 1}, "paused: must be true or false"),
        ({"paused": None}, "paused: must be true or false"),
        ({"paused": True, "by": ""}, "by: must have"),
        ({"paused": True, "by": "x" * 101}, "by: must have"),
        ({"paused": True, "by": "a\nb"}, "by: must have"),
        ({"paused": True, "by": 5}, "by: must be text"),
        ({"paused": True, "\ud800": 5}, "?: can't be changed"),
    ],
    ids=lambda part: ascii(part)[:40] if isinstance(part, dict) else "",
)
def test_a_bad_change_changes_nothing(door: Door, redis: redis_py.Redis, change: dict[str, Any], words: str) -> None:
    """The answer names the field; half of a change is none."""
    assert words in problem(door.call("PATCH", f"/v1/numbers/{NUMBER}", change, **bearer()), 400)
    assert not redis.exists(keys.settings(NUMBER))


@pytest.mark.parametrize("number", ["15555550199", "0", "x", "1" * 40])
def test_a_number_that_nobody_knows_is_404(door: Door, redis: redis_py.Redis, number: str) -> None:
    """A mistyped number is neither shown nor paused."""
    assert "no worker and no message" in problem(door.get(f"/v1/numbers/{number}", **bearer()), 404)
    problem(door.call("PATCH", f"/v1/numbers/{number}", {"paused": True}, **bearer()), 404)
    assert not list(redis.scan_iter(match="headway*"))


def test_a_body_of_two_megabytes_is_too_large_for_a_change(door: Door) -> None:
    """The control API takes small bodies."""
    answer = door.call("PATCH", f"/v1/numbers/{NUMBER}", b" " * 2_000_000, **bearer())
    assert "2000000 bytes" in problem(answer, 413)


# ------------------------------------------------------------------------------------------------------------ reports


def report(door: Door, push_id: object) -> Answer:
    """Ask for a delivery report."""
    return door.post("/api/v2/delivery-report", {"token": TOKEN, "push_id": push_id})


def test_a_delivery_report_is_picky_s(door: Door, redis: redis_py.Redis) -> None:
    """Rows in the push's order with their ids, numbers and states; `push_id` may be asked as number or text."""
    answer = door.post(
        "/api/v2/push", push_of("a", {"number": "393337654321", "message": "b"}, "c", application=CHANNEL)
    )
    ids, push_id = pushed(answer), answer.json["push_id"]
    redis.hset(keys.record(ids[1]), "state", "read")
    redis.hset(keys.record(ids[2]), mapping={"state": "dead", "code": "402", "reason": "no such number"})
    told = report(door, int(push_id)).json
    assert told == report(door, push_id).json
    assert told.pop("time")[-2:] in {"AM", "PM"}
    assert told == {
        "project_id": "0", "push_id": int(push_id), "application": CHANNEL, "message_type": "3",
        "data": [
            {"number": TO, "msg_id": ids[0], "status": "0", "error_code": "", "error_message": ""},
            {"number": "393337654321", "msg_id": ids[1], "status": "3", "error_code": "", "error_message": ""},
            {"number": TO, "msg_id": ids[2], "status": "2", "error_code": "402", "error_message": "no such number"},
        ],
    }  # fmt: skip


def test_every_final_state_has_a_status_in_a_report() -> None:
    """1 delivered, 2 given up, 3 read; all else is still open."""
    assert {str(state): status for state, status in STATUSES.items()} == {
        "delivered": "1", "failed": "2", "expired": "2", "capped": "2", "dead": "2", "read": "3",
    }  # fmt: skip


def test_a_report_of_a_group_with_a_line_feed_in_its_id(door: Door, redis: redis_py.Redis) -> None:
    """Whatever a group is called, it is one row."""
    answer = door.post(
        "/api/v2/push", {"token": TOKEN, "application": NUMBER, "group_id": "a\nb", "globalmessage": "x"}
    )
    told = report(door, answer.json["push_id"]).json
    assert [row["number"] for row in told["data"]] == ["a\nb"]


@pytest.mark.parametrize(("media", "kind"), [("a.PNG?x=1.pdf", "1"), ("a.mp4", "2"), ("a.ogg#t", "4"), ("a", "5")])
def test_a_report_says_the_kind_of_message(door: Door, redis: redis_py.Redis, media: str, kind: str) -> None:
    """By the ending of the media's address, which is all that is known of it."""
    answer = door.post("/api/v2/push", push_of({"number": TO, "media": f"https://a/{media}"}))
    assert report(door, answer.json["push_id"]).json["message_type"] == kind


@pytest.mark.parametrize(("push_id", "status"), [("1", 404), (10**15, 404), ("", 400), ("1 2", 400), (None, 400), ("٣", 400), ("9" * 17, 400), ([1], 400)])  # fmt: skip # noqa: E501
def test_a_report_of_no_push_says_so(door: Door, push_id: object, status: int) -> None:
    """What can't be a push is 400, what isn't one is 404, both in Picky's shape."""
    answer = report(door, push_id)
    assert (answer.status, answer.json["status"]) == (status, status)
    assert answer.json["message"].startswith("push_id:")


# ---------------------------------------------------------------------------------------------------- device, balance


class Provider:
    """A provider on loopback that answers what it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.http, self.body = 200, b'{"status": "CONNECTED", "connected_number": "1341881114"}'
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                outer.asked.append((self.path, json.loads(self.rfile.read(length))))
                self.send_response(outer.http)
                self.send_header("content-length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *args: Any) -> None:
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        """End it."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider that answers."""
    running = Provider()
    yield running
    running.close()


@pytest.fixture
def asking(redis: redis_py.Redis, server: ThrowawayServer, provider: Provider) -> Iterator[Door]:
    """The door of two numbers with this provider and a token of their own."""
    with open_door(server.url, PROVIDER_URL=provider.url, PROVIDER_TOKEN="theirs") as opened:
        yield opened


def status_of(door: Door, path: str = "/api/v2/device-status", **fields: Any) -> Answer:
    """Ask for a number's device or balance."""
    return door.post(path, {"token": TOKEN, "application": NUMBER, **fields})


def test_the_device_is_asked_with_our_token_and_rarely(asking: Door, provider: Provider, redis: redis_py.Redis) -> None:
    """Many askers at one time are one question; the answer is kept for a third of a minute."""
    request = ("POST", "/api/v2/device-status", {"token": TOKEN, "application": CHANNEL})
    answers = [*asking.together(*[request] * 10), status_of(asking)]
    assert {(answer.status, answer.body) for answer in answers} == {(200, answers[0].body)}
    assert answers[0].json == {"status": "CONNECTED", "connected_number": "1341881114"}
    assert provider.asked == [("/api/v2/device-status", {"token": "theirs", "application": CHANNEL})]
    assert 0 < redis.pttl(keys.device_status(NUMBER)) <= 20_000


def test_a_token_s_questions_are_shared_and_the_last_answer_stands_in(
    asking: Door, provider: Provider, redis: redis_py.Redis
) -> None:
    """After three in a minute nobody is asked: who asked before hears the last answer, the others when to come."""
    for _ in range(3):
        assert status_of(asking).status == 200
        redis.delete(keys.device_status(NUMBER))  # as if a third of a minute were over
    assert status_of(asking).json == {"status": "CONNECTED", "connected_number": "1341881114"}
    assert len(provider.asked) == 3
    refused = status_of(asking, "/api/v2/check-balance")
    assert (refused.status, refused.json["status"]) == (503, 101)
    assert "may not be asked again" in refused.json["message"]
    assert len(provider.asked) == 3


def test_the_balance_is_the_project_s(asking: Door, provider: Provider, redis: redis_py.Redis) -> None:
    """Asked without a channel, and kept apart from the device's status."""
    provider.body = b'{"status":100,"message":"Success","balance":5.25}'
    assert status_of(asking, "/api/v2/check-balance").json["balance"] == 5.25
    assert provider.asked == [("/api/v2/check-balance", {"token": "theirs"})]


def test_each_number_is_asked_for_by_itself(asking: Door, provider: Provider) -> None:
    """One number's answer is never given for another."""
    status_of(asking)
    status_of(asking, application=OTHER)
    assert [body["application"] for _, body in provider.asked] == [CHANNEL, OTHER]


def test_a_failure_is_shared_too(asking: Door, provider: Provider) -> None:
    """It may have used up a question, so it isn't asked again at once; our token is in no answer."""
    provider.http, provider.body = 401, b'{"status": 401, "message": "token theirs is wrong"}'
    for _ in range(2):
        answer = status_of(asking)
        assert (answer.status, answer.json) == (401, {"status": 401, "message": "token *** is wrong"})
    assert len(provider.asked) == 1


@pytest.mark.parametrize(("http", "body"), [(200, b"<html>"), (200, b"[1]"), (302, b"{}")])
def test_what_is_no_answer_is_said_to_be_none(asking: Door, provider: Provider, http: int, body: bytes) -> None:
    """A page that isn't Picky's, or a redirect that would lead the app past us."""
    provider.http, provider.body = http, body
    answer = status_of(asking)
    assert answer.status in {200, 502}
    assert "location" not in answer.headers
    assert isinstance(answer.json, dict)


def test_a_provider_that_is_away_is_101(redis: redis_py.Redis, server: ThrowawayServer) -> None:
    """503 in Picky's shape."""
    with open_door(server.url, PROVIDER_URL="http://127.0.0.1:1", PROVIDER_TOKEN="theirs") as door:
        answer = status_of(door)
        assert (answer.status, answer.json["status"]) == (503, 101)


def test_which_device_must_be_said_with_two_numbers(asking: Door, provider: Provider) -> None:
    """Nobody guesses which one was meant; and a stranger asks nothing."""
    assert asking.post("/api/v2/device-status", {"token": TOKEN}).status == 404
    assert asking.post("/api/v2/device-status", {"token": "x", "application": NUMBER}).status == 401
    assert provider.asked == []


# ------------------------------------------------------------------------------------------------------ health, itself


def test_health_and_readiness_tell_process_from_server(own_server: ThrowawayServer) -> None:
    """Alive while the server is away or takes no writes; ready only when it takes them."""
    client = own_server.client()
    with open_door(own_server.url) as door:
        assert (door.get("/healthz").status, door.get("/readyz").status) == (200, 200)
        client.config_set("maxmemory", "1")
        assert "refuses" in problem(door.get("/readyz"), 503)
        client.config_set("maxmemory", "0")
        client.replicaof("127.0.0.1", "1")
        assert "refuses" in problem(door.get("/readyz"), 503)
        client.replicaof("NO", "ONE")
        assert door.get("/readyz").status == 200
        client.close()
        own_server.kill()
        assert "doesn't answer" in problem(door.get("/readyz"), 503)
        assert door.get("/healthz").status == 200
        assert door.get("/v1/numbers", **bearer()).status == 503


def test_openapi_describes_what_is_served(door: Door) -> None:
    """Each route of the table is there, with the types that validate; every reference leads somewhere."""
    document = door.get("/openapi.json").json
    assert document["openapi"] == "3.1.0"
    served = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert {
        ("/api/v2/push", "post"), ("/api/v2/delivery-report", "post"), ("/v1/messages/{id}", "get"),
        ("/v1/numbers", "get"), ("/v1/numbers/{number}", "get"), ("/v1/numbers/{number}", "patch"), ("/readyz", "get"),
    } <= served  # fmt: skip
    schemas = document["components"]["schemas"]
    assert {"number", "message", "reference_number"} <= set(schemas["PushRow"]["properties"])
    assert schemas["PushRequest"]["required"] == ["token", "application"]
    (header,) = document["paths"]["/api/v2/push"]["post"]["parameters"]
    assert (header["name"], header["in"], header["schema"]["type"]) == ("Idempotency-Key", "header", "string")
    text = json.dumps(document)
    assert all(f'"{name}"' in text for name in schemas)
    references = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert references <= set(schemas)
    assert all(operation["summary"] for methods in document["paths"].values() for operation in methods.values())


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nothing", "/API/V2/PUSH", "/webhooks"])
def test_nothing_is_told_in_problem_json(door: Door, path: str) -> None:
    """404 outside Picky's paths."""
    assert problem(door.get(path), 404) == "there is nothing at this address"


def test_a_wrong_method_names_the_right_one(door: Door) -> None:
    """405 with Allow."""
    answer = door.call("DELETE", "/v1/numbers")
    problem(answer, 405)
    assert "GET" in answer.headers["allow"]


def test_an_app_without_tokens_is_not_built() -> None:
    """Everybody would be let in, or nobody."""
    with pytest.raises(ValueError, match="tokens"):
        build(Settings.from_env({}), "redis://127.0.0.1:1/0")


def test_nothing_is_left_behind(redis: redis_py.Redis, server: ThrowawayServer) -> None:
    """Once closed, the door holds no connection to the server."""
    with open_door(server.url) as door:
        pushed(door.post("/api/v2/push", push_of("hi")))
        assert any("headway-gateway" in client["name"] for client in redis.client_list())
    asyncio.run(asyncio.sleep(0.05))
    assert not [client["name"] for client in redis.client_list() if "headway-gateway" in client["name"]]
