"""Which ids does the app see? Ours: what the provider calls `msg_id` and `push_id` is what our push answered.

So a stock client of the provider matches receipts by the answers to its own pushes, and notices nothing of us.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from delivery.receipts import Answer, Found


def receipts(body: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], answers: Sequence[Answer]) -> dict[str, Any]:
    """Return an event webhook's body with these rows of it, relabelled."""
    relabelled = [_row(row, answer) for row, answer in zip(rows, answers, strict=True)]
    single = isinstance(body["data"], Mapping)
    return {**body, "data": relabelled[0] if single else relabelled}


def inbound(body: Mapping[str, Any], answers: Sequence[Answer], *, key: str) -> dict[str, Any]:
    """Return an inbound message's body; the message that it answers is named as ours, if it is one of ours.

    The provider gives back the query of its webhook's address as fields: our own `key` isn't passed on.
    """
    relabelled = dict(body)
    if key and relabelled.get("key") == key:
        del relabelled["key"]
    for answer in answers:
        if answer.what is Found.MATCHED:
            relabelled["context-msg-id"] = _like(body["context-msg-id"], answer.name)
    return relabelled


def _row(row: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    relabelled = dict(row)
    if answer.what is not Found.MATCHED:
        return relabelled
    relabelled["msg_id"] = _like(row.get("msg_id", 0), answer.name)
    relabelled["reference_number"] = answer.reference
    if answer.push_id:
        relabelled["push_id"] = _like(row.get("push_id", 0), answer.push_id)
    else:  # it came by no push over HTTP: the provider's would be a stranger's id
        relabelled.pop("push_id", None)
    return relabelled


def _like(theirs: object, ours: str) -> str | int:
    """Return our id in the provider's JSON type; an id that isn't digits stays text."""
    return ours if isinstance(theirs, str) or not (ours.isascii() and ours.isdigit()) else int(ours)
