"""Do a table and a recipe make the right messages, and is each bad row named by row and column?"""

from __future__ import annotations

from typing import Any

import pytest

from campaigns import phones, tables
from campaigns.phones import NoNumber
from campaigns.plan import Plan, plan
from campaigns.problems import BadColumns, BadRows, CampaignError
from campaigns.recipe import Recipe
from campaigns.tables import Limits
from campaigns.templates import BadTemplate, template
from headway.classes import MessageClass
from headway.errors import InvalidMessage
from headway.message import Message

LIMITS = Limits(recipients=3, upload=10)


def make(content: str, **recipe: Any) -> Plan:
    """Plan a CSV with a recipe."""
    table = tables.read(content.encode(), file="guests.csv", limits=LIMITS)
    return plan(table, Recipe(**recipe), campaign="0123456789ab", limits=LIMITS)


def messages(found: Plan) -> list[Message]:
    """Return the messages of a plan."""
    return [row.message for row in found.rows]


# -------------------------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("cell", "country", "to"),
    [
        ("393331234567", "", "393331234567"),
        ("+39 333 123-4567", "", "393331234567"),
        ("0039 333.123.4567", "IT", "393331234567"),
        ("333 123 4567", "IT", "393331234567"),
        ("393331234567", "IT", "393331234567"),
        ("(020) 7946 0000", "GB", "442079460000"),
        ("'+393331234567", "", "393331234567"),
        ("\u202a+39\u00a0333\u2011123\u20114567\u202c", "", "393331234567"),
        ("\uff0b39\uff13331234567", "", "393331234567"),  # as an input method writes it
        ("447700900594", "", "447700900594"),
        ("+5215512345678", "", "5215512345678"),
        ("+39 06 698 12345", "", "390669812345"),
    ],
)
def test_a_number_is_written_in_many_ways_and_sent_in_one(cell: str, country: str, to: str) -> None:
    """Digits with country code, whatever marks, blanks and brackets a person or an address book put in."""
    assert phones.normalised(cell, country=country) == to


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("", "is empty"),
        ("Ada", "no phone number"),
        ("1-800-FLOWERS", "no phone number"),
        ("+39 333 1234567 ext 5", "no phone number"),
        ("3,93331E+11", "shortened by a spreadsheet"),
        ("12345", "too few digits"),
        ("+3933", "too few digits"),
        ("39333123456789012", "too many digits"),
        ("0331234567", "no country has this code|write it with country code"),
        ("+", "no phone number"),
        ("1" * 50, "no phone number"),
    ],
)
def test_what_is_no_number_says_why(cell: str, said: str) -> None:
    """In words that help whoever corrects the cell."""
    with pytest.raises(NoNumber, match=said):
        phones.normalised(cell)


# ---------------------------------------------------------------------------------------------------------- templates


def test_places_are_filled_once() -> None:
    """A value that looks like a place stays as it is; names take any case and spaces around."""
    assert template("Hi {{ First Name }}, {{x}}!").names == ("first name", "x")
    assert template("{{a}}{{a}}").filled(lambda _name: "{{b}}") == "{{b}}{{b}}"
    assert template("none").filled(lambda _name: "x") == "none"


@pytest.mark.parametrize("text", ["Hi {{name}", "Hi {{name", "Hi name}}", "Hi {{}}", "{{a{{b}}"])
def test_braces_that_are_no_place_are_refused(text: str) -> None:
    """Nobody gets a message with braces that were forgotten."""
    with pytest.raises(BadTemplate):
        template(text)
    with pytest.raises(InvalidMessage, match="text: "):
        Recipe(fields={"text": text})


# ---------------------------------------------------------------------------------------------------------- plans


def test_a_file_that_is_a_list_of_messages_needs_no_recipe() -> None:
    """Columns that are called like fields are these fields; the rest is named."""
    found = make("to,text,Media_URL,class,note\n393331234567,Hi,https://x.it/a.jpg,high,x\n393331234568,Ho,,,\n")
    assert messages(found) == [
        Message(
            to="393331234567", text="Hi", media_url="https://x.it/a.jpg", class_=MessageClass.HIGH,
            campaign="0123456789ab",
        ),
        Message(to="393331234568", text="Ho", class_=MessageClass.BULK, campaign="0123456789ab"),
    ]  # fmt: skip
    assert (found.ignored, found.by_class, found.bad) == (("note",), {"high": 1, "bulk": 1}, ())


