"""What does an answer of Picky's Push API say about each row?

The body's `status` decides; the HTTP status is a hint for answers that aren't Picky's. Whatever we can't read is
*uncertain*: the request left, so the messages may be on their way.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from providers.base import Row
from providers.outcomes import TEXT_LIMIT, Outcome, Verdict, all_alike, clean
from providers.throttling import retry_after, throttled
from providers.wire import Answer

#: Digits at the end that make two spellings of a number the same recipient, if only one row has them.
TAIL_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Rule:
    """What a status means for the rows of its request."""

    verdict: Verdict
    meaning: str
    pause: bool = False
    throttled: bool = False


_OVER_QUOTA = Rule(Verdict.RETRY, "over the provider's request quota", throttled=True)
#: `status` in the body. Picky's own page "Status & Error Codes" couldn't be read: 100 is from their samples, the others
#: are from clients written against that page, and the verdicts are our reading.
STATUSES: Mapping[int, Rule] = MappingProxyType(
    {
        # Accepted and handed on, which isn't yet sent to the user. (Picky: "Sending Dynamic Messages")
        100: Rule(Verdict.SENT, "accepted"),
        # Service unavailable: nothing was taken, later is better. (clients)
        101: Rule(Verdict.RETRY, "Picky's service is unavailable", throttled=True),
        # Token wrong, revoked, or of the other host version: each next send would fail too. (clients)
        401: Rule(Verdict.RETRY, "Picky refuses the token: check HEADWAY_PROVIDER_TOKEN and the URL", pause=True),
        # A bad request that stays bad. (clients)
        402: Rule(Verdict.REFUSED, "Picky found no number to send to"),
        # Topping up mends it, trying again doesn't. (clients)
        403: Rule(Verdict.RETRY, "Picky says the balance is too low: top up, then resume", pause=True),
        # Phone automation only: the phone is offline and may come back. (clients)
        404: Rule(Verdict.RETRY, "Picky can't reach the connected phone"),
        # As HTTP 429, should it come in the body.
        429: _OVER_QUOTA,
    }
)
#: HTTP statuses that are plain enough without a known status in the body. All others stay uncertain, 5xx mostly: a
#: gateway's 502 or 504 says nothing of what was done behind it.
_WRONG_ADDRESS = Rule(Verdict.RETRY, "no Push API at this address: check HEADWAY_PROVIDER_URL", pause=True)
HTTP_HINTS: Mapping[int, Rule] = MappingProxyType(
    {
        # Over 90 requests a minute: "dropped and won't be processed". (Picky: "Rate Limits"; the 429: a client)
        429: _OVER_QUOTA,
        # "Currently unable to handle the request" (RFC 9110, 15.6.4), but front servers say it of others, too: whether
        # anything was taken is only sure when the answer says when to come again.
        503: Rule(Verdict.UNCERTAIN, "the provider is overloaded or being maintained", throttled=True),
        # A front server that points elsewhere, or has no such path or method, took nothing. (RFC 9110, 15.4 and 15.5)
        # 302 and 303 aren't here: sites answer a form that they did process with them.
        301: _WRONG_ADDRESS,
        307: _WRONG_ADDRESS,
        308: _WRONG_ADDRESS,
        404: _WRONG_ADDRESS,
        405: _WRONG_ADDRESS,
    }
)
_UNKNOWN = Rule(Verdict.UNCERTAIN, "an answer that we don't know")


def read_answer(rows: Sequence[Row], answer: Answer) -> list[Outcome]:
    """Return one outcome per row, in the rows' order, from an answer to the request that carried them."""
    body = _parsed(answer.body)
    status = _whole_number(body.get("status"))
    hint = HTTP_HINTS.get(answer.http_status, _UNKNOWN)
    rule = hint if status is None else STATUSES.get(status, hint)
    code = str(status) if status is not None else f"http_{answer.http_status}"
    if rule.throttled and rule.verdict is Verdict.UNCERTAIN and answer.retry_after and not body.get("data"):
        rule = replace(rule, verdict=Verdict.RETRY)
    if not body and rule is _UNKNOWN:
        reason = f"HTTP {answer.http_status} with a body that isn't Picky's"
        return all_alike([row.id for row in rows], Verdict.UNCERTAIN, code="not_json", reason=reason)
    said = clean(body.get("message"))
    # When the number must stop, our words name the setting to look at; otherwise the provider's own are closer.
    reason = said if said and not rule.pause else rule.meaning
    outcomes = _row_outcomes(rows, body, rule=rule, code=clean(code), reason=reason)
    return throttled(outcomes, retry_after(answer)) if rule.throttled else outcomes


