"""Do receipts change what they prove, once, in any order, and also when they come before the settle?"""

from __future__ import annotations

import itertools

import pytest

from delivery.receipts import BROUGHT, Answer, Found, Receipt, answers, follow, receipts
from delivery.settle import Settlement
from delivery.states import TRANSITIONS, State
from headway import keys
from headway.envelope import seal
from headway.message import Message
from tests.scripts.stage import NUMBER, RECORD_TTL_S, Stage, everything

OTHER = "15555550199"


def apply(stage: Stage, *rows: Receipt, number: str = NUMBER) -> list[Answer]:
    """Apply receipts."""
    return answers(stage.run(receipts(number, rows, record_ttl_s=RECORD_TTL_S, now_us=stage.now_us)))


def come(stage: Stage, id_: str, *states: State) -> list[State | None]:
    """Apply receipts for one message that name it by our id; return what each changed."""
    return [apply(stage, Receipt(reference=id_, state=state))[0].changed for state in states]


def sent(stage: Stage, id_: str, *, provider_id: str = "") -> None:
    """Push a message and settle it as sent."""
    stage.push(id_, class_="urgent")
    assert stage.ids(f"L{id_}") == [id_]
    stage.begin(f"L{id_}")
    assert stage.settle(f"L{id_}", Settlement(id_, State.SENT, provider_id=provider_id)) == ["sent"]
    stage.later(ms=2000)


def sending(stage: Stage, id_: str) -> None:
    """Push a message and begin it; its provider hasn't answered yet."""
    stage.push(id_, class_="urgent")
    assert stage.ids("L") == [id_]
    stage.begin("L")


# ------------------------------------------------------------------------------------------------------- matched by id


