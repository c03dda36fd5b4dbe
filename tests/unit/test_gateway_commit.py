"""Do requests that arrive together share a round trip, and does each get its own answer or its own error?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import redis as redis_py
from redis import asyncio as redis_asyncio

from gateway import commit as commit_module
from gateway.commit import Commit
from gateway.serials import BLOCK, Serials
from headway import keys
from headway.errors import BrokerUnavailable
from runtime.connect import connect_async
from runtime.scripts import Call, Script, run_all_async
from tests.harness.servers import ThrowawayServer

# The server knows none of these digests, so each call also goes the way of a forgotten script.
ECHO = Script("echo", "return ARGV[1]", "a" * 40)
FAIL = Script("fail", "return redis.error_reply('NO way')", "b" * 40)
WRITE = Script("write", "return redis.call('SET', KEYS[1], 1, 'EX', 9)", "c" * 40)


def echo(text: str, *, names: int = 0) -> Call:
    """Build a call that answers its argument; `names`: how many keys it names."""
    return Call(ECHO, [f"headway:message:{index}" for index in range(names)], [text])


def run(
    url: str, work: Callable[[Commit], Coroutine[Any, Any, Any]], *, batches: list[int] | None = None, **options: Any
) -> Any:
    """Run `work` with a Commit on this server; `batches` gets the number of calls of each batch."""

    async def with_commit() -> Any:
        commit = Commit(connect_async(url, name="test"), **options)
        try:
            return await asyncio.wait_for(work(commit), timeout=20)
        finally:
            await commit.close()

    async def counted(client: redis_asyncio.Redis, calls: Any) -> list[Any]:
        if batches is not None:
            batches.append(len(calls))
        return await run_all_async(client, calls)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commit_module, "run_all_async", counted)
        return asyncio.run(with_commit())


def test_calls_of_one_turn_share_a_round_trip(redis: redis_py.Redis, server: ThrowawayServer) -> None:
    """Fifty requests at a time are one batch, and each gets its own answer."""
    batches: list[int] = []

    async def fifty(commit: Commit) -> list[Any]:
        return await asyncio.gather(*(commit.run(echo(str(index))) for index in range(50)))

    assert run(server.url, fifty, batches=batches) == [str(index).encode() for index in range(50)]
    assert batches == [50]


def test_what_comes_while_a_batch_is_under_way_gathers(redis: redis_py.Redis, server: ThrowawayServer) -> None:
    """The next batch takes all that came meanwhile."""
    batches: list[int] = []

    async def trickle(commit: Commit) -> None:
        first = asyncio.ensure_future(commit.run(echo("first")))
        while not batches:  # noqa: ASYNC110  nobody says when a batch leaves
            await asyncio.sleep(0)
        await asyncio.gather(first, *(commit.run(echo(str(index))) for index in range(7)))

    run(server.url, trickle, batches=batches)
    assert batches == [1, 7]


def test_heavy_calls_go_one_a_batch(redis: redis_py.Redis, server: ThrowawayServer) -> None:
    """Pieces of a large push never hold up the light calls beside them: those are all in the first batch."""
    batches: list[int] = []

    async def both(commit: Commit) -> list[Any]:
        heavy = [echo(f"heavy{index}", names=100) for index in range(3)]
        return await commit.run_all([*heavy, *(echo(f"light{index}") for index in range(5))])

    names = [*(f"heavy{index}" for index in range(3)), *(f"light{index}" for index in range(5))]
    assert run(server.url, both, batches=batches) == [name.encode() for name in names]
    assert batches == [6, 1, 1]


def test_a_refused_call_fails_alone(redis: redis_py.Redis, server: ThrowawayServer) -> None:
    """The server's error reaches who asked; `run_all` gives it as the answer of that call."""

    async def mixed(commit: Commit) -> list[Any]:
        alone = await asyncio.gather(commit.run(Call(FAIL, [], [])), commit.run(echo("a")), return_exceptions=True)
        return [*alone, *await commit.run_all([echo("b"), Call(FAIL, [], [])])]

    refused, answered, second, error = run(server.url, mixed)
    assert isinstance(refused, redis_py.ResponseError)
    assert (answered, second) == (b"a", b"b")
    assert "NO way" in str(error)


