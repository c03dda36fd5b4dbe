"""Is a push that was accepted, and of which nothing comes back, told, and a phone that is off not?"""

from __future__ import annotations

import redis as redis_py

from delivery import echo
from delivery.echo import Silent
from delivery.receipts import Receipt, receipts
from delivery.settle import Settlement
from delivery.states import State
from headway import keys
from tests.scripts.stage import NUMBER, RECORD_TTL_S, Stage


def push(stage: Stage, request: str, rows: int) -> list[str]:
    """Send rows in one request that the provider accepts; return their ids."""
    ids = [f"{request}-{index}" for index in range(rows)]
    stage.push(*ids, class_="urgent")
    assert stage.ids(request) == ids
    stage.begin(request)
    stage.settle(request, *(Settlement(id_, State.SENT, push_id=request, provider_id=f"p{id_}") for id_ in ids))
    stage.run(echo.expect(NUMBER, request, rows, now_us=stage.now_us))
    return ids


def receipt(stage: Stage, message_id: str, state: State | None = State.DELIVERED) -> None:
    """Let a receipt come in."""
    rows = [Receipt(reference=message_id, state=state)]
    stage.run(receipts(NUMBER, rows, record_ttl_s=RECORD_TTL_S, now_us=stage.now_us))


def silent(stage: Stage) -> Silent:
    """Ask which requests stayed silent."""
    return echo.found(stage.run(echo.silent(NUMBER, now_us=stage.now_us)))


def test_a_request_of_many_rows_that_stays_silent_is_told_once_after_two_minutes(stage: Stage) -> None:
    """It is counted in the meter, too."""
    push(stage, "r", 8)
    stage.later(ms=119_999)
    assert silent(stage) == Silent(0, 0)
    stage.later(ms=1)
    assert silent(stage) == Silent(1, 8)
    assert silent(stage) == Silent(0, 0)
    assert stage.meter()["silent_pushes"] == 1


def test_one_receipt_is_enough_for_a_request(stage: Stage) -> None:
    """Of ten people nine may have switched off."""
    (first, *_) = push(stage, "r", 10)
    receipt(stage, first)
    stage.later(ms=200_000)
    assert silent(stage) == Silent(0, 0)


def test_only_looking_a_message_up_is_no_echo(stage: Stage) -> None:
    """An inbound message that answers one asks whose it is."""
    (first, *_) = push(stage, "r", 8)
    receipt(stage, first, None)
    stage.later(ms=200_000)
    assert silent(stage) == Silent(1, 8)


def test_phones_that_are_off_alarm_nobody_while_others_answer(stage: Stage) -> None:
    """A hundred single sends without a receipt, and one with."""
    for index in range(100):
        push(stage, f"off{index}", 1)
        stage.later(ms=1000)
    (on,) = push(stage, "on", 1)
    stage.later(ms=1000)
    receipt(stage, on)
    stage.later(ms=200_000)
    assert silent(stage) == Silent(0, 0)
    assert stage.scores(keys.echo(NUMBER)).keys() == {"echo"}


def test_a_run_of_singles_of_which_none_is_answered_is_told(stage: Stage) -> None:
    """Twenty rows; nineteen may be chance."""
    for index in range(19):
        push(stage, f"r{index}", 1)
        stage.later(ms=1000)
    stage.later(ms=120_000)
    assert silent(stage) == Silent(0, 0)
    push(stage, "last", 1)
    stage.later(ms=120_000)
    assert silent(stage) == Silent(20, 20)


def test_what_is_kept_is_bounded(stage: Stage, redis: redis_py.Redis) -> None:
    """A thousand requests at most, the latest of them."""
    for index in range(1010):
        stage.run(echo.expect(NUMBER, f"r{index}", 1, now_us=stage.now_us + index * 1000))
    assert redis.zcard(keys.echo(NUMBER)) == 1000
    assert redis.zscore(keys.echo(NUMBER), "r9") is None
