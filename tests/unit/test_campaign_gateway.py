"""Does a campaign come in over HTTP as rows and as a file, and is it shown and steered there?"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import openpyxl
import pytest
import redis as redis_py

from headway import MessageClass, keys
from tests.harness.asgi import Answer, Door
from tests.harness.gateway import CHANNEL, NUMBER, bearer, open_door
from tests.harness.servers import ThrowawayServer

LANE = keys.lane(NUMBER, MessageClass.BULK)
ROWS = [{"phone": "+39 333 1234567", "name": "Ada"}, {"phone": 393331234568, "name": None}]
SAID = {
    "number": NUMBER,
    "name": "spring",
    "to": "phone",
    "fields": {"text": "Hi {{name}}"},
    "defaults": {"name": "you"},
}
BOUNDARY = "x-x-x"


@pytest.fixture
def door(redis: redis_py.Redis, server: ThrowawayServer) -> Iterator[Door]:
    """The HTTP door, which takes few rows and small files."""
    with open_door(server.url, CAMPAIGN_RECIPIENTS="4", CAMPAIGN_UPLOAD="3", CAMPAIGN_BYTES="20000") as opened:
        yield opened


def form(file: bytes, said: dict[str, Any] | bytes, *, name: str = "guests.csv") -> bytes:
    """Return a form of a file and what is said about it."""
    text = said if isinstance(said, bytes) else json.dumps(said).encode()
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    middle = f'\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name="campaign"\r\n\r\n'.encode()
    return head + file + middle + text + f"\r\n--{BOUNDARY}--\r\n".encode()


def upload(door: Door, body: bytes, boundary: str = f"; boundary={BOUNDARY}") -> Answer:
    """Send a form."""
    return door.post("/v1/campaigns", body, **bearer(), content_type=f"multipart/form-data{boundary}")


def texts(redis: redis_py.Redis) -> list[str]:
    """Return what the messages on the lane say, the first to leave first."""
    return [json.loads(json.loads(one)["body"])[1]["text"] for one in reversed(redis.lrange(LANE, 0, -1))]


def test_rows_become_a_campaign(door: Door, redis: redis_py.Redis) -> None:
    """All is answered that a person asks next; the same again changes nothing."""
    answer = door.post("/v1/campaigns", {**SAID, "rows": ROWS, "by": "ada", "reason": "sale"}, **bearer()).json
    made = answer["campaign"]
    assert (made["state"], made["rows"], made["by"], made["reason"], made["class"]) == (
        "running",
        2,
        "ada",
        "sale",
        "bulk",
    )
    assert made["where"].startswith("token ")
    assert (answer["repeated"], answer["by_class"], answer["bad"]) == (False, {"bulk": 2}, [])
    assert texts(redis) == ["Hi Ada", "Hi you"]
    again = door.post("/v1/campaigns", {**SAID, "rows": ROWS, "by": "ada"}, **bearer()).json
    assert (again["repeated"], again["campaign"]["id"], redis.llen(LANE)) == (True, made["id"], 2)
    other = door.post("/v1/campaigns", {**SAID, "rows": ROWS, "class": "high"}, **bearer())
    assert (other.status, "another name" in other.json["detail"]) == (409, True)


def test_a_dry_run_shows_what_it_costs(door: Door, redis: redis_py.Redis) -> None:
    """A preview, counts, messages and time; nothing is enqueued and nothing is kept."""
    door.post("/v1/suppression", {"recipients": ["393331234567"]}, **bearer())
    rows = [*ROWS, {"phone": "0039 333 1234568"}, {"phone": "x"}]
    answer = door.post("/v1/campaigns", {**SAID, "rows": rows, "dry_run": True, "preview": 1}, **bearer()).json
    assert answer["preview"] == [{"row": 1, "class": "bulk", "to": "393331234567", "text": "Hi Ada"}]
    assert answer["duplicates"] == [{"row": 3, "first_row": 2, "to": "393331234568"}]
    assert [(one["row"], one["column"]) for one in answer["bad"]] == [(4, "phone")]
    assert (answer["campaign"], answer["rows"], answer["suppressed"], answer["records"]) == (None, 2, 1, 4)
    assert answer["cost"]["messages"] == 1
    assert answer["cost"]["per_second"] > 0
    assert (redis.exists(LANE), redis.exists(keys.campaigns())) == (0, 0)


def workbook() -> bytes:
    """Return a workbook of two guests."""
    book = openpyxl.Workbook()
    for row in (["phone", "name"], [393331234567, "Ada"], ["+39 333 1234568", None]):
        book.active.append(row)
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


@pytest.mark.parametrize("content", [b"phone,name\n393331234567,Ada\n393331234568,\n", workbook()], ids=["csv", "xlsx"])
def test_a_file_becomes_a_campaign(door: Door, redis: redis_py.Redis, content: bytes) -> None:
    """CSV or XLSX, called as the file is unless it says otherwise; a channel id means its number."""
    said = {name: value for name, value in SAID.items() if name != "name"}
    answer = upload(door, form(content, {**said, "number": CHANNEL}))
    assert answer.status == 200, answer.json
    assert (answer.json["campaign"]["name"], answer.json["campaign"]["number"]) == ("guests.csv", NUMBER)
    assert texts(redis) == ["Hi Ada", "Hi you"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({**SAID, "rows": [{"phone": "x"}, {"phone": "1"}]}, 400, "2 of 2 rows can't be sent, so nothing was enqueued"),
        ({**SAID, "rows": []}, 400, "rows: there is none"),
        ({**SAID, "rows": ROWS * 3}, 400, "HEADWAY_CAMPAIGN_RECIPIENTS"),
        ({**SAID, "rows": [{"phone": ["x"]}]}, 400, "rows[0]"),
        ({**SAID, "rows": "x"}, 400, "rows: Expected `array`"),
        (SAID, 400, "missing required field `rows`"),
        ({**SAID, "rows": ROWS, "nme": "x"}, 400, "unknown field `nme`"),
        ({**SAID, "rows": ROWS, "name": ""}, 400, "name: "),
        ({**SAID, "rows": ROWS, "name": "\ud800"}, 400, "name: must have 1 to 100 printable"),
        ({**SAID, "rows": ROWS, "by": "a\nb"}, 400, "by: must have 1 to 100 printable"),
        ({**SAID, "rows": ROWS, "class": "fast"}, 400, "class: must be one of"),
        ({**SAID, "rows": ROWS, "country": "Italy"}, 400, "country: "),
        ({**SAID, "rows": ROWS, "to": "tel"}, 400, "no column 'tel'"),
        ({**SAID, "rows": ROWS, "preview": 101}, 400, "preview: "),
        ({**SAID, "rows": ROWS, "fields": {"text": "{{nme}}"}}, 400, "{{nme}} is no column (did you mean name?)"),
        ({**SAID, "rows": ROWS, "fields": {"text": "\ud800{{name}}"}}, 400, "can't be sent"),
        ({**SAID, "rows": ROWS, "number": "12345678"}, 404, "is no number of HEADWAY_NUMBERS"),
        ([1], 400, "must be a JSON object"),
    ],
)
def test_what_cannot_be_names_the_field(door: Door, redis: redis_py.Redis, body: Any, status: int, said: str) -> None:
    """A problem that says what to change; nothing is enqueued."""
    answer = door.post("/v1/campaigns", body, **bearer())
    assert (answer.status, said in answer.json["detail"]) == (status, True), answer.json
    assert not redis.exists(LANE, keys.campaigns())


def test_bad_cells_are_listed(door: Door) -> None:
    """With file, row and column, in both kinds of request."""
    answer = upload(door, form(b"phone,name\n393331234567,Ada\nx,Bob\n", SAID))
    assert answer.json["errors"] == [
        "guests.csv, line 3, phone: is no phone number: digits, and + before the country code, are enough"
    ]


@pytest.mark.parametrize(
    ("body", "boundary", "status", "said"),
    [
        (b"", f"; boundary={BOUNDARY}", 400, "give a form with two parts"),
        (b"nonsense", f"; boundary={BOUNDARY}", 400, "the form can't be read"),
        (form(b"a", SAID), "", 400, "the form can't be read"),
        (form(b"a", b"{"), f"; boundary={BOUNDARY}", 400, "not JSON"),
        (form(b"a", b"{}"), f"; boundary={BOUNDARY}", 400, "missing required field `number`"),
        (form(b"", SAID), f"; boundary={BOUNDARY}", 400, "guests.csv: is empty"),
        (form(b"x" * 20_001, SAID), f"; boundary={BOUNDARY}", 413, "file: has more than 20000 bytes"),
        (form(b"phone\n" + b"1\n" * 4, SAID), f"; boundary={BOUNDARY}", 400, "HEADWAY_CAMPAIGN_UPLOAD"),
        (form(b"x" * 400_000, SAID), f"; boundary={BOUNDARY}", 413, "at most 282144 are taken"),
    ],
)
def test_a_form_that_cannot_be_read_says_why(door: Door, body: bytes, boundary: str, status: int, said: str) -> None:
    """What is too long isn't read to its end."""
    answer = upload(door, body, boundary)
    assert (answer.status, said in answer.json["detail"]) == (status, True), answer.json


