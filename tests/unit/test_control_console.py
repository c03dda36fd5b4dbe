"""Does the command line steer messages as it says, and show first what it is about?"""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis as redis_py

from headway import Client
from scheduler import control
from tests.scripts.stage import everything
from tests.unit.test_console import NUMBER, quiet_logs, run

__all__ = ["quiet_logs", "run"]
TO = "393331234567"
WHY = ("--reason", "a test")


def test_a_message_is_cancelled_once_and_says_so(run: Any, redis: redis_py.Redis) -> None:
    """One that isn't there, or has left, is a refusal in one sentence."""
    message_id = Client(redis).push(NUMBER, to=TO, text="x")
    assert run("cancel", message_id, *WHY).stdout == f"{message_id}  cancelled\n"
    assert json.loads(run("cancel", message_id, "--json").stdout) == {"id": message_id, "state": "cancelled"}
    assert json.loads(run("status", message_id, "--json").stdout)["state"] == "cancelled"
    refused = run("cancel", "nobody")
    assert (refused.exit_code, "no record" in str(refused.stderr)) == (2, True)


def test_a_dry_run_shows_and_changes_nothing(run: Any, redis: redis_py.Redis) -> None:
    """How many, and some of them; a reason isn't needed to look."""
    Client(redis).push_many(NUMBER, [{"to": f"39333000{i:04}", "text": "x", "campaign": "c"} for i in range(7)])
    before = everything(redis)
    told = run("purge", NUMBER, "--campaign", "c", "--dry-run").stdout
    assert "purge campaign c of 15555550100: 7 messages" in told
    assert "3933••••••00" in told
    for verb in ("pause", "resume", "purge", "drain"):
        assert json.loads(run(verb, NUMBER, "--dry-run", "--json").stdout)["count"] == 7
    assert everything(redis) == before


@pytest.mark.parametrize("class_", ["urgent", "high", "normal", "bulk"])
def test_a_class_is_named_as_everywhere_else(run: Any, redis: redis_py.Redis, class_: str) -> None:
    """In small letters, and what is held is that class alone."""
    Client(redis).push_many(NUMBER, [{"to": TO, "text": "x", "class": name} for name in ("urgent", "bulk", class_)])
    for verb in ("pause", "resume", "purge", "drain"):
        shown = run(verb, NUMBER, "--class", class_, "--dry-run", "--json")
        assert json.loads(shown.stdout)["selection"] == {"class": class_}
    assert "held" in run("pause", NUMBER, "--class", class_, *WHY).stdout
    (mark,) = json.loads(run("marks", NUMBER, "--json").stdout)
    assert mark["selection"] == {"class": class_}


def test_a_purge_asks_first(run: Any, redis: redis_py.Redis) -> None:
    """Where nobody can answer, --yes must be said; the reason, always."""
    ids = Client(redis).push_many(NUMBER, [{"to": f"39333000{i:04}", "text": "x"} for i in range(3)])
    assert "say --yes" in run("purge", NUMBER, *WHY).stderr
    assert "reason: say why" in run("purge", NUMBER, "--yes").stderr
    assert json.loads(run("status", ids[0], "--json").stdout)["state"] == "waiting"
    assert "3 dropped" in run("purge", NUMBER, "--yes", *WHY).stdout
    assert json.loads(run("status", ids[0], "--json").stdout)["state"] == "cancelled"


def test_some_messages_are_held_and_go_on(run: Any, redis: redis_py.Redis) -> None:
    """`marks` lists what stands, `audit` what was done."""
    Client(redis).push(NUMBER, to=TO, text="x", campaign="c")
    assert (
        "campaign c of 15555550100: held until"
        in run("pause", NUMBER, "--campaign", "c", "--until", "2h", "--by", "ada", *WHY).stdout
    )
    (mark,) = json.loads(run("marks", NUMBER, "--json").stdout)
    assert (mark["what"], mark["by"], mark["reason"]) == ("hold", "ada", "a test")
    assert "campaign c" in run("marks", NUMBER).stdout
    assert "no longer held" in run("resume", NUMBER, "--campaign", "c").stdout
    assert "nothing is held" in run("marks", NUMBER).stdout
    entries = json.loads(run("audit", NUMBER, "--json").stdout)[NUMBER]
    assert [entry["verb"] for entry in entries] == ["resume", "pause"]
    assert "a test" in run("audit").stdout
    assert "not held" in run("resume", NUMBER, "--campaign", "c").stderr


