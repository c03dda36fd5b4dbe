"""Is an uncertain message waited for, and then sent again or held, once, as its class says?"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delivery.doubts import Resolved, found, overdue, resolve, resolved
from delivery.policy import HOLD, RESEND, Policy
from delivery.receipts import BROUGHT, Receipt, answers, receipts
from delivery.retries import MOST_ATTEMPTS
from delivery.settle import Settlement
from delivery.states import State
from headway import keys
from headway.classes import MessageClass
from tests.harness.leaks import leaks
from tests.scripts.stage import NUMBER, RECORD_TTL_S, START_US, Stage, everything

WAIT_MS = 60_000
POLICY = Policy(wait=timedelta(milliseconds=WAIT_MS))


def uncertain(stage: Stage, *ids: str, class_: str = "urgent", lease_id: str = "L") -> None:
    """Let messages be sent by a worker that is lost."""
    stage.push(*ids, class_=class_)
    assert stage.ids(lease_id) == list(ids)
    stage.begin(lease_id)
    assert stage.end(lease_id).what == "uncertain"


def due(stage: Stage, policy: Policy = POLICY) -> list[str]:
    """Ask which messages nothing came back of in time."""
    (ids,) = found(stage.run(overdue({NUMBER: policy}, now_us=stage.now_us)))
    return ids


def decide(stage: Stage, *ids: str, policy: Policy = POLICY) -> Resolved:
    """Do what their class says."""
    call = resolve(NUMBER, ids, policy, record_ttl_s=RECORD_TTL_S, now_us=stage.now_us)
    return resolved(ids, stage.run(call))


def history(stage: Stage, id_: str) -> list[str]:
    """The states in a message's history."""
    return [json.loads(line)["state"] for line in stage.record(id_).get("history", "").splitlines()]


def come(stage: Stage, id_: str, state: State) -> State | None:
    """Let a receipt come."""
    call = receipts(NUMBER, [Receipt(reference=id_, state=state)], record_ttl_s=RECORD_TTL_S, now_us=stage.now_us)
    return answers(stage.run(call))[0].changed


def test_nothing_happens_before_the_wait_is_over(stage: Stage) -> None:
    """A millisecond early it isn't due, and a call that names it all the same changes nothing."""
    uncertain(stage, "a")
    stage.later(ms=WAIT_MS - 1)
    before = everything(stage.redis)
    assert due(stage) == []
    assert decide(stage, "a") == Resolved((), ())
    assert everything(stage.redis) == before


def test_a_class_that_resends_has_it_back_at_the_head(stage: Stage) -> None:
    """In the order in which they were, before what came later; its attempt is counted and its history kept."""
    uncertain(stage, "a", "b")
    stage.push("later", class_="urgent")
    stage.later(ms=WAIT_MS)
    assert due(stage) == ["a", "b"]
    assert decide(stage, "a", "b") == Resolved(("a", "b"), ())
    assert stage.waiting("urgent") == ["a", "b", "later"]
    record = stage.record("a")
    assert (record["state"], record["attempts"]) == ("waiting", "1")
    assert history(stage, "a") == ["uncertain", "waiting"]
    assert not stage.redis.exists(keys.uncertain(NUMBER), keys.kept(NUMBER))
    assert stage.ids("M") == ["a", "b", "later"]
    stage.begin("M")
    assert stage.sent("M", "a") == ["sent"]
    assert stage.record("a")["attempts"] == "2"
    assert history(stage, "a") == ["uncertain", "waiting", "sent"]


