"""What becomes of messages that a plain Celery app publishes, with the stock transport and without importing us?"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from kombu import transport

from headway import keys
from tests.processes.worker_kit import House, Worker, open_house

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server and one sink for all tests here."""
    with open_house(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture(scope="module")
def number(house: House) -> str:
    """The number that the worker serves."""
    return house.number()


@pytest.fixture(scope="module")
def worker(house: House, number: str) -> Iterator[Worker]:
    """One worker for all tests here."""
    with house.worker(number) as worker:
        yield worker.ready()


@pytest.fixture
def stranger(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """A plain app; whatever was imported before, its transport is kombu's own."""
    monkeypatch.setitem(transport.TRANSPORT_ALIASES, "redis", "kombu.transport.redis:Transport")
    monkeypatch.setattr(transport, "_transport_cache", {})
    with house.stock_app() as app:
        yield app


def kwargs(**more: Any) -> dict[str, Any]:
    """A message to somebody new."""
    return {"to": f"39333{uuid.uuid4().int % 10**8:08d}", "text": "hello", **more}


def send(app: Celery, number: str, /, message: dict[str, Any] | None = None, **options: Any) -> str:
    """Publish as the documentation says; return the task's id, which is the message's."""
    return str(app.send_task("worker.send", kwargs=message or kwargs(), queue=keys.queue(number), **options).id)


@pytest.mark.parametrize("case", [(None, "urgent"), (0, "urgent"), (3, "high"), (6, "normal"), (9, "bulk")])
def test_each_priority_is_a_class(
    house: House, worker: Worker, stranger: Celery, number: str, case: tuple[int | None, str]
) -> None:
    """Without a priority Celery means 0, which is urgent."""
    priority, class_ = case
    message_id = send(stranger, number, priority=priority)
    house.all_are([message_id], "sent")
    assert house.record(message_id)["class"] == class_


def test_the_class_in_the_message_wins(house: House, worker: Worker, stranger: Celery, number: str) -> None:
    """A publisher that can't set a priority says `class`."""
    message_id = send(stranger, number, kwargs(**{"class": "bulk"}))
    house.all_are([message_id], "sent")
    assert house.record(message_id)["class"] == "bulk"


def test_a_task_s_own_apply_async_works(house: House, worker: Worker, stranger: Celery, number: str) -> None:
    """An app that declares a task of that name, with a queue of its own choice and the defaults of its Celery."""

    def push(**_: Any) -> None:
        """Never runs: here it is only published."""

    task = stranger.task(name="worker.send")(push)
    message_id = str(task.apply_async(kwargs=kwargs(), queue=keys.queue(number), priority=6).id)
    house.all_are([message_id], "sent")
    assert house.arrivals([message_id]) == [message_id]


def test_an_eta_is_waited_for(house: House, worker: Worker, stranger: Celery, number: str) -> None:
    """It leaves at its time, and what was published after it leaves at once."""
    at = datetime.now(UTC) + timedelta(seconds=2)
    later, now = send(stranger, number, eta=at), send(stranger, number)
    house.all_are([now], "sent", within=timedelta(seconds=1.5))
    assert house.arrivals([later]) == []
    house.all_are([later], "sent", within=timedelta(seconds=5))
    (row,) = house.journal([later])
    assert 0 <= row["at_us"] / 1_000_000 - at.timestamp() < 1.5


def test_a_countdown_is_an_eta(house: House, worker: Worker, stranger: Celery, number: str) -> None:
    """Celery makes a time of it."""
    message_id = send(stranger, number, countdown=1)
    house.all_are([message_id], "sent", within=timedelta(seconds=5))


def test_an_expired_message_is_never_sent(house: House, worker: Worker, stranger: Celery, number: str) -> None:
    """It waited for longer than its publisher wanted; its record says so."""
    past = send(stranger, number, expires=datetime.now(UTC) - timedelta(seconds=1))
    in_time = send(stranger, number, expires=60)
    house.all_are([past], "expired")
    house.all_are([in_time], "sent")
    assert house.arrivals([past]) == []


@pytest.mark.parametrize(
    "case",
    [
        ({"to": "+393331234567", "text": "x"}, "to: must be 7 to 15 digits"),
        ({"to": "393331234567"}, "text: say something"),
        ({"to": "393331234567", "text": "x", "colour": "red"}, "colour: is not a field"),
        ({"to": "393331234567", "text": "x", "class": "first"}, "class: must be one of"),
        ({"text": "x"}, "to: name either a recipient"),
    ],
)
def test_what_cannot_be_sent_is_dead_with_its_field(
    house: House, worker: Worker, stranger: Celery, number: str, case: tuple[dict[str, Any], str]
) -> None:
    """A person finds the field and the problem in the record; nothing was sent."""
    message, words = case
    message_id = send(stranger, number, message)
    house.all_are([message_id], "dead")
    assert words in house.record(message_id)["reason"]
    assert house.arrivals([message_id]) == []
    assert house.redis.zscore(keys.dead(number), message_id) is not None


def test_pickle_is_refused_unread(house: House, worker: Worker, stranger: Celery, number: str) -> None:
    """It is dead with the reason, and the lane goes on."""
    message_id = send(stranger, number, serializer="pickle")
    house.all_are([message_id], "dead")
    assert "only plain JSON is read, never pickle" in house.record(message_id)["reason"]
    house.all_are([send(stranger, number)], "sent")


def test_another_task_on_a_lane_is_dead(house: House, worker: Worker, stranger: Celery, number: str) -> None:
    """A lane is for worker.send alone."""
    message_id = str(stranger.send_task("some.other", kwargs=kwargs(), queue=keys.queue(number)).id)
    house.all_are([message_id], "dead")
    assert "only worker.send" in house.record(message_id)["reason"]


def test_a_link_is_refused(house: House, worker: Worker, stranger: Celery, number: str) -> None:
    """Nobody would call it."""
    message_id = send(stranger, number, link=stranger.signature("some.other"))
    house.all_are([message_id], "dead")
    assert "links, chains and chords" in house.record(message_id)["reason"]


def test_positional_arguments_are_refused(house: House, worker: Worker, stranger: Celery, number: str) -> None:
    """A message is its fields by name."""
    message_id = str(stranger.send_task("worker.send", args=["393331234567", "x"], queue=keys.queue(number)).id)
    house.all_are([message_id], "dead")
    assert "keyword arguments" in house.record(message_id)["reason"]


def test_rubbish_on_a_lane_does_not_stop_it(house: House, worker: Worker, stranger: Celery, number: str) -> None:
    """What is no message at all ends up dead, under a name made from it; what stands behind it leaves."""
    dead = house.redis.zcard(keys.dead(number))
    for rubbish in (b"{", b"", b"\xff\x00", b"[]", b'{"headers": {"id": 7}}', b'{"body": "x"}'):
        house.redis.lpush(keys.queue(number), rubbish)
    house.all_are([send(stranger, number)], "sent")
    assert house.redis.zcard(keys.dead(number)) == dead + 6
    assert worker.returncode is None
