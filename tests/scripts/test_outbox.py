"""Is what the app didn't take kept once, given in the order of each contact, and ended or parked as was said?"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import redis as redis_py

from delivery import outbox, outbox_desk
from delivery.outbox import Entry, Turn
from headway import keys
from runtime.scripts import Call, run_all
from tests.scripts.stage import everything

NUMBER = "15555550100"
ADA, BOB = "39333", "39334"
NOW_US = 1_900_000_000_000_000
SECOND_US = 1_000_000
NO_TIME = timedelta(0)
TTL = timedelta(seconds=45)


class Box:
    """The outbox of one number, at a time that the test decides."""

    def __init__(self, redis: redis_py.Redis) -> None:
        self.redis: Any = redis
        self.now_us = NOW_US

    def run(self, call: Call) -> Any:
        """Run one call; an error of the server is raised."""
        (reply,) = run_all(self.redis, [call])
        if isinstance(reply, Exception):
            raise reply
        return reply

    def store(self, id_: str, *, contact: str = ADA, came_us: int = 0, token: str = "") -> int:
        """Keep an entry that may be tried at once."""
        came_us = came_us or self.now_us
        entry = Entry(id=id_, contact=contact, serial_us=came_us, since_ms=came_us // 1000, what="inbound", body=b"{}")
        call = outbox.store(NUMBER, entry, token=token, first_try=NO_TIME, guard=id_, guard_ttl=TTL, now_us=self.now_us)
        return int(self.run(call))

    def due(self) -> list[bytes]:
        """Return whose line may be tried."""
        (found,) = self.run(outbox.due([NUMBER], most=10, now_us=self.now_us))
        return list(found)

    def take(self, token: str, *, contact: str = ADA) -> Turn | None:
        """Take the turn of a line."""
        call = outbox.take(
            NUMBER, contact, token=token, ttl=TTL, look_again=timedelta(milliseconds=200), now_us=self.now_us
        )
        return outbox.taken(self.run(call), token=token)

    def order(self, *, contact: str = ADA) -> list[str]:
        """Let the app take the whole line; return the ids in the order in which it got them."""
        got: list[str] = []
        while turn := self.take(f"t{len(got)}", contact=contact):
            got.append(turn.entry.id)
            self.run(outbox.gone(NUMBER, turn))
        return got


@pytest.fixture
def box(redis: redis_py.Redis) -> Box:
    """An empty outbox."""
    return Box(redis)


def test_it_is_kept_once(box: Box) -> None:
    """However often it is told, while it waits and after the app took it; a repeated webhook hears that it was done."""
    assert box.store("in:1") == 1
    before = everything(box.redis)
    assert box.store("in:1") == 0
    assert everything(box.redis) == before
    assert box.redis.get(keys.forwarded(NUMBER, "in:1")) == b"done:{}"
    assert box.order() == ["in:1"]
    assert box.store("in:1") == 0
    assert outbox_desk.counts(box.redis, NUMBER) == outbox_desk.Counts(0, 0, 0, 0)


def test_the_place_in_the_line_is_by_when_it_came(box: Box) -> None:
    """Not by when it was stored: the first one's app was asked longest. Others' lines are their own."""
    box.store("b", came_us=NOW_US - 2)
    box.store("c", came_us=NOW_US - 1)
    box.store("a", came_us=NOW_US - 3)
    box.store("x", contact=BOB)
    assert sorted(box.due()) == [ADA.encode(), BOB.encode()]
    assert (box.order(), box.order(contact=BOB)) == (["a", "b", "c"], ["x"])
    assert not box.redis.exists(keys.outbox(NUMBER), keys.outbox_lines(NUMBER), keys.outbox_due(NUMBER))
    assert not box.redis.exists(keys.outbox_since(NUMBER))


@pytest.mark.parametrize(("first", "second"), [("39", "393"), ("", "3"), ("a b", "a")])
def test_a_contact_that_begins_like_another_has_its_own_line(box: Box, first: str, second: str) -> None:
    """The end of a contact is marked."""
    box.store("1", contact=first)
    box.store("2", contact=second)
    assert (box.order(contact=first), box.order(contact=second)) == (["1"], ["2"])


def test_one_has_the_turn_until_it_ends_or_its_time_is_over(box: Box) -> None:
    """Two gateways never give one contact's messages at a time; one that died holds it no longer than the app may."""
    box.store("1")
    turn = box.take("a")
    assert turn is not None
    assert (box.due(), box.take("b")) == ([], None)
    box.now_us += 44 * SECOND_US
    assert box.due() == []
    box.now_us += SECOND_US
    assert box.due() == [ADA.encode()]
    again = box.take("b")
    assert again is not None
    assert again.entry == turn.entry
    assert box.run(outbox.again(NUMBER, turn, problem="late", wait=NO_TIME)) == 0
    assert box.run(outbox.gone(NUMBER, again)) == 1
    assert box.run(outbox.gone(NUMBER, again)) == 0


