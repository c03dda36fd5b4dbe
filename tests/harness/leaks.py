"""Which keys may a test leave in Redis?

Those that `headway.key_catalogue.CATALOGUE` declares, with the type and the time to live that it declares; and those of
Celery and kombu, each with a reason. Anything else is a leak: on a server that runs for years it would never go away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Protocol

import redis

from headway.key_catalogue import CATALOGUE

#: What Redis answers for the time to live of a key that went between the two questions.
GONE = -2


class Spec(Protocol):
    """What the check needs of a `headway.key_catalogue.KeySpec`."""

    @property
    def pattern(self) -> str:
        """A regular expression for the whole key."""

    @property
    def kind(self) -> str:
        """Redis' type."""

    @property
    def ttl(self) -> bool:
        """Whether the key must have a time to live; otherwise it must have none."""

    @property
    def why(self) -> str:
        """The reason, above all when there is no time to live."""


#: Keys that Celery and kombu write by themselves: pattern -> why they may stay. Their time to live is their own affair.
FOREIGN = {
    r"_kombu\.binding\..+": "kombu's table of bindings: one small set an exchange",
    r"_kombu\.binding_(deadlines|permanent\..+)": "kombu's account of bindings that must not go: one entry a queue",
    r"unacked(_index|_mutex)?": "kombu's own account of what the stock path has handed out (control messages)",
    r".+\.reply\.celery\.pidbox": "answers to `celery inspect` that came after the asker had gone; kombu expires them",
    r".+\.celery\.pidbox": "control messages to a worker that has gone; kombu expires them",
    r"celeryev\..+": "events for a listener that has gone; kombu expires them",
}


def leaks(client: redis.Redis, catalogue: Iterable[Spec] = CATALOGUE) -> list[str]:
    """Say of each key that isn't as declared what is wrong with it.

    Args:
        client: of a throwaway server; all its keys are looked at.
        catalogue: the declared kinds of keys.

    """
    specs = [(re.compile(spec.pattern), spec) for spec in catalogue]
    keys = sorted(client.scan_iter(count=1000))
    facts = client.pipeline(transaction=False)
    for key in keys:
        facts.type(key)
        facts.pttl(key)
    answers = facts.execute()
    found = (_problem(key, answers[2 * i], answers[2 * i + 1], specs) for i, key in enumerate(keys))
    return [problem for problem in found if problem]


def _problem(raw: bytes, kind: bytes, pttl_ms: int, specs: list[tuple[re.Pattern[str], Any]]) -> str | None:
    key = raw.decode("utf-8", "backslashreplace")
    if pttl_ms == GONE:
        return None
    if any(re.fullmatch(pattern, key) for pattern in FOREIGN):
        return None
    spec = next((spec for pattern, spec in specs if pattern.fullmatch(key)), None)
    if spec is None:
        return f"{key!r}: in no entry of headway.key_catalogue.CATALOGUE"
    if kind.decode() != spec.kind:
        return f"{key!r}: a {kind.decode()}, declared as {spec.kind}"
    if spec.ttl and pttl_ms < 0:
        return f"{key!r}: has no time to live, declared with one ({spec.why})"
    if not spec.ttl and pttl_ms >= 0:
        return f"{key!r}: goes in {pttl_ms} ms, declared to stay ({spec.why})"
    return None
