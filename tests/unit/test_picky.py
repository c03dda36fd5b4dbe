"""Does Picky get what its pages ask for, and is each answer read for what it is worth?"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Self, cast

import aiohttp
import pytest

from providers import Outcome, Row, Verdict
from providers.picky import PickyProvider
from providers.picky_answer import HTTP_HINTS, STATUSES, read_answer
from providers.picky_request import SHAPE_FIELDS, encode, fitting
from providers.wire import ANSWER_LIMIT, Answer, NoAnswer, open_session, post

SECRET = "S3CRET"
Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


def row(number: str = "393331234567", /, *, id: str = "m1", text: str | None = "hello", **fields: Any) -> Row:
    """A row with these fields; a keyword named class_ stands for class."""
    return Row(id, number, text, {key.rstrip("_"): value for key, value in fields.items()})


def request_of(*rows: Row) -> dict[str, Any]:
    """The request for these rows, as its receiver reads it."""
    request: dict[str, Any] = json.loads(encode(rows, token=SECRET, application="8"))
    return request


# ------------------------------------------------------------------------------------------------------- the request


def test_personalised_rows_travel_in_one_request() -> None:
    """Each row has its number, its text, and our id as the reference; globalmessage is empty, as in Picky's samples."""
    request = request_of(row(id="m1", text="one"), row("393337654321", id="m2", text="two"))
    assert request == {
        "token": SECRET,
        "application": "8",
        "priority": "0",
        "globalmessage": "",
        "data": [
            {"number": "393331234567", "reference_number": "m1", "message": "one"},
            {"number": "393337654321", "reference_number": "m2", "message": "two"},
        ],
    }


def test_the_apps_own_reference_stays_with_us() -> None:
    """Picky echoes one reference, and that one is ours."""
    assert "order-7" not in json.dumps(request_of(row(reference="order-7", send_at="2030-01-01T00:00:00Z")))


@pytest.mark.parametrize(
    ("classes", "priority"),
    [(["bulk", "normal"], "0"), (["normal", "high"], "1"), (["urgent"], "1"), ([None], "0")],
)
def test_one_fast_row_makes_the_request_fast(classes: list[str | None], priority: str) -> None:
    """Priority belongs to the request, so the best class of its rows decides."""
    rows = [row(id=str(index), class_=name) for index, name in enumerate(classes)]
    assert request_of(*rows)["priority"] == priority


def test_a_template_goes_out_by_its_id_with_values_per_row() -> None:
    """template_id and header are the request's; values and language are the row's."""
    request = request_of(
        row(text=None, template_id="XY6479", template_header="bill", template_values=("Ann", "42"), language="en")
    )
    assert (request["template_id"], request["template_header"]) == ("XY6479", "bill")
    assert request["data"] == [
        {"number": "393331234567", "reference_number": "m1", "template_message": ["Ann", "42"], "language": "en"}
    ]


def test_media_and_location_belong_to_the_request() -> None:
    """They travel at the top level, under Picky's names."""
    place = {"name": "Duomo", "address": "Milano", "lat": "45.464", "long": "9.191"}
    request = request_of(row(media_url="https://e.example/a.pdf", media_name="a.pdf", location=place))
    assert request["globalmedia"] == "https://e.example/a.pdf"
    assert request["media_name"] == "a.pdf"
    assert request["location"] == place


def test_a_group_send_has_no_rows() -> None:
    """With group_id there is no data, and the text is the global one."""
    request = request_of(row("", text="hi all", group_id="G7"))
    assert (request["group_id"], request["globalmessage"]) == ("G7", "hi all")
    assert "data" not in request


def test_any_text_can_be_written() -> None:
    """Emoji, quotes and half a surrogate pair arrive as they left."""
    text = 'a "b" \n ✓ 😀 \ud83d'
    assert request_of(row(text=text))["data"][0]["message"] == text


