"""Which of thousands of units have anything to look at? The server is asked for a hundred at a time, by plain EXISTS.

Most units of a large pool are idle, and a script for each of them would be most of what an idle pool does. The commands
are packed once, when the units are named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import redis
from hiredis import pack_command

#: Units in one EXISTS: some hundred keys, few enough that nobody waits for it.
AT_ONCE = 100


class Lookout:
    """Looks at these units; `keys_of` names the keys that count of each."""

    def __init__(self, units: Sequence[str], keys_of: Callable[[str], Iterable[str]]) -> None:
        self._keys_of = keys_of
        self.chunks = [units[start : start + AT_ONCE] for start in range(0, len(units), AT_ONCE)]
        self._packed = b"".join(_exists(key for unit in chunk for key in keys_of(unit)) for chunk in self.chunks)

    def busy_chunks(self, client: redis.Redis) -> list[int]:
        """Return which chunks have a unit with something, in one round trip. Raises redis.RedisError."""
        there = _answers(client, self._packed, len(self.chunks)) if self.chunks else []
        return [index for index, count in enumerate(there) if count]

    def busy(self, client: redis.Redis) -> list[str]:
        """Return the units that have something, in two round trips at the most. Raises redis.RedisError."""
        units = [unit for index in self.busy_chunks(client) for unit in self.chunks[index]]
        there = _answers(client, b"".join(_exists(self._keys_of(unit)) for unit in units), len(units)) if units else []
        return [unit for unit, count in zip(units, there, strict=True) if count]


def _exists(keys: Iterable[str]) -> bytes:
    packed: bytes = pack_command(("EXISTS", *keys))  # type: ignore[arg-type]  # hiredis: any length
    return packed


def _answers(client: redis.Redis, packed: bytes, count: int) -> list[int]:
    pool: Any = client.connection_pool
    connection = pool.get_connection()
    try:
        connection.send_packed_command([packed])
        return [int(connection.read_response()) for _ in range(count)]
    except BaseException:
        connection.disconnect()
        raise
    finally:
        pool.release(connection)