def test_a_receipt_is_recorded_and_says_whose_it_is(stage: Stage) -> None:
    """The answer carries what the app knows the message by; the record's time to live starts anew."""
    sent(stage, "a")
    stage.redis.hset(keys.record("a"), mapping={"push": "17", "reference": "order 5"})
    stage.redis.expire(keys.record("a"), 5)
    assert apply(stage, Receipt(reference="a", state=State.DELIVERED)) == [
        Answer(Found.MATCHED, "a", "17", "order 5", State.DELIVERED, took_ms=2000)
    ]
    assert stage.record("a")["state"] == "delivered"
    assert stage.record("a")["changed_ms"] == str(stage.now_us // 1000)
    assert stage.redis.ttl(keys.record("a")) > 5


def test_a_receipt_of_a_group_says_so(stage: Stage) -> None:
    """Each member has one: the forecast learns of them apart."""
    stage.push_sealed([("a", seal(NUMBER, "a", Message(group_id="1203634@g.us", text="x")))])
    assert stage.ids("L") == ["a"]
    stage.begin("L")
    stage.later(ms=150)
    assert stage.sent("L", "a") == ["sent"]
    took_ms = []
    for ms in (850, 2000):
        stage.later(ms=ms)
        (answer,) = apply(stage, Receipt(reference="a", state=State.DELIVERED))
        assert answer.group
        took_ms.append(answer.took_ms)
    assert took_ms[-1] == 3000


def test_the_providers_id_leads_to_ours(stage: Stage) -> None:
    """Settle wrote it down, so a receipt without our reference finds its message on the second asking."""
    sent(stage, "a", provider_id="9844217")
    assert stage.redis.get(keys.sent(NUMBER, "9844217")) == b"a"
    assert 0 < stage.redis.ttl(keys.sent(NUMBER, "9844217")) <= RECORD_TTL_S
    receipt = Receipt(provider_id="9844217", state=State.READ)
    (named,) = apply(stage, receipt)
    assert (named.what, named.name) == (Found.NAMED, "a")
    again = follow(NUMBER, receipt, named)
    assert again == (NUMBER, Receipt(reference="a", provider_id="9844217", state=State.READ))
    (answer,) = apply(stage, again[1])
    assert (answer.what, answer.changed) == (Found.MATCHED, State.READ)


def test_a_reference_of_somebody_else_falls_back_to_the_providers_id(stage: Stage) -> None:
    """A reference that isn't ours doesn't hide that the provider's id is known."""
    sent(stage, "a", provider_id="77")
    (answer,) = apply(stage, Receipt(reference="order 5!", provider_id="77", state=State.READ))
    assert (answer.what, answer.name) == (Found.NAMED, "a")


def test_ours_wins_over_the_providers_id(stage: Stage) -> None:
    """An id that the provider gave twice can't move a receipt to another message."""
    sent(stage, "a", provider_id="77")
    sent(stage, "b", provider_id="77")
    (answer,) = apply(stage, Receipt(reference="a", provider_id="77", state=State.READ))
    assert (answer.name, answer.changed) == ("a", State.READ)
    assert stage.record("b")["state"] == "sent"


def test_unknown_messages_are_no_error_and_leave_nothing(stage: Stage) -> None:
    """Somebody else sends through this number too, or the record has gone."""
    before = everything(stage.redis)
    rows = [Receipt(reference="who", state=State.READ), Receipt(provider_id="9", state=State.READ), Receipt()]
    assert [answer.what for answer in apply(stage, *rows)] == [Found.UNKNOWN] * 3
    assert follow(NUMBER, rows[0], Answer(Found.UNKNOWN)) is None
    assert everything(stage.redis) == before


def test_a_message_of_another_number_says_so_and_is_followed_there(stage: Stage) -> None:
    """Its uncertain envelope stands under that number, so nothing is touched under this one."""
    sent(stage, "a")
    receipt = Receipt(reference="a", state=State.READ)
    (answer,) = apply(stage, receipt, number=OTHER)
    assert (answer.what, answer.name, stage.record("a")["state"]) == (Found.ELSEWHERE, NUMBER, "sent")
    assert follow(OTHER, receipt, answer) == (NUMBER, receipt)


def test_many_receipts_answer_in_their_order(stage: Stage) -> None:
    """Known and unknown, with one id or both, in one call: no answer slips."""
    for id_ in "abc":
        sent(stage, id_, provider_id=f"p{id_}")
    rows = [
        Receipt(reference="nobody", provider_id="pb", state=State.READ),
        Receipt(reference="a", state=State.READ),
        Receipt(reference="no id at all!", state=State.READ),
        Receipt(provider_id="pc"),
        Receipt(reference="b", provider_id="pb", state=State.DELIVERED),
        Receipt(reference="c"),
    ]
    found = [(answer.what, answer.name, answer.changed) for answer in apply(stage, *rows)]
    assert found == [
        (Found.NAMED, "b", None),
        (Found.MATCHED, "a", State.READ),
        (Found.UNKNOWN, "", None),
        (Found.NAMED, "c", None),
        (Found.MATCHED, "b", State.DELIVERED),
        (Found.MATCHED, "c", None),
    ]
    assert [stage.record(id_)["state"] for id_ in "abc"] == ["read", "delivered", "sent"]


def test_any_words_of_a_provider_can_be_applied(stage: Stage) -> None:
    """Half a surrogate pair in an id, quotes and zeros in a reason."""
    sent(stage, "a", provider_id="\udfff")
    rows = [Receipt(provider_id="\udfff"), Receipt(reference="a", state=State.FAILED, reason='\x00 "no" \ud83d' * 99)]
    assert [answer.what for answer in apply(stage, *rows)] == [Found.NAMED, Found.MATCHED]
    assert len(stage.record("a")["reason"]) == 300


# ------------------------------------------------------------------------------------------------------- never back


@pytest.mark.parametrize("order", list(itertools.permutations([State.SENT, State.DELIVERED, State.READ])))
def test_whatever_the_order_read_is_the_end(stage: Stage, order: tuple[State, ...]) -> None:
    """Each step that was passed already changes nothing."""
    sent(stage, "a")
    come(stage, "a", *order)
    assert stage.record("a")["state"] == "read"


@pytest.mark.parametrize("before", [State.SENT, State.DELIVERED, State.READ, State.FAILED])
@pytest.mark.parametrize("state", sorted(BROUGHT))
def test_only_what_the_table_allows_changes_a_record(stage: Stage, before: State, state: State) -> None:
    """The table of states decides, step by step."""
    sent(stage, "a")
    if before is not State.SENT:
        come(stage, "a", before)
    (changed,) = come(stage, "a", state)
    allowed = state in TRANSITIONS[before]
    assert changed is (state if allowed else None)
    assert stage.record("a")["state"] == (state if allowed else before)


@pytest.mark.parametrize("state", sorted(BROUGHT))
def test_a_receipt_twice_changes_nothing_the_second_time(stage: Stage, state: State) -> None:
    """In another call or in the same one."""
    sent(stage, "a", provider_id="77")
    sent(stage, "b")
    receipt = Receipt(reference="a", provider_id="77", state=state, code="131", reason="no")
    apply(stage, receipt, receipt, Receipt(reference="b", state=state))
    before = everything(stage.redis)
    stage.later(ms=500)
    assert [answer.changed for answer in apply(stage, receipt, Receipt(reference="b", state=state))] == [None, None]
    assert everything(stage.redis) == before


def test_a_failure_says_why(stage: Stage) -> None:
    """Code and words of the provider stand in the record."""
    sent(stage, "a")
    apply(stage, Receipt(reference="a", state=State.FAILED, code="131026", reason="not on WhatsApp"))
    assert (stage.record("a")["code"], stage.record("a")["reason"]) == ("131026", "not on WhatsApp")


def test_looking_changes_nothing(stage: Stage) -> None:
    """A receipt without a state only asks whose message it is."""
    sent(stage, "a", provider_id="77")
    before = everything(stage.redis)
    assert apply(stage, Receipt(reference="a"))[0].what is Found.MATCHED
    assert everything(stage.redis) == before


def test_what_expired_stays_so(stage: Stage) -> None:
    """The table has no way on from there."""
    sending(stage, "a")
    stage.settle("L", Settlement("a", State.EXPIRED))
    before = everything(stage.redis)
    assert come(stage, "a", State.DELIVERED) == [None]
    assert everything(stage.redis) == before


@pytest.mark.parametrize("state", [State.SENT, State.DELIVERED, State.READ])
def test_what_was_given_up_and_was_sent_after_all_can_not_be_retried(stage: Stage, state: State) -> None:
    """An earlier try did arrive: nothing is left that a person could send once more. That one failed is no news."""
    sending(stage, "a")
    stage.settle("L", Settlement("a", State.DEAD, code="402"))
    assert come(stage, "a", State.FAILED) == [None]
    assert come(stage, "a", state) == [state]
    assert stage.record("a")["state"] == state
    assert not stage.redis.exists(keys.dead(NUMBER), keys.kept(NUMBER), keys.cancelled(NUMBER))


# ---------------------------------------------------------------------------------------------------------- uncertain


@pytest.mark.parametrize("state", sorted(BROUGHT))
def test_a_receipt_ends_uncertainty(stage: Stage, state: State) -> None:
    """The provider has it: the envelope is let go, so nobody can send it again, and the doubt is history."""
    sending(stage, "a")
    stage.end("L")
    assert stage.record("a")["state"] == "uncertain"
    assert come(stage, "a", state) == [state]
    assert stage.record("a")["state"] == state
    assert "reason" not in stage.record("a")
    assert not stage.redis.exists(keys.uncertain(NUMBER), keys.kept(NUMBER))


def test_a_late_settle_after_the_receipt_changes_nothing(stage: Stage) -> None:
    """Its worker answers at last: delivered stays delivered, and the provider's id is known from the receipt."""
    sending(stage, "a")
    stage.end("L")
    apply(stage, Receipt(reference="a", provider_id="77", state=State.DELIVERED))
    before = everything(stage.redis)
    assert stage.settle("L", Settlement("a", State.SENT, provider_id="77")) == [""]
    assert stage.settle("L", Settlement("a", State.DEFERRED, retry_ms=1000)) == [""]
    assert everything(stage.redis) == before
    assert stage.record("a")["provider_id"] == "77"


# -------------------------------------------------------------------------------------------- receipt before settle


@pytest.mark.parametrize("state", [State.DELIVERED, State.READ, State.FAILED])
def test_a_receipt_that_overtakes_the_settle_counts(stage: Stage, state: State) -> None:
    """The phone was faster than the provider's answer: the settle finds the note, and doesn't go back to sent."""
    sending(stage, "a")
    assert apply(stage, Receipt(reference="a", state=state, reason="why" if state is State.FAILED else ""))[
        0
    ] == Answer(Found.MATCHED, "a")
    assert stage.settle("L", Settlement("a", State.SENT, provider_id="77", code="100", reason="Success")) == [state]
    record = stage.record("a")
    assert (record["state"], record["provider_id"], "receipt" in record) == (state, "77", False)
    assert record.get("reason") == ("why" if state is State.FAILED else None)
    assert stage.redis.get(keys.sent(NUMBER, "77")) == b"a"
    assert not stage.redis.exists(keys.leases(NUMBER), keys.leased(NUMBER), keys.kept(NUMBER))


def test_the_furthest_of_early_receipts_counts(stage: Stage) -> None:
    """Read before delivered before the settle: read."""
    sending(stage, "a")
    come(stage, "a", State.READ, State.DELIVERED, State.SENT)
    assert stage.sent("L", "a") == ["read"]


@pytest.mark.parametrize("settled", [State.UNCERTAIN, State.DEFERRED, State.DEAD, State.WAITING])
def test_what_is_proven_is_never_tried_again(stage: Stage, settled: State) -> None:
    """Whatever its worker thinks, the recipient has it: no envelope is left that could be sent."""
    sending(stage, "a")
    come(stage, "a", State.DELIVERED)
    assert stage.settle("L", Settlement("a", settled, retry_ms=1000)) == ["delivered"]
    assert stage.record("a")["state"] == "delivered"
    assert not stage.redis.exists(keys.kept(NUMBER), keys.deferred(NUMBER), keys.uncertain(NUMBER), keys.dead(NUMBER))
    assert stage.waiting("urgent") == []


def test_a_failure_ends_what_was_taken_but_not_what_is_tried_again(stage: Stage) -> None:
    """An early `failed` makes an uncertain row failed; one that certainly wasn't taken this time goes on, unmarked."""
    sending(stage, "a")
    come(stage, "a", State.FAILED)
    assert stage.settle("L", Settlement("a", State.DEFERRED, retry_ms=1000)) == ["deferred"]
    stage.later(ms=1000)
    assert stage.ids("M") == ["a"]
    stage.begin("M")
    assert stage.sent("M", "a") == ["sent"]
    stage.push("b", class_="urgent")
    stage.ids("N")
    stage.begin("N")
    come(stage, "b", State.FAILED)
    assert stage.settle("N", Settlement("b", State.UNCERTAIN)) == ["failed"]


def test_a_lost_worker_leaves_what_a_receipt_has_told(stage: Stage) -> None:
    """Its lease ends by its deadline: the row is delivered, not uncertain."""
    stage.push("a", "b", class_="urgent")
    stage.ids("L")
    stage.begin("L")
    come(stage, "a", State.DELIVERED)
    assert stage.end("L").rows == 2
    assert (stage.record("a")["state"], stage.record("b")["state"]) == ("delivered", "uncertain")
    assert stage.names(keys.kept(NUMBER)) == {"b"}
    assert list(stage.scores(keys.uncertain(NUMBER))) == ["b"]


def test_a_message_of_a_stock_publisher_is_known_while_it_is_sent(stage: Stage) -> None:
    """It has no record before its first settle, but a lease holds it: the note makes one, with a time to live."""
    sending(stage, "a")
    stage.redis.delete(keys.record("a"))
    assert apply(stage, Receipt(reference="a", state=State.DELIVERED))[0].what is Found.MATCHED
    assert 0 < stage.redis.ttl(keys.record("a")) <= RECORD_TTL_S
    assert stage.sent("L", "a") == ["delivered"]
    assert stage.record("a")["state"] == "delivered"


def test_a_note_twice_changes_nothing(stage: Stage) -> None:
    """The provider repeats its webhook before we have settled."""
    sending(stage, "a")
    come(stage, "a", State.DELIVERED)
    before = everything(stage.redis)
    stage.later(ms=100)
    assert come(stage, "a", State.DELIVERED) == [None]
    assert everything(stage.redis) == before


# ------------------------------------------------------------------------------------------------- what settle leaves


def test_settle_leads_from_the_providers_ids_to_ours(stage: Stage) -> None:
    """Of several rows, only those that were sent and got an id have such a key, and each its own."""
    stage.push("a", "b", "c", "d", class_="urgent")
    stage.ids("L")
    stage.begin("L")
    stage.settle(
        "L",
        Settlement("a", State.SENT),
        Settlement("b", State.SENT, provider_id="pb"),
        Settlement("c", State.DEAD, provider_id="pc"),
        Settlement("d", State.SENT, provider_id="pd"),
    )
    found = {key: stage.redis.get(key) for key in stage.redis.scan_iter("headway:sent:*")}
    assert found == {keys.sent(NUMBER, "pb").encode(): b"b", keys.sent(NUMBER, "pd").encode(): b"d"}


# ------------------------------------------------------------------------------------------------------------- shards


def test_a_receipt_finds_its_message_on_whichever_shard(stage: Stage) -> None:
    """A receipt of a group's member, or from before the shards changed, asks at the wrong one first."""
    home, wrong = keys.units(NUMBER, 2)
    stage.change(number=home)
    sending(stage, "a")
    assert stage.end("L").what == "uncertain"
    receipt = Receipt(reference="a", state=State.DELIVERED)
    (answer,) = apply(stage, receipt, number=wrong)
    assert (answer.what, answer.name) == (Found.ELSEWHERE, home)
    assert follow(wrong, receipt, answer) == (home, receipt)
    (answer,) = apply(stage, receipt, number=home)
    assert answer.changed is State.DELIVERED
    assert not stage.redis.exists(keys.uncertain(home), keys.kept(home))


def test_an_early_receipt_is_noted_from_any_shard(stage: Stage) -> None:
    """A message that is being sent needs nothing of its shard to be found."""
    home, wrong = keys.units(NUMBER, 2)
    stage.change(number=home)
    sending(stage, "a")
    stage.redis.hset(keys.record("a"), "number", NUMBER)  # as the push wrote it
    (answer,) = apply(stage, Receipt(reference="a", state=State.READ), number=wrong)
    assert (answer.what, answer.changed) == (Found.MATCHED, None)
    assert stage.settle("L", Settlement("a", State.UNCERTAIN)) == ["read"]
