"""Does what the app didn't take reach it after all, in the order of each contact, and can a person see and end it?"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis as redis_py
from click.testing import CliRunner, Result

from console.main import cli
from delivery import outbox_desk
from gateway import inbox, outbox
from gateway.outbox import FEW, LONGEST_REST_S, MANY, _Pace
from headway import keys
from runtime.clock import FakeClock
from scheduler import meter
from tests.harness.apps import AppDouble
from tests.harness.asgi import Answer, Door
from tests.harness.gateway import CHANNEL, NUMBER, bearer, open_door
from tests.harness.picky import ROW, inbound, row
from tests.harness.servers import ThrowawayServer

HOOK = f"/webhooks/picky/{NUMBER}"
ADA, BOB = "393331234501", "393331234502"


class Town:
    """A gateway, the app behind it, and the server."""

    def __init__(self, redis: redis_py.Redis, door: Door, app: AppDouble) -> None:
        self.redis: Any = redis
        self.door = door
        self.app = app

    def comes_in(self, id_: int, contact: str = ADA) -> Any:
        """Send an inbound message that must be taken; return the answer's JSON."""
        answer = self.door.post(HOOK, message(id_, contact))
        assert answer.status == 200, answer.body
        return answer.json

    def counts(self) -> tuple[int, int]:
        """Return how many entries wait, and how many are parked."""
        found = outbox_desk.counts(self.redis, NUMBER)
        return found.waiting, found.parked

    def got(self) -> list[tuple[str, Any]]:
        """Return sender and id of each inbound message in the order in which the app was asked."""
        return [(body["number"], body["unique-id"]) for body in self.app.bodies if "unique-id" in body]

    def empties(self) -> None:
        """Let the gateway empty the outbox; every line may be tried at once."""
        outbox_desk.retry_all(self.redis, NUMBER)
        self.door.wait(lambda: self.counts()[0] == 0, description="empty outbox")


def message(id_: int, contact: str = ADA) -> dict[str, Any]:
    """Return a webhook with a message of a contact."""
    return inbound(unique__id=id_, number=contact, application=CHANNEL)


@pytest.fixture
def app() -> Iterator[AppDouble]:
    """An app with a webhook of its own."""
    with AppDouble() as app:
        yield app


