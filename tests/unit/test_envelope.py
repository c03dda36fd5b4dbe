"""Is an envelope of ours one that kombu and Celery read as their own?"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.connection import Connection

from headway import Message, MessageClass
from headway.envelope import TASK, new_id, seal

NUMBER = "15555550100"


def read_by_kombu(raw: bytes) -> Any:
    """Read an envelope as kombu's Redis transport does."""
    with Connection("memory://") as connection, connection.channel() as channel:
        return channel.message_to_python(json.loads(raw))


def test_kombu_reads_an_envelope_as_its_own() -> None:
    """Body, headers, priority and routing are where Celery looks for them."""
    message = Message(to="393331234567", text='say "hi"\n', class_=MessageClass.BULK)
    read = read_by_kombu(seal(NUMBER, "id-1", message))
    assert read.decode() == [[], {"to": "393331234567", "text": 'say "hi"\n'}, {}]
    assert (read.headers["task"], read.headers["id"]) == (TASK, "id-1")
    assert read.properties["priority"] == 9
    assert read.delivery_tag == "id-1"
    assert read.delivery_info["routing_key"] == f"headway.{NUMBER}"
    assert read.content_type == "application/json"


@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200))
def test_any_text_survives(text: str) -> None:
    """Quotes, controls, emoji, other scripts."""
    raw = seal(NUMBER, "x", Message(to="393331234567", text=text, location={"lat": 1, "long": -2.5, "name": text}))
    body = json.loads(json.loads(raw)["body"])
    assert body[1]["text"] == body[1]["location"]["name"] == text


def test_no_text_and_no_phone_number_stands_outside_the_body() -> None:
    """Celery's own tools log argsrepr and kwargsrepr."""
    envelope = json.loads(seal(NUMBER, "x", Message(to="393331234567", text="secret")))
    body = envelope.pop("body")
    assert "secret" in body
    assert "secret" not in json.dumps(envelope)
    assert "393331234567" not in json.dumps(envelope)


@pytest.mark.parametrize("class_", list(MessageClass))
def test_the_class_stands_in_the_priority_alone(class_: MessageClass) -> None:
    """The lane says it; a class kwarg is a stock publisher's way."""
    envelope = json.loads(seal(NUMBER, "x", Message(to="393331234567", text="x", class_=class_)))
    assert envelope["properties"]["priority"] == class_.priority
    assert "class" not in json.loads(envelope["body"])[1]


def test_ids_are_new_each_time() -> None:
    """32 hexadecimal digits."""
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(id_) == 32 and int(id_, 16) >= 0 for id_ in ids)
