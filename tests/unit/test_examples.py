"""Can the example input be sent as it is?"""

from __future__ import annotations

import csv

from headway import Message, MessageClass
from tests.harness.house import ROOT


def test_every_example_recipient_is_a_valid_message() -> None:
    """Each row of examples/recipients.csv is accepted, goes to a number of its own, and all four classes occur."""
    with (ROOT / "examples" / "recipients.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    messages = [Message.of({"to": row["to"], "text": row["text"], "class": row["class"] or "normal"}) for row in rows]
    assert len(messages) >= 60
    assert len({message.to for message in messages}) == len(messages)
    assert {row["class"] for row in rows} == {*MessageClass, ""}
