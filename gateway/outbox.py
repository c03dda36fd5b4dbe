"""How does what the app didn't take reach it after all, for days, in the order of each contact?

Each gateway looks once a second whose line is due, and gives the first entry of each such line to the app. One contact
never waits for another: a line that fails waits for its own next try. While nothing at all is taken, only a few lines
are tried at a time, with rests, so that an app that comes back isn't met by all of it at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final
from uuid import uuid4

import redis

from delivery import outbox
from delivery.outbox import Entry, Turn
from gateway.commit import Commit
from gateway.forward import Forward, NotTaken, Taken
from headway.errors import BrokerUnavailable
from runtime.clock import Clock, SystemClock
from runtime.telemetry import Event, get_logger

#: How long an entry is tried; then it is parked. Longer than a weekend.
KEEP_TRYING = timedelta(days=3)
#: Waits after the first, second, … try; the last one for all others.
WAITS: Final = tuple(timedelta(seconds=s) for s in (1, 2, 5, 15, 60, 300))
#: Lines of one number that are tried at a time: while nothing is taken, and at the most.
FEW, MANY = 4, 32
#: Longest rest of a number whose app takes nothing.
LONGEST_REST_S = 10.0

_LOOK_EVERY_S = 1.0
_LOOK_AGAIN = timedelta(milliseconds=200)
#: Numbers that one script call asks for: a light call.
_NUMBERS_A_CALL = 60
#: Between two tries to say what became of an entry while the server is away.
_SAY_AGAIN_S = 0.5

_log = get_logger("gateway")


class Keeper:
    """Puts into the outbox what the app didn't take."""

    def __init__(self, commit: Commit) -> None:
        self._commit = commit

    async def keep(
        self, number: str, entries: Sequence[Entry], *, token: str = "", first_try: timedelta, guard_ttl: timedelta
    ) -> None:
        """Keep entries, each once by its id; they are safe when this returns.

        `token`: that of a request which may have the turn of their contact. Raises BrokerUnavailable when the server is
        away, refuses, or the outbox is full; then some may be kept, and all may be asked again.
        """
        calls = [
            outbox.store(number, entry, token=token, first_try=first_try, guard=entry.id, guard_ttl=guard_ttl)
            for entry in entries
        ]
        for reply in await self._commit.run_all(calls):
            if isinstance(reply, redis.ResponseError):
                raise BrokerUnavailable(f"the server refuses ({reply}): try again later")
            if reply < 0:
                _log.error(Event.OUTBOX_FULL, number=number)
                raise BrokerUnavailable("what is kept for the app is more than may be kept: try again later")


@dataclass(slots=True)
class _Pace:
    """How many lines of a number are tried at a time, and until when it rests."""

    clock: Clock
    window: int = FEW
    failed: int = 0
    rest_s: float = 0.0
    until_us: int = 0

    @property
    def rests(self) -> bool:
        return self.clock.monotonic_us() < self.until_us

    def note(self, *, took: bool) -> None:
        """Widen with what is taken; rest when as many failed in a row as are tried at a time at least."""
        if took:
            self.window, self.failed, self.rest_s = min(MANY, 2 * self.window), 0, 0.0
            return
        self.failed += 1
        if self.failed >= FEW:
            self.window, self.failed = FEW, 0
            self.rest_s = min(LONGEST_REST_S, max(1.0, 2 * self.rest_s))
            self.until_us = self.clock.monotonic_us() + round(self.rest_s * 1_000_000)


