"""Are outcomes, the catalogue and the order of addresses what they promise?"""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from headway.errors import SettingError
from providers import Outcome, Verdict, catalogue
from providers.addresses import Addresses
from providers.outcomes import TEXT_LIMIT, all_alike, clean
from providers.wire import open_session


def test_a_plain_outcome_has_used_tps() -> None:
    """Whoever says nothing else has charged the number: a refund must be said."""
    outcome = Outcome("m1", Verdict.SENT)
    assert outcome.left
    assert not outcome.pause


def test_an_outcome_can_not_be_changed() -> None:
    """An outcome is a value: it goes through several hands."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Outcome("m1", Verdict.SENT).code = "100"  # type: ignore[misc]


def test_all_alike_keeps_the_order_of_the_rows() -> None:
    """Outcomes come back in the order of the ids."""
    outcomes = all_alike(["b", "a"], Verdict.RETRY, code="429", left=False)
    assert [("b", "429", False), ("a", "429", False)] == [(o.row_id, o.code, o.left) for o in outcomes]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("fine", "fine"),
        (" two\n lines\t", "two lines"),
        ("nul\x00 and \x1b[31mred", "nul and [31mred"),
        ("half \ud83d pair", "half ? pair"),
        ("héllo ✓", "héllo ✓"),
        (7478630, "7478630"),
        (0.005, "0.005"),
        (True, ""),
        (None, ""),
        ({"a": 1}, ""),
        (["a"], ""),
    ],
)
def test_clean_makes_any_value_safe_text(value: object, expected: str) -> None:
    """What a provider says becomes text that can be stored and logged."""
    assert expected == clean(value)


def test_clean_cuts_huge_text() -> None:
    """A megabyte of reason becomes 200 characters."""
    assert "x" * TEXT_LIMIT == clean("x" * 1_000_000)


def test_the_catalogue_knows_shapes_without_a_session() -> None:
    """Rows of one request must agree on these, and a lease is made without any connection."""
    expected = ("template_id", "template_header", "media_url", "media_name", "group_id", "location")
    assert expected == catalogue.shape_fields("picky")


def test_the_catalogue_refuses_a_name_it_does_not_know() -> None:
    """A misspelt provider is a fault of the setting, named as such."""
    with pytest.raises(SettingError, match="HEADWAY_PROVIDER: no provider is called 'pikcy'"):
        catalogue.shape_fields("pikcy")


def test_the_catalogue_makes_a_provider_by_name() -> None:
    """What is made carries the name and the shape that the catalogue tells."""

    async def make() -> None:
        async with open_session() as session:
            provider = catalogue.make("picky", token="t", application="8", session=session)
            assert provider.name == "picky"
            assert provider.shape_fields == catalogue.shape_fields("picky")
            await provider.close()
            assert not session.closed

    asyncio.run(make())


def test_a_provider_without_any_address_is_refused() -> None:
    """An empty list is found at the start, not at the first send."""
    with pytest.raises(ValueError, match="at least one URL"):
        Addresses([" "])
