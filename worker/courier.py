"""How does a parcel become messages at the provider? Begin, send, settle.

Begin is the moment before the first byte. Each lease settles by itself as its provider answers, from this process and
through its own Redis client; a settle is repeated until the server takes it, because only we know the outcome.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from datetime import timedelta
from typing import Any, Protocol

import aiohttp
import redis

from delivery.policy import Policy
from delivery.settle import Settlement, settle
from delivery.states import State
from headway.errors import BrokerUnavailable
from headway.keys import number_of_unit
from providers.base import Provider, Row
from providers.outcomes import Outcome, Verdict, all_alike
from runtime import repeat
from runtime.scripts import Call
from runtime.telemetry import Event, get_logger
from scheduler import control, leases
from scheduler.leases import Begun
from scheduler.rules import NumberRules
from worker.brakes import brake
from worker.calls import CallLoop
from worker.parcel import Leased
from worker.verdicts import Plan, plan, settlement, stops
from worker.warmth import Warmth
from worker.watch import expected

#: Makes the provider of a number, on the loop's session.
ProviderOf = Callable[[str, aiohttp.ClientSession], Provider]


class Settled(Protocol):
    """What is called when a lease has ended as it should."""

    def __call__(self, number: str, lease_id: str, *, back: bool = True) -> None:
        """Say which one. `back`: some of its rows did not leave for good."""
        ...


#: Past a provider's own deadline: it has failed to keep it.
GRACE_S = 5.0

#: How long a settle is repeated while the server is away.
SETTLE_PATIENCE = timedelta(minutes=10)

#: How often a wait for a provider looks whether the worker's time is up, in seconds.
HURRY_EVERY_S = 0.5

log = get_logger("worker")


class Courier:
    """The deliveries of one process. Thread-safe: every slot of the pool uses the same one."""

    def __init__(
        self,
        client: redis.Redis,
        rules: Callable[[str], NumberRules],
        provider_of: ProviderOf,
        *,
        send_timeout: timedelta,
        record_ttl_s: int,
        policy: Callable[[str], Policy] = lambda _: Policy(),
        hurry: Callable[[], bool] = lambda: False,
    ) -> None:
        """Take what all deliveries share.

        `policy`: that of a unit. `hurry`: whether the worker's time is up, so that nothing is waited for.
        """
        self._client = client
        self._rules = rules
        self._provider_of = provider_of
        self._providers: dict[str, Provider] = {}
        self._deadline_s = send_timeout.total_seconds() + GRACE_S
        self._record_ttl_s = record_ttl_s
        self._policy = policy
        self._hurry = hurry
        self._calls = CallLoop()
        self._warmth = Warmth(self._calls, self._provider)

    def deliver(self, parcel: Sequence[Leased], settled: Settled) -> dict[str, int]:
        """Deliver the leases of a parcel; return how many rows came to which state."""
        counts: dict[str, int] = {}
        if self._hurry():
            return counts  # nothing of it has begun: the keeper hands it back
        plans = [(lease, plan(lease.rows)) for lease in parcel]
        numbers = {number_of_unit(lease.number) for lease, rows in plans if rows.send}
        self._warmth.before(numbers)
        under_way: dict[Future[list[Outcome]], tuple[Leased, Plan]] = {}
        done: list[tuple[Leased, list[Settlement]]] = []
        for (lease, rows), begun in zip(plans, self._begin(plans), strict=True):
            if begun is Begun.BEGUN:
                under_way[self._calls.submit(self._sending(number_of_unit(lease.number), rows.send))] = lease, rows
            elif begun is None:
                done.append((lease, list(rows.decided)))
            else:
                log.info(Event.LEASE_LOST, number=lease.number, lease=lease.lease_id, why=begun.value)
                settled(lease.number, lease.lease_id)
        while done or under_way:
            self._settle(done, settled, counts)
            finished = self._finished(under_way)
            done = [self._settlements(*under_way.pop(future), future) for future in finished]
        self._warmth.used(numbers)
        return counts

    def _finished(self, under_way: Mapping[Future[list[Outcome]], Any]) -> Collection[Future[list[Outcome]]]:
        """Wait for the first answers; when the time is up, for none."""
        while under_way:
            if len(under_way) == 1:
                finished = _when_done(next(iter(under_way)))
            else:
                finished, _ = wait(under_way, timeout=HURRY_EVERY_S, return_when=FIRST_COMPLETED)
            if finished:
                return finished
            if self._hurry():
                self.give_up()
        return ()

    def give_up(self) -> None:
        """Wait for no answer any longer: what is under way is uncertain."""
        self._calls.cancel()

    def close(self) -> None:
        """Close the provider connections."""
        self._calls.close()

    def _begin(self, plans: Sequence[tuple[Leased, Plan]]) -> list[Begun | None]:
        """Begin every lease that has something to send; None stands for one that has not."""
        wanted = [(lease, self._rules(lease.number)) for lease, rows in plans if rows.send]
        calls = [leases.begin(rules, o.lease_id, o.holder, uuid.uuid4().hex) for o, rules in wanted]
        patience = timedelta(microseconds=min((rules.lease_ttl_us for _, rules in wanted), default=0))
        answers = iter(self._run(calls, patience) if calls else [])
        return [leases.begun(next(answers)) if rows.send else None for _, rows in plans]

    def _provider(self, number: str, session: Any) -> Provider:
        """Return a number's provider; on the loop of the calls."""
        provider = self._providers.get(number)
        if provider is None:
            provider = self._providers[number] = self._provider_of(number, session)
        return provider

    def _sending(self, number: str, rows: Sequence[Row]) -> Any:
        async def send(session: aiohttp.ClientSession) -> list[Outcome]:
            provider = self._provider(number, session)
            try:
                # Not `wait_for`: that makes a task of it, and takes two turns of the loop more.
                async with asyncio.timeout(self._deadline_s):
                    return await provider.send(rows)
            except TimeoutError:
                ids = [row.id for row in rows]
                return all_alike(
                    ids, Verdict.UNCERTAIN, code="deadline", reason="the provider call did not end in time"
                )

        return send

    def _settlements(self, lease: Leased, rows: Plan, future: Future[list[Outcome]]) -> tuple[Leased, list[Settlement]]:
        try:
            outcomes = future.result()
        except Exception as error:  # whatever went wrong, the rows have begun: nobody may call them unsent
            log.exception(Event.SEND_FAILED, number=lease.number, lease=lease.lease_id)
            outcomes = all_alike([row.id for row in rows.send], Verdict.UNCERTAIN, code="fault", reason=repr(error))
        brake(self._client, self._rules(lease.number), lease, outcomes)
        for outcome in outcomes:
            if outcome.verdict is not Verdict.SENT and not outcome.throttled:
                self._say(lease.number, outcome)
        stopped = next((outcome for outcome in outcomes if stops(outcome)), None)
        if stopped is not None:
            self._pause(number_of_unit(lease.number), stopped)
        return lease, [*rows.decided, *(settlement(outcome) for outcome in outcomes)]

    def _settle(
        self, done: Sequence[tuple[Leased, list[Settlement]]], settled: Settled, counts: dict[str, int]
    ) -> None:
        calls = [self._settling(o, rows) for o, rows in done]
        for lease, rows in done:
            calls += expected(self._rules(lease.number), lease, rows)
        try:
            replies = self._run(calls, SETTLE_PATIENCE) if calls else []
        except (BrokerUnavailable, redis.RedisError):
            for lease, rows in done:
                outcomes = {row.message_id: row.state.value for row in rows}
                log.exception(Event.OUTCOMES_LOST, number=lease.number, lease=lease.lease_id, outcomes=outcomes)
            raise
        for (lease, rows), states in zip(done, replies, strict=False):
            self._mourn(lease.number, rows, states)
        for lease, rows in done:
            settled(lease.number, lease.lease_id, back=any(not row.left or row.state is not State.SENT for row in rows))
            for row in rows:
                counts[row.state] = counts.get(row.state, 0) + 1
                if row.state is State.DEAD and not row.left:
                    log.warning(Event.MESSAGE_REFUSED, number=lease.number, message=row.message_id, problem=row.reason)

    def _settling(self, lease: Leased, rows: Sequence[Settlement]) -> Call:
        retry_for = self._policy(lease.number).retry_for
        return settle(lease.number, lease.lease_id, rows, record_ttl_s=self._record_ttl_s, retry_for=retry_for)

    def _mourn(self, number: str, rows: Sequence[Settlement], states: Sequence[bytes]) -> None:
        """Say which messages were given up because they were tried too often, or for too long."""
        for row, state in zip(rows, states, strict=True):
            if state == b"dead" and row.state is not State.DEAD:
                log.warning(Event.MESSAGE_DEAD, number=number, message=row.message_id, code=row.code, reason=row.reason)

    def _run(self, calls: Sequence[Call], patience: timedelta) -> list[Any]:
        """Run scripts that are safe to run twice, until the server answers or patience ends."""
        return repeat.until_answered(self._client, calls, patience=patience, hurry=self._hurry)

    def _pause(self, number: str, outcome: Outcome) -> None:
        reason = f"the provider says {outcome.code} {outcome.reason}"
        try:
            control.pause(self._client, number, by="headway: " + reason)
        except redis.RedisError:  # the rows must be settled all the same; the next request says it again
            log.exception(Event.NUMBER_NOT_PAUSED, number=number, reason=reason)
        else:
            log.error(Event.NUMBER_PAUSED, number=number, reason=reason)

    def _say(self, number: str, outcome: Outcome) -> None:
        log.warning(
            Event.SEND_FAILED,
            number=number,
            message=outcome.row_id,
            verdict=outcome.verdict.value,
            code=outcome.code,
            reason=outcome.reason,
        )


def _when_done(future: Future[list[Outcome]]) -> set[Future[list[Outcome]]]:
    """Wait for one answer: nearly always there is but one, and `wait` would build much around it."""
    try:
        future.exception(timeout=HURRY_EVERY_S)
    except TimeoutError:
        return set()
    except CancelledError:
        pass
    return {future}