def test_a_campaign_is_shown_and_steered(door: Door, redis: redis_py.Redis) -> None:
    """Pause, resume and cancel, each with who and why; the number's list of changes has them."""
    made = door.post("/v1/campaigns", {**SAID, "rows": ROWS}, **bearer()).json["campaign"]
    path = f"/v1/campaigns/{made['id']}"
    shown = door.get(path, **bearer()).json
    assert shown == {**made, "messages": {"waiting": 2}}
    assert door.post(f"{path}/pause", {"by": "ada"}, **bearer()).json["state"] == "paused"
    assert door.post(f"{path}/pause", b"", **bearer()).json["state"] == "paused"
    assert door.post(f"{path}/resume", b"", **bearer()).json["state"] == "running"
    assert door.post(f"{path}/cancel", {}, **bearer()).status == 400
    cancelled = door.post(f"{path}/cancel", {"reason": "wrong list"}, **bearer()).json
    assert (cancelled["state"], cancelled["messages"]) == ("cancelled", {"cancelled": 2})
    assert door.post(f"{path}/resume", b"", **bearer()).status == 409
    verbs = [json.loads(entry).get("verb", "made") for entry in redis.lrange(keys.changes(NUMBER), 0, -1)]
    assert verbs[0] == "cancel"
    assert {"made", "pause", "resume"} <= set(verbs)
    assert door.get("/v1/campaigns?limit=1", **bearer()).json["campaigns"][0]["id"] == made["id"]


