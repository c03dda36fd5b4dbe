"""What does this process say of its numbers' settings to the others, and hear from them?

Every ten seconds: the TPS and the rest of its environment, how many shards, and whether others say something else.
"""

from __future__ import annotations

from collections.abc import Sequence

from runtime.scripts import Call, run_all
from runtime.telemetry import Event, get_logger
from scheduler import control
from scheduler.rules import NumberRules
from worker.differences import Differences
from worker.engine import Engine
from worker.resharding import Resharding

#: Numbers in one script.
AT_ONCE = 100

log = get_logger("worker")


class Declaring:
    """Used by the keeper's thread alone."""

    def __init__(self, engine: Engine, shards: Resharding) -> None:
        self._engine = engine
        self._shards = shards
        self._differences = Differences(engine.client, engine.rules)
        self._told: dict[str, int] = {}
        #: What is said of each part of the numbers, built again only when others are served.
        self._calls: list[tuple[list[NumberRules], Call]] = []
        self._of: int | None = None

    def say(self) -> None:
        """Declare all numbers that are served. Raises redis.RedisError."""
        numbers, of = self._engine.agenda.numbers(), self._engine.agenda.version
        if of != self._of:
            parts = [numbers[start : start + AT_ONCE] for start in range(0, len(numbers), AT_ONCE)]
            rules = [[self._engine.rules(number) for number in part] for part in parts]
            self._calls = [(part, control.declare_all(part, self._engine.holder)) for part in rules]
            self._of = of
        differ = [number for rules, call in self._calls for number in self._declare(rules, call)]
        self._shards.agree(numbers)
        self._differences.look(differ)

    def _declare(self, rules: Sequence[NumberRules], call: Call) -> list[str]:
        """Return the numbers of which somebody said something else, be it another process or a person."""
        (reply,) = run_all(self._engine.client, [call])
        if isinstance(reply, Exception):
            raise reply
        for one, lowest in zip(rules, reply[::2], strict=True):
            if lowest < one.tps_milli and self._told.get(one.number) != lowest:
                self._told[one.number] = lowest
                log.warning(Event.TPS_DIFFERS, number=one.number, ours_milli=one.tps_milli, lowest_milli=lowest)
        return [one.number for one, others in zip(rules, reply[1::2], strict=True) if others]
