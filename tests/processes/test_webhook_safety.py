"""Does a gateway that is killed, in the middle of anything, lose nothing that it accepted?"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from delivery import outbox_desk
from headway import keys
from scheduler import meter
from tests.harness.apps import AppDouble
from tests.harness.leaks import leaks
from tests.harness.picky import inbound, row
from tests.harness.servers import ThrowawayServer
from tests.harness.waiting import wait_until
from tests.processes.gateway_kit import Gateway

pytestmark = pytest.mark.processes

NUMBER = "15555550100"
ADA = "393331234501"


@pytest.fixture
def app() -> Iterator[AppDouble]:
    """An app with a webhook of its own."""
    with AppDouble() as app:
        yield app


@pytest.fixture
def redis(own_server: ThrowawayServer) -> Iterator[Any]:
    """Look at the test's own server; at the end no key is left that isn't declared."""
    client = own_server.client()
    yield client
    assert not leaks(client)
    client.close()


def message(id_: int, contact: str = ADA) -> dict[str, Any]:
    """Return a webhook with a message."""
    return inbound(unique__id=id_, number=contact)


def time_passes(redis: Any) -> None:
    """Let the turns and claims of those who were killed end, as they do by themselves when the app's time is over."""
    for key in redis.scan_iter("headway:turns:*"):
        redis.delete(key)
    for key in redis.scan_iter("headway:forwarded:*"):
        if (redis.get(key) or b"").startswith(b"claim:"):
            redis.delete(key)
    outbox_desk.retry_all(redis, NUMBER)


def ids(app: AppDouble) -> list[Any]:
    """Return the ids of inbound messages in the order in which the app was asked."""
    return [body["unique-id"] for body in app.bodies if "unique-id" in body]


def test_what_is_kept_outlives_the_gateway(own_server: ThrowawayServer, redis: Any, app: AppDouble) -> None:
    """Killed right after its answer: the next gateway gives it to the app."""
    app.status = 500
    with Gateway(own_server.url, NUMBER, app=app.url) as gateway:
        for id_ in (1, 2):
            assert gateway.hook(NUMBER, message(id_)) == (200, {})
        gateway.kill()
    app.status = 200
    app.bodies.clear()
    with Gateway(own_server.url, NUMBER, app=app.url) as gateway:
        wait_until(lambda: ids(app) == [1, 2], description="both messages at the app", detail=gateway.tail)
        wait_until(lambda: not redis.exists(keys.outbox(NUMBER)), description="an empty outbox", detail=gateway.tail)


def test_a_gateway_killed_while_it_gives_something_to_the_app(
    own_server: ThrowawayServer, redis: Any, app: AppDouble
) -> None:
    """From the outbox: it stays there, and is given again once the turn's time is over; what is behind it waits."""
    app.status = 500
    with Gateway(own_server.url, NUMBER, app=app.url) as gateway:
        for id_ in (1, 2):
            assert gateway.hook(NUMBER, message(id_)) == (200, {})
        app.status = 200
        app.bodies.clear()
        app.hold()
        wait_until(lambda: ids(app) == [1], description="the first one at the app", detail=gateway.tail)
        gateway.kill()
    assert outbox_desk.counts(redis, NUMBER).waiting == 2
    app.go.set()
    time_passes(redis)
    with Gateway(own_server.url, NUMBER, app=app.url) as gateway:
        wait_until(lambda: ids(app) == [1, 1, 2], description="both messages at the app", detail=gateway.tail)


def test_what_was_written_down_outlives_the_gateway(
    own_server: ThrowawayServer, redis: Any, app: AppDouble, tmp_path: Path
) -> None:
    """Server away, app away, gateway killed: all of it counts and arrives later, messages in their order."""
    home = {"HEADWAY_HOME": str(tmp_path)}
    app.status = 500
    with Gateway(own_server.url, NUMBER, app=app.url, env=home) as gateway:
        gateway.ready()
        own_server.stop()
        for id_ in (1, 2, 3):
            assert gateway.hook(NUMBER, message(id_)) == (200, {})
        assert gateway.hook(NUMBER, row(number=ADA)) == (200, {})
        gateway.kill()
    own_server.start()
    app.status = 200
    app.bodies.clear()
    with Gateway(own_server.url, NUMBER, app=app.url, env=home) as gateway:
        wait_until(lambda: len(app.bodies) == 4, description="everything at the app", detail=gateway.tail)
        wait_until(lambda: not redis.exists(keys.outbox(NUMBER)), description="an empty outbox", detail=gateway.tail)
        gateway.wait_for_line('"event": "spool_replayed"')
    assert ids(app) == [1, 2, 3]
    spent = meter.spent(redis, NUMBER)
    assert (spent.inbound, spent.delivered) == (3, 1)
    assert not list(tmp_path.glob("spool/*"))


