"""Do both doors show what is dead or uncertain, and do what a person decides?"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import redis as redis_py
from click.testing import CliRunner, Result

from console.main import cli
from delivery.settle import Ending, Settlement, end, settle
from delivery.states import State
from headway import Client, keys
from headway.message import Message
from runtime.scripts import Call, run_all
from scheduler import leases
from scheduler.rules import NumberRules
from tests.harness.asgi import Door
from tests.harness.gateway import NUMBER, bearer, open_door
from tests.harness.servers import ThrowawayServer

RULES = NumberRules(number=NUMBER, tps_milli=10_000_000, guard_us=0, headroom_ppm=0, in_flight=25, lease_ttl_us=10**7)
PERSON = "393331200001"


@pytest.fixture
def door(redis: redis_py.Redis, server: ThrowawayServer) -> Iterator[Door]:
    """The HTTP door."""
    with open_door(server.url) as opened:
        yield opened


@pytest.fixture
def run(redis: redis_py.Redis, server: ThrowawayServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Run `headway` on the throwaway server; the log is put back as it was."""
    monkeypatch.setenv("HEADWAY_REDIS_URL", server.url)
    monkeypatch.setenv("HEADWAY_NUMBERS", NUMBER)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(cli, arguments)

    yield invoke
    root.handlers[:], root.level = handlers, level


def call(redis: redis_py.Redis, one: Call) -> Any:
    """Run a script that must not fail."""
    (reply,) = run_all(redis, [one])
    assert not isinstance(reply, Exception), reply
    return reply


def make(redis: redis_py.Redis, state: State, *texts: str) -> list[str]:
    """Let messages come to a state; return their ids."""
    rows = [Message(to=f"{PERSON}{i}", text=text, reference="order-7") for i, text in enumerate(texts)]
    ids = Client(redis).push_many(NUMBER, rows)
    call(redis, leases.lease(RULES, state.value, "me"))
    call(redis, leases.begin(RULES, state.value, "me", "x"))
    if state is State.DEAD:
        refused = [Settlement(id_, state, code="402", reason="no [such] number") for id_ in ids]
        call(redis, settle(NUMBER, state.value, refused, record_ttl_s=600))
    else:
        call(redis, end(NUMBER, state.value, ids, when=Ending.ENDED, why="its worker was lost", record_ttl_s=600))
    return ids


# --------------------------------------------------------------------------------------------------------------- HTTP


@pytest.mark.parametrize("state", [State.DEAD, State.UNCERTAIN])
def test_messages_are_listed_page_by_page(door: Door, redis: redis_py.Redis, state: State) -> None:
    """Only those of this state; the last page says so."""
    ids = make(redis, state, "one", "two", "three")
    other = State.UNCERTAIN if state is State.DEAD else State.DEAD
    assert door.get(f"/v1/{other}", **bearer()).json == {"messages": [], "after": ""}
    first = door.get(f"/v1/{state}?limit=2", **bearer()).json
    rest = door.get(f"/v1/{state}?limit=2&number={NUMBER}&after={first['after']}", **bearer()).json
    found = [*first["messages"], *rest["messages"]]
    assert sorted(row["id"] for row in found) == sorted(ids)
    assert rest["after"] == ""
    assert all(row["number"] == NUMBER and row["reference"] == "order-7" and row["class"] == "normal" for row in found)


def test_one_message_tells_all(door: Door, redis: redis_py.Redis) -> None:
    """What it says, why it is here, its history; where it isn't, the answer says where to look."""
    (message_id,) = make(redis, State.DEAD, "hello")
    found = door.get(f"/v1/dead/{message_id}", **bearer()).json
    assert found["fields"]["text"] == "hello"
    assert (found["code"], found["reason"], found["history"][0]["state"]) == ("402", "no [such] number", "dead")
    for path in (f"/v1/uncertain/{message_id}", "/v1/dead/nobody", "/v1/dead/%20"):
        answer = door.get(path, **bearer())
        assert (answer.status, "/v1/messages" in answer.json["detail"]) == (404, True)
    assert door.get(f"/v1/messages/{message_id}", **bearer()).json["history"] == found["history"]


def test_a_dead_message_is_retried_once(door: Door, redis: redis_py.Redis) -> None:
    """The second request finds it waiting."""
    (message_id,) = make(redis, State.DEAD, "hello")
    assert door.post(f"/v1/dead/{message_id}/retry", {}, **bearer()).json == {"changed": 1}
    assert door.post(f"/v1/dead/{message_id}/retry", {}, **bearer()).status == 404
    assert door.get(f"/v1/messages/{message_id}", **bearer()).json["state"] == "waiting"
    assert redis.llen(keys.lanes(NUMBER)[2]) == 1


