"""Does what a person says of messages hold on real workers, for what they have leased already, within a second?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from headway import MessageClass
from scheduler.cancel import cancel
from scheduler.decree import Decree
from scheduler.marks import Selection
from scheduler.steer import Verb, steer
from tests.processes.worker_kit import House, open_house

pytestmark = pytest.mark.processes

BY = Decree(by="a test", reason="to see it")
TTL_S = 3600


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server and one sink for all tests here."""
    with open_house(tmp_path_factory.mktemp("house")) as house:
        yield house


def steered(house: House, number: str, verb: Verb, campaign: str) -> None:
    """Do something with a campaign."""
    steer(house.redis, number, verb, Selection(campaign=campaign), BY, record_ttl_s=TTL_S)


def test_a_leased_campaign_is_held_and_goes_on(house: House) -> None:
    """The worker has its lease and hasn't begun: nothing of it arrives until it is let go; what is beside it leaves."""
    number = house.number()
    ids = house.push(number, 3, campaign="c")
    with house.worker(number, fault="after_lease") as worker:
        worker.stands_at("after_lease")
        steered(house, number, Verb.PAUSE, "c")
        others = house.push(number, 2)
        worker.go_on()
        assert worker.says("lease_lost")["why"] == "stale"
        house.all_are(others, "sent")
        assert house.states(ids) == ["waiting"] * 3
        assert house.arrivals(ids) == []
        steered(house, number, Verb.RESUME, "c")
        house.all_are(ids, "sent", within=timedelta(seconds=5))
        assert house.arrivals(ids) == ids


def test_a_leased_message_that_is_cancelled_never_arrives(house: House) -> None:
    """One message, and a whole campaign: the others of the same lease leave."""
    number = house.number()
    ids, dropped = house.push(number, 3), house.push(number, 2, campaign="c")
    with house.worker(number, fault="after_lease") as worker:
        worker.stands_at("after_lease")
        assert cancel(house.redis, ids[1], BY, record_ttl_s=TTL_S).done
        steered(house, number, Verb.CANCEL, "c")
        worker.go_on()
        house.all_are([ids[0], ids[2]], "sent")
        house.all_are([ids[1], *dropped], "cancelled")
        assert house.arrivals([ids[1], *dropped]) == []


def test_a_campaign_under_way_stops_within_a_second_on_all_workers(house: House) -> None:
    """Two workers at 100 a second: a second after the pause nothing arrives any more; none is lost, none is twice."""
    number = house.number()
    slow = {"HEADWAY_TPS": "100"}
    with house.worker(number, env=slow) as one, house.worker(number, env=slow) as other:
        one.ready()
        other.ready()
        ids = house.push(number, 600, campaign="c", class_="bulk")
        time.sleep(1)  # they are under way
        steered(house, number, Verb.PAUSE, "c")
        time.sleep(1)
        arrived = house.arrivals(ids)
        assert 0 < len(arrived) < 600
        time.sleep(1)
        assert house.arrivals(ids) == arrived
        steered(house, number, Verb.RESUME, "c")
        house.all_are(ids, "sent")
        assert len(set(house.arrivals(ids))) == len(house.arrivals(ids)) == 600


@pytest.mark.parametrize(
    "selection", [Selection(), Selection(campaign="c"), Selection(class_=MessageClass.NORMAL)], ids=str
)
def test_a_hold_that_ends_by_itself_needs_nobody(house: House, selection: Selection) -> None:
    """The worker asks when its time is over; no doorbell rings."""
    number = house.number()
    with house.worker(number) as worker:
        worker.ready()
        house.all_are(house.push(number, 1), "sent")
        seconds, _ = house.redis.time()
        until = Decree(by="a test", until_ms=(seconds + 2) * 1000)
        steer(house.redis, number, Verb.PAUSE, selection, until, record_ttl_s=TTL_S)
        ids = house.push(number, 3, campaign="c")
        time.sleep(0.5)
        assert house.arrivals(ids) == []
        house.all_are(ids, "sent", within=timedelta(seconds=5))
