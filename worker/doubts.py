"""When is an uncertain message no longer waited for? Once a second this process looks, for the numbers it serves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from delivery import doubts
from delivery.policy import Policy
from headway.keys import number_of_unit
from runtime.scripts import Call, run_all
from runtime.telemetry import Event, get_logger
from worker.engine import Engine

#: Units in one question.
UNITS_AT_ONCE = 100

#: Ids in one line of the log.
NAMED = 20

log = get_logger("worker")


class Doubts:
    """Does with overdue messages what their class says, loudly; whoever comes first does it."""

    def __init__(self, engine: Engine, policy: Callable[[str], Policy], *, record_ttl_s: int) -> None:
        self._engine = engine
        self._policy = policy
        self._record_ttl_s = record_ttl_s

    def look(self, units: Sequence[str]) -> None:
        """Look once at each unit. Raises redis.RedisError."""
        for start in range(0, len(units), UNITS_AT_ONCE):
            policies = {unit: self._policy(unit) for unit in units[start : start + UNITS_AT_ONCE]}
            (reply,) = self._run([doubts.overdue(policies)])
            due = {unit: ids for unit, ids in zip(policies, doubts.found(reply), strict=True) if ids}
            calls = [
                doubts.resolve(unit, ids, policies[unit], record_ttl_s=self._record_ttl_s) for unit, ids in due.items()
            ]
            for (unit, ids), answer in zip(due.items(), self._run(calls), strict=True):
                self._say(unit, doubts.resolved(ids, answer))

    def _say(self, unit: str, done: doubts.Resolved) -> None:
        number = number_of_unit(unit)
        for event, ids in ((Event.UNCERTAIN_RESENT, done.resent), (Event.UNCERTAIN_HELD, done.held)):
            if ids:
                log.warning(event, number=number, rows=len(ids), messages=list(ids[:NAMED]))
        if done.resent:
            self._engine.ring([unit])

    def _run(self, calls: Sequence[Call]) -> list[object]:
        replies = run_all(self._engine.client, calls) if calls else []
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies
