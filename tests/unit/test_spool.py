"""Is what was written down on the disk, whole, in order and bounded, and handed over once it can be?"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from delivery import outbox_desk
from gateway import outbox, spool, spool_files
from gateway.problems import Unavailable
from gateway.spool import A_CHUNK, Spool
from gateway.spool_files import Directory, Record, orphans
from headway import keys
from headway.errors import BrokerUnavailable
from scheduler import meter
from tests.harness.apps import AppDouble
from tests.harness.asgi import Door
from tests.harness.gateway import CHANNEL, NUMBER, open_door
from tests.harness.picky import inbound, row
from tests.harness.servers import ThrowawayServer

HOOK = f"/webhooks/picky/{NUMBER}"


def record(id_: int, *, contact: str = "39333", kind: str = "inbound") -> Record:
    """Return something that came in."""
    return Record(kind=kind, number=NUMBER, contact=contact, at_us=id_, body={"unique-id": id_}, id=str(id_))


class Taken:
    """Takes records, or says "not now" from a certain one on."""

    def __init__(self, *, fails_at: int = -1, refuses: int = -1) -> None:
        self.ids: list[int] = []
        self.fails_at = fails_at
        self.refuses = refuses

    async def take(self, records: Sequence[Record]) -> list[Record]:
        """Take them all, or none."""
        ids = [int(one.id) for one in records]
        if self.fails_at in ids:
            raise BrokerUnavailable("not now")
        self.ids += ids
        return [one for one in records if int(one.id) == self.refuses]


def with_spool(home: Path, work: Callable[[Spool], Awaitable[None]]) -> None:
    """Do something with a spool, and close it."""

    async def run() -> None:
        spool = Spool(home)
        try:
            await work(spool)
        finally:
            await spool.close()

    asyncio.run(run())


def files(home: Path) -> list[Path]:
    """Return the files with records, in order."""
    return sorted(home.glob("spool/*/*.jsonl"))


# --------------------------------------------------------------------------------------------------------------- files


def test_it_is_on_the_disk_and_handed_over_in_order(tmp_path: Path) -> None:
    """What arrives together shares a file; what was handed over is gone, and so is the directory at the end."""

    async def work(spool: Spool) -> None:
        await asyncio.gather(*(spool.put(record(id_)) for id_ in range(250)))
        (file,) = files(tmp_path)
        assert [json.loads(line)["at_us"] for line in file.read_text().splitlines()] == list(range(250))
        assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        assert spool.holds(NUMBER, "39333")
        assert not spool.holds(NUMBER, "39334")
        taken = Taken()
        assert await spool.replay(taken.take) == 250
        assert taken.ids == list(range(250))
        assert not spool.holds(NUMBER, "39333")

    with_spool(tmp_path, work)
    assert list((tmp_path / "spool").iterdir()) == []


def test_nothing_is_made_before_it_is_needed(tmp_path: Path) -> None:
    """A gateway whose server never goes away writes no file."""

    async def work(spool: Spool) -> None:
        assert await spool.replay(Taken().take) == 0
        assert await spool.adopt(Taken().take) == 0

    with_spool(tmp_path, work)
    assert list(tmp_path.iterdir()) == []


def test_a_replay_that_is_cut_goes_on_from_there(tmp_path: Path) -> None:
    """And what came in meanwhile is behind it."""

    async def work(spool: Spool) -> None:
        await asyncio.gather(*(spool.put(record(id_)) for id_ in range(250)))
        taken = Taken(fails_at=A_CHUNK + 5)
        with pytest.raises(BrokerUnavailable):
            await spool.replay(taken.take)
        await spool.put(record(250))
        assert spool.holds(NUMBER, "39333")
        taken.fails_at = -1
        await spool.replay(taken.take)
        assert taken.ids == list(range(251))

    with_spool(tmp_path, work)


def test_what_a_process_left_is_adopted_once_it_is_no_more(tmp_path: Path) -> None:
    """Not while it lives; from where its own replay had come to."""
    left = Directory(tmp_path / "spool")
    left.append(b"".join(record(id_).as_line() for id_ in range(2 * A_CHUNK)))
    taken = Taken()

    async def work(spool: Spool) -> None:
        await spool.adopt(taken.take)

    with_spool(tmp_path, work)
    assert taken.ids == []
    segment = left.oldest()
    assert segment is not None
    chunk = segment.read(A_CHUNK)
    assert chunk is not None
    segment.done_to(chunk.end)
    left.close()
    with_spool(tmp_path, work)
    assert taken.ids == list(range(A_CHUNK, 2 * A_CHUNK))
    assert list((tmp_path / "spool").iterdir()) == []


def test_two_never_adopt_the_same(tmp_path: Path) -> None:
    """The lock goes with its process, and to one."""
    left = Directory(tmp_path / "spool")
    left.append(record(1).as_line())
    left.close()
    (first,) = orphans(tmp_path / "spool")
    assert orphans(tmp_path / "spool") == []
    first.close()


def test_half_a_line_was_never_promised(tmp_path: Path) -> None:
    """A process that died while it wrote; a line that is none of ours is left out, and those behind it aren't."""
    left = Directory(tmp_path / "spool")
    left.append(record(1).as_line() + b"{]\n" + record(2).as_line() + record(3).as_line()[:-5])
    left.close()
    taken = Taken()

    async def work(spool: Spool) -> None:
        assert await spool.adopt(taken.take) == 2

    with_spool(tmp_path, work)
    assert taken.ids == [1, 2]


