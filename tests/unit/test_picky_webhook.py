"""Is every documented webhook body read, loose types and all, and every other one refused with the field's name?"""

from __future__ import annotations

from typing import Any

import pytest

from providers.picky_webhook import Inbound, InvalidWebhook, Notice, Receipts, Status, parse
from tests.harness.picky import EVENT, HOSTILE, RECORDED, inbound, row


def test_an_inbound_message_as_recorded() -> None:
    """Sender, channel and id are text, whatever they were; the body is kept for the app."""
    assert parse(RECORDED) == Inbound(
        event_id="in:751403635", number="61400000000", application="121", context_id="", at_us=None, raw=RECORDED
    )


@pytest.mark.parametrize(
    "body",
    [
        inbound(unique__id=751403635, number=61400000000, application="121", direction="0", type="1"),
        inbound(direction=..., name=..., type=...),
        inbound(message_in_raw=..., message__in__raw="Hello", Location={"lat": "1", "long": "2"}),
        inbound(location={"lat": 1.5}, contact=[], interactive={"type": 1, "id": "ref1"}, payload=None),
        inbound(message_in_raw=5, message__in=5, name=None),
        inbound(number="Family @Ann Ö", group__id="g", media__url="https://x/y", **{"my-own-variable": [1, {"a": 2}]}),
        inbound(number="", messenger_id=2045),
        inbound(application=..., channel_id=121),
    ],
)
def test_inbound_messages_are_read_leniently(body: dict[str, Any]) -> None:
    """Numbers or text, both spellings of a key, fields missing, more fields than documented."""
    found = parse(body)
    assert isinstance(found, Inbound)
    assert (found.event_id, found.application, found.raw) == ("in:751403635", "121", body)
    assert found.number


def test_a_reply_names_the_message_that_it_answers() -> None:
    """By the provider's id."""
    found = parse(inbound(context__msg__id=9844217))
    assert isinstance(found, Inbound)
    assert found.context_id == "9844217"


def test_a_receipt_as_documented() -> None:
    """Ids are compared as text; the event's id is the message's and what happened to it."""
    found = parse(EVENT)
    assert isinstance(found, Receipts)
    (receipt,) = found.rows
    assert (receipt.event_id, receipt.status) == (f"9844217:delivered:{receipt.to}", Status.DELIVERED)
    assert (receipt.provider_id, receipt.reference, receipt.push_id) == ("9844217", "r-1", "7478630")
    assert (receipt.to, receipt.application, receipt.error) == ("934343442290", "", "")
    assert found.raw == EVENT


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (0, Status.UNKNOWN),
        (1, Status.DELIVERED),
        ("2", Status.FAILED),
        (3, Status.READ),
        ("4", Status.SUBMITTED),
        (5, Status.REFUNDED),
        (6, Status.UNKNOWN),
    ],
)
def test_each_status_has_its_meaning(said: object, status: Status) -> None:
    """The numbers have no order; one that was added since is unknown, not an error."""
    found = parse(row(status=said))
    assert isinstance(found, Receipts)
    assert found.rows[0].status is status


def test_receipts_are_read_leniently() -> None:
    """Text or number, one row without its list, one id of the two, the channel in row or body, an error's words."""
    changed = row(
        msg_id="9844217", push_id="1", reference_number=..., channel_id=8, error_code=131, error_message=" a\nb "
    )
    found = parse({**changed, "event_id": "1", "data": changed["data"][0], "application": 9})
    assert isinstance(found, Receipts)
    receipt = found.rows[0]
    assert (receipt.provider_id, receipt.application, receipt.code, receipt.error) == ("9844217", "8", "131", "a b")
    by_reference = parse({**row(msg_id=..., reference_number=17), "application": 9})
    assert isinstance(by_reference, Receipts)
    receipt = by_reference.rows[0]
    assert (receipt.event_id, receipt.reference, receipt.application) == ("17:delivered:934343442290", "17", "9")


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    """JSON can carry it, a key of the server can't."""
    found = parse(inbound(unique__id="\ud83d1"))
    assert isinstance(found, Inbound)
    assert found.event_id == "in:?1"


@pytest.mark.parametrize(
    "body",
    [
        inbound(direction=1),
        {"event_id": 2, "data": {"anything": 1}},
        {"event_id": "3", "project_id": 1},
        {"event_id": 4},
        {"event_id": 77},
    ],
)
def test_what_uses_no_tps_is_a_notice(body: dict[str, Any]) -> None:
    """The echo of a message of our own, and the events that aren't receipts, new ones too."""
    assert isinstance(parse(body), Notice)


@pytest.mark.parametrize(("body", "field"), HOSTILE)
def test_what_cant_be_read_names_its_field(body: dict[str, Any], field: str) -> None:
    """Nothing is guessed of what is counted by."""
    with pytest.raises(InvalidWebhook) as caught:
        parse(body)
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")


def test_each_member_of_a_group_brings_a_receipt_of_its_own() -> None:
    """The message's id is the same in all of them: two members are two events, the same member twice is one."""
    row = {"msg_id": 9, "status": 1, "push_id": 1}
    body = {"event_id": 1, "project_id": 1, "data": [{**row, "number": number} for number in ("391", "392", "391")]}
    found = parse(body)
    assert isinstance(found, Receipts)
    assert len({receipt.event_id for receipt in found.rows}) == 2
