"""Where the provider takes few requests, do rows of one shape fill a request although others stand between them?"""

from __future__ import annotations

import pytest
import redis as redis_py

from scheduler.rules import MOST_ROWS, Quota
from tests.scripts.stage import Stage


@pytest.fixture
def few(redis: redis_py.Redis) -> Stage:
    """10 TPS, and 90 requests a minute: 9 rows must share a request."""
    return Stage(redis, quota=Quota("0123456789abcdef", 90), max_rows=MOST_ROWS)


def test_rows_of_one_shape_share_a_request_around_the_others(few: Stage) -> None:
    """Texts and pictures by turns: all texts go first, then the pictures, each in their order."""
    for index in range(4):
        few.push(f"text{index}", class_="urgent")
        few.push(f"picture{index}", class_="urgent", media_url="https://example.com/a.png")
    assert few.ids() == [f"text{index}" for index in range(4)]
    assert few.waiting("urgent") == [f"picture{index}" for index in range(4)]
    few.later(ms=1500)
    assert few.ids() == [f"picture{index}" for index in range(4)]


def test_nobody_is_sent_a_later_message_before_an_earlier_one(few: Stage) -> None:
    """A row whose recipient has one that was set aside stays behind it, though its shape would fit."""
    few.push("first", class_="urgent")
    few.push("picture", class_="urgent", to="19995550000", media_url="https://example.com/a.png")
    few.push("after-the-picture", class_="urgent", to="19995550000")
    few.push("last", class_="urgent")
    assert few.ids() == ["first", "last"]
    assert few.waiting("urgent") == ["picture", "after-the-picture"]


def test_the_second_row_to_one_recipient_waits_and_others_go(few: Stage) -> None:
    """Answers match by number, so one request has no recipient twice; that doesn't close it for the rest."""
    few.push("a", class_="urgent", to="19995550000")
    few.push("b", class_="urgent", to="19995550000")
    few.push("c", class_="urgent")
    assert few.ids() == ["a", "c"]
    assert few.waiting("urgent") == ["b"]


def test_a_lower_class_does_not_pass_what_was_set_aside(few: Stage) -> None:
    """The room that is left belongs to the urgent picture."""
    few.push("text", class_="urgent")
    few.push("picture", class_="urgent", media_url="https://example.com/a.png")
    few.push("bulk", class_="bulk")
    assert few.ids() == ["text"]
    assert (few.waiting("urgent"), few.waiting("bulk")) == (["picture"], ["bulk"])


def test_without_a_quota_the_first_row_that_differs_closes_the_lease(redis: redis_py.Redis) -> None:
    """A request costs nothing there, so rows keep their order."""
    stage = Stage(redis)
    stage.push("a", class_="urgent")
    stage.push("picture", class_="urgent", media_url="https://example.com/a.png")
    stage.push("b", class_="urgent")
    assert stage.ids() == ["a"]
    assert stage.waiting("urgent") == ["picture", "b"]


def test_only_so_many_rows_are_set_aside(few: Stage) -> None:
    """The look ahead is bounded: a text behind 200 pictures waits for them."""
    few.push("text", class_="urgent")
    few.push(*(f"p{index}" for index in range(200)), class_="urgent", media_url="https://example.com/a.png")
    few.push("far", class_="urgent")
    assert few.ids() == ["text"]
    assert few.waiting("urgent") == [*(f"p{index}" for index in range(200)), "far"]
