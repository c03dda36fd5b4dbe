"""Is what comes in counted on the shard of its contact, and do the figures show each shard and all of them?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
import redis as redis_py
from rich.console import Console

from console import paint
from delivery.records import look_up
from delivery.states import State
from gateway import shards_seen
from gateway.app import build
from gateway.shards_seen import ShardsSeen
from headway import MessageClass, keys
from headway.client import Client
from headway.errors import BrokerUnavailable
from headway.message import Message
from runtime.clock import FakeClock
from runtime.scripts import run_all
from runtime.settings import NumberSettings, Settings
from scheduler import control, figures, leases, meter, shards
from scheduler.rules import rules_of
from tests.harness.asgi import Door
from tests.harness.home import throwaway_home
from tests.harness.picky import inbound, row
from tests.harness.servers import ThrowawayServer

NUMBER = "15555550100"
HOOK = f"/webhooks/picky/{NUMBER}"
PEOPLE = [f"3933312345{index:02d}" for index in range(20)]


class Town:
    """A gateway of a number with four shards, or with as many as its own environment gives it."""

    def __init__(self, redis: redis_py.Redis, url: str, *, ours: int = 4) -> None:
        self.redis: Any = redis
        self.settings = Settings.from_env(
            {
                "HEADWAY_NUMBERS": NUMBER,
                "HEADWAY_HOME": throwaway_home(),
                "HEADWAY_API_TOKENS": "t",
                "HEADWAY_SHARDS": str(ours),
                "HEADWAY_TPS": "20",
                "HEADWAY_WEBHOOK_KEY": "off",
            }
        )
        self.door = Door(build(self.settings, url))

    def start_worker(self, count: int) -> None:
        """Let the workers agree on a number of shards; nothing waits in former ones."""
        run_all(self.redis, [control.declare(NUMBER, "w", 20_000), shards.agree(NUMBER, "w", count)])
        run_all(self.redis, [shards.agree(NUMBER, "w", count, emptied=count)])

    def come_in(self, *bodies: object) -> None:
        """Send webhooks that must be taken."""
        for body in bodies:
            assert self.door.post(HOOK, body).status == 200

    def spent(self, kind: str) -> dict[str, int]:
        """Return the meters' totals of a kind, of all units that have any."""
        names = {NUMBER, *(unit for count in (2, 4) for unit in keys.units(NUMBER, count))}
        return {unit: found for unit in names if (found := getattr(meter.spent(self.redis, unit), kind))}

    def lease(self, to: str) -> tuple[str, str]:
        """Push a message and let a worker begin it; return its unit and its id."""
        (id_,) = Client(self.redis).push_many(NUMBER, [Message(to=to, text="x", class_=MessageClass.URGENT)])
        rules = rules_of(self.settings.number(NUMBER), lease_ttl_ms=10_000)
        unit = shards.unit_of(NUMBER, 4, to)
        own, lease_id = shards.rules_of_unit(rules, unit), f"L{id_}"
        sorted_, granted, begun = run_all(
            self.redis,
            [shards.sort(NUMBER, 4), leases.lease(own, lease_id, "w"), leases.begin(own, lease_id, "w", "t")],
        )
        assert sorted_ == [4, 1, 0]
        assert (granted[0], begun) == (b"grant", b"begun")
        return unit, id_


@pytest.fixture
def town(redis: redis_py.Redis, server: ThrowawayServer) -> Iterator[Town]:
    """Its workers have said four, too."""
    town = Town(redis, server.url)
    town.start_worker(4)
    with town.door:
        yield town


def expected(people: list[str], count: int = 4) -> dict[str, int]:
    """Return how many of these people each shard has."""
    units = [shards.unit_of(NUMBER, count, to) for to in people]
    return {unit: units.count(unit) for unit in units}


def test_inbound_is_counted_on_the_senders_shard(town: Town) -> None:
    """Once each, whichever shard is asked: what was seen is the number's."""
    bodies = [inbound(unique__id=index, number=to) for index, to in enumerate(PEOPLE)]
    town.come_in(*bodies, *bodies)
    assert town.spent("inbound") == expected(PEOPLE)


def test_a_groups_messages_are_counted_on_the_groups_shard(town: Town) -> None:
    """Whoever of its members writes."""
    group = "120363041234567890@g.us"
    town.come_in(*(inbound(unique__id=i, number=f"Club @{to}", group__id=group) for i, to in enumerate(PEOPLE)))
    assert town.spent("inbound") == {shards.unit_of(NUMBER, 4, group): len(PEOPLE)}


def test_receipts_are_counted_on_the_recipients_shard(town: Town) -> None:
    """Many in one webhook, and each answer finds its own receipt."""
    rows = [{**row()["data"][0], "number": to, "msg_id": index, "status": 1} for index, to in enumerate(PEOPLE)]
    town.come_in({**row(), "data": rows})
    assert town.spent("delivered") == expected(PEOPLE)