def test_values_come_from_columns_mappings_and_defaults() -> None:
    """In texts and in the values of a template."""
    found = make(
        "Phone;First name;Time\n333 1234567;Ada ;12:30\n333 1234568;;13:00\n",
        to="phone",
        country="it",
        columns={"Name": "first name"},
        defaults={"name": "you"},
        fields={"text": "Hi {{name}}", "template_id": "t1", "template_values": ["{{name}}", "at {{Time}}", "x"]},
    )
    told = [(one.to, one.text, one.template_values) for one in messages(found)]
    assert told == [
        ("393331234567", "Hi Ada", ("Ada", "at 12:30", "x")),
        ("393331234568", "Hi you", ("you", "at 13:00", "x")),
    ]
    assert [row.place for row in found.rows] == [1, 2]


def test_the_first_of_two_rows_to_one_recipient_is_sent() -> None:
    """However the number is written; both rows are named."""
    found = make("to,text\n+39 333 1234567,a\n393331234568,b\n0039333 1234567,c\n")
    assert [one.text for one in messages(found)] == ["a", "b"]
    assert [one.as_json() for one in found.duplicates] == [{"row": 4, "first_row": 2, "to": "393331234567"}]


GOOD = "393331234567"


@pytest.mark.parametrize(
    ("content", "recipe", "row", "column", "said"),
    [
        (f"to,text\n{GOOD},Hi\nAda,Hi\n", {}, 3, "to", "is no phone number"),
        (f"to,text\n{GOOD},\n", {}, 2, "text", "say something"),
        (f"to,text,class\n{GOOD},Hi,fast\n", {}, 2, "class", "must be one of urgent"),
        (f"to,text\n{GOOD},Hi, you\n", {}, 2, "", "has 3 cells for 2 columns"),
        (f"to,Name\n{GOOD},\n", {"fields": {"text": "Hi {{name}}"}}, 2, "Name", "{{name}} has no default"),
        (f"to,text,n\n{GOOD},Hi {{{{N}}}},\n", {}, 2, "n", "{{n}} has no default"),
        (f"to,text\n{GOOD},Hi {{{{nme}}}}\n", {}, 2, "text", "{{nme}} is no column"),
        (f"to,text\n{GOOD},Hi {{{{\n", {}, 2, "text", "write places like {{name}}"),
        (f"to,name\n{GOOD},{'x' * 4096}\n", {"fields": {"text": "Hi {{name}}"}}, 2, "text", "has 4099"),
        (f"to,text\n{GOOD},Jos\ufffd\n", {}, 2, "text", "letters were lost"),
        (f"to,text,send_at\n{GOOD},Hi,tomorrow\n", {}, 2, "send_at", "like 2030-01-31T08:00:00Z"),
        (f"to,text,location\n{GOOD},Hi,Rome\n", {}, 2, "location", "must be JSON"),
        (f"to,template_id,v\n{GOOD},t,[1]\n", {"columns": {"template_values": "v"}}, 2, "v", "must be text"),
        (f"Tel,text\n{GOOD[:5]},Hi\n", {"to": "tel"}, 2, "Tel", "too few digits"),
    ],
)
def test_a_bad_row_is_named_by_row_and_column(
    content: str, recipe: dict[str, Any], row: int, column: str, said: str
) -> None:
    """As the file has them; the whole is refused with all of them."""
    found = make(content, **recipe)
    (bad,) = found.bad
    assert (bad.row, bad.column) == (row, column)
    assert said in bad.problem
    with pytest.raises(BadRows, match="so nothing was enqueued") as caught:
        found.require_good()
    assert caught.value.listed[0].startswith(f"guests.csv, line {row}")


