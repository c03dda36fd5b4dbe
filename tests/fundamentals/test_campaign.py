"""A campaign is one file, sent to many.

The file is checked whole, and its texts are filled in, before anything is enqueued. From then on its messages are
messages like all others: they leave when the number has room, behind what is more urgent. What makes them a campaign is
that they can be stopped together, and that the same file sent again sends nothing twice.
"""

from __future__ import annotations

import pytest
import redis as redis_py

from campaigns import load, store, tables
from campaigns.load import Order
from campaigns.problems import BadRows
from campaigns.progress import Progress
from campaigns.recipe import Recipe
from campaigns.store import Campaign, State, Who
from campaigns.tables import Limits
from headway import Client
from scheduler.campaigns import steer_all
from scheduler.decree import Decree
from scheduler.steer import Verb
from tests.scripts.stage import NUMBER, RECORD_TTL_S, Stage

GUESTS = "phone,name\n+39 333 1234567,Ada\n+39 333 1234568,Bob\n+39 333 1234569,\n"
INVITE = Recipe(to="phone", fields={"text": "Hi {{name}}!"}, defaults={"name": "you"})


def send(redis: redis_py.Redis, file: str) -> Campaign:
    """Send a file, as `headway campaign send guests.csv` does."""
    limits = Limits()
    table = tables.read(file.encode(), file="guests.csv", limits=limits)
    order = Order(table=table, recipe=INVITE, number=NUMBER, name="spring", who=Who("the tutorial"))
    return load.send(redis, order, limits=limits, record_ttl_s=RECORD_TTL_S).campaign


def change(number: Stage, campaign: Campaign, verb: Verb, state: State) -> None:
    """Pause, resume or cancel it, as `headway campaign pause …` does."""
    store.become(number.redis, campaign.id, state)
    decree = Decree(by="the tutorial", reason="to show it", now_us=number.now_us)
    steer_all(number.redis, NUMBER, campaign.id, verb, decree, record_ttl_s=RECORD_TTL_S)


def test_each_guest_gets_a_text_of_their_own(redis: redis_py.Redis, number: Stage) -> None:
    """Filled in from the file's columns, a default where one is empty; in the file's order."""
    campaign = send(redis, GUESTS)
    number.change(tps_milli=1_000_000)
    rows = number.granted().rows
    assert [row.id for row in rows] == [f"{campaign.id}.{place}" for place in (1, 2, 3)]
    assert ["Hi Ada!" in row.body for row in rows] == [True, False, False]
    assert "Hi you!" in rows[2].body


def test_one_bad_row_refuses_the_file(redis: redis_py.Redis, number: Stage) -> None:
    """Row and column are named, and nobody gets half an invitation."""
    with pytest.raises(BadRows) as refused:
        send(redis, GUESTS + "no number,Cy\n")
    assert refused.value.listed[0].startswith("guests.csv, line 5, phone: is no phone number")
    assert number.drain() == []


def test_the_same_file_again_sends_nothing_twice(redis: redis_py.Redis, number: Stage) -> None:
    """Whoever isn't sure whether it went through does it again."""
    assert send(redis, GUESTS).id == send(redis, GUESTS).id
    number.change(tps_milli=1_000_000)
    assert len(number.drain()) == 3


def test_what_is_urgent_goes_first(redis: redis_py.Redis, client: Client, number: Stage) -> None:
    """A campaign is bulk unless it says otherwise."""
    send(redis, GUESTS)
    code = client.push(NUMBER, to="393339999999", text="your code is 1234", class_="urgent")
    assert number.ids()[0] == code


def test_a_pause_holds_the_campaign_alone(redis: redis_py.Redis, client: Client, number: Stage) -> None:
    """Other messages go on; resumed, its own leave in their order."""
    number.change(tps_milli=1_000_000)
    campaign = send(redis, GUESTS)
    other = client.push(NUMBER, to="393339999999", text="of somebody else", class_="bulk")
    change(number, campaign, Verb.PAUSE, State.PAUSED)
    assert number.drain() == [other]
    change(number, campaign, Verb.RESUME, State.RUNNING)
    assert number.drain() == [f"{campaign.id}.{place}" for place in (1, 2, 3)]


def test_a_cancel_reaches_what_a_worker_has_taken_already(redis: redis_py.Redis, number: Stage) -> None:
    """Leased, not begun: the begin says no. Nothing of it leaves any more, and the records say so."""
    number.change(tps_milli=1_000_000)
    campaign = send(redis, GUESTS)
    number.granted("L")
    change(number, campaign, Verb.CANCEL, State.CANCELLED)
    assert number.begin("L") == "stale"
    assert number.drain() == []
    assert Progress(campaign.id).look(redis, campaign) == {"cancelled": 3}
