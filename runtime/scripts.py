"""Where do the Lua scripts come from, and how is one called?

One file for each atomic verb in the owning room's `lua/`. A line `-- @include name` stands for the function in
`<room>/lua/include/name.lua` or, when several rooms share it, in `runtime/lua/name.lua`; a second one of the same name
stands for nothing, so that an include may name what it needs itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import redis
from hiredis import pack_command
from redis import asyncio as redis_asyncio
from redis.exceptions import NoScriptError

INCLUDE = re.compile(r"^-- @include (\w+)\n", re.MULTILINE)

Argument = str | int | bytes


@dataclass(frozen=True, slots=True)
class Script:
    """A script with its includes filled in. `sha` is what EVALSHA calls it by."""

    name: str
    source: str
    sha: str

    def run(self, client: redis.Redis, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run it in one round trip; a server that forgot it (restart, SCRIPT FLUSH) is told it again."""
        try:
            return client.evalsha(self.sha, len(keys), *keys, *args)
        except NoScriptError:
            return client.eval(self.source, len(keys), *keys, *args)


@dataclass(frozen=True, slots=True)
class Call:
    """One script with its keys and arguments, still to be run."""

    script: Script
    keys: Sequence[str]
    args: Sequence[Argument]

    def command(self) -> list[Argument]:
        """Return the words of the Redis command."""
        return ["EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.args]


def run_all(client: redis.Redis, calls: Sequence[Call]) -> list[Any]:
    """Run calls in one round trip; each answers by itself: its reply, or the ResponseError that the server gave."""
    replies = _round_trip(client, [call.command() for call in calls])
    for index, reply in enumerate(replies):
        if isinstance(reply, NoScriptError):
            (replies[index],) = _round_trip(client, [_with_source(calls[index])])
    return replies


def _with_source(call: Call) -> list[Argument]:
    return ["EVAL", call.script.source, len(call.keys), *call.keys, *call.args]


def _round_trip(client: redis.Redis, commands: Sequence[Sequence[Argument]]) -> list[Any]:
    """Send commands at once, and read a reply or a ResponseError for each.

    As redis-py's own commands do, but packed by hiredis: those take a thousand arguments through many hands.
    """
    pool: Any = client.connection_pool
    connection = pool.get_connection()
    try:
        packed = [pack_command(tuple(words)) for words in commands]  # type: ignore[arg-type]  # hiredis: any length
        connection.send_packed_command([b"".join(packed)])
        return [_read(connection) for _ in commands]
    except BaseException:
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


def _read(connection: Any) -> Any:
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


async def run_all_async(client: redis_asyncio.Redis, calls: Sequence[Call]) -> list[Any]:
    """Run calls as `run_all` does, on an event loop."""
    replies = await _round_trip_async(client, [call.command() for call in calls])
    for index, reply in enumerate(replies):
        if isinstance(reply, NoScriptError):
            (replies[index],) = await _round_trip_async(client, [_with_source(calls[index])])
    return replies


async def _round_trip_async(client: redis_asyncio.Redis, commands: Sequence[Sequence[Argument]]) -> list[Any]:
    """Send commands at once, and read a reply or a ResponseError for each.

    As redis-py's pipeline does, but packed by hiredis and with one time-out for all: half the time on our side.
    """
    pool: Any = client.connection_pool
    connection = await pool.get_connection()
    try:
        packed = [pack_command(tuple(words)) for words in commands]  # type: ignore[arg-type]  # hiredis: any length
        await connection.send_packed_command(b"".join(packed))
        async with asyncio.timeout(connection.socket_timeout):
            return [await _reply(connection) for _ in commands]
    except TimeoutError as error:
        await connection.disconnect(nowait=True)
        raise redis.TimeoutError("Timeout reading from socket") from error
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    finally:
        await pool.release(connection)


async def _reply(connection: Any) -> Any:
    try:
        return await connection.read_response(timeout=math.inf)
    except redis.ResponseError as error:
        return error


@cache
def load(room: str, name: str) -> Script:
    """Return a room's script. Raises FileNotFoundError for a script or an include that isn't there."""
    own = resources.files(room) / "lua"
    shared = resources.files("runtime") / "lua"
    there: set[str] = set()

    def function(match: re.Match[str]) -> str:
        if match[1] in there:
            return ""
        there.add(match[1])
        file: Traversable = own / "include" / f"{match[1]}.lua"
        return INCLUDE.sub(function, (file if file.is_file() else shared / f"{match[1]}.lua").read_text())

    source = INCLUDE.sub(function, (own / f"{name}.lua").read_text())
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())
