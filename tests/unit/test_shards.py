"""Are contacts spread over shards for good, and does nothing but shards raise what a number may send?"""

from __future__ import annotations

from collections import Counter

import pytest

from headway import keys
from runtime.settings import Settings
from scheduler import shards
from scheduler.rules import NumberRules, rules_of
from worker.agenda import Agenda

NUMBER = "15555550100"


def rules(**more: str) -> NumberRules:
    """Return a number's rules in an environment."""
    settings = Settings.from_env({f"HEADWAY_{name}": value for name, value in more.items()})
    return rules_of(settings.number(NUMBER), lease_ttl_ms=10_000)


def test_a_contacts_shard_never_changes() -> None:
    """What is written down here holds for ever: another hash would send half of a queue out of order."""
    found = [shards.shard_of("393331234567", count) for count in (1, 2, 4, 8, 16, 32)]
    assert found == [0, 0, 0, 0, 8, 24]
    assert shards.shard_of("120363041234567890@g.us", 32) == 4


@pytest.mark.parametrize("written", ["+39 333 123 4567", "39-333-1234567", "393331234567"])
def test_a_contact_is_known_however_it_is_written(written: str) -> None:
    """The provider's receipts may write a number as the app did, or not."""
    assert shards.unit_of(NUMBER, 32, written) == f"{NUMBER}/24of32"


def test_a_contact_without_digits_has_a_shard() -> None:
    """A saved contact's name, in whichever script, half a character, or nothing at all."""
    for contact in ("Ann", "Ĉiuĵaŭde", "\ud800", ""):
        assert 0 <= shards.shard_of(contact, 8) < 8


@pytest.mark.parametrize("count", [2, 4, 8, 16, 32])
def test_contacts_are_spread_evenly(count: int) -> None:
    """No shard has a fifth more than its part of 64,000 numbers that follow each other."""
    found = Counter(shards.shard_of(f"3933{index:08d}", count) for index in range(64_000))
    assert len(found) == count
    assert max(found.values()) < 1.2 * 64_000 / count


def test_shards_multiply_what_a_number_may_send() -> None:
    """HEADWAY_TPS is that of each shard; requests at a time are shared out among them."""
    own = rules(TPS="20", SHARDS="4", IN_FLIGHT="25")
    units = [shards.rules_of_unit(own, unit) for unit in keys.units(NUMBER, own.shards)]
    assert [one.number for one in units] == [f"{NUMBER}/{shard}of4" for shard in range(4)]
    assert {(one.tps_milli, one.in_flight) for one in units} == {(20_000, 6)}
    assert shards.rules_of_unit(rules(SHARDS="1"), NUMBER) == rules(SHARDS="1")


def test_high_availability_never_raises_tps() -> None:
    """A standby takes over from the primary: with any number of addresses there is one unit, with one TPS."""
    url = "https://{}.example.test"
    alone = rules(TPS="20", PROVIDER_URL=url.format("primary"))
    for standbys in (1, 3):
        urls = ",".join(url.format(name) for name in ["primary", *(f"standby{i}" for i in range(standbys))])
        together = rules(TPS="20", PROVIDER_URL=urls)
        assert together == alone
        assert keys.units(NUMBER, together.shards) == (NUMBER,)


def test_a_ring_asks_every_unit_and_sorts_once() -> None:
    """A unit's own time to ask brings no sort: nothing new has come in."""
    agenda = Agenda()
    units = keys.units(NUMBER, 4)
    agenda.serve(NUMBER, units)
    assert sorted(due := agenda.due(0, most=9)) == sorted(units)
    assert agenda.unsorted(due) == [NUMBER]
    assert agenda.unsorted(due) == []
    agenda.later(units[2], 5)
    assert agenda.due(5, most=9) == [units[2]]
    assert agenda.unsorted([units[2]]) == []
    agenda.ring([units[1]])
    assert agenda.due(5, most=9) == [units[1]]
    agenda.ring([NUMBER])
    assert sorted(agenda.due(5, most=9)) == sorted(units)


def test_a_number_with_one_shard_is_never_sorted() -> None:
    """Its lanes are where messages come in."""
    agenda = Agenda()
    agenda.serve(NUMBER)
    assert agenda.due(0, most=9) == [NUMBER]
    agenda.ring([NUMBER])
    assert agenda.unsorted([NUMBER]) == []


def test_a_number_whose_shards_nobody_knows_is_not_asked() -> None:
    """Until somebody says so; other units take the place of those before."""
    agenda = Agenda()
    agenda.serve(NUMBER, ())
    agenda.ring([NUMBER])
    assert agenda.due(0, most=9) == []
    assert agenda.undecided() == agenda.numbers() == [NUMBER]
    agenda.serve(NUMBER, keys.units(NUMBER, 2))
    agenda.serve(NUMBER, keys.units(NUMBER, 4))
    assert sorted(agenda.due(0, most=9)) == sorted(keys.units(NUMBER, 4))
    agenda.later(keys.units(NUMBER, 2)[0], 1)
    assert agenda.next_us() is None
    agenda.drop(NUMBER)
    assert NUMBER not in agenda