def test_what_cant_be_taken_is_laid_aside(tmp_path: Path) -> None:
    """It isn't in the way of what comes after, and it isn't lost."""

    async def work(spool: Spool) -> None:
        for id_ in range(3):
            await spool.put(record(id_))
        await spool.replay(Taken(refuses=1).take)

    with_spool(tmp_path, work)
    assert json.loads((tmp_path / "spool" / "refused.jsonl").read_text())["id"] == "1"


def test_a_full_spool_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who brings it is told; what was promised before stays, and room that is made is used."""
    monkeypatch.setattr(spool_files, "MOST_BYTES", 2 * len(record(1).as_line()))

    async def work(spool: Spool) -> None:
        for id_ in range(2):
            await spool.put(record(id_))
        with pytest.raises(Unavailable):
            await spool.put(record(99))
        taken = Taken()
        await spool.replay(taken.take)
        assert not spool.holds(NUMBER, "39333")
        await spool.put(record(2))
        await spool.replay(taken.take)
        assert taken.ids == [0, 1, 2]

    with_spool(tmp_path, work)


def test_a_disk_that_fails_in_the_middle_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written of it is cut off again, so that the next line begins where it should."""

    def fails(_: int) -> None:
        raise OSError("no space left")

    async def work(spool: Spool) -> None:
        await spool.put(record(1))
        with monkeypatch.context() as full:
            full.setattr(os, "fsync", fails)
            with pytest.raises(Unavailable):
                await spool.put(record(2))
        await spool.put(record(3))
        taken = Taken()
        await spool.replay(taken.take)
        assert taken.ids == [1, 3]

    with_spool(tmp_path, work)


def test_a_long_time_without_a_server_fills_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of bounded size, replayed in order."""
    monkeypatch.setattr(spool_files, "SEGMENT_BYTES", 300)

    async def work(spool: Spool) -> None:
        for id_ in range(20):
            await spool.put(record(id_))
        assert len(files(tmp_path)) > 3
        taken = Taken()
        await spool.replay(taken.take)
        assert taken.ids == list(range(20))

    with_spool(tmp_path, work)


# --------------------------------------------------------------------------------------------------- with the gateway


@pytest.fixture(autouse=True)
def adopts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for the next look at what others left."""
    monkeypatch.setattr(spool, "_ADOPT_EVERY_S", 0.01)


