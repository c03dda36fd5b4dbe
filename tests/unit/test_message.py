"""Does a message say what is wrong with it, whatever a stranger sends?"""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway import InvalidMessage, Message, MessageClass
from headway.message import CHECKS, checked

GOOD = {"to": "393331234567", "text": "hello"}

#: What a stranger may put anywhere.
NONSENSE = [0, 1, 5.5, True, False, b"bytes", [1], {}, {"a": 1}, set(), object(), float("nan"), Decimal(1)]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


def problem(**fields: Any) -> InvalidMessage:
    """Return how a good message with these fields is refused."""
    with pytest.raises(InvalidMessage) as refused:
        Message.of({**GOOD, **fields})
    return refused.value


def test_a_good_message_keeps_what_it_says() -> None:
    """All fields at once, as they go on the wire; the class doesn't, because its lane says it."""
    fields = {
        "to": "393331234567",
        "text": "x" * 4096,
        "media_url": "https://example.org/a.pdf",
        "media_name": "invoice.pdf",
        "template_id": "T",
        "template_values": ["a", "b"],
        "template_header": "H",
        "language": "pt_BR",
        "location": {"lat": -90, "long": "180.0", "name": "N", "address": "A"},
        "reference": "order 17",
        "send_at": "2030-01-31T08:00:00+01:00",
        "expires_at": "2030-02-01T08:00:00+00:00",
    }
    message = Message.of({**fields, "class": "bulk"})
    assert message.class_ is MessageClass.BULK
    assert json.loads(json.dumps(message.kwargs())) == fields


@pytest.mark.parametrize("name", [name for name in CHECKS if name != "class"])
@pytest.mark.parametrize(
    "value",
    NONSENSE,
    ids=lambda value: f"{type(value).__name__}-{str(value)[:3]}" if type(value) is not object else "object",
)
def test_a_wrong_type_names_its_field(name: str, value: Any) -> None:
    """Never a TypeError of ours, and never taken for something else: True is no text and no number."""
    assert problem(**{name: value}).field == name or str(problem(**{name: value})).startswith(f"{name}[")


@given(kwargs=st.dictionaries(st.sampled_from([*CHECKS, "", "To"]), anything, max_size=4))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_nothing_a_stranger_sends_is_an_error_of_ours(kwargs: dict[str, Any]) -> None:
    """Either a message that can be written as JSON, or InvalidMessage."""
    try:
        message = Message.of({**GOOD, **kwargs})
    except InvalidMessage as refused:
        str(refused).encode()
        return
    json.dumps(message.kwargs(), allow_nan=False).encode()


@pytest.mark.parametrize(
    "to",
    [
        "",
        "+393331234567",
        "0393331234567",
        "393 331",
        "123456",
        "1" * 16,
        "39333123456x",
        "393331234567\n",
        "٣٩٣٣٣١٢٣٤٥٦٧",
    ],
)
def test_a_recipient_is_digits_with_country_code(to: str) -> None:
    """No plus, no leading 0, 7 to 15 of them, and ASCII."""
    assert problem(to=to).field == "to"


@pytest.mark.parametrize(
    ("field", "longest"), [("text", 4096), ("media_name", 20), ("template_header", 60), ("reference", 128)]
)
def test_text_has_a_longest_and_is_never_empty(field: str, longest: int) -> None:
    """The bound is in characters, and the error says how many there were."""
    Message.of({**GOOD, field: "ü" * longest})
    assert str(longest + 1) in problem(**{field: "x" * (longest + 1)}).problem
    assert problem(**{field: ""}).field == field


def test_half_a_surrogate_pair_is_no_character() -> None:
    """It can't be written as UTF-8, so it is refused before it is on a lane."""
    assert problem(text="\ud83d").field == "text"
    assert problem(template_values=["ok", "\udc00"]).field == "template_values[1]"
    assert problem(location={"lat": 1, "long": 1, "name": "\ud83d"}).field == "location.name"


@pytest.mark.parametrize("text", ["\x00", "a\nb\r\n", "\x1b[31m", "\u2028", "🛑" * 4096, "\u202eabc", "\ufeff"])
def test_control_and_odd_characters_are_text(text: str) -> None:
    """They are the app's own business, and JSON can say them all."""
    assert Message.of({**GOOD, "text": text}).text == text


