"""Under which rules does a number spend its TPS?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runtime.settings import NumberSettings
from runtime.windows import Cap, LoopGuard, QuietHours
from scheduler.quota import UNLIMITED, account_of

#: Lua hands over some 8,000 values at once, four a row; a script that fails there has written already.
MOST_ROWS = 1000

#: Enough that what a lease costs by itself (2 ms, mostly in Celery and kombu) is small beside its rows, few enough that
#: nobody waits long for its scripts (some 4 ms).
USUAL_ROWS = 250


@dataclass(frozen=True, slots=True)
class Quota:
    """Requests that a provider takes in any sliding minute from all numbers with one token (Picky: 90)."""

    #: Whose quota it is: a digest of provider and token.
    account: str
    per_minute: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberRules:
    """What the scripts need of a number's settings. TPS in thousandths, shares in millionths, durations in
    microseconds.

    `in_flight`: leases out at a time; one lease is one provider request where the provider takes many rows in one.
    `shape_fields`: fields of a message that belong to the provider's request, so that rows of one lease agree on them.
    Raises ValueError for more than MOST_ROWS rows, or none.
    """

    number: str
    tps_milli: int
    guard_us: int
    headroom_ppm: int
    in_flight: int
    lease_ttl_us: int
    #: Share of TPS that paced classes leave free, whatever uses the rest.
    calm_ppm: int = 0
    #: Share of TPS that urgent and high may always use.
    floor_ppm: int = 0
    #: Weights of high, normal and bulk; empty: a class leaves only what those above it have no message for.
    shares: Mapping[str, int] = field(default_factory=dict)
    #: Classes whose messages to one recipient leave in order, one in flight at a time.
    order: tuple[str, ...] = ()
    #: How long a message of a class may still leave after it was accepted, in milliseconds.
    expires_ms: Mapping[str, int] = field(default_factory=dict)
    #: Quiet hours of a class where the recipient lives.
    quiet: Mapping[str, QuietHours] = field(default_factory=dict)
    caps: tuple[Cap, ...] = ()
    loop_guard: LoopGuard | None = None
    #: Kinds of event that use the allocation, and receipts that the container produces.
    counts: tuple[str, ...] = ("send", "inbound", "delivered", "read")
    receipts: tuple[str, ...] = ("delivered", "read")
    event_webhook: bool = True
    shards: int = 1
    #: None where the provider counts no requests.
    quota: Quota | None = None
    shape_fields: tuple[str, ...] = ()
    max_rows: int = USUAL_ROWS
    #: A lease is capped by bytes too, so that one Celery message stays small.
    max_bytes: int = 256 * 1024

    def __post_init__(self) -> None:
        if not 1 <= self.max_rows <= MOST_ROWS:
            raise ValueError(f"a lease has 1 to {MOST_ROWS} rows, not {self.max_rows}")


def rules_of(own: NumberSettings, *, lease_ttl_ms: int, shape_fields: tuple[str, ...] = ()) -> NumberRules:
    """Return the rules that follow from a number's settings; who doesn't lease leaves `shape_fields` out."""
    return NumberRules(
        number=own.number,
        tps_milli=own.tps_milli,
        guard_us=own.guard_us,
        headroom_ppm=own.headroom_ppm,
        calm_ppm=own.calm_ppm,
        in_flight=own.in_flight,
        floor_ppm=own.floor_ppm,
        shares=own.shares,
        order=own.order,
        expires_ms=own.expires_ms,
        quiet=own.quiet,
        caps=own.caps,
        loop_guard=own.loop_guard,
        counts=own.counts,
        receipts=own.receipts,
        event_webhook=own.event_webhook,
        shards=own.shards,
        quota=Quota(account_of(own.provider, own.provider_token.reveal()), own.push_per_minute),
        lease_ttl_us=lease_ttl_ms * 1000,
        shape_fields=shape_fields,
        # Where requests are few, one carries whatever the window lets go.
        max_rows=MOST_ROWS if own.push_per_minute < UNLIMITED else USUAL_ROWS,
    )