@pytest.fixture
def app() -> Iterator[AppDouble]:
    """An app with a webhook of its own."""
    with AppDouble() as app:
        yield app


def message(id_: int, contact: str = "393331234501") -> dict[str, Any]:
    """Return a webhook with a message."""
    return inbound(unique__id=id_, number=contact, application=CHANNEL)


def taken(door: Door, body: object) -> Any:
    """Send a webhook that must be taken; return the answer's JSON."""
    answer = door.post(HOOK, body)
    assert answer.status == 200, answer.body
    return answer.json


def test_everything_counts_and_arrives_when_the_server_is_back(
    own_server: ThrowawayServer, app: AppDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages that nobody took in their order, and receipts; those that the app took count, and go no second time."""
    monkeypatch.setattr(outbox, "_LOOK_EVERY_S", 0.01)
    redis: redis_py.Redis = own_server.client()
    with open_door(own_server.url, FORWARD_URL=app.url, WEBHOOK_KEY="off") as door:
        own_server.stop()
        app.answer = {"message-out": "Hi"}
        assert taken(door, message(1, "39334")) == app.answer
        app.status = 500
        for id_ in (2, 3, 4):
            assert taken(door, message(id_)) == {}
        assert len(app.bodies) == 2  # the first one failed, so the others wait behind it
        assert taken(door, row(number="393331234501", status=1)) == {}
        app.status = 200
        app.bodies.clear()
        own_server.start()
        door.wait(lambda: len(app.bodies) == 4, description="what came in while the server was away")
        door.wait(lambda: outbox_desk.counts(redis, NUMBER).waiting == 0, description="empty outbox")
        assert taken(door, message(1, "39334")) == app.answer
    assert [body.get("unique-id", "receipt") for body in app.bodies] == [2, 3, 4, "receipt"]
    spent = meter.spent(redis, NUMBER)
    assert (spent.send, spent.inbound, spent.delivered) == (1, 4, 1)
    assert redis.get(keys.forwarded(NUMBER, "in:1")) == b'done:{"message-out":"Hi"}'
    redis.close()


def test_events_are_counted_at_their_own_time(own_server: ThrowawayServer, tmp_path: Path) -> None:
    """An hour's events that come at once are no debt: the container has long worked them off."""
    redis: redis_py.Redis = own_server.client()
    with open_door(own_server.url, WEBHOOK_KEY="off", HOME=str(tmp_path)) as door:
        left = Directory(tmp_path / "spool")
        hour_ago_us = 1_000_000 * (int(redis.time()[0]) - 3600)
        records = [
            Record(kind="inbound", number=NUMBER, contact="1", at_us=hour_ago_us + id_, body=message(id_))
            for id_ in range(500)
        ]
        left.append(b"".join(one.as_line() for one in records))
        left.close()
        door.wait(lambda: meter.spent(redis, NUMBER).inbound == 500, description="the hour's events")
    assert meter.spent(redis, NUMBER).backlog_ue == 0
    redis.close()


def test_a_record_of_a_number_that_isnt_served_is_laid_aside(own_server: ThrowawayServer, tmp_path: Path) -> None:
    """The others count."""
    redis: redis_py.Redis = own_server.client()
    with open_door(own_server.url, WEBHOOK_KEY="off", HOME=str(tmp_path)) as door:
        left = Directory(tmp_path / "spool")
        strangers = Record(kind="inbound", number="15555559999", contact="1", at_us=1, body=message(1))
        ours = Record(kind="inbound", number=NUMBER, contact="1", at_us=1, body=message(2))
        left.append(strangers.as_line() + ours.as_line())
        left.close()
        door.wait(lambda: meter.spent(redis, NUMBER).inbound == 1, description="our event")
        door.wait((tmp_path / "spool" / "refused.jsonl").exists, description="what was laid aside")
    redis.close()
