"""What becomes of messages that a stock Celery app published, with a real Celery and its stock Redis transport?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery, chain, group, signature

from headway import keys
from priorities.lanes import route
from scheduler.decisions import LeasedRow
from tests.harness.servers import ThrowawayServer
from tests.scripts.stage import NUMBER, START_US, Stage

NOW = datetime.fromtimestamp(START_US / 1_000_000, UTC)
LINKED = "body: links, chains and chords do not work here: nothing would call them"
MESSAGE = {"to": "19990001111", "text": "hello"}


@pytest.fixture
def app(server: ThrowawayServer, stage: Stage) -> Iterator[Celery]:
    """Celery as any project has it, without a line of ours."""
    celery = Celery("shop", broker=server.url, set_as_current=False)
    celery.conf.broker_transport_options = {"client_name": "shop"}
    celery.conf.task_default_queue = f"headway.{NUMBER}"
    yield celery
    celery.close()


def send(app: Celery, kwargs: Any = None, **options: Any) -> str:
    """Publish `worker.send` with Celery's own send_task; return the task's id."""
    options = {"queue": f"headway.{NUMBER}", **options}
    return str(app.send_task("worker.send", kwargs=MESSAGE if kwargs is None else kwargs, **options).id)


def only_row(stage: Stage) -> LeasedRow:
    """Return the one row of the next lease."""
    (row,) = stage.granted().rows
    return row


def test_a_stock_message_leaves_like_any_other(app: Celery, stage: Stage) -> None:
    """Its base64 body is read; its id is the task's; without a priority it is urgent, as kombu puts it."""
    task = send(app)
    row = only_row(stage)
    assert (row.id, row.step, row.verdict) == (task, 0, "send")
    assert json.loads(row.body)[1] == MESSAGE


@pytest.mark.parametrize(("priority", "step"), [(0, 0), (2, 0), (3, 3), (5, 3), (6, 6), (8, 6), (9, 9)])
def test_kombus_priorities_are_the_lanes(app: Celery, stage: Stage, priority: int, step: int) -> None:
    """A priority stands on the step below it."""
    send(app, priority=priority)
    assert only_row(stage).step == step


@pytest.mark.parametrize("class_", ["urgent", "high", "normal", "bulk"])
def test_a_class_kwarg_wins_over_the_priority(app: Celery, stage: Stage, class_: str) -> None:
    """Whoever doesn't know of priorities says the class in words."""
    task = send(app, {**MESSAGE, "class": class_})
    stage.drain()
    (lease,) = stage.redis.hvals(keys.leases(NUMBER))
    step = {"urgent": "0", "high": "3", "normal": "6", "bulk": "9"}[class_]
    assert json.loads(lease)["rows"] == [[task, 1, step]]


def test_the_route_of_a_class_reaches_its_lane(app: Celery, stage: Stage) -> None:
    """`priorities.lanes.route` gives the options of send_task."""
    from headway.classes import MessageClass

    send(app, **route(NUMBER, MessageClass.BULK))
    assert stage.redis.llen(keys.lanes(NUMBER)[3]) == 1


def test_eta_and_countdown_defer(app: Celery, stage: Stage) -> None:
    """The first lease that meets them parks them; Celery's worker never holds them in memory."""
    first = send(app, eta=NOW + timedelta(seconds=20))
    second = send(app, eta=(NOW + timedelta(seconds=10)).replace(tzinfo=None))
    assert stage.drain() == []
    assert stage.scores(keys.deferred(NUMBER)) == {
        first: START_US // 1000 + 20_000,
        second: START_US // 1000 + 10_000,
    }
    stage.later(ms=10_000)
    assert stage.drain() == [second]
    stage.later(ms=10_000)
    assert stage.drain() == [first]


def test_expires_is_honoured(app: Celery, stage: Stage) -> None:
    """Past its time a message is told as expired, and uses no TPS."""
    late = send(app, expires=NOW - timedelta(seconds=1))
    good = send(app, {"to": "19990002222", "text": "x"}, expires=NOW + timedelta(seconds=1))
    grant = stage.granted()
    assert {row.id: row.verdict for row in grant.rows} == {late: "expired", good: "send"}
    assert grant.charged == 1


