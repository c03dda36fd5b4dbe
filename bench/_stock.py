"""The peer: stock Celery on its stock Redis transport, acks_late, a task that does nothing."""

from __future__ import annotations

import os

from celery import Celery

app = Celery("stock", broker=os.environ["BENCH_BROKER"])
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    task_default_queue="stock",
    accept_content=["json"],
)


@app.task(name="stock.noop")
def noop(to: str, text: str) -> None:
    """Do nothing."""