class Runner:
    """Empties the outboxes of some numbers; used from one event loop."""

    def __init__(self, commit: Commit, forward: Forward, numbers: Sequence[str], *, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self._commit = commit
        self._forward = forward
        self._paces = {number: _Pace(clock) for number in numbers}
        self._drains: dict[str, asyncio.Task[None]] = {}
        self._watch: asyncio.Task[None] | None = None
        self._ending = False

    def start(self) -> None:
        """Look for what is due from now on."""
        if self._paces:
            self._watch = asyncio.get_running_loop().create_task(self._look_for_ever())

    async def close(self) -> None:
        """Take nothing more, and wait for what is with the app: as long as the app may take, no longer."""
        self._ending = True
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        drains = list(self._drains.values())
        if drains:
            _, late = await asyncio.wait(drains, timeout=self._forward.patience.total_seconds())
            for drain in late:
                drain.cancel()
            await asyncio.wait(drains)

    async def look(self) -> None:
        """Begin with every number that has something due, and neither rests nor is under way."""
        idle = [number for number, pace in self._paces.items() if number not in self._drains and not pace.rests]
        for start in range(0, len(idle), _NUMBERS_A_CALL):
            part = idle[start : start + _NUMBERS_A_CALL]
            replies = await self._asked(outbox.due(part, most=1), [[]] * len(part))
            for number, contacts in zip(part, replies, strict=True):
                if contacts and not self._ending:
                    task = asyncio.get_running_loop().create_task(self._guarded(partial(self._drain, number)))
                    self._drains[number] = task
                    task.add_done_callback(partial(self._drained, number))

    def _drained(self, number: str, _: asyncio.Task[None]) -> None:
        del self._drains[number]

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            if not self._commit.away:
                await self._guarded(self.look)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """A fault of ours must not end what keeps everybody else's messages going."""
        try:
            await work()
        except Exception as problem:  # noqa: BLE001  logged; the next look begins anew
            _log.error(Event.OUTBOX_FAULT, problem=f"{type(problem).__name__}: {problem}")

    async def _drain(self, number: str) -> None:
        """Try whatever is due, until nothing is, or the number rests."""
        pace = self._paces[number]
        flying: dict[asyncio.Task[bool | None], str] = {}
        while not (self._ending or pace.rests):
            (found,) = await self._asked(outbox.due([number], most=pace.window), [[]])
            under_way = set(flying.values())
            contacts = [contact for contact in (raw.decode() for raw in found) if contact not in under_way]
            for contact in contacts[: pace.window - len(flying)]:
                flying[asyncio.get_running_loop().create_task(self._give(number, contact))] = contact
            if not flying:
                return
            await self._landed(flying, pace, asyncio.FIRST_COMPLETED)
        while flying:
            await self._landed(flying, pace, asyncio.ALL_COMPLETED)

    async def _landed(self, flying: dict[asyncio.Task[bool | None], str], pace: _Pace, when: str) -> None:
        ended, _ = await asyncio.wait(flying, timeout=_LOOK_EVERY_S, return_when=when)
        for task in ended:
            del flying[task]
            took = task.result()
            if took is not None:
                pace.note(took=took)

    async def _give(self, number: str, contact: str) -> bool | None:
        """Give the app the first entry of a line; return whether it took it, None when there was nothing to give."""
        token, ttl = uuid4().hex, self._forward.turn_ttl
        call = outbox.take(number, contact, token=token, ttl=ttl, look_again=_LOOK_AGAIN)
        turn = outbox.taken(await self._asked(call, []), token=token)
        if turn is None:
            return None
        outcome = await self._forward.post_bytes(number, turn.entry.body, what=turn.entry.what)
        await self._conclude(number, turn, outcome)
        return isinstance(outcome, Taken)

    async def _conclude(self, number: str, turn: Turn, outcome: Taken | NotTaken) -> None:
        """Say what became of it, until the server takes it or the turn is over: then it is tried again."""
        if isinstance(outcome, Taken):
            call = outbox.gone(number, turn)
            if outcome.replies:
                _log.info(Event.REPLY_DROPPED, number=number, problem="the provider no longer waits for it")
        elif turn.now_ms - turn.entry.since_ms >= KEEP_TRYING // timedelta(milliseconds=1):
            call = outbox.park(number, turn, problem=outcome.problem)
            tries = turn.entry.attempts + 1
            _log.error(Event.OUTBOX_PARKED, number=number, what=turn.entry.what, entry=turn.entry.id, tries=tries)
        else:
            wait = WAITS[min(turn.entry.attempts, len(WAITS) - 1)]
            call = outbox.again(number, turn, problem=outcome.problem, wait=wait)
        for _ in range(round(self._forward.turn_ttl.total_seconds() / _SAY_AGAIN_S)):
            if await self._asked(call, None) is not None:
                return
            await asyncio.sleep(_SAY_AGAIN_S)

    async def _asked(self, call: Any, instead: Any) -> Any:
        """Run a call, or return something else when the server can't now."""
        try:
            return await self._commit.run(call)
        except (BrokerUnavailable, redis.ResponseError):
            return instead
