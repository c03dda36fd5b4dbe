"""Does a lease read an envelope of ours by its letters as it reads the same envelope by decoding it?"""

from __future__ import annotations

import json
from typing import Any

import pytest

from headway.envelope import seal
from headway.message import Message
from tests.scripts.stage import NUMBER, Stage

TEXTS = [
    "hello",
    'she said "hello", \\ and left',
    "two\nlines and a tab\t",
    "née 👋 \u2028",
    '","content-encoding":"utf-8","content-type":"application/json","headers":{"lang":"py","task":"worker.send","id":"',
    "ends with a backslash \\",
]


def leased(stage: Stage, raw: bytes) -> Any:
    """Return what a lease says of the one envelope on the lane, and forget everything else."""
    stage.redis.flushall()
    stage.push_sealed([("one", raw)])
    (row,) = stage.granted().rows
    return row.id, row.step, row.verdict, json.loads(row.body)


@pytest.mark.parametrize("text", TEXTS)
def test_both_ways_to_read_an_envelope_agree(stage: Stage, text: str) -> None:
    """Cut out, or decoded because it is spelled otherwise, it is the same message."""
    raw = seal(NUMBER, "one", Message(to="19990001111", text=text, template_id="T"))
    spelled_otherwise = json.dumps(json.loads(raw), indent=1).encode()
    expected = ("one", 6, "send", [[], {"to": "19990001111", "text": text, "template_id": "T"}, {}])
    assert leased(stage, raw) == leased(stage, spelled_otherwise) == expected


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_alone_is_read_the_same_without_any_decoding(stage: Stage, text: str) -> None:
    """Most messages are a recipient and a text; those that had to be escaped are decoded as ever."""
    raw = seal(NUMBER, "one", Message(to="19990001111", text=text))
    spelled_otherwise = json.dumps(json.loads(raw), indent=1).encode()
    expected = ("one", 6, "send", [[], {"to": "19990001111", "text": text}, {}])
    assert leased(stage, raw) == leased(stage, spelled_otherwise) == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"retries":0}', b'"retries":0,"compression":"zlib"}'),
        (b'"content-type":"application/json"', b'"content-type":"application/x-python-serialize"'),
        (b'"task":"worker.send"', b'"task":"worker.other"'),
        (b"},{}]", b'},{\\"chain\\":[1]}]'),
    ],
)
def test_what_ours_never_says_is_still_refused(stage: Stage, old: bytes, new: bytes) -> None:
    """An envelope that differs from ours in one place is looked at as a stranger's."""
    raw = seal(NUMBER, "one", Message(to="19990001111", text="hello"))
    assert raw.count(old) == 1
    assert leased(stage, raw.replace(old, new))[2].startswith("refused: ")


def test_a_stray_backslash_makes_no_message(stage: Stage) -> None:
    """The letters are in place, but what they hold is no JSON: unreadable, as for who decodes the whole."""
    raw = seal(NUMBER, "one", Message(to="19990001111", text="hello"))
    row_id, _, verdict, body = leased(stage, raw.replace(b",{}]", b",{}]\\"))
    assert row_id.startswith("unreadable-")
    assert (verdict, body) == ("refused: unreadable", None)
