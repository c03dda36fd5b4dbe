"""What does a message look like on its lane?

One ordinary Celery task message (protocol 2) in the form of kombu's Redis transport, so that any Celery app can write
one and Celery's own tools can read it. Two fields are left thinner than Celery's: the body is plain JSON instead of
base64 (kombu reads both), and `argsrepr` and `kwargsrepr` are empty, because they would put texts and phone numbers
into logs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from functools import lru_cache
from json.encoder import encode_basestring

from headway import keys
from headway.classes import MessageClass
from headway.message import Message

#: The task's name on the wire: what plain Celery apps send.
TASK = "worker.send"

_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

#: An envelope around its body and, twice, its id. Only the body needs the care of an encoder: the others are checked to
#: be letters, digits and a few marks.
_HEAD = '{"body":'
_MIDDLE = (
    ',"content-encoding":"utf-8","content-type":"application/json","headers":{"lang":"py","task":"' + TASK + '","id":"'
)
_AFTER_ID = (
    '","argsrepr":"","kwargsrepr":"","retries":0},'
    '"properties":{"delivery_info":{"exchange":"","routing_key":"%s"},'
    '"priority":%d,"body_encoding":"utf-8","delivery_tag":"'
)
_TAIL = '"}}'


def new_id() -> str:
    """Return an id for a message: 32 hexadecimal digits."""
    return os.urandom(16).hex()


def new_ids(count: int) -> list[str]:
    """Return so many ids: one question to the system instead of one for each."""
    digits = os.urandom(16 * count).hex()
    return [digits[start : start + 32] for start in range(0, 32 * count, 32)]


def seal(number: str, message_id: str, message: Message) -> bytes:
    """Return the envelope of a message as kombu would write it: JSON in UTF-8."""
    (envelope,) = seal_all(number, message.class_, [message_id], [message])
    return envelope.encode()


def seal_all(number: str, class_: MessageClass, ids: Sequence[str], messages: Iterable[Message]) -> list[str]:
    """Return the envelopes of messages of one class, in order; as text."""
    after_id = _after_id(number, class_)
    return [
        f"{_HEAD}{encode_basestring(_body(message))}{_MIDDLE}{message_id}{after_id}{message_id}{_TAIL}"
        for message_id, message in zip(ids, messages, strict=True)
    ]


def _body(message: Message) -> str:
    # Most fields are text, for which the encoder's own function does without the encoder's set-up for each call.
    fields = ",".join([
        f'"{name}":{encode_basestring(value) if type(value) is str else _dumps(value)}'
        for name, value in message.kwargs().items()
    ])  # fmt: skip
    return f"[[],{{{fields}}},{{}}]"


@lru_cache(maxsize=256)
def _after_id(number: str, class_: MessageClass) -> str:
    return _AFTER_ID % (keys.queue(number), class_.priority)
