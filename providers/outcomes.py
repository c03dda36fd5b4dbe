"""What became of one row at the provider?

An outcome is a value: providers return outcomes and raise nothing. What follows from a verdict is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

#: Longest text taken over from a provider, in characters: an answer is a stranger's text, and it goes into records.
TEXT_LIMIT = 200


class Verdict(StrEnum):
    """The four ways a row can end at the provider."""

    SENT = "sent"  #: accepted and handed on
    RETRY = "retry"  #: certainly not taken; may be tried again
    REFUSED = "refused"  #: the provider said no, and would say no again
    UNCERTAIN = "uncertain"  #: may have been taken; nobody knows yet


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row.

    Attributes:
        row_id: our id of the row.
        verdict: the end it came to.
        provider_id: the provider's id of this message (Picky: msg_id); empty when it gave none.
        push_id: the provider's id of the whole request; empty when it gave none.
        code: the provider's own status, `http_<status>`, or our word for a fault on the wire.
        reason: one sentence for a person, at most TEXT_LIMIT characters.
        left: did the request begin to leave? False is a promise that no TPS was used.
        pause: must the whole number stop, because every next send would end the same way?
        throttled: did the provider say "not so fast"? Then nothing was taken, and nothing is wrong with the row.
        retry_after_ms: how long it wants to be left alone; 0 when it didn't say.
    """

    row_id: str
    verdict: Verdict
    provider_id: str = ""
    push_id: str = ""
    code: str = ""
    reason: str = ""
    left: bool = True
    pause: bool = False
    throttled: bool = False
    retry_after_ms: int = 0


def all_alike(
    row_ids: Iterable[str],
    verdict: Verdict,
    *,
    code: str = "",
    reason: str = "",
    left: bool = True,
    pause: bool = False,
) -> list[Outcome]:
    """Give every row the same end, in the order of the ids."""
    return [Outcome(row_id, verdict, code=code, reason=reason, left=left, pause=pause) for row_id in row_ids]


def clean(value: object, *, limit: int = TEXT_LIMIT) -> str:
    """Return a provider's string or number as text that is safe to store and log; anything else is the empty string.

    White space becomes single spaces, what can't be printed is dropped, and the text is cut at `limit` characters.
    Lone surrogates, which JSON can carry and UTF-8 can't, become question marks.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    # Cut before the costly steps: a hostile string may be a megabyte. White space shrinks, hence four times the limit.
    text = " ".join(str(value)[: 4 * limit].split())
    if text.isascii() and text.isprintable():  # an id or a number: nearly every value
        return text[:limit]
    printable = "".join(character for character in text if character.isprintable() or "\ud800" <= character <= "\udfff")
    return printable.encode("utf-8", "replace").decode()[:limit]
