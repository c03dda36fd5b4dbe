"""Who keeps this process's promises while the pool works? One thread with its own Redis client.

It renews each lease that is held, ends those that Celery gave up, asks once a second whether a doorbell was missed,
some other process's leases are lost or uncertain messages have waited long enough, and declares the TPS of this
process's environment. What it does for shards, that they are agreed on and that former ones are emptied, stands in
`worker.resharding`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from itertools import groupby

import redis

from delivery.policy import Policy
from delivery.settle import Ending, end, ended, rows_of
from headway import keys
from runtime.scripts import Call, run_all
from runtime.telemetry import Event, get_logger
from scheduler import leases, order
from worker.clock_watch import ClockWatch
from worker.declaring import Declaring
from worker.doubts import Doubts
from worker.engine import Engine
from worker.lookout import Lookout
from worker.progress import Progress
from worker.registry import HeldLease, newest_first
from worker.resharding import Resharding
from worker.sweeping import Sweep
from worker.watch import Watch

SWEEP_US = 1_000_000
DECLARE_US = 10_000_000
LOOK_US = 10_000_000

#: How long the thread rests while a number waits to hear how many shards it has.
SOON_S = 0.02

#: How often it looks, once the worker stops, whether its time is up.
STOPPING_S = 0.25

log = get_logger("worker")


class Keeper:
    """The thread. `record_ttl_s` is for the records of rows that become uncertain; `lease_ttl_us` sets the renewals.

    `grace_us`: how long what is held may take to finish once the worker stops. `give_up` is called, perhaps more than
    once, when nobody shall wait for a provider's answer any longer.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        record_ttl_s: int,
        lease_ttl_us: int,
        policy: Callable[[str], Policy] = lambda _: Policy(),
        grace_us: int = 25_000_000,
        give_up: Callable[[], None] = lambda: None,
        progress: Progress | None = None,
    ) -> None:
        self._engine = engine
        self._give_up = give_up
        self._progress = progress
        self._client = engine.client
        self._record_ttl_s = record_ttl_s
        self._ttl_us = lease_ttl_us
        self._watch = Watch(engine)
        self._clock_watch = ClockWatch(engine.client, engine.clock)
        self._shards = Resharding(engine)
        self._sweep = Sweep(
            engine, self._shards, Doubts(engine, policy, record_ttl_s=record_ttl_s),
            reclaim=self._reclaim, lease_ttl_us=lease_ttl_us,
        )  # fmt: skip
        self._declaring = Declaring(engine, self._shards)
        self._next = {self._renew: 0, self._sweep.look: 0, self._declaring.say: 0, self._look: 0}
        self._every = {
            self._renew: lease_ttl_us // 4,
            self._sweep.look: SWEEP_US,
            self._declaring.say: DECLARE_US,
            self._look: LOOK_US,
        }
        self._relieved: dict[str, tuple[str, str]] = {}
        self._away = False
        self._grace_us = grace_us
        self._stopping_us: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="headway-keeper", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End what is still held, as far as the server lets us, and stop."""
        self._stop.set()
        self._thread.join(timeout=5)
        self._say_stopping()
        try:
            self._end([*self._engine.take_released(timeout_s=0), *self._engine.registry.release_all()])
            self._end(self._engine.fetch.unread())
            self._shards.leave()
        except (redis.RedisError, OSError) as error:  # the deadline of each lease does it, when the server is back
            log.warning(Event.BROKER_AWAY, problem=str(error), attempt=1)
        if self._progress is not None:
            self._progress.ended()

    def turn(self) -> None:
        """Do once what is due; a server that is away is asked again with the next turn."""
        released = self._engine.take_released(timeout_s=self._rest_s())
        if self._engine.stopping:
            self._say_stopping()
        if self._engine.giving_up:
            released += self._engine.registry.release_all()
        try:
            self._end_or_give_up(released)
            now_us = self._engine.clock.monotonic_us()
            for job, at_us in self._next.items():
                if at_us <= now_us:
                    job()
                    self._next[job] = now_us + self._every[job]
            self._shards.turn(self._engine.agenda.undecided(), now_us)
            if self._away:
                self._away = False
                log.info(Event.BROKER_BACK, by="keeper")
        except (redis.RedisError, OSError) as error:
            if not self._away:
                self._away = True
                log.warning(Event.BROKER_AWAY, problem=str(error), attempt=1)
            self._stop.wait(0.5)
        if self._progress is not None:
            self._progress.turned(away=self._away)

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                self.turn()
            except Exception:  # without this thread every lease would be lost: whatever it was, go on
                logging.getLogger("headway.worker").exception("the keeper stumbled and goes on")
                self._stop.wait(0.5)

    def _rest_s(self) -> float:
        """Until the next job is due; the engine wakes us earlier when something happens."""
        if self._engine.agenda.undecided():
            return SOON_S
        left_us = min(self._next.values()) - self._engine.clock.monotonic_us()
        return min(max(0, left_us) / 1_000_000, STOPPING_S if self._engine.stopping else SWEEP_US / 1_000_000)

    def _say_stopping(self) -> None:
        now_us, held = self._engine.clock.monotonic_us(), len(self._engine.registry.held())
        if self._stopping_us is None:
            self._stopping_us = now_us
            log.info(Event.WORKER_STOPPING, held=held)
        elif now_us - self._stopping_us >= self._grace_us and not self._engine.giving_up:
            self._engine.giving_up = True
            log.warning(Event.GRACE_OVER, held=held)

    def _end_or_give_up(self, released: Sequence[HeldLease]) -> None:
        """End leases, also when the worker's time is up; then nobody waits any longer, server or no server."""
        try:
            self._end(released)
        finally:
            if self._engine.giving_up:
                self._give_up()

    def _end(self, released: Sequence[HeldLease]) -> None:
        """End leases that Celery gave up: rows not begun go back at once. What fails here, the deadline does later."""
        released = newest_first(released)
        calls = [self._ending(lease, Ending.ENDED, "the worker gave it up") for lease in released]
        if calls:
            self._say(released, run_all(self._client, calls))

    def _renew(self) -> None:
        held = sorted(self._engine.registry.held(), key=lambda lease: lease.number)
        groups = [(number, [lease.lease_id for lease in group]) for number, group in groupby(held, lambda o: o.number)]
        calls = [leases.renew(number, ids, self._ttl_us) for number, ids in groups]
        if calls:
            run_all(self._client, calls)

    def _look(self) -> None:
        agenda = self._engine.agenda
        self._watch.look([unit for number in agenda.numbers() for unit in agenda.units(number)])
        units = [unit for number in agenda.numbers() for unit in self._shards.all_units(number)]
        self._relieve(Lookout(units, lambda unit: (keys.heads(unit), keys.lines(unit))).busy(self._client))
        self._clock_watch.look(units)

    def _relieve(self, units: Sequence[str]) -> None:
        """Free recipients whose head is in no place any more: some of each unit's at a time, going round."""
        calls = [order.relieve(unit, self._relieved.get(unit, order.START)) for unit in units]
        for unit, reply in zip(units, run_all(self._client, calls) if calls else [], strict=True):
            if isinstance(reply, Exception):
                raise reply
            found = order.relieved(reply)
            self._relieved[unit] = found.at
            if found.freed:
                log.warning(Event.RECIPIENTS_RELIEVED, number=keys.number_of_unit(unit), recipients=found.freed)

    def _reclaim(self, number: str) -> None:
        """End the leases of a unit's holders that are lost; whoever comes first does it."""
        found = [(lease_id, rows_of(self._client, number, lease_id)) for lease_id in leases.lost(self._client, number)]
        lost = newest_first(HeldLease(number, lease_id, tuple(rows or ())) for lease_id, rows in found)
        self._say(
            lost, run_all(self._client, [self._ending(lease, Ending.EXPIRED, "its worker was lost") for lease in lost])
        )

    def _ending(self, lease: HeldLease, when: Ending, why: str) -> Call:
        return end(lease.number, lease.lease_id, lease.message_ids, when=when, why=why, record_ttl_s=self._record_ttl_s)

    def _say(self, released: Sequence[HeldLease], replies: Sequence[object]) -> None:
        for lease, reply in zip(released, replies, strict=True):
            if isinstance(reply, Exception):
                raise reply
            done = ended(reply)
            if done.what == "returned":
                log.info(Event.LEASE_RETURNED, number=lease.number, lease=lease.lease_id, rows=done.rows)
                self._engine.ring([lease.number])
            elif done.what == "uncertain":
                log.warning(Event.LEASE_LOST, number=lease.number, lease=lease.lease_id, rows=done.rows)
