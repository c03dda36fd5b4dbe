"""What happens to a number over an hour when somebody decides, moment by moment, what to send?

Discrete events: the container, the sender, the wire between them and the webhooks back all live on one clock that
jumps from event to event, so an hour takes seconds. The sender is whoever answers `ask`: a limiter, an oracle, or the
real scheduler behind a server that is told the time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from simulator.container import Container
from simulator.record import Event

_NUMBER: Final = "15555550100"

#: A sender that neither sends nor waits is asked again so much later, or the clock would stand still.
_LEAST_WAIT_US: Final = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """How many of the waiting rows leave now, in one request and in their order, and when to ask again."""

    rows: int
    ask_us: int


@dataclass(frozen=True, slots=True)
class Heard:
    """A webhook. `row` is the row that a receipt is about, `sent_us` when it left; both None for an inbound message."""

    kind: str
    row: int | None
    sent_us: int | None
    group: bool


class Sender(Protocol):
    """Decides what leaves. Times are microseconds of the timeline."""

    def ask(self, now_us: int, row: int) -> Answer:
        """Return what leaves now; `row` is the first that waits, and there are more than may leave."""

    def hear(self, now_us: int, events: Sequence[Heard]) -> None:
        """Learn of webhooks, `now_us` being when they are in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How long things take between sender and container, and which rows wait.

    Attributes:
        wire_us: from the sender's decision to the container.
        webhook_us: from an event's turn to the sender's answer to the webhook about it.
        members: members of the group to which every `group_every`-th row goes; 0: no groups.
        asleep: spans, sorted, in which nothing waits to be sent.
    """

    wire_us: int = 5_000
    webhook_us: int = 20_000
    members: int = 0
    group_every: int = 25
    asleep: tuple[tuple[int, int], ...] = ()

    def members_of(self, row: int) -> int:
        """Return how many members the group has that this row goes to; 0: it goes to one person."""
        return self.members if row % self.group_every == self.group_every - 1 else 0

    def awake_us(self, at_us: int) -> int:
        """Return the first moment from `at_us` on at which something waits to be sent."""
        return next((end for begin, end in self.asleep if begin <= at_us < end), at_us)


def run(container: Container, sender: Sender, way: Way, *, until_us: int) -> list[int]:
    """Live from moment 0 to `until_us`; return at which moments requests left. The container's record has the rest."""
    requests: list[int] = []
    left: dict[int, int] = {}
    flying: deque[tuple[int, int, int]] = deque()  # arrival, first row, rows
    row, ask_us = 0, way.awake_us(0)
    while True:
        next_us = container.next_us
        told_us = until_us if next_us is None else next_us + way.webhook_us
        lands_us = flying[0][0] if flying else until_us
        now_us = min(ask_us, told_us, lands_us)
        if now_us >= until_us:
            container.arrive(to_us=until_us)
            return requests
        if lands_us == now_us:
            _, first, rows = flying.popleft()
            for each in range(first, first + rows):
                container.send(now_us, number=_NUMBER, reference=str(each), group=way.members_of(each) > 0)
        elif told_us == now_us:
            _tell(container, sender, left, now_us, way.webhook_us)
        else:
            answer = sender.ask(now_us, row)
            if answer.rows:
                requests.append(now_us)
                left.update(dict.fromkeys(range(row, row + answer.rows), now_us))
                flying.append((now_us + way.wire_us, row, answer.rows))
                row += answer.rows
            ask_us = way.awake_us(max(answer.ask_us, now_us if answer.rows else now_us + _LEAST_WAIT_US))


def _tell(container: Container, sender: Sender, left: dict[int, int], now_us: int, webhook_us: int) -> None:
    done = container.worked_off(to_us=now_us - webhook_us)
    for event in done:
        event.told_us = now_us
    if done:
        sender.hear(now_us, [_heard(event, left) for event in done])


def _heard(event: Event, left: dict[int, int]) -> Heard:
    if event.of is None:
        return Heard(event.kind, None, None, group=False)
    row = int(event.reference)
    return Heard(event.kind, row, left[row], group=event.group)
