"""The peer: stock Celery on its stock Redis transport, acks_late; a task that does nothing, and one that pushes a row.

BENCH_BROKER: its broker. BENCH_RATE: tasks a second, as `rate_limit`. BENCH_SINK: where to push.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
from typing import Any
from urllib.parse import urlsplit

import redis
from celery import Celery, signals

BROKER = os.environ["BENCH_BROKER"]
RATE = os.environ.get("BENCH_RATE")
SINK = os.environ.get("BENCH_SINK", "")

app = Celery("stock", broker=BROKER)
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    task_default_queue="stock",
    accept_content=["json"],
)
_mine = threading.local()


def noop(to: str, text: str) -> None:
    """Do nothing."""


def post(task: Any, to: str, text: str) -> None:
    """Push one row on this thread's own connection, which is kept alive."""
    if not hasattr(_mine, "connection"):
        _mine.connection = http.client.HTTPConnection(urlsplit(SINK).netloc, timeout=30)
    row = {"number": to, "reference_number": task.request.id, "message": text}
    body = {"token": "bench", "application": "1", "priority": "0", "globalmessage": "", "data": [row]}
    _mine.connection.request("POST", "/api/v2/push", json.dumps(body))
    answer = json.loads(_mine.connection.getresponse().read())
    if answer["status"] != 100:
        raise RuntimeError(f"the sink says {answer['status']}")


def say_ready(**_: Any) -> None:
    """The worker consumes: the bench counts how many do."""
    redis.Redis.from_url(BROKER).incr("bench:ready")


app.task(name="stock.noop")(noop)
app.task(name="stock.post", bind=True, rate_limit=f"{RATE}/s" if RATE else None)(post)
signals.worker_ready.connect(say_ready, weak=False)
