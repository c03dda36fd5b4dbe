"""Does the simulator, as a process, speak as the provider does, tell what happened, and end cleanly?"""

from __future__ import annotations

import json
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote_plus

import pytest

from tests.harness.processes import RunningProcess
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.processes

READY = r"^simulator ready on (http://127\.0\.0\.1:[0-9]+)$"
SIMULATOR = [sys.executable, "-m", "simulator", "--port", "0"]
#: Receipts at once: no test waits for people.
SWIFT = ["--delivered-after", "0.001", "--read-after", "0.001", "--delivered-share", "1", "--read-share", "1"]

#: What an app answers to a webhook: its HTTP status and its JSON.
Reply = tuple[int, Any]


class App:
    """An app that takes webhooks: what it was told, by address and body, and what it answers."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.answer: Callable[[dict[str, Any]], Reply] = lambda _: (200, {})
        app = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                app.told.append((self.path, body))
                status, reply = app.answer(body)
                encoded = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(encoded)))
                self.end_headers()
                self.wfile.write(encoded)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/webhooks/picky/15555550100"

    def inbound(self) -> list[dict[str, Any]]:
        """The messages that it was told."""
        return [body for _, body in self.told if "event_id" not in body]

    def receipts(self) -> list[dict[str, Any]]:
        """The receipts that it was told, one by one."""
        return [row for _, body in self.told if body.get("event_id") == 1 for row in body["data"]]


@pytest.fixture
def app() -> Iterator[App]:
    """An app on loopback."""
    app = App()
    thread = Thread(target=app.server.serve_forever, daemon=True)
    thread.start()
    yield app
    app.server.shutdown()
    app.server.server_close()
    thread.join()


@contextmanager
def simulator(*options: str) -> Iterator[str]:
    """The address of a running simulator; it must end cleanly, and say nothing but that it is ready."""
    with RunningProcess([*SIMULATOR, *options]) as process:
        yield process.wait_for_line(READY)[1]
        assert process.terminate() == 0, process.tail()
        assert process.line_count() == 1, process.tail()


def call(url: str, body: object = None) -> Any:
    """GET, or POST JSON; return the JSON answer."""
    assert url.startswith("http://127.0.0.1:")
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(url, data=data, timeout=10) as answer:  # noqa: S310  loopback, as asserted
        return json.loads(answer.read())


def push(url: str, *, rows: int = 1, **fields: Any) -> Any:
    """Push rows m0, m1, …; return the answer."""
    data = [
        {"number": f"39333123456{index}", "message": f"text {index}", "reference_number": f"m{index}"}
        for index in range(rows)
    ]
    return call(f"{url}/api/v2/push", {"token": "T", "application": "121", "data": data, **fields})


def kinds(url: str) -> list[str]:
    """The kinds of all events, in the order of their arrival."""
    return [event["kind"] for event in call(f"{url}/journal")]


def refused(status: int, ask: Callable[[], Any]) -> Any:
    """Ask what is refused with this HTTP status; return the JSON of the refusal."""
    with pytest.raises(urllib.error.HTTPError) as error:
        ask()
    with error.value as answer:
        assert answer.code == status
        return json.loads(answer.read())


def test_a_push_is_answered_and_its_receipts_come_by_webhook(app: App) -> None:
    """Ids are text in the answer and numbers in the webhook; the reference comes back; the address has the key."""
    with simulator(*SWIFT, "--webhook", app.url, "--key", "a b&c") as url:
        answer = push(url, rows=2)
        wait_until(
            lambda: len(app.receipts()) == 4, description="both receipts of both rows", detail=lambda: str(app.told)
        )
        first = [row for row in app.receipts() if row["reference_number"] == "m0"]
        verdict = call(f"{url}/verdict")
    assert answer["status"] == 100
    assert {path for path, _ in app.told} == {"/webhooks/picky/15555550100?key=a%20b%26c"}
    assert [row["status"] for row in sorted(first, key=lambda row: row["status"])] == [1, 3]
    for row in first:
        assert (row["push_id"], row["msg_id"]) == (int(answer["push_id"]), int(answer["data"][0]["msg_id"]))
        assert (row["number"], row["channel_id"], row["error_message"]) == ("393331234560", 121, "")
    body = app.told[0][1]
    assert (body["project_id"], body["event_id"]) == (27, 1)
    assert verdict["arrived"] == {"send": 2, "delivered": 2, "read": 2}
    assert (verdict["inbound_lost"], verdict["duplicates"], verdict["tps"]) == (0, 0, 10.0)


def test_what_people_write_comes_by_webhook(app: App) -> None:
    """Numbers where the provider sends numbers, and the text URL-encoded beside the raw one."""
    with simulator("--tps", "1000", "--inbound", "200", "--application", "121", "--webhook", app.url):
        wait_until(lambda: len(app.inbound()) >= 30, description="30 messages")
    message = app.inbound()[0]
    assert set(message) == {
        *("number", "message-in", "message_in_raw", "type", "application"),
        *("unique-id", "project-id", "direction", "name"),
    }
    assert (message["type"], message["application"], message["project-id"], message["direction"]) == (1, 121, 27, 0)
    assert message["number"].isdigit()
    assert all(unquote_plus(each["message-in"]) == each["message_in_raw"] for each in app.inbound())
    assert any("+" in each["message-in"] and "%" in each["message-in"] for each in app.inbound())
    ids = [each["unique-id"] for each in app.inbound()]
    assert len(set(ids)) == len(ids)


def test_an_instant_reply_is_a_send_of_the_number(app: App) -> None:
    """It stands in the answer to the message, goes to its writer, and brings receipts like any other."""
    app.answer = lambda body: (200, {"message-out": "Hi!"}) if "message-in" in body else (200, {})
    options = ["--tps", "1000", "--burst", "3", "--burst-every", "0.2", *SWIFT, "--webhook", app.url]
    with simulator(*options) as url:
        wait_until(lambda: len(app.receipts()) >= 6, description="the receipts of three replies")
        events = call(f"{url}/journal")
        verdict = call(f"{url}/verdict")
    replies = [event for event in events if event["kind"] == "send"]
    assert {(event["message"], event["source"]) for event in replies} == {("Hi!", "reply")}
    assert {event["number"] for event in replies} <= {event["number"] for event in events if event["kind"] == "inbound"}
    assert verdict["replies"] >= len(replies) >= 3


def test_what_the_app_does_not_answer_is_never_told_again(app: App) -> None:
    """Retry is off by default: one try each, and the record says that nobody was told."""
    app.answer = lambda _: (500, {})
    with simulator(*SWIFT, "--webhook", app.url, "--webhook-rows", "1") as url:
        push(url)
        state = wait_until(
            lambda: (told := call(f"{url}/healthz"))["events_untold"] == 2 and told, description="two untold events"
        )
        events = call(f"{url}/journal")
    assert (state["webhooks_failed"], len(app.told)) == (2, 2)
    assert [event["told_us"] for event in events] == [None] * 3


def test_with_retries_it_is_told_again(app: App) -> None:
    """The same body, until it is answered."""
    app.answer = lambda _: (200 if len(app.told) > 2 else 503, {})
    with simulator(*SWIFT, "--receipts", "delivered", "--retries", "0.01,0.01,9", "--webhook", app.url) as url:
        push(url)
        wait_until(lambda: call(f"{url}/healthz")["webhooks_answered"] == 1, description="the answered webhook")
    assert len(app.told) == 3
    assert app.told[0] == app.told[1] == app.told[2]


def test_webhooks_can_be_paused(app: App) -> None:
    """They are held, and told when they may go on."""
    with simulator(*SWIFT, "--webhook", app.url) as url:
        assert call(f"{url}/control", {"webhooks": "pause"})["webhooks"] == "pause"
        push(url)
        wait_until(lambda: kinds(url).count("read") == 1, description="both receipts' arrival")
        held = list(app.told)
        call(f"{url}/control", {"webhooks": "run"})
        wait_until(lambda: len(app.receipts()) == 2, description="both receipts' webhooks")
    assert held == []


def test_without_the_event_webhook_receipts_only_use_transactions(app: App) -> None:
    """The number pays, and nobody is told."""
    with simulator(*SWIFT, "--no-event-webhook", "--webhook", app.url) as url:
        push(url)
        wait_until(lambda: kinds(url) == ["send", "delivered", "read"], description="both receipts")
        assert call(f"{url}/healthz")["events_untold"] == 0
    assert app.told == []


def test_a_group_costs_receipts_that_no_webhook_tells(app: App) -> None:
    """Members x kinds of transactions, and a silent event webhook."""
    options = ["--tps", "1000", "--group-members", "5", "--receipts", "none", *SWIFT, "--webhook", app.url]
    with simulator(*options) as url:
        details = call(f"{url}/api/v2/group-details", {"token": "T", "group_id": "G7"})
        push(url, group_id="G7", globalmessage="hi", data=[])
        wait_until(lambda: len(kinds(url)) == 11, description="ten receipts")
    assert (details["status"], len(details["group_members"])) == (100, 5)
    assert app.told == []


@pytest.mark.parametrize("over", ["429", "silent"])
def test_what_is_over_the_quota_is_dropped(over: str) -> None:
    """It isn't processed, whatever the answer looks like."""
    with simulator("--quota", "2", "--over-quota", over, "--receipts", "none") as url:
        assert [push(url)["status"] for _ in range(2)] == [100, 100]
        answer = refused(429, lambda: push(url)) if over == "429" else push(url)
        state = call(f"{url}/healthz")
    assert answer == {"status": 429, "message": "Too many requests"}
    assert (state["events"], state["dropped_requests"], state["refused_rows"]) == ({"send": 2}, 1, 1)


