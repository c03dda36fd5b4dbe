"""How does an app enqueue that has Celery and doesn't want our client? With three names, and nothing imported from us.

    HEADWAY_REDIS_URL=redis://localhost:6379/0 python examples/plain_celery.py

Task `worker.send`, queue `headway.<number>`, kombu priority 0 (urgent), 3 (high), 6 (normal) or 9 (bulk).
"""

from __future__ import annotations

import os

from celery import Celery

NUMBER = "15555550100"

app = Celery(broker=os.environ.get("HEADWAY_REDIS_URL", "redis://localhost:6379/0"))


def send(message: dict[str, str], *, priority: int, countdown_s: int = 0) -> str:
    """Enqueue one message and return its id, the one that `headway status` asks for.

    `argsrepr` and `kwargsrepr` are left empty, because Celery would write texts and phone numbers into them.
    """
    result = app.send_task(
        "worker.send",
        kwargs=message,
        queue=f"headway.{NUMBER}",
        priority=priority,
        countdown=countdown_s or None,
        argsrepr="",
        kwargsrepr="",
        ignore_result=True,
    )
    return str(result.id)


def main() -> None:
    print("urgent ", send({"to": "12025550101", "text": "Your code is 4711."}, priority=0))
    print("bulk   ", send({"to": "12025550102", "text": "The new catalogue is out."}, priority=9))
    # eta, countdown and expires hold as ever: the lease that meets the message parks or drops it.
    print("later  ", send({"to": "12025550103", "text": "Your table is free."}, priority=3, countdown_s=60))


if __name__ == "__main__":
    main()
