"""Who may ask? Tokens that apps present, and keys that webhooks carry, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence

import msgspec
from starlette.requests import Request

from gateway.problems import BadRequest, Unauthorised
from runtime.secret import Secret
from runtime.settings import Settings
from runtime.telemetry import Event, get_logger

#: Hexadecimal digits of a token's fingerprint, for people and for what must tell all callers apart.
_FINGERPRINT, _CALLER = 8, 16
#: A secret with fewer characters than this can be guessed by who asks often enough.
SHORT = 16
#: A body as long as this is read as a whole before its token is looked for: it costs no more than 3 ms.
_SMALL = 32 * 1024
#: Longest JSON text that is looked at as a token, in bytes.
_LONGEST = 4096
#: Stands for what was given as a token and can be none.
_NO_TOKEN = object()
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_WRONG = "token: is missing or wrong; give one of the tokens of HEADWAY_API_TOKENS"

_log = get_logger("gateway")


class _Front(msgspec.Struct):
    """The `token` of a push, in each spelling that clients use; nothing else of the body becomes an object."""

    token: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    blank_after: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw, name="token ")
    blank_before: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw, name=" token")


def one_of(secrets: Iterable[Secret], given: str) -> bool:
    """Whether a stranger gave one of these secrets; all are compared, so that the time tells nothing of any."""
    digest, found = _digest(given), False
    for secret in secrets:
        found |= hmac.compare_digest(_digest(secret.reveal()), digest) and bool(secret)
    return found


def announce(settings: Settings) -> None:
    """Say aloud what lets strangers in, or keeps a provider out."""
    numbers = {number: settings.number(number) for number in settings.numbers}
    if not settings.lockout:
        _log.warning(Event.LOCKOUT_OFF)
    if taken := [number for number, own in numbers.items() if own.webhooks_open]:
        _log.warning(Event.WEBHOOKS_OPEN, numbers=taken)
    if refused := [number for number, own in numbers.items() if not own.webhooks_open and not own.webhook_keys]:
        _log.warning(Event.WEBHOOKS_CLOSED, numbers=refused, do="set HEADWAY_WEBHOOK_KEY, or to `off`")
    given = {"HEADWAY_API_TOKENS": settings.api_tokens}
    given |= {"HEADWAY_WEBHOOK_KEY": tuple(key for own in numbers.values() for key in own.webhook_keys)}
    for variable, secrets in given.items():
        if any(len(secret.reveal()) < SHORT for secret in secrets):
            _log.warning(Event.GUESSABLE, variable=variable, least=SHORT)


def require_key(expected: Sequence[Secret], given: str, *, open_to_all: bool) -> None:
    """Let only webhooks with one of the number's keys pass, or all when a person said so. Raises Unauthorised.

    Several keys: while one is replaced by another, the provider may give either.
    """
    if open_to_all or one_of(expected, given):
        return
    if not expected:
        raise Unauthorised("key: this gateway has no HEADWAY_WEBHOOK_KEY, so it takes no webhooks; set one, or `off`")
    raise Unauthorised(
        "key: is missing or wrong; the webhook's address must end with ?key=<HEADWAY_WEBHOOK_KEY>", wrong=bool(given)
    )


class Tokens:
    """The tokens of HEADWAY_API_TOKENS."""

    def __init__(self, tokens: Sequence[Secret]) -> None:
        """Take the tokens. Raises ValueError when there is none: everybody would be let in, or nobody."""
        if not tokens:
            raise ValueError("there are no tokens")
        self._digests = [_digest(token.reveal()) for token in tokens]

    def knows(self, given: object) -> bool:
        """Whether a stranger gave one of them; all are compared, so that the time tells nothing."""
        if not isinstance(given, str):
            return False
        digest = _digest(given)
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(known, digest)
        return found

    def require_bearer(self, request: Request) -> str:
        """Let only callers with `Authorization: Bearer <token>` pass; return who it is: the token's fingerprint.

        The fingerprint tells tokens apart and gives none away. Raises Unauthorised.
        """
        given = bearer(request)
        if not self.knows(given):
            raise Unauthorised(
                "Authorization: give one of the tokens of HEADWAY_API_TOKENS, as in `Bearer <token>`", wrong=bool(given)
            )
        return _digest(given).hex()[:_FINGERPRINT]

    def require_in_body(self, given: object) -> str:
        """Let only bodies with one of the tokens in `token` pass; return who it is. Raises Unauthorised."""
        if not isinstance(given, str) or not self.knows(given):
            raise Unauthorised(_WRONG, wrong=bool(given))
        return _digest(given).hex()[:_CALLER]

    def caller(self, request: Request) -> str:
        """Return who asks when the right token stands in the header already; empty: it may stand in the body."""
        given = bearer(request)
        return _digest(given).hex()[:_CALLER] if given and self.knows(given) else ""

    def require_in_front(self, body: bytes, *, in_header: str) -> str:
        """Let a long body pass to its reader only when one of the tokens is in it; return who it is, if it is known.

        14 MB are looked through in 5 ms, and read in 2 s: a stranger shall not have the second. A short body always
        passes, without a name. `in_header` counts where the body has none. Raises Unauthorised, and BadRequest for a
        body that isn't JSON.
        """
        if len(body) <= _SMALL:
            return ""
        try:
            front = msgspec.json.decode(body.removeprefix(_BYTE_ORDER_MARK), type=_Front)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadRequest(f"the body is no JSON object that can be read: {error}") from None
        given = [_text(raw) for raw in (front.token, front.blank_after, front.blank_before) if bytes(raw)]
        return self.require_in_body(next(filter(self.knows, given), given[0] if given else in_header))


def bearer(request: Request) -> str:
    """Return what stands in `Authorization: Bearer`, or nothing."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def _text(raw: msgspec.Raw) -> object:
    """Return what stands there when it may be a token, None for null; what may not is wrong all the same."""
    try:
        return msgspec.json.decode(raw, type=str | None) if len(bytes(raw)) <= _LONGEST else _NO_TOKEN
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _NO_TOKEN


def _digest(text: str) -> bytes:
    """Return a digest: all have one length, so that a comparison tells nothing of the length of a token."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
