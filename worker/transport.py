"""How does a lease get into Celery? Only this file and `worker.transport_turns` touch private parts of kombu.

The TPS semaphore sits inside the transport's fetch: where kombu would send `BRPOP`, we send the lease scripts of the
numbers that are due, and hand the answer to Celery as one ordinary message. Queues that are no number's (replies of
remote control, events) take the stock path, whole. Tested against kombu and celery 5.7; both are pinned to it.
"""

from __future__ import annotations

from queue import Empty
from typing import TYPE_CHECKING, Any

import redis
from kombu import transport as kombu_transport
from kombu.transport import redis as stock
from kombu.transport import virtual

from headway import keys
from headway.errors import SettingError
from worker.engine import Engine
from worker.parcel import TAG, pack
from worker.transport_turns import Alarm, Tick

#: Longest wait for the answer to a lease; no time-out of a socket applies to what the event loop waits for.
#: A server that was paused or cut off while another was promoted would be waited for without end.
ANSWER_WITHIN_US = 6_000_000
#: How often to look for an answer that doesn't come, in seconds. Each look costs an idle process two turns of its loop.
LOOK_EVERY_S = 2.0
#: The engine of this worker process; None in every other process that imports us, which then gets the stock transport.
_engine: Engine | None = None


def install() -> None:
    """Let every Redis URL of this process mean the lease transport.

    The aliases are replaced instead of adding a scheme of our own: with one, kombu loses a Sentinel list and falls
    back to the URL's scheme, which would be the stock transport without a meter.
    """
    for alias in ("redis", "rediss"):
        kombu_transport.TRANSPORT_ALIASES[alias] = f"{__name__}:LeaseTransport"
    kombu_transport.TRANSPORT_ALIASES["sentinel"] = f"{__name__}:SentinelLeaseTransport"
    kombu_transport._transport_cache.clear()


#: When the event loop last read the answer to a lease, by the engine's clock.
_heard_us = 0


def heard_us() -> int:
    """Return when the event loop last read the answer to a lease, by the engine's clock; 0: never."""
    return _heard_us


def serve(engine: Engine | None) -> None:
    """Give this process its engine, or take it away."""
    global _engine  # noqa: PLW0603  kombu makes transports and channels itself: there is no constructor to pass it to
    _engine = engine


class LeaseQoS(stock.QoS):
    """Celery's acknowledgements of parcels are bookkeeping: a lease ends by its settle, not by them."""

    #: Whether the event loop may be waiting for an acknowledgement. Set before it looks whether it must: then one that
    #: comes from another thread in between is either counted, or sees this.
    _awaits = True

    def can_consume(self) -> bool:
        self._awaits = True
        if not super().can_consume():
            return False
        self._awaits = False
        return True

    def append(self, message: Any, delivery_tag: str) -> None:
        if delivery_tag.startswith(TAG):
            virtual.QoS.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        if delivery_tag.startswith(TAG):
            self._release(delivery_tag)
        else:
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        if delivery_tag.startswith(TAG):
            self._release(delivery_tag)
        else:
            super().reject(delivery_tag, requeue=requeue)

    def restore_by_tag(self, tag: str, client: Any = None, leftmost: bool = False) -> None:
        # Called when a channel closes, also after a lost connection while the pool still works on the parcel:
        # putting it back would send it twice. What the process really gives up, the engine hands back by itself.
        if not tag.startswith(TAG):
            super().restore_by_tag(tag, client=client, leftmost=leftmost)

    def restore_unacked(self, client: Any = None) -> None:
        """Forget parcels: the lease's deadline gives their rows back, never kombu."""
        # kombu takes a client first, and fails where its connection is closed already: the worker would end of it.
        for tag in [tag for tag in self._delivered if tag.startswith(TAG)]:
            del self._delivered[tag]
        if self._delivered:
            super().restore_unacked(client)

    def _release(self, tag: str) -> None:
        virtual.QoS.ack(self, tag)
        if _engine is not None:
            _engine.release(tag)
            if self._awaits:
                _engine.wake()


if TYPE_CHECKING:
    # What the mixins are mixed into: kombu's own classes, most of it without annotations.
    ChannelBase = Any
    TransportBase = Any
else:
    ChannelBase = TransportBase = object


