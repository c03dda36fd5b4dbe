"""Nobody wants the same message six times a minute.

Two programs that answer each other can empty an account in an hour, and annoy a person for life. So a contact that was
sent one text five times in a minute rests from it for a minute; that guard is on by default (HEADWAY_LOOP_GUARD=5/60).
Caps are what you add yourself, by tag or class: HEADWAY_CAPS=tag:offline=1/3600:drop lets one reply of that tag reach a
contact in an hour, and lets go of the others.
"""

from __future__ import annotations

import pytest

from delivery.settle import Settlement
from delivery.states import State
from headway import Client
from headway.errors import SettingError
from runtime.settings import Settings
from scheduler.decisions import Grant
from tests.scripts.stage import NUMBER, Stage

TO = "393331234567"


def told(number: Stage, **texts: str) -> Stage:
    """Start a number with settings as a person writes them."""
    own = Settings.from_env({f"HEADWAY_{name}": text for name, text in texts.items()}).number(NUMBER)
    number.change(caps=own.caps, loop_guard=own.loop_guard)
    return number


def sends(number: Stage) -> list[str]:
    """Lease, begin and settle once, as a worker does; return the ids of what was sent, the verdict of what wasn't."""
    decision = number.lease("now")
    if not isinstance(decision, Grant):
        return []
    if decision.charged:
        number.begin("now")
    for row in decision.rows:
        sent = row.verdict == "send"
        number.settle("now", Settlement(row.id, State.SENT if sent else State.CAPPED, left=sent))
    return [row.id if row.verdict == "send" else row.verdict for row in decision.rows]


def test_a_loop_is_cut(client: Client, number: Stage) -> None:
    """Five of one text leave within a minute; the sixth waits for a minute, and is not lost."""
    told(number)
    ids: list[str] = []
    sent: list[str] = []
    for _ in range(6):
        ids.append(client.push(NUMBER, to=TO, text="Sorry, I did not understand."))
        sent = sends(number)
        number.later(ms=500)
    assert sent == []
    number.later(ms=60_000)
    assert sends(number) == [ids[5]]


def test_only_from_that_text(client: Client, number: Stage) -> None:
    """The contact still gets everything else."""
    told(number)
    for _ in range(6):
        client.push(NUMBER, to=TO, text="Sorry, I did not understand.")
        sends(number)
        number.later(ms=500)
    other = client.push(NUMBER, to=TO, text="Ada here, how can I help?")
    assert sends(number) == [other]


def test_one_offline_reply_an_hour(client: Client, number: Stage) -> None:
    """The second of an hour ends as `capped`: it doesn't leave, not even later."""
    told(number, CAPS="tag:offline=1/3600:drop")
    first = client.push(NUMBER, to=TO, text="We are closed until 9.", tag="offline")
    assert sends(number) == [first]
    number.later(ms=600_000)
    client.push(NUMBER, to=TO, text="We are still closed.", tag="offline")
    assert sends(number) == ["capped: tag:offline=1/3600"]
    number.later(ms=3_000_000)
    third = client.push(NUMBER, to=TO, text="We are closed until 9.", tag="offline")
    assert sends(number) == [third]


def test_two_bulk_messages_a_day_and_the_third_tomorrow(client: Client, number: Stage) -> None:
    """`defer` keeps what is too much until there is room again."""
    told(number, CAPS="class:bulk=2/86400:defer")
    ids = [client.push(NUMBER, to=TO, text=f"offer {n}", class_="bulk") for n in range(3)]
    for _ in range(4):
        sends(number)
        number.later(ms=1_000)
    assert [client.status(id_)["state"] for id_ in ids] == ["sent", "sent", "waiting"]  # type: ignore[index]
    number.later(ms=86_400_000)
    assert sends(number) == [ids[2]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tag:offline=1/0:drop", "out of bounds; write seconds from 1"),
        ("tag:offline=0/60:drop", "out of bounds; write messages from 1"),
        ("tag:offline=1/60", "is no cap; write tag:"),
        ("tag:offline=1/60:wait", "write :drop or :defer"),
        ("class:slow=1/60:drop", "is no class"),
    ],
)
def test_what_can_t_be_is_refused_at_the_start(text: str, says: str) -> None:
    """A window of zero length, nothing at all, nothing to do with what is too much, a class that there isn't."""
    with pytest.raises(SettingError, match=says):
        Settings.from_env({"HEADWAY_CAPS": text})
