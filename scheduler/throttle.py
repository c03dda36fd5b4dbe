"""What do a provider's throttle answers do to a number?

Slowed at once, recovered additively, never above what is allowed. A cut leaves nine tenths of what was just accepted;
from there the TPS grows by a 500th of the allowed TPS a second, so that a limit that was found is looked for slowly: at
the limit a number loses a twentieth, and meets it again about twice a minute. After CALM seconds without a cut it grows
ten times as fast, up to nine tenths of what it was before the trouble: after an outage it is soon back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import redis

from headway import keys
from runtime import scripts
from runtime.scripts import Call
from scheduler.leases import request_logs
from scheduler.rules import NumberRules

#: The longest pause that a provider may ask for.
LONGEST_PAUSE = timedelta(minutes=15)

_CALM_S, _SLOW, _FAST, _NEARLY = 10, 0.002, 0.02, 0.9


@dataclass(frozen=True, slots=True)
class Slowed:
    """What `slow` did. `cut`: the TPS was cut, to `tps_milli`; the number rests for `rests_us`."""

    cut: bool
    tps_milli: int
    rests_us: int


@dataclass(frozen=True, slots=True)
class Throttle:
    """What stands of a provider's throttle answers; times are the server's, in microseconds."""

    tps_milli: int
    at_us: int
    was_milli: int
    until_us: int

    def tps_now(self, allowed_milli: int, now_us: int) -> int:
        """Return the TPS (thousandths) that it leaves of what is allowed."""
        if self.at_us > now_us:  # from a clock that was set back: the provider will say it again
            return allowed_milli
        seconds = (now_us - self.at_us) / 1_000_000
        slowly = self.tps_milli + allowed_milli * _SLOW * seconds
        soon = self.tps_milli + allowed_milli * (_SLOW * _CALM_S + _FAST * max(0, seconds - _CALM_S))
        return max(1, min(allowed_milli, int(max(slowly, min(soon, _NEARLY * self.was_milli)))))


def slow(
    rules: NumberRules, lease_id: str, *, refused: int, pause: timedelta = timedelta(), now_us: int | None = None
) -> Call:
    """Build the call that slows a number after a throttle answer to a lease's request; before it is settled.

    `refused`: rows of the request. `pause`: what the provider asked for, at most LONGEST_PAUSE. One cut a window, so it
    is safe to run twice.
    """
    n = rules.number
    names = [
        keys.settings(n),
        keys.declared(n),
        keys.throttle(n),
        keys.meter(n),
        keys.window(n),
        request_logs(rules)[0],
    ]
    pause_us = min(pause, LONGEST_PAUSE) // timedelta(microseconds=1)
    time = "" if now_us is None else now_us
    args = [time, rules.tps_milli, rules.guard_us, lease_id, refused, pause_us]
    return Call(scripts.load("scheduler", "slow"), names, args)


def slowed(reply: Any) -> Slowed:
    """Read what `slow` answered."""
    cut, tps_milli, now_us, until_us = map(int, reply)
    return Slowed(bool(cut), tps_milli, until_us - now_us)


def rest(number: str, pause: timedelta, *, now_us: int | None = None) -> Call:
    """Build the call that lets a number wait, because its provider can't be reached; its TPS stays.

    Safe to run twice: the later end holds. `pause`: at most LONGEST_PAUSE. It answers until when the number rests.
    """
    pause_us = min(pause, LONGEST_PAUSE) // timedelta(microseconds=1)
    return Call(
        scripts.load("scheduler", "rest"), [keys.throttle(number)], ["" if now_us is None else now_us, pause_us]
    )


def read(client: redis.Redis, number: str) -> Throttle | None:
    """Return what stands, or None when nothing was refused for long."""
    found = client.hmget(keys.throttle(number), ["tps_milli", "at", "was", "until"])
    values = [int(value) for value in found if value is not None]
    return Throttle(*values) if len(values) == len(found) else None
