"""What was missed? Once a second this process asks whether something waits of which no doorbell told it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runtime.scripts import Call, run_all
from scheduler import leases
from worker.doubts import Doubts
from worker.engine import Engine
from worker.lookout import Lookout
from worker.resharding import Resharding


class Sweep:
    """Looks at all units of the numbers that this process serves; used by the keeper's thread alone.

    `reclaim` ends the lost leases of a unit. `lease_ttl_us`: how far away the deadline of a lease may be.
    """

    def __init__(
        self,
        engine: Engine,
        shards: Resharding,
        doubts: Doubts,
        *,
        reclaim: Callable[[str], None],
        lease_ttl_us: int,
    ) -> None:
        self._engine = engine
        self._client = engine.client
        self._shards = shards
        self._doubts = doubts
        self._reclaim = reclaim
        self._ttl_us = lease_ttl_us
        self._of: tuple[int, int] | None = None
        self._lookout = Lookout((), _swept)
        self._calls: dict[int, Call] = {}

    def look(self) -> None:
        """Look once. Raises redis.RedisError."""
        self._build()
        if not self._lookout.chunks:
            self._client.ping()  # while Celery connects anew no number is served; whether the server is back is asked
        for index in self._lookout.busy_chunks(self._client):
            chunk = self._lookout.chunks[index]
            if index not in self._calls:
                self._calls[index] = leases.sweep(chunk)
            (flags,) = run_all(self._client, [self._calls[index]])
            if isinstance(flags, Exception):
                raise flags
            self._follow([(unit, flag) for unit, flag in zip(chunk, flags, strict=True) if flag])
        self._shards.empty_former()

    def _follow(self, marked: Sequence[tuple[str, int]]) -> None:
        back = [leases.clamp(unit, self._ttl_us) for unit, flag in marked if flag & 4]
        if back:
            run_all(self._client, back)
        for unit in (unit for unit, flag in marked if flag & 2):
            self._reclaim(unit)
        self._engine.remind([unit for unit, flag in marked if flag & 7])
        self._doubts.look([unit for unit, flag in marked if flag & 8])

    def _build(self) -> None:
        """Name the units; again only when others are served."""
        agenda = self._engine.agenda
        of = agenda.version, self._shards.version
        if of != self._of:
            units = [unit for number in agenda.numbers() for unit in self._shards.all_units(number)]
            self._lookout, self._calls, self._of = Lookout(units, _swept), {}, of


def _swept(unit: str) -> Sequence[str]:
    return leases.swept(unit)