@pytest.mark.parametrize("field", SHAPE_FIELDS)
def test_rows_of_another_shape_do_not_share_the_request(field: str) -> None:
    """A row must never go out with another row's template, media, group or location."""
    plain, other, same = row(id="m1"), row(id="m2", **{field: "x"}), row(id="m3", **{field: None})
    assert [plain, same] == fitting([plain, other, same])


# -------------------------------------------------------------------------------------------------------- the answer


def read(
    body: object, *, http_status: int = 200, numbers: Sequence[str] = ("393331234567", "393337654321")
) -> list[Outcome]:
    """What an answer says about rows m0, m1, ... to these numbers."""
    rows = [row(number, id=f"m{index}") for index, number in enumerate(numbers)]
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    outcomes = read_answer(rows, Answer(http_status, raw))
    assert [each.id for each in rows] == [outcome.row_id for outcome in outcomes]
    return outcomes


def accepted(*entries: tuple[object, object], **more: object) -> dict[str, object]:
    """An answer of status 100 with (msg_id, number) pairs."""
    data = [{"msg_id": msg_id, "number": number, "credit": "0.005"} for msg_id, number in entries]
    return {"status": 100, "push_id": "7478630", "message": "Success", "data": data} | more


def verdicts(outcomes: Sequence[Outcome]) -> list[Verdict]:
    """The verdicts alone."""
    return [outcome.verdict for outcome in outcomes]


def test_rows_are_matched_by_number_in_any_order() -> None:
    """Row order isn't promised, so ids follow the numbers."""
    first, second = read(accepted(("22", "393337654321"), ("11", "393331234567")))
    assert first == Outcome("m0", Verdict.SENT, provider_id="11", push_id="7478630", code="100")
    assert second.provider_id == "22"


@pytest.mark.parametrize(
    "number",
    ["+39 333 123-4567", "00393331234567", 393331234567, "(39)3331234567", "3331234567", " 393331234567 "],
    ids=repr,
)
def test_a_reformatted_number_is_still_ours(number: object) -> None:
    """Picky may write a number in its own way, even without its country code."""
    first, second = read(accepted(("22", "393337654321"), ("11", number)))
    assert (first.verdict, first.provider_id, second.provider_id) == (Verdict.SENT, "11", "22")


def test_the_last_two_left_belong_together() -> None:
    """When all others are matched and nothing is left out, the one row and the one entry left are each other's."""
    outcomes = read(accepted(("22", "393337654321"), ("11", "Ann")))
    assert [outcome.provider_id for outcome in outcomes] == ["11", "22"]


def test_equal_tails_are_not_guessed() -> None:
    """Two rows whose last eight digits agree aren't matched by the tail."""
    outcomes = read(accepted(("11", "99931234567"), ("22", "88831234567")), numbers=["39331234567", "49331234567"])
    assert verdicts(outcomes) == [Verdict.UNCERTAIN, Verdict.UNCERTAIN]


def test_a_row_that_the_answer_leaves_out_is_uncertain() -> None:
    """Whether an invalid row is left out or only not reported isn't documented."""
    sent, left_out = read(accepted(("11", "393331234567")))
    assert (sent.verdict, left_out.verdict) == (Verdict.SENT, Verdict.UNCERTAIN)
    assert "leaves this row out" in left_out.reason


def test_a_number_listed_twice_is_given_once() -> None:
    """A duplicate in the answer never fills another row's place; the entry with an id wins."""
    outcomes = read(accepted((None, "393331234567"), ("11", "393331234567")))
    assert [(o.verdict, o.provider_id) for o in outcomes] == [(Verdict.SENT, "11"), (Verdict.UNCERTAIN, "")]


def test_two_rows_to_one_number_take_their_entries_in_order() -> None:
    """A repeated number is allowed by Picky: each entry serves one row."""
    outcomes = read(accepted(("11", "39333"), ("12", "39333")), numbers=["39333", "39333"])
    assert [outcome.provider_id for outcome in outcomes] == ["11", "12"]