@pytest.mark.parametrize("known_as", [PEOPLE[0], "393339999999"])
def test_a_receipt_finds_its_message_from_any_shard(town: Town, known_as: str) -> None:
    """The recipient of a group's receipt may be on another shard than the group."""
    unit, id_ = town.lease(PEOPLE[0])
    town.redis.hset(keys.record(id_), mapping={"state": "uncertain", "number": unit})
    town.redis.hset(keys.kept(unit), id_, "0envelope")
    town.redis.zadd(keys.uncertain(unit), {id_: 1})
    town.come_in(row(number=known_as, reference_number=id_, status=3))
    record = look_up(town.redis, id_)
    assert record is not None
    assert (record.state, record.number) == (State.READ, NUMBER)
    assert not town.redis.exists(keys.uncertain(unit), keys.kept(unit))


def test_a_message_is_looked_up_on_whichever_shard_it_is(town: Town) -> None:
    """It is being sent, and the number that it belongs to has no part of a name more."""
    _, id_ = town.lease(PEOPLE[3])
    record = look_up(town.redis, id_)
    assert record is not None
    assert (record.state, record.number) == (State.SENDING, NUMBER)


def test_a_gateway_follows_what_its_workers_agree_on(redis: redis_py.Redis, server: ThrowawayServer) -> None:
    """Whatever its own environment says; without a worker it goes by that."""
    for agreed in (0, 2):
        redis.flushdb()
        town = Town(redis, server.url)
        if agreed:
            town.start_worker(agreed)
        with town.door:
            town.come_in(*(inbound(unique__id=index, number=to) for index, to in enumerate(PEOPLE)))
        assert town.spent("inbound") == expected(PEOPLE, agreed or 4)


def test_a_gateway_that_was_told_of_no_shards_follows_its_workers_too(
    redis: redis_py.Redis, server: ThrowawayServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its first webhook on, loudly; and again when they agree on another number, without a restart."""
    monkeypatch.setattr(shards_seen, "LOOK_EVERY_US", 0)
    town = Town(redis, server.url, ours=1)
    town.start_worker(4)
    with town.door:
        town.come_in(*(inbound(unique__id=index, number=to) for index, to in enumerate(PEOPLE)))
        assert town.spent("inbound") == expected(PEOPLE)
        town.start_worker(2)
        town.come_in(*(inbound(unique__id=100 + index, number=to) for index, to in enumerate(PEOPLE)))
        assert town.spent("inbound") == {**expected(PEOPLE), **expected(PEOPLE, 2)}
    said = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    assert [(one["ours"], one["fewest"]) for one in said if one["event"] == "shards_differ"] == [(1, 4), (1, 2)]


def test_a_look_is_a_second_old_at_the_most_while_things_come_in() -> None:
    """One question a second, however many ask; nobody waits for it but who comes first after a pause."""

    async def run() -> None:
        clock = FakeClock()
        commit = Mock()
        commit.run = AsyncMock(side_effect=[4, 2, BrokerUnavailable("away"), 8])
        seen = ShardsSeen(commit, {NUMBER: rules_of(settings_of(), lease_ttl_ms=1)}, clock=clock)
        assert await asyncio.gather(*(seen.of(NUMBER) for _ in range(5))) == [4] * 5
        clock.advance(timedelta(milliseconds=999))
        assert (await seen.of(NUMBER), commit.run.await_count) == (4, 1)
        clock.advance(timedelta(milliseconds=1))
        assert await seen.of(NUMBER) == 4
        await asyncio.sleep(0)
        assert await seen.of(NUMBER) == 2
        clock.advance(timedelta(seconds=60))
        assert [await seen.of(NUMBER), await seen.of(NUMBER)] == [2, 8]

    asyncio.run(run())


def settings_of() -> NumberSettings:
    """Return a number's settings with nothing set."""
    return Settings.from_env({}).number(NUMBER)


def test_figures_show_each_shard_and_the_sum(town: Town) -> None:
    """Over HTTP, and drawn; with one shard nothing is added."""
    town.lease(PEOPLE[0])
    home = shards.shard_of(PEOPLE[0], 4)
    town.door.together(*(("POST", HOOK, inbound(unique__id=index, number=PEOPLE[0])) for index in range(200)))
    Client(town.redis).push_many(NUMBER, [Message(to=to, text="x", class_=MessageClass.BULK) for to in PEOPLE])
    told = town.door.get(f"/v1/numbers/{NUMBER}", authorization="Bearer t").json
    assert (told["tps"], told["waiting"]["bulk"], told["leased"]) == (20, len(PEOPLE), 1)
    assert [one["shard"] for one in told["shards"]] == [0, 1, 2, 3]
    assert told["spent"] == told["shards"][home]["spent"]
    assert told["debt_ms"] == told["shards"][home]["debt_ms"] > 0
    assert [one["totals"]["inbound"] for one in told["shards"]] == [200 if shard == home else 0 for shard in range(4)]
    console = Console(record=True, width=100)
    paint.numbers(console, [figures.read(town.redis, town.settings, NUMBER)])
    drawn = console.export_text()
    assert "20 TPS on each of 4 shards" in drawn
    assert " of 80" in drawn
    assert "shard 3" in drawn
    plain = figures.read(town.redis, town.settings, "15555550199")
    assert plain.shards == ()
    assert "shards" not in plain.as_json()