def test_the_later_of_two_times_and_the_earlier_of_two_ends_hold(app: Celery, stage: Stage) -> None:
    """`eta` and `send_at`, `expires` and `expires_at`: both are meant."""
    soon, later = (NOW + timedelta(seconds=s) for s in (5, 9))
    send(app, {**MESSAGE, "send_at": later.isoformat()}, eta=soon)
    stage.drain()
    assert list(stage.scores(keys.deferred(NUMBER)).values()) == [START_US // 1000 + 9000]
    expired = send(
        app, {**MESSAGE, "expires_at": (NOW - timedelta(1)).isoformat()}, expires=NOW + timedelta(days=1), priority=3
    )
    assert stage.granted().rows[0] == LeasedRow(expired, 3, "expired", stage_body(stage, expired))


def stage_body(stage: Stage, message_id: str) -> str:
    """Return the body of a leased row, decoded by kombu's own rule."""
    from base64 import b64decode

    return b64decode(json.loads(stage.redis.hget(keys.leased(NUMBER), message_id))["body"]).decode()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"serializer": "pickle"}, "content-type: only plain JSON is read, never pickle"),
        ({"compression": "zlib"}, "content-type: only plain JSON is read, never pickle"),
        ({"args": ["19990001111", "hello"], "kwargs": {}}, "body: give the message as keyword arguments"),
        ({"link": signature("shop.done")}, LINKED),
        ({"link_error": signature("shop.no")}, LINKED),
    ],
)  # fmt: skip
def test_what_is_refused_says_why_under_its_own_id(
    app: Celery, stage: Stage, options: dict[str, Any], why: str
) -> None:
    """Refused rows are leased, so that they are recorded; they use no TPS and are never executed."""
    task = send(app, options.pop("kwargs", None), **options)
    grant = stage.granted()
    assert [(row.id, row.verdict, row.body) for row in grant.rows] == [(task, f"refused: {why}", "null")]
    assert grant.charged == 0


def test_a_chain_is_refused(app: Celery, stage: Stage) -> None:
    """Nothing would call its second task."""
    send_first = signature("worker.send", kwargs=MESSAGE, app=app, options={"queue": f"headway.{NUMBER}"})
    chain(send_first, signature("shop.done", app=app), app=app).apply_async()
    assert only_row(stage).verdict.startswith("refused: body: links, chains and chords")


def test_a_group_of_messages_is_fine(app: Celery, stage: Stage) -> None:
    """A group only publishes many at once."""
    parts = [
        signature("worker.send", kwargs={"to": f"1999000111{i}", "text": "x"}, app=app,
                  options={"queue": f"headway.{NUMBER}"})
        for i in range(3)
    ]  # fmt: skip
    group(parts, app=app).apply_async()
    assert [row.verdict for row in stage.granted().rows] == ["send"] * 3


def test_another_task_on_a_lane_is_refused(app: Celery, stage: Stage) -> None:
    """A lane is no place for a shop's own tasks."""
    task = str(app.send_task("shop.rebuild_index", kwargs={"x": 1}, queue=f"headway.{NUMBER}").id)
    row = only_row(stage)
    assert (row.id, row.verdict) == (task, "refused: task: only worker.send goes on a lane")


