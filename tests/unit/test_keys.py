"""Is every key that can be built declared, with its type and its time to live?"""

from __future__ import annotations

import inspect
import re

import pytest

from headway import MessageClass, keys
from headway.key_catalogue import CATALOGUE

NUMBER = "15555550100"


def built() -> dict[str, str]:
    """Return one key of each builder in `headway.keys`."""
    given = {"number": NUMBER, "unit": f"{NUMBER}/3of4", "class_": MessageClass.BULK}
    given |= {"caller": "0123456789abcdef", "digest": "0123456789abcdef" * 2}
    given |= {"step": "6", "turn": "0"}
    given |= {"account": "0123456789abcdef", "name": "push", "key": keys.balance(NUMBER)}
    skip = {"queue", "number_of", "number_of_unit", "units", "lanes", "doorbell", "dataclass"}
    found = {}
    for name, function in inspect.getmembers(keys, inspect.isfunction):
        if name not in skip and function.__module__ == keys.__name__:
            found[name] = function(**{p: given.get(p, "17") for p in inspect.signature(function).parameters})
    return found


@pytest.mark.parametrize("name", sorted(built()))
def test_every_key_is_declared_once(name: str) -> None:
    """Exactly one entry of the catalogue describes it; one without a time to live says why."""
    fitting = [spec for spec in CATALOGUE if re.fullmatch(spec.pattern, built()[name])]
    assert len(fitting) == 1
    assert fitting[0].why


def test_every_entry_of_the_catalogue_has_a_builder() -> None:
    """No entry is left over from a key that is no more."""
    for spec in CATALOGUE:
        assert any(re.fullmatch(spec.pattern, key) for key in built().values()), spec.pattern


def test_lanes_are_kombus_lists() -> None:
    """The steps that kombu's Redis transport has by default, urgent under the queue's own name."""
    from kombu.transport.redis import Channel

    separator = Channel.sep
    steps = Channel.priority_steps
    queue = keys.queue(NUMBER)
    assert keys.lanes(NUMBER) == [f"{queue}{separator}{step}" if step else queue for step in steps]


@pytest.mark.parametrize(
    ("queue", "number"),
    [
        ("headway.15555550100", "15555550100"),
        ("headway.", None),
        ("headway.12a", None),
        ("headway.123\n", None),
        ("xheadway.123", None),
        ("celery", None),
        ("headway.123.reply", None),
        ("headway.١٢٣", None),
        ("headway." + "1" * 21, None),
    ],
)
def test_only_a_numbers_queue_is_ours(queue: str, number: str | None) -> None:
    """Every other queue of the broker takes Celery's own way."""
    assert keys.number_of(queue) == number


def test_a_number_with_one_shard_is_its_own_unit() -> None:
    """So nothing that stands in Redis has another name than it had before there were shards."""
    assert keys.units(NUMBER, 1) == (NUMBER,)
    assert keys.units(NUMBER, 2) == (f"{NUMBER}/0of2", f"{NUMBER}/1of2")
    assert {keys.number_of_unit(unit) for unit in keys.units(NUMBER, 32)} == {NUMBER}


def test_what_a_person_sets_is_the_numbers() -> None:
    """A pause, a TPS or a known event holds for each of its shards; a meter is the shard's own."""
    one, other = keys.units(NUMBER, 2)
    for of_the_number in (keys.settings, keys.declared, keys.shards):
        assert of_the_number(one) == of_the_number(other) == of_the_number(NUMBER)
    assert keys.seen(one, "7") == keys.seen(other, "7") == keys.seen(NUMBER, "7")
    assert len({keys.meter(one), keys.meter(other), keys.meter(NUMBER)}) == 3


def test_a_shards_lanes_are_nobodys_queue() -> None:
    """No worker consumes them: they are reached by sorting the number's own."""
    assert keys.number_of(keys.queue(f"{NUMBER}/0of2")) is None
