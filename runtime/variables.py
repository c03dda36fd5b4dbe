"""Which environment variables does Headway read? One table: name, default, reader, and whom it concerns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from headway.classes import MessageClass
from runtime import address, parsing, windows
from runtime.secret import NONE, Secret, hide_all, hide_passwords, hide_url

PREFIX: Final = "HEADWAY_"
#: Served when HEADWAY_NUMBERS is unset: a number that can't exist (555-01xx is kept for fiction).
DEMO_NUMBER: Final = "15555550100"

#: HEADWAY_WEBHOOK_KEY that lets every stranger in: said by a person, never by leaving it out.
OFF: Final = "off"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Variable(Generic[T]):
    """One environment variable."""

    #: Without HEADWAY_.
    name: str
    #: As a person would write it; empty means unset, and `read` isn't asked.
    default: str
    #: Raises ValueError that says what to write instead.
    read: Callable[[str], T]
    #: What it is when unset and `default` is empty.
    absent: T
    #: Whether HEADWAY_X_<number> may override it.
    per_number: bool = True
    #: What of its text may be shown.
    shown: Callable[[str], str] = hide_passwords

    @property
    def full_name(self) -> str:
        """`HEADWAY_X`."""
        return PREFIX + self.name


def _redis_url(text: str) -> str:
    address.parse(text)
    return text


def _home(text: str) -> Path:
    # Absolute from the start: `celery --workdir` changes the directory later.
    return Path(text).expanduser().absolute()


def _secret(text: str) -> Secret:
    return Secret(parsing.plain(text))


def _secrets(text: str) -> tuple[Secret, ...]:
    return tuple(_secret(item.strip()) for item in text.split(","))


def _webhook_keys(text: str) -> tuple[Secret, ...]:
    found = _secrets(text)
    if len(found) > 1 and Secret(OFF) in found:
        raise ValueError("`off` opens the webhooks to everybody, so it stands alone; leave it or the keys out")
    return found


def _shown_key(text: str) -> str:
    return text if text == OFF else hide_all(text)


def _shards(text: str) -> int:
    if text not in ("1", "2", "4", "8", "16", "32"):
        raise ValueError(f"{text!r} is no number of shards; write 1, 2, 4, 8, 16 or 32")
    return int(text)


def _receipts(text: str) -> tuple[str, ...]:
    found = parsing.words("delivered", "read", none=True)(text)
    if found == ("read",):
        raise ValueError("'read' can't be alone: read receipts follow delivered ones; write delivered,read or none")
    return found


def _provider(text: str) -> str:
    provider = parsing.choice("picky", "cloud", "onprem")(text)
    if provider != "picky":
        raise ValueError(f"this version can't send through {provider} yet; write picky, or leave it out")
    return provider


_seconds_ms = partial(parsing.decimal, scale=1000, unit="seconds")
_whole = partial(parsing.decimal, scale=1)
_ppm = partial(parsing.decimal, scale=1_000_000)
_count = _whole(least="1", most="1000000", unit="requests a minute")
_CLASSES: Final = tuple(str(class_) for class_ in MessageClass)

REDIS_URL: Variable[str | None] = Variable("REDIS_URL", "", _redis_url, None, per_number=False)
HOME = Variable("HOME", ".headway", _home, Path(".headway"), per_number=False)
NUMBERS: Variable[tuple[str, ...]] = Variable("NUMBERS", DEMO_NUMBER, parsing.numbers, (), per_number=False)
SEND_TIMEOUT = Variable("SEND_TIMEOUT", "30", _seconds_ms(least="1", most="300"), 0, per_number=False)
LEASE_TTL = Variable("LEASE_TTL", "10", _seconds_ms(least="3", most="15"), 0, per_number=False)
GRACE = Variable("GRACE", "25", _seconds_ms(least="1", most="3600"), 0, per_number=False)
RECORD_TTL = Variable("RECORD_TTL", "30", _whole(least="1", most="365", unit="days"), 0, per_number=False)
LOG = Variable("LOG", "auto", parsing.choice("auto", "json", "pretty"), "auto", per_number=False)
API_TOKENS: Variable[tuple[Secret, ...]] = Variable("API_TOKENS", "", _secrets, (), per_number=False, shown=hide_all)
LOCKOUT = Variable("LOCKOUT", "on", parsing.choice("on", "off"), "on", per_number=False)
TRUSTED_PROXIES: Variable[tuple[parsing.Network, ...]] = Variable(
    "TRUSTED_PROXIES", "", parsing.networks, (), per_number=False
)
CAMPAIGN_RECIPIENTS = Variable(
    "CAMPAIGN_RECIPIENTS", "10000", _whole(least="1", most="100000", unit="recipients"), 0, per_number=False
)
CAMPAIGN_UPLOAD = Variable(
    "CAMPAIGN_UPLOAD", "5000", _whole(least="1", most="100000", unit="rows"), 0, per_number=False
)
CAMPAIGN_BYTES = Variable(
    "CAMPAIGN_BYTES", "10485760", _whole(least="1024", most="104857600", unit="bytes"), 0, per_number=False
)

TPS = Variable("TPS", "10", parsing.decimal(scale=1000, least="0.001", most="10000000", unit="events a second"), 0)
SHARDS = Variable("SHARDS", "1", _shards, 1)
COUNTS: Variable[tuple[str, ...]] = Variable(
    "COUNTS", "send,inbound,delivered,read", parsing.words("send", "inbound", "delivered", "read"), ()
)
RECEIPTS: Variable[tuple[str, ...]] = Variable("RECEIPTS", "delivered,read", _receipts, ())
EVENT_WEBHOOK = Variable("EVENT_WEBHOOK", "on", parsing.choice("on", "off"), "on")
UNCERTAIN: Variable[Mapping[str, str]] = Variable(
    "UNCERTAIN",
    "urgent=resend,high=resend,normal=hold,bulk=hold",
    parsing.table(*_CLASSES, values=("resend", "hold")),
    {},
)
UNCERTAIN_WAIT = Variable("UNCERTAIN_WAIT", "60", _seconds_ms(least="0", most="604800"), 0)
RETRY_FOR = Variable("RETRY_FOR", "86400", _seconds_ms(least="1", most="2592000"), 0)
EXPIRES: Variable[Mapping[str, int]] = Variable("EXPIRES", "", windows.expiries, {})
QUIET: Variable[Mapping[str, windows.QuietHours]] = Variable("QUIET", "", windows.quiet_hours, {})
CAPS: Variable[tuple[windows.Cap, ...]] = Variable("CAPS", "", windows.caps, ())
LOOP_GUARD: Variable[windows.LoopGuard | None] = Variable("LOOP_GUARD", "5/60", windows.loop_guard, None)
HEADROOM = Variable("HEADROOM", "0.1", _ppm(least="0", most="0.9", unit="TPS, as a share"), 0)
CALM = Variable("CALM", "0", _ppm(least="0", most="0.9", unit="TPS, as a share"), 0)
FLOOR = Variable("FLOOR", "0.1", _ppm(least="0", most="0.5", unit="TPS, as a share"), 0)
SHARES: Variable[Mapping[str, int]] = Variable(
    "SHARES", "high=70,normal=20,bulk=10", parsing.weights(*_CLASSES[1:]), {}
)
ORDER: Variable[tuple[str, ...]] = Variable("ORDER", ",".join(_CLASSES), parsing.words(*_CLASSES, none=True), ())
IN_FLIGHT = Variable("IN_FLIGHT", "25", _whole(least="1", most="1000", unit="requests at a time"), 0)
GUARD = Variable("GUARD", "0.01", _ppm(least="0", most="0.5", unit="seconds"), 0)
PROVIDER = Variable("PROVIDER", "picky", _provider, "picky")
PROVIDER_URL: Variable[tuple[str, ...]] = Variable("PROVIDER_URL", "https://app.pickyassist.com", parsing.base_urls, ())
PROVIDER_TOKEN = Variable("PROVIDER_TOKEN", "", _secret, NONE, shown=hide_all)
APPLICATION = Variable("APPLICATION", "", parsing.plain, "")
PUSH_PER_MINUTE = Variable("PUSH_PER_MINUTE", "90", _count, 0)
STATUS_PER_MINUTE = Variable("STATUS_PER_MINUTE", "3", _count, 0)
WEBHOOK_KEY: Variable[tuple[Secret, ...]] = Variable("WEBHOOK_KEY", "", _webhook_keys, (), shown=_shown_key)
APP_SECRET: Variable[tuple[Secret, ...]] = Variable("APP_SECRET", "", _secrets, (), shown=hide_all)
VERIFY_TOKEN: Variable[tuple[Secret, ...]] = Variable("VERIFY_TOKEN", "", _secrets, (), shown=hide_all)
FORWARD_URL = Variable("FORWARD_URL", "", parsing.web_url, "", shown=hide_url)

#: In the order in which they are shown.
GLOBAL: Final[tuple[Variable[Any], ...]] = (
    REDIS_URL,
    HOME,
    NUMBERS,
    SEND_TIMEOUT,
    LEASE_TTL,
    GRACE,
    RECORD_TTL,
    LOG,
    API_TOKENS,
    LOCKOUT,
    TRUSTED_PROXIES,
    CAMPAIGN_RECIPIENTS,
    CAMPAIGN_UPLOAD,
    CAMPAIGN_BYTES,
)
PER_NUMBER: Final[tuple[Variable[Any], ...]] = (
    TPS,
    HEADROOM,
    CALM,
    FLOOR,
    SHARES,
    ORDER,
    IN_FLIGHT,
    GUARD,
    SHARDS,
    COUNTS,
    RECEIPTS,
    EVENT_WEBHOOK,
    UNCERTAIN,
    UNCERTAIN_WAIT,
    RETRY_FOR,
    EXPIRES,
    QUIET,
    CAPS,
    LOOP_GUARD,
    PROVIDER,
    PROVIDER_URL,
    PROVIDER_TOKEN,
    APPLICATION,
    PUSH_PER_MINUTE,
    STATUS_PER_MINUTE,
    WEBHOOK_KEY,
    APP_SECRET,
    VERIFY_TOKEN,
    FORWARD_URL,
)
BY_NAME: Final[Mapping[str, Variable[Any]]] = {variable.full_name: variable for variable in (*GLOBAL, *PER_NUMBER)}

#: Checked, but without effect in this version: a door that finds one set to anything but its default says so, with
#: this reason. Whoever builds the part takes the line out.
NOT_YET: Final[Mapping[str, str]] = {
    "HEADWAY_APP_SECRET": "webhooks of the Cloud API don't come in yet",
    "HEADWAY_VERIFY_TOKEN": "webhooks of the Cloud API don't come in yet",
}
