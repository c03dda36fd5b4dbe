"""Does the sink, as a process, take what our Picky provider sends, and do its faults end as they should?"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from providers import Outcome, Row, Verdict, catalogue
from providers.wire import open_session
from tests.harness.processes import RunningProcess
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.processes

TOKEN = "T"
READY = r"^sink ready on (http://127\.0\.0\.1:[0-9]+)$"
SINK = [sys.executable, "-m", "simulator.sink", "--port", "0"]


@pytest.fixture
def sink() -> Iterator[str]:
    """The address of a running sink that asks for the token T."""
    with RunningProcess([*SINK, "--token", TOKEN]) as process:
        yield process.wait_for_line(READY)[1]


def call(url: str, body: bytes | None = None) -> Any:
    """GET, or POST a body with the content type that curl and urllib give it; return the JSON answer."""
    assert url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(url, data=body, timeout=10) as answer:  # noqa: S310  loopback, as asserted
        return json.loads(answer.read())


def control(sink: str, **wish: Any) -> Any:
    """Change the sink's behaviour."""
    return call(f"{sink}/control", json.dumps(wish).encode())


def send(
    url: str, *, rows: int = 3, token: str = TOKEN, timeout: timedelta = timedelta(seconds=10), **fields: Any
) -> list[Outcome]:
    """Send rows m0, m1, ... through the Picky provider."""

    async def sending() -> list[Outcome]:
        async with open_session() as session:
            provider = catalogue.make(
                "picky", token=token, application="8", session=session, urls=[url], timeout=timeout
            )
            return await provider.send(
                [Row(f"m{index}", f"39333123456{index}", f"text {index}", fields) for index in range(rows)]
            )

    return asyncio.run(sending())


def ends(outcomes: list[Outcome]) -> set[tuple[Verdict, str, bool, bool]]:
    """The different ends that rows came to."""
    return {(each.verdict, each.code, each.left, each.pause) for each in outcomes}


def test_what_the_provider_sends_is_taken_and_journalled(sink: str) -> None:
    """Each row has our id, its text, its request's stamp and an id of its own."""
    before_us = time.time_ns() // 1000
    outcomes = send(sink, class_="normal")
    after_us = time.time_ns() // 1000
    rows = call(f"{sink}/journal")
    assert ends(outcomes) == {(Verdict.SENT, "100", True, False)}
    assert [row["msg_id"] for row in rows] == [outcome.provider_id for outcome in outcomes]
    assert {row["push_id"] for row in rows} == {outcome.push_id for outcome in outcomes}
    assert [(row["reference_number"], row["message"]) for row in rows] == [(f"m{n}", f"text {n}") for n in range(3)]
    assert {(row["request"], row["priority"], row["taken"]) for row in rows} == {(1, "0", True)}
    assert len({row["at_us"] for row in rows}) == 1
    assert before_us <= rows[0]["at_us"] <= after_us


def test_the_old_hosts_path_is_served_too(sink: str) -> None:
    """V3 has its path below /app."""
    assert ends(send(f"{sink}/app")) == {(Verdict.SENT, "100", True, False)}


def test_a_group_send_is_taken(sink: str) -> None:
    """It has no rows, and comes back accepted all the same."""
    assert ends(send(sink, rows=1, group_id="G7")) == {(Verdict.SENT, "100", True, False)}
    assert call(f"{sink}/journal")[0]["number"] == "G7"


def test_json_typed_as_a_form_is_read(sink: str) -> None:
    """JSON may come typed as a form (curl -d does it): is JSON still; key names may have spaces."""
    body = b'{"token":"T","application":"8","priority ":"1","globalmessage":"hi","data":[{"number":"39333"}]}'
    answer = call(f"{sink}/api/v2/push", body)
    assert (answer["status"], answer["data"][0]["number"]) == (100, "39333")
    assert call(f"{sink}/journal")[0]["priority"] == "1"


def test_a_wrong_token_stops_the_number(sink: str) -> None:
    """The sink says 401 in the body under HTTP 200, as Picky does."""
    assert ends(send(sink, token="other")) == {(Verdict.RETRY, "401", True, True)}
    assert {row["taken"] for row in call(f"{sink}/journal")} == {False}


