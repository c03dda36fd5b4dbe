"""Does a person at a terminal send a file to many, see what it costs, and stop it in time?"""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py
from click.testing import CliRunner, Result

from campaigns.store import Campaign, State
from console.campaign_look import now_and_then
from console.main import cli
from headway import MessageClass, keys
from runtime.clock import FakeClock
from tests.harness.servers import ThrowawayServer

NUMBER = "15555550100"
LANE = keys.lane(NUMBER, MessageClass.BULK)
GOOD = "Phone,First name\n+39 333 1234567,Ada\n333 1234568,\n"
TEXT = (
    "--to", "phone", "--country", "IT", "--map", "name=first name", "--default", "name=you", "--text", "Hi {{name}}!",
)  # fmt: skip


@pytest.fixture
def run(
    redis: redis_py.Redis, server: ThrowawayServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Any]:
    """Run `headway` on the throwaway server, in a directory of its own; the log is put back as it was."""
    monkeypatch.setenv("HEADWAY_REDIS_URL", server.url)
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(cli, arguments)

    yield invoke
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def guests(tmp_path: Path) -> Path:
    """Return a file of two guests."""
    path = tmp_path / "guests.csv"
    path.write_text(GOOD, encoding="utf-8")
    return path


def send(run: Any, path: Path, *arguments: str, status: int = 0) -> Result:
    """Run `headway campaign send`."""
    result: Result = run("campaign", "send", str(path), *TEXT, *arguments)
    assert result.exit_code == status, result.output
    return result


def texts(redis: redis_py.Redis) -> list[str]:
    """Return what the messages on the lane say, the first to leave first."""
    return [json.loads(json.loads(one)["body"])[1]["text"] for one in reversed(redis.lrange(LANE, 0, -1))]


def test_a_dry_run_shows_messages_and_cost(run: Any, redis: redis_py.Redis, guests: Path) -> None:
    """What would be sent, word for word, how many and how long; nothing is enqueued."""
    result = send(run, guests, "--dry-run", "--preview", "1")
    assert "line 2: to 393331234567, bulk\n    text: Hi Ada!\n" in result.stdout
    assert "2 messages would be sent, which takes about" in result.stdout
    assert "Nothing was enqueued." in result.stdout
    told = json.loads(send(run, guests, "--dry-run", "--json").stdout)
    assert (told["campaign"], told["rows"], told["cost"]["messages"]) == (None, 2, 2)
    assert redis.keys("*") == []


def test_a_campaign_is_sent_once(run: Any, redis: redis_py.Redis, guests: Path) -> None:
    """The same command again says so and sends nothing; another name is another campaign."""
    result = send(run, guests)
    assert "2 messages of 15555550100 enqueued (2 bulk)" in result.stdout
    assert texts(redis) == ["Hi Ada!", "Hi you!"]
    assert "has this file and name already, and is running: nothing was enqueued" in send(run, guests).stderr
    told = json.loads(send(run, guests, "--name", "second", "--json").stdout)
    assert (told["campaign"]["name"], told["campaign"]["rows"], redis.llen(LANE)) == ("second", 2, 4)


def test_a_dry_run_answers_as_the_send_would(run: Any, redis: redis_py.Redis, guests: Path) -> None:
    """A conflict with a campaign that is there, or that it is sent already; a mistake in the options comes first."""
    made = json.loads(send(run, guests, "--json").stdout)["campaign"]["id"]
    assert f"Campaign {made} has this file and name already" in send(run, guests, "--dry-run").stdout
    assert json.loads(send(run, guests, "--dry-run", "--json").stdout)["repeated"] is True
    for dry in ((), ("--dry-run",)):
        other = send(run, guests, "--text", "Ho {{name}}", *dry, status=2)
        assert f"there is campaign {made} of this file and name" in other.stderr
        assert "would be sent" not in other.stdout
        assert "{{nome}} is no column" in send(run, guests, "--text", "Hi {{nome}}", *dry, status=2).stderr
        assert "fone" in send(run, guests, "--to", "fone", *dry, status=2).stderr
    redis.hset(keys.campaign(made), mapping={"state": "loading", "loaded": 1, "whole": 0})
    assert "broke off after 1 of 2 rows: the send goes on there" in send(run, guests, "--dry-run").stdout
    assert len(texts(redis)) == 2


