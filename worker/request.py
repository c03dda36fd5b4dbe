"""How does Celery acknowledge a parcel? In the thread that worked on it, at once.

For RabbitMQ an acknowledgement is a frame on a socket that belongs to the event loop, so Celery wakes the loop for
each. Ours is bookkeeping in memory that any thread may do: a turn of the loop less for each parcel.
"""

from __future__ import annotations

from typing import Any

from celery.worker.request import Request


class ParcelRequest(Request):  # type: ignore[misc]  # celery has no annotations
    """Celery's request of a parcel."""

    def __init__(self, message: Any, on_ack: Any = None, on_reject: Any = None, **options: Any) -> None:
        on_ack, on_reject = acknowledgements(message, on_ack, on_reject)
        super().__init__(message, on_ack=on_ack, on_reject=on_reject, **options)


def acknowledgements(message: Any, on_ack: Any, on_reject: Any) -> tuple[Any, Any]:
    """Return what acknowledges and rejects a message: its own methods, instead of Celery's way through the loop.

    After a reconnect Celery hangs what restores its prefetch count on its promise: then that goes its way.
    """
    if any(getattr(on_ack, "listeners", ())):
        return on_ack, on_reject
    return message.ack_log_error, message.reject_log_error