def test_a_formula_is_bad_only_where_it_is_used() -> None:
    """What nobody sends hurts nobody."""
    table = tables.Table(
        "book.xlsx", "row", ("to", "text", "sum"), (tables.Record(2, [GOOD, "", ""], {1: "holds a formula"}),), ""
    )
    (bad,) = plan(table, Recipe(), campaign="a", limits=LIMITS).bad
    assert (bad.row, bad.column, bad.problem) == (2, "text", "holds a formula")
    assert not plan(table, Recipe(fields={"text": "Hi"}), campaign="a", limits=LIMITS).bad


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"to": "phone"}, "no column 'phone' for the recipients; there is to, first name"),
        ({"fields": {"text": "Hi {{frist name}}"}}, r"{{frist name}} is no column \(did you mean first name\?\)"),
        ({"columns": {"text": "txt"}}, "no column 'txt' for text"),
        ({}, "nothing says what to send"),
    ],
)
def test_columns_that_do_not_fit_are_named_before_any_row(recipe: dict[str, Any], said: str) -> None:
    """One sentence instead of one for each row."""
    with pytest.raises(BadColumns, match=said):
        make(f"to,first name\n{GOOD},Ada\n", **recipe)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"class": "fast"}, "class: must be one of urgent, high, normal, bulk"),
        ({"country": "Italy"}, "country: 'ITALY' is none"),
        ({"skip_bad": "yes"}, "skip_bad: must be true or false"),
        ({"fields": {"txt": "Hi"}}, r"fields: 'txt' is none \(did you mean text\?\)"),
        ({"fields": {"campaign": "x"}}, "fields: 'campaign' is none"),
        ({"fields": {"text": "x" * 4097}}, "text: must have 1 to 4096 characters"),
        ({"fields": {"text": ["{{x}}"]}}, "text: must be text"),
        ({"fields": {"template_values": ["{{x}}"] * 33}}, "template_values: must be a list of at most 32"),
        ({"fields": {"template_values": ["{{x}}", 1]}}, r"template_values\[1\]: must be text"),
        ({"fields": {"tag": "a b"}}, "tag: must have 1 to 64"),
        ({"fields": []}, "fields: must be an object"),
        ({"columns": {"a": 1}}, "columns.a: must be text"),
        ({"defaults": {"a": "1", "A ": "2"}}, "defaults: names 'A ' twice"),
        ({"to": 1}, "to: must be text"),
        ({"colums": {}}, r"colums: is unknown \(did you mean columns\?\)"),
    ],
)
def test_a_recipe_that_cannot_be_names_the_field(told: dict[str, Any], said: str) -> None:
    """Before any table is looked at."""
    with pytest.raises((CampaignError, InvalidMessage), match=said):
        Recipe.of(told)


def test_a_recipe_is_kept_as_it_is() -> None:
    """A campaign that broke off goes on with the same."""
    recipe = Recipe(
        to="phone", class_=MessageClass.HIGH, country="it", columns={"N": "a"}, defaults={"n": " x "}, sheet="s",
        fields={"text": "{{n}}", "template_values": ["a", "{{n}}"], "location": {"lat": 1, "long": 2}}, skip_bad=True,
    )  # fmt: skip
    assert Recipe.of(recipe.as_json()) == recipe


def test_more_recipients_than_one_campaign_may_have_are_refused() -> None:
    """The setting is named; duplicates don't count."""
    rows = "".join(f"39333123456{at},Hi\n" for at in (1, 2, 3, 3))
    assert len(make("to,text\n" + rows).rows) == 3
    with pytest.raises(CampaignError, match=r"4 recipients, at most 3 .*HEADWAY_CAMPAIGN_RECIPIENTS"):
        make("to,text\n" + rows + "393331234564,Hi\n")


def test_a_preview_is_what_would_be_sent() -> None:
    """Filled in, with the row it is of."""
    found = make(f"to,name\n{GOOD},Ada\n", fields={"text": "Hi {{name}}", "template_values": ["{{name}}"]})
    assert found.preview(3) == [{"row": 2, "class": "bulk", "to": GOOD, "text": "Hi Ada", "template_values": ["Ada"]}]