def _row_outcomes(rows: Sequence[Row], body: Mapping[str, Any], *, rule: Rule, code: str, reason: str) -> list[Outcome]:
    entries = _paired(rows, _entries(body.get("data")))
    push_id = clean(body.get("push_id"))
    outcomes = []
    for row in rows:
        entry = entries.get(row.id)
        provider_id = clean(entry.get("msg_id")) if entry else ""
        verdict, said = rule.verdict, reason
        if verdict is Verdict.SENT:
            said = ""
            if entry is None and not row.fields.get("group_id"):  # a group send has no rows to list
                verdict, said = Verdict.UNCERTAIN, "accepted, but the answer leaves this row out"
        elif provider_id and verdict is not Verdict.UNCERTAIN:
            # Whether a status other than 100 is always for all rows isn't documented; an id says this one was taken.
            verdict, said = Verdict.UNCERTAIN, f"status {code}, yet this row got an id: {said}"[:TEXT_LIMIT]
        outcomes.append(
            Outcome(row.id, verdict, provider_id=provider_id, push_id=push_id, code=code, reason=said, pause=rule.pause)
        )
    return outcomes


def _parsed(body: bytes) -> Mapping[str, Any]:
    """Return the body's JSON object, its keys stripped; empty when it is anything else."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return {key.strip(): value for key, value in parsed.items()} if isinstance(parsed, dict) else {}


def _whole_number(value: object) -> int | None:
    """Read a status that may come as number or string; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
        return int(value)
    return value if isinstance(value, int) else None


def _entries(data: object) -> list[Mapping[str, Any]]:
    """Return the rows of an answer; PHP writes a list with gaps, or a single row, as an object."""
    if isinstance(data, Mapping):
        data = [data] if "number" in data else list(data.values())
    return [entry for entry in data if isinstance(entry, Mapping)] if isinstance(data, list) else []


def _paired(rows: Sequence[Row], entries: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Match rows to the answer's entries: by number, then by the number's tail, then the only two that are left.

    An entry is given to one row at most. Entries for one number go to its rows in order, those with an id first; one
    that is left over then is a duplicate, and never stands for another row.
    """
    by_id = sorted(entries, key=lambda entry: not clean(entry.get("msg_id")))
    paired, waiting, free = _match(rows, by_id, 0)
    if not waiting:
        return paired
    ours = {_digits(row.to, 0) for row in rows}
    found, waiting, free = _match(
        waiting, [entry for entry in free if _digits(entry.get("number"), 0) not in ours], TAIL_DIGITS
    )
    paired |= found
    if len(waiting) == 1 and len(free) == 1 and len(rows) == len(entries):
        paired[waiting[0].id] = free[0]
    return paired


def _match(
    rows: Sequence[Row], entries: Sequence[Mapping[str, Any]], tail: int
) -> tuple[dict[str, Mapping[str, Any]], list[Row], list[Mapping[str, Any]]]:
    """Pair by the last `tail` digits (0: all of them); return the pairs, and the rows and entries left over."""
    by_number: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for entry in entries:
        by_number[_digits(entry.get("number"), tail)].append(entry)
    rivals = _counted(_digits(row.to, tail) for row in rows)
    pairs: dict[str, Mapping[str, Any]] = {}
    taken: set[int] = set()
    for row in rows:
        number = _digits(row.to, tail)
        candidates = by_number.get(number, [])
        if not number or not candidates or (tail and (rivals[number] > 1 or len(candidates) > 1)):
            continue
        pairs[row.id] = candidates.pop(0)
        taken.add(id(pairs[row.id]))
    return (
        pairs,
        [row for row in rows if row.id not in pairs],
        [entry for entry in entries if id(entry) not in taken],
    )


def _counted(numbers: Iterable[str]) -> Mapping[str, int]:
    counts: defaultdict[str, int] = defaultdict(int)
    for number in numbers:
        counts[number] += 1
    return counts


def _digits(number: object, tail: int) -> str:
    """Return a number's digits without what formatting adds; its last `tail` ones if `tail` isn't 0."""
    digits = re.sub(r"[^0-9]", "", clean(number)).lstrip("0")
    return digits[-tail:] if tail else digits