@pytest.mark.parametrize(
    ("lat", "long"),
    [
        (90.1, 0), (-91, 0), (0, 180.5), (float("nan"), 0), (0, float("inf")), (10**400, 0), ("nan", 0), ("1e1", 0),
        ("", 0), ("1_0", 0), (" 1", 0), ("\u0661", 0), (True, 0), (None, 0), ([], 0), (Decimal(1), 0), ("9" * 400, 0),
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_a_place_is_on_earth_and_is_a_number(lat: Any, long: Any) -> None:
    """A number that JSON knows, or plain digits as text."""
    assert problem(location={"lat": lat, "long": long}).field in {"location.lat", "location.long"}


@pytest.mark.parametrize("location", [{}, {"lat": 1}, {"lat": 1, "long": 1, "zoom": 3}, [1, 2], "1,2"])
def test_a_location_has_the_providers_fields(location: Any) -> None:
    """No more and no less."""
    assert problem(location=location).field == "location"


def test_a_location_is_copied() -> None:
    """Any mapping may be given; what the app changes afterwards changes no message."""
    place = {"lat": 1.5, "long": 2}
    message = Message.of({**GOOD, "location": MappingProxyType(place)})
    place["lat"] = 99
    assert message.kwargs()["location"] == {"lat": 1.5, "long": 2}


@pytest.mark.parametrize("value", ["x", "", "2030-01-31", "2030-01-31T08:00:00", "2030-13-31T08:00:00Z", "08:00Z"])
def test_a_time_says_its_zone(value: str) -> None:
    """Without one, nobody knows when it is."""
    assert problem(send_at=value).field == "send_at"


def test_a_zone_of_odd_seconds_is_refused() -> None:
    """RFC 3339 has none, and the lease couldn't read it."""
    odd = timezone(timedelta(hours=5, seconds=15))
    assert problem(send_at=datetime(2030, 1, 31, 8, tzinfo=odd)).field == "send_at"


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        (datetime(2030, 1, 31, 8, 0, 0, 5, tzinfo=UTC), "2030-01-31T08:00:00.000005+00:00"),
        ("2030-01-31T08:00:00Z", "2030-01-31T08:00:00+00:00"),
        ("20300131T080000Z", "2030-01-31T08:00:00+00:00"),
        ("2030-01-31T08:00:00.5-03:30", "2030-01-31T08:00:00.500000-03:30"),
    ],
)
def test_times_are_written_in_one_way(given_: Any, kept: str) -> None:
    """As the lease's script reads them."""
    assert Message.of({**GOOD, "send_at": given_}).send_at == kept


def test_a_date_is_no_time() -> None:
    """A day has no moment."""
    assert problem(expires_at=date(2030, 1, 31)).field == "expires_at"


@pytest.mark.parametrize("class_", ["", "Urgent", "0", "low", "urgent "])
def test_a_class_is_one_of_four_words(class_: str) -> None:
    """And the error names them."""
    refused = problem(**{"class": class_})
    assert refused.field == "class"
    assert "urgent, high, normal, bulk" in refused.problem


def test_without_a_class_a_message_is_normal() -> None:
    """The default goes neither first nor last."""
    assert Message.of(GOOD).class_ is MessageClass.NORMAL


def test_a_message_has_one_recipient_or_one_group() -> None:
    """Neither and both are refused."""
    with pytest.raises(InvalidMessage, match="to: name either"):
        Message.of({"text": "x"})
    with pytest.raises(InvalidMessage, match="to: name either"):
        Message.of({**GOOD, "group_id": "g"})
    assert Message.of({"group_id": "g", "text": "x"}).to is None


def test_a_message_says_something() -> None:
    """A recipient alone is no message."""
    with pytest.raises(InvalidMessage, match="text: say something"):
        Message.of({"to": GOOD["to"], "reference": "r", "template_values": ["x"]})


@pytest.mark.parametrize("kwargs", [None, [], "text", 5, [("to", "393331234567")]])
def test_kwargs_are_an_object(kwargs: Any) -> None:
    """Anything else has no fields."""
    with pytest.raises(InvalidMessage) as refused:
        Message.of(kwargs)
    assert refused.value.field == "kwargs"


@pytest.mark.parametrize("name", ["tekst", "class_", "x" * 10_000, "", 5, None, ("a",)])
def test_an_unknown_field_is_named(name: Any) -> None:
    """A slip of the pen isn't sent without what was meant; the name is cut, in case it is an attack."""
    with pytest.raises(InvalidMessage) as raised:
        Message.of({**GOOD, name: "x"})
    assert raised.value.field == str(name)[:64]


def test_at_most_32_values() -> None:
    """A template has no more."""
    Message.of({**GOOD, "template_values": ["x"] * 32})
    assert problem(template_values=["x"] * 33).field == "template_values"
    assert problem(template_values="abc").field == "template_values"


def test_none_stands_for_a_field_left_out() -> None:
    """A JSON null says nothing."""
    assert Message.of({**GOOD, **dict.fromkeys(name for name in CHECKS if name not in GOOD)}) == Message.of(GOOD)


def test_the_constructor_checks_the_same() -> None:
    """There is no way around it."""
    with pytest.raises(InvalidMessage, match="to: must be"):
        Message(to="+1", text="x")
    with pytest.raises(AttributeError):
        Message(to="393331234567", text="x").text = "y"  # type: ignore[misc]


@given(
    kwargs=st.dictionaries(
        st.sampled_from([*CHECKS, "tekst"]),
        st.sampled_from(["393331234567", "hello", "", "urgent", "2030-01-31T08:00:00Z", None, 5, ["a"]]) | anything,
        max_size=4,
    )
)
@settings(max_examples=200, deadline=None)
def test_checked_without_a_message_is_checked_alike(kwargs: dict[str, Any]) -> None:
    """`checked` keeps and refuses what `Message.of` does."""
    try:
        message = Message.of(kwargs)
    except InvalidMessage:
        with pytest.raises(InvalidMessage):
            checked(kwargs)
        return
    fields = checked(kwargs)
    assert fields.pop("class", MessageClass.NORMAL) is message.class_
    assert fields == message.kwargs()


def test_the_constructor_refuses_what_is_no_field() -> None:
    """As any other function does; and a message can't be changed afterwards."""
    strange: Any = {"txet": "hello"}
    with pytest.raises(TypeError, match="txet"):
        Message(to="393331234567", **strange)
    message: Any = Message.of(GOOD)
    with pytest.raises(FrozenInstanceError):
        message.text = "other"
    assert message == Message(to="393331234567", text="hello")
    assert replace(message, text="other") == Message.of({**GOOD, "text": "other"})
