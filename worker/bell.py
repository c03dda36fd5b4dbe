"""Who hears the doorbell? One thread that listens for numbers on whose lanes something was put."""

from __future__ import annotations

import threading

import redis

from headway import keys
from worker.engine import Engine

#: A doorbell is a convenience: what it misses, the keeper's sweep finds within a second.
RETRY_S = 1.0
#: Between two looks which numbers are served.
TURN_S = 2.0


class Bell:
    """The thread. `client` is its own: it blocks for an answer."""

    def __init__(self, engine: Engine, client: redis.Redis) -> None:
        self._engine = engine
        self._client = client
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="headway-bell", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._stop.set()

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                with self._client.pubsub(ignore_subscribe_messages=True) as channel:
                    self._listen(channel)
            except (redis.RedisError, OSError):
                self._stop.wait(RETRY_S)

    def _listen(self, channel: redis.client.PubSub) -> None:
        heard: set[str] = set()
        while not self._stop.is_set():
            served = set(self._engine.agenda.numbers())
            if served - heard:
                channel.subscribe(*(keys.doorbell(number) for number in served - heard))
                self._engine.ring(sorted(served - heard))
            if heard - served:
                channel.unsubscribe(*(keys.doorbell(number) for number in heard - served))
            heard = served
            message = channel.get_message(timeout=TURN_S) if heard else self._stop.wait(RETRY_S)
            if isinstance(message, dict):
                data = message["data"]
                self._engine.ring([data.decode() if isinstance(data, bytes) else str(data)])