@pytest.mark.parametrize(
    ("kwargs", "verdict"),
    [
        ({"to": 7, "text": "x"}, "send"),
        ({"to": {}, "text": "x"}, "send"),
        ({"to": ["a", "b"], "text": None}, "send"),
        ({"to": True, "class": 5}, "send"),
        ({"class": {"a": 1}}, "send"),
        ({"to": "1", "template_id": {"deep": [1, {"x": None}]}}, "send"),
        ({}, "send"),
        ({"to": "x" * 300_000}, "send"),
        ({"send_at": 5}, "refused: send_at: must be a time like 2030-01-31T08:00:00Z"),
        ({"send_at": "x"}, "refused: send_at: must be a time like 2030-01-31T08:00:00Z"),
        ({"send_at": {}}, "refused: send_at: must be a time like 2030-01-31T08:00:00Z"),
        ({"send_at": False}, "refused: send_at: must be a time like 2030-01-31T08:00:00Z"),
        ({"expires_at": "20300131T080000Z"}, "refused: expires_at: must be a time like 2030-01-31T08:00:00Z"),
        ({"expires_at": ["2030-01-31T08:00:00Z"]}, "refused: expires_at: must be a time like 2030-01-31T08:00:00Z"),
        ({"template_id": float("nan")}, "refused: body: not readable"),
    ],
)
def test_nonsense_in_a_field_stops_nobody_else(app: Celery, stage: Stage, kwargs: dict[str, Any], verdict: str) -> None:
    """The row is leased under its own id; what the lease can't judge, the worker's check of the message does."""
    task = send(app, kwargs)
    good = send(app, {"to": "19990003333", "text": "after it"})
    rows = {row.id: row.verdict for row in [*stage.granted().rows, *more_rows(stage)]}
    assert rows == {task: verdict, good: "send"}


def more_rows(stage: Stage) -> tuple[LeasedRow, ...]:
    """Return the rows of one more lease, if there is one."""
    return getattr(stage.lease(), "rows", ())


@pytest.mark.parametrize(
    "change",
    [
        {"body": "no base64!"},
        {"body": 5},
        {"body": None},
        {"body": {"to": "1"}},
        {"body": "bm8ganNvbg=="},
        {"properties": None},
        {"properties": {"body_encoding": "base64"}, "body": "W10="},
        {"properties": {"body_encoding": "utf-8"}, "body": '[null, {"to": "1"}, null]'},
        {"properties": {"body_encoding": "utf-8"}, "body": '{"to": "1"}'},
        {"properties": {"body_encoding": "utf-8"}, "body": "[" * 5000},
        {"properties": {"body_encoding": "utf-8"}, "body": r'[[], {"text": "\ud83d"}, {}]'},
        {"content-type": None},
    ],
)
def test_an_envelope_with_an_id_is_refused_under_it(app: Celery, stage: Stage, change: dict[str, Any]) -> None:
    """Whatever is wrong inside, its publisher finds the message by its id."""
    task = send(app)
    envelope = json.loads(stage.redis.rpop(keys.lanes(NUMBER)[0]))
    stage.put(json.dumps({**envelope, **change}), class_="urgent")
    row = only_row(stage)
    assert row.id == task
    assert row.verdict.startswith("refused: ")


@pytest.mark.parametrize(
    "raw",
    [
        "", "null", "5", "[]", "{}", "{", "no JSON at all", b"\xff\xfe\x00", "\x80\x04pickle.", "[" * 100_000,
        '{"headers": null}', '{"headers": {"id": 5}}', '{"headers": {"id": ""}}', '{"headers": {"id": "a b"}}',
        '{"headers": {"id": "a\\nb"}}', '{"headers": {"id": "' + "x" * 129 + '"}}', '{"headers": {"id": "ü"}}',
        '{"headers": {"id": null}, "properties": {}}',
    ],
)  # fmt: skip
def test_what_has_no_readable_id_gets_one_of_its_content(stage: Stage, raw: str | bytes) -> None:
    """It is refused and recorded, blocks nobody, and the same rubbish twice is one row."""
    stage.put(raw)
    stage.put(raw)
    stage.push("good")
    rows = stage.granted("L").rows
    assert [row.verdict for row in rows] == ["refused: unreadable", "send"]
    assert rows[0].id.startswith("unreadable-")
    assert stage.granted("L").rows == rows
    assert stage.end("L").what == "returned"
    stage.later(ms=2000)
    assert [row.id for row in stage.granted().rows] == [row.id for row in rows]