@pytest.mark.parametrize(
    ("mode", "end", "taken"),
    [
        ("fail:101", (Verdict.RETRY, "101", True, False), False),
        ("fail:403", (Verdict.RETRY, "403", True, True), False),
        ("fail:402", (Verdict.REFUSED, "402", True, False), False),
        ("fail:999", (Verdict.UNCERTAIN, "999", True, False), False),
        ("http:429", (Verdict.RETRY, "http_429", True, False), False),
        ("http:500", (Verdict.UNCERTAIN, "not_json", True, False), False),
        ("cut", (Verdict.UNCERTAIN, "cut", True, False), True),
        ("hang", (Verdict.UNCERTAIN, "timeout", True, False), True),
        ("garbage", (Verdict.UNCERTAIN, "not_json", True, False), True),
        ("twice", (Verdict.SENT, "100", True, False), True),
    ],
)
def test_each_fault_ends_as_it_should(sink: str, mode: str, end: tuple[Verdict, str, bool, bool], taken: bool) -> None:
    """A fault is switched on while the sink runs; one attempt is one request; afterwards all is well again."""
    assert control(sink, mode=mode)["mode"] == mode
    timeout = timedelta(milliseconds=500) if mode == "hang" else timedelta(seconds=10)
    assert ends(send(sink, timeout=timeout)) == {end}
    rows = call(f"{sink}/journal")
    assert (len(rows), {row["taken"] for row in rows}) == (3, {taken})
    control(sink, mode="ok")
    assert ends(send(sink)) == {(Verdict.SENT, "100", True, False)}


def test_a_second_answer_is_never_taken_for_the_next_request_s(sink: str) -> None:
    """Each row gets the id that the provider gave it, though every answer comes twice on a connection that is kept."""
    control(sink, mode="twice")

    async def sending() -> list[str]:
        async with open_session() as session:
            provider = catalogue.make(
                "picky", token=TOKEN, application="8", session=session, urls=[sink], timeout=timedelta(seconds=10)
            )
            sent = []
            for index in range(6):
                sent += await provider.send([Row(f"m{index}", "393331234560", "the same person", {})])
                await asyncio.sleep(0.05)  # the second answer is in the idle connection by now
            return [outcome.provider_id for outcome in sent]

    given = asyncio.run(sending())
    assert given == [row["msg_id"] for row in call(f"{sink}/journal")]


def test_a_slow_sink_answers_late(sink: str) -> None:
    """Latency is before the answer, not before the stamp."""
    control(sink, latency_ms=300)
    started_us = time.time_ns() // 1000
    assert ends(send(sink)) == {(Verdict.SENT, "100", True, False)}
    assert time.time_ns() // 1000 - started_us >= 300_000
    assert call(f"{sink}/journal")[0]["at_us"] - started_us < 300_000


def test_a_bad_wish_is_refused_in_words(sink: str) -> None:
    """The control says what modes there are."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        control(sink, mode="hung")
    with refused.value as answer:
        assert answer.code == 422
        assert "is no mode" in json.loads(answer.read())["error"]
    assert call(f"{sink}/healthz") == {"status": "ok", "rows": 0, "mode": "ok", "latency_ms": 0}


def test_a_killed_sink_leaves_its_journal(tmp_path: Path) -> None:
    """Every answered row is in the file, and a sink started again appends to it."""
    file = tmp_path / "journal.jsonl"
    for _ in range(2):
        with RunningProcess([*SINK, "--journal", str(file)]) as process:
            send(process.wait_for_line(READY)[1])
            process.kill()
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["reference_number"] for row in rows] == ["m0", "m1", "m2"] * 2
    assert len({row["msg_id"] for row in rows}) == 6


def test_sigterm_ends_the_sink_cleanly() -> None:
    """Its status is 0, and it has said nothing but that it is ready."""
    with RunningProcess(SINK) as process:
        send(process.wait_for_line(READY)[1])
        assert process.terminate() == 0
        assert process.line_count() == 1


def test_a_hanging_request_does_not_hold_up_the_end() -> None:
    """SIGTERM ends the sink although a caller still waits for its answer."""
    with RunningProcess([*SINK, "--hang"]) as process:
        url = process.wait_for_line(READY)[1]
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as caller:
            body = b'{"token":"T","data":[{"number":"39333"}]}'
            caller.sendall(b"POST /api/v2/push HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
            wait_until(lambda: call(f"{url}/journal"), description="the row in the journal")
            assert process.terminate(timeout=timedelta(seconds=10)) == 0
        assert process.line_count() == 1


def test_two_faults_at_once_are_refused() -> None:
    """The command line says which options exclude each other."""
    with RunningProcess([*SINK, "--hang", "--fail", "401"]) as process:
        assert process.wait() == 2
        assert "choose one of" in process.output
