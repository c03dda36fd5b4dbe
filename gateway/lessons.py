"""What do receipts teach the forecast? Noted as they are matched, told with the next flight of their number."""

from __future__ import annotations

from collections.abc import Sequence

from delivery.receipts import Answer, Found, Receipt
from delivery.states import State
from headway.keys import number_of_unit
from runtime.scripts import Call
from scheduler.ahead import Learned, learn
from scheduler.rules import NumberRules
from scheduler.shards import rules_of_unit

#: Lessons of one unit that wait: with more, the first ones say enough.
MOST = 240

_KINDS = {State.DELIVERED: "delivered", State.READ: "read"}


class Lessons:
    """What was matched and not told yet, by unit. Lost with the process, which costs a second's learning."""

    def __init__(self) -> None:
        self._of: dict[str, list[Learned]] = {}

    def note(self, receipts: Sequence[tuple[str, Receipt]], answers: Sequence[Answer]) -> None:
        """Note what receipts, each with its unit, turned out to be.

        A single message's counts when it changed something, so that a repetition teaches nothing; a group's each time,
        because every member has its own.
        """
        for (unit, receipt), answer in zip(receipts, answers, strict=True):
            kind = _KINDS.get(receipt.state) if receipt.state else None
            if kind and answer.what is Found.MATCHED and (answer.group or answer.changed is receipt.state):
                took = answer.took_ms
                lessons = self._of.setdefault(unit, [])
                if len(lessons) < MOST:
                    lessons.append(Learned(kind, None if took is None else took * 1000, answer.group))

    def take(self, rules: NumberRules) -> list[Call]:
        """Return the calls that tell what was noted of a number, and forget it."""
        units = [unit for unit in self._of if number_of_unit(unit) == rules.number]
        return [learn(rules_of_unit(rules, unit), self._of.pop(unit)) for unit in units]
