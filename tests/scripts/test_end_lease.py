"""What becomes of a lease that nobody will settle?"""

from __future__ import annotations

import pytest
import redis as redis_py

from delivery.settle import Ended, Ending, Settlement
from delivery.states import State
from headway import keys
from tests.scripts.stage import NUMBER, Stage, everything


def test_rows_not_begun_go_back_to_the_head_uncharged(stage: Stage) -> None:
    """They were certainly not sent."""
    stage.change(tps_milli=100_000)
    stage.push("u1", "u2", class_="urgent")
    stage.push("b1", "b2", class_="bulk")
    stage.granted("L")
    stage.push("u3", class_="urgent")
    assert stage.end("L") == Ended("returned", 4)
    assert stage.waiting("urgent") == ["u1", "u2", "u3"]
    assert stage.waiting("bulk") == ["b1", "b2"]
    assert stage.meter()["window"] == stage.meter()["send"] == stage.meter()["backlog"] == 0
    assert stage.record("u1")["state"] == "waiting"
    assert not stage.redis.exists(keys.leases(NUMBER), keys.leased(NUMBER), keys.deadlines(NUMBER))


def test_begun_rows_are_uncertain(stage: Stage) -> None:
    """The provider may have them: they are kept, charged, and go nowhere by themselves; what expired goes back."""
    stage.push("old", class_="urgent", expires_at="2020-01-01T00:00:00Z")
    stage.push("a", "b", class_="urgent")
    stage.granted("L")
    stage.begin("L")
    stage.sent("L", "a")
    stage.later(ms=20_000)
    assert stage.end("L") == Ended("uncertain", 1)
    assert stage.record("b")["state"] == "uncertain"
    assert stage.record("b")["reason"] == "lost"
    assert stage.record("b")["attempts"] == "1"
    assert stage.scores(keys.uncertain(NUMBER)) == {"b": stage.now_us // 1000}
    assert stage.names(keys.kept(NUMBER)) == {"b"}
    assert stage.waiting("urgent") == ["old"]
    assert stage.meter()["send"] == 2
    assert stage.ids() == ["old"]


def test_ending_again_changes_nothing(stage: Stage) -> None:
    """The second run finds no lease."""
    stage.push("a", "b", class_="urgent")
    stage.granted("L")
    stage.begin("L")
    stage.end("L", rows=["a", "b"])
    before = everything(stage.redis)
    assert stage.end("L", rows=["a", "b"]) == Ended("gone")
    assert everything(stage.redis) == before


def test_an_expired_lease_is_ended_only_past_its_deadline(stage: Stage) -> None:
    """Up to its deadline it is held; a renewal moves that."""
    stage.push("a", class_="urgent")
    stage.granted("L")
    stage.later(ms=9_000)
    assert stage.renew("L") == []
    stage.later(ms=9_999)
    assert stage.end("L", when=Ending.EXPIRED) == Ended("held")
    stage.later(ms=1)
    assert stage.sweep() & 2
    assert stage.end("L", when=Ending.EXPIRED) == Ended("returned", 1)


def test_unbegun_does_not_touch_what_has_begun(stage: Stage) -> None:
    """A holder that hands back what Celery gave up can't take back what left."""
    stage.push("a", class_="urgent")
    stage.granted("L")
    stage.begin("L")
    before = everything(stage.redis)
    assert stage.end("L", when=Ending.UNBEGUN) == Ended("held")
    assert everything(stage.redis) == before


def test_only_what_is_left_of_the_charge_is_refunded(stage: Stage) -> None:
    """After a partial settle with a refund, the end refunds the rest, not all of it again."""
    stage.push("a", "b", "c", class_="urgent")
    stage.granted("L")
    stage.settle("L", Settlement("a", State.DEAD, left=False))
    assert stage.meter()["window"] == 2
    stage.end("L")
    assert stage.meter()["window"] == stage.meter()["send"] == 0
    assert not stage.redis.exists(keys.window(NUMBER))


def test_records_that_are_not_named_end_nothing(stage: Stage) -> None:
    """A caller that forgets a row gets an error before anything has changed."""
    stage.push("a", "b", class_="urgent")
    stage.granted("L")
    stage.begin("L")
    before = everything(stage.redis)
    with pytest.raises(redis_py.ResponseError, match="name the record"):
        stage.end("L", rows=["a"])
    assert everything(stage.redis) == before


def test_rows_that_went_back_leave_again(stage: Stage) -> None:
    """The same message in a new lease, of another worker."""
    stage.push("a", class_="urgent")
    stage.granted("L")
    stage.end("L")
    assert stage.ids("M") == ["a"]
    assert stage.begin("L") == "lost"
    assert stage.begin("M") == "begun"
