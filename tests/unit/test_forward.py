"""Is the app's own webhook given what came in, within bounds, and does nothing of its answer hurt us?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from gateway import forward
from gateway.forward import Forward, NotTaken, Taken
from providers.wire import open_session
from runtime.secret import Secret
from tests.harness.apps import AppDouble
from tests.harness.waiting import wait_until

NUMBER = "15555550100"
BODY = {"unique-id": 1, "message_in_raw": "🙏 \ud83d"}


@pytest.fixture
def app() -> Iterator[AppDouble]:
    """An app with a webhook of its own."""
    with AppDouble() as app:
        yield app


def post(url: str, *, patience: timedelta = timedelta(seconds=10)) -> list[Taken | NotTaken]:
    """Post one body."""

    async def posted() -> list[Taken | NotTaken]:
        async with open_session() as session:
            forwarding = Forward(session, {NUMBER: Secret(url), "1": Secret()}, patience=patience)
            assert (forwarding.wanted(NUMBER), forwarding.wanted("1")) == (True, False)
            return [await forwarding.post(NUMBER, BODY, what="inbound")]

    return asyncio.run(posted())


def test_the_app_gets_the_body_and_answers(app: AppDouble) -> None:
    """Any text arrives as it came; the answer is an object."""
    app.answer = {"message-out": "Hi"}
    assert post(app.url) == [Taken({"message-out": "Hi"})]
    assert app.bodies == [BODY]


@pytest.mark.parametrize(
    ("answer", "replies"),
    [({"message-out": "x"}, True), ({"media-out": "u"}, True), ({"message-out": None}, False), ({"out": 1}, False)],
)
def test_what_sends_a_message_is_known_by_its_key(answer: dict[str, object], replies: bool) -> None:
    """Keys of an instant reply end in `-out`; an empty one says nothing."""
    assert Taken(answer).replies is replies


@pytest.mark.parametrize("status", [300, 302, 400, 404, 500, 503])
def test_only_200_and_its_like_mean_taken(app: AppDouble, status: int) -> None:
    """A redirect isn't followed: it would send the body twice."""
    app.status = status
    assert post(app.url) == [NotTaken(f"the app answered HTTP {status}")]


def test_an_app_that_hangs_is_given_up(app: AppDouble) -> None:
    """After its patience, not after the provider's."""
    app.hold()
    (outcome,) = post(app.url, patience=timedelta(milliseconds=100))
    assert isinstance(outcome, NotTaken)
    assert outcome.problem.startswith("timeout")


def test_nobody_listening_is_not_taken() -> None:
    """An address where no app is."""
    (outcome,) = post("http://127.0.0.1:9/hook")
    assert isinstance(outcome, NotTaken)


def test_an_answer_without_end_is_not_taken(app: AppDouble) -> None:
    """More than 1 MB is no reply to a message."""
    app.answer = b'{"message-out":"' + b"x" * 1_100_000 + b'"}'
    (outcome,) = post(app.url)
    assert isinstance(outcome, NotTaken)


def test_a_slow_app_is_not_flooded(app: AppDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many requests at a time, so many wait, and what is more is told at once."""
    monkeypatch.setattr(forward, "AT_A_TIME", 2)
    monkeypatch.setattr(forward, "MOST_WAITING", 3)
    app.hold()

    async def flood() -> list[Taken | NotTaken]:
        async with open_session() as session:
            forwarding = Forward(session, {NUMBER: Secret(app.url)})
            tasks = [asyncio.create_task(forwarding.post(NUMBER, BODY, what="inbound")) for _ in range(8)]
            await asyncio.wait(tasks[5:])
            await asyncio.to_thread(wait_until, lambda: len(app.bodies) == 2, description="two requests at the app")
            assert not any(task.done() for task in tasks[:5])
            app.go.set()
            return await asyncio.gather(*tasks)

    outcomes = asyncio.run(flood())
    assert outcomes == [Taken({})] * 5 + [NotTaken("too much waits for the app")] * 3
    assert len(app.bodies) == 5


def test_a_place_is_not_waited_for_without_end(app: AppDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request whose turn doesn't come says so, and was never sent."""
    monkeypatch.setattr(forward, "AT_A_TIME", 0)
    assert post(app.url, patience=timedelta(milliseconds=50)) == [
        NotTaken("other requests kept the app busy for too long")
    ]
    assert app.bodies == []
