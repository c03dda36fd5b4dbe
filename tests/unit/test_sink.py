"""Does the sink read, answer and judge as its words say?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.faults import Faults, Mode
from simulator.journal import Journal
from simulator.push import MOST_ROWS, Ids, Push, PushRow, answer, read
from simulator.verdict import judge, judge_journal

SECOND_US = 1_000_000


def body(**fields: Any) -> bytes:
    """A request's body."""
    return json.dumps({"token": "T", "application": "8", **fields}).encode()


# -------------------------------------------------------------------------------------------------------- the push


def test_personalised_rows_are_read() -> None:
    """Each row has its own text and reference; a row without text takes the global one."""
    data = [{"number": "39333", "message": "one", "reference_number": "m1"}, {"number": 39334}]
    push = read(body(globalmessage="all", data=data, priority="1"))
    assert push == Push(100, (PushRow("39333", "one", "m1"), PushRow("39334", "all")), "1")


def test_key_names_are_stripped() -> None:
    """Picky's own samples write a space behind priority, and clients copied it."""
    push = read(b'{"token":"T", "priority ": 1, " data ": [{"number ": "39333"}]}')
    assert push == Push(100, (PushRow("39333"),), "1")


def test_a_group_is_one_row() -> None:
    """A group send has no data: the group stands for the recipient."""
    assert read(body(group_id="G7", globalmessage="hi")).rows == (PushRow("G7", "hi"),)


def test_template_values_are_the_words_of_a_template_row() -> None:
    """The journal shows what a row said."""
    push = read(body(template_id="X", data=[{"number": "39333", "template_message": ["Ann", "42"]}]))
    assert push.rows[0].message == "Ann | 42"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"number=1", 400),
        (b"[]", 400),
        (b"[" * 100_000, 400),
        (body(), 402),
        (body(data=[]), 402),
        (body(data="39333"), 402),
        (body(data=[None, {"message": "whom?"}]), 402),
        (body(data=[{"number": "1"}] * (MOST_ROWS + 1)), 402),
        (body(data=[{"number": "1"}] * MOST_ROWS), 100),
    ],
    ids=["empty", "form", "list", "deep", "none", "no rows", "text", "no number", "too many", "most"],
)
def test_faulty_requests_get_a_status(raw: bytes, status: int) -> None:
    """Nothing that is sent raises."""
    assert read(raw).status == status


@pytest.mark.parametrize(("token", "status"), [("", 100), ("T", 100), ("other", 401)])
def test_the_token_is_checked_if_one_is_set(token: str, status: int) -> None:
    """Without a token of its own the sink lets everyone in."""
    assert read(body(data=[{"number": "39333"}]), token=token).status == status


def test_an_accepted_push_has_an_id_for_each_row() -> None:
    """One push_id for the request, one msg_id for each row, all of them text."""
    ids = Ids()
    push = Push(100, (PushRow("39333"), PushRow("39334")))
    told = answer(push, push_id=ids.push(), msg_ids=ids.messages(2))
    assert (told["status"], told["message"]) == (100, "Success")
    assert told["push_id"].isdigit()
    first, second = told["data"]
    assert (first["number"], second["number"]) == ("39333", "39334")
    assert first["msg_id"] != second["msg_id"]


def test_a_refused_push_has_only_a_status() -> None:
    """Nothing was taken, so there is nothing to name."""
    assert answer(Push(403, (PushRow("39333"),)), push_id="1", msg_ids=["2"]) == {
        "status": 403,
        "message": "Insufficient balance",
    }


# ------------------------------------------------------------------------------------------------------- the faults


@pytest.mark.parametrize("text", ["ok", "hang", "cut", "garbage", "twice", "fail:401", "http:500"])
def test_a_mode_is_read_and_told_in_the_same_words(text: str) -> None:
    """What is asked for is what is shown."""
    assert str(Mode.of(text)) == text


@pytest.mark.parametrize("text", ["", "OK", "fail", "fail:", "http:99", "http:600", "hang:1", "fail:401 "])
def test_an_unknown_mode_is_refused(text: str) -> None:
    """A misspelt fault must not leave a test with a healthy sink."""
    with pytest.raises(ValueError, match="is no mode"):
        Mode.of(text)


@pytest.mark.parametrize(
    ("text", "takes"),
    [("ok", True), ("hang", True), ("cut", True), ("garbage", True), ("twice", True), ("fail:101", False)],
)
def test_a_hanging_sink_has_taken_the_rows(text: str, takes: bool) -> None:
    """That is what makes such an attempt uncertain."""
    assert Mode.of(text).takes is takes


@pytest.mark.parametrize(
    "wish", [[], "ok", {"mode": 7}, {"latency_ms": -1}, {"latency_ms": True}, {"mode": "hang", "latency_ms": "1"}]
)
def test_a_bad_wish_changes_nothing(wish: object) -> None:
    """A control call is taken whole or not at all."""
    faults = Faults()
    with pytest.raises(ValueError, match=r"mode|latency_ms"):
        faults.change(wish)
    assert faults.told() == {"mode": "ok", "latency_ms": 0}


# ------------------------------------------------------------------------------------------------------ the journal


