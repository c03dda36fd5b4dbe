"""What do real workers do when a provider drops its answer, answers twice, answers garbage, hangs, or says stop?

The sink's journal is the truth: how often a message was at the provider.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from delivery.dead import Verb, decide_some
from delivery.receipts import Receipt, receipts
from delivery.states import State
from headway import keys
from scheduler import control
from tests.harness.waiting import wait_until
from tests.processes.worker_kit import House, open_house, send_nothing_again

pytestmark = pytest.mark.processes

#: Short enough for a test, long enough that one can step in between.
QUICK = {"HEADWAY_UNCERTAIN_WAIT": "2", "HEADWAY_SEND_TIMEOUT": "1"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server for all tests here; each has a sink of its own."""
    with open_house(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture
def sink(house: House) -> Iterator[House]:
    """A provider of one test."""
    with house.another_sink() as sink:
        yield sink


def history(house: House, message_id: str) -> list[str]:
    """The states in a message's history."""
    return [json.loads(line)["state"] for line in house.record(message_id)["history"].splitlines()]


@pytest.mark.parametrize("mode", ["hang", "cut", "garbage"])
def test_an_answer_that_never_came_is_waited_for_and_then_the_class_decides(sink: House, mode: str) -> None:
    """Urgent messages are sent once more, bulk ones are held; the log says both, and a person lets one go on."""
    number = sink.number()
    sink.control(mode=mode)
    with sink.worker(number, env=QUICK) as worker:
        worker.ready()
        urgent, bulk = sink.push(number, class_="urgent"), sink.push(number, class_="bulk")
        sink.all_are([*urgent, *bulk], "uncertain")
        assert len(sink.arrivals(urgent)) == len(sink.arrivals(bulk)) == 1
        sink.control(mode="ok")
        assert worker.says("uncertain_held")["messages"] == bulk
        assert worker.says("uncertain_resent")["messages"] == urgent
        sink.all_are(urgent, "sent")
        assert (len(sink.arrivals(urgent)), sink.record(urgent[0])["attempts"]) == (2, "2")
        assert history(sink, urgent[0]) == ["uncertain", "waiting", "sent"]
        assert (sink.states(bulk), len(sink.arrivals(bulk))) == (["uncertain"], 1)
        assert (sink.redis.zscore(keys.uncertain(number), bulk[0]) or 0) < 0
        decided = decide_some(
            sink.redis, [number], State.UNCERTAIN, bulk, Verb.RETRY, by="ada", record_ttl_s=600
        )  # a person knows better
        assert decided == bulk
        sink.all_are(bulk, "sent")
        assert len(sink.arrivals(bulk)) == 2


def test_an_answer_that_came_twice_is_one(sink: House) -> None:
    """The second is nobody's."""
    number = sink.number()
    sink.control(mode="twice")
    with sink.worker(number, env=QUICK) as worker:
        worker.ready()
        ids = sink.push(number, 5, class_="urgent")
        sink.all_are(ids, "sent")
        sink.control(mode="ok")
        send_nothing_again(sink, number, ids)


def test_a_receipt_in_time_ends_the_doubt(sink: House) -> None:
    """Its message isn't sent again, whatever its class says."""
    number = sink.number()
    sink.control(mode="cut")
    with sink.worker(number, env={**QUICK, "HEADWAY_UNCERTAIN_WAIT": "3"}) as worker:
        worker.ready()
        ids = sink.push(number, 2, class_="urgent")
        sink.all_are(ids, "uncertain")
        sink.run(receipts(number, [Receipt(reference=ids[0], state=State.DELIVERED)], record_ttl_s=600))
        sink.control(mode="ok")
        sink.all_are(ids[1:], "sent")
        assert (sink.states(ids[:1]), len(sink.arrivals(ids[:1]))) == (["delivered"], 1)


def test_a_receipt_for_what_waits_again_keeps_it_from_leaving(sink: House) -> None:
    """The number rests when it comes: the row stands on its lane, and is dropped there."""
    number = sink.number()
    sink.control(mode="cut")
    with sink.worker(number, env=QUICK) as worker:
        worker.ready()
        ids = sink.push(number, 2, class_="urgent")
        sink.all_are(ids, "uncertain")
        control.pause(sink.redis, number, by="a test")
        sink.control(mode="ok")
        sink.all_are(ids, "waiting")
        sink.run(receipts(number, [Receipt(reference=ids[0], state=State.READ)], record_ttl_s=600))
        control.resume(sink.redis, number, by="a test")
        sink.all_are(ids[1:], "sent")
        assert (sink.states(ids[:1]), len(sink.arrivals(ids[:1]))) == (["read"], 1)
        assert not sink.redis.exists(keys.cancelled(number))


@pytest.mark.parametrize("mode", ["fail:401", "fail:403", "http:404"])
def test_a_provider_that_says_stop_stops_the_number_and_burns_nothing(sink: House, mode: str) -> None:
    """An alarm, the rows at the head of their lane, no attempt; after the person's work they leave in their order."""
    number = sink.number()
    sink.control(mode=mode)
    with sink.worker(number, env=QUICK) as worker:
        worker.ready()
        ids = sink.push(number, 3)
        worker.says("number_paused")
        wait_until(
            lambda: sink.redis.llen(keys.lanes(number)[2]) == 3,
            description="the rows on their lane",
            detail=worker.tail,
        )
        assert {sink.record(message_id).get("attempts", "0") for message_id in ids} == {"0"}
        sink.control(mode="ok")
        control.resume(sink.redis, number, by="a test")
        sink.all_are(ids, "sent")
        taken = [row["reference_number"] for row in sink.journal(ids) if row["taken"]]
        assert taken == ids


def test_a_provider_that_is_never_there_makes_a_message_dead_in_its_time(sink: House) -> None:
    """It never left and burnt no attempt; a person retries it when the provider is back."""
    number = sink.number()
    nowhere = {"HEADWAY_PROVIDER_URL": "http://127.0.0.1:9", "HEADWAY_RETRY_FOR": "2"}
    with sink.worker(number, env=nowhere) as worker:
        worker.ready()
        ids = sink.push(number)
        sink.all_are(ids, "dead", within=timedelta(seconds=60))
        assert worker.says("message_dead")["message"] == ids[0]
    record = sink.record(ids[0])
    assert record.get("attempts", "0") == "0"
    assert json.loads(record["history"].splitlines()[-1])["gave_up"] == "time"
    with sink.worker(number) as worker:
        worker.ready()
        assert decide_some(sink.redis, [number], State.DEAD, ids, Verb.RETRY, by="ada", record_ttl_s=600) == ids
        sink.all_are(ids, "sent")
        assert len(sink.arrivals(ids)) == 1


def test_a_provider_that_never_takes_it_ends_a_message_by_its_attempts(sink: House) -> None:
    """One that is refused for good is dead at once, and named."""
    number = sink.number()
    sink.control(mode="fail:402")
    with sink.worker(number, env=QUICK) as worker:
        worker.ready()
        ids = sink.push(number, 2)
        sink.all_are(ids, "dead")
        assert {sink.record(message_id)["attempts"] for message_id in ids} == {"1"}
        assert sink.redis.zcard(keys.dead(number)) == sink.redis.hlen(keys.kept(number)) == 2
