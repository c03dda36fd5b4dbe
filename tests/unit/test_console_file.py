"""Does a CSV become the right messages, and is nothing enqueued when something is wrong with it?"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py
from click.testing import CliRunner, Result

from campaigns.problems import UnreadableFile
from console import push as push_module
from console import recipients
from console.main import cli
from headway import BrokerUnavailable, MessageClass, keys
from headway.client import Client
from tests.harness.servers import ThrowawayServer

NUMBER = "15555550100"
GOOD = "to,text,class\n12025550101,Hi Ada,urgent\n12025550102,Hi Bob,\n12025550103,Hi Cy,bulk\n"
BAD = "to,text\n12025550101,Hi\n+12025550102,Hi\n12025550103,\n"


@pytest.fixture
def quiet_logs() -> Iterator[None]:
    """Put the log back as it was: a command sends it to its own standard error, which ends with the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def run(redis: redis_py.Redis, server: ThrowawayServer, quiet_logs: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run `headway push` on the throwaway server."""
    monkeypatch.setenv("HEADWAY_REDIS_URL", server.url)

    def invoke(content: str | bytes, *arguments: str) -> Result:
        return CliRunner().invoke(cli, ["push", "-", *arguments], input=content)

    return invoke


@pytest.mark.parametrize(
    ("content", "line", "field", "problem"),
    [
        ("to,text\n12025550101,Hi\n+12025550102,Hi", 3, "to", "7 to 15 digits"),
        ("to,text\n12025550101,", 2, "text", "say something"),
        ("to,text,class\n12025550101,Hi,fast", 2, "class", "urgent, high, normal, bulk"),
        ("to,text\n12025550101,Hi, there", 2, "row", "3 cells for 2 columns"),
        ('to,text\n12025550101,"two\nlines"\n\n1,Hi', 5, "to", "digits"),
        ("to,template_id,template_values\n12025550101,a,Ada|12", 2, "template_values", "must be JSON"),
        ("to,text,send_at\n12025550101,Hi,tomorrow", 2, "send_at", "like 2030-01-31T08:00:00Z"),
    ],
)
def test_a_bad_row_is_named_by_line_and_field(content: str, line: int, field: str, problem: str) -> None:
    """Whoever has to correct a file learns the line on which the row begins, the field, and what to write."""
    (bad,) = recipients.parse(content.encode()).bad
    assert (bad.line, bad.field) == (line, field)
    assert problem in bad.problem


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "must name the columns"),
        (b"phone,text\n12025550101,Hi", "at least to and text; it says: phone, text"),
        (b"to,text,to\n1,Hi,2", "'to' twice"),
        (b"to,text\n", "no rows"),
        (b'to,text\n12025550101,Hi\n12025550102,"Hi\n12025550103,Hi\n', "line 3: "),
        (b"to,text\n12025550101,Hi\n12025550102,Jos\xe9", "line 3 is not UTF-8"),
        (b"to,text\n" + b"1" * recipients.MOST_BYTES, "larger than 10 MB"),
    ],
)
def test_a_file_that_is_no_table_of_messages_is_refused(content: bytes, problem: str) -> None:
    """A file that can't be read whole says what to change; a forgotten quote never swallows the rows after it."""
    with pytest.raises(UnreadableFile, match=problem):
        recipients.parse(content)


def test_the_number_of_rows_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One row more than allowed is refused, as many as allowed are read."""
    monkeypatch.setattr(recipients, "MOST_ROWS", 2)
    rows = "12025550101,Hi\n"
    assert len(recipients.parse(f"to,text\n{rows * 2}".encode()).rows) == 2
    with pytest.raises(UnreadableFile, match="more than 2 rows"):
        recipients.parse(f"to,text\n{rows * 3}".encode())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_spreadsheets_files_are_read(encoding: str, delimiter: str) -> None:
    """A byte order mark, semicolons or tabs, Windows line ends, capitals and spaces in the header don't matter."""
    table = [["To ", "Text", "Class"], ["12025550101 ", "Hi José", "high"]]
    content = "".join(delimiter.join(cells) + "\r\n" for cells in table)
    (row,) = recipients.parse(content.encode(encoding)).rows
    assert (row.line, row.message.to, row.message.text) == (2, "12025550101", "Hi José")
    assert row.message.class_ is MessageClass.HIGH


def test_cells_become_fields() -> None:
    """JSON cells are read, empty cells are left out, a row may end early, other columns are named and ignored."""
    rows = ['12025550101,Ada,7,"[""a"", ""b""]"', '12025550102,Bob,,,"{""lat"": 1, ""long"": 2}"']
    content = "\n".join(["to,name,template_id,template_values,location", *rows])
    found = recipients.parse(content.encode(), class_=MessageClass.BULK)
    first, second = (row.message for row in found.rows)
    assert first.template_values == ("a", "b")
    assert first.location is None
    assert second.location == {"lat": 1, "long": 2}
    assert second.class_ is MessageClass.BULK
    assert found.ignored == ("name",)


def test_rows_go_onto_the_lane_of_their_class(run: Any, redis: redis_py.Redis) -> None:
    """A row's own class decides; --class is for rows that name none."""
    result = run(GOOD, "--class", "high")
    assert result.exit_code == 0, result.output
    assert [redis.llen(lane) for lane in keys.lanes(NUMBER)] == [1, 1, 0, 1]
    assert "Enqueued 3 messages for 15555550100: 1 urgent, 1 high, 1 bulk." in result.stdout


def test_json_gives_the_ids_in_the_order_of_the_rows(run: Any, redis: redis_py.Redis) -> None:
    """A program learns each row's id, the counts and what was ignored, as one object on standard output."""
    result = run(GOOD.replace("class", "remark"), "--json")
    told = json.loads(result.stdout)
    names = ["run", "number", "dry_run", "accepted", "by_class", "ids", "bad", "ignored_columns"]
    assert list(told) == [*names, "estimated_send_at", "waits_for"]
    assert (told["estimated_send_at"], told["waits_for"]) == (None, ["worker"])
    assert (told["accepted"], told["by_class"], told["bad"]) == (3, {"normal": 3}, [])
    assert told["ignored_columns"] == ["remark"]
    waiting = [json.loads(raw) for raw in reversed(redis.lrange(keys.lane(NUMBER, MessageClass.NORMAL), 0, -1))]
    assert [envelope["headers"]["id"] for envelope in waiting] == told["ids"]


def test_one_bad_row_keeps_all_from_being_enqueued(run: Any, redis: redis_py.Redis) -> None:
    """Status 2, each bad row on standard error, nothing on any lane; --json names them for programs."""
    result = run(BAD)
    assert result.exit_code == 2
    assert "line 3, to: must be" in result.stderr
    assert "line 4, text: say something" in result.stderr
    assert "headway: 2 of 3 rows can't be sent, so nothing was enqueued" in result.stderr
    told = json.loads(run(BAD, "--json").stdout)
    assert (told["accepted"], told["ids"], [bad["line"] for bad in told["bad"]]) == (0, [], [3, 4])
    assert redis.dbsize() == 0


def test_only_some_of_many_bad_rows_are_shown(run: Any) -> None:
    """A file that is wrong everywhere doesn't fill the screen."""
    result = run("to,text\n" + "1,Hi\n" * 30)
    assert result.stderr.count("line ") == push_module.SHOWN
    assert "… and 10 more" in result.stderr


def test_good_rows_can_be_enqueued_without_the_bad(run: Any, redis: redis_py.Redis) -> None:
    """--skip-bad enqueues the good rows and counts the others."""
    result = run(BAD, "--skip-bad")
    assert result.exit_code == 0
    assert "Enqueued 1 message for 15555550100: 1 normal; 2 bad rows left out." in result.stdout
    assert redis.llen(keys.lane(NUMBER, MessageClass.NORMAL)) == 1


def test_a_row_that_is_over_already_is_bad(run: Any, redis: redis_py.Redis) -> None:
    """It is named by line and column; nothing is enqueued, and no time is promised."""
    content = "to,text,expires_at\n12025550101,Hi,2030-01-31T08:00:00Z\n12025550102,Hi,2020-01-31T08:00:00+01:00\n"
    result = run(content)
    assert (result.exit_code, redis.dbsize()) == (2, 0)
    assert "line 3, expires_at: is over already, so it would never leave" in result.stderr
    assert "will leave" not in result.stdout
    assert len(recipients.parse(content.encode()).rows) == 2
    at = datetime(2030, 1, 31, 8, tzinfo=UTC)
    assert [row.line for row in recipients.parse(content.encode(), now=at - timedelta(seconds=1)).rows] == [2]
    assert recipients.parse(content.encode(), now=at).rows == ()


def test_a_dry_run_needs_no_server(run: Any, redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """--dry-run checks the file and connects to nothing."""
    monkeypatch.setenv("HEADWAY_REDIS_URL", "redis://127.0.0.1:1")
    result = run(GOOD, "--dry-run")
    assert result.exit_code == 0
    assert "3 rows can be sent by 15555550100: 1 urgent, 1 normal, 1 bulk. Nothing was enqueued." in result.stdout
    assert redis.dbsize() == 0


def test_a_push_that_broke_off_is_repeated_without_sending_twice(
    run: Any, redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the server goes in the middle, the error names the run; with --again only the missing rows are added."""
    monkeypatch.setattr(push_module, "BATCH", 2)
    real, calls = Client.push_many, []

    def breaks_second(self: Client, *args: Any, **kwargs: Any) -> list[str]:
        calls.append(args)
        if len(calls) == 2:
            raise BrokerUnavailable("the server doesn't answer")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Client, "push_many", breaks_second)
    broken = run(GOOD)
    assert broken.exit_code == 2
    assert "2 of 3 rows are enqueued" in broken.stderr
    token = broken.stderr.partition("--again ")[2].partition(",")[0]
    assert run(GOOD, "--again", token).exit_code == 0
    assert [redis.llen(lane) for lane in keys.lanes(NUMBER)] == [1, 0, 1, 1]


def test_with_several_numbers_the_number_must_be_said(
    run: Any, redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's campaign leaves from a number that was guessed."""
    monkeypatch.setenv("HEADWAY_NUMBERS", "15555550100,15555550101")
    result = run(GOOD)
    assert result.exit_code == 2
    assert "say which number: --number 15555550100 | 15555550101" in result.stderr
    assert run(GOOD, "--number", "15555550101").exit_code == 0
    assert redis.llen(keys.lane("15555550101", MessageClass.BULK)) == 1


def test_a_file_that_is_not_there_is_said_so(run: Any, tmp_path: Path) -> None:
    """A mistyped file name is a plain sentence and status 2."""
    result = CliRunner().invoke(cli, ["push", str(tmp_path / "none.csv")])
    assert result.exit_code == 2
    assert "none.csv" in result.stderr


def test_a_server_that_throws_messages_away_is_refused(run: Any, redis: redis_py.Redis) -> None:
    """Nothing is enqueued on a server that evicts keys when memory is short."""
    redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        result = run(GOOD)
    finally:
        redis.config_set("maxmemory-policy", "noeviction")
    assert result.exit_code == 2
    assert "maxmemory-policy" in result.stderr
    assert redis.dbsize() == 0


def test_a_workbook_is_sent_elsewhere(run: Any) -> None:
    """It says what it is and which command takes it, not that its bytes are no text."""
    result = run(b"PK\x03\x04\x14\x00\xff\xfe")
    assert result.exit_code == 2
    assert "this is a workbook" in result.stderr
    assert "headway campaign send" in result.stderr
