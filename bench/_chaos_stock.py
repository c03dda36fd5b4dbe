"""The peer under the same kills: stock Celery on its stock Redis transport, set as its own guide wants it for safety.

Acknowledged late, rejected when a child is lost, nothing prefetched, and given back soon: what isn't acknowledged
within BENCH_VISIBILITY seconds is handed out again. With Celery's defaults (an hour) it would wait that long. Who hands
out again holds a lock; when he is killed with it, nobody does for so long (five minutes by default).
"""

from __future__ import annotations

import http.client
import json
import os
from typing import Any
from urllib.parse import urlsplit

from celery import Celery, signals

VISIBILITY_S = int(os.environ.get("BENCH_VISIBILITY", "10"))

app = Celery("stock", broker=os.environ["BENCH_BROKER"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={"visibility_timeout": VISIBILITY_S, "unacked_mutex_expire": VISIBILITY_S},
    task_default_queue="stock",
    accept_content=["json"],
)


def post(task: Any, to: str, text: str) -> None:
    """Push one row."""
    connection = http.client.HTTPConnection(urlsplit(os.environ["BENCH_SINK"]).netloc, timeout=30)
    row = {"number": to, "reference_number": task.request.id, "message": text}
    body = {"token": "bench", "application": "1", "priority": "0", "globalmessage": "", "data": [row]}
    connection.request("POST", "/api/v2/push", json.dumps(body))
    answer = json.loads(connection.getresponse().read())
    connection.close()
    if answer["status"] != 100:
        raise RuntimeError(f"the sink says {answer['status']}")


def say_ready(**_: Any) -> None:
    """The worker consumes."""
    print('{"event": "worker_ready"}', flush=True)


app.task(name="stock.post", bind=True)(post)
signals.worker_ready.connect(say_ready, weak=False)
