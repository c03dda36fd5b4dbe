"""Who hands messages over while everything is being killed? One thread that repeats each push until it is accepted.

Two of three pushes go over HTTP with an `Idempotency-Key`, from gateway to gateway; the third is `headway.Client`'s,
with ids of its own. Classes and numbers take turns.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence

import redis

from headway import Client, Message, MessageClass
from headway.errors import BrokerUnavailable

ROWS = 10
TEXT = "x" * 120


class Pusher:
    """The thread. `accepted`: id -> class of each message that was; `repeats`: pushes that had to be repeated."""

    def __init__(self, client: redis.Redis, *, gateways: Sequence[str], token: str, numbers: Sequence[str]) -> None:
        self._client = Client(client)
        self._gateways = gateways
        self._token = token
        self._numbers = numbers
        self._target = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.accepted: dict[str, str] = {}
        self.repeats = 0
        self.replayed = 0

    def start(self) -> None:
        """Start it."""
        self._thread.start()

    def upto(self, count: int) -> None:
        """Have so many messages handed over by now, or soon."""
        self._target = count

    def stop(self) -> None:
        """Stop, whatever is still to come."""
        self._stop.set()
        self._thread.join(timeout=10)

    def _work(self) -> None:
        batch = 0
        while not self._stop.is_set():
            if len(self.accepted) + ROWS > self._target:
                self._stop.wait(0.02)
                continue
            self._push(batch)
            batch += 1

    def _push(self, batch: int) -> None:
        class_ = list(MessageClass)[batch % len(MessageClass)]
        number = self._numbers[batch // len(MessageClass) % len(self._numbers)]
        recipients = [f"39333{batch * ROWS + row:07d}" for row in range(ROWS)]
        while not self._stop.is_set():
            try:
                over_http = batch % 3
                ids = (
                    self._http(batch, number, class_, recipients)
                    if over_http
                    else self._direct(batch, number, class_, recipients)
                )
                self.accepted.update(dict.fromkeys(ids, class_.value))
            except (BrokerUnavailable, OSError, ValueError):  # urllib's errors are OSErrors
                self.repeats += 1
                time.sleep(0.1)
            else:
                return

    def _direct(self, batch: int, number: str, class_: MessageClass, recipients: Sequence[str]) -> list[str]:
        ids = [f"chaos-{batch}-{row}" for row in range(ROWS)]
        rows = [Message(to=to, text=TEXT, class_=class_) for to in recipients]
        return self._client.push_many(number, rows, ids=ids)

    def _http(self, batch: int, number: str, class_: MessageClass, recipients: Sequence[str]) -> list[str]:
        gateway = self._gateways[(batch + self.repeats) % len(self._gateways)]
        data = [{"number": to, "message": TEXT} for to in recipients]
        body = {"token": self._token, "application": number, "priority": class_.value, "data": data}
        request = urllib.request.Request(  # noqa: S310  loopback
            f"{gateway}/api/v2/push",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Idempotency-Key": f"chaos-{batch}"},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310  loopback
            self.replayed += answer.headers.get("Idempotent-Replayed") == "true"
            return [row["msg_id"] for row in json.loads(answer.read())["data"]]
