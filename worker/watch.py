"""What should a person hear of a number without asking? Pushes that stay silent, and the end of a slow time."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from delivery import echo
from delivery.settle import Settlement
from delivery.states import State
from headway import keys
from headway.keys import number_of_unit
from runtime.scripts import Call, run_all
from runtime.telemetry import Event, get_logger
from scheduler import control, figures, throttle
from scheduler.quota import UNLIMITED
from scheduler.rules import NumberRules
from worker.engine import Engine
from worker.lookout import Lookout
from worker.parcel import Leased

#: Between two alarms of one number: what is wrong once is wrong for a while.
SAID_AGAIN = timedelta(hours=1)

CHECK = (
    "whether other senders use the same token (the provider drops what is over its limit), whether the provider's "
    "event webhook leads here, and HEADWAY_RECEIPTS and HEADWAY_EVENT_WEBHOOK if it sends none"
)

log = get_logger("worker")


class Watch:
    """Looks at the numbers that this process serves."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._slow: set[str] = set()
        self._said_us: dict[str, int] = {}
        self._rested: dict[str, int] = {}

    def look(self, units: Iterable[str]) -> None:
        """Look once at each unit, and at each number."""
        wanted = {unit: self._engine.rules(unit) for unit in units}
        asked = [unit for unit, rules in wanted.items() if expects_echo(rules)]
        listening = Lookout(asked, lambda unit: (keys.echo(unit),)).busy(self._engine.client)
        replies = run_all(self._engine.client, [echo.silent(unit) for unit in listening]) if listening else []
        for unit, reply in zip(listening, replies, strict=True):
            if isinstance(reply, Exception):
                raise reply
            told = echo.found(reply)
            if told.requests:
                self._alarm(number_of_unit(unit), told)
        self._rests(wanted)
        numbers = sorted({number_of_unit(unit) for unit in wanted})
        slowed = Lookout(numbers, lambda number: (keys.throttle(number),)).busy(self._engine.client)
        for number in {*slowed, *self._slow.intersection(numbers)}:
            self._recovered(number, wanted.get(number) or self._engine.rules(number))

    def _rests(self, wanted: Mapping[str, NumberRules]) -> None:
        """Warn of contacts that rest from a text: two programs may be answering each other."""
        guarded = [unit for unit, rules in wanted.items() if rules.loop_guard]
        pipe = self._engine.client.pipeline(transaction=False)
        for unit in guarded:
            pipe.hget(keys.meter(unit), "rested")
        for unit, found in zip(guarded, pipe.execute() if guarded else [], strict=True):
            rested = int(found or 0)
            before = self._rested.get(unit, rested)
            self._rested[unit] = rested
            if rested > before:
                log.warning(Event.CONTACT_RESTS, number=number_of_unit(unit), contacts=rested - before)

    def _alarm(self, number: str, told: echo.Silent) -> None:
        live = control.read(self._engine.client, number).values
        if any(name in live and live[name].shown in {"none", "off"} for name in ("receipts", "event_webhook")):
            return
        now_us = self._engine.clock.monotonic_us()
        again = now_us - self._said_us.get(number, -(10**15)) >= SAID_AGAIN // timedelta(microseconds=1)
        if again:
            self._said_us[number] = now_us
        level = logging.ERROR if again else logging.DEBUG
        log.log(level, Event.PUSHES_SILENT, number=number, requests=told.requests, rows=told.rows, check=CHECK)

    def _recovered(self, number: str, rules: NumberRules) -> None:
        found = throttle.read(self._engine.client, number)
        if found is None:
            slow = False
        else:
            allowed = control.read(self._engine.client, number).tps_milli or rules.tps_milli
            slow = found.tps_now(allowed, figures.server_now_us(self._engine.client)) < allowed
        if slow:
            self._slow.add(number)
        elif number in self._slow:
            self._slow.discard(number)
            log.info(Event.NUMBER_RECOVERED, number=number)


def expected(rules: NumberRules, lease: Leased, rows: Sequence[Settlement]) -> list[Call]:
    """Build the call that notes what the provider accepted of a lease, if something must come back of it."""
    sent = [row for row in rows if row.state is State.SENT and row.push_id]
    return [echo.expect(lease.number, sent[0].push_id, len(sent))] if sent and expects_echo(rules) else []


def expects_echo(rules: NumberRules) -> bool:
    """Whether something must come back of each push, and the provider may drop some: only then it is noted."""
    few = rules.quota is not None and rules.quota.per_minute < UNLIMITED
    return few and bool(rules.receipts) and rules.event_webhook