def test_the_smaller_calls_answer_as_the_provider_does() -> None:
    """Delivery report, balance, and the status of the device three times a minute."""
    with simulator(*SWIFT, "--tps", "1000") as url:
        push_id = push(url, rows=2)["push_id"]
        ask = {"token": "T", "push_id": int(push_id)}

        def states() -> set[str]:
            return {row["status"] for row in call(f"{url}/api/v2/delivery-report", ask)["data"]}

        wait_until(lambda: states() == {"3"}, description="both read")
        report = call(f"{url}/app/api/v2/delivery-report", ask)
        balance = call(f"{url}/api/v2/check-balance", {"token": "T"})
        statuses = [call(f"{url}/api/v2/device-status", {"token": "T", "application": 10}) for _ in range(3)]
        refused(429, lambda: call(f"{url}/api/v2/device-status", {"token": "T"}))
        unknown = call(f"{url}/api/v2/delivery-report", {"token": "T", "push_id": 7})
    assert (report["push_id"], report["project_id"], report["message_type"]) == (int(push_id), "27", "3")
    assert (balance["status"], type(balance["balance"])) == (100, float)
    assert {(each["status"], each["message_queue_count"]) for each in statuses} == {("CONNECTED", 0)}
    assert unknown["status"] == 400


def test_every_call_wants_the_token() -> None:
    """401 in the body under HTTP 200; nothing is taken."""
    with simulator("--token", "secret") as url:
        names = ["push", "delivery-report", "device-status", "check-balance", "group-details"]
        body = {"token": "T", "data": [{"number": "39333"}], "push_id": 1, "group_id": "G"}
        assert {call(f"{url}/api/v2/{name}", body)["status"] for name in names} == {401}
        assert call(f"{url}/journal") == []