def test_the_journal_has_a_line_for_each_row_at_once(tmp_path: Path) -> None:
    """The file is complete before the answer leaves, so a killed sink loses nothing."""
    file = tmp_path / "journal.jsonl"
    journal = Journal(file)
    push = Push(100, (PushRow("39333", "héllo", "m1"), PushRow("39334", "", "m2")), "1")
    journal.add(push, at_us=7, push_id="1", msg_ids=["2", "3"], taken=True)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines == journal.rows
    assert lines[0] == {
        "at_us": 7,
        "push_id": "1",
        "msg_id": "2",
        "number": "39333",
        "reference_number": "m1",
        "message": "héllo",
        "priority": "1",
        "request": 1,
        "taken": True,
    }
    journal.close()


def test_the_picture_counts_what_was_taken() -> None:
    """One line: rows, requests, the trailing second, and a bar for each second."""
    journal = Journal()
    push = Push(100, (PushRow("39333"),) * 3)
    journal.add(push, at_us=100 * SECOND_US, push_id="1", msg_ids=["1", "2", "3"], taken=True)
    journal.add(push, at_us=100 * SECOND_US, push_id="2", msg_ids=["4", "5", "6"], taken=False)
    line = journal.picture(now_us=100 * SECOND_US + 1)
    assert "3 rows" in line
    assert "2 requests" in line
    assert "3 in the last second" in line
    assert line.endswith("▁█")


# ---------------------------------------------------------------------------------------------------- the judgement


def test_an_even_stream_uses_all_and_is_never_over() -> None:
    """Ten a second, a tenth of a second apart: rows exactly one second apart don't share a window."""
    judgement = judge([index * 100_000 for index in range(101)], tps=10)
    assert (judgement.total, judgement.worst, judgement.over_share, judgement.over_by) == (101, 10, 0.0, 0.0)
    assert judgement.used_share == pytest.approx(1.0)


def test_one_row_too_many_is_seen_and_measured() -> None:
    """Eleven at one moment are 10 % over, and each of them stands in a full window."""
    judgement = judge([0] * 11, tps=10)
    assert (judgement.worst, judgement.over_share) == (11, 1.0)
    assert judgement.over_by == pytest.approx(0.1)
    assert judgement.used_share is None


def test_windows_trail_so_a_burst_across_a_second_is_seen() -> None:
    """A clock second's counter would see ten and ten; the trailing second sees twenty."""
    burst = [900_000 + index * 10_000 for index in range(20)]
    judgement = judge(burst, tps=10)
    assert judgement.worst == 20
    assert judgement.over_share == pytest.approx(0.5)


def test_below_one_per_second_the_window_is_longer() -> None:
    """At 0.5 per second the window is two seconds and holds one row."""
    assert judge([0, 2 * SECOND_US, 4 * SECOND_US], tps=0.5).over_share == 0.0
    judgement = judge([0, 2 * SECOND_US - 1], tps=0.5)
    assert (judgement.window_us, judgement.worst) == (2 * SECOND_US, 2)
    assert judgement.over_share == pytest.approx(0.5)


def test_duplicates_are_rows_beyond_the_first() -> None:
    """Three arrivals of one reference are two duplicates; rows without a reference are none."""
    assert judge([1, 2, 3, 4, 5], tps=10, references=["a", "a", "a", "", ""]).duplicates == 2


def test_classes_are_told_in_the_order_of_their_first_arrival() -> None:
    """What went first is read from the wire."""
    judgement = judge([30, 10, 20, 40], tps=10, classes=["bulk", "urgent", "high", "urgent"])
    assert judgement.first_of_class == (("urgent", 10), ("high", 20), ("bulk", 30))


def test_nothing_arrived_is_no_fault() -> None:
    """An empty journal can be judged."""
    judgement = judge([], tps=10)
    assert (judgement.total, judgement.worst, judgement.over_share, judgement.used_share) == (0, 0, 0.0, None)


@pytest.mark.parametrize(("tps", "references"), [(0.0, []), (-1.0, []), (10.0, ["a"])])
def test_a_question_that_makes_no_sense_is_refused(tps: float, references: list[str]) -> None:
    """No TPS, or references that don't match the rows."""
    with pytest.raises(ValueError, match=r"tps|references"):
        judge([1, 2], tps=tps, references=references)


def test_rows_that_the_sink_refused_do_not_count() -> None:
    """A retry of what was certainly not taken is no duplicate, and used no TPS."""
    rows = [
        {"at_us": 1, "reference_number": "u1", "taken": False},
        {"at_us": 2, "reference_number": "u1", "taken": True},
        {"at_us": 3, "reference_number": "b1", "taken": True},
    ]
    judgement = judge_journal(rows, tps=10, class_of=lambda reference: reference[0])
    assert (judgement.total, judgement.duplicates) == (2, 0)
    assert judgement.first_of_class == (("u", 2), ("b", 3))


@given(
    times=st.lists(st.integers(0, 20).map(lambda tick: tick * 250_000), max_size=30),
    tps=st.sampled_from([0.3, 0.5, 1, 1.5, 3, 10]),
)
def test_the_judgement_agrees_with_counting_by_hand(times: list[int], tps: float) -> None:
    """The sliding count is the same as looking at each window by itself."""
    judgement = judge(times, tps=tps)
    counts = [sum(end - judgement.window_us < other <= end for other in times) for end in times]
    due = tps * judgement.window_us / SECOND_US
    over = sum(count > due + 1e-3 for count in counts)
    assert judgement.worst == max(counts, default=0)
    assert judgement.over_share == (over / len(times) if times else 0.0)
