"""Does an inbound message have one request that passes it on, until the app took it or is known to be down?"""

from __future__ import annotations

from datetime import timedelta

import redis as redis_py

from gateway import claims
from gateway.claims import DONE_TTL, KEPT_ANSWER, Claim, Standing
from headway import keys
from runtime.scripts import Call, run_all
from tests.scripts.stage import everything

NUMBER = "15555550100"
TTL = timedelta(seconds=20)
SECOND_US = 1_000_000


def run(client: redis_py.Redis, call: Call) -> object:
    """Run one call; an error of the server is raised."""
    (reply,) = run_all(client, [call])
    assert not isinstance(reply, Exception), reply
    return reply


def claim(client: redis_py.Redis, token: str, *, event_id: str = "in:1", contact: str = "39333") -> Claim:
    """Ask for a message."""
    call = claims.claim(NUMBER, event_id, contact=contact, token=token, ttl=TTL)
    return claims.claimed(run(client, call))


def test_one_request_gets_it(redis: redis_py.Redis) -> None:
    """The first; with its token it hears the same again, others hear that it is busy; another message is free."""
    assert [claim(redis, token).standing for token in ("a", "a", "b")] == [Standing.MINE, Standing.MINE, Standing.BUSY]
    assert claim(redis, "b", event_id="in:2", contact="39334").standing is Standing.MINE
    assert 0 < redis.pttl(keys.forwarded(NUMBER, "in:1")) <= 20_000


def test_a_repetition_gets_the_apps_answer(redis: redis_py.Redis) -> None:
    """For a day, whoever asks, and however often it is concluded."""
    claim(redis, "a")
    call = claims.done(NUMBER, "in:1", contact="39333", token="a", answer=b'{"message-out":"\\u00fc"}')
    run(redis, call)
    before = everything(redis)
    run(redis, call)
    assert everything(redis) == before
    assert claim(redis, "b") == Claim(Standing.DONE, b'{"message-out":"\\u00fc"}')
    assert claim(redis, "a").standing is Standing.DONE
    assert 0 < redis.ttl(keys.forwarded(NUMBER, "in:1")) <= DONE_TTL.total_seconds()


def test_a_claim_whose_app_is_down_is_let_go(redis: redis_py.Redis) -> None:
    """The repetition gets through; letting go twice, or what is another's, changes nothing."""
    claim(redis, "a")
    let_go = claims.let_go(NUMBER, "in:1", contact="39333", token="a")
    run(redis, let_go)
    run(redis, let_go)
    assert claim(redis, "b").standing is Standing.MINE
    run(redis, let_go)
    assert claim(redis, "c").standing is Standing.BUSY
    run(redis, claims.done(NUMBER, "in:1", contact="39333", token="b", answer=b"{}"))
    run(redis, claims.let_go(NUMBER, "in:1", contact="39333", token="b"))
    assert claim(redis, "d").standing is Standing.DONE


def test_a_huge_answer_is_relayed_once_and_not_kept(redis: redis_py.Redis) -> None:
    """The mark stays, its text doesn't fill the server."""
    answer = b'{"message-out":"' + b"x" * KEPT_ANSWER + b'"}'
    claim(redis, "a")
    run(redis, claims.done(NUMBER, "in:1", contact="39333", token="a", answer=answer))
    assert claim(redis, "b") == Claim(Standing.DONE, b"{}")


def test_one_contacts_messages_have_their_turns_in_the_order_they_came(redis: redis_py.Redis) -> None:
    """Each waits for those before it, however often it asks; another contact waits for nobody."""
    first, second, third = (claim(redis, token, event_id=f"in:{token}") for token in "abc")
    assert [(one.standing, one.before) for one in (first, second, third)] == [
        (Standing.MINE, 0),
        (Standing.WAIT, 1),
        (Standing.WAIT, 2),
    ]
    assert first.came_us < second.came_us < third.came_us
    run(redis, claims.done(NUMBER, "in:a", contact="39333", token="a", answer=b"{}"))
    assert claim(redis, "c", event_id="in:c").before == 1
    again = claim(redis, "b", event_id="in:b")
    assert (again.standing, again.came_us) == (Standing.MINE, second.came_us)
    run(redis, claims.let_go(NUMBER, "in:b", contact="39333", token="b"))
    assert claim(redis, "c", event_id="in:c").standing is Standing.MINE
    assert claim(redis, "d", event_id="in:d", contact="39334").standing is Standing.MINE


def test_a_turn_ends_with_its_time(redis: redis_py.Redis) -> None:
    """A gateway that died with it holds its contact for no longer than the app may take."""

    def at(token: str, now_us: int) -> Standing:
        call = claims.claim(NUMBER, f"in:{token}", contact="39333", token=token, ttl=TTL, now_us=now_us)
        return claims.claimed(run(redis, call)).standing

    assert at("a", SECOND_US) is Standing.MINE
    assert at("b", 20 * SECOND_US) is Standing.WAIT
    assert at("b", 21 * SECOND_US) is Standing.MINE


def test_what_the_outbox_holds_of_a_contact_goes_first(redis: redis_py.Redis) -> None:
    """A message behind it is told so, and those of others aren't."""
    redis.zadd(keys.outbox_due(NUMBER), {"39333": 1})
    assert claim(redis, "a").standing is Standing.BEHIND
    assert claim(redis, "b", event_id="in:2", contact="39334").standing is Standing.MINE
