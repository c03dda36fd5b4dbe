"""Who may ask? Tokens that apps present, and keys that webhooks carry, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from starlette.requests import Request

from gateway.problems import Unauthorised
from runtime.secret import Secret

#: Hexadecimal digits of a token's fingerprint.
_FINGERPRINT = 8


def same(secret: Secret, given: str) -> bool:
    """Whether a stranger gave this secret; takes as long for a near miss as for any other. No secret: nobody did."""
    return hmac.compare_digest(_digest(secret.reveal()), _digest(given)) and bool(secret)


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
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self.knows(given.strip()):
            raise Unauthorised("Authorization: give one of the tokens of HEADWAY_API_TOKENS, as in `Bearer <token>`")
        return _digest(given.strip()).hex()[:_FINGERPRINT]

    def require_in_body(self, given: object) -> None:
        """Let only bodies with one of the tokens in `token` pass. Raises Unauthorised."""
        if not self.knows(given):
            raise Unauthorised("token: is missing or wrong; give one of the tokens of HEADWAY_API_TOKENS")


def _digest(text: str) -> bytes:
    """Return a digest: all have one length, so that a comparison tells nothing of the length of a token."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
