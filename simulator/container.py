"""What does the container of a WhatsApp number do with everything that wants one of its transactions?

The rules, from the provider's page on high volume bots:

- Each send, inbound message, delivered receipt and read receipt uses one of TPS transactions a second. Turns are 1/TPS
  apart, strictly: ten events at one moment at 10 TPS get their turns over 0.9 s. A turn that nobody takes is gone.
- Events get their turns in the order of their arrival. One that finds the container idle has its turn at once.
- Incoming events (inbound messages and receipts alike) wait for their turn in the incoming queue. An inbound message
  that finds `capacity` of them waiting is lost for good. A receipt isn't: the page names only messages as lost, and
  what has been delivered stays delivered; so receipts wait however many there are, and take the room of the messages.
- A send isn't queued: it leaves at once, also when the container is behind, and its receipts follow as usual. But its
  transaction joins the work like any other, so that everything that arrives later waits 1/TPS longer. That is why
  nobody notices that a sender is too fast, until inbound messages get lost.
- A message to a group brings receipts of each kind from each member, also when receipts are switched off: for groups
  they can't be.

Discrete events on the caller's clock, in integer microseconds; nothing here reads a clock or waits.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from datetime import timedelta
from typing import Final, Literal

from simulator.conditions import Conditions, Crowd, People
from simulator.record import DELIVERED, READ, Event, Record

#: So that a hopeless overload doesn't eat the machine: receipts beyond so many waiting events are lost as well.
MOST_WAITING: Final = 200_000

_MICROSECOND: Final = timedelta(microseconds=1)

_RECEIPTS: Final = frozenset({DELIVERED, READ})

#: What may come: a message (`extra`: one of a burst), a whole burst, a receipt.
_What = Literal["inbound", "extra", "burst", "delivered", "read"]


class Container:
    """One container: it takes sends, brings inbound messages and receipts by itself, and works all of it off."""

    def __init__(
        self, conditions: Conditions, *, start_us: int = 0, record: Record | None = None, people: Crowd | None = None
    ) -> None:
        """Begin idle at `start_us`; write every arrival into `record`. `people` do other than the conditions say."""
        self.conditions = conditions
        self.record = record or Record()
        self._people: Crowd = people or People(conditions)
        self._now_us = start_us
        # In nanoseconds: a third of a second isn't a whole number of microseconds, and errors would add up.
        self._turn_ns = round(1_000_000_000 / conditions.tps)
        self._free_ns = start_us * 1000
        self._ids = itertools.count(751_403_635)  # inbound ids as the provider's look
        self._ties = itertools.count()
        # What will arrive: when, a serial number that breaks ties, what; and, for receipts, of which send.
        self._coming: list[tuple[int, int, _What, Event | None]] = []
        self._waiting_ns: deque[int] = deque()  # turns of the incoming events that wait
        self._working: deque[Event] = deque()  # incoming events that nobody has taken yet, by turn
        self._expect(self._people.next_inbound_us(self._now_us), "inbound")
        self._expect(self._until_burst_us(), "burst")

    def send(
        self,
        at_us: int,
        *,
        number: str,
        reference: str = "",
        message: str = "",
        push_id: str = "",
        msg_id: str = "",
        source: Literal["push", "reply"] = "push",
        group: bool = False,
        request: int = 0,
    ) -> Event:
        """Hand over one message that arrived at `at_us`; it leaves at once, whatever waits.

        A moment before the container's present is written down as it is; the container's work goes on from its present.
        """
        self.arrive(to_us=at_us)
        event = Event(
            "send",
            at_us,
            number=number,
            reference=reference,
            message=message,
            push_id=push_id,
            msg_id=msg_id,
            source=source,
            group=group,
            request=request,
        )
        event.turn_us = self._turn() // 1000
        self.record.add(event)
        self._expect_receipts(event)
        return event

    def arrive(self, *, to_us: int) -> None:
        """Let everything arrive that arrives up to and at `to_us`."""
        while self._coming and self._coming[0][0] <= to_us:
            at_us, _, what, send = heapq.heappop(self._coming)
            self._now_us = max(self._now_us, at_us)
            if what == "delivered" or what == "read":  # noqa: PLR1714  the type checker narrows only this
                self._receipt(at_us, what, send)
            elif what == "burst":
                self._burst()
            else:
                self._inbound(at_us)
                if what == "inbound":
                    self._expect(self._people.next_inbound_us(self._now_us), "inbound")
        self._now_us = max(self._now_us, to_us)

    def worked_off(self, *, to_us: int) -> list[Event]:
        """Return, once each and in order, the incoming events whose turn came up to and at `to_us`."""
        self.arrive(to_us=to_us)
        done = []
        while self._working and (self._working[0].turn_us or 0) <= to_us:
            event = self._working.popleft()
            if event.of and event.of.state != READ:
                event.of.state = READ if event.kind == READ else DELIVERED
            done.append(event)
        return done

    @property
    def next_us(self) -> int | None:
        """When something arrives or is worked off next; None: never, unless there is another send."""
        coming = [self._coming[0][0]] if self._coming else []
        turns = [self._working[0].turn_us or 0] if self._working else []
        return min(coming + turns, default=None)

    @property
    def waiting(self) -> int:
        """How many incoming events wait for their turn."""
        while self._waiting_ns and self._waiting_ns[0] <= self._now_us * 1000:
            self._waiting_ns.popleft()
        return len(self._waiting_ns)

    @property
    def behind_us(self) -> int:
        """How long an event that arrived now would wait for its turn, in microseconds."""
        return max(0, self._free_ns // 1000 - self._now_us)

    def _turn(self) -> int:
        """Take the next free turn; return it in nanoseconds."""
        turn_ns = max(self._free_ns, self._now_us * 1000)
        self._free_ns = turn_ns + self._turn_ns
        return turn_ns

    def _inbound(self, at_us: int) -> None:
        who = self._people.inbound()
        event = Event("inbound", at_us, number=who.number, message=who.message, msg_id=str(next(self._ids)))
        self._join(event, self.conditions.capacity)

    def _receipt(self, at_us: int, kind: Literal["delivered", "read"], send: Event | None) -> None:
        if send:  # always: a receipt is expected with its send
            number, reference, push_id, msg_id = send.number, send.reference, send.push_id, send.msg_id
            event = Event(kind, at_us, number=number, reference=reference, push_id=push_id, msg_id=msg_id)
            event.of, event.group = send, send.group
            self._join(event, MOST_WAITING)

    def _join(self, event: Event, room: int) -> None:
        """Give an incoming event its turn, or lose it when it would have to wait and `room` of them wait already."""
        must_wait = self._free_ns > self._now_us * 1000
        if not must_wait or self.waiting < room:
            turn_ns = self._turn()
            event.turn_us = turn_ns // 1000
            if must_wait:
                self._waiting_ns.append(turn_ns)
            self._working.append(event)
        self.record.add(event)

    def _burst(self) -> None:
        for offset_us in self._people.burst_us():
            self._expect(offset_us, "extra")
        self._expect(self._until_burst_us(), "burst")

    def _until_burst_us(self) -> int | None:
        return self.conditions.burst_every // _MICROSECOND if self.conditions.burst else None

    def _expect_receipts(self, send: Event) -> None:
        kinds = _RECEIPTS if send.group else self.conditions.receipts
        for _ in range(self.conditions.group_members if send.group else 1):
            delivered_us, read_us = self._people.receipts_us(self._now_us)
            if DELIVERED in kinds:
                self._expect(delivered_us, "delivered", of=send)
            if READ in kinds:
                self._expect(read_us, "read", of=send)

    def _expect(self, after_us: int | None, what: _What, *, of: Event | None = None) -> None:
        if after_us is not None:
            heapq.heappush(self._coming, (self._now_us + after_us, next(self._ties), what, of))