def test_bad_rows_refuse_the_whole_or_are_left_out(run: Any, redis: redis_py.Redis, guests: Path) -> None:
    """With their place; left out they are written to a file that can be corrected and sent."""
    guests.write_text(GOOD + "nobody,Cy\n", encoding="utf-8")
    result = send(run, guests, status=2)
    assert "guests.csv, line 4, Phone: is no phone number" in result.stderr
    assert "1 of 3 rows can't be sent, so nothing was enqueued" in result.stderr
    assert redis.keys("*") == []
    send(run, guests, "--dry-run", status=2)
    result = send(run, guests, "--skip-bad", "--bad-file", "bad.csv")
    assert "1 bad row is left out, and stands in bad.csv" in result.stderr
    with Path("bad.csv").open(encoding="utf-8", newline="") as file:
        names, bad = csv.reader(file)
    assert names == ["Phone", "First name", "row", "problem"]
    assert bad[:3] == ["nobody", "Cy", "4"]
    assert len(texts(redis)) == 2


def test_a_campaign_is_listed_shown_paused_and_ended(run: Any, redis: redis_py.Redis, guests: Path) -> None:
    """Who did what and why stands in the number's list of changes."""
    made = json.loads(send(run, guests, "--by", "ada", "--json").stdout)["campaign"]["id"]
    assert made in run("campaign", "list").stdout
    assert json.loads(run("campaign", "list", "--json").stdout)["campaigns"][0]["by"] == "ada"
    assert "2 waiting" in run("campaign", "show", made).stdout
    assert json.loads(run("campaign", "show", made, "--json").stdout)["messages"] == {"waiting": 2}
    assert "is paused" in run("campaign", "pause", made, "--reason", "wrong picture").stdout
    assert json.loads(run("campaign", "resume", made, "--json").stdout)["state"] == "running"
    result = run("campaign", "resume", made)
    assert (result.exit_code, "there is nothing to resume" in result.stderr) == (2, True)
    assert run("campaign", "cancel", made).exit_code == 2
    assert "is cancelled" in run("campaign", "cancel", made, "--reason", "wrong list").stdout
    told = [json.loads(line) for line in run("campaign", "watch", made, "--json").stdout.splitlines()]
    assert [(one["state"], one["messages"]) for one in told] == [("cancelled", {"cancelled": 2})]
    reasons = [json.loads(entry).get("reason") for entry in redis.lrange(keys.changes(NUMBER), 0, -1)]
    assert {"wrong picture", "wrong list"} <= set(reasons)
    assert "no campaign '0123'" in (unknown := run("campaign", "show", "0123").stderr)
    assert "`headway campaign list`" in unknown


def test_the_list_says_what_is_done_before_anybody_looked_closer(run: Any, redis: redis_py.Redis, guests: Path) -> None:
    """A campaign of which nothing waits is done, also when nobody watched it; one message that waits and it runs."""
    made = json.loads(send(run, guests, "--json").stdout)["campaign"]["id"]
    for place, state in ((2, "running"), (1, "done")):
        redis.hset(keys.record(f"{made}.{place}"), "state", "delivered")
        (listed,) = json.loads(run("campaign", "list", "--json").stdout)["campaigns"]
        assert listed["state"] == state
    assert redis.hget(keys.campaign(made), "state") in {"done", b"done"}


def test_what_broke_off_goes_on_with_its_file(run: Any, redis: redis_py.Redis, guests: Path) -> None:
    """Without the file it says which one it needs; with it every message is there once."""
    made = json.loads(send(run, guests, "--json").stdout)["campaign"]["id"]
    redis.hset(keys.campaign(made), mapping={"state": "loading", "loaded": 1, "whole": 0})
    redis.delete(keys.record(f"{made}.2"))
    redis.lpop(LANE)
    result = run("campaign", "resume", made)
    assert (result.exit_code, "broke off after 1 of 2 rows: say its file (guests.csv)" in result.stderr) == (2, True)
    assert "is running" in run("campaign", "resume", made, str(guests)).stdout
    assert texts(redis) == ["Hi Ada!", "Hi you!"]