@pytest.mark.parametrize(("mode", "taken"), [("fail:401", 0), ("http:500", 0), ("cut", 1)])
def test_each_fault_does_to_the_rows_what_it_says(mode: str, taken: int) -> None:
    """A refusal takes nothing; a cut connection has taken all."""
    with simulator("--receipts", "none") as url:
        assert call(f"{url}/control", {"mode": mode})["mode"] == mode
        if mode == "fail:401":
            assert push(url)["status"] == 401
        else:
            with pytest.raises((urllib.error.HTTPError, ConnectionError, OSError)) as error:
                push(url)
            if isinstance(error.value, urllib.error.HTTPError):
                error.value.close()
        assert call(f"{url}/control", {"mode": "ok"})["mode"] == "ok"
        assert len(kinds(url)) == taken


def test_a_hanging_push_has_taken_its_rows_and_does_not_hold_up_the_end() -> None:
    """SIGTERM ends the simulator although a caller still waits."""
    with RunningProcess([*SIMULATOR, "--mode", "hang", "--receipts", "none"]) as process:
        url = process.wait_for_line(READY)[1]
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as caller:
            body = b'{"token":"T","data":[{"number":"39333"}]}'
            caller.sendall(b"POST /api/v2/push HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
            wait_until(lambda: kinds(url) == ["send"], description="the row in the journal")
            assert process.terminate() == 0
        assert process.line_count() == 1


@pytest.mark.parametrize("wish", [{"webhooks": "stop"}, {"mode": "hung"}, [], {"webhooks": ["run"]}], ids=str)
def test_a_bad_wish_is_refused_in_words(wish: object) -> None:
    """And nothing is changed."""
    with simulator() as url:
        assert refused(422, lambda: call(f"{url}/control", wish))["error"]
        state = call(f"{url}/healthz")
        assert (state["mode"], state["webhooks"]) == ("ok", "run")


def test_the_verdict_takes_a_span_and_the_classes() -> None:
    """Whoever knows which reference is of which class brings the map."""
    with simulator("--receipts", "none") as url:
        push(url, rows=3)
        push(url, rows=1)
        whole = call(f"{url}/verdict", {"classes": {"m0": "urgent", "m1": "bulk"}})
        none = call(f"{url}/verdict?since_us=1&until_us=2")
        refused(422, lambda: call(f"{url}/verdict?since_us=today"))
    assert (whole["duplicates"], whole["arrived"]) == (1, {"send": 4})
    assert [(seen["name"], seen["sends"]) for seen in whole["classes"]] == [("urgent", 2), ("bulk", 1)]
    assert none["arrived"] == {}


def test_the_journal_file_has_a_line_for_each_event_whose_story_is_told(app: App, tmp_path: Path) -> None:
    """Sends at once, the rest when its webhook has been answered; a kill leaves what was written."""
    file = tmp_path / "journal.jsonl"
    with RunningProcess([*SIMULATOR, *SWIFT, "--webhook", app.url, "--journal", str(file)]) as process:
        push(process.wait_for_line(READY)[1])
        wait_until(lambda: file.read_text().count("\n") == 3, description="three lines")
        process.kill()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["send", "delivered", "read"]
    assert {line["reference_number"] for line in lines} == {"m0"}
    assert all(line["told_us"] >= line["turn_us"] >= line["at_us"] for line in lines[1:])


def test_the_record_is_bounded() -> None:
    """Old events are forgotten, and it says how many."""
    with simulator("--receipts", "none", "--most-events", "5") as url:
        push(url, rows=9)
        push(url, rows=1)
        assert (len(kinds(url)), call(f"{url}/verdict")["since_start"]["forgotten"]) == (5, 5)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--tps", "0"], "tps"),
        (["--webhook", "app/webhook"], "address"),
        (["--retries", "soon"], "seconds"),
        (["--mode", "hung"], "mode"),
    ],
    ids=["no tps", "no address", "no time", "no mode"],
)
def test_a_wrong_option_is_refused_in_words(options: list[str], word: str) -> None:
    """One sentence, no traceback."""
    with RunningProcess([*SIMULATOR, *options]) as process:
        assert process.wait() in {1, 2}
        assert word in process.output
        assert "Traceback" not in process.output


def test_ctrl_c_ends_it_cleanly() -> None:
    """As SIGTERM does."""
    with RunningProcess(SIMULATOR) as process:
        process.wait_for_line(READY)
        process.signal(signal.SIGINT)
        assert process.wait() == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_simulator_that_can_not_go_on_ends_with_the_reason() -> None:
    """Its journal's disk is full: it doesn't live on without telling anybody anything."""
    options = ["--tps", "1000", "--inbound", "100", "--journal", "/dev/full"]
    with RunningProcess([*SIMULATOR, *options]) as process:
        assert process.wait() == 1
        assert "No space left" in process.output
        assert "Traceback" not in process.output
