"""Can the example input be sent as it is, and does the run show and judge what happened?"""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from examples._chart import KIND_COLOURS, cell_of, chart, shade_of
from examples._moment import SECOND_US, Moment, Tail, Urgent, quantile
from examples._picture import draw
from examples._verdict import Measured, account
from examples.run import CAMPAIGN, conditions_of, messages_of
from headway import HeadwayError, Message, MessageClass
from simulator.limiter import judge_outbound_only
from tests.harness.house import ROOT

#: Prefixes of ranges that regulators keep for fiction, or close to: US and Canada 555-01xx, UK, France, Germany (two),
#: Sweden, Australia.
FICTION = ("447700900", "3363998", "491760406", "4917139200", "46701740", "6149157")
START_US = 1_000_000_000


def test_every_example_recipient_is_a_valid_message() -> None:
    """Each row of examples/recipients.csv is accepted, goes to a number of its own, and all four classes occur."""
    with (ROOT / "examples" / "recipients.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    messages = [Message.of({"to": row["to"], "text": row["text"], "class": row["class"] or "normal"}) for row in rows]
    assert len(messages) >= 60
    assert len({message.to for message in messages}) == len(messages)
    assert {row["class"] for row in rows} == {*MessageClass, ""}


def test_the_campaign_is_real_input() -> None:
    """700 rows and more to fictional numbers of six countries, each to another; many scripts, emoji, some media."""
    messages = messages_of(CAMPAIGN)
    recipients = [message.to or "" for message in messages]
    assert len(messages) >= 700
    assert len(set(recipients)) == len(recipients)
    assert {to[:2] for to in recipients} >= {"44", "33", "49", "46", "61"}
    assert [to for to in recipients if to[0] == "1" and to[4:9] != "55501"] == []
    assert [to for to in recipients if to[0] != "1" and not to.startswith(FICTION)] == []
    assert sum(message.media_url is not None for message in messages) > 50
    assert {message.class_ for message in messages} == {MessageClass.BULK}
    text = CAMPAIGN.read_text(encoding="utf-8")
    assert all(sign in text for sign in "📦éüßÅ林अعНΕŁ")


def test_a_row_that_the_run_would_cut_down_is_refused(tmp_path: Path) -> None:
    """A person's own file may have no fields that this run doesn't push."""
    file = tmp_path / "own.csv"
    file.write_text("to,text,send_at\n12025550101,Hi,2031-01-01T00:00:00Z\n", encoding="utf-8")
    with pytest.raises(HeadwayError, match="line 2: this run takes to, text, media_url and class"):
        messages_of(file)


# ------------------------------------------------------------------------------------------------------- what is shown


@pytest.fixture
def moment() -> Moment:
    """A run of ten seconds, two seconds old."""
    found = Moment(number="15555550100", tps=10, seconds=10, campaign=40, began_us=0, now_us=0, start_us=START_US)
    found.at(START_US + 1_500_000)
    return found


def event(kind: str, at_s: float, reference: str = "", number: str = "12025550101") -> dict[str, Any]:
    """A line of the simulator's journal."""
    at_us = START_US + int(at_s * SECOND_US)
    return {"kind": kind, "at_us": at_us, "reference_number": reference, "number": number, "message": "Hello"}


def test_events_are_counted_in_their_second_and_in_the_last_one(moment: Moment) -> None:
    """What came before the start is in no column; what is older than a second isn't in the last one."""
    for line in (event("inbound", -0.5), event("send", 0.2, "a"), event("read", 1.2), event("send", 1.4, "b")):
        moment.add(line)
    assert moment.columns == [Counter(send=1), Counter(read=1, send=1)]
    moment.at(START_US + 2_300_000)
    assert moment.spent() == Counter(send=1)
    assert len(moment.columns) == 3
    moment.at(START_US + 60_000_000)
    assert len(moment.columns) == 10


def test_an_urgent_message_waits_from_its_answer_to_its_arrival(moment: Moment) -> None:
    """The first arrival counts, and one before the answer is no wait; a message that isn't there has none."""
    for name, pushed_s in (("a", 0.0), ("b", 0.5), ("c", 0.9)):
        moment.urgent[name] = Urgent(START_US + int(pushed_s * SECOND_US))
    for line in (event("send", 0.25, "a"), event("send", 0.9, "a"), event("send", 0.4, "b")):
        moment.add(line)
    assert moment.waits_us() == [0, 250_000]
    assert [line.what for line in moment.lines] == ["urgent"] * 3


def test_a_half_line_of_the_journal_waits_for_its_other_half(tmp_path: Path) -> None:
    """The journal is read while it is written."""
    path = tmp_path / "journal.jsonl"
    path.write_text('{"a": 1}\n{"b"')
    tail = Tail(path)
    assert tail.read() == [{"a": 1}]
    path.write_text('{"a": 1}\n{"b": 2}\n')
    assert tail.read() == [json.loads('{"b": 2}')]
    assert tail.read() == []


def test_a_quantile_is_a_value_that_was_measured() -> None:
    """The nearest rank; nothing measured is 0."""
    assert [quantile([1, 2, 3, 4], share) for share in (0.5, 0.99)] == [2, 4]
    assert quantile([], 0.5) == 0


@pytest.mark.parametrize(
    ("column", "glyph", "style", "shade"),
    [
        ({}, "-", "dim", "-"),
        ({"send": 4}, "█", "green", "█"),
        ({"send": 1}, "▂", "green", "-"),
        ({"send": 2, "read": 2}, "▄", "green on cyan", "█"),
        ({"send": 1, "read": 9}, "▂", "green on cyan", "▒"),
        ({"read": 3}, "▆", "cyan", "▒"),
        ({"delivered": 2, "inbound": 1}, "▄", "blue on magenta", "▓"),
    ],
)
def test_a_cell_shows_the_kinds_that_fill_it(column: dict[str, int], glyph: str, style: str, shade: str) -> None:
    """Two kinds share a cell in their proportion; without colours the larger one has it, if it is half full."""
    assert cell_of(column, 0, 4, blank="-") == (glyph, style)
    assert shade_of(column, 0, 4, blank="-")[0] == shade


def test_a_second_far_above_tps_fits_on_the_paper(moment: Moment) -> None:
    """The line of TPS goes down rather than that events are cut off."""
    moment.columns[0].update(send=12)
    label = [line.plain[:4].strip() for line in chart(moment, rows=9, width=60, colours=True)]
    assert label.index("10") == 3
    moment.columns[0].update(send=30)
    lines = [line.plain for line in chart(moment, rows=9, width=60, colours=True)]
    assert [line[:4].strip() for line in lines].index("10") > 3
    assert lines[0][5] in " ▁▂▃▄▅▆▇█"
    assert lines[1][5] == "█"


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 20), (200, 60)])
@pytest.mark.parametrize("colours", [True, False])
def test_the_picture_fits_on_the_terminal(moment: Moment, width: int, height: int, colours: bool) -> None:
    """No line is too long and there are never more than the terminal has, also when everything is full."""
    moment.says = "something long to say " * 20
    moment.waiting = {"urgent": 3, "high": 0, "normal": 0, "bulk": 10**6}
    for index in range(200):
        moment.add(event("inbound", index / 100))
        moment.add(event("send", index / 100, f"{index}"))
    console = Console(width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(draw(moment, width=width, height=height, colours=colours))
    lines = capture.get().splitlines()
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    assert set(KIND_COLOURS) <= {word for line in lines for word in line.split()}


# ------------------------------------------------------------------------------------------------------ what is judged


def measured(**changes: Any) -> Measured:
    """What a good run measures, with changes."""
    verdict = {"arrived": {"send": 9}, "duplicates": 0, "inbound_lost": 0, "behind_max_s": 0.4}
    good = Measured(
        by_floor=0,
        verdict=verdict,
        webhooks_failed=0,
        missing=0,
        doubled=0,
        waits_us=[1],
        urgent=1,
        delays_s=[0.01],
        answers_s=[0.01],
    )
    own = {name: changes.pop(name) for name in list(changes) if name in verdict}
    return replace(good, verdict={**verdict, **own}, **changes)


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, None),
        ({"arrived": {"inbound": 3}}, "no message arrived at the number"),
        ({"missing": 2}, "2 accepted messages were lost"),
        ({"doubled": 1}, "1 messages arrived twice"),
        ({"duplicates": 3}, "3 messages arrived twice"),
        ({"webhooks_failed": 1}, "1 webhooks were not taken"),
        ({"inbound_lost": 4}, "4 inbound messages were lost"),
        ({"behind_max_s": 1.6}, "the container was 1.60 s behind"),
    ],
)
def test_each_broken_promise_is_named(changes: dict[str, Any], broken: str | None) -> None:
    """A good run breaks none; else the sentence says what and how much."""
    found = measured(**changes).broken()
    assert [text[: len(broken or "")] for text in found] == ([broken] if broken else [])


