"""Is every key that can be built declared, with its type and its time to live?"""

from __future__ import annotations

import inspect
import re

import pytest

from headway import MessageClass, keys

NUMBER = "15555550100"


def built() -> dict[str, str]:
    """Return one key of each builder in `headway.keys`."""
    given = {"number": NUMBER, "class_": MessageClass.BULK}
    skip = {"queue", "number_of", "lanes", "doorbell", "dataclass"}
    found = {}
    for name, function in inspect.getmembers(keys, inspect.isfunction):
        if name not in skip and function.__module__ == keys.__name__:
            found[name] = function(**{p: given.get(p, "17") for p in inspect.signature(function).parameters})
    return found


@pytest.mark.parametrize("name", sorted(built()))
def test_every_key_is_declared_once(name: str) -> None:
    """Exactly one entry of the catalogue describes it; one without a time to live says why."""
    fitting = [spec for spec in keys.CATALOGUE if re.fullmatch(spec.pattern, built()[name])]
    assert len(fitting) == 1
    assert fitting[0].why


def test_every_entry_of_the_catalogue_has_a_builder() -> None:
    """No entry is left over from a key that is no more."""
    for spec in keys.CATALOGUE:
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