@pytest.mark.parametrize(("verb", "state"), [("retry", "waiting"), ("discard", "discarded"), ("sent", "sent")])
def test_several_are_decided_at_once(door: Door, redis: redis_py.Redis, verb: str, state: str) -> None:
    """Some by name, the rest all together; who decided stands in the history."""
    ids = make(redis, State.UNCERTAIN, "one", "two", "three")
    path = f"/v1/uncertain/{verb}"
    assert door.post(path, {"ids": [ids[0], "nobody"], "by": "ada"}, **bearer()).json == {"changed": 1}
    assert door.post(path, {"all": True, "number": NUMBER}, **bearer()).json == {"changed": 2}
    told = [door.get(f"/v1/messages/{message_id}", **bearer()).json for message_id in ids]
    assert {one["state"] for one in told} == {state}
    assert told[0]["history"][-1]["by"] == "ada"
    assert redis.zcard(keys.uncertain(NUMBER)) == 0


@pytest.mark.parametrize(
    "body",
    [
        {}, {"ids": []}, {"ids": ["a"], "all": True}, {"ids": "a"}, {"ids": [" "]}, {"ids": [1]}, {"all": "yes"},
        {"ids": ["a"] * 1001}, {"ids": ["a"], "number": NUMBER}, {"all": True, "number": 7}, {"all": True, "by": ""},
        {"all": True, "why": "x"},
    ],
)  # fmt: skip
def test_a_choice_that_is_none_changes_nothing(door: Door, redis: redis_py.Redis, body: dict[str, Any]) -> None:
    """It is refused whole."""
    make(redis, State.DEAD, "hello")
    assert door.post("/v1/dead/discard", body, **bearer()).status == 400
    assert redis.zcard(keys.dead(NUMBER)) == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/dead?limit=0", 400), ("/v1/dead?limit=x", 400), ("/v1/dead?after=x", 400), ("/v1/dead?number=1", 404)],
)
def test_a_question_that_is_none_is_refused(door: Door, path: str, status: int) -> None:
    """With the field and what to write instead."""
    assert door.get(path, **bearer()).status == status


def test_nobody_without_a_token_sees_or_changes_anything(door: Door, redis: redis_py.Redis) -> None:
    """Each address asks for it."""
    (message_id,) = make(redis, State.DEAD, "hello")
    for path in ("/v1/dead", f"/v1/dead/{message_id}", "/v1/uncertain"):
        assert door.get(path).status == 401
    for path in (f"/v1/dead/{message_id}/retry", "/v1/dead/discard", "/v1/uncertain/sent"):
        assert door.post(path, {"all": True}).status == 401
    assert redis.zcard(keys.dead(NUMBER)) == 1


# ------------------------------------------------------------------------------------------------------------ console


def test_the_command_lists_and_shows(run: Any, redis: redis_py.Redis) -> None:
    """As a table for people, as JSON for programs; a stranger's words are shown as they are."""
    (message_id,) = make(redis, State.DEAD, "hello")
    assert message_id[:8] in run("dead", "list").stdout
    (row,) = json.loads(run("dead", "list", "--json").stdout)["messages"]
    assert (row["id"], row["reason"]) == (message_id, "no [such] number")
    assert json.loads(run("dead", "show", message_id).stdout)["fields"]["text"] == "hello"
    assert run("uncertain", "list").stdout == "nothing is uncertain\n"
    assert "dead  " in run("status", message_id).stdout


@pytest.mark.parametrize(
    ("group", "verb", "state"),
    [
        ("dead", "retry", "waiting"),
        ("dead", "discard", "discarded"),
        ("uncertain", "retry", "waiting"),
        ("uncertain", "discard", "discarded"),
        ("uncertain", "sent", "sent"),
    ],
)
def test_the_command_does_what_a_person_decided(
    run: Any, redis: redis_py.Redis, group: str, verb: str, state: str
) -> None:
    """One by name, the rest with --all; asked once more it says that there is none."""
    ids = make(redis, State(group), "one", "two", "three")
    assert run(group, verb, ids[0], "--by", "ada").stdout.startswith("1 messages")
    assert run(group, verb, "--all").stdout.startswith("2 messages")
    again = run(group, verb, ids[0])
    assert (again.exit_code, f"is not {group}" in again.stderr) == (2, True)
    told = [json.loads(run("status", message_id, "--json").stdout) for message_id in ids]
    assert {one["state"] for one in told} == {state}
    assert told[0]["history"][-1]["by"] == "ada"


@pytest.mark.parametrize(
    "arguments", [("dead", "retry"), ("dead", "retry", "a", "--all"), ("dead", "list", "--after", "x")]
)
def test_a_command_that_says_too_little_or_too_much_is_refused(run: Any, arguments: tuple[str, ...]) -> None:
    """In one sentence."""
    assert run(*arguments).exit_code == 2
