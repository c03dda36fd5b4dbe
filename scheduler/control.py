"""What did a person set while running: a number's TPS, or that it rests?

A live value wins over the environment, and says who set it and when. Without one, the lowest TPS holds that any running
process knows from its environment.
"""

from __future__ import annotations

from dataclasses import dataclass

import redis

from headway import keys
from headway.errors import SettingError
from runtime import scripts
from runtime.scripts import Call

#: As HEADWAY_TPS: from 0.001 to 10,000,000 a second.
MOST_TPS_MILLI = 10_000_000_000


@dataclass(frozen=True, slots=True)
class Live:
    """The live settings of a number; None where the environment holds. `at_ms`: the server's time of the change."""

    tps_milli: int | None
    paused: bool
    by: str
    at_ms: int
    lowest_declared_milli: int | None


def read(client: redis.Redis, number: str) -> Live:
    """Return what holds now."""
    found = client.hmget(keys.settings(number), ["tps_milli", "paused", "by", "at_ms"])
    tps, paused, by, at = (_text(value) for value in found)
    lowest = _text(client.hget(keys.declared(number), "lowest"))
    return Live(int(tps) if tps else None, paused == "1", by, int(at or 0), int(lowest) if lowest else None)


def set_tps(client: redis.Redis, number: str, tps_milli: int | None, *, by: str) -> None:
    """Set a number's TPS in thousandths, or clear it (None). Holds from the next lease on, in every process."""
    if tps_milli is not None and not 1 <= tps_milli <= MOST_TPS_MILLI:
        raise SettingError("tps", "must be from 0.001 to 10,000,000 a second")
    _change(client, number, "tps_milli", None if tps_milli is None else str(tps_milli), by)


def pause(client: redis.Redis, number: str, *, by: str) -> None:
    """Stop leasing and beginning at once; what has begun finishes."""
    _change(client, number, "paused", "1", by)


def resume(client: redis.Redis, number: str, *, by: str) -> None:
    """Let a paused number go on."""
    _change(client, number, "paused", None, by)


def declare(number: str, process: str, tps_milli: int, *, now_us: int | None = None) -> Call:
    """Build the call by which a process says what TPS its environment gives; it answers the lowest that any says."""
    time = "" if now_us is None else now_us
    return Call(scripts.load("scheduler", "declare"), [keys.declared(number)], [time, process, tps_milli])


def _change(client: redis.Redis, number: str, name: str, value: str | None, by: str) -> None:
    seconds, micros = client.time()
    with client.pipeline(transaction=True) as pipe:
        if value is None:
            pipe.hdel(keys.settings(number), name)
        else:
            pipe.hset(keys.settings(number), name, value)
        pipe.hset(keys.settings(number), mapping={"by": by, "at_ms": seconds * 1000 + micros // 1000})
        pipe.publish(keys.doorbell(number), number)
        pipe.execute()


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""