@pytest.mark.parametrize("slow", [{"delays_s": [0.3] * 2}, {"answers_s": [0.01, 0.4]}])
def test_a_busy_machine_excuses_figures_of_time_and_no_lost_message(slow: dict[str, Any]) -> None:
    """It is said in one sentence; what was lost or doubled on the way to the number stays broken."""
    busy = measured(behind_max_s=9.0, inbound_lost=1, **slow)
    assert busy.unsound.startswith("The machine was too busy")
    assert busy.broken() == []
    assert len(measured(missing=1, duplicates=1, **slow).broken()) == 2
    assert measured().unsound == ""


def test_messages_are_accounted_for(moment: Moment) -> None:
    """What neither arrived nor is kept anywhere is lost; what arrived twice is doubled."""
    for reference in ("a", "b", "b"):
        moment.add(event("send", 0.1, reference))
    assert account(moment, {"a", "b", "c", "d"}, kept=2) == (0, 1)
    assert account(moment, {"a", "b", "c", "d"}, kept=1) == (1, 1)


def test_a_plain_limiter_loses_what_headway_must_not() -> None:
    """The conditions of the run are such that a limiter which counts only its sends falls behind and loses inbound."""
    conditions = conditions_of(tps=20, seconds=60)
    plain = judge_outbound_only(conditions, duration=conditions.burst_every * 2.5, sends=868)
    assert plain.inbound_lost > 20
    assert plain.behind_max_s > 30