def test_a_class_that_holds_keeps_it_for_a_person(stage: Stage) -> None:
    """It stays uncertain, is shown as held since when nobody knew, and is not asked about again."""
    uncertain(stage, "a", class_="bulk")
    stage.later(ms=WAIT_MS)
    assert decide(stage, "a") == Resolved((), ("a",))
    assert stage.scores(keys.uncertain(NUMBER)) == {"a": -(START_US // 1000)}
    assert (stage.record("a")["state"], history(stage, "a")) == ("uncertain", ["uncertain", "uncertain"])
    before = everything(stage.redis)
    stage.later(ms=10 * WAIT_MS)
    assert due(stage) == []
    assert decide(stage, "a") == Resolved((), ())
    assert everything(stage.redis) == before


@pytest.mark.parametrize("class_", list(MessageClass))
@pytest.mark.parametrize("what", [RESEND, HOLD])
def test_each_class_has_its_own_word(stage: Stage, class_: MessageClass, what: str) -> None:
    """Whatever the others say."""
    other = HOLD if what == RESEND else RESEND
    policy = Policy(wait=timedelta(0), uncertain={c: what if c is class_ else other for c in MessageClass})
    uncertain(stage, "a", class_=class_.value)
    assert decide(stage, "a", policy=policy) == (Resolved(("a",), ()) if what == RESEND else Resolved((), ("a",)))


@pytest.mark.parametrize("policy", [Policy(receipts=()), Policy(told=False)])
def test_where_no_receipt_can_come_nobody_waits(stage: Stage, policy: Policy) -> None:
    """The container makes none, or its event webhook leads nowhere."""
    uncertain(stage, "a")
    assert due(stage, policy) == ["a"]
    assert decide(stage, "a", policy=policy).resent == ("a",)


def test_a_live_setting_says_whether_receipts_come(stage: Stage) -> None:
    """It holds over the environment's, either way."""
    uncertain(stage, "a")
    assert due(stage) == []
    stage.change_live(receipts="none")
    assert due(stage) == ["a"]
    stage.change_live(receipts="delivered", event_webhook="on")
    assert due(stage, Policy(receipts=(), told=False)) == []


def test_what_was_tried_too_often_is_held_whatever_its_class(stage: Stage) -> None:
    """A message whose provider never answers isn't sent without end."""
    stage.push("a", class_="urgent")
    last = Resolved((), ())
    for attempt in range(MOST_ATTEMPTS):
        assert stage.ids(f"L{attempt}x") == ["a"]
        stage.begin(f"L{attempt}x")
        stage.end(f"L{attempt}x")
        stage.later(ms=WAIT_MS)
        last = decide(stage, "a")
    assert last == Resolved((), ("a",))
    assert json.loads(stage.record("a")["history"].splitlines()[-1])["held"] == "attempts"


def test_what_was_tried_for_too_long_is_held(stage: Stage) -> None:
    """The bound of time holds for uncertain ones too."""
    uncertain(stage, "a")
    stage.later(ms=WAIT_MS)
    assert decide(stage, "a", policy=Policy(retry_for=timedelta(seconds=60))).held == ("a",)


def test_a_clock_that_was_set_back_doesn_t_hold_it_for_long(stage: Stage) -> None:
    """A row that is uncertain since tomorrow waits from now on."""
    uncertain(stage, "a")
    stage.now_us -= 86_400_000_000
    assert due(stage) == ["a"]
    assert decide(stage, "a") == Resolved((), ())
    stage.later(ms=WAIT_MS)
    assert decide(stage, "a").resent == ("a",)


def test_many_units_are_asked_in_one_call(stage: Stage) -> None:
    """Each has its own wait; those without such rows answer nothing."""
    uncertain(stage, "a", "b")
    other = Policy(wait=timedelta(seconds=1))
    stage.later(ms=2000)
    asked = overdue({"1": other, NUMBER: other, "2": POLICY}, now_us=stage.now_us)
    assert found(stage.run(asked)) == [[], ["a", "b"], []]
    assert found(stage.run(overdue({NUMBER: other}, most=1, now_us=stage.now_us))) == [["a"]]


# ----------------------------------------------------------------------------------------- known to be sent after all


@pytest.mark.parametrize("state", sorted(BROUGHT - {State.FAILED}))
def test_a_receipt_for_a_row_that_was_put_back_keeps_it_from_leaving(stage: Stage, state: State) -> None:
    """It stands on its lane again: the next lease drops it, and what is behind it leaves."""
    uncertain(stage, "a")
    stage.push("b", class_="urgent")
    stage.later(ms=WAIT_MS)
    decide(stage, "a")
    assert come(stage, "a", state) is state
    assert come(stage, "a", state) is None
    assert stage.ids("M") == ["b"]
    assert stage.waiting("urgent") == []
    assert stage.record("a")["state"] == state
    assert not stage.redis.exists(keys.cancelled(NUMBER))


def test_a_receipt_for_a_deferred_row_lets_it_go_at_once(stage: Stage) -> None:
    """An earlier try was taken although the last was refused: nothing is left that could leave."""
    uncertain(stage, "a")
    stage.later(ms=WAIT_MS)
    decide(stage, "a")
    assert stage.ids("M") == ["a"]
    stage.begin("M")
    assert stage.settle("M", Settlement("a", State.DEFERRED, retry_ms=5000)) == ["deferred"]
    assert come(stage, "a", State.DELIVERED) is State.DELIVERED
    assert not stage.redis.exists(keys.deferred(NUMBER), keys.kept(NUMBER), keys.cancelled(NUMBER))
    assert stage.record("a")["state"] == "delivered"
    assert stage.waits().until_us == 0


def test_a_leased_row_that_is_known_to_be_sent_does_not_begin(stage: Stage) -> None:
    """The receipt comes between lease and begin: all rows of the lease go back, and the next one is without it."""
    uncertain(stage, "a")
    stage.push("b", class_="urgent")
    stage.later(ms=WAIT_MS)
    decide(stage, "a")
    assert stage.ids("M") == ["a", "b"]
    come(stage, "a", State.READ)
    assert stage.begin("M") == "stale"
    assert stage.ids("N") == ["b"]
    assert stage.begin("N") == "begun"
    assert stage.record("a")["state"] == "read"


def test_a_receipt_while_it_is_sent_again_counts_at_its_settle(stage: Stage) -> None:
    """It was too late to stop the second one; whatever that comes to, the message was delivered, and isn't tried on."""
    uncertain(stage, "a")
    stage.later(ms=WAIT_MS)
    decide(stage, "a")
    stage.ids("M")
    stage.begin("M")
    come(stage, "a", State.DELIVERED)
    come(stage, "a", State.READ)
    assert stage.settle("M", Settlement("a", State.DEFERRED, retry_ms=5000)) == ["read"]
    assert stage.record("a")["state"] == "read"
    assert not stage.redis.exists(keys.deferred(NUMBER), keys.kept(NUMBER), keys.cancelled(NUMBER))


def test_that_an_earlier_try_failed_does_not_stop_the_next(stage: Stage) -> None:
    """It waits to be sent again, and that is right."""
    uncertain(stage, "a")
    stage.later(ms=WAIT_MS)
    decide(stage, "a")
    before = everything(stage.redis)
    assert come(stage, "a", State.FAILED) is None
    assert everything(stage.redis) == before
    assert stage.ids("M") == ["a"]


def test_its_worker_s_late_word_keeps_a_row_from_leaving_again(stage: Stage) -> None:
    """It slept for minutes, and then says that the provider took it."""
    uncertain(stage, "a")
    stage.later(ms=WAIT_MS)
    decide(stage, "a")
    assert stage.settle("L", Settlement("a", State.SENT, provider_id="77")) == ["sent"]
    before = everything(stage.redis)
    assert stage.settle("L", Settlement("a", State.SENT, provider_id="77")) == [""]
    assert everything(stage.redis) == before
    assert stage.waits().until_us <= stage.now_us
    assert stage.waits().until_us == 0
    assert (stage.record("a")["state"], stage.record("a")["attempts"]) == ("sent", "1")
    assert not stage.redis.exists(keys.cancelled(NUMBER))


def test_marks_go_when_no_record_could_be_as_old(stage: Stage) -> None:
    """A row that was purged by hand leaves its mark behind: it has a time to live, and makes room for newer ones."""
    uncertain(stage, "a", "b")
    stage.later(ms=WAIT_MS)
    decide(stage, "a", "b")
    come(stage, "a", State.SENT)
    assert 0 < stage.redis.ttl(keys.cancelled(NUMBER)) <= RECORD_TTL_S
    stage.later(ms=RECORD_TTL_S * 1000)
    come(stage, "b", State.SENT)
    assert set(stage.scores(keys.cancelled(NUMBER))) == {"b"}


# -------------------------------------------------------------------------------------------------- in whatever order


class Life:
    """One message, uncertain at first, and everything that may happen to it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.serial = itertools.count(1)
        self.last = "L"
        stage.redis.flushdb()
        stage.now_us = START_US
        uncertain(stage, "a")
        stage.later(ms=WAIT_MS)

    def resolve(self) -> None:
        """Its wait may be over."""
        decide(self.stage, "a")

    def receipt(self) -> None:
        """One of its sends arrived."""
        come(self.stage, "a", State.DELIVERED)

    def late(self) -> None:
        """The first worker says at last that it was sent."""
        self.stage.settle("L", Settlement("a", State.SENT))

    def lease(self) -> None:
        """It may leave, if nobody has it."""
        if not self.stage.redis.hlen(keys.leases(NUMBER)):
            self.last = f"M{next(self.serial)}"
        self.stage.lease(self.last)

    def begin(self) -> None:
        """The fence: whoever is known to be sent doesn't pass it."""
        leased = b'"leased"' in (self.stage.redis.hget(keys.leases(NUMBER), self.last) or b"")
        begun = self.stage.begin(self.last) == "begun"
        assert not (begun and leased and self.known())

    def sent(self) -> None:
        """The provider takes it."""
        self.stage.settle(self.last, Settlement("a", State.SENT))

    def retry(self) -> None:
        """The provider can't take it now."""
        self.stage.settle(self.last, Settlement("a", State.DEFERRED, retry_ms=1000))

    def lost(self) -> None:
        """Its worker dies."""
        self.stage.end(self.last)

    def wait(self) -> None:
        """Time goes by."""
        self.stage.later(ms=WAIT_MS)

    def known(self) -> bool:
        """Whether its record says that it was sent."""
        return self.stage.record("a")["state"] in ("sent", "delivered")

    def places(self) -> int:
        """In how many places it is."""
        held = sum(self.stage.redis.hlen(key(NUMBER)) for key in (keys.leased, keys.kept))
        return len(self.stage.waiting("urgent")) + int(held)


STEPS = (Life.resolve, Life.receipt, Life.late, Life.lease, Life.begin, Life.sent, Life.retry, Life.lost, Life.wait)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(STEPS), max_size=14), twice=st.booleans())
def test_whatever_happens_a_message_known_to_be_sent_never_begins_again(
    stage: Stage, steps: list[Callable[[Life], None]], *, twice: bool
) -> None:
    """Any order of steps, each also run twice: it is in one place or over, what is over stays so, and nothing leaks."""
    life = Life(stage)
    for step in steps:
        known = life.known()
        step(life)
        if twice:
            step(life)
        assert life.known() >= known
        assert life.places() == 1 or (life.places() == 0 and life.known())
        assert leaks(stage.redis) == []
