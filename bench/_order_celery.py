"""The peer: stock Celery with kombu's priorities, a rate limit, and a task that takes 200 ms and notes when it began.

BENCH_BROKER: its broker. BENCH_RATE: tasks a second. BENCH_NOTES: a folder for notes as bench/_order_worker.py's.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import redis
from celery import Celery, signals

BROKER, RATE, NOTES = os.environ["BENCH_BROKER"], os.environ["BENCH_RATE"], Path(os.environ["BENCH_NOTES"])

app = Celery("order", broker=BROKER)
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=1,
    task_default_queue="stock",
    accept_content=["json"],
)


def send(task: Any, **_: str) -> None:
    """Note when, and take as long as a provider does."""
    with (NOTES / str(os.getpid())).open("a", encoding="ascii") as file:
        file.write(f"{task.request.id} {time.time_ns() // 1000}\n")
    time.sleep(0.2)


def say_ready(**_: Any) -> None:
    redis.Redis.from_url(BROKER).incr("bench:ready")


app.task(name="order.send", bind=True, rate_limit=f"{RATE}/s")(send)
signals.worker_ready.connect(say_ready, weak=False)