def test_too_much_waiting_is_turned_away(redis: redis_py.Redis, server: ThrowawayServer) -> None:
    """Past the bound a caller hears at once that it should come again, and what waits is served."""

    async def crowd(commit: Commit) -> list[Any]:
        calls = (commit.run(echo("x", names=10)) for _ in range(12))
        return await asyncio.gather(*calls, return_exceptions=True)

    answers = run(server.url, crowd, most_waiting=100)
    assert answers[:10] == [b"x"] * 10
    assert all(isinstance(answer, BrokerUnavailable) for answer in answers[10:])


def test_one_call_over_the_bound_is_taken_when_nothing_waits(redis: redis_py.Redis, server: ThrowawayServer) -> None:
    """A large push alone is never too large for an idle gateway."""

    async def large(commit: Commit) -> Any:
        return await commit.run(echo("x", names=200))

    assert run(server.url, large, most_waiting=100) == b"x"


def test_a_server_that_is_away_is_found_out_once(own_server: ThrowawayServer) -> None:
    """The first caller hears it, the next ones at once, and when the server is back calls go through again."""
    batches: list[int] = []

    async def outage(commit: Commit) -> float:
        assert await commit.run(echo("before")) == b"before"
        own_server.kill()
        for _ in range(5):
            with pytest.raises(BrokerUnavailable):
                await commit.run(echo("away"))
        assert commit.away
        tried = len(batches)
        started = time.monotonic()
        for _ in range(100):
            with pytest.raises(BrokerUnavailable, match="doesn't answer"):
                await commit.run(echo("away"))
        took = time.monotonic() - started
        assert len(batches) == tried, "a call was sent although the server was known to be away"
        await asyncio.to_thread(own_server.start)
        while commit.away:  # noqa: ASYNC110  nor when the server is back
            await asyncio.sleep(0.01)
        assert await commit.run(echo("after")) == b"after"
        return took

    assert run(own_server.url, outage, batches=batches) < 1
    assert len(batches) == 3  # before, the one that found out, after


def test_a_caller_that_went_disturbs_nobody(redis: redis_py.Redis, server: ThrowawayServer) -> None:
    """Its call is run, for nobody told it otherwise; the others of its batch get their answers."""

    async def leave(commit: Commit) -> Any:
        gone = asyncio.ensure_future(commit.run(Call(WRITE, [keys.ready()], [])))
        stays = asyncio.ensure_future(commit.run(echo("stays")))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert run(server.url, leave) == b"stays"
    assert redis.get(keys.ready()) == b"1"


def test_a_closed_commit_takes_nothing(redis: redis_py.Redis, server: ThrowawayServer) -> None:
    """What waits when the process ends fails with a clear error instead of hanging."""

    async def late(commit: Commit) -> list[Any]:
        waiting = [asyncio.ensure_future(commit.run(echo("x", names=100))) for _ in range(5)]
        await asyncio.sleep(0)
        await commit.close()
        with pytest.raises(BrokerUnavailable, match="ending"):
            await commit.run(echo("late"))
        return await asyncio.gather(*waiting, return_exceptions=True)

    for answer in run(server.url, late):
        assert answer == b"x" or isinstance(answer, BrokerUnavailable)


def test_ids_follow_each_other_and_are_never_given_twice(redis: redis_py.Redis, server: ThrowawayServer) -> None:
    """Two processes and many takers at a time: every id once, each taking's ids in a row, all below 2^53."""

    async def take(commit: Commit) -> list[int]:
        one, two = Serials(commit), Serials(commit)
        counts = [1, 2, 700, 700, 3, 1500, 1]
        takings = [(serials, count) for serials in (one, two) for count in counts]
        firsts = await asyncio.gather(*(serials.take(count) for serials, count in takings))
        return [first + index for first, (_, count) in zip(firsts, takings, strict=True) for index in range(count)]

    ids = run(server.url, take)
    assert len(set(ids)) == len(ids)
    assert max(ids) < 2**53
    assert min(ids) > 1_600_000_000_000  # begins at the clock, not at 1: a server that lost its data repeats nothing


def test_small_takings_share_a_block(redis: redis_py.Redis, server: ThrowawayServer) -> None:
    """A round trip for ids is rare: one for a block."""
    batches: list[int] = []

    async def take(commit: Commit) -> None:
        serials = Serials(commit)
        for _ in range(BLOCK // 2):
            await serials.take(2)

    run(server.url, take, batches=batches)
    assert batches == [1]
