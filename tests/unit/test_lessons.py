"""Is what receipts teach told once, to the right unit, and no more of it than is of use?"""

from __future__ import annotations

from delivery.receipts import Answer, Found, Receipt
from delivery.states import State
from gateway.lessons import MOST, Lessons
from headway import keys
from scheduler.rules import NumberRules

NUMBER, OTHER = "15555550100", "15555550101"
RULES = NumberRules(
    number=NUMBER, tps_milli=10_000, guard_us=0, headroom_ppm=0, in_flight=1, lease_ttl_us=1_000_000, shards=2
)


def receipt(state: State | None) -> Receipt:
    """Return a receipt that brings a state."""
    return Receipt(reference="a", state=state)


def matched(changed: State | None, *, took_ms: int | None = 850, group: bool = False) -> Answer:
    """Return what the matcher answers for one of ours."""
    return Answer(Found.MATCHED, "a", changed=changed, took_ms=took_ms, group=group)


def told(lessons: Lessons) -> list[list[object]]:
    """Return what is told of the number, for each unit the arguments after the rules."""
    return [list(call.args[6:]) for call in lessons.take(RULES)]


def test_a_change_teaches_share_and_delay_once() -> None:
    """Delivered is 1 and read is 2, delays are microseconds; what was told is forgotten."""
    lessons = Lessons()
    given = [(NUMBER, receipt(State.DELIVERED)), (NUMBER, receipt(State.READ))]
    lessons.note(given, [matched(State.DELIVERED), matched(State.READ, took_ms=None)])
    assert told(lessons) == [[1, 850_000, 0, 2, "", 0]]
    assert told(lessons) == []


def test_what_changed_nothing_teaches_nothing() -> None:
    """A repetition, a failure, a look, somebody else's message."""
    lessons = Lessons()
    for state, answer in (
        (State.DELIVERED, matched(None)),
        (State.FAILED, matched(State.FAILED)),
        (State.SENT, matched(State.SENT)),
        (None, matched(None)),
        (State.READ, Answer(Found.UNKNOWN)),
    ):
        lessons.note([(NUMBER, receipt(state))], [answer])
    assert told(lessons) == []


def test_every_members_receipt_of_a_group_teaches() -> None:
    """Only the first of them changes the message's state."""
    lessons = Lessons()
    lessons.note([(NUMBER, receipt(State.DELIVERED))] * 3, [matched(None, group=True)] * 3)
    assert told(lessons) == [[1, 850_000, 1] * 3]


def test_each_unit_learns_its_own() -> None:
    """Shards behave alike, but what is on its way is each one's; other numbers aren't told of."""
    lessons, units = Lessons(), keys.units(NUMBER, 2)
    lessons.note([(unit, receipt(State.READ)) for unit in (*units, OTHER)], [matched(State.READ)] * 3)
    calls = lessons.take(RULES)
    assert [call.keys[-1] for call in calls] == [keys.forecast(unit) for unit in units]


def test_lessons_do_not_pile_up() -> None:
    """A number whose webhooks come faster than they are told of keeps the first ones."""
    lessons = Lessons()
    lessons.note([(NUMBER, receipt(State.READ))] * (MOST + 5), [matched(State.READ)] * (MOST + 5))
    assert len(told(lessons)[0]) == 3 * MOST