def test_watching_ends_when_nothing_waits(
    run: Any, redis: redis_py.Redis, guests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line for each look; the campaign is done then."""
    made = json.loads(send(run, guests, "--json").stdout)["campaign"]["id"]

    def sleep(_seconds: float) -> None:
        for place in (1, 2):
            redis.hset(keys.record(f"{made}.{place}"), "state", "delivered")

    monkeypatch.setattr("console.campaign_look.time.sleep", sleep)
    told = [json.loads(line) for line in run("campaign", "watch", made, "--json").stdout.splitlines()]
    assert [(one["state"], one["messages"]) for one in told] == [
        ("running", {"waiting": 2}),
        ("done", {"delivered": 2}),
    ]
    assert f"campaign {made} (guests.csv) of {NUMBER} is done: 2 delivered" in run("campaign", "watch", made).stdout


def test_watching_without_a_terminal_says_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    """One at once and one every 10 s; how it ended is said by the command."""
    clock = FakeClock()
    say = now_and_then(clock)
    found = Campaign(
        id="0" * 12, name="guests", number=NUMBER, file="", digest="", class_="bulk", whole=True, state=State.RUNNING
    )
    heard = []
    for _ in range(22):
        say(found, {"waiting": 2})
        heard.append(capsys.readouterr().out)
        clock.advance(timedelta(seconds=1))
    assert [at for at, text in enumerate(heard) if text] == [0, 10, 20]
    assert heard[0] == f"campaign {'0' * 12} (guests) of {NUMBER} is running: 2 waiting\n"
    clock.advance(timedelta(seconds=10))
    say(replace(found, state=State.DONE), {})
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--map", "name"), "write it as name=column"),
        (("--map", "name=a", "--map", "NAME=b"), "a name is given twice"),
        (("--sheet", "x"), "is no workbook"),
        (("--country", "Italy"), "country: 'ITALY' is none"),
        (("--send-at", "tomorrow"), "send_at: must be a time like"),
        (("--text", "{{nme}}"), "{{nme}} is no column"),
        (("--class", "fast"), "'fast' is not one of"),
        (("--bad-file", "guests.csv"), "is the file itself"),
        (("--name", "a\tb"), "name: must have 1 to 100 printable"),
    ],
)
def test_what_cannot_be_is_one_sentence(run: Any, guests: Path, arguments: tuple[str, ...], said: str) -> None:
    """Status 2, and what to write instead."""
    assert said in send(run, guests, *arguments, status=2).stderr


def test_a_column_that_would_be_left_out_in_silence_is_refused(run: Any, guests: Path) -> None:
    """`expires_in`: without it stale messages would leave; as the place of a value it is a column like others."""
    guests.write_text("Phone,First name,expires_in\n393331234567,Ada,60\n", encoding="utf-8")
    assert "takes no expires_in: write a time" in send(run, guests, status=2).stderr
    assert "1 message would be sent" in send(run, guests, "--dry-run", "--map", "span=expires_in").stdout


def test_the_list_has_ids_to_copy_in_80_columns(
    run: Any, redis: redis_py.Redis, guests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, on one line with the number and the state, however long the names are."""
    monkeypatch.setenv("COLUMNS", "80")
    made = json.loads(send(run, guests, "--name", "x" * 60, "--by", "ada" * 9, "--json").stdout)["campaign"]["id"]
    lines = run("campaign", "list").stdout.splitlines()
    assert any(line.startswith(f"{made}  xxxx") and "  15555550100  running " in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_the_list_of_who_wants_none(run: Any, redis: redis_py.Redis, guests: Path) -> None:
    """From the command line or a file; a campaign leaves them out and says how many."""
    Path("stop.txt").write_text("333 1234568\n\n", encoding="utf-8")
    added = run("suppression", "add", "--file", "stop.txt", "--country", "it", "--by", "ada", "--reason", "said stop")
    assert "1 new on the list; 1 recipient on it now" in added.stdout
    assert "393331234568" in run("suppression", "list").stdout
    assert json.loads(run("suppression", "list", "+393331234568", "--json").stdout)["reason"] == "said stop"
    sent = send(run, guests)
    assert "1 recipient is suppressed and left out" in sent.stderr
    assert "1 message of 15555550100 enqueued (bulk)" in sent.stdout
    assert texts(redis) == ["Hi Ada!"]
    assert json.loads(run("suppression", "remove", "393331234568", "--json").stdout) == {"changed": 1, "total": 0}
    for wrong in (("add",), ("add", "x"), ("add", "1", "--country", "zz"), ("add", "1", "--file", "stop.txt")):
        assert run("suppression", *wrong).exit_code == 2


@pytest.mark.parametrize("group", ["campaign", "suppression"])
def test_each_command_shows_an_example(group: str) -> None:
    """--help of every command has an example that starts with the command itself."""
    for name in cli.commands[group].commands:  # type: ignore[attr-defined]
        result = CliRunner().invoke(cli, [group, name, "--help"])
        assert f"headway {group} {name}" in result.stdout
        assert "Example" in result.stdout
