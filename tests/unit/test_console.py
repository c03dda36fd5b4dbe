"""Does the command say what is so, change what it was told to, and refuse in one plain sentence?"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
import redis as redis_py
from click.testing import CliRunner, Result

from console import output, processes
from console.main import cli
from headway import Client, keys
from runtime import scripts
from scheduler import control, meter
from scheduler import figures as figures_of
from scheduler.meter import Event, Kind
from scheduler.rules import NumberRules, Quota
from tests.harness.servers import ThrowawayServer

NUMBER = "15555550100"
RULES = NumberRules(number=NUMBER, tps_milli=10_000, guard_us=0, headroom_ppm=0, in_flight=25, lease_ttl_us=10_000_000)
COMMANDS = [name for name, command in cli.commands.items() if not isinstance(command, click.Group)]


@pytest.fixture
def quiet_logs() -> Iterator[None]:
    """Put the log back as it was: a command sends it to its own standard error, which ends with the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def run(redis: redis_py.Redis, server: ThrowawayServer, quiet_logs: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run `headway` on the throwaway server."""
    monkeypatch.setenv("HEADWAY_REDIS_URL", server.url)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(cli, arguments)

    return invoke


def figures(run: Any, *numbers: str) -> Any:
    """Return what `headway numbers --json` tells of the first number."""
    return json.loads(run("numbers", *numbers, "--json").stdout)[0]


# ---------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"simulator"}))
def test_each_command_shows_an_example(command: str) -> None:
    """--help of every command has an example that starts with the command itself."""
    result = CliRunner().invoke(cli, [command, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert f"headway {command}" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [["numbers"], ["status", "a"], ["pause", NUMBER], ["resume", NUMBER], ["tps", NUMBER, "5"], ["url"]],
    ids=lambda arguments: arguments[0],
)
def test_a_server_that_is_away_is_one_sentence(
    arguments: list[str], quiet_logs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 2, one line on standard error that says what to do, no password in it, and no traceback."""
    monkeypatch.setenv("HEADWAY_REDIS_URL", "redis://:secret@127.0.0.1:1/0")
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("headway: the server at redis://127.0.0.1:1/0 doesn't answer")
    assert len(result.stderr.splitlines()) == 1
    assert "secret" not in result.output


def test_a_wrong_setting_is_one_sentence(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable stops the command and names the right one."""
    monkeypatch.setenv("HEADWAY_TSP", "10")
    result = run("numbers")
    assert result.exit_code == 2
    assert result.stderr.startswith("headway: HEADWAY_TSP: there is no such setting (did you mean HEADWAY_TPS?)")


def test_a_server_that_refuses_is_one_sentence(run: Any, redis: redis_py.Redis) -> None:
    """What the server says no to, a key of another type here, is a sentence and no traceback."""
    redis.set(keys.record("a"), "somebody else's", ex=60)
    result = run("status", "a")
    redis.delete(keys.record("a"))
    assert result.exit_code == 2
    assert result.stderr.startswith("headway: the server can't do this (WRONGTYPE")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("number", ["+15555550100", "abc", "0155555501"])
def test_what_is_no_number_is_refused(run: Any, number: str) -> None:
    """A number with a plus, letters or a leading zero is refused before anything is touched."""
    result = run("pause", number)
    assert result.exit_code == 2
    assert "7 to 15 digits with country code" in result.stderr


# ------------------------------------------------------------------------------------------------------------ status


def test_status_tells_the_record(run: Any, redis: redis_py.Redis) -> None:
    """A waiting message's record is shown to people, and to programs with whole numbers as numbers."""
    message_id = Client(redis).push(NUMBER, to="12025550101", text="Hi", class_="high")
    assert f"{message_id}  waiting" in run("status", message_id).stdout
    told = json.loads(run("status", message_id, "--json").stdout)
    assert {**told, "accepted_ms": 0} == {
        "id": message_id, "state": "waiting", "number": NUMBER, "class": "high", "accepted_ms": 0,
        "attempts": 0,
    }  # fmt: skip
    assert isinstance(told["accepted_ms"], int)


def test_an_id_without_a_record_is_an_answer_that_says_no(run: Any) -> None:
    """Status 1, not 2: the command did its work; why there may be none is said."""
    result = run("status", "0b83f1c2")
    assert result.exit_code == 1
    assert "no record" in result.stderr
    assert "plain Celery app published has one from its first settle on" in result.stderr
    told = run("status", "0b83f1c2", "--json")
    assert (told.exit_code, json.loads(told.stdout)) == (1, {"id": "0b83f1c2", "state": None})
    assert run("status", "no id").exit_code == 2


# ----------------------------------------------------------------------------------------------------------- numbers


def test_numbers_tell_what_waits_and_what_was_spent(run: Any, redis: redis_py.Redis) -> None:
    """Lanes by class, events of the trailing second, debt and totals are the server's own figures."""
    Client(redis).push_many(NUMBER, [{"to": f"1202555010{i}", "text": "Hi", "class": "bulk"} for i in range(3)])
    scripts.run_all(redis, [meter.count(RULES, [Event(str(i), Kind.INBOUND) for i in range(30)])])
    told = figures(run)
    assert told["waiting"] == {"urgent": 0, "high": 0, "normal": 0, "bulk": 3}
    assert told["totals"] == {"send": 0, "inbound": 30, "delivered": 0, "read": 0}
    assert (told["tps"], told["tps_from"], told["paused"], told["by"]) == (10, "default", False, None)
    assert told["spent"] == 30
    # 30 events at 10 a second; some of the 3 s may have gone by.
    assert 1000 < told["debt_ms"] <= 3000
    shown = run("numbers").stdout
    assert "█" in shown
    assert "3 waiting" in shown
    assert "s behind" in shown


def test_old_events_have_left_the_second(run: Any, redis: redis_py.Redis) -> None:
    """An idle number shows nothing spent, although nobody has brought its meter up to date since."""
    seconds, micros = redis.time()
    past_us = int(seconds) * 1_000_000 + int(micros) - 5_000_000
    scripts.run_all(redis, [meter.count(RULES, [Event("a", Kind.READ)], now_us=past_us)])
    told = figures(run)
    assert (told["spent"], told["debt_ms"], told["totals"]["read"]) == (0, 0, 1)


def test_numbers_tell_where_tps_comes_from(run: Any, redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Default, then the environment, then the lowest of running workers, then what a person set live."""
    assert figures(run)["tps_from"] == "default"
    monkeypatch.setenv("HEADWAY_TPS", "20")
    assert (figures(run)["tps"], figures(run)["tps_from"]) == (20, "HEADWAY_TPS")
    assert figures(run, "15555550199")["tps_from"] == "HEADWAY_TPS"
    monkeypatch.setenv(f"HEADWAY_TPS_{NUMBER}", "15")
    assert figures(run)["tps_from"] == f"HEADWAY_TPS_{NUMBER}"
    scripts.run_all(redis, [control.declare(NUMBER, "worker", 12_500)])
    assert (figures(run)["tps"], figures(run)["tps_from"]) == (12.5, "workers")
    control.set_tps(redis, NUMBER, 8_000, by="ada")
    assert (figures(run)["tps"], figures(run)["tps_from"], figures(run)["by"]) == (8, "live", "ada")


def test_many_numbers_are_one_line_each(run: Any, redis: redis_py.Redis) -> None:
    """Five numbers are a table; a paused one is marked."""
    several = [f"1555555010{i}" for i in range(5)]
    control.pause(redis, several[2], by="ada")
    lines = run("numbers", *several).stdout.splitlines()
    assert len(lines) == 6
    assert "paused" in lines[3]


# ----------------------------------------------------------------------------------------------------------- changes


def test_a_number_is_paused_and_resumed(run: Any, redis: redis_py.Redis) -> None:
    """Pause and resume take effect in the server's own settings, and say who decided."""
    assert "is paused" in run("pause", NUMBER, "--by", "ada").stdout
    assert (control.read(redis, NUMBER).paused, control.read(redis, NUMBER).by) == (True, "ada")
    assert "may send" in run("resume", NUMBER).stdout
    assert not control.read(redis, NUMBER).paused


def test_tps_is_set_and_cleared(run: Any, redis: redis_py.Redis) -> None:
    """A live TPS wins until it is unset; `number unset` clears a pause as well."""
    assert "its TPS is 12.5 (live)" in run("tps", NUMBER, "12.5").stdout
    assert control.read(redis, NUMBER).tps_milli == 12_500
    assert "its TPS is 10 (default)" in run("tps", NUMBER, "--unset").stdout
    run("tps", NUMBER, "7")
    run("pause", NUMBER)
    assert "may send; its TPS is 10 (default)" in run("number", "unset", NUMBER).stdout


@pytest.mark.parametrize("arguments", [[], ["5", "--unset"], ["fast"], ["0"], ["-1"]])
def test_a_tps_that_makes_no_sense_changes_nothing(run: Any, redis: redis_py.Redis, arguments: list[str]) -> None:
    """Neither nothing nor both, no words, not zero: status 2, and the setting stays."""
    assert run("tps", NUMBER, *arguments).exit_code == 2
    assert redis.dbsize() == 0


def test_a_mistyped_number_is_not_paused(run: Any, redis: redis_py.Redis) -> None:
    """A number that nobody has heard of is refused, and no setting is left behind; one with messages is known."""
    result = run("pause", "15555550999")
    assert result.exit_code == 2
    assert "no worker and no message knows 15555550999" in result.stderr
    assert redis.dbsize() == 0
    Client(redis).push("15555550999", to="12025550101", text="Hi")
    assert run("pause", "15555550999").exit_code == 0
    assert "no worker and no message knows 15555550998" in run("explain", "15555550998").stderr


# ----------------------------------------------------------------------------------------------------------- explain


def test_explain_shows_where_each_value_comes_from(
    run: Any, redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Live values stand over the environment's with who set them; secrets are masked; notes tell what has no effect."""
    monkeypatch.setenv("HEADWAY_TPS", "20")
    monkeypatch.setenv("HEADWAY_PROVIDER_TOKEN", "very-secret")
    monkeypatch.setenv("HEADWAY_APP_SECRET", "also-secret")
    monkeypatch.setenv("HEADWAY_TPS_15555550199", "5")
    control.set_tps(redis, NUMBER, 8_000, by="ada")
    control.pause(redis, NUMBER, by="bob")
    result = run("explain", "--json")
    told = json.loads(result.stdout)
    row = next(row for row in told["settings"] if row["variable"] == "HEADWAY_TPS")
    assert row["value"] == "8"
    assert row["source"].startswith("live: ada, ")
    notes = "\n".join(told["notes"])
    assert "HEADWAY_APP_SECRET has no effect yet" in notes
    assert "HEADWAY_TPS_15555550199: HEADWAY_NUMBERS doesn't name this number" in notes
    assert f"{NUMBER} is paused: bob" in notes
    assert "very-secret" not in result.output + run("explain").output


@pytest.mark.parametrize("columns", ["80", "140"])
def test_explain_of_a_number_says_what_binds(
    run: Any, redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    """Classes, limits with use and origin, what was passed over, and who changed what: no line breaks at 80 columns."""
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv(f"HEADWAY_PUSH_PER_MINUTE_{NUMBER}", "60")
    run("number", "set", NUMBER, "tps=12.5", "receipts=delivered", "--by", "ada of the night shift in Rome")
    redis.hset(keys.settings(NUMBER), "guard_us", "soon")
    Client(redis).push_many(NUMBER, [{"to": f"1202555010{i}", "text": "Hi", "class": "bulk"} for i in range(3)])
    scripts.run_all(redis, [meter.count(RULES, [Event(str(i), Kind.INBOUND) for i in range(50)])])
    result = run("explain", NUMBER)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    shown = {line.split()[0]: " ".join(line.split()[1:]) for line in lines if line.strip()}
    assert shown["bulk"].startswith("3 waits: ")
    assert shown["tps"].startswith("12.5 events a second ada of th… ")
    assert shown["headroom"].startswith("0.1 of the TPS")
    assert shown["receipts"].startswith("delivered ada of")
    assert shown["window"] == "12 events in 1.01 s 50 tps, guard"
    assert "guard 'soon' was written by hand and can't be: the environment's holds" in " ".join(result.stdout.split())
    assert "tps unset → 12.5" in result.stdout
    assert all(len(line.rstrip()) <= 80 for line in lines if not line.startswith("note "))
    notes = 2 if columns == "80" else 1
    assert len(lines) == 1 + 5 + 1 + 1 + len(limits_of(run)) + notes + 1 + 3


def limits_of(run: Any) -> list[dict[str, Any]]:
    """Return what `headway explain --json` tells of the number's limits."""
    found: list[dict[str, Any]] = json.loads(run("explain", NUMBER, "--json").stdout)["limits"]
    return found


def test_explain_knows_what_running_workers_were_started_with(run: Any, redis: redis_py.Redis) -> None:
    """Their environment counts, not that of the terminal; and it says so when they differ."""
    theirs = replace(RULES, headroom_ppm=300_000, in_flight=7, quota=Quota("b" * 16, 60))
    scripts.run_all(redis, [control.declare(NUMBER, "one", 10_000, told=control.told_of(theirs))])
    other = replace(theirs, in_flight=9)
    scripts.run_all(redis, [control.declare(NUMBER, "two", 10_000, told=control.told_of(other))])
    limits = {limit["limit"]: limit for limit in limits_of(run)}
    assert (limits["headroom"]["value"], limits["headroom"]["source"]) == (0.3, "workers")
    assert (limits["in_flight"]["value"], limits["in_flight"]["source"]) == ("7 or 9", "workers differ")
    assert (limits["push_per_minute"]["value"], limits["push_per_minute"]["source"]) == (60, "workers")
    assert (limits["guard"]["source"], limits["counts"]["source"]) == ("workers", "default")
    redis.zadd(keys.quota("b" * 16, "push"), {"a request": time.time() * 1e6})
    redis.expire(keys.quota("b" * 16, "push"), 60)
    assert next(limit["used"] for limit in limits_of(run) if limit["limit"] == "push_per_minute") == 1
    run("number", "set", NUMBER, "in_flight=8")
    limits = {limit["limit"]: limit for limit in limits_of(run)}
    assert (limits["in_flight"]["value"], limits["in_flight"]["source"]) == (8, "live")


def test_explain_tells_programs_who_set_what(run: Any, redis: redis_py.Redis) -> None:
    """Each limit with value, use and origin; each class with what it waits for; each change with who and from where."""
    run("number", "set", NUMBER, "headroom=0.3", "--by", "ada")
    run("pause", NUMBER, "--by", "bob")
    told = json.loads(run("explain", NUMBER, "--json").stdout)
    limits = {limit["limit"]: limit for limit in told["limits"]}
    assert (limits["pause"]["value"], limits["pause"]["by"]) == (True, "bob")
    assert {**limits["headroom"], "at_ms": 0, "where": ""} == {
        "limit": "headroom", "value": 0.3, "unit": "of the TPS", "used": 0.0, "source": "live", "by": "ada",
        "where": "", "at_ms": 0,
    }  # fmt: skip
    assert "@" in limits["headroom"]["where"]
    assert (limits["tps"]["source"], limits["in_flight"]["value"]) == ("default", 25)
    assert next((room["class"], room["because"]) for room in told["classes"]) == ("urgent", "paused")
    assert [(one["name"], one["by"]) for one in told["changes"]] == [("paused", "bob"), ("headroom", "ada")]
    assert redis.dbsize() == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tps=0"], "headway: tps: 0 is out of bounds; write events a second from 0.001 to 10000000"),
        (["tps=12", "shards=4"], "headway: shards: can't be changed while running"),
        (["tps=12", "headrom=0.2"], "did you mean headroom?"),
        (["headroom=0.5", "floor=0.5"], "their sum must be less than 1"),
        (["tps=12", "tps=13"], "tps is given twice"),
        (["tps"], "'tps' sets nothing"),
        (["tps="], "'tps=' sets nothing"),
        ([], "Missing argument"),
    ],
)
def test_what_can_not_be_set_changes_nothing(run: Any, redis: redis_py.Redis, arguments: list[str], words: str) -> None:
    """Status 2 and the reason; half of a change is none."""
    result = run("number", "set", NUMBER, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert redis.dbsize() == 0


def test_values_are_set_and_cleared_by_name(run: Any, redis: redis_py.Redis) -> None:
    """What was not named stays; what was set is said."""
    assert (
        "its TPS is 12 (live). floor is 0.2, guard is 0.05 (live)."
        in run("number", "set", NUMBER, "tps=12", "floor=0.2", "guard=0.05").stdout
    )
    assert "its TPS is 10 (default). guard is 0.05 (live)." in run("number", "unset", NUMBER, "tps", "floor").stdout
    assert "did you mean guard?" in run("number", "unset", NUMBER, "gard").stderr
    run("number", "unset", NUMBER)
    assert control.read(redis, NUMBER).values == {}


def test_explain_works_without_a_server(quiet_logs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who looks for a wrong setting gets all of them, and a note that live values are not known."""
    monkeypatch.setenv("HEADWAY_REDIS_URL", "redis://127.0.0.1:1")
    result = CliRunner().invoke(cli, ["explain"])
    assert result.exit_code == 0
    assert "HEADWAY_TPS" in result.stdout
    assert "live values are not known" in result.stdout


# --------------------------------------------------------------------------------------------------------- processes


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch, quiet_logs: None) -> list[Any]:
    """Catch what the command would become by exec."""
    calls: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *args: calls.append(args))
    return calls


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "-P threads -c 16"),
        (["--number", NUMBER, "--number", "15555550101"], f"-Q headway.{NUMBER},headway.15555550101 -P threads -c 16"),
        (["--concurrency", "4", "--pool", "prefork"], "-P prefork -c 4"),
        (["--pool", "prefork"], "-P prefork"),
    ],
)
def test_a_worker_is_celerys_own(become: list[Any], arguments: list[str], expected: str) -> None:
    """`headway worker` becomes `celery -A worker.app worker` with queue, pool and slots, from any directory."""
    assert CliRunner().invoke(cli, ["worker", *arguments]).exit_code == 0
    (path, words, environ) = become[0]
    command = f"-A worker.app --workdir {processes.ROOT} worker {expected} --without-mingle --without-gossip"
    assert path == words[0] == str(Path(sys.executable).with_name("celery"))
    assert " ".join(words[1:]) == command
    assert environ["HEADWAY_HOME"] == str(Path(".headway").absolute())


@pytest.mark.parametrize("pool", ["gevent", "solo"])
def test_a_pool_without_an_event_loop_is_refused(become: list[Any], pool: str) -> None:
    """Pools that can't wake at the next permit aren't offered."""
    assert CliRunner().invoke(cli, ["worker", "--pool", pool]).exit_code == 2
    assert become == []


def test_the_gateway_is_its_own_module(become: list[Any]) -> None:
    """`headway gateway` becomes the gateway's module, wherever it is called and whatever lies there."""
    assert CliRunner().invoke(cli, ["gateway", "--host", "::1", "--port", "0"]).exit_code == 0
    (path, words, environ) = become[0]
    command = [sys.executable, "-P", "-m", "gateway.serve", "--host", "::1", "--port", "0"]
    assert (path, words) == (sys.executable, command)
    assert environ["PYTHONPATH"].split(os.pathsep)[0] == str(processes.ROOT)


def test_the_simulator_takes_its_own_options(become: list[Any]) -> None:
    """Everything after `headway simulator`, --help too, is the simulator's; a folder of that name isn't."""
    assert CliRunner().invoke(cli, ["simulator", "--port", "0", "--help"]).exit_code == 0
    (path, words, environ) = become[0]
    assert (path, words) == (sys.executable, [sys.executable, "-P", "-m", "simulator", "--port", "0", "--help"])
    assert environ["PYTHONPATH"].split(os.pathsep)[0] == str(processes.ROOT)


# -------------------------------------------------------------------------------------------------------------- bars


def test_bars_show_what_is_not_nothing() -> None:
    """A bar is full at its whole and never longer, and one row of a million still shows."""
    assert output.bar(5, 5, width=4) == output.bar(9, 5, width=4) == "████"
    assert output.bar(0, 5, width=4) == ""
    assert output.bar(1, 1_000_000, width=4) == "▏"
    assert [figures_of.rate(10_000), figures_of.rate(500)] == [10, 0.5]
