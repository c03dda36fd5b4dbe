"""Which tasks does Celery see? `worker.deliver`, which sends a parcel, and `worker.send`, which never runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from celery import Celery, Task
from celery.exceptions import Reject

from headway.envelope import TASK as SEND
from worker.lifecycle import Lifecycle
from worker.parcel import HEADER, TASK, unpack

#: What Celery makes of a parcel's message, by name: Celery imports it in the worker alone.
REQUEST = "worker.request:ParcelRequest"

log = logging.getLogger("headway.worker")


def register(app: Celery, lifecycle: Lifecycle) -> None:
    """Give the app its two tasks."""

    @app.task(name=TASK, bind=True, acks_late=True, ignore_result=True, Request=REQUEST)
    def deliver(self: Task, rows: Mapping[str, int]) -> dict[str, int]:
        """Begin, send and settle the leases of one parcel; `rows` says how many for which number."""
        tag, engine = str(self.request.id), lifecycle.parts.engine

        def settled(number: str, lease_id: str, *, back: bool = True) -> None:
            # A prefork child has no engine: there Celery's acknowledgement tells the parent.
            if engine is not None:
                engine.settled(tag, number, lease_id, back=back)

        return lifecycle.courier().deliver(unpack(self.request.get(HEADER)), settled)

    @app.task(name=SEND, bind=True, acks_late=True, ignore_result=True)
    def send(self: Task, *args: Any, **kwargs: Any) -> None:
        """Refuse: a message that reaches this task passed no meter. It goes back onto its lane."""
        log.critical("worker.send was run directly: this process has the stock transport and no meter; stop it")
        raise Reject("messages leave by lease only: start the worker with `celery -A worker.app worker`", requeue=True)
