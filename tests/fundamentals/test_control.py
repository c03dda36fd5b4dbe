"""A person steers what waits, and says why.

Pause, resume, purge, cancel and drain go by class, campaign, tag, recipient and age. They are marks that a lease looks
at when it meets a message, so nothing is taken out of the middle of a lane, and they are in force on all workers at
once, also for what a worker has taken already. Whoever looks later finds who did it, when and why.
"""

from __future__ import annotations

from typing import Any

import pytest

from headway import Client, MessageClass, NumberDrained
from runtime.settings import Settings
from scheduler import control
from scheduler.cancel import cancel
from scheduler.decree import Decree
from scheduler.history import history
from scheduler.marks import Selection
from scheduler.outlook import outlook
from scheduler.preview import preview
from scheduler.steer import Verb, steer
from tests.scripts.stage import NUMBER, Stage

A_DAY_S = 86_400


@pytest.fixture
def number(redis: Any) -> Stage:
    """A number of 100 TPS, whose clock is the server's: accepted is when it was accepted."""
    stage = Stage(redis, tps=100)
    seconds, micros = redis.time()
    stage.now_us = seconds * 1_000_000 + micros
    return stage


def decide(number: Stage, verb: Verb, selection: Selection, *, reason: str = "the tutorial") -> None:
    """Ada decides."""
    ada = Decree(by="Ada", where="her desk", reason=reason)
    steer(number.redis, NUMBER, verb, selection, ada, record_ttl_s=A_DAY_S)


SPRING = Selection(campaign="spring")


def test_a_campaign_is_held_while_everything_else_goes_on(client: Client, number: Stage) -> None:
    """It waits aside, and comes back to where it was."""
    spring = [client.push(NUMBER, to=f"39333123456{i}", text="Sale!", campaign="spring") for i in range(3)]
    other = client.push(NUMBER, to="393331239999", text="Your parcel is on its way")
    decide(number, Verb.PAUSE, SPRING)
    assert number.drain() == [other]
    decide(number, Verb.RESUME, SPRING)
    assert number.drain() == spring


def test_what_a_worker_has_taken_already_is_held_too(client: Client, number: Stage) -> None:
    """Leased, not begun: the begin says no, and nothing has left."""
    message = client.push(NUMBER, to="393331234567", text="Sale!", campaign="spring")
    number.granted("L")
    decide(number, Verb.PAUSE, SPRING)
    assert number.begin("L") == "stale"
    decide(number, Verb.RESUME, SPRING)
    assert number.drain() == [message]


def test_look_first_then_purge(client: Client, number: Stage) -> None:
    """How many, and which; then they never leave, and each record says who and why. What comes later leaves."""
    for i in range(3):
        client.push(NUMBER, to=f"39333123456{i}", text="Sael!", class_=MessageClass.BULK)
    bulk = Selection(class_=MessageClass.BULK)
    look = preview(number.redis, NUMBER, bulk)
    assert (look.count, look.exact, look.samples[0].to) == (3, True, "3933••••••60")
    decide(number, Verb.PURGE, bulk, reason="a typo")
    assert number.drain() == []
    record = client.status(look.samples[0].id)
    assert record is not None
    assert (record["state"], record["reason"]) == ("cancelled", "a typo")


def test_one_message_is_taken_back_unless_it_has_left(client: Client, number: Stage) -> None:
    """The answer is the truth: cancelled, or why not."""
    first = client.push(NUMBER, to="393331234567", text="1", class_=MessageClass.URGENT)
    ada = Decree(by="Ada")
    assert number.ids("L") == [first]
    second = client.push(NUMBER, to="393331234568", text="2", class_=MessageClass.URGENT)
    number.begin("L")
    assert cancel(number.redis, first, ada, record_ttl_s=A_DAY_S).why == "it is being sent at this moment"
    assert cancel(number.redis, second, ada, record_ttl_s=A_DAY_S).done
    assert number.drain() == []


def test_a_drained_number_takes_no_more(client: Client, number: Stage) -> None:
    """Apps hear so, with the reason; what waits leaves."""
    before = client.push(NUMBER, to="393331234567", text="1")
    decide(number, Verb.DRAIN, Selection(), reason="we move on Monday")
    with pytest.raises(NumberDrained, match="we move on Monday"):
        client.push(NUMBER, to="393331234568", text="2")
    assert number.drain() == [before]


def test_after_an_outage_look_before_you_resume(client: Client, number: Stage) -> None:
    """What would go now, how old it is, and what has expired meanwhile: that never leaves."""
    control.pause(number.redis, NUMBER, by="Ada", reason="the provider is down")
    client.push(NUMBER, to="393331234567", text="Your code is 1", expires_at="2020-01-01T00:00:00Z")
    fresh = client.push(NUMBER, to="393331234568", text="Your parcel is on its way")
    (normal,) = outlook(number.redis, Settings.from_env({}).number(NUMBER))
    assert (normal.class_, normal.waiting, normal.expired) == (MessageClass.NORMAL, 2, 1)
    control.resume(number.redis, NUMBER, by="Ada")
    rows = number.granted().rows
    assert [(row.id == fresh, row.verdict) for row in rows] == [(False, "expired"), (True, "send")]


def test_who_did_what_and_why(client: Client, number: Stage) -> None:
    """The newest first: for the next person, and for the one after."""
    client.push(NUMBER, to="393331234567", text="Sale!", campaign="spring")
    decide(number, Verb.PAUSE, SPRING, reason="wrong price")
    decide(number, Verb.CANCEL, SPRING, reason="wrong price, new file tomorrow")
    log = [(entry.by, entry.what, entry.reason) for entry in history(number.redis, NUMBER)]
    assert log == [
        ("Ada", "cancel campaign spring", "wrong price, new file tomorrow"),
        ("Ada", "pause campaign spring", "wrong price"),
    ]
