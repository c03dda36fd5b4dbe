"""What does a message look like on its lane?

One ordinary Celery task message (protocol 2) in the form of kombu's Redis transport, so that any Celery app can write
one and Celery's own tools can read it. Two fields are left thinner than Celery's: the body is plain JSON instead of
base64 (kombu reads both), and `argsrepr` and `kwargsrepr` are empty, because they would put texts and phone numbers
into logs.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring
from uuid import uuid4

from headway import keys
from headway.message import Message

#: The task's name on the wire: what plain Celery apps send.
TASK = "worker.send"

_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

#: All of an envelope but its body, id, queue and priority. Only the body needs the care of an encoder: the others are
#: checked to be letters, digits and a few marks.
_ENVELOPE = (
    '{"body":%s,"content-encoding":"utf-8","content-type":"application/json",'
    '"headers":{"lang":"py","task":"' + TASK + '","id":"%s","argsrepr":"","kwargsrepr":"","retries":0},'
    '"properties":{"delivery_info":{"exchange":"","routing_key":"%s"},'
    '"priority":%d,"body_encoding":"utf-8","delivery_tag":"%s"}}'
)


def new_id() -> str:
    """Return an id for a message: 32 hexadecimal digits."""
    return uuid4().hex


def seal(number: str, message_id: str, message: Message) -> bytes:
    """Return the envelope of a message as kombu would write it: JSON in UTF-8."""
    # Most fields are text, for which the encoder's own function does without the encoder's set-up for each call.
    fields = ",".join(
        f'"{name}":{encode_basestring(value) if isinstance(value, str) else _dumps(value)}'
        for name, value in message.kwargs().items()
    )
    body = encode_basestring("[[],{" + fields + "},{}]")
    queue, priority = keys.queue(number), message.class_.priority
    return (_ENVELOPE % (body, message_id, queue, priority, message_id)).encode()
