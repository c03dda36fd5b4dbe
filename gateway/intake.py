"""How do events that arrive together become one count and one match?

Webhooks of one number pile up while the last ones are under way; then all of them are one flight: a few script calls
that count, and a few that match, in one round trip; with several shards, for each of them those of its own contacts.
Calls stay light (`gateway.commit`), so that they never wait behind the pieces of a large push.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TypeVar

import redis

from delivery import receipts as matching
from delivery.receipts import Answer, Receipt
from gateway.commit import Commit
from gateway.lessons import Lessons
from gateway.shards_seen import ShardsSeen
from headway.errors import BrokerUnavailable
from headway.keys import number_of_unit
from runtime.scripts import Call
from runtime.telemetry import Event as Said
from runtime.telemetry import get_logger
from scheduler import meter
from scheduler.meter import Event
from scheduler.rules import NumberRules
from scheduler.shards import rules_of_unit, unit_of

T = TypeVar("T")

#: Events of one count (a key each and four more), receipts of one match (two keys each and three more): light calls.
EVENTS_A_CALL = 60
RECEIPTS_A_CALL = 30
#: Events and receipts of one flight, unless one webhook alone has more.
MOST_A_FLIGHT = 240
#: Events and receipts of one number that may wait; what is more is told to come again.
MOST_WAITING = 20_000
#: How often a receipt is asked for elsewhere: by the provider's id, in another shard, at another number.
MOST_FOLLOWED = 3

_log = get_logger("gateway")


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What one webhook brought, each with the unit that it is of."""

    events: Sequence[tuple[str, Event]]
    receipts: Sequence[tuple[str, Receipt]]
    answers: asyncio.Future[list[Answer]]

    @property
    def weight(self) -> int:
        return len(self.events) + len(self.receipts)


@dataclass(slots=True)
class _Pile:
    """What waits for one number; `task` is the flight under way."""

    waiting: deque[_Waiting] = field(default_factory=deque)
    weight: int = 0
    task: asyncio.Task[None] | None = None


class Intake:
    """Counts and matches; used from one event loop. `rules`: those of each number served."""

    def __init__(self, commit: Commit, rules: Mapping[str, NumberRules], *, record_ttl_s: int) -> None:
        self._commit = commit
        self._rules = rules
        self._record_ttl_s = record_ttl_s
        self._piles = {number: _Pile() for number in rules}
        self._shards = ShardsSeen(commit, rules)
        self._lessons = Lessons()

    async def take(self, number: str, events: Sequence[Event], receipts: Sequence[Receipt] = ()) -> list[Answer]:
        """Put events on a number's meter, once each, and apply receipts; return an answer for each receipt.

        Raises BrokerUnavailable when the server is away, refuses, or too much waits; then some of it may have been
        done, and all of it may be asked again.
        """
        if not events and not receipts:
            return []
        shards = await self._shards.of(number)
        asked = [(unit_of(number, shards, receipt.contact), receipt) for receipt in receipts]
        answers = await self._piled(number, [(unit_of(number, shards, e.contact), e) for e in events], asked)
        for index, (unit, receipt) in enumerate(asked):
            # Rare: without our reference in it, come in on another number's address, or about a message of a group.
            if answers[index].what in _TO_FOLLOW:
                answers[index] = await self._followed(unit, receipt, answers[index])
        unmatched = sum(answer.what is not matching.Found.MATCHED for answer in answers)
        if unmatched:
            _log.debug(Said.RECEIPTS_UNMATCHED, number=number, receipts=unmatched)
        return answers

    async def _followed(self, unit: str, receipt: Receipt, answer: Answer) -> Answer:
        for _ in range(MOST_FOLLOWED):
            asked = matching.follow(unit, receipt, answer)
            if asked is None:
                return answer
            unit, receipt = asked
            number = number_of_unit(unit)
            if number not in self._piles:
                break
            (answer,) = await self._piled(number, (), [(unit, receipt)])
        return Answer(_UNKNOWN) if matching.follow(unit, receipt, answer) else answer

    async def _piled(
        self, number: str, events: Sequence[tuple[str, Event]], receipts: Sequence[tuple[str, Receipt]]
    ) -> list[Answer]:
        pile = self._piles[number]
        loop = asyncio.get_running_loop()
        entry = _Waiting(events, receipts, loop.create_future())
        if pile.weight and pile.weight + entry.weight > MOST_WAITING:
            raise BrokerUnavailable("too many webhooks wait for the server: try again in a second")
        pile.waiting.append(entry)
        pile.weight += entry.weight
        if pile.task is None:
            pile.task = loop.create_task(self._fly(number, pile))
        return await entry.answers

    async def _fly(self, number: str, pile: _Pile) -> None:
        """Fly until nothing waits; whatever goes wrong reaches those who wait for it."""
        while pile.waiting:
            entries = list(_flight(pile))
            pile.weight -= sum(entry.weight for entry in entries)
            try:
                answers = await self._commit_all(number, entries)
            except Exception as problem:  # noqa: BLE001  told to each of them
                for entry in entries:
                    if not entry.answers.done():
                        entry.answers.set_exception(problem)
                continue
            for entry in entries:
                if not entry.answers.done():
                    entry.answers.set_result(answers[: len(entry.receipts)])
                del answers[: len(entry.receipts)]
        pile.task = None

    async def _commit_all(self, number: str, entries: Sequence[_Waiting]) -> list[Answer]:
        """Count first: light calls run in their order, so nothing is matched that isn't on the meter."""
        events = [event for entry in entries for event in entry.events]
        receipts = [receipt for entry in entries for receipt in entry.receipts]
        rules = self._rules[number]
        counts = [
            meter.count(rules_of_unit(rules, unit), part)
            for unit, of_unit in _by_unit(events)
            for part in _parts([event for _, event in of_unit], EVENTS_A_CALL)
        ]
        matches: list[Call] = []
        order: list[int] = []
        for unit, rows in _by_unit(receipts):
            order += [index for index, _ in rows]
            of_unit = [receipt for _, receipt in rows]
            matches += [
                matching.receipts(unit, part, record_ttl_s=self._record_ttl_s)
                for part in _parts(of_unit, RECEIPTS_A_CALL)
            ]
        lessons = self._lessons.take(rules)
        replies = await self._commit.run_all([*counts, *matches, *lessons])
        replies = replies[: len(counts) + len(matches)]  # a lesson that isn't learned is no reason to refuse a webhook
        for reply in replies:
            if isinstance(reply, redis.ResponseError):
                raise BrokerUnavailable(f"the server refuses ({reply}): try again later")
        answers = [answer for reply in replies[len(counts) :] for answer in matching.answers(reply)]
        sorted_ = [answer for _, answer in sorted(zip(order, answers, strict=True), key=itemgetter(0))]
        self._lessons.note(receipts, sorted_)
        return sorted_


_UNKNOWN = matching.Found.UNKNOWN
_TO_FOLLOW = frozenset({matching.Found.NAMED, matching.Found.ELSEWHERE})


def _flight(pile: _Pile) -> Iterator[_Waiting]:
    weight = 0
    while pile.waiting and (not weight or weight + pile.waiting[0].weight <= MOST_A_FLIGHT):
        weight += pile.waiting[0].weight
        yield pile.waiting.popleft()


def _by_unit(items: Sequence[tuple[str, T]]) -> list[tuple[str, list[tuple[int, T]]]]:
    """Return the items of each unit, in their order, each with its place among all."""
    of_unit: dict[str, list[tuple[int, T]]] = {}
    for index, (unit, item) in enumerate(items):
        of_unit.setdefault(unit, []).append((index, item))
    return list(of_unit.items())


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
