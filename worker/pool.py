"""What can a thread of the pool be told when a worker is to end at once?

A thread can't be killed: Celery's own pool raises an error in the middle of its cold shutdown, and then waits for its
threads before it tells anybody. Here the keeper gives up the leases and the courier its calls, and the threads end by
themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from celery import concurrency
from celery.concurrency.thread import TaskPool
from celery.utils import log


class ThreadPool(TaskPool):  # type: ignore[misc]  # celery has no annotations
    """Celery's pool of threads, which bears that a parcel is terminated."""

    #: Called in a signal's handler when the worker shall end at once: it may take no lock.
    on_cold_shutdown: ClassVar[Callable[[], None]] = staticmethod(lambda: None)

    def terminate_job(self, pid: int, signal: Any = None) -> None:  # noqa: ARG002  Celery's signature
        """Leave the thread alone: its lease ends without it, and begin or settle tell it so."""
        # By remote control (`revoke(terminate=True)`) it is this parcel alone that ends.
        if log._in_sighandler:  # noqa: SLF001  Celery says it nowhere else before it waits for the threads
            ThreadPool.on_cold_shutdown()


def install(on_cold_shutdown: Callable[[], None]) -> None:
    """Let `-P threads` mean this pool."""
    ThreadPool.on_cold_shutdown = staticmethod(on_cold_shutdown)
    concurrency.ALIASES["threads"] = f"{__name__}:{ThreadPool.__name__}"