@pytest.mark.parametrize("data", [None, "none", 7, [], [None, 3, "x", []], {}, {"a": 1}])
def test_an_accepted_push_without_usable_rows_is_uncertain(data: object) -> None:
    """A 100 whose rows can't be read says nothing about ours."""
    assert verdicts(read(accepted(data=data))) == [Verdict.UNCERTAIN] * 2


@pytest.mark.parametrize("status", [100, "100", 100.0, " 100 "], ids=repr)
def test_the_status_may_be_number_or_text(status: object) -> None:
    """Types differ between Picky's own pages."""
    assert verdicts(read(accepted(("1", "393331234567"), ("2", "393337654321"), status=status))) == [Verdict.SENT] * 2


def test_a_list_with_gaps_is_read_although_php_writes_it_as_an_object() -> None:
    """json_encode turns a list whose keys have gaps into an object."""
    data = {"0": {"msg_id": "1", "number": "393331234567"}, "2": {"msg_id": "2", "number": "393337654321"}}
    assert verdicts(read(accepted(data=data))) == [Verdict.SENT] * 2


def test_a_group_send_has_no_rows_to_miss() -> None:
    """A 100 without data is enough for a group."""
    answer = Answer(200, b'{"status":100,"push_id":5}')
    (outcome,) = read_answer([row("", group_id="G7")], answer)
    assert (outcome.verdict, outcome.push_id) == (Verdict.SENT, "5")


@pytest.mark.parametrize("http_status", [200, 401, 500])
@pytest.mark.parametrize(
    ("status", "verdict", "pause"),
    [
        (101, Verdict.RETRY, False),
        (401, Verdict.RETRY, True),
        (402, Verdict.REFUSED, False),
        (403, Verdict.RETRY, True),
        (404, Verdict.RETRY, False),
    ],
)
def test_the_status_in_the_body_decides(status: int, verdict: Verdict, pause: bool, http_status: int) -> None:
    """Whatever HTTP says: clients see these with 200."""
    for outcome in read({"status": status, "message": "no"}, http_status=http_status):
        assert (outcome.verdict, outcome.pause, outcome.code, outcome.left) == (verdict, pause, str(status), True)
        assert outcome.reason


def test_an_accepted_push_is_accepted_under_any_http_status() -> None:
    """The body's 100 outweighs a 500."""
    outcomes = read(accepted(("1", "393331234567"), ("2", "393337654321")), http_status=500)
    assert verdicts(outcomes) == [Verdict.SENT] * 2


def test_a_failed_push_that_gives_a_row_an_id_makes_that_row_uncertain() -> None:
    """That a bad status is for all rows isn't documented: a row with an id may be on its way."""
    outcomes = read({"status": 101, "message": "busy", "data": [{"msg_id": "9", "number": "393331234567"}]})
    assert verdicts(outcomes) == [Verdict.UNCERTAIN, Verdict.RETRY]


@pytest.mark.parametrize("status", [0, 99, 102, 405, 500, -1, 10**30])
def test_an_unknown_status_is_uncertain(status: int) -> None:
    """No automatic resend on what we don't know."""
    assert verdicts(read({"status": status})) == [Verdict.UNCERTAIN] * 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502 Bad Gateway</html>",
        b"\xff\xfe\x00",
        b'{"status":100,"push_id":"1","data":[{"msg_i',
        b"[" * 200_000,
        b'{"status":' + b"9" * 5_000 + b"}",
        b"null",
        b"100",
        b'"100"',
        b"[]",
        b"{}",
        b'{"status":true}',
        b'{"status":null}',
        b'{"status":"1e2"}',
        b'{"status":NaN}',
        b'{"status":Infinity}',
        b'{"status":[100]}',
    ],
)
@pytest.mark.parametrize("http_status", [200, 500, 502, 503, 504])
def test_an_answer_that_is_not_pickys_is_uncertain(body: bytes, http_status: int) -> None:
    """The request left, so whatever we can't read may have been a yes; a gateway's 5xx tells no more."""
    for outcome in read(body, http_status=http_status):
        assert outcome.verdict is Verdict.UNCERTAIN
        assert outcome.reason