def test_a_request_under_way_goes_first(box: Box) -> None:
    """It came before; when it has to be kept itself, its place is before the others."""
    box.redis.zadd(keys.turns(NUMBER, ADA), {"request": NOW_US})
    box.redis.pexpire(keys.turns(NUMBER, ADA), 45_000)
    box.store("2", came_us=NOW_US + 1)
    assert box.take("a") is None
    assert box.due() == []
    box.now_us += SECOND_US
    box.store("1", came_us=NOW_US, token="request")
    assert box.order() == ["1", "2"]


def test_what_fails_waits_and_holds_its_own_contact_alone(box: Box) -> None:
    """Tried again after its wait, before all others of its contact; what the app said stands with it."""
    box.store("1")
    box.store("2", came_us=NOW_US + 1)
    box.store("x", contact=BOB)
    turn = box.take("a")
    assert turn is not None
    wait = timedelta(seconds=5)
    assert box.run(outbox.again(NUMBER, turn, problem="HTTP 500", wait=wait, now_us=box.now_us)) == 1
    assert box.due() == [BOB.encode()]
    box.now_us += 5 * SECOND_US
    turn = box.take("b")
    assert turn is not None
    assert (turn.entry.id, turn.entry.attempts, turn.entry.problem, turn.entry.body) == ("1", 1, "HTTP 500", b"{}")


def test_what_is_given_up_stays_for_a_person_and_lets_the_next_one_through(box: Box) -> None:
    """Parked: listed, not tried; retried it stands before the others again, for days again."""
    box.store("1")
    box.store("2", came_us=NOW_US + 1)
    turn = box.take("a")
    assert turn is not None
    box.run(outbox.park(NUMBER, turn, problem="HTTP 500"))
    (parked,) = outbox_desk.page(box.redis, NUMBER, "parked").entries
    assert (parked.place, parked.entry.id, parked.entry.attempts) == ("parked", "1", 1)
    counts = outbox_desk.counts(box.redis, NUMBER)
    assert (counts.waiting, counts.contacts, counts.parked) == (1, 1, 1)
    assert counts.oldest_ms == (NOW_US + 1) // 1000
    assert outbox_desk.retry(box.redis, NUMBER, "1")
    box.now_us += SECOND_US
    turn = box.take("b")
    assert turn is not None
    assert turn.entry.id == "1"
    assert turn.entry.since_ms != NOW_US // 1000
    assert outbox_desk.counts(box.redis, NUMBER).oldest_ms == NOW_US // 1000


def test_what_is_discarded_never_comes_back(box: Box) -> None:
    """Not even by the try that was under way; the next one of its contact has its turn."""
    box.store("1")
    box.store("2", came_us=NOW_US + 1)
    turn = box.take("a")
    assert turn is not None
    assert outbox_desk.discard(box.redis, NUMBER, "1")
    assert not outbox_desk.discard(box.redis, NUMBER, "1")
    assert box.run(outbox.again(NUMBER, turn, problem="", wait=NO_TIME, now_us=box.now_us)) == 0
    assert box.order() == ["2"]


def test_a_full_outbox_takes_no_more(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its caller hears so; what goes makes room."""
    monkeypatch.setattr(outbox, "MOST_BYTES", 250)
    assert [box.store("1"), box.store("2"), box.store("3")] == [1, 1, -1]
    box.order()
    assert box.store("3") == 1


def test_pages_bring_everything_once(box: Box) -> None:
    """Waiting ones contact by contact in their order, parked ones by when they were given up."""
    for place in range(5):
        box.store(f"a{place}", came_us=NOW_US + place)
        box.store(f"b{place}", contact=BOB, came_us=NOW_US + place)

    def all_of(place: outbox_desk.Place) -> list[str]:
        found: list[str] = []
        after = ""
        while True:
            page = outbox_desk.page(box.redis, NUMBER, place, after=after, limit=3)
            found += [one.entry.id for one in page.entries]
            after = page.after
            if not after:
                return found

    assert all_of("waiting") == [*(f"a{place}" for place in range(5)), *(f"b{place}" for place in range(5))]
    for place in range(4):
        turn = box.take(f"t{place}")
        assert turn is not None
        box.run(outbox.park(NUMBER, replace(turn), problem="x"))
    assert all_of("parked") == [f"a{place}" for place in range(4)]
    assert outbox_desk.retry_all(box.redis, NUMBER) == 10
    assert all_of("parked") == []
    with pytest.raises(ValueError, match="after: "):
        outbox_desk.page(box.redis, NUMBER, "waiting", after="ä")


def test_who_is_behind_is_told(box: Box) -> None:
    """Of many contacts those for whom something is kept."""
    contacts = [BOB, "1", ADA]
    assert box.run(outbox.behind(NUMBER, contacts)) == []
    box.store("1")
    assert box.run(outbox.behind(NUMBER, contacts)) == [3]
