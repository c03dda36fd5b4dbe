"""Does each message of a campaign get onto its lane exactly once, whatever breaks, and nothing of a refused one?"""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis as redis_py

from campaigns import load, store, suppression, tables
from campaigns.load import Order
from campaigns.problems import BadRows, CampaignConflict, CampaignError, UnknownCampaign
from campaigns.progress import Progress, noted
from campaigns.recipe import Recipe
from campaigns.store import State, Who
from campaigns.tables import Limits
from headway import BrokerUnavailable, MessageClass, NumberDrained, keys

NUMBER = "15555550100"
LIMITS = Limits()
TTL_S = 600
WHO = Who("ada", "here", "spring")


def order(content: str, *, name: str = "guests", **recipe: Any) -> Order:
    """Return the order for a CSV."""
    table = tables.read(content.encode(), file="guests.csv", limits=LIMITS)
    return Order(table=table, recipe=Recipe(**recipe), number=NUMBER, name=name, who=WHO)


def rows(count: int) -> str:
    """Return a CSV with so many rows."""
    return "to,text\n" + "".join(f"39333{at:07d},Hi {at}\n" for at in range(count))


def send(redis: redis_py.Redis, what: Order) -> load.Outcome:
    """Send a campaign."""
    return load.send(redis, what, limits=LIMITS, record_ttl_s=TTL_S)


def lane(redis: redis_py.Redis, class_: MessageClass = MessageClass.BULK) -> list[dict[str, Any]]:
    """Return the messages on a lane, the first to leave first."""
    found = [json.loads(envelope) for envelope in redis.lrange(keys.lane(NUMBER, class_), 0, -1)]
    return [{"id": one["headers"]["id"], **json.loads(one["body"])[1]} for one in reversed(found)]


def test_a_campaign_is_its_messages_and_who_made_it(redis: redis_py.Redis) -> None:
    """In the file's order, each with an id that follows from the campaign's; the number's changes say who."""
    outcome = send(redis, order(rows(3), fields={"tag": "spring"}))
    made = outcome.campaign
    assert [one["id"] for one in lane(redis)] == [f"{made.id}.{at}" for at in (1, 2, 3)]
    assert {(one["campaign"], one["tag"]) for one in lane(redis)} == {(made.id, "spring")}
    assert (made.state, made.whole, made.queued, made.loaded, made.by) == (State.RUNNING, True, 3, 3, "ada")
    assert store.read(redis, made.id) == made
    (entry,) = [json.loads(one) for one in redis.lrange(keys.changes(NUMBER), 0, -1)]
    assert (entry["by"], entry["reason"], entry["after"]) == ("ada", "spring", f"{made.id} guests")


def test_nothing_of_a_refused_campaign_is_there(redis: redis_py.Redis) -> None:
    """999 good rows wait for the last to be corrected: no message, no campaign, no key at all."""
    with pytest.raises(BadRows, match="1 of 1,000 rows can't be sent, so nothing was enqueued"):
        send(redis, order(rows(999) + "nobody,Hi\n"))
    assert redis.keys("*") == []
    outcome = send(redis, order(rows(999) + "nobody,Hi\n", skip_bad=True))
    assert (outcome.campaign.rows, outcome.campaign.bad, len(lane(redis))) == (999, 1, 999)


def test_the_same_again_is_sent_once(redis: redis_py.Redis) -> None:
    """The same content under the same name is the same campaign; under another name, another one."""
    first = send(redis, order(rows(2)))
    again = send(redis, order(rows(2)))
    assert (again.repeated, again.campaign.id, len(lane(redis))) == (True, first.campaign.id, 2)
    with pytest.raises(CampaignConflict, match="with another text or other settings: give this one another name"):
        send(redis, order(rows(2), fields={"text": "Ho"}))
    assert send(redis, order(rows(2), name="second")).campaign.id != first.campaign.id
    assert len(lane(redis)) == 4


class Breaks:
    """A client whose connection ends after so many messages of a campaign have been worked through."""

    def __init__(self, after: int) -> None:
        self.after = after

    def __call__(self, count: int) -> None:
        """Be told how far it is."""
        if count >= self.after:
            raise redis_py.ConnectionError("gone")