class LeaseChannelMixin(ChannelBase):  # type: ignore[misc]  # Any, see above
    """Leases where the stock channel pops."""

    QoS = LeaseQoS
    _asked = 0
    _asked_at_us = 0

    def basic_consume(self, queue: str, *args: Any, **kwargs: Any) -> Any:
        number = keys.number_of(queue)
        if _engine is None and number is not None:
            # Without an engine this would be the stock transport: messages would leave their lanes without a meter.
            raise SettingError("-Q", f"{queue} can be served by `celery -A worker.app worker` alone")
        if _engine is not None:
            if queue not in self._fanout_queues and any(
                (keys.number_of(name) is None) is not (number is None) for name in self.active_queues
            ):
                raise SettingError(
                    "-Q", f"{queue} would stand beside numbers' queues and others: give it its own worker"
                )
            if number is not None:
                _engine.serve(number)
        return super().basic_consume(queue, *args, **kwargs)

    def _basic_cancel(self, consumer_tag: str) -> Any:
        number = keys.number_of(self._tag_to_queue.get(consumer_tag, ""))
        if number is not None and _engine is not None:
            _engine.agenda.drop(number)
        return super()._basic_cancel(consumer_tag)

    @property
    def active_queues(self) -> list[str]:
        # Recomputed by the stock channel at each turn of the loop, which thousands of queues would feel.
        cached = self.__dict__.get("_active_cache")
        signature = (len(self._active_queues), len(self.active_fanout_queues))
        if cached is None or cached[0] != signature:
            cached = self.__dict__["_active_cache"] = (signature, super().active_queues)
        queues: list[str] = cached[1]
        return queues

    def _leases(self) -> bool:
        queues = self.active_queues
        return _engine is not None and bool(queues) and keys.number_of(queues[0]) is not None

    def _brpop_start(self, timeout: float | None = None) -> None:
        if _engine is None or not self._leases():
            super()._brpop_start(timeout)
            return
        calls = _engine.questions()
        if not calls:
            return
        connection = self.client.connection
        self._in_poll, self._asked = connection, len(calls)
        self._asked_at_us = _engine.clock.monotonic_us()
        connection.send_packed_command(connection.pack_commands(_engine.fetch.commands(calls)))

    def _brpop_read(self, **options: Any) -> bool:
        if _engine is None or not self._asked:
            return bool(super()._brpop_read(**options))
        try:
            replies = self._read_replies(self.client.connection, self._asked)
        finally:
            self._in_poll, self._asked = None, 0
            self._flush_brpop_reauth()
        global _heard_us  # noqa: PLW0603  as the engine: channels come and go
        _heard_us = _engine.clock.monotonic_us()
        tag, leases = _engine.answers(replies)
        if not leases:
            raise Empty
        if self._closing or _engine.stopping:
            # The answer was still in the socket when we stopped: nothing of it has begun.
            _engine.release(tag)
            raise Empty
        queue = keys.queue(keys.number_of_unit(leases[0].number))
        if queue not in self.connection._callbacks:
            _engine.release(tag)
            raise Empty
        self.connection._deliver(pack(tag, queue, leases), queue)
        return True

    def cut_if_silent(self) -> None:
        """Give up a server that doesn't answer a lease. Raises redis.ConnectionError: Celery connects anew."""
        connection = self.client.connection if self._asked else None
        if connection is None or _engine is None:
            return
        if _engine.clock.monotonic_us() - self._asked_at_us < ANSWER_WITHIN_US:
            return
        sock = getattr(connection, "_sock", None)
        if sock is not None and stock._socket_readable(sock):
            return  # the answer is there: the pool is full, and reads it when it has room
        self._in_poll, self._asked = None, 0
        _engine.unanswered()
        connection.disconnect()
        raise redis.ConnectionError(f"no answer to a lease in {ANSWER_WITHIN_US // 1_000_000} s")

    def _read_replies(self, connection: Any, count: int) -> list[Any]:
        """Read every pipelined reply before anything is done about one: a refusal must not leave the next unread."""
        replies: list[Any] = []
        try:
            for _ in range(count):
                try:
                    replies.append(connection.read_response())
                except (redis.ResponseError, redis.BusyLoadingError) as error:
                    replies.append(error)
        except Exception:
            if _engine is not None:
                _engine.unanswered()
            connection.disconnect()
            raise
        if any(isinstance(reply, redis.ReadOnlyError | redis.BusyLoadingError) for reply in replies):
            # A primary that was demoted: ask Sentinel (or the address) anew.
            connection.disconnect()
        return replies


class LeaseChannel(LeaseChannelMixin, stock.Channel):
    """Leases from a single server."""


class SentinelLeaseChannel(LeaseChannelMixin, stock.SentinelChannel):
    """Leases from a Sentinel group."""


class LeaseTransportMixin(TransportBase):  # type: ignore[misc]  # Any, see above
    """Wakes the event loop when a number is due."""

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        others = set(loop.on_tick)
        super().register_with_event_loop(connection, loop)
        if _engine is None:
            return
        loop.on_tick.difference_update(loop.on_tick - others)
        loop.on_tick.add(Tick(_engine, self, loop))
        _engine.attach(Alarm(loop))
        # Celery cancels the timers of a connection with it. kombu's own, once a second, is for queues that expire:
        # those of remote control, whose bindings live for a multiple of our time.
        self.cycle._binding_expiry_tref.cancel()
        loop.call_repeatedly(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        for channel in list(self.cycle._channels):
            channel.cut_if_silent()
        self.cycle.maybe_refresh_binding_expiry()


class LeaseTransport(LeaseTransportMixin, stock.Transport):
    """kombu's Redis transport with the lease in its fetch. `driver_type` stays `redis`: Celery looks at it."""

    Channel = LeaseChannel


class SentinelLeaseTransport(LeaseTransportMixin, stock.SentinelTransport):
    """The same over Sentinel."""

    Channel = SentinelLeaseChannel