def test_too_many_requests_are_tried_again() -> None:
    """Picky drops what is over its quota; that it used no TPS isn't certain, so nothing is refunded."""
    for outcome in read(b"slow down", http_status=429):
        assert (outcome.verdict, outcome.left, outcome.code) == (Verdict.RETRY, True, "http_429")


@pytest.mark.parametrize("http_status", [301, 307, 308, 404, 405])
def test_a_wrong_address_stops_the_number(http_status: int) -> None:
    """A mistake in the URL must not make a campaign uncertain, row by row."""
    for outcome in read(b"<html>nothing here</html>", http_status=http_status):
        assert (outcome.verdict, outcome.pause) == (Verdict.RETRY, True)
        assert "HEADWAY_PROVIDER_URL" in outcome.reason


@pytest.mark.parametrize("http_status", [302, 303])
def test_a_redirect_that_may_follow_a_processed_request_is_uncertain(http_status: int) -> None:
    """Sites answer so when they have done what was asked."""
    assert verdicts(read(b"", http_status=http_status)) == [Verdict.UNCERTAIN] * 2


def test_hostile_texts_are_cut_and_cleaned() -> None:
    """Ids and reasons of any type and size become short, printable text."""
    huge = "x" * 100_000
    outcomes = read({"status": 402, "message": huge + "\x00", "push_id": [huge], "data": huge})
    assert [(len(outcome.reason), outcome.push_id) for outcome in outcomes] == [(200, "")] * 2
    first, second = read(accepted((huge, "393331234567"), ({"a": 1}, "393337654321")))
    assert (len(first.provider_id), second.provider_id) == (200, "")


def test_each_status_has_one_rule_with_a_meaning() -> None:
    """The tables say a sentence for each status, and only 100 is an acceptance."""
    assert [100] == [status for status, rule in STATUSES.items() if rule.verdict is Verdict.SENT]
    assert all(rule.meaning for rule in [*STATUSES.values(), *HTTP_HINTS.values()])


# ---------------------------------------------------------------------------------------------------------- the wire


