"""What do a provider's receipts change?

A receipt names a message by our own id, which the provider echoes, or by the provider's id, which settle wrote down.
States have a rank (`delivery.states`) and never go back; a receipt for a message that nobody knows is no error.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from delivery.settle import REASON_CHARACTERS, storable
from delivery.states import State, may_come_from
from headway import keys
from headway.message import MESSAGE_ID
from runtime import scripts
from runtime.scripts import Call

#: What a receipt may say. `sent`: the provider's channel took it, which is news of an uncertain row only.
BROUGHT = frozenset({State.SENT, State.DELIVERED, State.READ, State.FAILED})

_FROM = json.dumps({state: dict.fromkeys(sorted(may_come_from(state)), True) for state in sorted(BROUGHT)})

#: Texts of the reply for each receipt.
_TEXTS = 6

_STATES = {state.value: state for state in BROUGHT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the provider says of one message.

    `reference` is what it echoes, our id if the message is ours; `provider_id` its own id. `state` is one of BROUGHT,
    or None: then nothing changes, and the answer only says whose message it is. `code` and `reason` go with a failure.
    `contact`: whom the message was for, as far as the receipt says; with several shards theirs is looked at first.
    """

    reference: str = ""
    provider_id: str = ""
    state: State | None = None
    code: str = ""
    reason: str = ""
    contact: str = ""

    @property
    def message_id(self) -> str:
        """The echoed reference if it can be an id of ours, else nothing."""
        return self.reference if MESSAGE_ID.match(self.reference) else ""


class Found(StrEnum):
    """Whose message a receipt is about."""

    #: One of ours; the answer says which, and what changed.
    MATCHED = "matched"
    #: The provider's id leads to ours: ask again with `follow`.
    NAMED = "named"
    #: The message is another number's, or another shard's: ask there with `follow`.
    ELSEWHERE = "elsewhere"
    #: None that we know: of somebody else who sends through this number, or its record's time is over.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one receipt. Empty texts were never said: not every message came by an HTTP push.

    `changed`: the state that the message is in since this receipt; None when it was there before, or beyond, or when
    the receipt waits in the record for the settle of its message.
    """

    what: Found
    #: Our id, or the unit with ELSEWHERE.
    name: str = ""
    push_id: str = ""
    reference: str = ""
    changed: State | None = None
    #: How long since its send began; None: not known yet.
    took_ms: int | None = None
    #: It went to a group: each member has its own receipts of it.
    group: bool = False


def receipts(number: str, rows: Sequence[Receipt], *, record_ttl_s: int, now_us: int | None = None) -> Call:
    """Build the call that applies receipts to a number's messages, all at once. Safe to run twice, in any order.

    With several shards `number` is the unit that has their recipients.
    """
    names = [
        keys.leased(number), keys.kept(number), keys.uncertain(number), keys.echo(number), keys.dead(number),
        keys.deferred(number), keys.cancelled(number), *keys.lanes(number), keys.heads(number), keys.lines(number),
    ]  # fmt: skip
    args: list[scripts.Argument] = ["" if now_us is None else now_us, number, record_ttl_s, _FROM]
    args.append(keys.doorbell(keys.number_of_unit(number)))
    for row in rows:
        message_id, provider_id = row.message_id, storable(row.provider_id)
        if message_id:
            names.append(keys.record(message_id))
        if provider_id:
            names.append(keys.sent(number, provider_id))
        args += [message_id, provider_id, row.state or "", storable(row.code), storable(row.reason[:REASON_CHARACTERS])]
    return Call(scripts.load("delivery", "receipts"), names, args)


def answers(reply: Any) -> list[Answer]:
    """Read what `receipts` answered, in the order of the receipts."""
    texts = [text.decode() if isinstance(text, bytes) else str(text) for text in reply]
    return [_answer(texts[start : start + _TEXTS]) for start in range(0, len(texts), _TEXTS)]


def follow(number: str, receipt: Receipt, answer: Answer) -> tuple[str, Receipt] | None:
    """Return the unit and the receipt to ask once more with, or None when the answer is final."""
    if answer.what is Found.NAMED:
        return number, replace(receipt, reference=answer.name)
    if answer.what is Found.ELSEWHERE:
        return answer.name, receipt
    return None


def _answer(texts: Sequence[str]) -> Answer:
    what, name, push_id, reference, changed, took = texts
    ms = took.removeprefix("g")
    return Answer(
        Found(what), name, push_id, reference, _STATES.get(changed), int(ms) if ms else None, took.startswith("g")
    )