def test_a_living_gateway_adopts_what_a_killed_one_wrote_down(
    own_server: ThrowawayServer, redis: Any, app: AppDouble, tmp_path: Path
) -> None:
    """Two of one home: each keeps its own files while it lives."""
    home = {"HEADWAY_HOME": str(tmp_path)}
    with (
        Gateway(own_server.url, NUMBER, env=home) as one,
        Gateway(own_server.url, NUMBER, env=home) as two,
    ):
        one.ready()
        two.ready()
        own_server.stop()
        assert one.hook(NUMBER, message(1)) == (200, {})
        assert two.hook(NUMBER, message(2)) == (200, {})
        one.kill()
        own_server.start()
        wait_until(lambda: meter.spent(redis, NUMBER).inbound == 2, description="both events", detail=two.tail)


def test_a_server_that_is_full_leaves_it_to_the_spool(own_server: ThrowawayServer, app: AppDouble) -> None:
    """OOM: it counts, it can't keep; what was written down is kept once there is room."""
    client = own_server.client()
    app.status = 500
    with Gateway(own_server.url, NUMBER, app=app.url) as gateway:
        gateway.ready()
        client.config_set("maxmemory", 1)
        assert gateway.hook(NUMBER, message(1)) == (200, {})
        assert not client.exists(keys.outbox(NUMBER))
        app.status = 200
        app.bodies.clear()
        client.config_set("maxmemory", 0)
        wait_until(lambda: ids(app) == [1], description="the message at the app", detail=gateway.tail)
    client.close()


class Contact(threading.Thread):
    """Writes without a pause to whichever gateway is there, one message after the other; notes what was accepted."""

    def __init__(self, name: str, gateways: list[Gateway]) -> None:
        super().__init__()
        self.contact = name
        self.gateways = gateways
        self.accepted: list[int] = []
        self.ended = False

    def run(self) -> None:
        """Write until it has ended."""
        id_ = int(self.contact[-1]) * 1_000_000
        while not self.ended:
            for gateway in self.gateways[-1:]:
                id_ += 1
                with contextlib.suppress(OSError, HTTPException, ValueError):
                    if gateway.hook(NUMBER, message(id_, self.contact))[0] == 200:
                        self.accepted.append(id_)
            time.sleep(0.005)


def more_come(contacts: list[Contact]) -> None:
    """Wait until five more messages of each contact were accepted."""
    enough = [len(one.accepted) + 5 for one in contacts]
    wait_until(
        lambda: all(len(one.accepted) >= most for one, most in zip(contacts, enough, strict=True)),
        description="five more messages of each contact",
    )


def test_kills_at_any_moment_lose_nothing_that_was_accepted(
    own_server: ThrowawayServer, redis: Any, app: AppDouble, tmp_path: Path
) -> None:
    """The app refuses a third, gateways are killed and the server once: what was accepted arrives, in order."""
    app.refuses = lambda body: hash((body["unique-id"], len(app.bodies))) % 3 == 0
    home, gateways = {"HEADWAY_HOME": str(tmp_path)}, list[Gateway]()
    contacts = [Contact(f"39333123450{place}", gateways) for place in range(6)]
    for one in contacts:
        one.start()
    for kill in range(4):
        with Gateway(own_server.url, NUMBER, app=app.url, env=home) as gateway:
            gateway.ready()
            gateways.append(gateway)
            more_come(contacts)
            if kill == 1:
                own_server.kill()
                more_come(contacts)
                own_server.start()
            gateways.clear()
            gateway.kill()
        time_passes(redis)
    for one in contacts:
        one.ended = True
        one.join()
    app.refuses = lambda _: False
    with Gateway(own_server.url, NUMBER, app=app.url, env=home) as gateway:
        gateway.ready()
        wait_until(lambda: not list(tmp_path.glob("spool/*/*.jsonl")), description="a replay", detail=gateway.tail)
        time_passes(redis)
        wait_until(lambda: not redis.exists(keys.outbox(NUMBER)), description="an empty outbox", detail=gateway.tail)
    for one in contacts:
        # The last time that the app was asked for a message is when it took it.
        last = {body["unique-id"]: at for at, body in enumerate(app.bodies) if body["number"] == one.contact}
        assert not set(one.accepted) - set(last)
        assert sorted(one.accepted, key=last.__getitem__) == one.accepted
