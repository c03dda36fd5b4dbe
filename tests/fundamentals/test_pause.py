"""Pausing holds a number.

A person pauses a number, and from that moment nothing more of it leaves: not what waits, and not what was leased but
has not begun. Nothing is lost, nothing is reordered, and apps go on enqueueing.
"""

from __future__ import annotations

from headway import Client, MessageClass
from scheduler import control
from scheduler.decisions import Refuse
from tests.scripts.stage import NUMBER, Stage


def test_a_paused_number_sends_nothing_and_loses_nothing(client: Client, number: Stage) -> None:
    """Enqueued before and during the pause, all leave after it, in order."""
    before = client.push(NUMBER, to="393331234567", text="1", class_=MessageClass.URGENT)
    control.pause(number.redis, NUMBER, by="the tutorial")
    during = client.push(NUMBER, to="393331234568", text="2", class_=MessageClass.URGENT)
    assert number.lease() == Refuse(number.now_us, "paused")
    control.resume(number.redis, NUMBER, by="the tutorial")
    assert number.ids() == [before, during]


def test_pause_reaches_what_a_worker_has_taken_already(client: Client, number: Stage) -> None:
    """Leased, not begun: the begin says no, and the message waits at the head again."""
    message = client.push(NUMBER, to="393331234567", text="1", class_=MessageClass.URGENT)
    number.granted("L")
    control.pause(number.redis, NUMBER, by="the tutorial")
    assert number.begin("L") == "paused"
    control.resume(number.redis, NUMBER, by="the tutorial")
    assert number.ids() == [message]


def test_what_comes_in_is_counted_during_a_pause(number: Stage) -> None:
    """A pause stops what we send, not what others do."""
    control.pause(number.redis, NUMBER, by="the tutorial")
    assert number.count("in-1") == 1
    assert number.meter()["inbound"] == 1


def test_a_pause_says_who_and_when(number: Stage) -> None:
    """So that the next person knows whom to ask."""
    control.pause(number.redis, NUMBER, by="Ada")
    live = control.read(number.redis, NUMBER)
    assert live.paused
    assert live.by == "Ada"
    assert live.at_ms > 0
