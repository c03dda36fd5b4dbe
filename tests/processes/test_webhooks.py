"""Do real gateways take webhooks as promised: beside a worker, beside each other, without a server, to the end?"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from headway import keys
from headway.client import Client
from headway.message import Message
from scheduler import meter
from tests.harness.apps import AppDouble
from tests.harness.picky import RECORDED, ROW, inbound, row
from tests.harness.servers import ThrowawayServer
from tests.harness.waiting import wait_until
from tests.processes.gateway_kit import Gateway
from tests.processes.worker_kit import House, open_house

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server and one sink for all tests here that don't end their server."""
    with open_house(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture
def app() -> Iterator[AppDouble]:
    """An app with a webhook of its own."""
    with AppDouble() as app:
        yield app


def test_a_message_goes_out_and_its_receipts_come_in(house: House, app: AppDouble) -> None:
    """Sent by a real worker, matched by the id that the provider gave it, told to the app by the app's own names."""
    number = house.number()
    with house.worker(number) as worker, Gateway(house.server.url, number, app=app.url) as gateway:
        worker.ready()
        message = Message(to="393331234567", text="x", reference="order 5")
        (id_,) = Client(house.redis).push_many(number, [message])
        house.all_are([id_], "sent")
        theirs = house.record(id_)["provider_id"]
        assert gateway.hook(number, row(msg_id=int(theirs), reference_number=..., status=1)) == (200, {})
        assert gateway.hook(number, row(msg_id=theirs, reference_number=id_, status=3)) == (200, {})
        assert house.record(id_)["state"] == "read"
    names = [(body["data"][0]["msg_id"], body["data"][0]["reference_number"]) for body in app.bodies]
    assert names == [(id_, "order 5")] * 2
    spent = meter.spent(house.redis, number)
    assert (spent.send, spent.delivered, spent.read) == (1, 1, 1)


def test_two_gateways_pass_one_message_on_once(house: House, app: AppDouble) -> None:
    """Twins at two processes: one reaches the app, the other is told to come again and then gets the same answer."""
    number = house.number()
    app.answer = {"message-out": "Hi"}
    app.hold()
    with Gateway(house.server.url, number, app=app.url) as one, Gateway(house.server.url, number, app=app.url) as two:
        answers: list[tuple[int, Any]] = []
        first = threading.Thread(target=lambda: answers.append(one.hook(number, RECORDED)))
        first.start()
        wait_until(lambda: app.bodies, description="the message at the app", detail=one.tail)
        assert two.hook(number, RECORDED)[0] == 503
        app.go.set()
        first.join()
        answers.append(two.hook(number, RECORDED))
    assert answers == [(200, app.answer)] * 2
    assert len(app.bodies) == 1
    spent = meter.spent(house.redis, number)
    assert (spent.inbound, spent.send) == (1, 1)


def test_a_gateway_finishes_what_it_has_before_it_ends(house: House, app: AppDouble) -> None:
    """SIGTERM while the app thinks: its reply is still charged and relayed, and the process ends with 0."""
    number = house.number()
    app.answer = {"message-out": "Hi"}
    app.hold()
    with Gateway(house.server.url, number, app=app.url) as gateway:
        gateway.ready()
        answers: list[tuple[int, Any]] = []
        asking = threading.Thread(target=lambda: answers.append(gateway.hook(number, RECORDED)))
        asking.start()
        wait_until(lambda: app.bodies, description="the message at the app", detail=gateway.tail)
        threading.Timer(0.3, app.go.set).start()
        assert gateway.terminate() == 0
        asking.join()
    assert answers == [(200, app.answer)]
    assert meter.spent(house.redis, number).send == 1
    assert house.redis.get(keys.forwarded(number, "in:751403635")) == b'done:{"message-out":"Hi"}'


def test_a_server_that_forgets_its_scripts_is_told_them_again(house: House) -> None:
    """SCRIPT FLUSH between two webhooks: both are counted."""
    number = house.number()
    with Gateway(house.server.url, number) as gateway:
        assert gateway.hook(number, inbound(unique__id=1))[0] == 200
        house.redis.script_flush()
        assert gateway.hook(number, {"event_id": 1, "data": [ROW, {**ROW, "msg_id": 2}]})[0] == 200
    spent = meter.spent(house.redis, number)
    assert (spent.inbound, spent.delivered) == (1, 2)


def test_a_server_that_goes_and_comes_back(own_server: ThrowawayServer, app: AppDouble) -> None:
    """Away: inbound messages reach the app, receipts are written down. Back: everything counts, and nothing twice."""
    number = "15555550100"
    with Gateway(own_server.url, number, app=app.url) as gateway:
        assert gateway.hook(number, inbound(unique__id=1)) == (200, {})
        own_server.stop()
        assert gateway.hook(number, inbound(unique__id=2)) == (200, {})
        assert gateway.hook(number, row()) == (200, {})
        gateway.wait_for_line('"event": "inbound_uncounted"')
        own_server.start()
        gateway.wait_for_line('"event": "spool_replayed"')
        assert gateway.hook(number, inbound(unique__id=2)) == (200, {})
        assert gateway.hook(number, row()) == (200, {})
    client = own_server.client()
    spent = meter.spent(client, number)
    client.close()
    assert (spent.inbound, spent.delivered) == (2, 1)
    assert [body["unique-id"] for body in app.bodies if "unique-id" in body] == [1, 2]