def test_what_is_shown_fits_80_columns(run: Any, redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids whole, to be copied, no line of lanes in two, and the audit log a line for what and one for who."""
    monkeypatch.setenv("COLUMNS", "80")
    messages = [{"to": f"39333000{i:04}", "text": "x", "class": "bulk"} for i in range(120)]
    ids = Client(redis).push_many(NUMBER, messages)
    told = run("purge", NUMBER, "--class", "bulk", "--dry-run").stdout
    assert ids[0] in told
    assert "campaign" not in told
    assert "120 waiting" in run("numbers", NUMBER).stdout
    run("pause", NUMBER, "--class", "bulk", "--until", "2h", "--by", "ada", *WHY)
    what, who = run("audit", NUMBER).stdout.splitlines()[1:]
    assert "  pause class bulk, until " in what
    assert who.strip().startswith("by ada from ")
    assert who.endswith(": a test")
    assert max(map(len, (*told.splitlines(), what, who))) <= 80


def test_a_paused_number_stands_beside_its_marks(run: Any, redis: redis_py.Redis) -> None:
    """A pause of the whole number is no mark, and the reason why nothing leaves all the same."""
    Client(redis).push(NUMBER, to=TO, text="x")
    run("pause", NUMBER)
    assert f"{NUMBER} is paused as a whole" in run("marks", NUMBER).stdout
    assert json.loads(run("marks", NUMBER, "--json").stdout) == []


def test_a_paused_number_shows_what_would_go(run: Any, redis: redis_py.Redis) -> None:
    """Before a person resumes it: how much, how old, and what of it has expired."""
    client = Client(redis)
    client.push(NUMBER, to=TO, text="old", expires_at="2020-01-01T00:00:00Z", class_="bulk")
    client.push(NUMBER, to=TO, text="new", class_="bulk")
    assert "is paused until" in run("pause", NUMBER, "--until", "1h", *WHY).stdout
    told = run("numbers", NUMBER).stdout
    assert "2 waiting" in told
    assert "2 bulk would go, the oldest for 0 s; 1 of the first 2 expired" in told
    assert json.loads(run("numbers", NUMBER, "--json").stdout)[0]["would_go"][0]["expired"] == 1


def test_a_drained_number_takes_no_more(run: Any, redis: redis_py.Redis) -> None:
    """Until it is ended."""
    assert "no more are taken" in run("drain", NUMBER, *WHY, "--until", "1d").stdout
    refused = run("push", "examples/recipients.csv", "--number", NUMBER, "--class", "bulk")
    assert (refused.exit_code, "takes no more messages: a test" in refused.stderr) == (2, True)
    assert "taken again" in run("drain", NUMBER, "--end").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cancel",), "name messages, or --number"),
        (("cancel", "a", "--number", NUMBER), "name messages, or --number"),
        (("cancel", "--number", NUMBER, *WHY), "selection: say which"),
        (("pause", NUMBER, "--older-than", "soon"), "must be a duration"),
        (("pause", NUMBER, "--until", "tomorrow"), "until: must be a time with its zone"),
        (("pause", NUMBER, "--class", "loud"), "loud"),
        (("pause", NUMBER, "--campaign", "a b"), "campaign: must have 1 to 64"),
        (("pause", "15555559999"), "no worker and no message knows"),
        (("drain", NUMBER), "reason: say why"),
    ],
)
def test_what_can_not_be_is_one_sentence(
    run: Any, redis: redis_py.Redis, arguments: tuple[str, ...], words: str
) -> None:
    """Status 2, and nothing is changed."""
    before = everything(redis)
    refused = run(*arguments)
    assert (refused.exit_code, words in refused.stderr) == (2, True), refused.stderr
    assert everything(redis) == before
    assert not control.read(redis, NUMBER).paused
