"""What happens in the minute? A campaign waits, urgent messages come, and all of it is watched and measured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from examples._app import App
from examples._moment import SECOND_US, Moment, Tail, Urgent
from examples._stage import Broken, Stage, now_us
from examples._verdict import Measured, account
from headway import Message, MessageClass

_FRAME_S: Final = 0.25
#: What this process's timer is asked for, to see how late it is.
_TICK_S: Final = 0.02
#: How long the container may take to send the first message once all processes are ready.
_FIRST_S: Final = 20
#: How long what has begun may take to be settled once the number rests.
_SETTLE_S: Final = 10
#: Between two urgent messages.
_URGENT_EVERY_S: Final = 2.0
#: So many come at once in the middle.
_URGENT_BURST: Final = 5
#: No urgent message is pushed in the last moments: it must have the time to arrive.
_QUIET_S: Final = 1.5


class Minute:
    """One minute, from the first push to the simulator's verdict."""

    def __init__(self, stage: Stage, app: App, moment: Moment, show: Callable[[Moment], None]) -> None:
        self._stage, self._app, self._moment, self._show = stage, app, moment, show
        self._journal = Tail(stage.journal)
        self._delays_s: list[float] = []
        self._answers_s: list[float] = []
        self._accepted: set[str] = set()

    async def play(self, campaign: list[Message]) -> Measured:
        """Live through it and return what was measured. Raises Broken."""
        moment = self._moment
        self._accepted.update(push.id for push in await self._app.push(campaign, class_=MessageClass.BULK))
        moment.start_us = now_us()
        moment.says = f"{len(campaign):,} messages are pushed as bulk; urgent ones come every {_URGENT_EVERY_S:g} s"
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in (self._tick(), self._push_urgent())]
            await self._watch()
            for task in tasks:
                task.cancel()
        end_us = now_us()
        verdict = await self._app.verdict(since_us=moment.start_us, until_us=end_us)
        by_floor = (await self._app.number())["by_floor"]
        kept = await self._rest()
        missing, doubled = account(moment, self._accepted, kept=kept)
        moment.says = "the minute is over"
        self._show(moment)
        return Measured(
            verdict=verdict,
            by_floor=by_floor,
            webhooks_failed=verdict["since_start"]["webhooks_failed"],
            missing=missing,
            doubled=doubled,
            waits_us=moment.waits_us(),
            urgent=len(moment.urgent),
            delays_s=self._delays_s,
            answers_s=self._answers_s,
        )

    async def _watch(self) -> None:
        """Keep the picture up to date until the minute is over."""
        moment = self._moment
        end_us = moment.start_us + moment.seconds * SECOND_US
        while now_us() < end_us:
            await self._look()
            self._show(moment)
            if moment.first_us is None and now_us() > moment.start_us + _FIRST_S * SECOND_US:
                raise Broken(f"no message arrived within {_FIRST_S} s after the push")
            await asyncio.sleep(min(_FRAME_S, max(0.0, (end_us - now_us()) / SECOND_US)))

    async def _look(self) -> None:
        """Ask everybody how things stand. Raises Broken."""
        moment = self._moment
        self._stage.look()
        asked = time.perf_counter()
        container = await self._app.container()
        self._answers_s.append(time.perf_counter() - asked)
        number = await self._app.number()
        moment.waiting = number["waiting"]
        moment.behind_s = container["behind_ms"] / 1000
        moment.behind_most_s = max(moment.behind_most_s, moment.behind_s)
        moment.at(now_us())
        for event in self._journal.read():
            moment.add(event)

    async def _rest(self) -> int:
        """Let nothing leave any more, and return how many messages are kept then: they wait, or a person must look."""
        moment = self._moment
        moment.at(now_us())
        moment.says = "the minute is over: the number rests, and what has left is settled"
        self._show(moment)
        await self._app.pause()
        patience_us = now_us() + _SETTLE_S * SECOND_US
        while True:
            number = await self._app.number()
            if not number["leased"] or now_us() > patience_us:
                break
            await asyncio.sleep(0.1)
        for event in self._journal.read():
            moment.add(event)
        waiting: int = sum(number["waiting"].values())
        parked: int = sum(number[name] for name in ("deferred", "uncertain", "dead", "leased"))
        return waiting + parked

    async def _push_urgent(self) -> None:
        """Push urgent messages, one at a time, and in the middle some at once."""
        moment = self._moment
        middle_s, burst = moment.seconds / 2, False
        at_s = 0.7  # not together with what begins on whole seconds
        while at_s < moment.seconds - _QUIET_S:
            await asyncio.sleep(max(0.0, moment.start_us / SECOND_US + at_s - now_us() / SECOND_US))
            burst = not burst and at_s >= middle_s
            count = _URGENT_BURST if burst else 1
            await asyncio.gather(*(self._push_one(len(moment.urgent) + index) for index in range(count)))
            if burst:
                middle_s = moment.seconds
            at_s += _URGENT_EVERY_S

    async def _push_one(self, index: int) -> None:
        message = Message(
            to=f"1202555{100 + index % 100:04}",
            text=f"Your code is {(index * 7919 + 104_729) % 1_000_000:06}.",
            class_=MessageClass.URGENT,
        )
        (pushed,) = await self._app.push([message], class_=MessageClass.URGENT)
        self._accepted.add(pushed.id)
        self._moment.urgent[pushed.id] = Urgent(pushed.at_us)

    async def _tick(self) -> None:
        """Measure by how much this process is late."""
        while True:
            asked = time.perf_counter()
            await asyncio.sleep(_TICK_S)
            self._delays_s.append(time.perf_counter() - asked - _TICK_S)