def run(
    handler: Handler,
    rows: Sequence[Row],
    *,
    timeout: timedelta = timedelta(seconds=5),
    urls: Sequence[str] = ("http://SERVER",),
) -> tuple[list[Outcome], list[bytes]]:
    """Send rows to a raw server that does as `handler` says; return the outcomes and the bodies that arrived.

    SERVER in an address stands for the server's host and port.
    """
    bodies: list[bytes] = []
    tasks: list[asyncio.Task[None]] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(1)
        if first == b"\x16":  # a TLS handshake, which this server doesn't speak
            writer.write(b"what?\r\n")
        elif first:
            head = first + await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            bodies.append(await reader.readexactly(length))
            await handler(head, writer)

    async def held(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        try:
            await connected(reader, writer)
        finally:
            writer.close()

    async def send() -> list[Outcome]:
        async with open_session() as session:
            server = await asyncio.start_server(held, "127.0.0.1", 0)
            here = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            addresses = [url.replace("SERVER", here) for url in urls]
            provider = PickyProvider(urls=addresses, token=SECRET, application="8", timeout=timeout, session=session)
            outcomes = await provider.send(rows)
            server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # a closed transport ends in the loop's next turn
        return outcomes

    return asyncio.run(send()), bodies


def saying(body: object, *, status: str = "200 OK") -> Handler:
    """A handler that answers with this JSON (or these bytes)."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def handler(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(raw)}\r\n\r\n".encode() + raw)
        await writer.drain()

    return handler


async def silent(head: bytes, writer: asyncio.StreamWriter) -> None:
    """Read the request and never answer."""
    await asyncio.Event().wait()


async def resetting(head: bytes, writer: asyncio.StreamWriter) -> None:
    """Read the request and reset the connection."""
    writer.transport.abort()


async def cutting(head: bytes, writer: asyncio.StreamWriter) -> None:
    """Answer with less than was promised."""
    writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{"status":100')
    await writer.drain()


def free_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_send_is_one_post_of_json() -> None:
    """Path and content type are Picky's, and each row gets its outcome."""
    heads: list[bytes] = []

    async def handler(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        await saying(accepted(("1", "393331234567"), ("2", "393337654321")))(head, writer)

    outcomes, bodies = run(handler, [row(), row("393337654321", id="m2")])
    assert heads[0].startswith(b"POST /api/v2/push HTTP/1.1")
    assert b"content-type: application/json" in heads[0].lower()
    assert [(o.row_id, o.provider_id) for o in outcomes] == [("m1", "1"), ("m2", "2")]
    assert len(bodies) == 1


def test_no_rows_are_no_request() -> None:
    """An empty lease sends nothing."""
    assert run(silent, []) == ([], [])


@pytest.mark.parametrize(
    ("handler", "code"),
    [
        (resetting, "cut"),
        (cutting, "cut"),
        (saying(b" " * (ANSWER_LIMIT + 1)), "too_large"),
        (saying(b"<html>", status="502 Bad Gateway"), "not_json"),
    ],
)
def test_a_fault_after_the_request_left_is_uncertain_and_never_sent_again(handler: Handler, code: str) -> None:
    """One attempt is one request, whatever becomes of it."""
    outcomes, bodies = run(handler, [row(), row("393337654321", id="m2")])
    assert [(o.verdict, o.code, o.left) for o in outcomes] == [(Verdict.UNCERTAIN, code, True)] * 2
    assert len(bodies) == 1


def test_a_provider_that_never_answers_is_left_at_the_deadline() -> None:
    """The deadline is hard, and the rows are uncertain: they may have been taken."""
    outcomes, bodies = run(silent, [row()], timeout=timedelta(milliseconds=150))
    assert [(o.verdict, o.code, o.left) for o in outcomes] == [(Verdict.UNCERTAIN, "timeout", True)]
    assert len(bodies) == 1


def test_a_slow_body_does_not_outlast_the_deadline() -> None:
    """A byte now and then keeps no send alive."""

    async def dripping(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n")
        await silent(head, writer)

    # Long enough for a busy machine to connect and send in.
    outcomes, _ = run(dripping, [row()], timeout=timedelta(seconds=1))
    assert [(o.verdict, o.code) for o in outcomes] == [(Verdict.UNCERTAIN, "timeout")]


def test_a_refused_connection_has_used_no_tps() -> None:
    """Not a byte left, so the rows may be tried again and the charge be refunded."""
    outcomes, _ = run(silent, [row()], urls=[f"http://127.0.0.1:{free_port()}"])
    assert [(o.verdict, o.code, o.left) for o in outcomes] == [(Verdict.RETRY, "unreachable", False)]


def test_a_tls_failure_has_used_no_tps() -> None:
    """A server that speaks no TLS has read no request."""
    outcomes, bodies = run(silent, [row()], urls=["https://SERVER"])
    assert [(o.verdict, o.code, o.left) for o in outcomes] == [(Verdict.RETRY, "unreachable", False)]
    assert bodies == []


def test_a_name_that_does_not_resolve_has_used_no_tps(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS comes before the first byte."""

    def unknown(*args: object, **more: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    outcomes, _ = run(silent, [row()], urls=["http://nowhere.invalid"])
    assert [(o.verdict, o.code, o.left) for o in outcomes] == [(Verdict.RETRY, "unreachable", False)]


def test_a_standby_takes_over_when_the_primary_takes_no_connection() -> None:
    """Only connection set-up goes on to the next address."""
    urls = [f"http://127.0.0.1:{free_port()}", "http://SERVER"]
    outcomes, bodies = run(saying(accepted(("1", "393331234567"))), [row()], urls=urls)
    assert verdicts(outcomes) == [Verdict.SENT]
    assert len(bodies) == 1


def test_a_standby_never_gets_what_may_have_left() -> None:
    """A reset by the primary ends the attempt."""
    outcomes, bodies = run(resetting, [row()], urls=["http://SERVER", "http://SERVER/second"])
    assert verdicts(outcomes) == [Verdict.UNCERTAIN]
    assert len(bodies) == 1


def test_redirects_are_not_followed() -> None:
    """Following one would send the body a second time."""

    async def elsewhere(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 307 Moved\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()

    outcomes, bodies = run(elsewhere, [row()])
    assert [(o.verdict, o.pause) for o in outcomes] == [(Verdict.RETRY, True)]
    assert len(bodies) == 1


def test_rows_of_another_shape_stay_behind() -> None:
    """They come back untouched, in their place, while the first row's shape goes out."""
    rows = [row(id="m1"), row("393337654321", id="m2", template_id="X")]
    outcomes, bodies = run(saying(accepted(("1", "393331234567"))), rows)
    assert [(o.row_id, o.verdict, o.left) for o in outcomes] == [
        ("m1", Verdict.SENT, True),
        ("m2", Verdict.RETRY, False),
    ]
    assert b"m2" not in bodies[0]


def test_what_json_can_not_say_is_refused() -> None:
    """The same row would fail each time; nothing left."""
    outcomes, bodies = run(silent, [row(location={"lat": float("nan"), "long": 1})])
    assert [(o.verdict, o.code, o.left) for o in outcomes] == [(Verdict.REFUSED, "unwritable", False)]
    assert bodies == []


def test_the_token_stays_out_of_reasons() -> None:
    """A provider that quotes the token must not get it into our records."""
    outcomes, _ = run(saying({"status": 402, "message": f"token {SECRET} has no numbers"}), [row()])
    assert [outcome.reason for outcome in outcomes] == ["token *** has no numbers"]


def test_a_cancelled_send_says_so() -> None:
    """Cancellation is the one thing that comes out of a send as an exception."""

    async def cancel() -> None:
        asked = asyncio.Event()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            asked.set()
            await reader.read()
            writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with open_session() as session:
            provider = PickyProvider(
                urls=[url], token="", application="8", timeout=timedelta(seconds=5), session=session
            )
            sending = asyncio.create_task(provider.send([row()]))
            await asked.wait()
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
        server.close()

    asyncio.run(cancel())


class NoConnection:
    """A session whose connection never comes about."""

    def post(self, *args: object, **more: object) -> Self:
        """Begin a request."""
        return self

    async def __aenter__(self) -> None:
        await asyncio.Event().wait()

    async def __aexit__(self, *args: object) -> None:
        pass


def test_a_deadline_before_the_first_byte_has_used_no_tps() -> None:
    """The fence is the body, not the clock: a wait for a connection is certainly not a send."""

    async def waiting() -> Answer | NoAnswer:
        session = cast("aiohttp.ClientSession", NoConnection())
        deadline_s = asyncio.get_running_loop().time() + 0.05
        return await post(session, "http://x", b"{}", deadline_s=deadline_s, connect_s=5)

    answer = asyncio.run(waiting())
    assert isinstance(answer, NoAnswer)
    assert (answer.code, answer.left) == ("unreachable", False)


def test_a_closed_session_is_an_outcome_too() -> None:
    """A send raises nothing, not even for a fault of its owner."""

    async def send() -> list[Outcome]:
        async with open_session() as session:
            provider = PickyProvider(
                urls=["http://127.0.0.1:1"], token="", application="8", timeout=timedelta(seconds=5), session=session
            )
        return await provider.send([row()])

    assert [(o.verdict, o.left) for o in asyncio.run(send())] == [(Verdict.RETRY, False)]


def test_a_deadline_of_nothing_is_refused() -> None:
    """A mistake in the settings is found at the start."""

    async def build() -> None:
        async with open_session() as session:
            PickyProvider(urls=["http://x"], token="", application="8", timeout=timedelta(0), session=session)

    with pytest.raises(ValueError, match="longer than nothing"):
        asyncio.run(build())
