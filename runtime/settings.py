"""What was this process told? The environment, read once at a door, checked whole, and passed inwards as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from headway.errors import SettingError
from runtime import variables as v
from runtime.environment import Environment, SettingRow
from runtime.parsing import Network
from runtime.parsing import numbers as read_numbers
from runtime.relations import contradictions
from runtime.secret import Secret
from runtime.windows import Cap, LoopGuard, QuietHours

_S_A_DAY: Final = 24 * 60 * 60
_UNCERTAIN: Final = v.UNCERTAIN.read(v.UNCERTAIN.default)


@dataclass(frozen=True, slots=True)
class NumberSettings:
    """What holds for one number before anybody changes it live."""

    number: str
    #: Allocated transactions per 1,000 seconds: TPS times 1,000.
    tps_milli: int
    #: Share of TPS that is kept for what can't be refused, and used by it, in millionths.
    headroom_ppm: int
    #: Share of TPS that paced classes leave free, whatever uses the rest, in millionths.
    calm_ppm: int
    #: Share of TPS that urgent and high may always use, even when what can't be refused fills it all, in millionths.
    floor_ppm: int
    #: Weights by which high, normal and bulk share what urgent leaves; empty: class by class, what those above leave.
    shares: Mapping[str, int]
    #: Classes whose messages to one recipient leave in accept order, one in flight at a time.
    order: tuple[str, ...]
    #: MultiConnect shards; each has the whole TPS.
    shards: int
    #: Which of send, inbound, delivered, read use the allocation.
    counts: tuple[str, ...]
    #: Which receipts the container produces: delivered, read.
    receipts: tuple[str, ...]
    #: Whether the provider tells us of receipts; when it doesn't, they are charged by forecast.
    event_webhook: bool
    #: Provider requests at a time.
    in_flight: int
    #: How much longer than its second the meter looks back, for the jitter between begin and the wire.
    guard_us: int
    provider: str
    #: Base URLs without a slash at the end: primary, standby, …
    provider_urls: tuple[str, ...]
    provider_token: Secret
    #: The provider's name for the number: a channel id, or the number itself.
    application: str
    #: `resend` or `hold`, for each of the four classes.
    uncertain: Mapping[str, str]
    #: How long to wait for an echo before that.
    uncertain_wait_ms: int
    #: How long after its first try a message may still be tried.
    retry_for_ms: int
    #: How long after it was accepted a message of a class may still leave, in milliseconds; a class left out: for ever.
    expires_ms: Mapping[str, int]
    #: Hours of the recipient's day in which messages of a class wait.
    quiet: Mapping[str, QuietHours]
    #: How many messages of a class or with a tag one contact gets at most.
    caps: tuple[Cap, ...]
    #: Against two programs that answer each other; None: off.
    loop_guard: LoopGuard | None
    #: Push requests a minute that the provider takes from all numbers with one token.
    push_per_minute: int
    #: How often the provider may be asked for the device's status, in requests a minute.
    status_per_minute: int
    #: One of these webhooks must carry as `?key=`; none lets nobody in, unless they are open.
    webhook_keys: tuple[Secret, ...]
    #: Whether a person said `HEADWAY_WEBHOOK_KEY=off`: webhooks are taken from everybody.
    webhooks_open: bool
    #: The app's own webhook; a secret, for it often carries a key.
    forward_url: Secret


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for the process."""

    #: None: use the embedded server. May hold a password, so `repr` leaves it out.
    redis_url: str | None = field(repr=False)
    #: Absolute.
    home: Path
    numbers: tuple[str, ...]
    #: Tokens that apps present over HTTP.
    api_tokens: tuple[Secret, ...]
    #: Whether an address that gives wrong tokens is locked out for a while.
    lockout: bool
    #: Whose `X-Forwarded-For` counts; none: what connects is who calls.
    trusted_proxies: tuple[Network, ...]
    #: How many recipients one campaign may have, how many rows a file of recipients, and how many bytes that file.
    campaign_recipients: int
    campaign_upload: int
    campaign_bytes: int
    #: Hard deadline of one provider request.
    send_timeout_ms: int
    #: A lease that isn't renewed for so long is lost.
    lease_ttl_ms: int
    #: How long a worker that was told to end may take to finish what it began.
    grace_ms: int
    #: How long the record of a message is kept after its last change.
    record_ttl_s: int
    #: `auto`, `json` or `pretty`.
    log: str
    #: Variables that were set and have no effect yet; the reasons are in `runtime.variables.NOT_YET`.
    not_yet: tuple[str, ...]
    #: Variables of numbers that HEADWAY_NUMBERS doesn't list: right when a worker is told its queues, else a mistake.
    unserved: tuple[str, ...]
    _environment: Environment = field(repr=False, compare=False)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read and check everything, overrides and relations included.

        Raises SettingError, which names the variable and says what to write instead.
        """
        environment = Environment(environ)
        for variable in v.GLOBAL:
            environment.get(variable)  # what no attribute holds yet is checked too
        numbers = environment.get(v.NUMBERS)
        settings = cls(
            redis_url=environment.get(v.REDIS_URL),
            home=environment.get(v.HOME),
            numbers=numbers,
            api_tokens=environment.get(v.API_TOKENS),
            lockout=environment.get(v.LOCKOUT) == "on",
            trusted_proxies=environment.get(v.TRUSTED_PROXIES),
            campaign_recipients=environment.get(v.CAMPAIGN_RECIPIENTS),
            campaign_upload=environment.get(v.CAMPAIGN_UPLOAD),
            campaign_bytes=environment.get(v.CAMPAIGN_BYTES),
            send_timeout_ms=environment.get(v.SEND_TIMEOUT),
            lease_ttl_ms=environment.get(v.LEASE_TTL),
            grace_ms=environment.get(v.GRACE),
            record_ttl_s=environment.get(v.RECORD_TTL) * _S_A_DAY,
            log=environment.get(v.LOG),
            not_yet=environment.without_effect(),
            unserved=environment.overrides(set(environment.named_numbers) - set(numbers)),
            _environment=environment,
        )
        for number in (*numbers, *environment.named_numbers):
            settings._check(number)
        return settings

    def number(self, number: str) -> NumberSettings:
        """Return what holds for a number, HEADWAY_NUMBERS or not: a worker may be told its queues.

        Raises SettingError when it isn't a number.
        """
        try:
            (number,) = read_numbers(number)
        except ValueError as error:
            raise SettingError(v.NUMBERS.full_name, str(error)) from None
        get = self._environment.get
        uncertain: Mapping[str, str] = get(v.UNCERTAIN, number)
        webhooks_open = get(v.WEBHOOK_KEY, number) == (Secret(v.OFF),)
        return NumberSettings(
            number=number,
            tps_milli=get(v.TPS, number),
            headroom_ppm=get(v.HEADROOM, number),
            calm_ppm=get(v.CALM, number),
            floor_ppm=get(v.FLOOR, number),
            shares=get(v.SHARES, number),
            order=get(v.ORDER, number),
            shards=get(v.SHARDS, number),
            counts=get(v.COUNTS, number),
            receipts=get(v.RECEIPTS, number),
            event_webhook=get(v.EVENT_WEBHOOK, number) == "on",
            in_flight=get(v.IN_FLIGHT, number),
            guard_us=get(v.GUARD, number),
            provider=get(v.PROVIDER, number),
            provider_urls=get(v.PROVIDER_URL, number),
            provider_token=get(v.PROVIDER_TOKEN, number),
            application=get(v.APPLICATION, number) or number,
            uncertain=MappingProxyType({**_UNCERTAIN, **uncertain}),
            uncertain_wait_ms=get(v.UNCERTAIN_WAIT, number),
            retry_for_ms=get(v.RETRY_FOR, number),
            expires_ms=get(v.EXPIRES, number),
            quiet=get(v.QUIET, number),
            caps=get(v.CAPS, number),
            loop_guard=get(v.LOOP_GUARD, number),
            push_per_minute=get(v.PUSH_PER_MINUTE, number),
            status_per_minute=get(v.STATUS_PER_MINUTE, number),
            webhook_keys=() if webhooks_open else get(v.WEBHOOK_KEY, number),
            webhooks_open=webhooks_open,
            forward_url=Secret(get(v.FORWARD_URL, number)),
        )

    def source(self, variable: v.Variable[Any], number: str = "") -> str:
        """Return where a value comes from: `HEADWAY_X_<number>`, `HEADWAY_X`, or `default`."""
        return self._environment.source(variable, number)

    def describe(self) -> list[SettingRow]:
        """Return every setting, secrets masked, and where it came from: first the process's, then each number's."""
        rows = [self._environment.row(variable) for variable in v.GLOBAL]
        for number in self.numbers:
            rows += [self._environment.row(variable, number) for variable in v.PER_NUMBER]
        return rows

    def _check(self, number: str) -> None:
        for variable in v.PER_NUMBER:
            self._environment.get(variable, number)
        own = self.number(number)
        for variable, lasts_ms in ((v.UNCERTAIN_WAIT, own.uncertain_wait_ms), (v.RETRY_FOR, own.retry_for_ms)):
            if lasts_ms > self.record_ttl_s * 1000:
                raise SettingError(
                    self._blame(variable, number=number),
                    f"must not be longer than messages are kept ({v.RECORD_TTL.full_name}); "
                    "shorten it or keep them longer",
                )
        for variables, problem in contradictions(own):
            raise SettingError(self._blame(*variables, number=number), problem)

    def _blame(self, *variables: v.Variable[Any], number: str) -> str:
        """Return the first of them that was set, as it was set; a default is nobody's slip."""
        sources = [self._environment.source(variable, number) for variable in variables]
        return next((source for source in sources if source != "default"), variables[0].full_name)