def test_what_is_not_there_is_not_found(door: Door) -> None:
    """An id that never was, and a page after nothing; a limit that can't be is a bad request."""
    for path in ("/v1/campaigns/0123456789ab", "/v1/campaigns/x", "/v1/campaigns?after=0123456789ab"):
        assert door.get(path, **bearer()).status == 404
    assert door.post("/v1/campaigns/0123456789ab/pause", b"", **bearer()).status == 404
    assert door.get("/v1/campaigns?limit=0", **bearer()).status == 400


def test_the_list_of_who_wants_none(door: Door) -> None:
    """Added as people write numbers, shown with who and why, taken off again."""
    said = {"recipients": ["333 1234567", "+39 333 1234568"], "country": "it", "by": "ada", "reason": "stop"}
    assert door.post("/v1/suppression", said, **bearer()).json == {"changed": 2, "total": 2}
    page = door.get("/v1/suppression", **bearer()).json
    assert {(one["to"], one["by"], one["reason"]) for one in page["recipients"]} == {
        ("393331234567", "ada", "stop"),
        ("393331234568", "ada", "stop"),
    }
    assert page["after"] == ""
    gone = door.post("/v1/suppression/remove", {"recipients": ["393331234567"]}, **bearer()).json
    assert gone == {"changed": 1, "total": 1}
    assert door.get("/v1/suppression/393331234567", **bearer()).status == 404
    assert door.get("/v1/suppression/393331234568", **bearer()).json["reason"] == "stop"


@pytest.mark.parametrize(
    "body",
    [{}, {"recipients": []}, {"recipients": ["x"]}, {"recipients": ["333"], "country": "zz"}, {"recipients": [1]},
     {"recipients": ["393331234567"], "reason": "\ud800"}],
)  # fmt: skip
def test_a_list_that_cannot_be_changes_nothing(door: Door, redis: redis_py.Redis, body: Any) -> None:
    """One that is no number refuses all."""
    assert door.post("/v1/suppression", body, **bearer()).status == 400
    assert not redis.exists(keys.suppression())


def test_a_wrong_field_of_the_list_is_answered_with_the_right_ones(door: Door) -> None:
    """Adding and removing take the same fields."""
    for path in ("/v1/suppression", "/v1/suppression/remove"):
        for body in ({"to": "393331234567"}, {"recipients": ["393331234567"], "why": "stop"}):
            answer = door.post(path, body, **bearer())
            assert answer.status == 400
            assert answer.json["detail"].endswith("; it takes recipients, country, by, reason")


def test_nobody_without_a_token(door: Door) -> None:
    """Each address asks for it before the body is read."""
    for method, path in (("POST", "/v1/campaigns"), ("GET", "/v1/campaigns"), ("POST", "/v1/suppression")):
        assert door.together((method, path, b"x" * 100))[0].status == 401


def test_the_page_tells_of_the_form(door: Door) -> None:
    """OpenAPI has both kinds of body."""
    body = door.get("/openapi.json").json["paths"]["/v1/campaigns"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "multipart/form-data"}