@pytest.fixture
def town(
    redis: redis_py.Redis, server: ThrowawayServer, app: AppDouble, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Town]:
    """A gateway that looks into its outbox without a pause."""
    monkeypatch.setattr(outbox, "_LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(outbox, "LONGEST_REST_S", 0.0)
    monkeypatch.setattr(outbox, "WAITS", (timedelta(0),))
    monkeypatch.setattr(inbox, "WAITS", (timedelta(hours=1),))
    with open_door(server.url, FORWARD_URL=app.url, WEBHOOK_KEY="off") as door:
        yield Town(redis, door, app)


# ------------------------------------------------------------------------------------------------------------ in order


def test_an_app_that_comes_back_gets_everything_in_order(town: Town) -> None:
    """Each contact's messages as they came; counted once, answered without a reply, and nothing is left."""
    town.app.status = 500
    for id_ in range(1, 5):
        assert [town.comes_in(id_), town.comes_in(10 + id_, BOB)] == [{}, {}]
    assert town.counts() == (8, 0)
    assert len(town.got()) == 2  # the others went behind the first one of their contact, without asking
    town.app.status = 200
    town.app.bodies.clear()
    town.empties()
    for contact, ids in ((ADA, [1, 2, 3, 4]), (BOB, [11, 12, 13, 14])):
        assert [id_ for one, id_ in town.got() if one == contact] == ids
    assert meter.spent(town.redis, NUMBER).inbound == 8
    assert not [key for key in town.redis.scan_iter() if b":outbox" in key]


def test_a_repetition_of_what_is_kept_is_not_kept_again(town: Town) -> None:
    """The provider is told the same again."""
    town.app.status = 500
    assert [town.comes_in(1) for _ in range(3)] == [{}, {}, {}]
    assert (town.counts(), len(town.got())) == ((1, 0), 1)
    town.app.status = 200
    town.empties()
    assert town.comes_in(1) == {}
    assert len(town.got()) == 2


def test_messages_of_one_contact_wait_for_each_other(town: Town) -> None:
    """They arrive together, and reach the app one after the other, each with its instant reply."""
    town.app.answer = {"message-out": "Hi"}
    answers = town.door.together(*(("POST", HOOK, message(id_)) for id_ in range(1, 7)))
    assert [answer.json for answer in answers] == [town.app.answer] * 6
    assert town.got() == [(ADA, id_) for id_ in range(1, 7)]
    assert meter.spent(town.redis, NUMBER).send == 6


def test_a_contact_that_floods_waits_in_the_outbox(town: Town) -> None:
    """A few wait with their requests for a slow app; the others are safe at once, and come behind them."""
    town.door.together(*(("POST", HOOK, message(id_)) for id_ in range(40)))
    town.empties()
    assert town.got() == [(ADA, id_) for id_ in range(40)]


def test_receipts_go_behind_what_is_kept_of_their_contact(town: Town) -> None:
    """And those of others don't wait for them."""
    town.app.status = 500
    town.door.post(HOOK, row(number=ADA, msg_id=1, status=1))
    town.app.status = 200
    town.app.bodies.clear()
    rows = [{**ROW, "number": ADA, "msg_id": 1, "status": 3}, {**ROW, "number": BOB, "msg_id": 2, "status": 3}]
    town.redis.zadd(keys.outbox_due(NUMBER), {ADA: 9e15})
    town.door.post(HOOK, {"event_id": 1, "data": rows})
    town.empties()
    told = [(one["number"], one["status"]) for body in town.app.bodies for one in body["data"]]
    assert told == [(BOB, 3), (ADA, ROW["status"]), (ADA, 3)]


def test_one_contact_whose_message_the_app_refuses_holds_nobody_else(town: Town) -> None:
    """The app says 500 to one message for ever: the others go on, those of its own contact wait behind it."""
    town.app.refuses = lambda body: body.get("unique-id") == 1
    town.comes_in(1)
    town.comes_in(2)
    for id_ in range(3, 9):
        assert town.comes_in(id_, BOB) == {}
    assert town.counts() == (2, 0)
    assert [id_ for contact, id_ in town.got() if contact == BOB] == list(range(3, 9))
    outbox_desk.discard(town.redis, NUMBER, "in:1")
    town.empties()
    assert town.got()[-1] == (ADA, 2)


def test_what_is_refused_for_days_is_parked(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the next one of its contact has its turn."""
    town.app.status = 500
    town.comes_in(1)
    town.comes_in(2)
    town.app.status = 200
    town.app.refuses = lambda body: body["unique-id"] == 1
    monkeypatch.setattr(outbox, "KEEP_TRYING", timedelta(0))
    town.empties()
    assert town.counts() == (0, 1)
    assert town.got()[-1] == (ADA, 2)


def test_a_reply_that_comes_too_late_is_dropped_loudly(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    """The provider no longer waits for it, so it isn't charged either."""
    town.app.status = 500
    town.comes_in(1)
    town.app.status = 200
    town.app.answer = {"message-out": "Hi"}
    with caplog.at_level(logging.INFO):
        town.empties()
    assert "reply_dropped" in caplog.text
    assert meter.spent(town.redis, NUMBER).send == 0


def test_an_outbox_that_is_full_leaves_it_to_the_spool(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Still safe, and in order once there is room."""
    town.app.status = 500
    town.comes_in(1)
    with monkeypatch.context() as full:
        full.setattr("delivery.outbox.MOST_BYTES", 1)
        town.comes_in(2)
        town.comes_in(3)
        assert town.counts() == (1, 0)
    town.app.status = 200
    town.door.wait(lambda: town.counts()[0] == 3, description="what was written down in the outbox")
    town.empties()
    assert [id_ for _, id_ in town.got()][-3:] == [1, 2, 3]


# ---------------------------------------------------------------------------------------------------------------- pace


def test_the_pace_follows_what_the_app_takes() -> None:
    """Few lines and longer and longer rests while it takes nothing; twice as many with each that it takes."""
    clock = FakeClock()
    pace = _Pace(clock)
    rested = []
    for _ in range(FEW):
        pace.note(took=False)
        rested.append(pace.rests)
    assert rested == [False] * (FEW - 1) + [True]
    clock.advance(timedelta(seconds=1))
    assert pace.until_us == clock.monotonic_us()
    for _ in range(10 * FEW):
        pace.note(took=False)
    assert pace.rest_s == LONGEST_REST_S
    for _ in range(10):
        pace.note(took=True)
    assert (pace.window, pace.rest_s) == (MANY, 0.0)
    pace.note(took=False)
    assert pace.window == MANY


# ------------------------------------------------------------------------------------------------------------- persons


def test_the_api_shows_and_ends_what_is_kept(town: Town) -> None:
    """Counted, listed, shown with its body, tried again, thrown away."""
    town.app.status = 500
    for id_ in (1, 2):
        town.comes_in(id_)

    def ask(method: str, path: str) -> Answer:
        return town.door.call(method, f"/v1/outbox{path}", **bearer())

    counts = ask("GET", "").json["numbers"][0]
    kept = {name: counts[name] for name in ("bytes", "oldest_ms")}
    assert counts == {"number": NUMBER, "waiting": 2, "contacts": 1, "parked": 0, **kept}
    assert kept["oldest_ms"] == ask("GET", f"/{NUMBER}").json["entries"][0]["at_ms"]
    del counts["number"]
    assert town.door.get(f"/v1/numbers/{NUMBER}", **bearer()).json["outbox"] == counts
    page = ask("GET", f"/{NUMBER}?limit=1").json
    assert [(one["id"], one["state"], one["contact"]) for one in page["entries"]] == [("in:1", "waiting", ADA)]
    assert [one["id"] for one in ask("GET", f"/{NUMBER}?after={page['after']}").json["entries"]] == ["in:2"]
    assert ask("GET", f"/{NUMBER}/in:2").json["body"] == message(2)
    assert ask("DELETE", f"/{NUMBER}/in:1").status == 200
    town.app.status = 200
    assert ask("POST", f"/{NUMBER}/in:2/retry").json == {"retried": 1}
    town.door.wait(lambda: town.counts() == (0, 0), description="empty outbox")
    assert town.got()[-1] == (ADA, 2)
    assert ask("POST", f"/{NUMBER}/retry").json == {"retried": 0}
    for method, path in (("GET", "/in:2"), ("DELETE", "/in:2"), ("POST", "/in:2/retry")):
        assert ask(method, f"/{NUMBER}{path}").status == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [("/x", 404), (f"/{NUMBER}?state=dead", 400), (f"/{NUMBER}?limit=0", 400), (f"/{NUMBER}?after=%C3%A4", 400)],
)
def test_the_api_says_what_it_cant_do(town: Town, path: str, status: int) -> None:
    """In a problem, and nothing without a token."""
    assert town.door.get(f"/v1/outbox{path}", **bearer()).status == status
    assert town.door.get(f"/v1/outbox{path}").status == 401


@pytest.fixture
def run(town: Town, server: ThrowawayServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Run `headway outbox` on the same server; the log is put back as it was."""
    monkeypatch.setenv("HEADWAY_REDIS_URL", server.url)
    monkeypatch.setenv("HEADWAY_NUMBERS", NUMBER)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ("outbox", *arguments))

    yield invoke
    root.handlers[:], root.level = handlers, level


def test_the_command_shows_and_ends_what_is_kept(town: Town, run: Any) -> None:
    """The same from a terminal."""
    town.app.status = 500
    for id_ in (1, 2, 3):
        town.comes_in(id_)
    assert ADA in run("list").stdout
    told = json.loads(run("list", "--json", "--limit", "2").stdout)
    assert ([one["id"] for one in told["entries"]], told["waiting"]) == (["in:1", "in:2"], 3)
    assert json.loads(run("list", "--json", "--after", told["after"]).stdout)["entries"][0]["id"] == "in:3"
    assert json.loads(run("show", "in:1").stdout)["body"] == message(1)
    assert run("discard", "in:1").stdout == "in:1 is discarded\n"
    assert run("retry", "in:2").stdout == "in:2 is tried now\n"
    assert run("retry", "--all").stdout == "2 entries are tried now\n"
    for arguments in (("show", "in:1"), ("retry", "in:1"), ("discard", "in:1")):
        refused = run(*arguments)
        assert (refused.exit_code, "there is no entry in:1" in refused.stderr) == (2, True)
    assert run("retry").exit_code == 2
    assert json.loads(run("list", "--parked", "--json").stdout)["entries"] == []


@pytest.mark.parametrize("command", ["list", "show", "retry", "discard"])
def test_each_command_shows_an_example(command: str) -> None:
    """--help of every command has an example that starts with the command itself."""
    assert f"headway outbox {command}" in CliRunner().invoke(cli, ["outbox", command, "--help"]).stdout