@pytest.mark.parametrize("after", [0, 500, 1000])
def test_what_broke_off_goes_on_with_the_same_file(redis: redis_py.Redis, after: int) -> None:
    """By the same command or by its id: every message once, in order."""
    what = order(rows(1200))
    with pytest.raises(BrokerUnavailable, match="goes on where it is with the same file and name"):
        load.send(redis, what, limits=LIMITS, record_ttl_s=TTL_S, say=Breaks(after))
    (cut,), _ = store.page(redis)
    assert (cut.state, cut.whole, cut.loaded, len(lane(redis))) == (State.LOADING, False, after, after)
    by_id = after and load.resume(redis, cut.id, what.table, limits=LIMITS, record_ttl_s=TTL_S)
    outcome = by_id or send(redis, what)
    assert (outcome.campaign.id, outcome.campaign.state) == (cut.id, State.RUNNING)
    assert [one["text"] for one in lane(redis)] == [f"Hi {at}" for at in range(1200)]


def test_a_chunk_that_was_pushed_and_not_noted_is_there_once(redis: redis_py.Redis, monkeypatch: Any) -> None:
    """The process died in between; some of its messages have left by now."""

    def dies(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    what = order(rows(600))
    with monkeypatch.context() as patch:
        patch.setattr(load, "_note", dies)
        with pytest.raises(KeyboardInterrupt):
            send(redis, what)
    gone = {one["id"] for one in lane(redis)[:5]}
    redis.ltrim(keys.lane(NUMBER, MessageClass.BULK), 0, -6)
    outcome = send(redis, what)
    left = [one["id"] for one in lane(redis)]
    assert len(gone | set(left)) == len(gone) + len(left) == 600
    assert outcome.campaign.whole


def test_a_drained_number_takes_no_campaign(redis: redis_py.Redis) -> None:
    """It says who and why, and goes on when the number takes messages again."""
    mark = {"what": "drain", "by": "ada", "reason": "moving house", "at_ms": 1}
    redis.hset(keys.marks(NUMBER), "m", json.dumps(mark))
    with pytest.raises(NumberDrained, match=r"moving house \(ada\); campaign [0-9a-f]{12} goes on") as caught:
        send(redis, order(rows(2)))
    assert "EVAL" not in str(caught.value)
    assert lane(redis) == []
    redis.delete(keys.marks(NUMBER))
    assert send(redis, order(rows(2))).campaign.queued == len(lane(redis)) == 2


def test_another_file_does_not_go_on_with_it(redis: redis_py.Redis) -> None:
    """One byte less is another file; an id that never was has no campaign."""
    with pytest.raises(BrokerUnavailable):
        load.send(redis, order(rows(2)), limits=LIMITS, record_ttl_s=TTL_S, say=Breaks(0))
    (cut,), _ = store.page(redis)
    with pytest.raises(CampaignConflict, match="isn't the file of campaign"):
        load.resume(redis, cut.id, order(rows(1)).table, limits=LIMITS, record_ttl_s=TTL_S)
    with pytest.raises(UnknownCampaign):
        load.resume(redis, "0" * 12, order(rows(1)).table, limits=LIMITS, record_ttl_s=TTL_S)
    with pytest.raises(UnknownCampaign):
        store.read(redis, "../../etc")


def test_who_wants_no_campaign_gets_none(redis: redis_py.Redis) -> None:
    """Also who said so while it was being loaded."""
    suppression.add(redis, ["393330000001"], by="ada", where="here", reason="stop")

    def says_stop(count: int) -> None:
        if count == 500:
            suppression.add(redis, ["393330000599"], by="ada", where="here", reason="stop")

    made, unwanted = load.preview(redis, order(rows(600)), limits=LIMITS)
    assert (len(made.rows), unwanted) == (600, 1)
    outcome = load.send(redis, order(rows(600)), limits=LIMITS, record_ttl_s=TTL_S, say=says_stop)
    assert (outcome.campaign.suppressed, outcome.campaign.queued) == (2, 598)
    assert not {"393330000001", "393330000599"} & {one["to"] for one in lane(redis)}


def test_a_cancel_in_the_middle_of_loading_is_the_end(redis: redis_py.Redis) -> None:
    """No message gets onto a lane behind it, so a drop of what was accepted before drops all; it stays cancelled."""

    def cancels(count: int) -> None:
        if count == 500:
            (one,), _ = store.page(redis)
            store.become(redis, one.id, State.CANCELLED)

    with pytest.raises(CampaignConflict, match="was cancelled"):
        load.send(redis, order(rows(1200)), limits=LIMITS, record_ttl_s=TTL_S, say=cancels)
    assert len(lane(redis)) == 500
    with pytest.raises(CampaignConflict, match="was cancelled: give this one another name"):
        send(redis, order(rows(1200)))


def test_states_follow_as_a_person_asks(redis: redis_py.Redis) -> None:
    """Asking for what is so changes nothing; what can't be says why."""
    made = send(redis, order(rows(1))).campaign
    assert store.become(redis, made.id, State.RUNNING) == made
    assert store.become(redis, made.id, State.PAUSED).state is State.PAUSED
    assert store.become(redis, made.id, State.RUNNING).state is State.RUNNING
    assert store.become(redis, made.id, State.CANCELLED).state is State.CANCELLED
    for state, said in ((State.PAUSED, "paused"), (State.RUNNING, "resumed")):
        with pytest.raises(CampaignConflict, match=f"is cancelled, so it can't be {said}"):
            store.become(redis, made.id, state)


def test_progress_is_what_the_records_say(redis: redis_py.Redis) -> None:
    """Counted by state, the suppressed ones in none; done once nothing waits, running again if it does after all."""
    suppression.add(redis, ["393330000002"], by="ada", where="", reason="")
    made = send(redis, order(rows(4))).campaign
    seen = Progress(made.id)
    assert seen.look(redis, made) == {"waiting": 3}
    assert noted(redis, made, {"waiting": 3}) == made
    for place, state in ((1, "read"), (2, "sent"), (4, "dead")):
        redis.hset(keys.record(store.message_id(made.id, place)), "state", state)
    counts = seen.look(redis, made)
    assert counts == {"dead": 1, "read": 1, "sent": 1}
    done = noted(redis, made, counts)
    assert done.state is State.DONE
    redis.hset(keys.record(store.message_id(made.id, 4)), "state", "waiting")
    counts = seen.look(redis, done)
    assert counts == {"waiting": 1, "read": 1, "sent": 1}
    assert noted(redis, done, counts).state is State.RUNNING


def test_campaigns_are_listed_page_by_page(redis: redis_py.Redis) -> None:
    """The newest first."""
    made = [send(redis, order(rows(1), name=f"n{at}")).campaign for at in range(3)]
    redis.zadd(keys.campaigns(), {one.id: at + 1 for at, one in enumerate(made)})
    first, after = store.page(redis, most=2)
    rest, end = store.page(redis, most=2, after=after)
    assert [one.name for one in first + rest] == ["n2", "n1", "n0"]
    assert end == ""
    with pytest.raises(UnknownCampaign):
        store.page(redis, after="nobody")


def test_what_is_known_outlives_the_wait(redis: redis_py.Redis) -> None:
    """A campaign for next year is still one then."""
    made = send(redis, order(rows(1), fields={"send_at": "2100-01-01T08:00:00Z"})).campaign
    assert made.ttl_s > 365 * 86400
    assert redis.ttl(keys.campaign(made.id)) > 365 * 86400
    send(redis, order(rows(1), name="now"))
    assert redis.ttl(keys.campaigns()) > 365 * 86400


@pytest.mark.parametrize(
    ("name", "by", "reason"), [("", "a", ""), ("a", "", ""), ("a\n", "a", ""), ("a", "a", "\ud800")]
)
def test_names_that_cannot_be_shown_are_refused(name: str, by: str, reason: str) -> None:
    """Before anything is done."""
    table = tables.read(rows(1).encode(), file="guests.csv", limits=LIMITS)
    with pytest.raises(CampaignError, match="printable characters"):
        Order(table=table, recipe=Recipe(), number=NUMBER, name=name, who=Who(by, "", reason))


def test_the_list_says_who_and_why(redis: redis_py.Redis) -> None:
    """Who was put there first stays; what is taken off is gone."""
    assert suppression.add(redis, ["1", "2", "1"], by="ada", where="here", reason="stop") == 2
    assert suppression.add(redis, ["2", "3"], by="bob", where="there", reason="") == 1
    found = suppression.find(redis, "2")
    assert found is not None
    assert (found.by, found.reason, found.at_ms > 0) == ("ada", "stop", True)
    assert {one.to for one in suppression.page(redis)[0]} == {"1", "2", "3"}
    assert suppression.remove(redis, ["2", "9"]) == 1
    assert suppression.among(redis, ["1", "2", "3"]) == {"1", "3"}
    assert (suppression.find(redis, "2"), suppression.count(redis)) == (None, 2)
